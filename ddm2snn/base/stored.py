"""Files of ddm2snn objects: arrays and settings as safetensors, with a header that says whether to trust them."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

import ddm2snn
from ddm2snn.base.arrays import array_fields, arrays_of, canonical_json, content_fingerprint
from ddm2snn.base.files import whole_file
from ddm2snn.errors import FileRefusedError, InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FORMAT_VERSION = 2
"""Version 1 kept the device of a spiking network in its provenance; see `ddm2snn.load.rebuild_spiking`."""
_KEY = "ddm2snn"
_MOST_DIGITS = 300  # of a whole number, which is a float then
T = TypeVar("T", bound="DataclassInstance")


def settings_of(instance: DataclassInstance) -> dict[str, Any]:
    """Fields of a dataclass that are no arrays, as JSON values; optional ones that have their default are missing.

    A field that is itself a dataclass becomes its name, under ``model``, and those of its fields that are no arrays;
    one that is a settings model becomes its settings that are not None.
    """
    fields, arrays = dataclasses.fields(instance), array_fields(type(instance))
    left_out = {field.name for field in fields if _left_out(field, getattr(instance, field.name))}
    settings = {}
    for field in fields:
        if field.name not in arrays and field.name not in left_out:
            value = getattr(instance, field.name)
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                inner = {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
                inner = {name: part for name, part in inner.items() if not isinstance(part, np.ndarray)}
                value = {"model": getattr(value, "name", type(value).__name__), **inner}
            elif dump := getattr(value, "model_dump", None):  # pydantic's, which takes too long to import here
                value = dump(mode="json", exclude_none=True)
            settings[field.name] = dict(value) if isinstance(value, Mapping) else value
    return settings


def _left_out(field: dataclasses.Field[Any], value: object) -> bool:
    return _optional(field) and (value is None if field.default is None else value == field.default)


def _optional(field: dataclasses.Field[Any]) -> bool:
    """Whether a field is missing in files where it has its default: None, or marked so, being newer than the format."""
    return field.default is None or bool(field.metadata.get("optional"))


def fingerprint_of(instance: DataclassInstance) -> str:
    """Fingerprint of arrays and settings, without the provenance."""
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


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """A dataclass of arrays and settings that has a file."""

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of the content, provenance excluded."""
        return fingerprint_of(self)

    def save(self, path: Path | str) -> None:
        """Write as safetensors."""
        save_arrays(self, path)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote, as `ddm2snn.load` does, and refuse what holds another type by name."""
        instance = ddm2snn.load(path)
        if not isinstance(instance, cls):
            raise FileRefusedError(
                f"{path} holds a {type(instance).__name__}, but a {cls.__name__} is needed here. Give another file."
            )
        return instance


@dataclasses.dataclass(frozen=True)
class Origin:
    """What the package reads of the provenance of a network or a recording; an entry that it lacks has its default.

    Parameters
    ----------
    system
        Name of the SDE that a network was trained on.
    missed
        Sentences on what the making of a network did not reach.
    covered
        Lowest and highest latents in system units that the neurons of a network were converted for.
    decoders
        Kind and settings of a network's decoders.
    diagnostics
        What `ddm2snn.conversion.diagnostics.Diagnostics` of a network reads.
    imported
        What `ddm2snn.exchange.rate_arrays.ImportFacts` of an imported network reads.
    network
        Fingerprint of the network that a recording is of.
    backend, seed
        Backend and seed of a recording.
    conditions
        Names of a recording's conditions, one for each trial of its stimulus.
    latent_names
        The system's own names of the latents, with their units.

    Examples
    --------
    >>> read_entries(Origin, {"seed": 3, "versions": {"numpy": "2.0"}}).seed
    3
    """

    system: str | None = None
    missed: Sequence[str] = ()
    covered: Sequence[Sequence[float]] | None = None
    decoders: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    diagnostics: Any = None
    imported: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    network: str | None = None
    backend: str | None = None
    seed: int | None = None
    conditions: Sequence[str] = ()
    latent_names: Sequence[str] = ()

    @property
    def stimulus(self) -> str | None:
        """Fingerprint of the stimulus whose trials the decoders were calibrated in; None without one."""
        return self.decoders.get("stimulus")


def read_entries(kind: type[T], content: Mapping[str, Any]) -> T:
    """Entries of a JSON object that a dataclass has fields for; those that are missing have their defaults."""
    return kind(**{field.name: content[field.name] for field in dataclasses.fields(kind) if field.name in content})


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


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a file that ddm2snn wrote; anything else is refused by its name."""
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
    return check_header(parse_json(metadata[_KEY], f"{path} is damaged: its metadata"), path), arrays


def parse_json(text: str | bytes, what: str, remedy: str = "Write it anew.") -> Any:  # noqa: ANN401 - JSON values
    """Values of a JSON text, or a refusal; NaN, infinity and whole numbers beyond all floats are none of JSON's.

    >>> parse_json("[NaN]", "File x.json")
    Traceback (most recent call last):
    ddm2snn.errors.FileRefusedError: File x.json is no JSON: NaN is no number. Write it anew.
    """
    try:
        return json.loads(text, parse_constant=_no_number, parse_int=_whole)
    except (ValueError, TypeError, RecursionError) as error:
        raise FileRefusedError(f"{what} is no JSON: {error}. {remedy}") from error


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def rebuild(
    cls: type[T],
    header: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    path: Path,
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict,
    **decode: Callable[[object], object],
) -> T:
    """Object of a header and its arrays, refused by the name of its file where the two do not make one.

    `upgrade` turns the settings of an older format version into today's, and `decode` a setting, by its name, into the
    object that it stands for. A dotted name of an array, ``neuron.tau_membrane_s``, puts the array into a setting. The
    fingerprint is that of the file's content, before both.
    """
    settings, names = header.get("settings"), {field.name for field in dataclasses.fields(cls)}
    present = {*(settings if isinstance(settings, dict) else ()), *(name for name in arrays if "." not in name)}
    names -= {field.name for field in dataclasses.fields(cls) if field.name not in present and _optional(field)}
    if not isinstance(settings, dict) or present != names:
        raise FileRefusedError(f"{path} is damaged: missing or unknown field(s) {', '.join(sorted(present ^ names))}.")
    try:
        decoded = upgrade(_with_nested(settings, arrays))
        decoded = {name: decode[name](value) if name in decode else value for name, value in decoded.items()}
        instance = cls(**decoded, **{name: array for name, array in arrays.items() if "." not in name})
    except InputError as error:
        raise FileRefusedError(f"{path} cannot be used: {error}") from error
    frozen = arrays_of(instance)
    content = {name: value for name, value in settings.items() if name != "provenance"}
    stored = {name: frozen.get(name, array) for name, array in arrays.items()}
    if content_fingerprint(cls.__name__, stored, content) != header.get("fingerprint"):
        raise FileRefusedError(f"{path} is damaged: its content does not match its fingerprint.")
    return instance


def _with_nested(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Settings, with arrays of dotted names in the settings that they belong to."""
    joined = dict(settings)
    for name, array in arrays.items():
        owner, dot, inner = name.partition(".")
        if dot and not isinstance(joined.get(owner), dict):
            raise InputError(f"there is an array {name!r}, but {owner!r} is no group of settings.")
        if dot:
            joined[owner] = {**joined[owner], inner: array}
    return joined
