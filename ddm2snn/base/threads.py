"""Threads that leave no trace in numbers: every sum has one order, however many threads there are.

BLAS splits a product among its threads, so that the last digits depend on their number, and training carries the last
digits to the first. Within `one_thread` each product is one thread's; large ones are cut into parts of a fixed size,
which threads of Python share.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

_TILE = 256  # columns
Part = TypeVar("Part")
Result = TypeVar("Result")


@contextlib.contextmanager
def one_thread(*, solving: bool = True) -> Iterator[None]:
    """Keep the BLAS of NumPy and SciPy to one thread, and give it its threads back afterwards.

    SciPy has a BLAS of its own, which is limited only once it is loaded. Work that solves nothing saves its 0.1 s.
    """
    if solving:
        import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def workers() -> int:
    """Number of threads that this process may use: OMP_NUM_THREADS, or the cores that it may run on."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
    """Results of parts in their order, worked on by as many threads as there may be.

    >>> list(in_order(lambda number: number**2, [1, 2, 3]))
    [1, 4, 9]
    """
    waiting, threads = list(parts), workers()
    if min(len(waiting), threads) < 2:
        yield from map(work, waiting)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(work, waiting)


def add_gram(total: Float[np.ndarray, "column column"], rows: Float[np.ndarray, "row column"]) -> None:
    """Add rows^T rows to a symmetric matrix in place, tile by tile.

    >>> total = np.eye(2)
    >>> add_gram(total, np.array([[1.0, 2.0]]))
    >>> total
    array([[2., 2.],
           [2., 5.]])
    """
    edges = range(0, rows.shape[1], _TILE)
    if len(edges) < 2:
        total += rows.T @ rows
        return

    def add(tile: tuple[int, int]) -> None:
        first, second = (slice(edge, edge + _TILE) for edge in tile)
        total[first, second] += rows[:, first].T @ rows[:, second]
        if first != second:
            total[second, first] = total[first, second].T

    list(in_order(add, combinations_with_replacement(edges, 2)))
