"""Progress of long work, reported as the finished share, and the log "ddm2snn", which is silent by default."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_REDRAWN_S = 0.1  # between two drawings of a bar [choice]
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
    """Shows steps on stderr: a bar each on a terminal, a line each elsewhere. Several may be worked on at a time."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._tasks: dict[str, Any] = {}
        self._bars: Bar | None = None
        self._drawn = 0.0

    def start(self, name: str, words: str = "") -> Progress:
        """Begin a step: a bar on a terminal, a line elsewhere, with further words behind its name."""
        self._began[name] = time.perf_counter()
        if not sys.stderr.isatty():
            say(f"{name}{words} ...")
            return no_progress
        if self._bars is None:
            self._bars = _bars(auto_refresh=False)  # by a thread, which a process that is forked would not have
            self._bars.start()
        self._tasks[name] = self._bars.add_task(name + words, total=1.0)
        self._bars.refresh()
        return lambda share: self._show(name, share)

    def close(self) -> None:
        """Remove the bars, which hide the cursor; also after an interruption."""
        if self._bars is not None:
            self._bars.stop()

    def finish(self, name: str, *, done_before: bool) -> None:
        """End a step with one line."""
        self.close()
        seconds = time.perf_counter() - self._began.pop(name)
        say(f"{name}: {'unchanged, done before' if done_before else f'done in {seconds:.1f} s'}")
        if self._bars is not None:
            self._bars.remove_task(self._tasks.pop(name))
            if self._tasks:
                self._bars.start()

    def _show(self, name: str, share: float) -> None:
        """Move a bar; drawing takes longer than many a piece of work between two reports."""
        if self._bars is not None and name in self._tasks:
            drawn = time.perf_counter() - self._drawn >= _REDRAWN_S
            self._bars.update(self._tasks[name], completed=share, refresh=drawn)
            self._drawn = time.perf_counter() if drawn else self._drawn


def say(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Progress]:
    bars = _bars()
    if bars.console.is_jupyter:
        show = _notebook_bar(name)
        yield show
        show(1.0)
        return
    with bars as bar:
        task = bar.add_task(name, total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _notebook_bar(name: str) -> Progress:
    """A bar as HTML: rich has none in a notebook without widgets."""
    from IPython.display import HTML, DisplayHandle

    handle, drawn = DisplayHandle(), 0.0
    handle.display(HTML(f"{name} <progress></progress>"))

    def show(share: float) -> None:
        nonlocal drawn
        if share >= 1.0 or time.perf_counter() - drawn >= _REDRAWN_S:
            handle.update(HTML(f'{name} <progress value="{share:.3f}"></progress>'))
            drawn = time.perf_counter()

    return show


def _bars(*, auto_refresh: bool = True) -> Bar:
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Bar(*columns, console=Terminal(stderr=True), transient=True, auto_refresh=auto_refresh)
