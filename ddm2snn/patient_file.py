"""A file for HDF5, which takes the process down with it where a write fails: it is told of the failure at the end."""

from __future__ import annotations

import io
from types import TracebackType


class PatientFile(io.RawIOBase):
    """Hands everything on to a file until that refuses, then pretends to write; leaving it raises what was refused.

    Parameters
    ----------
    file
        Unbuffered, open for reading and writing.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file, self._error = file, None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._error is not None:
            raise self._error

    def readable(self) -> bool:
        """HDF5 reads what it wrote."""
        return True

    def writable(self) -> bool:
        """Also where nothing is written any more."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As in the file."""
        return self._file.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Read as much as there is; what was not written reads as zeros."""
        found = self._file.readinto(buffer) or 0
        if self._error is not None:
            buffer[found:] = bytes(len(buffer) - found)
            return len(buffer)
        return found

    def write(self, content: bytes | memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Write all of it."""
        left = memoryview(content).cast("B")
        while len(left) and self._error is None:
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                self._error = error
        return memoryview(content).nbytes

    def truncate(self, size: int | None = None) -> int:
        """Make the file as long as that."""
        if self._error is None:
            try:
                return self._file.truncate(size)
            except OSError as error:
                self._error = error
        return self._file.tell() if size is None else size
