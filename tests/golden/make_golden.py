"""Writes the golden files: `python tests/golden/make_golden.py`. Say in CHANGELOG why numbers moved.

Files of format version 1 are no longer written; see make_version_1.py.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np

import ddm2snn
from ddm2snn import find_hardware
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.neuron import LIF

FOLDER = Path(__file__).parent


def tiny_rate():
    """Three units, two latents, no random numbers."""
    return RateNetwork(
        left_vectors=np.array([[1.0, 0.5], [-0.5, 1.0], [0.25, -1.0]]),
        right_vectors=np.array([[0.5, 0.25], [-0.25, 0.5], [0.125, -0.5]]),
        bias=np.array([0.25, -0.5, 0.125]),
        diffusion_factor=np.array([[0.25, 0.0], [0.125, 0.5]]),
        input_map=np.eye(2),
        latent_offset=np.array([1.0, -2.0]),
        latent_scale=np.array([2.0, 0.5]),
        initial_latent=np.array([[1.0, -2.0], [2.0, -1.5]]),
        provenance={"made_by": "tests/golden/make_golden.py"},
    )


def tiny_spiking():
    """Six neurons for the three units of `tiny_rate`, on and off."""
    rate = tiny_rate()
    unit = np.repeat(np.arange(3), 2)
    factor = np.tile([1.5, -1.25], 3)
    return SpikingNetwork(
        encoders=factor[:, None] * rate.left_vectors[unit],
        bias=np.array([1.5, 1.25, 2.0, 1.75, 1.125, 1.375]),
        decoders=np.array([[2.0, -1.0, 1.0, 0.5, -2.0, 1.0], [0.5, 1.0, -1.5, 1.0, 0.25, -0.5]]) / 1024,
        unit=unit,
        rate_left_vectors=rate.left_vectors,
        diffusion_factor=rate.diffusion_factor,
        input_map=rate.input_map,
        latent_offset=rate.latent_offset,
        latent_scale=rate.latent_scale,
        initial_latent=rate.initial_latent,
        neuron=LIF(),
        time_unit_s=0.1,
        dt_s=5e-4,
        spike_timing="grid",
        backend="brian2",
        rate_fingerprint=rate.fingerprint,
        provenance={"made_by": "tests/golden/make_golden.py"},
    )


def on_device():
    """`tiny_spiking` for a device."""
    return dataclasses.replace(tiny_spiking(), dt_s=1e-3, hardware=find_hardware("loihi2-like"))


def tiny_recording():
    """One reference run of `tiny_spiking`, with spikes."""
    return ddm2snn.simulate(tiny_spiking(), backend="reference", duration=2.0, trials=2, seed=7, every=0.1, spikes=True)


def rate_recording():
    """One run of `tiny_rate`."""
    return ddm2snn.simulate(tiny_rate(), duration=2.0, trials=2, seed=7, every=0.1)


def numbers():
    """Fingerprints of what is made without arithmetic, latents and spike counts of what is not."""
    spiking, rate = tiny_recording(), rate_recording()
    return {
        "rate_fingerprint": tiny_rate().fingerprint,
        "spiking_fingerprint": tiny_spiking().fingerprint,
        "on_device_fingerprint": on_device().fingerprint,
        "spiking_latent": spiking.samples[:, -1].tolist(),
        "spikes": 0 if spiking.spikes is None else len(spiking.spikes.time_s),
        "rate_latent": rate.samples[:, -1].tolist(),
    }


def networks():
    """Networks by the name of their file."""
    return {"rate": tiny_rate(), "spiking": tiny_spiking(), "spiking_on_device": on_device()}


if __name__ == "__main__":
    for name, network in networks().items():
        network.save(FOLDER / "version_2" / f"{name}.safetensors")
    tiny_recording().save(FOLDER / "version_2" / "recording.nc")
    (FOLDER / "numbers.json").write_text(json.dumps(numbers(), indent=1) + "\n")
