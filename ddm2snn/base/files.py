"""Files: written whole or not at all, refused by name when they cannot be read."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ddm2snn.errors import FileRefusedError


def check_writable(path: Path | str) -> None:
    """Refuse an output that cannot be written before the work that it is for, not after."""
    with contextlib.suppress(_NothingToWriteError), whole_file(path) as temporary:
        temporary.touch()
        raise _NothingToWriteError


class _NothingToWriteError(Exception):
    """Leaves `whole_file` without writing anything."""


@contextlib.contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, moved onto it when the block succeeds and removed otherwise."""
    target = Path(path)
    with _in_words(f"Cannot write {target}", "Choose another place or free it"):
        if not target.parent.is_dir():
            raise FileRefusedError(
                f"Cannot write {target}: the folder {target.parent} does not exist. Create it first."
            )
        if target.is_dir():
            raise FileRefusedError(f"Cannot write {target}: it is a folder. Name a file.")
        temporary = target.with_name(f".{secrets.token_hex(6)}.part")
        try:
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _in_words(failure: str, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileRefusedError(f"{failure}: {error.strerror or error}. {remedy}.") from error


def write_text(path: Path | str, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def require_file(path: Path | str) -> Path:
    """Return `path` as a Path to an existing, readable file, or refuse it by name."""
    found = Path(path)
    with _in_words(f"Cannot read {found}", "Check the path"):
        if not found.exists():
            raise FileRefusedError(f"File {found} does not exist. Check the path.")
        if found.is_dir():
            raise FileRefusedError(f"{found} is a folder, not a file. Name a file in it.")
        if not found.is_file():
            raise FileRefusedError(f"{found} is no regular file. Name one.")
    if not os.access(found, os.R_OK):
        raise FileRefusedError(f"File {found} cannot be read: permission denied.")
    return found


def make_folder(folder: Path | str) -> Path:
    """Create a folder that can be written to, or say why not."""
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        probe = target / ".ddm2snn-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FileRefusedError(
            f"Cannot write into the folder {target}: {error.strerror}. Choose another with -o."
        ) from error
    return target


class PatientFile(io.RawIOBase):
    """A file for HDF5, which takes the process down with it where a write fails.

    Hands everything on to a file until that refuses, then pretends to write; leaving it raises what was refused.

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
