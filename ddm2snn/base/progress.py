"""Progress of long work, reported as the finished share, and the log "ddm2snn", which is silent by default."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

LOG = logging.getLogger("ddm2snn")

Progress = Callable[[float], None]
"""Called with the finished share of a piece of work, from 0 to 1."""


class Announce:
    """Is told of the steps of a run. This class says nothing; `Console` shows them."""

    def start(self, name: str) -> Progress:
        """Begin a step and return its progress function."""
        return no_progress

    def finish(self, name: str, *, done_before: bool) -> None:
        """End a step; `done_before` says that its files were there already."""


def no_progress(share: float) -> None:
    """Report progress to nobody."""


@contextlib.contextmanager
def reported(progress: Progress | bool, name: str) -> Iterator[Progress]:
    """Yield the progress function of a verb: the one that was given, or for True a bar on a terminal or in a notebook.

    The log is told of begin and end.
    """
    began = time.perf_counter()
    LOG.info("%s ...", name)
    with _bar(name) if progress is True else contextlib.nullcontext(progress or no_progress) as report:
        yield report
    LOG.info("%s: done in %.1f s", name, time.perf_counter() - began)


class Console(Announce):
    """Shows steps on stderr: a bar on a terminal, a line each elsewhere."""

    def __init__(self) -> None:
        self._began = 0.0
        self._stack = contextlib.ExitStack()

    def start(self, name: str) -> Progress:
        """Begin a step: a bar on a terminal, a line elsewhere."""
        self._began = time.perf_counter()
        if sys.stderr.isatty():
            return self._stack.enter_context(_bar(name))
        say(f"{name} ...")
        return no_progress

    def close(self) -> None:
        """Remove the bar, which hides the cursor; also after an interruption."""
        self._stack.close()

    def finish(self, name: str, *, done_before: bool) -> None:
        """End a step with one line."""
        self.close()
        seconds = time.perf_counter() - self._began
        say(f"{name}: {'unchanged, done before' if done_before else f'done in {seconds:.1f} s'}")


def say(text: str) -> None:
    """Print a line on stderr."""
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
