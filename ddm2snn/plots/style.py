"""Colours, lines and sizes of all figures, set without global state."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.files import check_writable, whole_file
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe, Ito: colours that survive colour blindness; line styles and markers carry the difference in print
COLOURS = ("#1a1a1a", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PALE = "#c9ced6"
HATCH = "////"
WIDTH, NARROW = 9.0, 4.4  # inches; legible on a screen and on a phone
# metadata of each kind of file without a time or a version, so that equal figures are equal files
_FORMATS = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
_SHADE = "#5b6470"
_LETTERS = 12  # in a line of a wrapped name
_ROOM, _SYMBOL, _LETTER = 0.8, 0.45, 0.078  # of a legend: share of the figure's width; inches of each entry


def subplots(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:  # noqa: ANN401
    """Figure that pyplot does not know of, in inches, and its axes; see `matplotlib.figure.Figure.subplots`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=130)
    return figure, figure.subplots(rows, columns, **options)


class Panels(list["Axes"]):
    """Axes of one figure, which a notebook shows as the figure."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self[0].figure.canvas.print_figure(content, format="png")
        return content.getvalue()


def check_figure_file(path: Path) -> None:
    """Refuse a figure file of unknown kind, or one that cannot be written."""
    if path.suffix not in _FORMATS:
        raise InputError(
            f"Figures are written as {', '.join(_FORMATS)}, but {path} ends in {path.suffix!r}. Rename it."
        )
    check_writable(path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure whole or not at all, as PNG, PDF or SVG by the name of the file."""
    from matplotlib import rc_context

    check_figure_file(path)
    content = io.BytesIO()  # Matplotlib does not outlive a full disk
    settings: dict[Any, Any] = {
        "svg.hashsalt": "ddm2snn", "figure.autolayout": False, "figure.constrained_layout.use": False,
    }  # fmt: skip
    with rc_context(settings):
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
            figure.set_layout_engine(None)  # else each file is drawn twice, once for its layout, which all files share
        figure.savefig(content, format=path.suffix[1:], metadata=_FORMATS[path.suffix])
    with whole_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def panels(
    count: int, most: int, *, top: float, row: Callable[[int], float], shared: bool = True, width: float = WIDTH
) -> tuple[Figure, np.ndarray]:
    """Axes of `count` panels, `most` beside each other, in rows of `row(columns)` inches; other places are hidden."""
    columns = min(most, count)
    rows = -(-count // columns)
    height = top + rows * row(columns)
    figure, axes = subplots(width, height, rows, columns, sharex=shared, sharey=shared, squeeze=False)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, axes


def plain(*axes: Axes) -> None:
    """Remove the upper and right frame, and draw ticks and labels in grey."""
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.spines[["left", "bottom"]].set_color("#9aa1ab")
        axis.tick_params(which="both", color="#9aa1ab", labelcolor=_SHADE, labelsize=8.5)
        axis.xaxis.label.set(color=_SHADE, size=9.5)
        axis.yaxis.label.set(color=_SHADE, size=9.5)
        axis.title.set_fontsize(10.5)


def plain_decades(axis: Axes) -> None:
    """Name 1, 2 and 5 of each decade of a logarithmic axis."""
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.yaxis.set_minor_locator(NullLocator())


def legend(axis: Axes, columns: int = 5) -> None:
    """Names above the axes, five in a line or as many as have room."""
    longest = max((len(name) for name in axis.get_legend_handles_labels()[1]), default=0)
    width = axis.figure.bbox.width / axis.figure.dpi
    columns = min(columns, max(1, int(_ROOM * width / (_SYMBOL + _LETTER * longest))))
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=9)


def common_legend(axis: Axes, columns: int, size: float = 9) -> None:
    """Names of one of the axes, above the whole figure."""
    names = axis.get_legend_handles_labels()
    axis.figure.legend(*names, loc="outside upper left", ncols=columns, frameon=False, fontsize=size)


def symbol(index: int) -> dict[str, Any]:
    """Colour, none of them black, and marker of the series with this index."""
    return {"color": COLOURS[1 + index % (len(COLOURS) - 1)], "marker": MARKERS[index % len(MARKERS)]}


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the recording with this index."""
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": STYLES[index % len(STYLES)]}


def wrapped(name: str) -> str:
    r"""A long name in lines, broken at hyphens and blanks.

    >>> wrapped("loihi1-emulator-simreal")
    'loihi1-\nemulator-\nsimreal'
    """
    lines = [""]
    for part in re.findall(r"[^-\s]+[-\s]*", name):
        if lines[-1] and len(lines[-1]) + len(part) > _LETTERS:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def latent_name(dimension: int, names: Sequence[str] = ()) -> str:
    """What tables call a latent, and what its system does.

    >>> latent_name(1), latent_name(1, ["V (mV)", "w"])
    ('latent 1', 'latent 1: w')
    """
    return ": ".join([f"latent {dimension}", *names[dimension : dimension + 1]]).replace("$", r"\$")


def limits(
    values: Float[np.ndarray, " sample"], *, outside: float = 0.0005, margin: float = 0.06
) -> tuple[float, float]:
    """Range of all but a share `outside` of the values on either side, with a margin relative to it."""
    low, high = np.quantile(values, [outside, 1.0 - outside])
    margin *= max(high - low, 1e-9)
    return float(low - margin), float(high + margin)
