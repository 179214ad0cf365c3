"""Figures of a conversion: its diagnostics, a panel each, and the cores of a device that it would fill."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.diffusion_tensor import common_axes
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.conversion.noise_budget import target_diffusion
from ddm2snn.conversion.trajectories import flow, regression_target
from ddm2snn.errors import InputError
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.fidelity.stress import Stress
from ddm2snn.hardware.place import BOARD_ONLY, PER_CORE, Placement
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal
from ddm2snn.plots.comparison import draw_stress, excess_plot
from ddm2snn.plots.recordings import latent_traces, spike_raster
from ddm2snn.plots.style import (
    COLOURS,
    HATCH,
    MARKERS,
    PALE,
    WIDTH,
    Panels,
    latent_name,
    line_style,
    panels,
    plain,
    plain_decades,
    subplots,
    symbol,
)
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ddm2snn.base.html import Plotted
    from ddm2snn.conversion.convert import Conversion
    from ddm2snn.conversion.diagnostics import Diagnostics, Lag, Noise, Spectrum

    Tensor = Float[np.ndarray, "rank rank"]

_COLUMNS, _ROW = 3, 2.9
_CURVES, _CANDIDATES, _POINTS = 7, 1000, 200
_BLOCK = 2**22  # rates that are held at once
_WORST = 0.99  # share of the states whose decoding error lies within the colours
_BAR = 0.55
_CORE_ROW, _NAMED = 0.27, 40  # height of a core in inches, and the largest number of cores with names
_TALLEST = 14.0  # inches


def draw(conversion: Conversion, rate: RateNetwork) -> Figure:
    r"""Draw what a conversion learned about itself.

    - Tuning curves :math:`F(E_j z + \beta_j)` of some neurons over the state :math:`x_i = \Gamma_i z + b_i` of
      their units.
    - Decoding error :math:`D F - y` on the rate network's stationary states, from the neurons' curves along the flow,
      relative to the drift, over the first two latents (against itself for a single one).
    - Noise by frequency: that of the spikes, and all noise that is predicted with what is injected, over the target's.
      Where no spectrum was measured, a noise budget: diffusion of spikes and injected noise over the target's, in the
      directions in which the spikes' is largest and smallest beside it; means over the states where they depend on
      them.
    - Held-out error of calibrated decoders against the ridge; left out where no ridge was chosen.
    - Singular values of E D and of the rate network's W, each relative to its largest.
    - Residual lag of the decoded spikes, with twice its standard error and half a time step.

    Of a network that was converted in the loop of a device the decoding error is that which the loop measured, in
    numbers: the neurons' curves know nothing of decode neurons. The lag is left out, since it is not measured there.

    Raises
    ------
    InputError
        Where `conversion` came from another rate network.
    """
    network, diagnostics = conversion.network, conversion.diagnostics
    if network.rate_fingerprint != rate.fingerprint:
        raise InputError(
            f"This conversion is one of the rate network {network.rate_fingerprint}, not of {rate.fingerprint}. "
            "Give the one that was converted."
        )
    cloud = to_internal(rate, rate.initial_latent)
    constant = (network.latent_offset - rate.latent_offset) / rate.latent_scale  # what is decoded without a spike
    ensemble = replace(Ensemble.of(network), bias=network.bias - network.encoders @ constant)  # at latents of `rate`
    calibration = diagnostics.calibration
    curve = {} if calibration is None else calibration.held_out_error
    figure, axes = panels(5 + (len(curve) > 1), _COLUMNS, top=0.2, row=lambda columns: _ROW, shared=False)
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.1)
    tuning, error, noise, spectrum, lag, *more = axes.flat
    _tuning_curves(tuning, network, cloud, ensemble, rate.bias)
    if diagnostics.lag is not None:
        _decoding_error(error, network, rate, cloud, ensemble, constant)
        _residual_lag(lag, network, diagnostics.lag)
    else:
        device = "the device" if network.hardware is None else network.hardware.name
        measured = "\n".join(f"{latent_name(d)}: {100 * e:.2g} %" for d, e in enumerate(diagnostics.drift_error))
        _words(error, "Decoding error in the loop", f"measured on {device},\n% of the drift\n\n{measured}")
        _words(lag, "Residual lag", "not drawn: the neurons' curves\nknow nothing of decode neurons,\n"
               "whose lag decoders make up for")  # fmt: skip
    if diagnostics.noise is not None and diagnostics.noise.spectrum is not None:
        _noise_by_frequency(noise, diagnostics.noise.spectrum)
    else:
        _noise_budget(noise, network, diagnostics.noise, target_diffusion(rate, cloud))
    _spectrum(spectrum, network, diagnostics)
    if calibration is not None and len(curve) > 1:
        _held_out(more[0], curve, calibration.ridge)
    plain(tuning, error, noise, spectrum, lag, *more)
    return figure


def plot(thing: Plotted) -> list[Axes]:
    r"""Draw what one looks at first; a notebook shows the figure, ``axes[0].figure``, which pyplot does not know of.

    - Of a recording one trial: its spikes where there are any, above the latents.
    - Of a report all distances over their floors.
    - Of a spiking network tuning curves over the input :math:`\Gamma_i z` of the neurons' units.
    - Of a stress test the distances by level.

    Parameters
    ----------
    thing
        A recording, a report, a spiking network or a stress test; ``thing.plot()`` does the same.

    Returns
    -------
    list
        The axes, those above first.

    Raises
    ------
    InputError
        Where there is no figure for such a thing.

    Examples
    --------
    >>> recording = Recording.from_arrays(np.zeros((4, 51, 2)), every=0.1, time_unit_s=0.2)
    >>> above, below = plot(recording)
    >>> below.get_xlabel()
    'time (rate time units)'
    """
    if isinstance(thing, Recording):
        return Panels((latent_traces({"first trial": thing}) if thing.spikes is None else spike_raster(thing)).axes)
    if isinstance(thing, FidelityReport):
        return Panels(excess_plot([thing]).axes)
    if isinstance(thing, Stress):
        return Panels(draw_stress(thing).axes)
    if not isinstance(thing, SpikingNetwork):
        kind = type(thing).__name__
        raise InputError(f"plot has no figure of a {kind}. Give a Recording, FidelityReport, SpikingNetwork or Stress.")
    figure, axis = subplots(0.6 * WIDTH, _ROW + 0.4)
    no_bias = np.zeros(len(thing.rate_left_vectors))
    _tuning_curves(axis, thing, to_internal(thing, thing.initial_latent), Ensemble.of(thing), no_bias)
    axis.set_xlabel(r"input $\Gamma_i z$ of the neuron's unit")
    plain(axis)
    return Panels(figure.axes)


def _words(axis: Axes, title: str, words: str) -> None:
    """Say why a panel has no curve."""
    axis.set_title(title)
    axis.text(0.5, 0.5, words, ha="center", va="center", transform=axis.transAxes, size=9)
    axis.set(xticks=[], yticks=[])


def _tuning_curves(
    axis: Axes, network: SpikingNetwork, cloud: np.ndarray, ensemble: Ensemble, bias: np.ndarray
) -> None:
    some = np.arange(0, network.neurons, max(1, network.neurons // _CANDIDATES))
    active = (cloud @ ensemble.encoders[some].T + ensemble.bias[some] > network.neuron.threshold_current).mean(axis=0)
    # from those that are seldom active to those that always are, the silent left out
    order = some[np.argsort(active, kind="stable")][int((active == 0).sum()) :]
    shown = order[np.linspace(0, len(order) - 1, min(_CURVES, len(order))).round().astype(int)]
    for index, neuron in enumerate(shown):
        unit = network.unit[neuron]
        gamma = network.rate_left_vectors[unit]
        x = cloud @ gamma + bias[unit]
        places = np.linspace(x.min(), x.max(), _POINTS)
        along = (places - bias[unit])[:, None] * gamma / max(float(gamma @ gamma), np.finfo(float).tiny)
        current = along @ ensemble.encoders[neuron] + ensemble.bias[neuron]
        model = network.neuron.part(slice(neuron, neuron + 1))
        rates_hz = model.rate_hz(current[:, None], timing=network.spike_timing, dt_s=network.dt_s)
        axis.plot(places, rates_hz[:, 0], lw=1.3, color=COLOURS[index % len(COLOURS)])
    axis.set(xlabel="state $x$ of the neuron's unit", ylabel="rate (Hz)", ylim=(0, None))
    axis.set_title(f"Tuning of {len(shown)} of {network.neurons} neurons")


def _decoding_error(
    axis: Axes, network: SpikingNetwork, rate: RateNetwork, cloud: np.ndarray, ensemble: Ensemble, constant: np.ndarray
) -> None:
    blocks = np.array_split(cloud, -(-len(cloud) * network.neurons // _BLOCK))
    decoded = [ensemble.rates_hz(z, rate.internal_readout(z) - z) @ network.decoders.T for z in blocks]
    ahead = flow(rate, cloud, ensemble.clock.rise_s / ensemble.clock.time_unit_s)  # spikes decode what comes then
    miss = np.concatenate(decoded) + constant - regression_target(rate, ahead, ensemble.clock)
    speed = np.sqrt(((rate.internal_readout(cloud) - cloud) ** 2).mean(axis=0))
    size = 100.0 * np.sqrt(((miss / np.where(speed > 0, speed, 1.0)) ** 2).mean(axis=1))
    states = rate.initial_latent
    if rate.rank == 1:
        axis.plot(states[:, 0], size, ".", ms=3, color=COLOURS[1], rasterized=True)
        axis.set(xlabel=latent_name(0), ylabel="% of the drift", ylim=(0, None))
    else:
        order = np.argsort(size, kind="stable")  # the largest on top
        points = axis.scatter(
            states[order, 0], states[order, 1], c=size[order], s=6, lw=0, cmap="cividis", vmin=0.0,
            vmax=max(float(np.quantile(size, _WORST)), np.finfo(float).tiny), rasterized=True,
        )  # fmt: skip
        bar = axis.figure.colorbar(points, ax=axis, extend="max", shrink=0.9, pad=0.02)
        bar.ax.tick_params(labelsize=8.5)
        bar.set_label("% of the drift", size=9)
        axis.set(xlabel=latent_name(0), ylabel=latent_name(1))
    axis.set_title("Decoding error of the curves")


def _noise_by_frequency(axis: Axes, spectrum: Spectrum) -> None:
    spikes, total = 100 * np.array(spectrum.spikes), 100 * np.array(spectrum.total)
    for latent in range(total.shape[1]):
        colour = symbol(latent)["color"]
        axis.semilogx(spectrum.frequency, total[:, latent], color=colour, lw=1.3, label=latent_name(latent))
        axis.semilogx(spectrum.frequency, spikes[:, latent], color=colour, lw=1.1, ls="--")
    axis.axhline(100, color=COLOURS[0], ls=":", lw=1.1)
    top = max(150.0, 1.1 * float(total.max()))
    axis.set(xlabel="frequency per rate time unit", ylabel="% of the target's noise", ylim=(0, 1.25 * top))
    axis.legend(
        loc="upper left", ncols=3, frameon=False, fontsize=8.5, title="dashed: spikes alone", title_fontsize=8.5
    )
    axis.set_title("Noise by frequency")


def _noise_budget(axis: Axes, network: SpikingNetwork, measured: Noise | None, target: Tensor) -> None:
    spikes = None if measured is None else np.array(measured.spikes)
    factor = network.internal_factor(to_internal(network, network.initial_latent))
    share, added = _shares(target, spikes, (factor @ np.swapaxes(factor, -1, -2)).mean(axis=0))
    if not len(share):
        _words(axis, "Noise budget", "the target has no noise")
        return
    axis.set_title("Noise budget")
    place = np.arange(1, len(share) + 1)
    axis.bar(place, 100 * added, _BAR, color=PALE, label="injected")
    if spikes is not None:
        axis.bar(
            place, 100 * share, _BAR, bottom=100 * added, color=COLOURS[2], hatch=HATCH, ec="white", label="spikes"
        )
    axis.axhline(100, color=COLOURS[0], ls="--", lw=1.1, label="target")
    top = 100 * max(1.0, float((share + added).max()))
    order = ", spikes unmeasured" if spikes is None else ", largest spike noise first"
    axis.set(xlabel=f"direction{order}", ylabel="% of the target's diffusion", ylim=(0, 1.45 * top))
    axis.set(xlim=(0.4, len(place) + 0.6), xticks=place[:: max(1, len(place) // 8)])
    axis.legend(loc="upper right", ncols=2, frameon=False, fontsize=8.5)


def _shares(target: Tensor, spikes: Tensor | None, injected: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Diffusion of spikes and injected noise over the target's, each of shape (direction,).

    The directions are those of which each is free of the others.
    """
    share, _, directions = common_axes(np.zeros_like(target) if spikes is None else spikes, target)
    used = directions.any(axis=0)  # no direction where the target has no noise
    share, directions = share[used][::-1], directions[:, used][:, ::-1]
    return share, np.einsum("ij,ik,kj->j", directions, injected, directions)


def _spectrum(axis: Axes, network: SpikingNetwork, diagnostics: Diagnostics) -> None:
    hollow = {"color": COLOURS[0], "marker": "s", "ms": 9, "mfc": "none"}
    kinds = (
        ("rate network $W$", diagnostics.rate_singular_values, hollow),
        ("spiking $E D$", diagnostics.rank_audit.singular_values, {"color": COLOURS[2], "marker": "o", "ms": 5}),
    )
    lowest = 1.0
    for label, values, style in kinds:
        height = np.array(values) / max(*values, np.finfo(float).tiny)
        axis.semilogy(np.arange(1, len(height) + 1), height, ls="none", label=label, **style)
        lowest = min(lowest, height.min())
    neurons, rank = network.neurons, network.rank
    axis.set(xlabel="singular value", ylabel="relative to the largest", xlim=(0.4, rank + 0.6))
    axis.set_ylim(max(lowest, 1e-16) / 10, 5)
    axis.set_xticks(np.arange(1, rank + 1)[:: max(1, rank // 8)])
    plain_decades(axis)
    axis.set_title("Spectrum of $E D$")
    axis.legend(loc="upper right", frameon=False, fontsize=8.5)
    cost = f"{neurons - rank:,} more are zero:\n{2 * neurons * rank:,} weights (2Nk),\nnot {neurons**2:,}"
    axis.text(0.04, 0.05, cost, transform=axis.transAxes, size=8.5, color="#5b6470")


def _residual_lag(axis: Axes, network: SpikingNetwork, lag: Lag) -> None:
    place = np.arange(len(lag.lag_s))
    lag_ms, error_ms = 1e3 * np.array(lag.lag_s), 1e3 * np.array(lag.standard_error_s)
    half_ms = 500.0 * network.dt_s
    axis.axhspan(-half_ms, half_ms, color=PALE, lw=0, alpha=0.6)
    axis.axhline(0.0, color=COLOURS[0], lw=0.8)
    axis.errorbar(place, lag_ms, yerr=2 * error_ms, fmt="o", color=COLOURS[1], ms=5, capsize=4, lw=1.2)
    reach = 1.15 * max(1.6 * half_ms, float((np.abs(lag_ms) + 2 * error_ms).max()))
    axis.set(xlabel="latent (band: half a time step)", ylabel="lag (ms), positive: late")
    axis.set(xlim=(-0.6, len(place) - 0.4), ylim=(-reach, reach))
    every = max(1, len(place) // 8)
    axis.set_xticks(place[::every], [str(d) for d in place[::every]])
    axis.set_title("Residual lag")


def _held_out(axis: Axes, curve: Mapping[str, list[float]], chosen: float) -> None:
    ridge = np.array([float(name) for name in curve])
    errors = np.array(list(curve.values()))
    for latent in range(errors.shape[1]):
        style = {**line_style(latent), "marker": MARKERS[latent % len(MARKERS)]}
        axis.loglog(ridge, errors[:, latent], ms=4, lw=1.2, label=latent_name(latent), **style)
    axis.axvline(chosen, color=COLOURS[0], ls=":", lw=1.1)
    axis.set(xlabel="ridge (dotted: chosen)", ylabel="held-out error (internal units)")
    axis.margins(y=0.25)
    plain_decades(axis)
    axis.legend(loc="upper center", ncols=3, frameon=False, fontsize=8.5)
    axis.set_title("Choice of the ridge")


def draw_placement(placement: Placement) -> Figure:
    """Draw a row for each core, a column for each resource: the share that is used, and how much that is, by chip.

    Chips are set apart by lines. Without a limit there is no share, and only the number is written.
    """
    cores, resources = placement.cores, [name for name in PER_CORE if name not in BOARD_ONLY]
    share = np.array([[placement.share(core, name) or 0.0 for name in resources] for core in cores])
    named = len(cores) <= _NAMED
    figure, axis = subplots(WIDTH, min(_TALLEST, 1.5 + (_CORE_ROW if named else _CORE_ROW / 3) * len(cores)))
    image = axis.imshow(share, aspect="auto", cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    axis.set_xticks(range(len(resources)), [name.replace("_", " ") for name in resources])
    axis.xaxis.set_ticks_position("top")
    if named:
        axis.set_yticks(range(len(cores)), [core.name for core in cores], size=8.5)
        _numbers(axis, placement, resources, share)
    else:
        decodes = sum(core.decodes for core in cores)
        axis.set(ylabel=f"{decodes} cores of decode neurons, then {len(cores) - decodes} of neurons")
    _chips(axis, placement.chip)
    bar = figure.colorbar(image, ax=axis, pad=0.09, fraction=0.05)
    bar.set_label("share of the core's limit", size=9)
    axis.set_title(f"{len(cores)} cores on {placement.chips} chip(s) of {placement.config.name}", pad=22)
    plain(axis)
    axis.tick_params(length=0)
    return figure


def _numbers(axis: Axes, placement: Placement, resources: list[str], share: np.ndarray) -> None:
    for row, core in enumerate(placement.cores):
        for column, name in enumerate(resources):
            used, part = getattr(core, name), placement.share(core, name)
            words = f"{used:,}" if part is None else f"{used:,}  ({part:.1%})"
            colour = "white" if share[row, column] > 0.6 else COLOURS[0]
            axis.text(column, row, words, ha="center", va="center", size=8, color=colour)


def _chips(axis: Axes, chip: tuple[int, ...]) -> None:
    """Name the chips on the right, where cores of one follow each other, with a line between two."""
    starts = [0, *(i for i in range(1, len(chip)) if chip[i] != chip[i - 1])]
    for first, last in zip(starts, [*starts[1:], len(chip)], strict=True):
        axis.text(1.01, (first + last - 1) / 2, f"chip {chip[first]}", transform=axis.get_yaxis_transform(),
                  va="center", size=8.5)  # fmt: skip
        if first:
            axis.axhline(first - 0.5, color=COLOURS[2], lw=1.2)
