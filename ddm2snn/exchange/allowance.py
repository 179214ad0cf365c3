"""How many bytes of arrays a file may announce, so that a small file cannot fill the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ddm2snn.errors import FileRefusedError

if TYPE_CHECKING:
    import h5py

SPARE_BYTES = 2**26  # of arrays, that a file may hold however small it is
_BYTES_PER_BYTE = 100  # of arrays for each byte of the file: constant arrays compress well, weights do not
MOST_BYTES = 2**32  # of one array: a dense matrix of 23,000 units


class Allowance:
    """Bytes of arrays that a file of its size can hold: 64 MiB, and a hundred for each of its own.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left = SPARE_BYTES + _BYTES_PER_BYTE * path.stat().st_size

    def take(self, name: str, shape: Sequence[int], itemsize: int = 8) -> None:
        """Spend what an array takes in memory, as 64-bit numbers or larger ones; refused where that is too much."""
        lengths = tuple(map(int, shape))
        needed = math.prod(lengths) * max(8, itemsize)
        if needed > MOST_BYTES:
            raise FileRefusedError(
                f"{self.path} announces {name!r} with shape {lengths}, more than {MOST_BYTES // 2**30} GiB. "
                "Save its factors instead."
            )
        self.spend(needed, f"{name!r} with shape {lengths}")

    def spend(self, needed: int, what: str) -> None:
        """Spend so many bytes; refused with words for `what` announces them where that is too much."""
        self.left -= needed
        if self.left < 0:
            raise FileRefusedError(
                f"{self.path} announces {what}, more than a file of its size can hold. "
                "Save the arrays that are needed without compression."
            )

    def take_dataset(self, item: h5py.Dataset) -> None:
        """Spend what a dataset of HDF5 takes, its chunks unpacked; refused where its numbers are elsewhere or nowhere.

        A chunk is unpacked as a whole and may be larger than its dataset.
        """
        name = str(item.name)
        refuse_elsewhere(self.path, item)
        self.take(name, item.shape or (), item.dtype.itemsize)
        if item.chunks is not None:
            self.take(f"a chunk of {name}", item.chunks, item.dtype.itemsize)
        if item.size and not item.id.get_storage_size():
            raise FileRefusedError(
                f"{self.path} announces {name!r} with shape {item.shape}, but has no numbers for it. Write it anew."
            )


def refuse_elsewhere(path: Path, item: h5py.Dataset) -> None:
    """Refuse a dataset of HDF5 whose numbers lie in other files."""
    if item.external or item.is_virtual:
        raise FileRefusedError(f"{path} keeps {item.name!r} in another file. Save it in this one.")
