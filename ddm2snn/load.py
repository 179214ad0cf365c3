"""Reading whichever object a file holds: the only module that knows all stored types."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

import ddm2snn
from ddm2snn.base.files import damage_refused, require_file
from ddm2snn.base.foreign import Allowance
from ddm2snn.base.stored import read_safetensors, rebuild
from ddm2snn.errors import FileRefusedError
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.neuron import stored_neuron
from ddm2snn.recording import Recording, read_recording
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CARD_NETWORK = "network.safetensors"
"""File of a card that holds its network."""


def load(path: Path | str) -> RateNetwork | SpikingNetwork | Stimulus | Recording:
    """Read whichever ddm2snn object a file holds.

    Parameters
    ----------
    path
        A file that a method `save` wrote, or a card: a folder of format card of `export`, or a zip of it. Recordings
        of other tools (.nwb, .nix, .nir) are read as `import_recording` does without options.

    Returns
    -------
    RateNetwork, SpikingNetwork, Stimulus or Recording
        What the file holds.

    Raises
    ------
    FileRefusedError
        Where the file is missing, foreign, damaged, of a newer format or holds what its type refuses;
        the message names the file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from ddm2snn import Stimulus, load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder) / "pulse.safetensors"
    ...     Stimulus(times=np.array([1.0]), values=np.array([[0.5]])).save(file)
    ...     load(file)
    Stimulus(switches=1, inputs=1, from 1 to 1)
    """
    try:
        file = require_file(Path(path) / CARD_NETWORK)
    except FileRefusedError:
        file = require_file(path)
    with file.open("rb") as content:
        start = content.read(8)
    if file.suffix.lower() in (".nwb", ".nix", ".nir"):
        return ddm2snn.import_recording(file)
    if start.startswith(b"PK\x03\x04"):
        return _load_zip(file)
    if start.startswith(b"\x89HDF"):
        return read_recording(file)
    with damage_refused(file, "a file of ddm2snn"):
        return _load_arrays(file)


def _load_zip(file: Path) -> RateNetwork | SpikingNetwork | Stimulus:
    """Network of a card in a zip, in which it may lie in a folder; nothing else is unpacked."""
    with damage_refused(file, "a card"), zipfile.ZipFile(file) as archive, TemporaryDirectory() as folder:
        members = [info for info in archive.infolist() if info.filename.rsplit("/", 1)[-1] == CARD_NETWORK]
        if len(members) != 1:
            raise FileRefusedError(f"{file} holds {len(members)} files {CARD_NETWORK}; a card has one. Export it anew.")
        Allowance(file).spend(members[0].file_size, f"{CARD_NETWORK} of {members[0].file_size} bytes")
        unpacked = Path(folder) / CARD_NETWORK
        unpacked.write_bytes(archive.read(members[0]))
        try:
            return _load_arrays(unpacked)
        except FileRefusedError as error:
            raise FileRefusedError(str(error).replace(str(unpacked), f"{CARD_NETWORK} in {file}")) from error


def _load_arrays(file: Path) -> RateNetwork | SpikingNetwork | Stimulus:
    types: dict[str, type[DataclassInstance]] = {c.__name__: c for c in (RateNetwork, SpikingNetwork, Stimulus)}
    header, arrays = read_safetensors(file)
    kind = header["type"]
    if kind not in types:
        raise FileRefusedError(f"{file} holds a {kind!r}; this reader knows {', '.join(sorted(types))}.")
    if kind == "SpikingNetwork":
        return rebuild_spiking(header, arrays, file)
    return rebuild(types[kind], header, arrays, file)  # pyright: ignore[reportReturnType]


def rebuild_spiking(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray], path: Path) -> SpikingNetwork:
    """Spiking network of the header and the arrays of a file; see `ddm2snn.base.stored.rebuild`."""
    upgrade = _from_version_1 if header["format_version"] == 1 else dict
    count = np.size(arrays.get("bias", ()))
    return rebuild(SpikingNetwork, header, arrays, path, upgrade, neuron=lambda stored: stored_neuron(stored, count))


def _from_version_1(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with the device as a field: format version 1 has it in the provenance."""
    provenance = settings["provenance"]
    if not isinstance(provenance, dict) or "hardware" not in provenance:
        return settings
    history = dict(provenance)
    return settings | {"hardware": history.pop("hardware"), "provenance": history}
