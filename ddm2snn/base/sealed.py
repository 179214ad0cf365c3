"""HDF5 files of ddm2snn: written through a file that outlives a full disk, sealed, and read without HDF5.

HDF5 can loop for ever over a damaged heap or crash on it, and a checksum says only that no chance damaged a file.
Behind the content stand an index of its arrays and a checksum of both, which readers of HDF5 ignore:

    ddm2snn index {"about": ..., "arrays": {"latent": ["<f8", [2, 6, 2], 4096]}}
    ddm2snn sha256 ...
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ddm2snn.base.files import damage_refused, whole_file
from ddm2snn.errors import FileRefusedError

_INDEX, _SEAL = b"\nddm2snn index ", b"\nddm2snn sha256 "


@contextlib.contextmanager
def sealed_file(path: Path | str, about: object) -> Iterator[PatientFile]:
    """Yield a file for the HDF5 library; an index and a checksum are put behind it, and it is moved to `path`.

    `about` is JSON values, which the index holds beside the places of all arrays of numbers.

    Examples
    --------
    >>> import h5py
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "net.h5"
    ...     with sealed_file(path, "three") as file, h5py.File(file, "w") as content:
    ...         content["x"] = np.arange(3.0)
    ...     sealed_content(path)
    ('three', {'x': array([0., 1., 2.])})
    """
    with whole_file(path) as temporary:
        with temporary.open("r+b", buffering=0) as file, PatientFile(file) as patient:
            yield patient
        index = json.dumps({"about": about, "arrays": _places(temporary)}, sort_keys=True)
        with temporary.open("ab") as file:
            file.write(_INDEX + index.encode())
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with temporary.open("ab") as file:
            file.write(_SEAL + digest.encode())


def _places(path: Path) -> dict[str, tuple[str, tuple[int, ...], int]]:
    """Type, shape and offset of each array of numbers in an HDF5 file just written, all of which lie in one piece."""
    import h5py

    places = {}
    with h5py.File(path, "r") as file:
        for name, item in file.items():
            offset = item.id.get_offset() if item.size else 0
            if item.dtype.kind in "biuf" and offset is not None:  # an axis without coordinates has no place
                places[name] = (item.dtype.str, item.shape, offset)
    return places


def sealed_content(path: Path) -> tuple[Any, dict[str, np.ndarray]] | None:
    """What `sealed_file` was told of a file, and its arrays; None where there is no index.

    Raises
    ------
    FileRefusedError
        Where the file has a checksum that does not fit its content, or an index of what it does not hold.
    """
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = content.rfind(_SEAL)
        if end < 0:
            return None
        with memoryview(content) as whole, whole[:end] as body:
            digest = hashlib.sha256(body).hexdigest().encode()
        if digest != content[end + len(_SEAL) :]:
            raise FileRefusedError(f"{path} is damaged or cut short: its content does not match its checksum.")
        start = content.rfind(_INDEX, 0, end)
        if start < 0:
            return None
        text = content[start + len(_INDEX) : end]
    with damage_refused(path, "a file of ddm2snn"):
        index = json.loads(text)
        places = {name: (np.dtype(kind), tuple(shape), at) for name, (kind, shape, at) in index["arrays"].items()}
        left = start  # the arrays of a file lie apart
        for kind, shape, at in places.values():
            size = math.prod(shape) * kind.itemsize
            left -= size
            if kind.kind not in "biuf" or min((*shape, at, left)) < 0 or at + size > start:
                raise ValueError("its index names what it does not hold")
        arrays = {n: np.fromfile(path, k, math.prod(s), offset=at).reshape(s) for n, (k, s, at) in places.items()}
        return index["about"], arrays


class PatientFile(io.FileIO):
    """A file for HDF5, whose library aborts the process where a write fails.

    It writes until the system refuses and then only pretends to; leaving its context raises the system's error.

    Parameters
    ----------
    file
        Unbuffered, open for reading and writing.
    """

    def __init__(self, file: io.FileIO) -> None:
        super().__init__(file.fileno(), "r+b", closefd=False)
        self._error: OSError | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._error is not None:
            raise self._error

    def readinto(self, buffer: bytearray | memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Read the content of the file; after a write failed, zeros behind its end."""
        count = super().readinto(buffer) or 0
        if self._error is not None:
            buffer[count:] = bytes(len(buffer) - count)
            return len(buffer)
        return count

    def write(self, content: bytes | memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Write all of `content`, or pretend to after a write failed."""
        left = memoryview(content).cast("B")
        while len(left) and self._error is None:
            try:
                left = left[os.write(self.fileno(), left) :]
            except OSError as error:
                self._error = error
        return memoryview(content).nbytes

    def truncate(self, size: int | None = None) -> int:
        """Make the file `size` bytes long."""
        if self._error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self._error = error
        return self.tell() if size is None else size
