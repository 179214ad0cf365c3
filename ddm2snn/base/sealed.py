"""HDF5 files of ddm2snn: written through a file that outlives a full disk, and sealed with a checksum.

HDF5 can loop for ever over a damaged heap or crash on it, so that the checksum is compared before it opens a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ddm2snn.base.files import whole_file
from ddm2snn.errors import FileRefusedError

_SEAL = b"\nddm2snn sha256 "  # readers of HDF5 ignore what follows the content


@contextlib.contextmanager
def sealed_file(path: Path | str) -> Iterator[PatientFile]:
    """Yield a file for the HDF5 library; the checksum of its content is put behind it, and it is moved to `path`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with sealed_file(f"{folder}/net.h5") as file:
    ...         _ = file.write(b"content")
    ...     is_sealed(Path(folder) / "net.h5")
    True
    """
    with whole_file(path) as temporary, temporary.open("r+b", buffering=0) as file:
        with PatientFile(file) as patient:
            yield patient
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0, io.SEEK_END)
        file.write(_SEAL + digest.encode())


def is_sealed(path: Path) -> bool:
    """Whether a file has the checksum that `sealed_file` puts behind its content.

    Raises
    ------
    FileRefusedError
        Where it has one that does not fit its content.
    """
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = content.rfind(_SEAL)
        if end < 0:
            return False
        with memoryview(content) as whole, whole[:end] as body:
            digest = hashlib.sha256(body).hexdigest().encode()
        if digest != content[end + len(_SEAL) :]:
            raise FileRefusedError(f"{path} is damaged or cut short: its content does not match its checksum.")
    return True


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
