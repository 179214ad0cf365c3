"""Compiled programs on disk: a folder for each shape of a problem, checked at each use, bounded in size."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from ddm2snn.errors import InputError

_VARIABLE, _LIMIT = "DDM2SNN_CACHE", "DDM2SNN_CACHE_MIB"
_MANIFEST = "manifest.json"
_DEFAULT_MIB = 256.0
_ABANDONED_S = 3600.0  # a build that takes longer is taken for a killed one


def cache_folder() -> Path:
    """Folder of compiled programs: $DDM2SNN_CACHE, or ddm2snn/programs in the user's cache folder."""
    folder = os.environ.get(_VARIABLE)
    return Path(folder).expanduser() if folder else user_cache_path("ddm2snn", appauthor=False) / "programs"


def limit_bytes() -> int:
    """Size above which the programs that were used longest ago are removed: $DDM2SNN_CACHE_MIB, or 256 MiB."""
    text = os.environ.get(_LIMIT)
    try:
        mib = _DEFAULT_MIB if text is None else float(text)
    except ValueError:
        mib = -1.0
    if not 0 <= mib < 2**43:
        raise InputError(f"{_LIMIT} must be a size in MiB, got {text!r}. Set a number such as 256.")
    return int(mib * 2**20)


@dataclass(frozen=True)
class Entry:
    """One compiled program: what it is `about`, that is, depends on, the hash of that, and the folder that holds it.

    `bytes` is its size on disk, and `used` the time of its last use in seconds since the epoch.
    """

    key: str
    folder: Path
    about: dict[str, Any]
    bytes: int
    used: float


def key_of(about: dict[str, Any]) -> str:
    """Hash of what a program depends on (JSON values).

    >>> key_of({"neurons": 8, "rank": 2}) == key_of({"rank": 2, "neurons": 8})
    True
    """
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


def fetch(about: dict[str, Any], build: Callable[[Path], Path]) -> Path:
    """Program for `about`, built where it is missing or damaged.

    Processes that want the same program wait for one of them; the lock of a process that dies is released. A build that
    is killed leaves a folder that is not taken for a program.

    Parameters
    ----------
    about
        What the program depends on (JSON values).
    build
        Is called with an empty folder and returns the program in it; other files of the folder are removed.

    Raises
    ------
    InputError
        Where the cache folder cannot be written to.
    """
    root, key = cache_folder(), key_of(about)
    folder = root / key
    program = _intact(folder)
    if program is not None:
        return program
    with _writable(root), FileLock(root / f"{key}.lock"):
        program = _intact(folder)  # another process may have built it while this one waited
        if program is not None:
            return program
        shutil.rmtree(folder, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=root) as work:
            program = build(Path(work))
            whole = Path(tempfile.mkdtemp(prefix="build-", dir=root))
            try:
                shutil.copy2(program, whole / program.name)
                manifest = {"about": about, "program": program.name, "sha256": _digest(program)}
                (whole / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
                whole.rename(folder)
            except BaseException:
                shutil.rmtree(whole, ignore_errors=True)
                raise
    _bound(root, keep=key)
    return folder / program.name


@contextlib.contextmanager
def _writable(root: Path) -> Iterator[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError):  # a compiler that is missing, for one
            raise
        raise InputError(
            f"Compiled programs cannot be kept in {root}: {error.strerror}. Set {_VARIABLE} to a folder of yours."
        ) from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and {"about", "program", "sha256"} <= manifest.keys() else None


def _intact(folder: Path) -> Path | None:
    """Program of a folder, marked as used now; None where its content is not what was built."""
    manifest = _manifest(folder)
    if manifest is None:
        return None
    program = folder / Path(str(manifest["program"])).name
    try:
        if _digest(program) != manifest["sha256"] or not os.access(program, os.X_OK):
            return None
        os.utime(folder)
    except OSError:
        return None
    return program


def entries() -> list[Entry]:
    """Programs in the cache, the latest used first."""
    root = cache_folder()
    programs = []
    for folder in root.iterdir() if root.is_dir() else ():
        manifest = _manifest(folder) if folder.is_dir() else None
        if manifest is not None:
            with contextlib.suppress(FileNotFoundError):  # another process has removed it
                size = sum(file.stat().st_size for file in folder.iterdir())
                programs.append(Entry(folder.name, folder, manifest["about"], size, folder.stat().st_mtime))
    return sorted(programs, key=lambda entry: entry.used, reverse=True)


def clear() -> list[Entry]:
    """Remove every program, and return those removed."""
    removed = entries()
    for entry in removed:
        shutil.rmtree(entry.folder, ignore_errors=True)
    _tidy(cache_folder(), older_than_s=0.0)
    return removed


def _bound(root: Path, keep: str) -> None:
    """Remove programs, the longest unused first, until the rest fits; the program `keep` stays."""
    total, limit = 0, limit_bytes()
    for entry in entries():
        total += entry.bytes
        if total > limit and entry.key != keep:
            shutil.rmtree(entry.folder, ignore_errors=True)
    _tidy(root, older_than_s=_ABANDONED_S)


def _tidy(root: Path, older_than_s: float) -> None:
    """Remove folders of killed builds, and with `older_than_s` zero the lock files as well."""
    for path in root.glob("build-*") if root.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime >= older_than_s:
                shutil.rmtree(path, ignore_errors=True)
    for path in root.glob("*.lock") if root.is_dir() and older_than_s == 0.0 else ():
        path.unlink(missing_ok=True)
