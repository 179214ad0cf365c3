"""Files of unknown origin: what they may announce, and a process of their own for libraries that hang or crash on them.

HDF5 and the MATLAB reader of SciPy are written in C and trust what they read. A child process runs them with bounds on
time and memory and sends numbers back: a line of JSON, and the bytes of the arrays behind it.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.files import damage_refused
from ddm2snn.errors import FileRefusedError, InputError

if TYPE_CHECKING:
    import h5py

Arrays = dict[str, np.ndarray]
Content = tuple[Any, Arrays]
"""JSON values of a file, and its arrays of numbers by name."""
SPARE_BYTES = 2**26
"""Bytes of arrays that a file of any size may hold."""
_BYTES_PER_BYTE = 100  # bytes of arrays for each byte of the file; constant arrays compress as well, weights do not
_MOST_BYTES = 2**32  # of one array: a dense matrix of 23,000 units
_SPARE_S, _S_PER_BYTE = 3.0, 1e-7  # processor time of a reader
_WALL = 20.0  # seconds for each second of processor time, on a busy machine and where processor time has no bound
_LIBRARIES_BYTES = 2**28  # address space that a reader needs besides twice the allowance


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


def read_apart(reader: Callable[..., Content], path: Path, *words: str, pace: float = 1.0) -> Content:
    """Result of a reader, a function of a module, that runs in a child process with bounds on time and memory.

    It is called with the path and the `words`, and may take `pace` times as long for each byte of the file.

    Raises
    ------
    FileRefusedError
        In the words of the reader, or because it took too long, too much memory or crashed.
    """
    name = f"{reader.__module__}:{reader.__qualname__}"
    with tempfile.TemporaryFile(prefix="ddm2snn-") as output:
        status, said = _run(name, path, output, pace, *words)
        output.seek(0)
        if status:
            raise FileRefusedError(f"{path} is damaged: {_reason(status, said)}. Write it anew.")
        head = json.loads(output.readline())
        if "refused" in head:
            raise FileRefusedError(head["refused"])
        shapes = {name: (np.dtype(kind), tuple(shape)) for name, kind, shape in head["arrays"]}
        arrays = {n: np.fromfile(output, kind, math.prod(s)).reshape(s) for n, (kind, s) in shapes.items()}
    return head["content"], arrays


def _run(name: str, path: Path, output: IO[bytes], pace: float, *words: str) -> tuple[int, str]:
    """Run a reader in a process of its own; return its exit status, below zero for a signal, and what it said."""
    # -P: no module is taken from the current folder, which may be that of the file
    command = [sys.executable, "-P", "-m", __name__, name, str(path), str(pace), *words]
    settings = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, env=settings, check=False,
            timeout=_WALL * _seconds(path, pace),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return _TOO_LONG, ""
    return done.returncode, done.stderr.decode(errors="replace")


_TOO_LONG = -24  # the number of SIGXCPU, which there is not everywhere


def _reason(status: int, said: str) -> str:
    if status == _TOO_LONG:
        return "reading it does not end"
    last = (said.strip().splitlines() or ["no message"])[-1]
    return f"its reader crashed (signal {-status})" if status < 0 else f"its reader failed ({last})"


def _seconds(path: Path, pace: float) -> float:
    return _SPARE_S + pace * _S_PER_BYTE * path.stat().st_size


def _bound(path: Path, pace: float) -> None:
    """Bound this process, as far as the system can: processor time, address space, no dump of a crash."""
    try:
        import resource
    except ImportError:  # Windows: the parent's clock and the allowance are the bounds
        return
    limits = {"RLIMIT_CORE": 0, "RLIMIT_CPU": math.ceil(time.process_time() + _seconds(path, pace))}
    sizes = Path("/proc/self/statm")
    if sizes.exists():
        now = int(sizes.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        limits["RLIMIT_AS"] = now + 2 * Allowance(path).left + _LIBRARIES_BYTES
    for name, limit in limits.items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(number, (limit, hard))


def serve(name: str, path: Path, output: IO[bytes], pace: float = 1.0, *words: str) -> None:
    """Write what a reader makes of a file: as the child process of `read_apart`."""
    module, _, function = name.partition(":")
    reader: Callable[..., Content] = getattr(importlib.import_module(module), function)
    warnings.simplefilter("ignore")
    _bound(path, pace)
    try:
        with damage_refused(path, path.suffix):
            content, arrays = reader(path, *words)
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        head = {"content": content, "arrays": [(n, a.dtype.str, a.shape) for n, a in arrays.items()]}
    except InputError as error:
        head, arrays = {"refused": str(error)}, {}
    output.write(json.dumps(head).encode() + b"\n")
    for array in arrays.values():
        output.write(array.data if array.size else b"")
    output.flush()


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]), sys.stdout.buffer, float(sys.argv[3]), *sys.argv[4:])
