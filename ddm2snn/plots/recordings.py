"""Figures of recordings in the latent space."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.measures.power_spectrum import power_spectra
from ddm2snn.plots.style import COLOURS, WIDTH, latent_name, legend, limits, line_style, new_figure, plain, wrapped
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRACE_SPAN = 30.0  # rate time units
_COLUMNS = 4  # panels beside each other
_POINTS = 120  # of a spectrum, evenly spaced on the logarithmic axis
Recordings = Mapping[str, Recording]


def phase_portraits(recordings: Recordings, *, burn_in: float = 0.0, trajectories: int = 6) -> Figure:
    """Density of the latent states with some trajectories on top, one panel per recording."""
    clouds = {name: _planar(_after(recording, burn_in), recording.every) for name, recording in recordings.items()}
    rank = next(iter(recordings.values())).rank
    first, second = 0, max(rank, 2) - 1
    columns = min(_COLUMNS, len(clouds))
    rows = -(-len(clouds) // columns)
    figure = new_figure(WIDTH, 0.4 + rows * min(3.3, 0.35 + 0.92 * WIDTH / columns))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    everything = np.concatenate([cloud.reshape(-1, cloud.shape[-1]) for cloud in clouds.values()])
    extent = [limits(everything[:, d]) for d in (first, second)]
    for axis, (name, cloud) in zip(axes.flat, clouds.items(), strict=False):
        flat = cloud.reshape(-1, cloud.shape[-1])
        density, x, y = np.histogram2d(flat[:, first], flat[:, second], bins=120, range=extent)
        axis.pcolormesh(x, y, np.sqrt(density.T), cmap="Blues", rasterized=True)
        for trial in cloud[:trajectories]:
            steps = min(len(trial), 500)
            axis.plot(trial[:steps, first], trial[:steps, second], color=COLOURS[2], lw=0.35, alpha=0.55)
        axis.set(title=wrapped(name), xlabel=latent_name(first))
        plain(axis)
    for axis in axes.flat[len(clouds) :]:
        axis.set_visible(False)
    for axis in axes[:, 0]:
        axis.set_ylabel(latent_name(second) if rank > 1 else "$z_0$ one time unit later")
    return figure


def latent_traces(recordings: Recordings, *, burn_in: float = 0.0) -> Figure:
    """One trial of each recording over time, a panel per latent dimension."""
    rank = next(iter(recordings.values())).rank
    figure = new_figure(WIDTH, 1.5 * rank + 0.8)
    axes = figure.subplots(rank, 1, sharex=True, squeeze=False)[:, 0]
    for index, (name, recording) in enumerate(recordings.items()):
        trace = _after(recording, burn_in)[0]
        steps = min(len(trace), round(_TRACE_SPAN / recording.every))
        time = np.arange(steps) * recording.every
        for dimension, axis in enumerate(axes):
            axis.plot(time, trace[:steps, dimension], label=name, lw=1.1, **line_style(index))
            axis.set(ylabel=latent_name(dimension), xlim=(0, time[-1] if steps > 1 else 1))
    axes[-1].set_xlabel("time (rate time units)")
    for axis in axes:
        plain(axis)
    legend(axes[0])
    return figure


def marginal_densities(recordings: Recordings, *, burn_in: float = 0.0) -> Figure:
    """Stationary density of each latent dimension."""
    rank = next(iter(recordings.values())).rank
    figure, axes = _panels(rank)
    for dimension, axis in enumerate(axes):
        values = {name: _after(r, burn_in)[..., dimension].ravel() for name, r in recordings.items()}
        edges = np.linspace(*limits(np.concatenate(list(values.values()))), 101)
        for index, (_, value) in enumerate(values.items()):
            density, _ = np.histogram(value, bins=edges, density=True)
            axis.plot((edges[1:] + edges[:-1]) / 2, density, lw=1.3, **line_style(index))
        axis.set(xlabel=latent_name(dimension), ylim=(0, None))
        plain(axis)
    axes[0].set_ylabel("density")
    for index, name in enumerate(recordings):
        axes[0].plot([], [], label=name, **line_style(index))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=6, frameon=False, fontsize=9)
    return figure


def spectra(recordings: Recordings, *, burn_in: float = 0.0) -> Figure:
    """Power spectrum of each latent, normalised to unit sum, and the band of a second run of the first recording.

    The band is two standard deviations of the difference between two runs wide, by the scatter of the trials.
    """
    rank = next(iter(recordings.values())).rank
    figure, axes = _panels(rank)
    for index, (name, recording) in enumerate(recordings.items()):
        frequency, power = power_spectra(_after(recording, burn_in), recording.every)
        groups = _log_groups(len(frequency))
        centre = np.array([np.exp(np.log(frequency[g]).mean()) for g in groups])
        for dimension, axis in enumerate(axes):
            share = power[..., dimension] / power[..., dimension].mean(axis=0).sum()
            binned = np.stack([share[:, g].mean(axis=1) for g in groups], axis=1)
            mean = binned.mean(axis=0)
            if index == 0 and len(binned) > 1:
                margin = 2 * np.sqrt(2 / len(binned)) * binned.std(axis=0, ddof=1)
                low = np.maximum(mean - margin, 0.02 * mean)
                axis.fill_between(centre, low, mean + margin, color="#c9ced6", lw=0, label="second run (95 %)")
            axis.loglog(centre, mean, label=name, lw=1.2, **line_style(index))
            axis.set(xlabel="frequency (cycles per rate time unit)", title=latent_name(dimension))
            plain(axis)
    axes[0].set_ylabel("share of power")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=6, frameon=False, fontsize=9)
    return figure


def _log_groups(count: int) -> list[np.ndarray]:
    """Neighbouring frequencies, from the second on, that share a point on a logarithmic axis."""
    edges = np.unique(np.geomspace(1, count, _POINTS + 1).astype(np.int64))
    return [np.arange(low, high) for low, high in pairwise(edges)]


def _panels(rank: int) -> tuple[Figure, list[Axes]]:
    """Axes for each latent, at most four beside each other."""
    columns = min(rank, _COLUMNS)
    rows = -(-rank // columns)
    figure = new_figure(WIDTH, 0.4 + 2.6 * rows)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[rank:]:
        axis.set_visible(False)
    return figure, axes[:rank]


def _after(recording: Recording, burn_in: float) -> Float[np.ndarray, "trial time rank"]:
    return recording.samples[:, round(burn_in / recording.every) if burn_in else 0 :]


def _planar(samples: Float[np.ndarray, "trial time rank"], every: float) -> Float[np.ndarray, "trial time plane"]:
    """Samples in two dimensions or more: a single latent gets itself one time unit later as the second."""
    if samples.shape[-1] > 1:
        return samples
    lag = min(round(1.0 / every), samples.shape[1] - 1)
    return np.concatenate([samples[:, : samples.shape[1] - lag], samples[:, lag:]], axis=-1)
