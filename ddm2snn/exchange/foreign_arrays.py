"""Arrays by name from files of other tools.

No file is trusted: nothing is executed, and sizes are checked first, so that a small file does not fill the memory.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from ddm2snn.base.files import damage_refused, require_file
from ddm2snn.base.foreign import Allowance, Arrays, Content, read_apart, refuse_elsewhere
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.recording_formats import KEY, library

_OF_TORCH = (".pt", ".pth", ".pkl", "")
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # begin of files of PyTorch before 1.6
LATENTS, OUTPUTS = "latents", "outputs"
"""What a signal of a recording may be."""
NO_SIGNAL = ""
"""In the place of a signal's name: none is wanted."""
_LONGEST_NPY_HEADER = 10_000  # bytes, NumPy's own limit, which it applies after reading


def read_arrays(path: Path | str) -> Arrays:
    """Arrays of numbers in a NumPy (.npz), safetensors, MATLAB (.mat), HDF5 or PyTorch file, by name.

    PyTorch files end in .pt, .pth, .pkl or in no suffix at all, and are read with ``weights_only=True``, onto the
    processor. Arrays in groups or nested dictionaries are named by their path, such as ``layer/m``. Content other than
    arrays of numbers is left out, arrays of objects in a NumPy file among it.

    Raises
    ------
    FileRefusedError
        Where the file is missing, of another kind, damaged, or announces more numbers than it can hold
        (`Allowance`).

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/weights.npz", W=np.eye(3), note=np.array("made by hand"))
    ...     list(read_arrays(f"{folder}/weights.npz"))
    ['W']
    """
    file = require_file(path)
    readers = {".npz": _from_npz, ".safetensors": _from_safetensors, **dict.fromkeys(_OF_TORCH, _from_torch)}
    kind, apart = file.suffix.lower(), {".mat": matlab_content, ".h5": hdf5_content, ".hdf5": hdf5_content}
    if kind not in {**readers, **apart}:
        known = ", ".join(filter(None, {**readers, **apart}))
        raise FileRefusedError(f"{file} is of no known kind; known are {known}. Save the arrays as .npz.")
    if kind in apart:
        _, arrays = read_apart(apart[kind], file)
    else:
        with damage_refused(file, kind or "PyTorch"):
            arrays = readers[kind](file)
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "biuf"}
    if not numbers:
        raise FileRefusedError(f"{file} holds no array of numbers. Save the weights by name.")
    return numbers


def _from_npz(path: Path) -> Arrays:
    allowance, pickled = Allowance(path), set()
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                shape, dtype = _npy_header(path, info.filename, member)
            if dtype.hasobject:  # a pickle, which is not opened
                pickled.add(info.filename.removesuffix(".npy"))
                continue
            allowance.take(info.filename, shape, dtype.itemsize)
            needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
            if needed > info.file_size:
                raise FileRefusedError(
                    f"{path} is damaged: {info.filename} is shorter than the shape it announces. Write it anew."
                )
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files if name not in pickled}


def _npy_header(path: Path, name: str, member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of a member; the length of its header is checked before the header is read."""
    version = np.lib.format.read_magic(member)
    size, read_header = (
        (2, np.lib.format.read_array_header_1_0) if version == (1, 0) else (4, np.lib.format.read_array_header_2_0)
    )
    length = member.read(size)
    (announced,) = struct.unpack("<H" if size == 2 else "<I", length)
    if announced > _LONGEST_NPY_HEADER:
        raise FileRefusedError(f"{path} is damaged: {name} announces a header of {announced} bytes. Write it anew.")
    shape, _, dtype = read_header(io.BytesIO(length + member.read(announced)))
    return shape, dtype


def _from_safetensors(path: Path) -> Arrays:
    from safetensors import safe_open

    with safe_open(str(path), framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict


_MATLAB_MATRIX, _MATLAB_COMPRESSED, _MATLAB_COMPLEX, _MATLAB_LOGICAL = 14, 15, 0x0800, 0x0200
_MATLAB_NUMBERS = {*range(1, 8), 9, 12, 13}  # types of elements that hold numbers
_MATLAB_NUMERIC = range(6, 16)  # classes of variables that are arrays of numbers


def matlab_content(path: Path) -> Content:
    """Arrays of a MATLAB file, in the process of the caller; see `ddm2snn.base.foreign.read_apart`."""
    from scipy.io import loadmat, whosmat

    with path.open("rb") as file:
        start = file.read(128)
    if start.startswith(b"\x89HDF") or b"MATLAB 7.3" in start:
        # MATLAB stores axes in its own order, the first one running fastest
        return None, {name: array.T for name, array in hdf5_content(path)[1].items()}
    allowance, numeric = Allowance(path), []
    _check_unpacked(path)
    try:
        for name, shape, kind in whosmat(str(path)):
            if kind.startswith(("double", "single", "int", "uint", "logical")):  # a cell or a struct can hold anything
                allowance.take(name, shape)
                numeric.append(name)
        content = loadmat(str(path), variable_names=numeric) if numeric else {}
    except zlib.error as error:
        raise FileRefusedError(f"{path} is damaged: {error}. Write it anew.") from error
    arrays = {name: value for name, value in content.items() if isinstance(value, np.ndarray)}
    return None, {name: array for name, array in arrays.items() if array.dtype.kind in "biuf"}


def _check_unpacked(path: Path) -> None:
    """Refuse variables of a MATLAB 5 file on which SciPy runs out of memory or crashes.

    These are variables that unpack to more than the file's allowance, and arrays without sound elements. The file has a
    head of 128 bytes, whose last two give the byte order, and then a row of elements: type, number of bytes, content.
    """
    allowance = Allowance(path)
    with path.open("rb") as file:
        mark = file.read(128)[126:]
        order = "<" if mark == b"IM" else ">"
        while len(head := file.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", head)
            end, variable = file.tell() + size, file
            if kind == _MATLAB_COMPRESSED:
                variable = _unpacked(file.read(min(size, path.stat().st_size)), allowance)
                kind, _ = struct.unpack(f"{order}II", variable.read(8).ljust(8, b"\0"))
            if kind == _MATLAB_MATRIX and mark in (b"IM", b"MI"):
                _check_elements(path, variable, order)
            file.seek(end)


def _unpacked(content: bytes, allowance: Allowance) -> io.BytesIO:
    """Compressed element, unpacked piece by piece within the allowance."""
    unpacker, unpacked = zlib.decompressobj(), io.BytesIO()
    while content and not unpacker.eof:
        allowance.spend(unpacked.write(unpacker.decompress(content, 2**20)), "compressed variables")
        content = unpacker.unconsumed_tail
    unpacked.seek(0)
    return unpacked


def _check_elements(path: Path, variable: IO[bytes], order: str) -> None:
    """Refuse an array whose real or imaginary part is of no type of numbers.

    An array has the elements flags, dimensions, name, real part and, where the flags say so, imaginary part. SciPy does
    not check their types, and takes the next bytes for an imaginary part that is missing.
    """
    kinds, expected = [], 4
    while len(kinds) < expected and len(head := variable.read(8)) == 8:
        kind, size = struct.unpack(f"{order}II", head)
        small = kind >> 16  # number of bytes of a content of at most four, which then takes the place of the size
        kinds.append(kind & 0xFFFF if small else kind)
        end = variable.tell() if small else variable.tell() - (-size // 8) * 8
        if len(kinds) == 1:
            (flags,) = struct.unpack(f"{order}I", variable.read(4).ljust(4, b"\0"))
            if flags & 0xFF not in _MATLAB_NUMERIC:
                if flags & _MATLAB_LOGICAL:  # SciPy takes these for arrays of numbers
                    raise FileRefusedError(f"{path} is damaged: class {flags & 0xFF} cannot be logical. Write it anew.")
                return  # SciPy is asked for arrays of numbers only
            expected += bool(flags & _MATLAB_COMPLEX)
        variable.seek(end)
    if len(kinds) < expected or not _MATLAB_NUMBERS.issuperset(kinds):
        raise FileRefusedError(f"{path} is damaged: an array has elements of types {kinds}. Write it anew.")


def hdf5_content(path: Path) -> Content:
    """Arrays of an HDF5 file, in the process of the caller; see `ddm2snn.base.foreign.read_apart`."""
    with h5py.File(path, "r") as file:
        return None, dict(_datasets(Allowance(path), file, "", set()))


def _datasets(
    allowance: Allowance, group: h5py.Group, prefix: str, seen: set[object]
) -> Iterator[tuple[str, np.ndarray]]:
    """Datasets of this file by name; links out of the file and links back are not followed."""
    for name in map(str, group):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if item in seen:
            continue
        seen.add(item)
        if isinstance(item, h5py.Group):
            yield from _datasets(allowance, item, f"{prefix}{name}/", seen)
        elif isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
            allowance.take_dataset(item)
            yield f"{prefix}{name}", np.asarray(item[()])


def hdf5_parts(path: Path, *names: str) -> Content:
    """Shapes of the arrays of numbers of an HDF5 file, attributes, and the texts and arrays of these names.

    It runs in the process of the caller; see `ddm2snn.base.foreign.read_apart`. Links are not followed.
    """
    allowance, arrays = Allowance(path), {}
    listing: dict[str, dict[str, Any]] = {"shapes": {}, "attributes": {}, "texts": {}}

    def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
        values = {key: value for key, value in item.attrs.items() if np.ndim(value) == 0}
        listing["attributes"][name] = {
            key: value.item() if isinstance(value, np.generic) else value
            for key, value in values.items()
            if isinstance(value, str | float | int | np.floating | np.integer)
        }
        if not isinstance(item, h5py.Dataset):
            return
        if item.dtype.kind in "biuf":
            listing["shapes"][name] = item.shape
            if name in names:
                allowance.take_dataset(item)
                arrays[name] = np.asarray(item[()])
        elif name in names and item.shape == () and h5py.check_string_dtype(item.dtype) is not None:
            refuse_elsewhere(path, item)
            allowance.spend(item.dtype.itemsize, f"a text of {item.dtype.itemsize} bytes")
            listing["texts"][name] = str(item.asstr()[()])

    with h5py.File(path, "r") as file:
        look("", file)
        file.visititems(look)
    return listing, arrays


def nix_content(path: Path, signal: str | None = None) -> Content:
    """Parts of the block of a NIX file, in the process of the caller; see `ddm2snn.base.foreign.read_apart`."""
    allowance = Allowance(path)

    def check(group: h5py.Group, seen: set[object]) -> None:
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise FileRefusedError(f"{path} keeps {name!r} in another file. Save it in this one.")
            item = group[name]
            if item in seen:
                continue
            seen.add(item)
            if isinstance(item, h5py.Dataset) and item.size:
                allowance.take_dataset(item)
            elif isinstance(item, h5py.Group):
                check(item, seen)

    with h5py.File(path, "r") as file:
        check(file, set())
    with library("neo.io", "neo").NixIO(str(path), "ro") as nix:
        blocks = nix.read_all_blocks()
        if len(blocks) != 1:
            raise FileRefusedError(f"{path} holds {len(blocks)} blocks of Neo. Read them with Neo, and give one.")
        return neo_parts(blocks[0], signal)


def neo_parts(block: Any, signal: str | None) -> Content:  # noqa: ANN401 - a class of a package that may be missing
    """Header, and names, steps and durations of the chosen signals of a Neo block, with the signals and all spikes."""
    segments = block.segments
    if not segments:
        raise InputError("The Neo block has no segments. Give one with a segment for each trial.")
    names = [str(each.name or number) for number, each in enumerate(segments[0].analogsignals)]
    chosen = chosen_signals(names, signal, "The Neo block")
    arrays, steps, durations, columns = {}, [], [], []
    for trial, segment in enumerate(segments):
        if len(segment.analogsignals) <= max(chosen.values(), default=-1):
            raise InputError(f"Segment {trial} of the Neo block lacks a signal that segment 0 has. Leave it out.")
        trains, start = segment.spiketrains, None
        for role, number in chosen.items():
            each = segment.analogsignals[number]
            arrays[f"{role}/{trial}"] = np.asarray(each.magnitude)
            steps.append(float(each.sampling_period.rescale("s").magnitude))
            start = float(each.t_start.rescale("s").magnitude)
            durations.append(steps[-1] * (len(each) - 1))
        if trains and start is None:
            start = min(float(train.t_start.rescale("s").magnitude) for train in trains)
            durations.append(max(float(train.t_stop.rescale("s").magnitude) for train in trains) - start)
        for number, train in enumerate(trains):
            times = np.asarray(train.rescale("s").magnitude, dtype=np.float64) - (start or 0.0)
            own = train.annotations.get("neuron")
            neuron = int(own) if isinstance(own, int | np.integer) else number
            columns.append((times, np.full(len(times), neuron), trial))
    if columns:
        times, neurons, trials = zip(*columns, strict=True)
        arrays["spikes/time_s"], arrays["spikes/neuron"] = np.concatenate(times), np.concatenate(neurons)
        arrays["spikes/trial"] = np.repeat(trials, [len(part) for part in times])
    header = block.annotations.get(KEY)
    content = {"names": names, "steps": steps, "durations": durations, "trials": len(segments)}
    return {**content, "header": None if header is None else str(header)}, arrays


def chosen_signals(names: Sequence[str], signal: str | None, label: str) -> dict[str, int]:
    """Numbers of the signals that are latents and outputs; a signal may be named by the last part of its path."""
    if signal == NO_SIGNAL:
        return {}
    last = [name.rsplit("/", 1)[-1] for name in names]
    chosen = {OUTPUTS: last.index(OUTPUTS)} if OUTPUTS in last and signal is None else {}
    if signal is None:
        only = [0] if len(names) == 1 else []
        places = [last.index(LATENTS)] if LATENTS in last else only
        return chosen | dict.fromkeys([LATENTS] * len(places), *places)
    places = [i for i, name in enumerate(names) if name == signal] or [i for i, n in enumerate(last) if n == signal]
    if not places and signal.isdecimal() and int(signal) < len(names):
        places = [int(signal)]
    if len(places) != 1:
        raise InputError(f"{label} has {len(places)} signals {signal!r}; it has {listed(names)}. Name one.")
    return {LATENTS: places[0]}


def listed(names: Sequence[str]) -> str:
    """Names for a message."""
    return ", ".join(map(repr, names[:12])) or "none"


def _from_torch(path: Path) -> Arrays:
    from pickle import UnpicklingError  # what PyTorch raises instead of executing anything

    import torch

    allowance = Allowance(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            Allowance(path).spend(sum(info.file_size for info in archive.infolist()), "compressed records")
            if (name := archive.testzip()) is not None:  # PyTorch looks at no checksum
                raise FileRefusedError(f"{path} is damaged: {name!r} does not match its checksum. Write it anew.")

    def flat(value: object, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
        if isinstance(value, dict | list | tuple):
            for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from flat(inner, f"{prefix}/{name}" if prefix else str(name))
        elif isinstance(value, torch.Tensor) and value.layout is torch.strided:
            allowance.take(prefix, value.shape)  # a view of a single number can have any shape
            yield prefix, value.detach().to("cpu").double().numpy()

    with path.open("rb") as file:
        other = not zipfile.is_zipfile(path) and file.read(len(_OLD_TORCH)) != _OLD_TORCH
    try:
        content = None if other else torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        other, content = True, None
    if other:
        raise FileRefusedError(
            f"{path} cannot be read as PyTorch: it holds more than tensors, or is no such file. Nothing in it was "
            "executed. Save the arrays as .npz, or a state dict by torch.save."
        )
    return dict(flat(content, "")) if isinstance(content, dict | list | tuple) else {}
