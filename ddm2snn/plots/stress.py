"""Figure of a stress test: fidelity and failures against the level of each damage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.plots.style import COLOURS, MARKERS, WIDTH, common_legend, plain, subplots, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ddm2snn.fidelity.stress import Stress, StressPoint

_ROW, _LOWEST = 1.5, 0.3
_AXES = {
    "neurons": "neurons lost", "spikes": "spikes lost", "decoders": "spread of decoders",
    "encoders": "spread of encoders", "thresholds": "spread of thresholds",
}  # fmt: skip


def draw_stress(stress: Stress) -> Figure:
    """Draw a column for each damage, a row for each prominent measure, and one for the trials that died or escaped.

    Curves are the decoders as they were, and decoders solved again; bands are 95 % intervals. Open symbols are within
    chance. An excess of one is as close as a second run of the rate network.
    """
    entries = {m.name: m.entry for p in stress.points for m in p.report.measures if m.entry.prominence > 0}
    names = sorted(entries, key=lambda name: -entries[name].prominence)
    columns = stress.damages
    height, rows = 0.6 + _ROW * (len(names) + 1), len(names) + 1
    figure, axes = subplots(WIDTH, height, rows, len(columns), sharex="col", sharey="row", squeeze=False)
    for column, damage in enumerate(columns):
        for again, colour, marker, style in (
            (False, COLOURS[2], MARKERS[1], "--"),
            (True, COLOURS[1], MARKERS[0], "-"),
        ):
            label = "decoders solved again" if again else "decoders as they were"
            points = stress.curve(damage, solved_again=again)
            for row, name in enumerate(names):
                _excess(axes[row, column], points, name, {"color": colour, "marker": marker, "ls": style})
            axis, levels = axes[-1, column], [p.level for p in points]
            low, high = np.array([p.failed_interval for p in points]).T
            axis.fill_between(levels, low, high, color=colour, alpha=0.18, lw=0)
            axis.plot(levels, [p.failed for p in points], color=colour, marker=marker, ls=style, ms=4, label=label)
        axes[-1, column].set_xlabel(_AXES[damage])
    for row, name in enumerate(names):
        short = entries[name].short or entries[name].label
        axes[row, 0].set(ylabel=wrapped(short), yscale="log")
        axes[row, 0].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes[-1, 0].set(ylabel="share of\ntrials dead\nor astray", ylim=(-0.03, 1.03))
    plain(*axes.flat)
    common_legend(axes[-1, 0], 2)
    figure.supylabel("excess: distance / floor", size=9.5)
    return figure


def _excess(axis: Axes, points: list[StressPoint], name: str, style: dict[str, str]) -> None:
    """Excess of one measure over the levels, where it could be measured."""
    measured = [(p.level, m) for p in points for m in p.report.measures if m.name == name]
    levels, excess = [level for level, _ in measured], [max(m.excess, _LOWEST) for _, m in measured]
    bands = np.array([m.excess_interval or (m.excess, m.excess) for _, m in measured]).reshape(-1, 2)
    axis.axhline(1.0, color=COLOURS[0], lw=0.8)
    axis.fill_between(levels, *np.maximum(bands, _LOWEST).T, color=style["color"], alpha=0.18, lw=0)
    axis.plot(levels, excess, color=style["color"], ls=style["ls"], lw=1.3)
    for (level, measure), value in zip(measured, excess, strict=True):
        face = style["color"] if measure.differs else "white"
        axis.plot(level, value, marker=style["marker"], color=style["color"], mfc=face, ms=4, ls="")
