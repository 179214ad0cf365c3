"""Arrays for results that may be larger than the memory: beyond a size they lie in a file without a name."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

LARGE_BYTES = 2**24
"""Size from which on an array lies in a file."""
_BLOCK = 2**20


def large_array(shape: tuple[int, ...], dtype: type[np.generic] = np.float64) -> np.ndarray[Any, Any]:
    """Array to be filled: in memory, or where it is large in a file of the temporary folder.

    The file has no name and goes with the array. Its room is reserved at once, so that a full disk is an `OSError`
    here and not a fault in the middle of a run.
    """
    size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    if size < LARGE_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="ddm2snn-") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.memmap(file, dtype, mode="r+", shape=shape)


def is_own(array: np.ndarray[Any, Any]) -> bool:
    """Whether nobody can change a read-only array from outside, so that keeping it takes no copy."""
    part: object = array
    while isinstance(part, np.ndarray):
        if part.flags.writeable:
            return False
        if part.flags.owndata:
            return True
        part = part.base
    return isinstance(part, mmap.mmap)


def blocks_of(count: int) -> Iterator[slice]:
    """Parts of so many numbers or rows, to be worked on one after the other."""
    for first in range(0, count, _BLOCK):
        yield slice(first, min(first + _BLOCK, count))
