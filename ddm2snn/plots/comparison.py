"""Figures of a comparison: excess of all measures, fields of drift, current and diffusion, the ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.drift_field import Field, estimate_field, field_sums
from ddm2snn.fidelity.measures.probability_current import cell_currents
from ddm2snn.fidelity.report import FidelityReport, JudgedDistance
from ddm2snn.fidelity.samples import Grid
from ddm2snn.plots.recordings import after
from ddm2snn.plots.style import (
    COLOURS,
    MARKERS,
    NARROW,
    PALE,
    WIDTH,
    common_legend,
    latent_name,
    legend,
    line_style,
    panels,
    plain,
    plain_decades,
    subplots,
    symbol,
    wrapped,
)
from ddm2snn.recording import Recording

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ddm2snn.fidelity.ladder import Stage
    from ddm2snn.fidelity.stress import Stress, StressPoint

_ARROWS = 15  # cells per dimension of drift fields
_ELLIPSES = 7
_FEWEST = 40
_COLUMNS = 3
_STRESS_ROW, _LOWEST_EXCESS = 1.5, 0.3  # of a stress test: height of a row, and the lowest excess that is drawn
_DAMAGES = {
    "neurons": "neurons lost", "spikes": "spikes lost", "decoders": "spread of decoders",
    "encoders": "spread of encoders", "thresholds": "spread of thresholds",
}  # fmt: skip


def excess_plot(reports: Sequence[FidelityReport], *, narrow: bool = False) -> Figure:
    """Excess of every measure with its 95 % interval, beside the floor at one; open symbols are within chance.

    The narrow one, with short names, is legible on a phone.
    """
    labels = {m.name: (narrow and m.entry.short) or m.label for report in reports for m in report.measures}
    names = list(labels)
    height = 0.5 + 0.25 * len(reports) + (0.2 + 0.1 * len(reports)) * len(names)
    figure, axis = subplots(NARROW if narrow else WIDTH, height)
    axis.axvline(1.0, color=COLOURS[0], lw=1)
    offsets = np.linspace(-0.24, 0.24, len(reports)) if len(reports) > 1 else [0.0]
    for index, (report, offset) in enumerate(zip(reports, offsets, strict=True)):
        style = symbol(index)
        axis.plot([], [], ls="", label=report.label, **style)
        for measure in report.measures:
            y, x = names.index(measure.name) + offset, max(measure.excess, 0.05)
            low, high = measure.excess_interval or (x, x)
            axis.plot([max(low, 0.05), max(high, 0.05)], [y, y], color=style["color"], lw=1.4)
            face = style["color"] if measure.differs else "white"
            axis.plot(x, y, mfc=face, ms=5, alpha=1.0 if measure.informative else 0.35, **style)
    axis.set(xscale="log", ylim=(len(names) - 0.4, -0.6), xlabel="excess: distance / floor")
    axis.set_yticks(range(len(names)), list(labels.values()))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.grid(axis="x", color="#e3e6ea", lw=0.7)
    axis.set_axisbelow(True)
    plain(axis)
    legend(axis)
    return figure


def drift_fields(
    reference: Recording, tests: Mapping[str, Recording], *, burn_in: float = 0.0, label: str = "reference"
) -> Figure:
    """Drift estimated from the reference and from each test, and the difference; in rank 1 as curves.

    Differences within two standard errors in both latents are pale.
    """
    samples, grid = _planes({label: reference, **tests}, burn_in, 30 if reference.rank == 1 else _ARROWS)
    fields = _fields(samples, reference.every, grid)
    if reference.rank == 1:
        return _drift_curves(grid, fields, latent_name(0, reference.origin.latent_names))
    rows = len(tests)
    figure, axes = subplots(WIDTH, 0.2 + 2.9 * rows, rows, 3, sharex=True, sharey=True, squeeze=False)
    of_reference = fields[label]
    settled = of_reference.settled(_FEWEST)
    size = float(np.sqrt(np.nanmean((of_reference.drift[settled] ** 2).sum(axis=1)))) if settled.any() else 1.0
    for row, name in zip(axes, tests, strict=True):
        field = fields[name]
        both = settled & field.settled(_FEWEST)
        change = field.drift - of_reference.drift
        error = np.hypot(field.drift_error, of_reference.drift_error)
        beyond = np.any(np.abs(change[both]) > 2 * error[both], axis=1)
        off = float(np.sqrt(np.mean((change[both] ** 2).sum(axis=1)))) if both.any() else 0.0
        _arrows(row[0], grid, of_reference.drift, settled, size, COLOURS[0])
        _arrows(row[1], grid, field.drift, field.settled(_FEWEST), size, COLOURS[1])
        _arrows(row[2], grid, change, both, max(off, 1e-12), np.where(beyond, COLOURS[2], PALE))
        row[0].set(title=label, ylabel=latent_name(reference.rank - 1, reference.origin.latent_names))
        row[1].set(title=name)
        row[2].set(title=f"difference, arrows × {size / max(off, 1e-12):.2g}")
    for axis in axes[-1]:
        axis.set_xlabel(latent_name(0, reference.origin.latent_names))
    return figure


def probability_currents(
    reference: Recording, tests: Mapping[str, Recording], *, burn_in: float = 0.0, label: str = "reference"
) -> Figure:
    """Stationary probability current of the reference and of each test, arrows of one scale; for rank 2 or more."""
    if reference.rank < 2:
        raise InputError("A stationary process of one latent has no probability current. Leave the figure out.")
    samples, grid = _planes({label: reference, **tests}, burn_in, _ARROWS)
    lag = ReferenceSamples.of([samples[label]], reference.every).lag
    currents = {name: cell_currents(x, reference.every, grid, lag).mean(axis=0) for name, x in samples.items()}
    speeds = np.linalg.norm(currents[label], axis=1)
    size = max(float(np.sqrt(np.mean(speeds[speeds > 0] ** 2))) if speeds.any() else 1.0, 1e-300)
    figure, axes = panels(len(samples), _COLUMNS, top=0.3, row=lambda columns: 0.35 + 0.9 * WIDTH / columns)
    for index, (axis, name) in enumerate(zip(axes.flat, samples, strict=False)):
        strong = np.linalg.norm(currents[name], axis=1) > 0.02 * speeds.max()
        _arrows(axis, grid, currents[name], strong, size, COLOURS[min(index, 1)])
        axis.set(title=wrapped(name), xlabel=latent_name(0, reference.origin.latent_names))
    axes[0, 0].set_ylabel(latent_name(reference.rank - 1, reference.origin.latent_names))
    return figure


def diffusion_ellipses(
    reference: Recording, tests: Mapping[str, Recording], *, burn_in: float = 0.0, label: str = "reference"
) -> Figure:
    """Diffusion tensors on cells as ellipses of one standard deviation per unit of time; in rank 1 as curves."""
    samples, grid = _planes({label: reference, **tests}, burn_in, 20 if reference.rank == 1 else _ELLIPSES)
    fields = _fields(samples, reference.every, grid)
    if reference.rank == 1:
        return _diffusion_curves(grid, fields, latent_name(0, reference.origin.latent_names))
    figure, axes = panels(len(tests), _COLUMNS, top=0.5, row=lambda columns: 2.9 if len(tests) > 1 else 3.6)
    settled = fields[label].diffusion[fields[label].settled(_FEWEST)]
    largest = np.sqrt(np.abs(settled[:, [0, 1], [0, 1]]).max(axis=0)) if len(settled) else 1.0
    scale = 0.44 * grid.width / np.maximum(largest, 1e-12)
    for index, (axis, name) in enumerate(zip(axes.flat, tests, strict=False)):
        for which, colour, style in ((label, COLOURS[0], "-"), (name, COLOURS[1 + index % 6], "--")):
            for cell in np.flatnonzero(fields[which].settled(_FEWEST)):
                ring = _ellipse(fields[which].diffusion[cell]) * scale + grid.centres[cell]
                axis.plot(ring[:, 0], ring[:, 1], color=colour, lw=1.1, ls=style)
            axis.plot([], [], color=colour, ls=style, label=which)
        axis.set_xlabel(latent_name(0, reference.origin.latent_names))
        _plain_cells(axis, grid)
        legend(axis, columns=5 if len(tests) < _COLUMNS else 1)
    for axis in axes[:, 0]:
        axis.set_ylabel(latent_name(reference.rank - 1, reference.origin.latent_names))
    return figure


def ladder_plot(stages: Sequence[Stage]) -> Figure:
    """Excess of the prominent measures at each stage, against the first stage and against what each was made from."""
    figure, axes = subplots(WIDTH, 3.4, columns=2, sharey=True)
    judged = [stage for stage in stages if stage.against_first is not None]
    measures = [measure for stage in judged for measure in _by_name(stage.against_first).values()]
    labels = {measure.name: measure.label.split(" (")[0] for measure in measures if measure.entry.prominence}
    sides = {"against_first": f"against the {stages[0].name}", "against_previous": "against what it was made from"}
    for axis, (side, title) in zip(axes, sides.items(), strict=True):
        axis.axhline(1.0, color=COLOURS[0], lw=1)
        reports = [_by_name(getattr(stage, side)) for stage in judged]
        for index, (name, label) in enumerate(labels.items()):
            shown = {place: report[name] for place, report in enumerate(reports) if name in report}
            x, style = np.array(list(shown)) + 0.09 * (index - (len(labels) - 1) / 2), symbol(index)
            for place, measure in zip(x, shown.values(), strict=True):
                if measure.excess_interval:
                    axis.plot([place] * 2, np.maximum(measure.excess_interval, 0.1), color=style["color"], lw=1.2)
            axis.plot(x, [max(m.excess, 0.1) for m in shown.values()], ms=5, ls="", label=label, **style)
        axis.set(yscale="log", title=title, xlim=(-0.5, len(judged) - 0.5))
        axis.set_xticks(range(len(judged)), [wrapped(r.name) for r in judged], size=8.5 if len(judged) < 5 else 7)
        plain_decades(axis)
        axis.grid(axis="y", color="#e3e6ea", lw=0.7)
        plain(axis)
    axes[0].set_ylabel("excess: distance / floor")
    common_legend(axes[0], columns=3, size=8.5)
    return figure


def _by_name(report: FidelityReport | None) -> dict[str, JudgedDistance]:
    return {measure.name: measure for measure in report.measures} if report else {}


def _planes(
    runs: Mapping[str, Recording], burn_in: float, bins: int
) -> tuple[dict[str, Float[np.ndarray, "trial time plane"]], Grid]:
    """First and last latent of each recording after the burn-in, the reference's first, and a grid around it."""
    last = next(iter(runs.values())).rank - 1
    samples = {name: after(run, burn_in) for name, run in runs.items()}
    samples = {name: z[..., [0, last]] if last else z for name, z in samples.items()}
    return samples, Grid.around(next(iter(samples.values())), bins)


def _fields(samples: Mapping[str, np.ndarray], every: float, grid: Grid) -> dict[str, Field]:
    """Estimated at the lag of the measures."""
    lag = ReferenceSamples.of([next(iter(samples.values()))], every).lag
    return {name: estimate_field(field_sums(x, every, grid, lag)) for name, x in samples.items()}


def _arrows(
    axis: Axes, grid: Grid, drift: np.ndarray, shown: np.ndarray, size: float, colour: str | np.ndarray
) -> None:
    """Arrows whose mean square is a cell."""
    centres = grid.centres[shown]
    arrow = drift[shown] * grid.width.min() / size
    axis.quiver(*centres.T, *arrow.T, color=colour, angles="xy", scale_units="xy", scale=1.0, width=0.005, pivot="mid")
    _plain_cells(axis, grid)


def _plain_cells(axis: Axes, grid: Grid) -> None:
    axis.set(xlim=(grid.low[0], grid.high[0]), ylim=(grid.low[1], grid.high[1]))
    plain(axis)


def _drift_curves(grid: Grid, fields: Mapping[str, Field], latent: str) -> Figure:
    figure, (left, right) = subplots(WIDTH, 3.2, columns=2, sharex=True)
    label, of_reference = next(iter(fields.items()))
    for index, (name, field) in enumerate(fields.items()):
        shown = field.settled(_FEWEST)
        left.plot(grid.centres[shown, 0], field.drift[shown, 0], label=name, **line_style(index))
        change = field.drift[:, 0] - of_reference.drift[:, 0]
        error = 2 * np.hypot(field.drift_error[:, 0], of_reference.drift_error[:, 0])
        both = shown & of_reference.settled(_FEWEST)
        if index:
            right.plot(grid.centres[both, 0], change[both], **line_style(index))
        else:
            right.fill_between(grid.centres[both, 0], -error[both], error[both], color=PALE, lw=0)
    left.set(xlabel=latent, ylabel="drift")
    right.set(xlabel=latent, ylabel=f"difference from {label}")
    for axis in (left, right):
        axis.axhline(0.0, color="#9aa1ab", lw=0.8)
        plain(axis)
    legend(left)
    return figure


def _diffusion_curves(grid: Grid, fields: Mapping[str, Field], latent: str) -> Figure:
    figure, axis = subplots(WIDTH, 3.0)
    for index, (name, field) in enumerate(fields.items()):
        shown = field.settled(_FEWEST)
        middle, error = field.diffusion[shown, 0, 0], 2 * field.diffusion_error[shown, 0, 0]
        if not index:
            axis.fill_between(grid.centres[shown, 0], middle - error, middle + error, color=PALE, lw=0)
        axis.plot(grid.centres[shown, 0], middle, label=name, **line_style(index))
    axis.set(xlabel=latent, ylabel="diffusion", ylim=(0, None))
    plain(axis)
    legend(axis)
    return figure


def _ellipse(tensor: Float[np.ndarray, "2 2"]) -> Float[np.ndarray, "point 2"]:
    """Points at one standard deviation of a Gaussian of this covariance."""
    values, vectors = np.linalg.eigh(tensor)
    angle = np.linspace(0, 2 * np.pi, 41)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return circle * np.sqrt(np.maximum(values, 0.0)) @ vectors.T


def draw_stress(stress: Stress) -> Figure:
    """Draw a column for each damage, a row for each prominent measure, and one for the trials that died or escaped.

    Curves are the decoders as they were, and decoders solved again; bands are 95 % intervals. Open symbols are within
    chance. An excess of one is as close as a second run of the rate network.
    """
    entries = {m.name: m.entry for p in stress.points for m in p.report.measures if m.entry.prominence > 0}
    names = sorted(entries, key=lambda name: -entries[name].prominence)
    columns = stress.damages
    height, rows = 0.6 + _STRESS_ROW * (len(names) + 1), len(names) + 1
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
        axes[-1, column].set_xlabel(_DAMAGES[damage])
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
    levels, excess = [level for level, _ in measured], [max(m.excess, _LOWEST_EXCESS) for _, m in measured]
    bands = np.array([m.excess_interval or (m.excess, m.excess) for _, m in measured]).reshape(-1, 2)
    axis.axhline(1.0, color=COLOURS[0], lw=0.8)
    axis.fill_between(levels, *np.maximum(bands, _LOWEST_EXCESS).T, color=style["color"], alpha=0.18, lw=0)
    axis.plot(levels, excess, color=style["color"], ls=style["ls"], lw=1.3)
    for (level, measure), value in zip(measured, excess, strict=True):
        face = style["color"] if measure.differs else "white"
        axis.plot(level, value, marker=style["marker"], color=style["color"], mfc=face, ms=4, ls="")
