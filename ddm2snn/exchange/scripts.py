"""Python scripts that stand alone, each with its weights in a .npz file beside it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import find_backend, refuse
from ddm2snn.base.files import check_writable, whole_file, write_text
from ddm2snn.errors import InputError
from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from ddm2snn.network import SpikingNetwork

_TEMPLATES = Path(__file__).with_name("templates")


def script_path(path: Path | str, what: str, network: SpikingNetwork) -> Path:
    """Path of a script, or a refusal: of a name that is none, or of a network that no step can run.

    `what` names the script in words.
    """
    script = Path(path)
    if script.suffix != ".py":
        raise InputError(f"{what} must end in .py, got {script.name}. Rename it.")
    check_writable(script.with_suffix(".npz"))
    refuse(find_backend("reference"), network)
    return script


def weights_of(network: SpikingNetwork) -> dict[str, np.ndarray]:
    """Arrays that a script runs on, by the names of the network's.

    Where spikes decode the diffusion, also ``initial_part`` (sample, rank, rank), what they bring to its factor at each
    of the initial latents, G by the neurons' steady rates.
    """
    names = ("encoders", "bias", "decoders", "diffusion_factor", "input_map", "latent_offset", "latent_scale")
    weights = {name: getattr(network, name) for name in (*names, "initial_latent")}
    if network.diffusion_decoders is not None:
        with np.errstate(all="ignore"):  # what overflows is refused
            at_start = network.internal_factor(to_internal(network, network.initial_latent))
        if not np.isfinite(at_start).all():
            raise InputError("This network's diffusion is infinite at its initial latents. Scale its latents.")
        weights["diffusion_decoders"] = network.diffusion_decoders
        weights["initial_part"] = at_start - network.diffusion_factor
    return weights


def write_script(
    script: Path, template: str, settings: Mapping[str, object], weights: Mapping[str, np.ndarray]
) -> tuple[Path, Path]:
    """Write a script and its weights, each whole or not at all; return their paths.

    Parameters
    ----------
    script
        What `script_path` gave.
    template
        File of the folder ``templates``. Besides `settings` it may use ``name`` and ``weights``, the files' names as
        words of a docstring, and ``weights_text``, the latter as a Python literal.
    settings
        Values of the template's fields.
    weights
        Arrays by name.
    """
    stored = script.with_suffix(".npz")
    words = {key: file.name.replace("\\", "").replace('"', "") for key, file in (("name", script), ("weights", stored))}
    text = Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(
        {**settings, **words, "weights_text": repr(stored.name)}
    )
    buffer = io.BytesIO()
    np.savez(buffer, **weights)  # pyright: ignore[reportArgumentType] - arrays by name
    with whole_file(stored) as temporary:
        temporary.write_bytes(buffer.getvalue())
    write_text(script, text)
    return script, stored
