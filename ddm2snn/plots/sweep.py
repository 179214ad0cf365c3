"""Figures of a sweep: excess against each swept setting, with intervals over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.plots.style import COLOURS, WIDTH, common_legend, plain, plain_decades, subplots, symbol, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Rows = Sequence[Mapping[str, Any]]
    Series = dict[tuple[Any, ...], list[float]]

MEASURE = ""
"""Stands for the largest excess of all measures that can tell, in the place of a measure's name."""
_LARGEST = "largest of all\nthat can tell"
_LOWEST = 0.1  # excess that is drawn
_AROUND = 0.5, 2.0  # excess that an axis shows at the least, so that chance about 1 looks small
_ROW, _TOP, _PANELS = 1.9, 0.9, 4  # inches of a row and above all, and the most rows
_DECADE = 4.0  # ratio of the largest to the smallest value from which an axis is logarithmic
_LEGEND = 3  # columns
_ASIDE = 0.06  # of the width over which lines lie beside each other


def series_of(rows: Rows, names: Sequence[str], measure: str) -> Series:
    """Excess of a measure, one number for each seed, by the values of the named columns, in the order of the rows.

    `MEASURE` stands for the largest excess among the measures of a run that can tell.

    >>> row = {"seed": 0, "size": 4, "folder": "a", "measure": "d_h", "excess": 2.0, "informative": True}
    >>> series_of([row, {**row, "measure": "mmd", "excess": 3.0}], ["size"], MEASURE)
    {(4,): [3.0]}
    """
    runs: dict[Any, tuple[tuple[Any, ...], float]] = {}
    for row in rows:
        wanted = row["informative"] if measure == MEASURE else row["measure"] == measure
        if wanted and row["excess"] is not None:
            before = runs.get(row["folder"], ((), 0.0))[1]
            runs[row["folder"]] = (tuple(row[name] for name in names), max(before, row["excess"]))
    series: Series = {}
    for values, excess in runs.values():
        series.setdefault(values, []).append(excess)
    return series


def over_seeds(excess: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean over seeds, with its 95 % interval by Student's t of the logarithms; NaN for a single seed.

    >>> [round(value, 2) for value in over_seeds([1.0, 1.2, 1.1])]
    [1.1, 0.87, 1.38]
    """
    from scipy.special import stdtrit

    logs = np.log(np.maximum(excess, 1e-12))
    middle = float(logs.mean())
    if len(logs) < 2:
        return float(np.exp(middle)), np.nan, np.nan
    half = float(stdtrit(len(logs) - 1, 0.975)) * float(logs.std(ddof=1)) / np.sqrt(len(logs))
    return float(np.exp(middle)), float(np.exp(middle - half)), float(np.exp(middle + half))


def draw_sweep(rows: Rows, axis: str, others: Sequence[str]) -> Figure:
    """Draw excess against the values of one column: a row for each leading measure, a column for each system.

    A line is one combination of the `others`, the mean over seeds with its 95 % interval; dots are the seeds. An excess
    of one is as close as a second run of the rate network.
    """
    rows = [row for row in rows if row[axis] is not None and row["measure"]]
    systems = list(dict.fromkeys(row["system"] for row in rows))
    labels = {row["measure"]: row["label"] for row in sorted(rows, key=lambda r: -r["prominence"]) if row["prominence"]}
    measures = [MEASURE, *labels][:_PANELS]
    figure, axes = subplots(
        WIDTH, _TOP + _ROW * len(measures), len(measures), len(systems), sharex=True, sharey="row", squeeze=False
    )
    values = list(dict.fromkeys(row[axis] for row in rows))
    lines = {tuple(row[name] for name in others): None for row in rows}
    for column, system in enumerate(systems):
        mine = [row for row in rows if row["system"] == system]
        for row, measure in enumerate(measures):
            series = series_of(mine, [axis, *others], measure)
            for index, line in enumerate(lines):
                points = {value: series[(value, *line)] for value in values if (value, *line) in series}
                aside = _ASIDE * (index - (len(lines) - 1) / 2) / len(lines)
                _draw_line(axes[row, column], points, values, aside, label=_name(others, line), style=symbol(index))
        axes[0, column].set_title(system if len(systems) > 1 else "")
        axes[-1, column].set_xlabel(axis.replace("_", " "))
        _scale(axes[-1, column], values)
    for row, measure in enumerate(measures):
        axes[row, 0].set_ylabel(wrapped(labels[measure].split(" (")[0]) if measure else _LARGEST)
        for each in axes[row]:
            each.set_yscale("log")
            plain_decades(each)
            low, high = each.get_ylim()
            each.set_ylim(min(low, _AROUND[0]), max(high, _AROUND[1]))
            each.axhline(1.0, color=COLOURS[0], lw=0.8)
            plain(each)
    common_legend(axes[0, 0], _LEGEND, size=8.5)
    figure.supylabel("excess: distance / floor", size=9.5)
    return figure


def _name(names: Sequence[str], values: Sequence[Any]) -> str:
    """What a line is called: settings with their names, networks without."""
    words = (
        _text(v) if n == "network" else f"{n.replace('_', ' ')} {_text(v)}"
        for n, v in zip(names, values, strict=True)
        if v is not None
    )
    return ", ".join(words)


def _draw_line(
    axis: Axes,
    points: Mapping[Any, Sequence[float]],
    values: Sequence[Any],
    aside: float,
    *,
    label: str,
    style: Mapping[str, Any],
) -> None:
    """Means over seeds with their interval, and the seeds as dots, a little aside from their value."""
    if not points:
        return
    x = np.array([_position(value, values) for value in points])
    positions = [_position(value, values) for value in values]
    x = x * (max(positions) / min(positions)) ** aside if _is_log(values) else x + aside * np.ptp(positions)
    middle, low, high = np.maximum(np.array([over_seeds(excess) for excess in points.values()]), _LOWEST).T
    order = np.argsort(x)
    axis.plot(x[order], middle[order], label=label, lw=1.3, ms=4, **style)
    axis.vlines(x, low, high, color=style["color"], lw=1.3)
    for place, excess in zip(x, points.values(), strict=True):
        if len(excess) > 1:
            axis.plot([place] * len(excess), np.maximum(excess, _LOWEST), ls="", marker=".", ms=3, alpha=0.5,
                      color=style["color"])  # fmt: skip


def _position(value: Any, values: Sequence[Any]) -> float:  # noqa: ANN401 - a number or words
    """Where a value lies: as a number, or by its place where not all are numbers."""
    return float(value) if _numbers(values) else float(values.index(value))


def _scale(axis: Axes, values: Sequence[Any]) -> None:
    """Ticks at the values, on a logarithmic axis where they span much."""
    positions = [_position(value, values) for value in values]
    if _is_log(values):
        axis.set_xscale("log")
    axis.set_xticks(positions, [wrapped(_text(value)) for value in values])
    axis.minorticks_off()


def _is_log(values: Sequence[Any]) -> bool:
    """Whether values are numbers that span much."""
    return _numbers(values) and min(values) > 0 and max(values) >= _DECADE * min(values)


def _numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _text(value: Any) -> str:  # noqa: ANN401 - a number or words
    return f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)
