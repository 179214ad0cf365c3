"""Files: written whole or not at all, and refused by name where they cannot be read or written."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from ddm2snn.errors import FileRefusedError, InputError


def check_writable(path: Path | str) -> None:
    """Refuse an output that cannot be written, before the work whose result it is to hold."""
    with _beside(path) as temporary:
        temporary.touch()


@contextlib.contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, moved onto it when the block succeeds and removed otherwise.

    Examples
    --------
    A reader never sees half a file, and a failure leaves the old one as it was.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "note.txt"
    ...     with whole_file(path) as temporary:
    ...         _ = temporary.write_text("first")
    ...         (path.exists(), temporary.exists())
    ...     (path.read_text(), len(list(Path(folder).iterdir())))
    (False, True)
    ('first', 1)
    """
    with _beside(path) as temporary:
        yield temporary
        temporary.replace(path)


@contextlib.contextmanager
def _beside(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and remove what lies there in the end."""
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
    """Return `path` as a Path to an existing, readable file, or refuse it by name.

    >>> require_file("nowhere.npz")
    Traceback (most recent call last):
    ddm2snn.errors.FileRefusedError: File nowhere.npz does not exist. Check the path.
    """
    file = Path(path)
    with _in_words(f"Cannot read {file}", "Check the path"):
        if not file.exists():
            raise FileRefusedError(f"File {file} does not exist. Check the path.")
        if file.is_dir():
            raise FileRefusedError(f"{file} is a folder, not a file. Name a file in it.")
        if not file.is_file():
            raise FileRefusedError(f"{file} is no regular file. Name one.")
    if not os.access(file, os.R_OK):
        raise FileRefusedError(f"File {file} cannot be read: permission denied.")
    return file


@contextlib.contextmanager
def damage_refused(path: Path, kind: str) -> Iterator[None]:
    """Turn any error of a parser into a refusal of the file, which is read as one of the named kind.

    >>> with damage_refused(Path("net.json"), "JSON"):
    ...     int("x")
    Traceback (most recent call last):
    ddm2snn.errors.FileRefusedError: net.json cannot be read as JSON: invalid literal for int() with base 10: 'x'. ...
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise FileRefusedError(f"{path} does not fit into memory. Save the arrays that are needed alone.") from error
    except Exception as error:  # parsers of foreign formats raise errors of any type
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise FileRefusedError(f"{path} cannot be read as {kind}: {reason}. Write it anew.") from error


def make_folder(folder: Path | str) -> Path:
    """Return `folder` as a Path, created if missing, or refuse it where nothing can be written into it."""
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        probe = target / ".ddm2snn-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise FileRefusedError(f"Cannot write into the folder {target}: {error.strerror}. Choose another.") from error
    return target


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
                left = left[super().write(left) :]
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
