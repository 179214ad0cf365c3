"""Arrays for results that may be larger than the memory: beyond a size they lie in a file without a name."""

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


def refuse_without_room(size: int, what: str) -> None:
    """Refuse at once what would fill the temporary folder after hours.

    Raises
    ------
    InputError
        Where fewer than `size` bytes are free there.
    """
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(
            f"The {what} of this run take {size / 2**30:,.1f} GiB in {folder}, where {free / 2**30:,.1f} GiB are free. "
            "Choose a shorter duration or a longer sampling interval (every), or set TMPDIR to another folder."
        )


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
