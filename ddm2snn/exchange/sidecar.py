"""Sidecars: JSON beside a file, with what of a spiking network its format cannot hold."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import array_fields, arrays_of
from ddm2snn.base.files import require_file, write_text
from ddm2snn.base.stored import check_header, make_header, settings_of
from ddm2snn.errors import FileRefusedError
from ddm2snn.network import SpikingNetwork, rebuild_spiking

if TYPE_CHECKING:
    from collections.abc import Sequence


def sidecar_of(path: Path | str) -> Path:
    """Where the sidecar of a file lies: ``net.nir.json`` beside ``net.nir``."""
    return Path(path).with_name(Path(path).name + ".json")


def write_sidecar(
    network: SpikingNetwork, path: Path | str, *, held: Collection[str], lost: Sequence[str], form: Mapping[str, Any]
) -> Path:
    """Write what a file does not hold.

    Parameters
    ----------
    network
        The network.
    path
        The file that the sidecar belongs to.
    held
        Names of the arrays that the file holds to the last bit; all others are written here.
    lost
        What the file's readers do otherwise, in words with numbers.
    form
        How the file was written: JSON values.
    """
    arrays = {
        name: {"shape": list(array.shape), "values": array.ravel().tolist()}
        for name, array in arrays_of(network).items()
        if name not in held
    }
    header = make_header("SpikingNetwork", network.fingerprint, settings=settings_of(network))
    content = {**header, "form": dict(form), "lost": list(lost), "arrays": arrays}
    target = sidecar_of(path)
    write_text(target, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return target


def read_sidecar(path: Path | str, held: Mapping[str, np.ndarray]) -> tuple[SpikingNetwork, dict[str, Any]]:
    """Network of a sidecar and the arrays that its file holds, and the form in which the file was written.

    Raises
    ------
    FileRefusedError
        Where the sidecar is damaged, or does not belong to these arrays.
    """
    found = require_file(path)
    try:
        content = json.loads(found.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileRefusedError(
            f"{found} is damaged: it is no JSON. Remove it to import what the file holds."
        ) from error
    header = check_header(content, found)
    if header["type"] != "SpikingNetwork":
        raise FileRefusedError(
            f"{found} is the sidecar of a {header['type']!r}; a SpikingNetwork's is needed. "
            "Remove it to import what the file holds."
        )
    own, form = header.get("arrays"), header.get("form")
    if not isinstance(own, dict) or not isinstance(form, dict):
        raise FileRefusedError(
            f"{found} is damaged: it has no arrays or no form. Remove it to import what the file holds."
        )
    kinds = array_fields(SpikingNetwork)
    dtypes = {name: kinds[name][0] if name in kinds else np.float64 for name in own if name in kinds or "." in name}
    arrays = {name: _array(found, name, own[name], dtype) for name, dtype in dtypes.items()}
    needed = {name: array for name, array in held.items() if name not in own}
    try:
        network = rebuild_spiking(header, {**arrays, **needed}, found)
    except FileRefusedError as error:
        raise FileRefusedError(f"{error} Remove it to import what the file beside it holds.") from error
    return network, form


def _array(path: Path, name: str, value: object, dtype: type) -> np.ndarray:
    try:
        return np.array(value["values"], dtype=dtype).reshape(value["shape"])  # pyright: ignore[reportIndexIssue, reportOptionalSubscript] - caught
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise FileRefusedError(
            f"{path} is damaged: {name} is no array. Remove it to import what the file holds."
        ) from error
