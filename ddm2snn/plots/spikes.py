"""Figures of spikes: raster, rates with regularity, and what they add to the noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.spikes import NoiseShare, SpikeStatistics
from ddm2snn.plots.style import (
    COLOURS,
    HATCH,
    PALE,
    WIDTH,
    latent_name,
    legend,
    line_style,
    new_figure,
    plain,
    wrapped,
)
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RASTER_NEURONS = 200
_RASTER_SPAN = 10.0
_BINS = 30
_BAR = 0.36


def spike_raster(recording: Recording, *, name: str = "") -> Figure:
    """Spikes of the first trial, neuron by neuron, above the latents that they carry.

    Raises
    ------
    InputError
        Where the recording holds no spikes.
    """
    if recording.spikes is None:
        raise InputError("This recording holds no spikes. Simulate with spikes recorded.")
    unit = float(recording.latent["time_s"].values[-1] / recording.latent["time"].values[-1])
    spikes = recording.spikes
    time = spikes.time_s / unit
    total = recording.latent["time"].values[-1]
    start = max(0.0, total - _RASTER_SPAN)
    neurons = int(spikes.neuron.max(initial=0)) + 1
    every = max(1, -(-neurons // _RASTER_NEURONS))
    drawn = (spikes.trial == spikes.trial.min(initial=0)) & (time >= start) & (spikes.neuron % every == 0)
    figure = new_figure(WIDTH, 4.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    above.plot(time[drawn] - start, spikes.neuron[drawn], "|", color=COLOURS[0], ms=1.8, mew=0.5, rasterized=True)
    shown = f"one in {every} of {neurons} neurons" if every > 1 else f"{neurons} neurons"
    above.set(ylabel=shown, title=name, ylim=(-1, neurons))
    first = int(np.searchsorted(recording.latent["time"].values, start))
    for dimension in range(recording.rank):
        x, z = recording.latent["time"].values[first:] - start, recording.samples[0, first:, dimension]
        below.plot(x, z, lw=1.2, label=latent_name(dimension), **line_style(dimension))
    below.set(xlabel="time (rate time units)", xlim=(0, total - start))
    for axis in (above, below):
        plain(axis)
    below.legend(loc="upper right", ncols=4, frameon=False, fontsize=8.5)
    return figure


def spike_histograms(statistics: Mapping[str, SpikeStatistics]) -> Figure:
    """Mean rates of the neurons, and how regularly each fires."""
    figure = new_figure(WIDTH, 2.9)
    left, right = figure.subplots(1, 2)
    highest = max(max(float(s.rates_hz.max(initial=0.0)) for s in statistics.values()), 1.0)
    for index, (name, of_network) in enumerate(statistics.items()):
        style = line_style(index)
        for axis, values, top in ((left, of_network.rates_hz, highest), (right, of_network.local_variations, 2.0)):
            finite = np.minimum(values[np.isfinite(values)], top)
            count, edges = np.histogram(finite, bins=np.linspace(0, top, _BINS + 1))
            axis.stairs(100 * count / max(len(values), 1), edges, label=name, lw=1.4, **style)
    left.set(xlabel="mean rate (Hz)", ylabel="neurons (%)", xlim=(0, highest), ylim=(0, None))
    right.set(xlabel="CV2 of successive intervals (0: clock, 1: Poisson)", xlim=(0, 2), ylim=(0, None))
    for axis in (left, right):
        plain(axis)
    legend(left)
    return figure


def noise_shares(shares: Mapping[str, NoiseShare]) -> Figure:
    """Variance of the noise of each latent: injected, on top what spikes bring along, beside the rate network's."""
    figure = new_figure(WIDTH, 2.9)
    axes = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
    for axis, (name, share) in zip(axes, shares.items(), strict=True):
        place = np.arange(len(share.target))
        whole = np.where(share.target > 0, share.target, 1.0)
        axis.bar(place, share.injected / whole, _BAR, color=COLOURS[5], edgecolor=COLOURS[1], label="injected")
        if share.spikes is not None:
            axis.bar(place, share.spikes / whole, _BAR, bottom=share.injected / whole, color="white", hatch=HATCH,
                     edgecolor=COLOURS[2], label="of spikes, open loop")  # fmt: skip
        axis.axhline(1.0, color=COLOURS[0], lw=1.2, ls="--", label="rate network")
        axis.set(title=wrapped(name), xlim=(-0.7, len(place) - 0.3))
        axis.set_xticks(place, [latent_name(dimension) for dimension in range(len(place))])
        axis.grid(axis="y", color=PALE, lw=0.6)
        axis.set_axisbelow(True)
        plain(axis)
    axes[0].set_ylabel("diffusion / rate network's")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return figure
