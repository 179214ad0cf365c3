"""Writes files of format version 1: run once with the code of commit 1841eed, which was the last to write them.

    python tests/golden/make_version_1.py

`rate`, `spiking` and `recording` in the same folder were written by make_golden.py of that commit.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
from make_golden import tiny_rate, tiny_spiking

import ddm2snn
from ddm2snn import Stimulus, find_hardware

FOLDER = Path(__file__).parent / "version_1"


def rate_by_state():
    """A rate network whose diffusion depends on the state."""
    return dataclasses.replace(tiny_rate(), diffusion_readout=np.arange(12.0).reshape(3, 2, 2) / 64)


def spiking_by_state():
    """A spiking network whose spikes decode its diffusion factor."""
    decoders = np.arange(24.0).reshape(2, 2, 6) / 4096
    return dataclasses.replace(tiny_spiking(), diffusion_decoders=decoders, diffusion_filter_s=0.05)


def spiking_heterogeneous():
    """A spiking network whose membrane time constants differ, by a neuron model that only version 1 has."""
    from ddm2snn import HeterogeneousLIF  # pyright: ignore[reportAttributeAccessIssue]

    return dataclasses.replace(tiny_spiking(), neuron=HeterogeneousLIF(tau_spread=0.5, first_neuron=3))


def spiking_on_device():
    """A spiking network converted for a device other than the default, which version 1 keeps in the provenance."""
    provenance = {"seed": 1, "hardware": find_hardware("loihi2-like").as_json()}
    return dataclasses.replace(tiny_spiking(), dt_s=1e-3, provenance=provenance)


def main():
    """Write every file, and what a run on the device gives."""
    rate_by_state().save(FOLDER / "rate_by_state.safetensors")
    spiking_by_state().save(FOLDER / "spiking_by_state.safetensors")
    heterogeneous = spiking_heterogeneous()
    heterogeneous.save(FOLDER / "spiking_heterogeneous.safetensors")
    write_run(heterogeneous, "reference", "run_heterogeneous.json")
    network = spiking_on_device()
    network.save(FOLDER / "spiking_on_device.safetensors")
    Stimulus(times=np.array([0.0, 0.5]), values=np.array([[0.5, -0.25], [0.0, 0.0]])).save(
        FOLDER / "stimulus.safetensors"
    )
    write_run(network, "quantised", "run_on_device.json")


def write_run(network, backend, name):
    """Write spikes and last latents of a run."""
    run = ddm2snn.simulate(network, backend=backend, duration=2.0, trials=2, seed=7, every=0.1, spikes=True)
    assert run.spikes is not None
    content = {"spikes": len(run.spikes.time_s), "latent": run.samples[:, -1].tolist()}
    (FOLDER / name).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
