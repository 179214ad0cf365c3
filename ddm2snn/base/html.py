"""What notebooks show: tables instead of a repr, and figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import ddm2snn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 200  # characters of a cell


class Plotted:
    """What `ddm2snn.plot` has a figure of."""

    def plot(self) -> list[Axes]:
        """Draw what one looks at first; see `ddm2snn.plot`."""
        return ddm2snn.plot(self)


def html_table(title: str, rows: Mapping[str, object]) -> str:
    """Table of names and values under a title.

    Examples
    --------
    >>> html_table("Recording", {"trials": 3})
    '<table><caption>Recording</caption><tr><th>trials</th><td>3</td></tr></table>'
    """
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f"<table><caption>{escape(title)}</caption>{cells}</table>"


def fields_table(thing: Any) -> str:  # noqa: ANN401 - a dataclass or settings
    """Table of the fields of a dataclass or of settings: what a class takes as its `_repr_html_`.

    Examples
    --------
    >>> from ddm2snn import Sparse
    >>> fields_table(Sparse(0.5))
    '<table><caption>Sparse</caption><tr><th>kept</th><td>0.5</td></tr></table>'
    """
    names = [f.name for f in dataclasses.fields(thing)] if dataclasses.is_dataclass(thing) else type(thing).model_fields
    return html_table(type(thing).__name__, {name: _short(getattr(thing, name)) for name in names})


def _short(value: object) -> str:
    """Value of a cell: an array by its shape, a function by its name, and no more than fits."""
    if shape := getattr(value, "shape", ()):
        return f"array of shape {shape}"
    text = getattr(value, "__qualname__", None) or str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
