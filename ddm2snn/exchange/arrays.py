"""Arrays by name from files of other people's, none of which is trusted: nothing is executed, and sizes are checked."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import FileRefusedError
from ddm2snn.storage import require_file

if TYPE_CHECKING:
    import h5py

MOST_BYTES = 2**32  # of one array: a dense matrix of 23,000 units
_MOST_NUMBERS = MOST_BYTES // 8

Arrays = dict[str, np.ndarray]


def read_arrays(path: Path | str) -> Arrays:
    """Arrays of numbers in a NumPy (.npz), safetensors, MATLAB (.mat), HDF5 or PyTorch file (.pt, .pth), by name.

    Arrays in groups or nested dictionaries are named by their path, such as ``layer/m``; what is no array of
    numbers is left out. PyTorch files are read with ``weights_only=True``.

    Raises
    ------
    FileRefusedError
        Where the file is missing, of another kind, damaged, or announces an array of more than 4 GiB.
    """
    found = require_file(path)
    reader = _reader_of(found)
    try:
        arrays = reader(found)
    except FileRefusedError:
        raise
    except MemoryError as error:
        raise FileRefusedError(f"{found} does not fit into memory. Save the arrays that are needed alone.") from error
    except Exception as error:  # whatever a parser of a foreign format raises on a damaged file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FileRefusedError(f"{found} cannot be read as {found.suffix or 'a known format'}: {reason}.") from error
    kept = {name: array for name, array in arrays.items() if array.dtype.kind in "biuf"}
    if not kept:
        raise FileRefusedError(f"{found} holds no array of numbers. Save the weights by name.")
    return kept


def _reader_of(path: Path) -> Callable[[Path], Arrays]:
    readers = {
        ".npz": _from_npz,
        ".safetensors": _from_safetensors,
        ".mat": _from_matlab,
        ".h5": _from_hdf5,
        ".hdf5": _from_hdf5,
        ".pt": _from_torch,
        ".pth": _from_torch,
    }
    if path.suffix.lower() not in readers:
        raise FileRefusedError(f"{path} is of no known kind; known are {', '.join(readers)}. Save the arrays as .npz.")
    return readers[path.suffix.lower()]


def _check_size(path: Path, name: str, shape: tuple[int, ...]) -> None:
    count = 1
    for length in shape:
        count *= int(length)
    if count > _MOST_NUMBERS:
        raise FileRefusedError(
            f"{path} announces {name!r} with shape {tuple(map(int, shape))}, more than {MOST_BYTES // 2**30} GiB. "
            "Save its factors instead."
        )


def _from_npz(path: Path) -> Arrays:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(member)
            _check_size(path, info.filename, shape)
            needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
            if not dtype.hasobject and needed > info.file_size:
                raise FileRefusedError(f"{path} is damaged: {info.filename} is shorter than the shape it announces.")
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


def _from_safetensors(path: Path) -> Arrays:
    from safetensors import safe_open

    with safe_open(str(path), framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


def _from_matlab(path: Path) -> Arrays:
    from scipy.io import loadmat, whosmat

    with path.open("rb") as file:
        start = file.read(128)
    if start.startswith(b"\x89HDF") or b"MATLAB 7.3" in start:
        # MATLAB stores axes in its own order, the first one running fastest
        return {name: array.T for name, array in _from_hdf5(path).items()}
    try:
        for name, shape, _ in whosmat(str(path)):
            _check_size(path, name, shape)
        content = loadmat(str(path))
    except zlib.error as error:
        raise FileRefusedError(f"{path} is damaged: {error}.") from error
    return {name: value for name, value in content.items() if isinstance(value, np.ndarray)}


def _from_hdf5(path: Path) -> Arrays:
    import h5py

    with h5py.File(path, "r") as file:
        return dict(_datasets(path, file, "", set()))


def _datasets(path: Path, group: h5py.Group, prefix: str, seen: set[object]) -> Iterator[tuple[str, np.ndarray]]:
    """Datasets that lie in this very file: links that lead out of it, or back, are not followed."""
    import h5py

    for name in map(str, group):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if item in seen:
            continue
        seen.add(item)
        if isinstance(item, h5py.Group):
            yield from _datasets(path, item, f"{prefix}{name}/", seen)
        elif isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
            if item.external or item.is_virtual:
                raise FileRefusedError(f"{path} keeps {name!r} in another file. Save it in this one.")
            _check_size(path, name, item.shape)
            yield f"{prefix}{name}", np.asarray(item[()])


def _from_torch(path: Path) -> Arrays:
    import torch

    def flat(value: object, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
        if isinstance(value, dict):
            for name, inner in value.items():
                yield from flat(inner, f"{prefix}/{name}" if prefix else str(name))
        elif isinstance(value, torch.Tensor) and value.layout is torch.strided:
            _check_size(path, prefix, tuple(value.shape))
            yield prefix, value.detach().to("cpu").double().numpy()

    content = torch.load(path, map_location="cpu", weights_only=True)
    return dict(flat(content, "")) if isinstance(content, dict) else {}
