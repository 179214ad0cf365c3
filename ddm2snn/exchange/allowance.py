"""How many bytes of arrays a file may announce: a small file must not fill the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ddm2snn.errors import FileRefusedError

if TYPE_CHECKING:
    import h5py

SPARE_BYTES = 2**26
"""Bytes of arrays that a file of any size may hold."""
_BYTES_PER_BYTE = 100  # bytes of arrays for each byte of the file; constant arrays compress as well, weights do not
_MOST_BYTES = 2**32  # of one array: a dense matrix of 23,000 units


class Allowance:
    """Bytes of arrays that a file may announce: 64 MiB, and a hundred for each byte of the file.

    Parameters
    ----------
    path
        The file.

    Examples
    --------
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile(suffix=".npz") as file:
    ...     allowance = Allowance(Path(file.name))
    >>> allowance.take("W", (1000, 1000))
    >>> allowance.left / 2**20
    56.37060546875
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left = SPARE_BYTES + _BYTES_PER_BYTE * path.stat().st_size

    def take(self, name: str, shape: Sequence[int], itemsize: int = 8) -> None:
        """Spend the bytes of an array of 64-bit numbers, or of larger ones; refuse the file where too few are left."""
        lengths = tuple(map(int, shape))
        needed = math.prod(lengths) * max(8, itemsize)
        if needed > _MOST_BYTES:
            raise FileRefusedError(
                f"{self.path} announces {name!r} with shape {lengths}, more than {_MOST_BYTES // 2**30} GiB. "
                "Save its factors instead."
            )
        self.spend(needed, f"{name!r} with shape {lengths}")

    def spend(self, needed: int, what: str) -> None:
        """Spend `needed` bytes; refuse the file, in which `what` announces them, where too few are left."""
        self.left -= needed
        if self.left < 0:
            raise FileRefusedError(
                f"{self.path} announces {what}, more than a file of its size can hold. "
                "Save the arrays that are needed without compression."
            )

    def take_dataset(self, item: h5py.Dataset) -> None:
        """Spend the bytes of a dataset of HDF5, and those of a chunk, which is unpacked whole and may be larger.

        A dataset whose numbers lie in another file, or nowhere, is refused.
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
