"""Tables that notebooks show instead of a repr."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


def html_table(title: str, rows: Mapping[str, object]) -> str:
    """Table of names and values under a title.

    Examples
    --------
    >>> html_table("Recording", {"trials": 3})
    '<table><caption>Recording</caption><tr><th>trials</th><td>3</td></tr></table>'
    """
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f"<table><caption>{escape(title)}</caption>{cells}</table>"
