"""Progress of a command on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from ddm2snn.base.costs import Cost
from ddm2snn.base.progress import Announce, Progress, no_progress


class Console(Announce):
    """Shows steps on stderr."""

    def __init__(self) -> None:
        self._began = 0.0
        self._stack = contextlib.ExitStack()

    def start(self, name: str) -> Progress:
        """Begin a step: a bar on a terminal, a line elsewhere."""
        self._began = time.perf_counter()
        if sys.stderr.isatty():
            return self._stack.enter_context(_bar(name))
        _say(f"{name} ...")
        return no_progress

    def close(self) -> None:
        """Remove the bar, which hides the cursor; also after an interruption."""
        self._stack.close()

    def finish(self, name: str, *, done_before: bool) -> None:
        """End a step with one line."""
        self.close()
        seconds = time.perf_counter() - self._began
        _say(f"{name}: {'unchanged, done before' if done_before else f'done in {seconds:.1f} s'}")


@contextlib.contextmanager
def shown(name: str, cost: Cost) -> Iterator[Progress]:
    """Show the progress of one piece of work that the machine has room for, and what it takes where that is much."""
    words = cost.checked()
    with contextlib.closing(Console()) as console:
        yield console.start(name + words)
        console.finish(name, done_before=False)


def say_cost(name: str, cost: Cost) -> None:
    """Say what work takes whose progress is shown otherwise or not at all, where that is much."""
    if words := cost.checked():
        _say(f"{name}{words}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Terminal(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda share: bar.update(task, completed=share)
