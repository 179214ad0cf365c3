"""Figures of recordings: latents, spikes and what they add to the noise, and trials of a task by condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.conditions import outputs_of
from ddm2snn.fidelity.measures.power_spectrum import power_spectra
from ddm2snn.fidelity.spikes import NoiseShare, SpikeStatistics
from ddm2snn.network import RateNetwork, to_internal
from ddm2snn.plots.style import (
    COLOURS,
    HATCH,
    NARROW,
    PALE,
    STYLES,
    WIDTH,
    common_legend,
    latent_name,
    legend,
    limits,
    line_style,
    panels,
    plain,
    subplots,
    symbol,
    wrapped,
)
from ddm2snn.recording import Recording
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from matplotlib.figure import Figure

    from ddm2snn.fidelity.report import FidelityReport

_TRACE_SPAN = 30.0  # rate time units
_COLUMNS = 4  # panels beside each other
_MOST_CONDITIONS = 8  # with a panel or a colour of their own
_TRAJECTORIES = 6
_FIELD, _AROUND = 13, 0.15  # arrows along an axis of a vector field, and its margin around the trajectories
_ARROW = "#9aa1ab"
_POINTS = 120  # of a spectrum, evenly spaced on the logarithmic axis
_RASTER_NEURONS, _RASTER_SPAN = 200, 10.0
_BINS = 30
_BAR = 0.36
Recordings = Mapping[str, Recording]


def phase_portraits(recordings: Recordings, *, burn_in: float = 0.0, narrow: bool = False) -> Figure:
    """Density of the latent states with six trajectories on top, one panel per recording, in two columns if narrow."""
    clouds = {name: _planar(after(recording, burn_in), recording.every) for name, recording in recordings.items()}
    rank, names = _rank_and_names(recordings)
    first, second = 0, max(rank, 2) - 1
    width, most = (NARROW, 2) if narrow else (WIDTH, _COLUMNS)
    figure, axes = panels(
        len(clouds), most, top=0.4, row=lambda columns: min(3.3, 0.35 + 0.92 * width / columns), width=width
    )
    everything = np.concatenate([cloud.reshape(-1, cloud.shape[-1]) for cloud in clouds.values()])
    extent = [limits(everything[:, d]) for d in (first, second)]
    for axis, (name, cloud) in zip(axes.flat, clouds.items(), strict=False):
        flat = cloud.reshape(-1, cloud.shape[-1])
        density, x, y = np.histogram2d(flat[:, first], flat[:, second], bins=120, range=extent)
        axis.pcolormesh(x, y, np.sqrt(density.T), cmap="Blues", rasterized=True)
        for trial in cloud[:_TRAJECTORIES]:
            steps = min(len(trial), 500)
            axis.plot(trial[:steps, first], trial[:steps, second], color=COLOURS[2], lw=0.35, alpha=0.55)
        axis.set(title=wrapped(name), xlabel=latent_name(first, names))
        plain(axis)
    for axis in axes[:, 0]:
        axis.set_ylabel(latent_name(second, names) if rank > 1 else "one time unit later")
    return figure


def latent_traces(recordings: Recordings, *, burn_in: float = 0.0) -> Figure:
    """One trial of each recording over time, a panel per latent dimension."""
    rank, names = _rank_and_names(recordings)
    figure, axes = subplots(WIDTH, 1.5 * rank + 0.8, rows=rank, sharex=True, squeeze=False)
    axes = axes[:, 0]
    for index, (name, recording) in enumerate(recordings.items()):
        trace = after(recording, burn_in)[0]
        steps = min(len(trace), round(_TRACE_SPAN / recording.every))
        time = np.arange(steps) * recording.every
        for dimension, axis in enumerate(axes):
            axis.plot(time, trace[:steps, dimension], label=name, lw=1.1, **line_style(index))
            axis.set(ylabel=latent_name(dimension, names), xlim=(0, time[-1] if steps > 1 else 1))
    axes[-1].set_xlabel("time (rate time units)")
    plain(*axes)
    legend(axes[0])
    return figure


def marginal_densities(recordings: Recordings, *, burn_in: float = 0.0) -> Figure:
    """Stationary density of each latent dimension."""
    rank, names = _rank_and_names(recordings)
    figure, axes = panels(rank, _COLUMNS, top=0.4, row=lambda columns: 2.6, shared=False)
    axes = axes.flat[:rank]
    for dimension, axis in enumerate(axes):
        values = {name: after(r, burn_in)[..., dimension].ravel() for name, r in recordings.items()}
        edges = np.linspace(*limits(np.concatenate(list(values.values()))), 101)
        for index, (name, value) in enumerate(values.items()):
            density, _ = np.histogram(value, bins=edges, density=True)
            axis.plot((edges[1:] + edges[:-1]) / 2, density, label=name, lw=1.3, **line_style(index))
        axis.set(xlabel=latent_name(dimension, names), ylim=(0, None))
        plain(axis)
    axes[0].set_ylabel("density")
    common_legend(axes[0], columns=6)
    return figure


def spectra(recordings: Recordings, *, burn_in: float = 0.0) -> Figure:
    """Power spectrum of each latent, normalised to unit sum, and the band of a second run of the first recording.

    The band is two standard deviations of the difference between two runs wide, by the scatter of the trials.
    """
    rank, names = _rank_and_names(recordings)
    figure, axes = panels(rank, _COLUMNS, top=0.4, row=lambda columns: 2.6, shared=False)
    axes = axes.flat[:rank]
    for index, (name, recording) in enumerate(recordings.items()):
        frequency, power = power_spectra(after(recording, burn_in), recording.every)
        groups = _log_groups(len(frequency))
        centre = np.array([np.exp(np.log(frequency[g]).mean()) for g in groups])
        for dimension, axis in enumerate(axes):
            share = power[..., dimension] / power[..., dimension].mean(axis=0).sum()
            binned = np.stack([share[:, g].mean(axis=1) for g in groups], axis=1)
            mean = binned.mean(axis=0)
            if index == 0 and len(binned) > 1:
                margin = 2 * np.sqrt(2 / len(binned)) * binned.std(axis=0, ddof=1)
                low = np.maximum(mean - margin, 0.02 * mean)
                axis.fill_between(centre, low, mean + margin, color=PALE, lw=0, label="second run (95 %)")
            axis.loglog(centre, mean, label=name, lw=1.2, **line_style(index))
            axis.set(xlabel="frequency (cycles per rate time unit)", title=latent_name(dimension, names))
            plain(axis)
    axes[0].set_ylabel("share of power")
    common_legend(axes[0], columns=6)
    return figure


def spike_raster(recording: Recording, *, name: str = "") -> Figure:
    """Spikes of the first trial, neuron by neuron, above the latents that they carry."""
    if recording.spikes is None:
        raise InputError("This recording holds no spikes. Simulate with spikes recorded.")
    spikes, course = recording.spikes, recording.latent["time"].values
    total = course[-1]
    time = spikes.time_s / float(recording.latent["time_s"].values[-1] / total)
    start = max(0.0, total - _RASTER_SPAN)
    neurons = int(spikes.neuron.max(initial=0)) + 1
    every = max(1, -(-neurons // _RASTER_NEURONS))
    drawn = (spikes.trial == spikes.trial.min(initial=0)) & (time >= start) & (spikes.neuron % every == 0)
    figure, (above, below) = subplots(WIDTH, 4.4, rows=2, sharex=True, height_ratios=(2.2, 1))
    above.plot(time[drawn] - start, spikes.neuron[drawn], "|", color=COLOURS[0], ms=1.8, mew=0.5, rasterized=True)
    shown = f"one in {every} of {neurons} neurons" if every > 1 else f"{neurons} neurons"
    above.set(ylabel=shown, title=name, ylim=(-1, neurons))
    first = int(np.searchsorted(course, start))
    for dimension in range(recording.rank):
        z = recording.samples[0, first:, dimension]
        label = latent_name(dimension, recording.origin.latent_names)
        below.plot(course[first:] - start, z, lw=1.2, label=label, **line_style(dimension))
    below.set(xlabel="time (rate time units)", xlim=(0, total - start))
    plain(above, below)
    below.legend(loc="upper right", ncols=4, frameon=False, fontsize=8.5)
    return figure


def spike_histograms(statistics: Mapping[str, SpikeStatistics]) -> Figure:
    """Mean rates of the neurons, and how regularly each fires."""
    figure, (left, right) = subplots(WIDTH, 2.9, columns=2)
    highest = max(max(float(s.rates_hz.max(initial=0.0)) for s in statistics.values()), 1.0)
    for index, (name, of_network) in enumerate(statistics.items()):
        style = line_style(index)
        for axis, values, top in ((left, of_network.rates_hz, highest), (right, of_network.local_variations, 2.0)):
            finite = np.minimum(values[np.isfinite(values)], top)
            count, edges = np.histogram(finite, bins=np.linspace(0, top, _BINS + 1))
            axis.stairs(100 * count / max(len(values), 1), edges, label=name, lw=1.4, **style)
    left.set(xlabel="mean rate (Hz)", ylabel="neurons (%)", xlim=(0, highest), ylim=(0, None))
    right.set(xlabel="CV2 of successive intervals (0: clock, 1: Poisson)", xlim=(0, 2), ylim=(0, None))
    plain(left, right)
    legend(left)
    return figure


def noise_shares(shares: Mapping[str, NoiseShare], *, latent_names: Sequence[str] = ()) -> Figure:
    """Variance of the noise of each latent: injected, on top what spikes bring along, beside the rate network's."""
    figure, axes = subplots(WIDTH, 2.9, columns=len(shares), sharey=True, squeeze=False)
    axes = axes[0]
    for axis, (name, share) in zip(axes, shares.items(), strict=True):
        place = np.arange(len(share.target))
        whole = np.where(share.target > 0, share.target, 1.0)
        axis.bar(place, share.injected / whole, _BAR, color=COLOURS[5], edgecolor=COLOURS[1], label="injected")
        if share.spikes is not None:
            axis.bar(place, share.spikes / whole, _BAR, bottom=share.injected / whole, color="white", hatch=HATCH,
                     edgecolor=COLOURS[2], label="of spikes")  # fmt: skip
        axis.axhline(1.0, color=COLOURS[0], lw=1.2, ls="--", label="rate network")
        axis.set(title=wrapped(name), xlim=(-0.7, len(place) - 0.3))
        axis.set_xticks(place, [latent_name(dimension, latent_names) for dimension in range(len(place))])
        axis.grid(axis="y", color=PALE, lw=0.6)
        axis.set_axisbelow(True)
        plain(axis)
    axes[0].set_ylabel("variance of noise / rate network's")
    common_legend(axes[0], columns=3)
    return figure


def _rank_and_names(recordings: Recordings) -> tuple[int, Sequence[str]]:
    """Number of latents, and their names in the first recording."""
    first = next(iter(recordings.values()))
    return first.rank, first.origin.latent_names


def _log_groups(count: int) -> list[np.ndarray]:
    """Neighbouring frequencies, from the second on, that share a point on a logarithmic axis."""
    edges = np.unique(np.geomspace(1, count, _POINTS + 1).astype(np.int64))
    return [np.arange(low, high) for low, high in pairwise(edges)]


def after(recording: Recording, burn_in: float) -> Float[np.ndarray, "trial time rank"]:
    """Samples of a recording after the burn-in."""
    return recording.samples[:, round(burn_in / recording.every) if burn_in else 0 :]


def _planar(samples: Float[np.ndarray, "trial time rank"], every: float) -> Float[np.ndarray, "trial time plane"]:
    """Samples in two dimensions or more: a single latent gets itself one time unit later as the second."""
    if samples.shape[-1] > 1:
        return samples
    lag = min(round(1.0 / every), samples.shape[1] - 1)
    return np.concatenate([samples[:, : samples.shape[1] - lag], samples[:, lag:]], axis=-1)


def choices_plot(report: FidelityReport) -> Figure:
    """Share of trials that end above the boundary, by condition, for each output; with Wilson's 95 % intervals."""
    from scipy.stats import binomtest

    entries: dict[str, list[tuple[str, float, float, int]]] = {}
    for measure in report.measures:
        name, _, condition = measure.name.partition(" in ")
        if name.startswith("choice_") and measure.test is not None and measure.reference is not None:
            words = measure.label.removesuffix(f", {condition}")
            entries.setdefault(words, []).append((condition, measure.reference, measure.test, measure.trials))
    figure, axes = panels(len(entries), _COLUMNS, top=0.4, row=lambda _: 2.8)
    for axis, (name, rows) in zip(axes.flat, entries.items(), strict=False):
        conditions, *shares, trials = zip(*rows, strict=True)
        place = np.arange(len(rows))
        for index, (label, share) in enumerate(zip(("rate network", report.label), shares, strict=True)):
            ends = [
                binomtest(round(s * n), n).proportion_ci(method="wilson") for s, n in zip(share, trials, strict=True)
            ]
            bars = np.abs(np.transpose([(s - end.low, end.high - s) for s, end in zip(share, ends, strict=True)]))
            style = {"color": COLOURS[0], "marker": "s"} if index == 0 else symbol(0)
            axis.errorbar(place + 0.12 * index, share, yerr=bars, ms=4, lw=1.2, capsize=2, label=label, **style)
        axis.set_xticks(place, conditions, rotation=30, ha="right", fontsize=8)
        axis.set(ylabel=name, ylim=(-0.05, 1.05))
        plain(axis)
    legend(axes.flat[0])
    return figure


def output_traces(recordings: Recordings) -> Figure:
    """Mean outputs over time by condition, with one standard deviation over trials; a row for each output."""
    first = next(iter(recordings.values()))
    shown = list(first.conditions)[:_MOST_CONDITIONS]
    count = outputs_of(first).shape[2]
    figure, axes = subplots(WIDTH, 0.5 + 1.7 * count, count, len(shown), squeeze=False, sharex=True, sharey="row")
    for row in range(count):
        for axis, condition in zip(axes[row], shown, strict=True):
            for index, (label, recording) in enumerate(recordings.items()):
                values = outputs_of(recording)[recording.conditions[condition], :, row]
                time, mean, spread = recording.latent["time"].values, values.mean(axis=0), values.std(axis=0)
                axis.plot(time, mean, lw=1.3, label=label, **line_style(index))
                axis.fill_between(time, mean - spread, mean + spread, color=COLOURS[index], alpha=0.12, lw=0)
            plain(axis)
            if row == 0:
                axis.set_title(condition)
            if row == count - 1:
                axis.set_xlabel("time (rate time units)")
        axes[row, 0].set_ylabel(f"output {row}")
    common_legend(axes[0, 0], 4)
    return figure


def condition_trajectories(recordings: Recordings) -> Figure:
    """Mean trajectory of each condition, over time at rank 1, else in the plane of the first and last latent."""
    first, names = next(iter(recordings.values())), _rank_and_names(recordings)[1]
    figure, axes = panels(len(recordings), _COLUMNS, top=0.5, row=lambda _: 3.0)
    for axis, (label, recording) in zip(axes.flat, recordings.items(), strict=False):
        for index, (condition, rows) in enumerate(list(recording.conditions.items())[:_MOST_CONDITIONS]):
            mean = recording.samples[rows].mean(axis=0)
            colour, dashes = COLOURS[1 + index % (len(COLOURS) - 1)], STYLES[index // (len(COLOURS) - 1)]
            x = recording.latent["time"].values if first.rank == 1 else mean[:, 0]
            axis.plot(x, mean[:, -1], color=colour, linestyle=dashes, lw=1.4, label=condition)
            axis.plot(x[-1], mean[-1, -1], "o", color=colour, ms=4)
        below, beside = (latent_name(d, names) for d in (0, first.rank - 1))
        axis.set(title=label, xlabel="time (rate time units)" if first.rank == 1 else below, ylabel=beside)
        plain(axis)
    figure.legend(
        *axes.flat[0].get_legend_handles_labels(), loc="outside upper left", ncols=4, frameon=False, fontsize=9
    )
    return figure


def condition_fields(recordings: Recordings, rate: RateNetwork, trials: Stimulus) -> Figure:
    """Draw the rate network's vector field under the input of each condition, with the mean trajectories.

    Latents that only follow inputs are no axes. With two others or more the plane is that of the first and last, under
    the input that lasts longest among the strong ones; trajectories are bold while it is on, and other latents are at
    their mean then. A single one is drawn over time, under the inputs of each moment.
    """
    first, names = next(iter(recordings.values())), _rank_and_names(recordings)[1]
    shown = list(first.conditions.items())[:_MOST_CONDITIONS]
    if trials.trials != len(first.samples):
        raise InputError(
            f"The stimulus has {trials.trials} trials, and the recordings have {len(first.samples)}. Give theirs."
        )
    axes_of = np.flatnonzero(np.abs(rate.right_vectors).max(axis=0))
    plane = axes_of[[0, -1]] if len(axes_of) > 1 else axes_of[:1] if len(axes_of) else np.array([0])
    time, given = first.latent["time"].values, trials.at(first.latent["time"].values, rate.input_map.shape[1])
    means = {
        name: {c: run.samples[run.conditions[c]].mean(axis=0) for c, _ in shown} for name, run in recordings.items()
    }
    everything = np.concatenate([mean for run in means.values() for mean in run.values()])
    spans = [limits(everything[:, d], outside=0.0, margin=_AROUND) for d in plane]
    figure, axes = panels(len(shown), _COLUMNS, top=0.5, row=lambda columns: min(3.4, 0.6 + 0.85 * WIDTH / columns))
    for axis, (condition, rows) in zip(axes.flat, shown, strict=False):
        inputs, course = given[rows].mean(axis=0), next(iter(means.values()))[condition]
        on = _longest(inputs) if len(plane) > 1 else np.ones(len(time), dtype=bool)
        if len(plane) > 1:
            points = np.stack(np.meshgrid(*(np.linspace(*span, _FIELD) for span in spans)), axis=-1).reshape(-1, 2)
            states = np.repeat(course[on].mean(axis=0)[None], len(points), axis=0)
            states[:, plane] = points
            arrows = _drift(rate, states, inputs[on].mean(axis=0))[:, plane]
            horizontal = [mean[condition][:, plane[0]] for mean in means.values()]
            axis.set_title(f"{condition}\ninput {', '.join(f'{u:.3g}' for u in inputs[on].mean(axis=0))}")
        else:
            moments = np.linspace(0, len(time) - 1, _FIELD).astype(np.int64)
            rows_of = np.repeat(moments, _FIELD)
            states = course[rows_of].copy()
            states[:, plane[0]] = np.tile(np.linspace(*spans[0], _FIELD), _FIELD)
            points = np.column_stack([time[rows_of], states[:, plane[0]]])
            arrows = np.column_stack([np.ones(len(states)), _drift(rate, states, inputs[rows_of])[:, plane[0]]])
            horizontal = [time] * len(means)
            axis.set_title(condition)
        extent = np.ptp(points, axis=0)
        lengths = np.linalg.norm(arrows / extent, axis=1, keepdims=True)
        arrows = arrows / np.maximum(lengths, np.finfo(np.float64).tiny) / _FIELD * np.sqrt(lengths / lengths.max())
        axis.quiver(
            *points.T, *arrows.T, color=PALE, angles="xy", scale_units="xy", scale=1.0, width=0.004, pivot="mid"
        )
        for index, ((name, mean), x) in enumerate(zip(means.items(), horizontal, strict=True)):
            y, style = mean[condition][:, plane[-1]], line_style(index)
            axis.plot(x, y, lw=0.7, **style)
            axis.plot(np.where(on, x, np.nan), np.where(on, y, np.nan), lw=1.7, label=name, **style)
            axis.plot(x[-1], y[-1], "o", color=style["color"], ms=4)
        plain(axis)
    below = latent_name(int(plane[0]), names) if len(plane) > 1 else "time (rate time units)"
    for axis in axes.flat:
        axis.set_xlabel(below)
    for axis in axes[:, 0]:
        axis.set_ylabel(latent_name(int(plane[-1]), names))
    common_legend(axes[0, 0], 4)
    return figure


def _longest(inputs: Float[np.ndarray, "time input"]) -> Bool[np.ndarray, " time"]:
    """When the input is on that lasts longest among those of half the largest size or more."""
    size = np.linalg.norm(inputs, axis=1)
    _, which, lasts = np.unique(inputs.round(9), axis=0, return_inverse=True, return_counts=True)
    which = which.reshape(-1)
    strong = size >= 0.5 * size.max()
    return which == which[strong][np.argmax(lasts[which[strong]])]


def _drift(
    rate: RateNetwork, states: Float[np.ndarray, "point rank"], inputs: Float[np.ndarray, "... input"]
) -> Float[np.ndarray, "point rank"]:
    """Drift with an input, system units per rate time unit."""
    z = to_internal(rate, states)
    return (rate.internal_readout(z) - z + inputs @ rate.input_map.T) * rate.latent_scale
