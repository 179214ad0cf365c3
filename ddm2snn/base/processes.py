"""Work side by side, each piece in a process that is forked for it.

Numbers do not depend on it: a piece of work takes its seeds from its own settings, and no piece sees another. A forked
process has all that its parent has, so that work may be any function. What comes back passes through a pipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from types import FrameType, TracebackType
from typing import Any, TypeVar

from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.threads import workers
from ddm2snn.errors import RAISED_IN, InputError

Result = TypeVar("Result")
Work = Callable[[Progress], Any]
"""What a process does; it reports its progress."""
_GRACE_S = 30.0  # for a process that is asked to stop, before it is killed [choice]
_PARENT_DIED = 1  # PR_SET_PDEATHSIG of prctl(2) [derived]
_SHARE = 0.01  # of a piece of work, whose progress is told [choice]
_STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_SIGNALS = [*_STOPS, *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else [])]


def at_once() -> int:
    """Number of processes that may work side by side: that of `workers`, or 1 where this process must not be forked.

    It must not where it has threads of its own, whose locks a copy would find locked for ever, or where Numba or
    PyTorch may have begun theirs, which no copy has but waits for. macOS and Windows fork no process safely.

    >>> at_once() >= 1
    True
    """
    numba = sys.modules.get("numba.np.ufunc.parallel")
    begun = numba is not None and getattr(numba, "_is_initialized", True)
    if sys.platform != "linux" or begun or "torch" in sys.modules or threading.active_count() > 1:
        return 1
    return workers()


@dataclass
class _Worker:
    """A forked process, what it works on, and whom its progress is told."""

    process: BaseProcess
    pipe: Connection
    name: str = ""
    progress: Progress = no_progress


class Processes:
    """Works by their names, done by `count` forked processes; with a count of 1 in this process, one by one.

    A process does one work after another, so that it imports what they need once. Leaving the context stops what has
    not ended: each process is asked to, and cleans up behind itself.

    Examples
    --------
    >>> with Processes({"square": lambda progress: 3**2}, count=1) as processes:
    ...     processes.begin("square")
    ...     processes.wait()
    ('square', 9)
    """

    def __init__(self, works: Mapping[str, Work], count: int) -> None:
        self.works, self.count = works, count
        self._workers: list[_Worker] = []
        self._ended: list[tuple[str, Any]] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: BaseException | TracebackType | None) -> None:
        for worker in self._workers:
            worker.process.terminate()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(_GRACE_S)
            worker.process.kill()
            worker.process.join()
        self._workers.clear()

    @property
    def working(self) -> int:
        """Works that were begun, and of whose end nobody has been told."""
        return sum(worker.name != "" for worker in self._workers) + len(self._ended)

    def begin(self, name: str, progress: Progress = no_progress, among: int = 1) -> None:
        """Begin a work, one of so many that share the cores; there must be room for it."""
        if self.count == 1:
            self._ended.append((name, self.works[name](progress)))
            return
        worker = next((worker for worker in self._workers if not worker.name), None) or self._forked()
        worker.name, worker.progress = name, progress
        worker.pipe.send((name, max(1, workers() // max(1, min(among, self.count)))))

    def wait(self) -> tuple[str, Any]:
        """Wait for the next work to end; return its name and its result, or raise its error."""
        while not self._ended:
            busy = [worker for worker in self._workers if worker.name]
            ready = wait([worker.pipe for worker in busy])
            for worker in busy:
                if worker.pipe in ready:
                    self._hear(worker)
        return self._ended.pop(0)

    def _forked(self) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=_work, args=(self.works, theirs, os.getpid()))
        with _signals_held(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which are those of BLAS: it knows forks
            process.start()
            self._workers.append(_Worker(process, ours))
        theirs.close()
        return self._workers[-1]

    def _hear(self, worker: _Worker) -> None:
        """Take in what a process says: the share that it has finished, a warning, its result, or its error."""
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, ConnectionError):
            worker.process.join()
            raise InputError(
                f"The process of {worker.name} was ended from outside (exit code {worker.process.exitcode}); there may "
                "be too little memory. Repeat with OMP_NUM_THREADS=1, which does one thing after the other."
            ) from None
        if kind == "progress":
            worker.progress(content)
        elif kind == "warning":
            warnings.showwarning(*content)
        elif kind == "error":
            raise content
        else:
            self._ended.append((worker.name, content))
            worker.name = ""


def side_by_side(tasks: Sequence[Callable[[], Result]], count: int, progress: Progress = no_progress) -> list[Result]:
    """Results of tasks in their order, `count` of which are worked on at a time.

    >>> side_by_side([lambda: 1, lambda: 2], count=1)
    [1, 2]
    """
    names = [f"part {index + 1}" for index in range(len(tasks))]
    works: dict[str, Work] = {name: lambda _, task=task: task() for name, task in zip(names, tasks, strict=True)}
    results, waiting = dict[str, Result](), list(names)
    with Processes(works, min(count, len(tasks))) as processes:
        while len(results) < len(names):
            if waiting and processes.working < processes.count:
                processes.begin(waiting.pop(0), among=len(names))
                continue
            name, result = processes.wait()
            results[name] = result
            progress(len(results) / len(names))
    return [results[name] for name in names]


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Have signals wait until a process that is begun can answer them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(works: Mapping[str, Work], pipe: Connection, parent: int) -> None:
    """In the forked process: do the works that are asked for, and say what came of each."""

    def hear(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        pipe.send(("warning", (message, category, filename, lineno)))

    with contextlib.suppress(KeyboardInterrupt, EOFError, ConnectionError):  # it is asked to stop, or nobody listens
        _end_with(parent)
        _stop_once()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        warnings.showwarning = hear
        while True:
            name, threads = pipe.recv()
            os.environ["OMP_NUM_THREADS"] = str(threads)
            try:
                said = ("result", works[name](_coarse(lambda share: pipe.send(("progress", share)))))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again where it is waited for
                said = ("error", _told(error))
            pipe.send(said)
            if isinstance(said[1], KeyboardInterrupt):
                return


def _coarse(progress: Progress) -> Progress:
    """Progress that is handed on in hundredths."""
    last = 0.0

    def hand_on(share: float) -> None:
        nonlocal last
        if share - last >= _SHARE:
            last = share
            progress(share)

    return hand_on


def _end_with(parent: int) -> None:
    """Die where the parent is killed, so that nobody else writes into its files."""
    ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _stop_once() -> None:
    """Take the parent's request to stop as an interruption, and no second one while that is cleaned up."""
    interrupt = signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: FrameType | None) -> None:
        _ignore_stops()
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(number, frame)

    for number in _STOPS:
        signal.signal(number, stop)


def _ignore_stops() -> None:
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)


def _told(error: BaseException) -> BaseException:
    """An error that can pass through a pipe, with where it was raised."""
    *_, last = traceback.extract_tb(error.__traceback__)
    if not hasattr(error, RAISED_IN):
        error.add_note(traceback.format_exc())
        setattr(error, RAISED_IN, (last.filename, last.lineno))
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))  # pyright: ignore[reportAttributeAccessIssue]
    except Exception:  # noqa: BLE001 - errors of other packages may hold anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
