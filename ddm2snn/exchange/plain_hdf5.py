"""Plain HDF5 for other tools: all numbers of a spiking network in a file that describes itself.

Schema, version 1. The file has the attributes ``format`` ("ddm2snn spiking network"), ``version`` (1) and ``equations``
(the equations as text), and the dataset ``header``: JSON text with ``type``, ``format_version``, ``fingerprint`` and
``settings``. Of these ``settings`` has ``neuron`` (``model`` and its parameters in seconds), ``time_unit_s`` (T),
``dt_s``, ``spike_timing`` ("grid" or "interpolated"), ``backend``, ``rate_fingerprint``, ``provenance``, where
synapses take time to rise ``rise_s``, where the noise depends on the state ``diffusion_filter_s``, and where a task
reads outputs ``output_filter_s``.

All other datasets, float64 (``unit``: int64), are the arrays of a `SpikingNetwork`, each with the attributes ``axes``
(names, comma separated) and ``meaning``; ``diffusion_decoders`` and ``noise_colour`` are missing where the noise does
not depend on the state or is white. A parameter of the neuron model that differs between neurons is a dataset of a
dotted name, such as ``neuron.tau_membrane_s`` (neuron).
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ddm2snn.base.arrays import array_fields, arrays_of, canonical_json
from ddm2snn.base.files import damage_refused, require_file
from ddm2snn.base.foreign import Content, read_apart, refuse_elsewhere
from ddm2snn.base.sealed import sealed_content, sealed_file
from ddm2snn.base.stored import check_header, make_header, parse_json, settings_of
from ddm2snn.errors import FileRefusedError
from ddm2snn.exchange.foreign_arrays import hdf5_content
from ddm2snn.load import rebuild_spiking
from ddm2snn.network import SpikingNetwork

FORMAT, VERSION = "ddm2snn spiking network", 1
_EQUATIONS = """Input current of neuron j: J_j = sum_c encoders[j, c] z_c + bias[j], threshold 1, reset 0.
Latents: T dz/dt = -z + q + input_map u + sqrt(T) G xi(t), rise_s dq/dt = -q + sum_j decoders[:, j] s_j(t), s_j the
spike train in Hz (where rise_s is 0 or missing, q is the sum itself), T = time_unit_s, xi noise: white or, where there
is noise_colour (alpha, beta, omega, gamma), source c behind the filter (gamma_c s^2 + alpha_c s + omega_c^2) /
(s^2 + beta_c s + omega_c^2), s per rate time unit; G = diffusion_factor (and, where there are diffusion_decoders H,
+ sum_j H[:, :, j] r_j with r_j the spike train behind a low-pass of time constant diffusion_filter_s).
System units: latent_offset + latent_scale * z; initial_latent is in these.
Neurons: tau_m dv/dt = -v + J, spike at v > 1, v held at 0 for refractory_s, and never below 0 (model lif); tau_m is
tau_membrane_s, a number in the header or an array neuron.tau_membrane_s."""
_MEANINGS = {
    "encoders": "input current per latent, threshold 1",
    "bias": "input current without latents",
    "decoders": "latent per Hz",
    "unit": "rate unit of each neuron",
    "rate_left_vectors": "Gamma of the rate network",
    "diffusion_factor": "G, per square root of the time unit",
    "input_map": "latent per input",
    "latent_offset": "system units at the origin of the latents",
    "latent_scale": "system units per latent unit",
    "initial_latent": "states to start from, in system units",
    "diffusion_decoders": "G per Hz",
    "noise_colour": "alpha, beta, omega and gamma of each source of noise, per rate time unit",
    "output_decoders": "output per Hz, behind a low-pass of time constant output_filter_s (time_unit_s without one)",
    "output_map": "output per latent, added to what the spikes decode",
    "output_bias": "output without spikes and latents",
}


def write_hdf5(network: SpikingNetwork, path: Path | str) -> None:
    """Write a network in this module's schema, whole or not at all."""
    header = canonical_json(make_header("SpikingNetwork", network.fingerprint, settings=settings_of(network)))
    axes = {name: names for name, (_, names) in array_fields(SpikingNetwork).items()}
    about = {"header": header, "version": VERSION}
    with sealed_file(path, about) as sealed, h5py.File(sealed, "w") as file:
        file.attrs["format"], file.attrs["version"], file.attrs["equations"] = FORMAT, VERSION, _EQUATIONS
        file.create_dataset("header", data=header, dtype=h5py.string_dtype())
        for name, array in arrays_of(network).items():
            item = file.create_dataset(name, data=array)
            item.attrs["axes"] = ", ".join(axes.get(name, ("neuron",)))
            item.attrs["meaning"] = _MEANINGS.get(name, "a parameter of the neuron model")


def is_plain(path: Path | str) -> bool:
    """Whether a file holds the name of this module's schema, without opening it as HDF5."""
    file = require_file(path)
    if not file.stat().st_size:
        return False
    with file.open("rb") as content, mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(FORMAT.encode()) >= 0


def read_hdf5(path: Path | str) -> SpikingNetwork:
    """Read what `write_hdf5` wrote; a file that is damaged, of a newer schema, or not of this one, is refused."""
    file = require_file(path)
    with damage_refused(file, "HDF5"):
        about, arrays = sealed_content(file) or read_apart(plain_content, file)
    if about["version"] != VERSION:
        raise FileRefusedError(
            f"{file} has version {about['version']} of the schema; this ddm2snn reads {VERSION}. Install a newer "
            "ddm2snn."
        )
    with damage_refused(file, "HDF5"):
        header = check_header(parse_json(about["header"], f"{file} is damaged: its header"), file)
        if header["type"] != "SpikingNetwork":
            raise FileRefusedError(
                f"{file} holds a {header['type']!r}; a SpikingNetwork is needed. Give the file of one."
            )
        return rebuild_spiking(header, arrays, file)


def plain_content(path: Path) -> Content:
    """Text of the header, unchecked, and version of the schema, with all arrays, in the process of the caller."""
    with h5py.File(path, "r") as file:
        item: Any = file.get("header")
        version: Any = file.attrs.get("version")
        if not isinstance(item, h5py.Dataset) or item.shape != () or h5py.check_string_dtype(item.dtype) is None:
            raise FileRefusedError(f"{path} has no header of this schema. Export the network anew in format hdf5.")
        refuse_elsewhere(path, item)
        if item.dtype.itemsize > path.stat().st_size:
            raise FileRefusedError(f"{path} announces a header of {item.dtype.itemsize} bytes. Write it anew.")
        about = {"header": str(item.asstr()[()]), "version": int(version) if np.ndim(version) == 0 else None}
    return about, hdf5_content(path)[1]
