"""Figures of a comparison: excess of all measures, fields of drift, current and diffusion, the ladder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.battery import field_lag
from ddm2snn.fidelity.grid import Grid
from ddm2snn.fidelity.kramers_moyal import Field, estimate_field, lagged_sums
from ddm2snn.fidelity.probability_current import current_sums
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.plots.style import (
    COLOURS,
    MARKERS,
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
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ddm2snn.fidelity.ladder import Rung

_ARROWS = 15  # cells per dimension of drift fields
_ELLIPSES = 7
_FEWEST = 40
_COLUMNS = 3
_LADDER_MEASURES = ("sliced_wasserstein", "d_stsp", "d_h", "drift", "diffusion")


def excess_plot(reports: Sequence[FidelityReport]) -> Figure:
    """Excess of every measure with its 95 % interval, beside the floor at one; open symbols are within chance."""
    names = list(dict.fromkeys(m.name for report in reports for m in report.measures))
    labels = {m.name: m.label for report in reports for m in report.measures}
    figure = new_figure(WIDTH, 0.75 + (0.2 + 0.1 * len(reports)) * len(names))
    axis = figure.subplots()
    axis.axvline(1.0, color=COLOURS[0], lw=1)
    offsets = np.linspace(-0.24, 0.24, len(reports)) if len(reports) > 1 else [0.0]
    for index, (report, offset) in enumerate(zip(reports, offsets, strict=True)):
        colour, marker = COLOURS[1 + index % (len(COLOURS) - 1)], MARKERS[index % len(MARKERS)]
        axis.plot([], [], color=colour, marker=marker, ls="", label=report.label)
        for measure in report.measures:
            y, x = names.index(measure.name) + offset, max(measure.excess, 0.05)
            low, high = measure.excess_interval or (x, x)
            axis.plot([max(low, 0.05), max(high, 0.05)], [y, y], color=colour, lw=1.4)
            face = colour if measure.differs else "white"
            axis.plot(x, y, marker=marker, color=colour, mfc=face, ms=5, alpha=1.0 if measure.informative else 0.35)
    axis.set(xscale="log", ylim=(len(names) - 0.4, -0.6), xlabel="distance / floor (1: as close as a second run)")
    axis.set_yticks(range(len(names)), [labels[name] for name in names])
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.grid(axis="x", color="#e3e6ea", lw=0.7)
    axis.set_axisbelow(True)
    plain(axis)
    legend(axis)
    return figure


def drift_fields(reference: Recording, tests: Mapping[str, Recording], *, burn_in: float = 0.0) -> Figure:
    """Drift estimated from the reference and from each test, and the difference; in rank 1 as curves.

    Differences within two standard errors in both latents are pale.
    """
    named = {"reference": reference, **tests}
    samples = {name: _plane(recording, burn_in) for name, recording in named.items()}
    grid = Grid.around(samples["reference"], 30 if reference.rank == 1 else _ARROWS)
    fields = _fields(samples, reference.every, grid)
    if reference.rank == 1:
        return _drift_curves(grid, fields)
    rows = len(tests)
    figure = new_figure(WIDTH, 0.2 + 2.9 * rows)
    axes = figure.subplots(rows, 3, sharex=True, sharey=True, squeeze=False)
    known = fields["reference"]
    size = float(np.sqrt(np.nanmean((known.drift[_full(known)] ** 2).sum(axis=1)))) if _full(known).any() else 1.0
    for row, name in zip(axes, tests, strict=True):
        both = _full(known) & _full(fields[name])
        change = fields[name].drift - known.drift
        error = np.hypot(fields[name].drift_error, known.drift_error)
        beyond = np.any(np.abs(change[both]) > 2 * error[both], axis=1)
        off = float(np.sqrt(np.mean((change[both] ** 2).sum(axis=1)))) if both.any() else 0.0
        _arrows(row[0], grid, known.drift, _full(known), size, COLOURS[0])
        _arrows(row[1], grid, fields[name].drift, _full(fields[name]), size, COLOURS[1])
        _arrows(row[2], grid, change, both, max(off, 1e-12), np.where(beyond, COLOURS[2], PALE))
        row[0].set(title="reference", ylabel=latent_name(reference.rank - 1))
        row[1].set(title=name)
        row[2].set(title=f"difference, arrows × {size / max(off, 1e-12):.2g}")
    for axis in axes[-1]:
        axis.set_xlabel(latent_name(0))
    return figure


def probability_currents(reference: Recording, tests: Mapping[str, Recording], *, burn_in: float = 0.0) -> Figure:
    """Stationary probability current of the reference and of each test, arrows of one scale; for rank 2 or more.

    Raises
    ------
    InputError
        In rank 1, where no current goes round.
    """
    if reference.rank < 2:
        raise InputError("A stationary process of one latent has no probability current. Leave the figure out.")
    named = {"reference": reference, **tests}
    samples = {name: _plane(recording, burn_in) for name, recording in named.items()}
    grid = Grid.around(samples["reference"], _ARROWS)
    lag = field_lag(samples["reference"])
    currents = {}
    for name, x in samples.items():
        parts = [current_sums(x[:, phase::lag], lag * reference.every, grid) for phase in range(lag)]
        currents[name] = np.mean([part.current()[0] for part in parts], axis=0)
    known = np.linalg.norm(currents["reference"], axis=1)
    size = max(float(np.sqrt(np.mean(known[known > 0] ** 2))) if known.any() else 1.0, 1e-300)
    columns = min(_COLUMNS, len(named))
    rows = -(-len(named) // columns)
    figure = new_figure(WIDTH, 0.3 + rows * (0.35 + 0.9 * WIDTH / columns))
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for index, (axis, name) in enumerate(zip(axes.flat, named, strict=False)):
        strong = np.linalg.norm(currents[name], axis=1) > 0.02 * known.max()
        _arrows(axis, grid, currents[name], strong, size, COLOURS[min(index, 1)])
        axis.set(title=wrapped(name), xlabel=latent_name(0))
    for axis in axes.flat[len(named) :]:
        axis.set_visible(False)
    axes[0, 0].set_ylabel(latent_name(reference.rank - 1))
    return figure


def diffusion_ellipses(reference: Recording, tests: Mapping[str, Recording], *, burn_in: float = 0.0) -> Figure:
    """Diffusion tensors on cells as ellipses of one standard deviation per unit of time; in rank 1 as curves."""
    named = {"reference": reference, **tests}
    samples = {name: _plane(recording, burn_in) for name, recording in named.items()}
    grid = Grid.around(samples["reference"], 20 if reference.rank == 1 else _ELLIPSES)
    fields = _fields(samples, reference.every, grid)
    if reference.rank == 1:
        return _diffusion_curves(grid, fields)
    columns = min(_COLUMNS, len(tests))
    rows = -(-len(tests) // columns)
    figure = new_figure(WIDTH, 0.5 + (2.9 if len(tests) > 1 else 3.6) * rows)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(tests) :]:
        axis.set_visible(False)
    full = _full(fields["reference"])
    largest = np.sqrt(np.abs(fields["reference"].diffusion[full][:, [0, 1], [0, 1]]).max(axis=0)) if full.any() else 1.0
    scale = 0.44 * grid.width / np.maximum(largest, 1e-12)
    for index, (axis, name) in enumerate(zip(axes.flat, tests, strict=False)):
        for which, colour, style in (("reference", COLOURS[0], "-"), (name, COLOURS[1 + index % 6], "--")):
            for middle, tensor in _tensors(grid, fields[which]):
                ring = _ellipse(tensor) * scale + middle
                axis.plot(ring[:, 0], ring[:, 1], color=colour, lw=1.1, ls=style)
            axis.plot([], [], color=colour, ls=style, label=which)
        axis.set(xlabel=latent_name(0), xlim=(grid.low[0], grid.high[0]), ylim=(grid.low[1], grid.high[1]))
        plain(axis)
        legend(axis, columns=5 if len(tests) < _COLUMNS else 1)
    for axis in axes[:, 0]:
        axis.set_ylabel(latent_name(reference.rank - 1))
    return figure


def ladder_plot(rungs: Sequence[Rung]) -> Figure:
    """Excess of the leading measures on each rung, against the first rung and against the one before."""
    figure = new_figure(WIDTH, 3.4)
    axes = figure.subplots(1, 2, sharey=True)
    judged = [rung for rung in rungs if rung.against_first is not None]
    names = [n for n in _LADDER_MEASURES if any(n in _names(r.against_first) for r in judged)]
    for axis, which, title in zip(axes, ("against_first", "against_previous"),
                                  ("against the first rung", "against the rung before"), strict=True):  # fmt: skip
        axis.axhline(1.0, color=COLOURS[0], lw=1)
        for index, name in enumerate(names):
            found = [(i, getattr(r, which)) for i, r in enumerate(judged) if name in _names(getattr(r, which))]
            x = np.array([i for i, _ in found]) + 0.09 * (index - (len(names) - 1) / 2)
            values = [report[name] for _, report in found]
            colour, marker = COLOURS[1 + index % 6], MARKERS[index]
            for place, measure in zip(x, values, strict=True):
                if measure.excess_interval:
                    axis.plot([place] * 2, np.maximum(measure.excess_interval, 0.1), color=colour, lw=1.2)
            shown = [max(m.excess, 0.1) for m in values]
            label = values[0].label.split(" (")[0] if values else name
            axis.plot(x, shown, color=colour, marker=marker, ms=5, ls="", label=label)
        axis.set(yscale="log", title=title, xlim=(-0.5, len(judged) - 0.5))
        axis.set_xticks(range(len(judged)), [wrapped(r.name) for r in judged], size=8.5 if len(judged) < 5 else 7)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.grid(axis="y", color="#e3e6ea", lw=0.7)
        plain(axis)
    axes[0].set_ylabel("distance / floor")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=5, frameon=False, fontsize=8.5)
    return figure


def _names(report: FidelityReport | None) -> set[str]:
    return {m.name for m in report.measures} if report else set()


def _plane(recording: Recording, burn_in: float) -> Float[np.ndarray, "trial time plane"]:
    """First and last latent after the burn-in."""
    samples = recording.samples[:, round(burn_in / recording.every) if burn_in else 0 :]
    return samples if recording.rank == 1 else samples[..., [0, recording.rank - 1]]


def _fields(samples: Mapping[str, np.ndarray], every: float, grid: Grid) -> dict[str, Field]:
    """Estimated at the lag of the measures."""
    lag = field_lag(samples["reference"])
    return {name: estimate_field(lagged_sums(x, every, grid, lag)) for name, x in samples.items()}


def _full(field: Field) -> np.ndarray:
    return field.settled(_FEWEST)


def _arrows(
    axis: Axes,
    grid: Grid,
    drift: Float[np.ndarray, "cell rank"],
    shown: np.ndarray,
    size: float,
    colour: str | np.ndarray,
) -> None:
    """Arrows whose mean square is a cell."""
    centres = grid.centres[shown]
    arrow = drift[shown] * grid.width.min() / size
    axis.quiver(*centres.T, *arrow.T, color=colour, angles="xy", scale_units="xy", scale=1.0, width=0.005, pivot="mid")
    axis.set(xlim=(grid.low[0], grid.high[0]), ylim=(grid.low[1], grid.high[1]))
    plain(axis)


def _drift_curves(grid: Grid, fields: Mapping[str, Field]) -> Figure:
    figure = new_figure(WIDTH, 3.2)
    left, right = figure.subplots(1, 2, sharex=True)
    for index, (name, field) in enumerate(fields.items()):
        shown = _full(field)
        left.plot(grid.centres[shown, 0], field.drift[shown, 0], label=name, **line_style(index))
        change = field.drift[:, 0] - fields["reference"].drift[:, 0]
        error = 2 * np.hypot(field.drift_error[:, 0], fields["reference"].drift_error[:, 0])
        both = shown & _full(fields["reference"])
        if index:
            right.plot(grid.centres[both, 0], change[both], **line_style(index))
        else:
            right.fill_between(grid.centres[both, 0], -error[both], error[both], color="#c9ced6", lw=0)
    left.set(xlabel=latent_name(0), ylabel="drift")
    right.set(xlabel=latent_name(0), ylabel="difference from the reference")
    for axis in (left, right):
        axis.axhline(0.0, color="#9aa1ab", lw=0.8)
        plain(axis)
    legend(left)
    return figure


def _diffusion_curves(grid: Grid, fields: Mapping[str, Field]) -> Figure:
    figure = new_figure(WIDTH, 3.0)
    axis = figure.subplots()
    for index, (name, field) in enumerate(fields.items()):
        shown = _full(field)
        middle, error = field.diffusion[shown, 0, 0], 2 * field.diffusion_error[shown, 0, 0]
        if not index:
            axis.fill_between(grid.centres[shown, 0], middle - error, middle + error, color="#c9ced6", lw=0)
        axis.plot(grid.centres[shown, 0], middle, label=name, **line_style(index))
    axis.set(xlabel=latent_name(0), ylabel="diffusion", ylim=(0, None))
    plain(axis)
    legend(axis)
    return figure


def _tensors(grid: Grid, field: Field) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(grid.centres[cell], field.diffusion[cell]) for cell in np.flatnonzero(_full(field))]


def _ellipse(tensor: Float[np.ndarray, "2 2"]) -> Float[np.ndarray, "point 2"]:
    """Points at one standard deviation of a Gaussian of this covariance."""
    values, vectors = np.linalg.eigh(tensor)
    angle = np.linspace(0, 2 * np.pi, 41)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return circle * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
