"""Arrays: read-only ones of frozen dataclasses, and large ones, which lie in a file without a name."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import mmap
import operator
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LARGE_BYTES = 2**24
"""Size from which on an array lies in a file."""
_BLOCK = 2**20
_ANNOTATION = re.compile(r"""(?P<kind>Float|Int)\[np\.ndarray, ["'](?P<axes>[*a-z_ ]+)["']\]""")


def array_fields(cls: type[DataclassInstance]) -> dict[str, tuple[type, tuple[str, ...]]]:
    """Map each array field of a dataclass to its dtype and the names of its axes, read off the annotation.

    A field annotated ``Float[...] | None`` may be left out. An axis with a star before its name, which is the first,
    may be missing.

    Examples
    --------
    >>> @dataclasses.dataclass
    ... class Weights:
    ...     encoders: Float[np.ndarray, "neuron rank"]
    ...     dt_s: float
    >>> array_fields(Weights)
    {'encoders': (<class 'numpy.float64'>, ('neuron', 'rank'))}
    """
    shapes, own = {}, inspect.get_annotations(cls)
    for field in sorted(dataclasses.fields(cls), key=lambda field: field.name not in own):  # inherited ones last
        match = _ANNOTATION.match(field.type) if isinstance(field.type, str) else None
        if match:
            dtype = np.float64 if match["kind"] == "Float" else np.int64
            shapes[field.name] = (dtype, tuple(match["axes"].split()))
    return shapes


def arrays_of(instance: DataclassInstance) -> dict[str, np.ndarray]:
    """Arrays of an instance by name, without those that are None.

    An array in a dataclass that is itself a field has a dotted name: ``neuron.tau_membrane_s``.
    """
    arrays = {name: getattr(instance, name) for name in array_fields(type(instance))}
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            arrays |= {f"{field.name}.{inner.name}": getattr(value, inner.name) for inner in dataclasses.fields(value)}
    return {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}


def freeze_arrays(instance: DataclassInstance) -> None:
    """Replace every array field by a read-only copy, checking type, finiteness and the agreement of axes.

    An array that is read-only and whose memory no writable array shares is taken as it is.

    Raises
    ------
    InputError
        Where an array has the wrong number of axes, holds NaN or infinity, or disagrees with another
        array about the length of an axis that both name.
    """
    owner = type(instance).__name__
    lengths: dict[str, tuple[int, str]] = {}
    for name, (dtype, axes) in array_fields(type(instance)).items():
        if getattr(instance, name) is None and getattr(type(instance), name, ...) is None:
            continue
        array = as_array(getattr(instance, name), dtype, f"{owner}.{name}")
        needed = [axis for axis in axes if not axis.startswith("*")]
        if array.ndim not in (len(needed), len(axes)):
            also = f", and {axes[0][1:]} before them or not" if len(axes) > len(needed) else ""
            raise InputError(
                f"{owner}.{name} must have {len(needed)} axes ({', '.join(needed)}{also}), got shape {array.shape}."
            )
        for axis, length in zip(axes[len(axes) - array.ndim :], array.shape, strict=True):
            expected, first = lengths.setdefault(axis, (length, name))
            if length != expected:
                raise InputError(f"{owner}.{name} has {length} along `{axis}`, but {first} has {expected}.")
        array.setflags(write=False)
        object.__setattr__(instance, name, array)


def as_array(value: object, dtype: type, label: str) -> np.ndarray:
    """Array of finite numbers of a dtype, or a refusal that names it by `label`; a copy unless nobody can change it."""
    try:
        raw = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{label} must be an array of numbers, got {type(value).__name__}.") from error
    if raw.dtype.kind not in "biuf":
        raise InputError(f"{label} must be an array of numbers, got {type(value).__name__}.")
    flat = np.reshape(raw, -1)
    bad = sum(part.stop - part.start - int(np.isfinite(flat[part]).sum()) for part in blocks_of(flat.size))
    if bad:
        raise InputError(f"{label} holds {bad} value(s) that are NaN or infinite; every entry must be finite.")
    if raw.dtype == dtype and raw.flags.c_contiguous and is_own(raw):
        return raw
    array = np.array(raw, dtype=dtype, order="C")
    if dtype is np.int64 and not np.array_equal(raw, array):
        raise InputError(f"{label} must hold whole numbers of 64 bits, got fractions or larger ones.")
    return array


def check_positive(owner: str, **numbers: float) -> None:
    """Refuse a number that is not finite and above zero, by name.

    >>> check_positive("run", every=0.0)
    Traceback (most recent call last):
    ddm2snn.errors.InputError: run.every must be a finite number above zero, got 0.0.
    """
    for name, number in numbers.items():
        real = isinstance(number, int | float | np.number) and not isinstance(number, bool)
        if not (real and 0 < number < float("inf") and np.isfinite(float(number))):
            raise InputError(f"{owner}.{name} must be a finite number above zero, got {number!r}.")


def as_count(label: str, value: object) -> int:
    """Return a whole number above zero as an int, or refuse it by its label.

    >>> as_count("trials", 16)
    16
    """
    try:
        count = operator.index(value)  # pyright: ignore[reportArgumentType] - that is the question
    except TypeError:
        count = 0
    if isinstance(value, bool) or count < 1:
        raise InputError(f"{label} must be a whole number above zero, got {value!r}.")
    return count


def check_provenance(owner: str, provenance: object) -> None:
    """Refuse a provenance that could not be saved."""
    try:
        canonical_json(dict(provenance))  # pyright: ignore[reportCallIssue, reportArgumentType] - that is the question
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{owner}.provenance must hold finite JSON values only: {error}.") from error


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no NaN: equal content gives equal text.

    >>> canonical_json({"b": 1, "a": [0.5, None]})
    '{"a":[0.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_fingerprint(kind: str, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> str:
    """Hash of a kind, its named arrays and its JSON settings: the first 16 bytes of SHA-256, in hex.

    The order of arrays and settings does not count; the last bit of a number does.

    Examples
    --------
    >>> content_fingerprint("Net", {"bias": np.zeros(2)}, {"dt_s": 1e-3})
    '826b1e540b3fd8c19384e04b2302b907'
    >>> content_fingerprint("Net", {"bias": np.array([0.0, -0.0])}, {"dt_s": 1e-3})[:8]
    '75796ed7'
    """
    digest = hashlib.sha256(f"{kind}\n{canonical_json(settings)}\n".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()[:32]


def large_array(shape: tuple[int, ...], dtype: type[np.generic] = np.float64) -> np.ndarray[Any, Any]:
    """Array to be filled: in memory below `LARGE_BYTES`, else in a file of the temporary folder.

    The file has no name, so that the system removes it with the array. Its room is reserved at once: a full disk is an
    `OSError` here, no fault in the middle of a run.

    Examples
    --------
    >>> isinstance(large_array((2**21,)), np.memmap), isinstance(large_array((8,)), np.memmap)
    (True, False)
    """
    size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    if size < LARGE_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="ddm2snn-") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return np.memmap(file, dtype, mode="r+", shape=shape)


def is_own(array: np.ndarray[Any, Any]) -> bool:
    """Whether an array is read-only and no writable array shares its memory, so that it needs no copy.

    >>> array = np.zeros(3)
    >>> array.setflags(write=False)
    >>> is_own(array), is_own(np.zeros(3)[:])
    (True, False)
    """
    part: object = array
    while isinstance(part, np.ndarray):
        if part.flags.writeable:
            return False
        if part.flags.owndata:
            return True
        part = part.base
    return isinstance(part, mmap.mmap)


def blocks_of(count: int) -> Iterator[slice]:
    """Slices that cover `count` numbers or rows, each of 2^20 at most.

    >>> [part.stop - part.start for part in blocks_of(2**20 + 5)]
    [1048576, 5]
    """
    for first in range(0, count, _BLOCK):
        yield slice(first, min(first + _BLOCK, count))
