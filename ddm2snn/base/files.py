"""Files: written whole or not at all, and refused by name where they cannot be read or written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

from ddm2snn.errors import FileRefusedError, InputError

_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\.part")
_STALE_S = 3600.0  # a temporary file that nobody wrote to for so long is that of a killed process
_inputs: ContextVar[set[str] | None] = ContextVar("inputs", default=None)


@contextlib.contextmanager
def inputs_kept() -> Iterator[None]:
    """Within the context, refuse to write over a file that was read in it, unless it was written in it before."""
    token = _inputs.set(set())
    try:
        yield
    finally:
        _inputs.reset(token)


def check_writable(path: Path | str) -> None:
    """Refuse an output that cannot be written, before the work whose result it is to hold."""
    with _beside(path):
        pass


@contextlib.contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, moved onto it when the block succeeds and removed otherwise.

    The content is on the disk before it is moved. A file that is replaced passes its permissions on, and a symbolic
    link stays one. What is no regular file, and what `inputs_kept` protects, is refused.

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
    with _beside(path) as (temporary, target):
        yield temporary
        if not temporary.stat().st_size:
            raise FileRefusedError(f"Cannot write {path}: there is no content.")
        _settle(temporary, target)
        _move(temporary, target)


@contextlib.contextmanager
def _beside(path: Path | str) -> Iterator[tuple[Path, Path]]:
    """Yield an empty temporary file and the file that it is to replace; remove the former in the end."""
    with _in_words(f"Cannot write {path}", "Choose another place or free it"):
        target = _target(Path(path))
        remove_stale(target.parent)
        temporary = target.with_name(f".{secrets.token_hex(6)}.part")
        try:
            # what replaces a file is nobody else's before it has that file's permissions
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if target.exists() else 0o666)
            os.close(descriptor)
            yield temporary, target
        finally:
            temporary.unlink(missing_ok=True)


def _target(path: Path) -> Path:
    """File that is written under a name: behind a symbolic link the one that it points to."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if not target.parent.is_dir():
        raise FileRefusedError(f"Cannot write {path}: the folder {target.parent} does not exist. Create it first.")
    if target.is_dir():
        raise FileRefusedError(f"Cannot write {path}: it is a folder. Name a file.")
    if os.path.lexists(target) and not target.is_file():
        raise FileRefusedError(f"Cannot write {path}: it is no regular file. Name one.")
    if os.path.realpath(target) in (_inputs.get() or ()):
        raise FileRefusedError(f"Cannot write {path}: it is an input of the same command. Name another file.")
    return target


def remove_stale(folder: Path, older_than_s: float = _STALE_S) -> None:
    """Remove temporary files that killed processes left in a folder; all of them where nobody else writes there."""
    for path in folder.glob(".*.part"):
        with contextlib.suppress(OSError):  # another process may have done it
            if _TEMPORARY.fullmatch(path.name) and time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()


def _settle(temporary: Path, target: Path) -> None:
    """Give a written file the permissions of the one that it replaces, and have the system put it on the disk."""
    if target.exists():
        temporary.chmod(stat.S_IMODE(target.stat().st_mode))
    with temporary.open("rb+" if os.name == "nt" else "rb") as file:  # Windows wants to write what it flushes
        os.fsync(file.fileno())


def _move(temporary: Path, target: Path) -> None:
    """Move a written file to its name, which then outlives a power cut as well."""
    temporary.replace(target)
    (_inputs.get() or set()).discard(os.path.realpath(target))
    if os.name != "nt":  # Windows opens no folders
        folder = os.open(target.parent, os.O_RDONLY)
        with contextlib.suppress(OSError):  # some file systems have no such call for folders
            os.fsync(folder)
        os.close(folder)


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


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files that belong together: none is moved to its name before all are written."""
    with contextlib.ExitStack() as stack:
        places = [stack.enter_context(_beside(path)) for path in contents]
        for (temporary, target), content in zip(places, contents.values(), strict=True):
            temporary.write_bytes(content)
            _settle(temporary, target)
        for temporary, target in places:
            _move(temporary, target)


def check_neighbour(path: Path, ours: Callable[[Path], bool]) -> None:
    """Refuse to write a file, whose name follows from the one that was asked for, over one that is not `ours`.

    An error of `ours` means that it is not.
    """
    check_writable(path)
    try:
        kept = os.path.lexists(path) and not ours(path)
    except Exception:  # noqa: BLE001 - a file of others may hold anything
        kept = True
    if kept:
        raise FileRefusedError(
            f"{path}, which belongs to the file asked for, exists and is no file of an export. Choose another name."
        )


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
    protected = _inputs.get()
    if protected is not None:
        protected.add(os.path.realpath(file))
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


def digest_of(path: Path | str) -> str:
    """SHA-256 of the content of a file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path | str) -> Path:
    """Return `folder` as a Path, created if missing, or refuse it where nothing can be written into it."""
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError as error:
        raise FileRefusedError(f"Cannot write into the folder {target}: {error.strerror}. Choose another.") from error
    return target


@contextlib.contextmanager
def new_folder(folder: Path | str, *, notes: Sequence[str] = ()) -> Iterator[Path]:
    """Yield `folder`, created if missing; one that was made for a block that fails or is stopped is removed again.

    It stays where it holds a file that is none of the `notes` that a command writes for itself.
    """
    made = [place for place in (Path(folder), *Path(folder).parents) if not place.exists()]
    try:
        yield make_folder(folder)
    except BaseException:
        if made and made[0].is_dir() and all(p.is_dir() or p.name in notes for p in made[0].rglob("*")):
            shutil.rmtree(made[0])
            with contextlib.suppress(OSError):  # another command has put something beside it
                for parent in made[1:]:
                    parent.rmdir()
        raise
