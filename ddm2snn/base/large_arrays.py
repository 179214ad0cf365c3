"""Arrays for results that may be larger than the memory: from a size on they lie in a file without a name."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from ddm2snn.errors import InputError

LARGE_BYTES = 2**24
"""Size from which on an array lies in a file."""
_BLOCK = 2**20


def large_array(shape: tuple[int, ...], dtype: type[np.generic] = np.float64) -> np.ndarray[Any, Any]:
    """Array to be filled: in memory below `LARGE_BYTES`, else in a file of the temporary folder.

    The file has no name, so that the system removes it with the array. Its room is reserved at once: a full disk is an
    `OSError` here, no fault in the middle of a run.

    Examples
    --------
    >>> isinstance(large_array((2**21,)), np.memmap), isinstance(large_array((8,)), np.memmap)
    (True, False)
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


def refuse_without_room(size: int, what: str) -> None:
    """Refuse a run whose results do not fit into the temporary folder.

    Raises
    ------
    InputError
        Where fewer than `size` bytes are free there; `what` names the results.
    """
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"The {what} of this run take {size / 2**30:,.1f} GiB in {folder}, where {free / 2**30:,.1f} GiB are free. "
            "Choose a shorter duration or a longer sampling interval (every), or set TMPDIR to another folder."
        )


def is_own(array: np.ndarray[Any, Any]) -> bool:
    """Whether an array is read-only and no writable array shares its memory, so that it needs no copy.

    >>> array = np.zeros(3)
    >>> array.setflags(write=False)
    >>> is_own(array), is_own(np.zeros(3)[:])
    (True, False)
    """
    part: object = array
    while isinstance(part, np.ndarray):
        if part.flags.writeable:
            return False
        if part.flags.owndata:
            return True
        part = part.base
    return isinstance(part, mmap.mmap)


def blocks_of(count: int) -> Iterator[slice]:
    """Slices that cover `count` numbers or rows, each of 2^20 at most.

    >>> [part.stop - part.start for part in blocks_of(2**20 + 5)]
    [1048576, 5]
    """
    for first in range(0, count, _BLOCK):
        yield slice(first, min(first + _BLOCK, count))
