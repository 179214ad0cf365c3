"""Processes of a compiled program: one for each trial, as many at a time as there are cores."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn_backends.brian2.model import Values

if TYPE_CHECKING:
    from jaxtyping import Float

_FULL = 28  # what the program returns where it could not write


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def arguments(group: str, values: Values, dtype: type[np.generic], folder: Path) -> list[str]:
    """Command line that sets a group's variables: a number as it is, an array through a file in `folder`."""
    parts = []
    for name, value in values.items():
        if np.ndim(value) == 0:
            parts.append(f"{group}.{name}={float(value)!r}")
        else:
            path = folder / f"{group}-{name}"
            np.ascontiguousarray(value, dtype=dtype).tofile(path)
            parts.append(f"{group}.{name}={path}")
    return parts


def command(program: Path, results: Path, settings: Sequence[str]) -> list[str]:
    """Command line of a program that has its files in `results`."""
    return [str(program), "--results_dir", f"{results}{os.sep}", *settings]


class _Running:
    """One process, and the last step that it has reported."""

    def __init__(self, parts: list[str], folder: Path) -> None:
        self.errors = folder / "errors"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                parts, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
        self.output = cast("IO[bytes]", self.process.stdout)
        self.step = 0

    def read(self) -> bool:
        """Take in what there is; whether more can come."""
        lines = os.read(self.output.fileno(), 65536).split()
        if lines and lines[-1].isdigit():
            self.step = int(lines[-1])
        return bool(lines)

    def finish(self) -> None:
        """Wait for the end; raises as `check` does."""
        check(self.process.wait(), self.errors)
        self.output.close()


def check(status: int, errors: Path) -> None:
    """Refuse the results of a program that failed.

    Raises
    ------
    InputError
        Where there was no room for its results.
    RuntimeError
        Where it was killed or is not the program it should be.
    """
    message = errors.read_text(encoding="utf-8", errors="replace").strip()
    if status == _FULL:
        raise InputError(f"There is no room left in {errors.parent} for the results of the simulation. Make some.")
    if status != 0 or message:
        raise RuntimeError(f"The compiled Brian2 program ended with status {status}: {message or 'no message'}.")


def run_all(commands: Sequence[list[str]], folders: Sequence[Path], report: Callable[[int], None]) -> None:
    """Run all commands, each in its folder; `report` gets the sum of their steps again and again."""
    waiting = list(range(len(commands)))[::-1]
    running: dict[int, _Running] = {}
    done = 0
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        stack.callback(lambda: [_kill(process) for process in running.values()])
        while waiting or running:
            while waiting and len(running) < cores():
                index = waiting.pop()
                running[index] = _Running(commands[index], folders[index])
                selector.register(running[index].output, selectors.EVENT_READ, index)
            for key, _ in selector.select():
                index: int = key.data
                one = running[index]
                if not one.read():
                    selector.unregister(one.output)
                    one.finish()
                    done += one.step
                    del running[index]
            report(done + sum(one.step for one in running.values()))


def _kill(one: _Running) -> None:
    one.process.kill()
    one.process.wait()
    one.output.close()


def read_blocks(
    parts: list[str], folder: Path, columns: int, dtype: type[np.floating], rows: int
) -> Iterator[Float[np.ndarray, "time neuron"]]:
    """What a program writes to its standard output, in blocks of up to `rows` rows of `columns` numbers."""
    one = _Running(parts, folder)
    try:
        size = columns * np.dtype(dtype).itemsize
        while content := one.output.read(rows * size):
            yield np.frombuffer(content[: len(content) // size * size], dtype=dtype).reshape(-1, columns).astype(float)
        one.finish()
    finally:
        _kill(one)
