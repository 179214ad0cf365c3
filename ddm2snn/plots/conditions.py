"""Figures of a task's trials by condition: choices, outputs over time, and trajectories in the latent plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.conditions import outputs_of
from ddm2snn.plots.style import (
    COLOURS,
    STYLES,
    WIDTH,
    common_legend,
    latent_name,
    legend,
    line_style,
    panels,
    plain,
    subplots,
    symbol,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ddm2snn.fidelity.report import FidelityReport
    from ddm2snn.recording import Recording

_MOST_CONDITIONS = 8  # with a panel or a colour of their own
_COLUMNS = 4


def choices_plot(report: FidelityReport) -> Figure:
    """Share of trials that end above the boundary, by condition, for each output; with Wilson's 95 % intervals."""
    from scipy.stats import binomtest

    entries: dict[str, list[tuple[str, float, float, int]]] = {}
    for measure in report.measures:
        name, _, condition = measure.name.partition(" in ")
        if name.startswith("choice_") and measure.test is not None and measure.reference is not None:
            entries.setdefault(name, []).append((condition, measure.reference, measure.test, measure.trials))
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
        axis.set(ylabel=f"share above, output {name.rpartition('_')[2]}", ylim=(-0.05, 1.05))
        plain(axis)
    legend(axes.flat[0])
    return figure


def output_traces(recordings: Mapping[str, Recording]) -> Figure:
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
                axis.set_xlabel("time units")
        axes[row, 0].set_ylabel(f"output {row}")
    common_legend(axes[0, 0], 4)
    return figure


def condition_trajectories(recordings: Mapping[str, Recording]) -> Figure:
    """Mean trajectory of each condition, over time at rank 1, else in the plane of the first and last latent."""
    first = next(iter(recordings.values()))
    figure, axes = panels(len(recordings), _COLUMNS, top=0.5, row=lambda _: 3.0)
    for axis, (label, recording) in zip(axes.flat, recordings.items(), strict=False):
        for index, (condition, rows) in enumerate(list(recording.conditions.items())[:_MOST_CONDITIONS]):
            mean = recording.samples[rows].mean(axis=0)
            colour, dashes = COLOURS[1 + index % (len(COLOURS) - 1)], STYLES[index // (len(COLOURS) - 1)]
            x = recording.latent["time"].values if first.rank == 1 else mean[:, 0]
            axis.plot(x, mean[:, -1], color=colour, linestyle=dashes, lw=1.4, label=condition)
            axis.plot(x[-1], mean[-1, -1], "o", color=colour, ms=4)
        time = first.rank == 1
        axis.set(title=label, xlabel="time units" if time else latent_name(0), ylabel=latent_name(first.rank - 1))
        plain(axis)
    figure.legend(
        *axes.flat[0].get_legend_handles_labels(), loc="outside upper left", ncols=4, frameon=False, fontsize=9
    )
    return figure
