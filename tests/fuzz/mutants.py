"""Mutants of bytes, JSON, TOML, arrays by name and HDF5 files: damage, extremes and structures that no writer makes."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

EXTREME_BYTES = (0, 1, 0x7F, 0x80, 0xFF)
EXTREME_WORDS = (
    b"\x00" * 8, b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\x00" * 7 + b"\x80", b"\x00\x00\x00\x80\x00\x00\x00\x00",
    b"\x00\x00\x00\x00\x00\x00\xf8\x7f", b"\x00\x00\x00\x00\x00\x00\xf0\x7f", b"\x01" + b"\x00" * 7,
)  # fmt: skip
DEEP = "nested 3000 times"  # in the text that is made of it
EXTREMES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 2**31, 2**63, -(2**63), 2**64, 10**400, 0.0, -0.0, 1e-308, 1e308, float("nan"),
    float("inf"), -float("inf"), "", "x", "x" * 5000, "\x00", "\u202e", "../../etc/passwd", "__import__('os')", [], {},
    [[]], [1, [2]], {"": {}}, {"a": None}, [0] * 1000, DEEP,
)  # fmt: skip
TOML_VALUES = (
    "0", "-1", "nan", "inf", "-inf", "1e400", "9" * 5000, "true", '""', '"x"', '"' + "x" * 5000 + '"', "[]", "[[]]",
    "{}", "{a = 1}", "[" * 700 + "]" * 700, "[" * 3000, "1979-05-27", "07:32:00", "0x10", "1_000", '["a", 1]', "'''",
    '"\\u0000"', "[1, [2, [3]]]", "1e-320", '"../x.py:y"', '["brian2", "brian2"]', "18446744073709551616",
)  # fmt: skip


def flip(rng: random.Random, content: bytes, bits: int = 1) -> bytes:
    """Flip single bits."""
    out = bytearray(content)
    for _ in range(bits):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def edit_bytes(rng: random.Random, content: bytes) -> bytes:
    """Do one to four of: flip, overwrite with an extreme, cut, delete, insert, repeat, append."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at, length = rng.randrange(len(out) + 1), rng.choice((1, 4, 8, 64))
        kind = rng.randrange(8)
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1 and out:
            out[at % len(out)] = rng.choice(EXTREME_BYTES)
        elif kind == 2:
            word = rng.choice(EXTREME_WORDS)[: rng.choice((2, 4, 8))]
            at -= at % len(word)
            out[at : at + len(word)] = word
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            del out[at : at + length]
        elif kind == 5:
            out[at:at] = rng.randbytes(length)
        elif kind == 6:
            out[at:at] = out[at : at + length]
        else:
            out += rng.randbytes(length)
    return bytes(out)


def edit_json(rng: random.Random, value: Any) -> Any:
    """Replace, remove, rename or repeat parts at random places of a JSON value."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = [place for place in _places(value) if place[0] is not None]
        if not places:
            return copy.deepcopy(rng.choice(EXTREMES))
        parent, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[rng.choice(("x", "", "type", key + "s"))] = parent.pop(key)
        elif kind == 2 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif kind == 3:
            other, name = rng.choice(places)
            with contextlib.suppress(KeyError, IndexError):
                parent[key] = copy.deepcopy(other[name])
        else:
            parent[key] = copy.deepcopy(rng.choice(EXTREMES))  # they have parts that further edits change
    return value


def _places(value: Any, parent: Any = None, key: Any = None, depth: int = 0) -> list[tuple[Any, Any]]:
    found = [(parent, key)]
    if depth < 12:
        items = value.items() if isinstance(value, dict) else enumerate(value[:30]) if isinstance(value, list) else ()
        for name, inner in list(items):
            found += _places(inner, value, name, depth + 1)
    return found


def edit_toml(rng: random.Random, text: str) -> str:
    """Replace values, repeat, remove, nest and invent lines."""
    lines = text.splitlines() or [""]
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        name, equals, _ = lines[at].partition("=")
        kind = rng.randrange(8)
        if kind < 4 and equals:
            lines[at] = f"{name}= {rng.choice(TOML_VALUES)}"
        elif kind == 4:
            lines.insert(at, lines[at])
        elif kind == 5 and len(lines) > 1:
            del lines[at]
        elif kind == 6:
            dotted = ".".join("a" * rng.choice((2, 30, 900, 20_000)))
            lines.insert(at, rng.choice((f"{dotted} = 1", f"[{dotted}]", "[[a]]", "[conversion]", "= 1", "a", "\x00")))
        else:
            lines.insert(at, f"{rng.choice(('seed', 'system', 'x', 'a.b'))} = {rng.choice(TOML_VALUES)}")
    return "\n".join(lines)


def edit_arrays(rng: random.Random, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Change shapes, types, numbers and names of arrays."""
    arrays = dict(arrays)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not arrays:
            break
        name = rng.choice(list(arrays))
        arrays[name] = _edited(rng, np.array(arrays[name]))
        kind = rng.randrange(6)
        if kind == 0:
            del arrays[name]
        elif kind == 1:
            arrays[rng.choice(("x", "W", "b", "wi", "si", "G", "n" * 300, "ä", "a/b", "__x"))] = arrays.pop(name)
    return arrays


def _edited(rng: random.Random, array: np.ndarray) -> np.ndarray:
    flat = array.reshape(-1)
    kind = rng.randrange(12)
    if kind == 0:
        return array.T
    if kind == 1:
        return flat
    if kind == 2:
        return array[:0]
    if kind == 3:
        return np.array(flat[0]) if flat.size else array
    if kind == 4:
        return array.reshape((1,) * rng.choice((1, 2, 28)) + array.shape)
    if kind == 5 and flat.size and array.dtype.kind == "f":
        flat[rng.randrange(flat.size)] = rng.choice((np.nan, np.inf, -np.inf, 1e300, 1e-320, 1e101))
    elif kind == 6:
        return array.astype(rng.choice(("f4", "f2", "i8", "i1", "u1", "?", "c16", "S4", ">f8")), casting="unsafe")
    elif kind == 7:
        return np.concatenate([array, array])
    elif kind == 8:
        return np.zeros(rng.choice(((0, 0), (4, 0), (1, 1), (3, 3), (1000, 1), (1, 4, 1))))
    elif kind == 9:
        return array * rng.choice((0.0, 1e200, -1.0))
    elif kind == 10 and array.ndim:
        return array[:-1]
    return array


def edit_hdf5(rng: random.Random, path: Path) -> None:
    """Change items of an HDF5 file in place: links, shapes, types, storage, attributes, nesting."""
    with h5py.File(path, "a") as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(rng.choice((1, 1, 2, 3))):
            name = rng.choice([*names, "new"])
            with contextlib.suppress(Exception):  # an item that cannot be changed so, or is as large as it says
                rng.choice(_HDF5_EDITS)(rng, file, name)


def _replace(file: h5py.File, name: str, **content: Any) -> None:
    if name in file:
        del file[name]
    file.create_dataset(name, **content)


def _elsewhere(rng: random.Random, file: h5py.File, name: str) -> None:
    if name in file:
        del file[name]
    layout = h5py.VirtualLayout(shape=(4, 4), dtype="f8")
    layout[:] = h5py.VirtualSource("../../../secret.h5", "W", shape=(4, 4))
    rng.choice(
        (
            lambda: file.create_virtual_dataset(name, layout),
            lambda: file.create_dataset(name, shape=(2, 6), dtype="f8", external=[("/etc/passwd", 0, 96)]),
            lambda: file.__setitem__(name, h5py.ExternalLink("../../etc/passwd", "/")),
            lambda: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
            lambda: file.__setitem__(name, file["/"]),
        )
    )()


def _announced(rng: random.Random, file: h5py.File, name: str) -> None:
    shape = rng.choice(((10**6, 10**6), (2, 10**7), (2**20, 2**10), (10**9,), (1,) * 30, (0,), ()))
    more = {"chunks": True} if shape and rng.random() < 0.5 and 0 not in shape else {}
    _replace(file, name, shape=shape, dtype=rng.choice(("f8", "i8", "f4", "S2000000", "u1")), **more)


def _retyped(rng: random.Random, file: h5py.File, name: str) -> None:
    item: Any = file[name]
    numbers = item[()] if isinstance(item, h5py.Dataset) else 1.0
    kind = rng.choice(("f2", "i1", "u8", "c16", "?", ">f8"))
    text = rng.choice(("x", "\x00", "x" * 5000, "{}", "[" * 2000))
    _replace(file, name, data=rng.choice((text, np.void(b"abc"), np.nan, np.asarray(numbers).astype(kind))))


def _filtered(rng: random.Random, file: h5py.File, name: str) -> None:
    numbers = np.atleast_1d(np.asarray(file[name][()]))  # pyright: ignore[reportIndexIssue, reportArgumentType]
    more = rng.choice(({"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}, {"compression": "lzf"}))
    _replace(file, name, data=numbers, chunks=True, **more)


def _attribute(rng: random.Random, file: h5py.File, name: str) -> None:
    attributes = file[name].attrs if name in file and rng.random() < 0.5 else file.attrs
    key = rng.choice(
        [*attributes, "version", "format", "ddm2snn", "_FillValue", "units", "scale_factor", "DIMENSION_LIST"]
    )
    values = (1, 2, -1, np.nan, "x", "9" * 5000, np.array([1, 2]), "seconds since 1970-01-01", np.zeros(0), "{}", 1e308)
    attributes[key] = rng.choice(values)


def _nested(rng: random.Random, file: h5py.File, name: str) -> None:
    group: Any = file
    for _ in range(rng.choice((1, 5, 300))):
        group = group.require_group("g")
    group["W"] = np.eye(2)


def _removed(rng: random.Random, file: h5py.File, name: str) -> None:
    del file[name]


_HDF5_EDITS: tuple[Callable[[random.Random, h5py.File, str], None], ...] = (
    _elsewhere, _announced, _retyped, _filtered, _attribute, _attribute, _nested, _removed,
)  # fmt: skip
