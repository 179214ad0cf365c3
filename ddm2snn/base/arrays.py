"""Read-only arrays in frozen dataclasses: shapes stated once in the annotation, checked where users enter."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import operator
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.large_arrays import blocks_of, is_own
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_ANNOTATION = re.compile(r"""(?P<kind>Float|Int)\[np\.ndarray, ["'](?P<axes>[a-z_ ]+)["']\]""")


def array_fields(cls: type[DataclassInstance]) -> dict[str, tuple[type, tuple[str, ...]]]:
    """Map each array field of a dataclass to its dtype and the names of its axes, read off the annotation.

    A field annotated ``Float[...] | None`` may be left out.
    """
    found = {}
    for field in dataclasses.fields(cls):
        match = _ANNOTATION.match(field.type) if isinstance(field.type, str) else None
        if match:
            dtype = np.float64 if match["kind"] == "Float" else np.int64
            found[field.name] = (dtype, tuple(match["axes"].split()))
    return found


def arrays_of(instance: DataclassInstance) -> dict[str, np.ndarray]:
    """Arrays that an instance holds, by name; those left out are missing.

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

    What is read-only already, and nobody's to change, is kept.

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
        if array.ndim != len(axes):
            raise InputError(f"{owner}.{name} must have {len(axes)} axes ({', '.join(axes)}), got shape {array.shape}.")
        for axis, length in zip(axes, array.shape, strict=True):
            known, where = lengths.setdefault(axis, (length, name))
            if length != known:
                raise InputError(f"{owner}.{name} has {length} along `{axis}`, but {where} has {known}.")
        array.setflags(write=False)
        object.__setattr__(instance, name, array)


def as_array(value: object, dtype: type, label: str) -> np.ndarray:
    """Array of finite numbers of a dtype, or a refusal that names it by `label`; a copy unless nobody can change it."""
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{label} must be an array of numbers, got {type(value).__name__}.") from error
    if given.dtype.kind not in "biuf":
        raise InputError(f"{label} must be an array of numbers, got {type(value).__name__}.")
    flat = np.reshape(given, -1)
    bad = sum(part.stop - part.start - int(np.isfinite(flat[part]).sum()) for part in blocks_of(flat.size))
    if bad:
        raise InputError(f"{label} holds {bad} value(s) that are NaN or infinite; every entry must be finite.")
    if given.dtype == dtype and given.flags.c_contiguous and is_own(given):
        return given
    array = np.array(given, dtype=dtype, order="C")
    if dtype is np.int64 and not np.array_equal(given, array):
        raise InputError(f"{label} must hold whole numbers of 64 bits, got fractions or larger ones.")
    return array


def check_positive(owner: str, **numbers: float) -> None:
    """Refuse a number that is not finite and above zero, by name."""
    for name, number in numbers.items():
        if not (isinstance(number, int | float | np.number) and np.isfinite(number) and number > 0):
            raise InputError(f"{owner}.{name} must be a finite number above zero, got {number!r}.")


def as_count(label: str, value: object) -> int:
    """Return a whole number above zero as an int, or say why it is none."""
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
        canonical_json(provenance)
    except (TypeError, ValueError) as error:
        raise InputError(f"{owner}.provenance must hold finite JSON values only: {error}.") from error


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no NaN: equal content gives equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_fingerprint(kind: str, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> str:
    """Hash of a kind, its named arrays and its JSON settings: the first 16 bytes of SHA-256, in hex."""
    digest = hashlib.sha256(f"{kind}\n{canonical_json(settings)}\n".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()[:32]
