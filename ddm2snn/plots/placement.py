"""Figure of a placement: cores with the share of each resource that they use, by chip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.hardware.place import BOARD_ONLY, PER_CORE
from ddm2snn.plots.style import COLOURS, WIDTH, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ddm2snn.hardware.place import Placement

_ROW, _NAMED = 0.27, 40  # height of a core in inches, and the largest number of cores with names
_TALLEST = 14.0  # inches


def draw_placement(placement: Placement) -> Figure:
    """A row for each core and a column for each resource: the share that is used, and how much that is.

    Chips are set apart by lines. Without a limit there is no share, and only the number is written.
    """
    cores, resources = placement.cores, [name for name in PER_CORE if name not in BOARD_ONLY]
    share = np.array([[placement.share(core, name) or 0.0 for name in resources] for core in cores])
    named = len(cores) <= _NAMED
    figure = new_figure(WIDTH, min(_TALLEST, 1.5 + (_ROW if named else _ROW / 3) * len(cores)))
    axis = figure.subplots()
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
