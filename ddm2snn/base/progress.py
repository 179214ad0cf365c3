"""Progress of long work, reported as the finished share."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]
"""Called with the finished share of a piece of work, from 0 to 1."""


class Announce:
    """Is told of the steps of a run. This class says nothing; the command line has one that shows them."""

    def start(self, name: str) -> Progress:
        """Begin a step and return its progress function."""
        return no_progress

    def finish(self, name: str, *, done_before: bool) -> None:
        """End a step; `done_before` says that its files were there already."""


def no_progress(share: float) -> None:
    """Report progress to nobody."""
