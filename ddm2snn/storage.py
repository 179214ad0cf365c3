"""Files of ddm2snn objects: written whole or not at all, refused by name when they cannot be trusted."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.frozen import array_fields, arrays_of, canonical_json, content_fingerprint
from ddm2snn.neuron import NEURON_MODELS, NeuronModel

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ddm2snn.network import RateNetwork, SpikingNetwork
    from ddm2snn.recording import Recording
    from ddm2snn.stimulus import Stimulus

FORMAT_VERSION = 1
_KEY = "ddm2snn"
T = TypeVar("T", bound="DataclassInstance")


def check_writable(path: Path | str) -> None:
    """Refuse an output that cannot be written before the work that it is for, not after."""
    with contextlib.suppress(_NothingToWriteError), whole_file(path) as temporary:
        temporary.touch()
        raise _NothingToWriteError


class _NothingToWriteError(Exception):
    """Leaves `whole_file` without writing anything."""


@contextlib.contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`, moved onto it when the block succeeds and removed otherwise."""
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
            temporary.replace(target)
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
    """Return `path` as a Path to an existing, readable file, or refuse it by name."""
    found = Path(path)
    with _in_words(f"Cannot read {found}", "Check the path"):
        if not found.exists():
            raise FileRefusedError(f"File {found} does not exist. Check the path.")
        if found.is_dir():
            raise FileRefusedError(f"{found} is a folder, not a file. Name a file in it.")
        if not found.is_file():
            raise FileRefusedError(f"{found} is no regular file. Name one.")
    if not os.access(found, os.R_OK):
        raise FileRefusedError(f"File {found} cannot be read: permission denied.")
    return found


def settings_of(instance: DataclassInstance) -> dict[str, Any]:
    """Fields of a dataclass that are no arrays, as JSON values; those left out, whose default is None, are missing."""
    fields, arrays = dataclasses.fields(instance), array_fields(type(instance))
    left_out = {field.name for field in fields if field.default is None and getattr(instance, field.name) is None}
    settings = {}
    for field in fields:
        if field.name not in arrays and field.name not in left_out:
            value = getattr(instance, field.name)
            if type(value) in NEURON_MODELS.values():
                value = {"model": value.name, **dataclasses.asdict(value)}
            settings[field.name] = dict(value) if isinstance(value, Mapping) else value
    return settings


def fingerprint_of(instance: DataclassInstance) -> str:
    """Content fingerprint of arrays and settings; provenance does not count, content is what it is."""
    settings = settings_of(instance)
    settings.pop("provenance", None)
    return content_fingerprint(type(instance).__name__, arrays_of(instance), settings)


def save_arrays(instance: DataclassInstance, path: Path | str) -> None:
    """Write a dataclass of arrays and settings as safetensors with JSON metadata."""
    from safetensors.numpy import save

    header = make_header(type(instance).__name__, fingerprint_of(instance), settings=settings_of(instance))
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays_of(instance).items()}
    with whole_file(path) as temporary:
        temporary.write_bytes(save(arrays, metadata={_KEY: canonical_json(header)}))


def load(path: Path | str) -> RateNetwork | SpikingNetwork | Stimulus | Recording:
    """Read whichever ddm2snn object a file holds.

    Raises
    ------
    FileRefusedError
        Where the file is missing, foreign, damaged, of a newer format or holds what its type refuses;
        the message names the file.
    """
    from ddm2snn.network import RateNetwork, SpikingNetwork
    from ddm2snn.recording import Recording
    from ddm2snn.stimulus import Stimulus

    found = require_file(path)
    with found.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x89HDF"):
        return Recording.load(found)
    types: dict[str, type[DataclassInstance]] = {c.__name__: c for c in (RateNetwork, SpikingNetwork, Stimulus)}
    header, arrays = _read_safetensors(found)
    kind = header["type"]
    if kind not in types:
        raise FileRefusedError(f"{found} holds a {kind!r}; this reader knows {', '.join(sorted(types))}.")
    return rebuild(types[kind], header, arrays, found)  # pyright: ignore[reportReturnType]


def load_as(path: Path | str, cls: type[T]) -> T:
    """Read a file that must hold a `cls`, and refuse it by name where it holds something else."""
    instance = load(path)
    if not isinstance(instance, cls):
        raise FileRefusedError(
            f"{path} holds a {type(instance).__name__}, but a {cls.__name__} is needed here. Give another file."
        )
    return instance


def make_header(kind: str, fingerprint: str, **content: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    """Put together what stands before the content of a file, provenance under a fingerprint of its own."""
    header = {"type": kind, "format_version": FORMAT_VERSION, "fingerprint": fingerprint, **content}
    return {**header, "provenance_fingerprint": provenance_digest(header)}


def provenance_digest(header: Mapping[str, Any]) -> str:
    """Fingerprint of the provenance in a header, which the content's fingerprint leaves out."""
    settings = header.get("settings")
    held = settings if isinstance(settings, dict) else header
    return content_fingerprint("provenance", {}, {"provenance": held.get("provenance")})


def check_header(header: object, path: Path) -> dict[str, Any]:
    """Check what stands before the content of a file: who wrote it, in which version."""
    if not isinstance(header, dict) or not isinstance(header.get("type"), str) or "format_version" not in header:
        raise FileRefusedError(f"{path} was not written by ddm2snn: its header lacks type and format version.")
    version = header["format_version"]
    if not isinstance(version, int) or version < 1:
        raise FileRefusedError(f"{path} is damaged: format version {version} is no whole number above zero.")
    if version > FORMAT_VERSION:
        raise FileRefusedError(
            f"{path} has format version {version}; this ddm2snn reads up to {FORMAT_VERSION}. Install a newer ddm2snn."
        )
    if provenance_digest(header) != header.get("provenance_fingerprint"):
        raise FileRefusedError(f"{path} is damaged: its provenance does not match its fingerprint.")
    return header


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileRefusedError(
            f"{path} is no ddm2snn file, or it is damaged or cut short: {str(error).splitlines()[0]}."
        ) from error
    if _KEY not in metadata:
        raise FileRefusedError(f"{path} was not written by ddm2snn: its metadata has no {_KEY!r} entry.")
    try:
        header = json.loads(metadata[_KEY])
    except (json.JSONDecodeError, RecursionError) as error:
        raise FileRefusedError(f"{path} is damaged: its metadata is no JSON.") from error
    return check_header(header, path), arrays


def _neuron(settings: object) -> NeuronModel:
    """Neuron model from its stored name and parameters."""
    given = dict(settings) if isinstance(settings, dict) else {}
    name = given.pop("model", None)
    if not isinstance(name, str) or name not in NEURON_MODELS:
        raise InputError(f"There is no neuron model {name!r}; known models are {', '.join(NEURON_MODELS)}.")
    known = [field.name for field in dataclasses.fields(NEURON_MODELS[name])]
    if set(given) - set(known):
        raise InputError(
            f"Neuron model {name} has the parameters {', '.join(known)}; found {', '.join(given) or 'none'}."
        )
    return NEURON_MODELS[name](**given)


def rebuild(cls: type[T], header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], path: Path) -> T:
    """Object of a header and its arrays, refused by the name of its file where the two do not make one."""
    settings = header.get("settings")
    names = {field.name for field in dataclasses.fields(cls)}
    if isinstance(settings, dict):
        names -= {name for name in names - {*settings, *arrays} if getattr(cls, name, ...) is None}
    if not isinstance(settings, dict) or {*settings, *arrays} != names:
        given = sorted({*(settings if isinstance(settings, dict) else ()), *arrays} ^ names)
        raise FileRefusedError(f"{path} is damaged: missing or unknown field(s) {', '.join(given)}.")
    settings = dict(settings)
    try:
        if "neuron" in settings:
            settings["neuron"] = _neuron(settings["neuron"])
        instance = cls(**settings, **arrays)
    except InputError as error:
        raise FileRefusedError(f"{path} cannot be used: {error}") from error
    if fingerprint_of(instance) != header.get("fingerprint"):
        raise FileRefusedError(f"{path} is damaged: its content does not match its fingerprint.")
    return instance
