"""What work takes, looked at before it begins: refused where it cannot end well, said where it takes long."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

from ddm2snn.errors import InputError

_WORTH_A_WORD_S, _WORTH_A_WORD_BYTES = 60.0, 2.0**30
_FOR_EVER_S = 1e9
_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a job or a container


@dataclass(frozen=True)
class Cost:
    """Least memory and disk space that a piece of work takes, and about how long.

    Parameters
    ----------
    work
        Such as "training of 64 units".
    remedy
        What makes it smaller.
    memory, disk
        Bytes at the peak, and of the files in `folder`, which by default is that of temporary files.
    seconds
        Of one core.

    Examples
    --------
    >>> Cost("simulation", "Take fewer trials", memory=2**30, seconds=700).checked()
    ' (some 12 min, 1.0 GiB of memory)'
    >>> Cost("simulation", "Take fewer trials", seconds=7).checked()
    ''
    >>> Cost("training of 10 units", "Take fewer units", memory=2.0**60).checked()
    Traceback (most recent call last):
    ddm2snn.errors.InputError: The training of 10 units takes at least 1,073,741,824 GiB of memory; this machine has ...
    """

    work: str
    remedy: str
    memory: float = 0.0
    disk: float = 0.0
    seconds: float = 0.0
    folder: Path | None = None

    def checked(self) -> str:
        """Words on what is much, behind a blank and in brackets; empty where nothing is.

        Raises
        ------
        InputError
            Where memory or disk do not suffice, as far as the system tells.
        """
        total = memory_bytes()
        if total is not None and inf > self.memory > total:  # what is no number is refused by its own name
            raise InputError(
                f"The {self.work} takes at least {_amount(self.memory)} of memory; this machine has {_amount(total)}. "
                f"{self.remedy}."
            )
        folder = Path(tempfile.gettempdir()) if self.folder is None else self.folder.absolute()
        free = shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free
        if inf > self.disk > free:
            other = ", or set TMPDIR to another folder" if self.folder is None else ""
            raise InputError(
                f"The {self.work} takes at least {_amount(self.disk)} in {folder}, where {_amount(free)} are free. "
                f"{self.remedy}{other}."
            )
        words = [_duration(self.seconds)] if self.seconds >= _WORTH_A_WORD_S else []
        words += [f"{_amount(self.memory)} of memory"] if inf > self.memory >= _WORTH_A_WORD_BYTES else []
        words += [f"{_amount(self.disk)} on disk"] if inf > self.disk >= _WORTH_A_WORD_BYTES else []
        return f" ({', '.join(words)})" if words else ""


def memory_bytes() -> int | None:
    """Memory that this process may take: of the machine, of its control group or its own; None where none is told."""
    return min(_memory_limits(), default=None)


def _memory_limits() -> Iterator[int]:
    try:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows, among others
        return
    for name in _GROUP_LIMITS:
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdecimal():
            yield int(text)
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        yield limit


def _amount(size: float) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:,.{0 if size >= 10 * unit else 1}f} {name}"
    return f"{size:.0f} bytes"


def _duration(seconds: float) -> str:
    if seconds > _FOR_EVER_S:
        return "many years"
    return f"some {seconds / 60:.0f} min" if seconds < 7200 else f"some {seconds / 3600:,.0f} h"
