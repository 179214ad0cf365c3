"""Progress of long work, reported as the finished share."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]
"""Called with the finished share of a piece of work, from 0 to 1."""


def no_progress(share: float) -> None:
    """Report progress to nobody."""
