"""Progress of a command on stderr, unless it is to be quiet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from ddm2snn.base.costs import Cost
from ddm2snn.base.progress import Announce, Console, Progress, no_progress, say

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextlib.contextmanager
def quiet(asked: bool) -> Iterator[None]:
    """Within the context, show no progress if so asked."""
    token = _quiet.set(asked)
    try:
        yield
    finally:
        _quiet.reset(token)


@contextlib.contextmanager
def steps() -> Iterator[Announce]:
    """Show the steps of a run."""
    with contextlib.closing(Console()) as console:
        yield Announce() if _quiet.get() else console


@contextlib.contextmanager
def shown(name: str, cost: Cost) -> Iterator[Progress]:
    """Show the progress of one piece of work that the machine has room for, and what it takes where that is much."""
    words = cost.checked()
    if _quiet.get():
        yield no_progress
        return
    with contextlib.closing(Console()) as console:
        yield console.start(name + words)
        console.finish(name, done_before=False)


def say_cost(name: str, cost: Cost) -> None:
    """Say what work takes whose progress is shown otherwise or not at all, where that is much."""
    if (words := cost.checked()) and not _quiet.get():
        say(f"{name}{words}")
