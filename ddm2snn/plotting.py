"""Figures of recordings in the latent space; every function returns a Figure and touches no global state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.spectrum import power_spectra
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe, Ito: colours that survive colour blindness; line styles carry the difference in print
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_STYLES = ("-", "--", "-.", ":")
_TRACE_SPAN = 30.0
_WIDTH = 9.0
Recordings = Mapping[str, Recording]


def phase_portraits(recordings: Recordings, *, burn_in: float = 0.0, trajectories: int = 8) -> Figure:
    """Density of the latent states with some trajectories on top, one panel per recording."""
    clouds = {name: _planar(_after(recording, burn_in), recording.every) for name, recording in recordings.items()}
    rank = next(iter(recordings.values())).rank
    first, second = 0, max(rank, 2) - 1
    figure = _figure(_WIDTH, 3.3)
    axes = figure.subplots(1, len(clouds), sharex=True, sharey=True, squeeze=False)[0]
    everything = np.concatenate([cloud.reshape(-1, cloud.shape[-1]) for cloud in clouds.values()])
    limits = [_limits(everything[:, d]) for d in (first, second)]
    for axis, (name, cloud) in zip(axes, clouds.items(), strict=True):
        flat = cloud.reshape(-1, cloud.shape[-1])
        density, x, y = np.histogram2d(flat[:, first], flat[:, second], bins=120, range=limits)
        axis.pcolormesh(x, y, np.sqrt(density.T), cmap="Blues", rasterized=True)
        for trial in cloud[:trajectories]:
            steps = min(len(trial), 500)
            axis.plot(trial[:steps, first], trial[:steps, second], color=_COLOURS[2], lw=0.35, alpha=0.55)
        axis.set(title=name, xlabel=_latent(first))
    axes[0].set_ylabel(_latent(second) if rank > 1 else "$z_0$ one time unit later")
    return figure


def latent_traces(recordings: Recordings, *, burn_in: float = 0.0) -> Figure:
    """One trial of each recording over time, a panel per latent dimension."""
    rank = next(iter(recordings.values())).rank
    figure = _figure(_WIDTH, 1.6 * rank + 0.8)
    axes = figure.subplots(rank, 1, sharex=True, squeeze=False)[:, 0]
    for index, (name, recording) in enumerate(recordings.items()):
        trace = _after(recording, burn_in)[0]
        steps = min(len(trace), round(_TRACE_SPAN / recording.every))
        time = np.arange(steps) * recording.every
        for dimension, axis in enumerate(axes):
            axis.plot(time, trace[:steps, dimension], label=name, lw=1.1, **_style(index))
            axis.set_ylabel(_latent(dimension))
    axes[-1].set_xlabel("time (rate time units)")
    _legend(axes[0])
    return figure


def marginal_densities(recordings: Recordings, *, burn_in: float = 0.0) -> Figure:
    """Stationary density of each latent dimension."""
    rank = next(iter(recordings.values())).rank
    figure = _figure(_WIDTH, 3.0)
    axes = figure.subplots(1, rank, squeeze=False)[0]
    for dimension, axis in enumerate(axes):
        values = {name: _after(r, burn_in)[..., dimension].ravel() for name, r in recordings.items()}
        edges = np.linspace(*_limits(np.concatenate(list(values.values()))), 121)
        for index, (_, value) in enumerate(values.items()):
            density, _ = np.histogram(value, bins=edges, density=True)
            axis.plot((edges[1:] + edges[:-1]) / 2, density, lw=1.3, **_style(index))
        axis.set(xlabel=_latent(dimension), ylim=(0, None))
    axes[0].set_ylabel("density")
    for index, name in enumerate(recordings):
        axes[0].plot([], [], label=name, **_style(index))
    _legend(axes[0])
    return figure


def spectra(recordings: Recordings, *, burn_in: float = 0.0) -> Figure:
    """Power spectrum of each latent dimension, normalised to unit sum."""
    rank = next(iter(recordings.values())).rank
    figure = _figure(_WIDTH, 3.0)
    axes = figure.subplots(1, rank, squeeze=False)[0]
    for index, (name, recording) in enumerate(recordings.items()):
        frequency, power = power_spectra(_after(recording, burn_in), recording.every)
        mean = power.mean(axis=0)
        for dimension, axis in enumerate(axes):
            share = mean[:, dimension] / mean[:, dimension].sum()
            axis.loglog(frequency[1:], share[1:], label=name, lw=1.2, **_style(index))
            axis.set(xlabel="frequency (cycles per rate time unit)", ylabel=f"share of power, {_latent(dimension)}")
    _legend(axes[0])
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=130)


def _legend(axis: Axes) -> None:
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, frameon=False, fontsize=9)


def _style(index: int) -> dict[str, str]:
    return {"color": _COLOURS[index % len(_COLOURS)], "linestyle": _STYLES[index % len(_STYLES)]}


def _latent(dimension: int) -> str:
    return f"$z_{{{dimension}}}$"


def _after(recording: Recording, burn_in: float) -> Float[np.ndarray, "trial time rank"]:
    return recording.samples[:, round(burn_in / recording.every) if burn_in else 0 :]


def _planar(samples: Float[np.ndarray, "trial time rank"], every: float) -> Float[np.ndarray, "trial time plane"]:
    """Samples with two dimensions or more: a single latent is shown against itself one time unit later."""
    if samples.shape[-1] > 1:
        return samples
    lag = min(round(1.0 / every), samples.shape[1] - 1)
    return np.concatenate([samples[:, : samples.shape[1] - lag], samples[:, lag:]], axis=-1)


def _limits(values: Float[np.ndarray, " sample"]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.0005, 0.9995])
    margin = 0.06 * max(high - low, 1e-9)
    return float(low - margin), float(high + margin)
