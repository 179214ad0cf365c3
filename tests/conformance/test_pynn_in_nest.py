"""Exported PyNN scripts in NEST itself: the reference's spikes, one by one (needs the extra pynn)."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend

from ddm2snn import LIF, SpikingNetwork, export, simulate

pytestmark = pytest.mark.skipif(not (find_spec("pyNN") and find_spec("nest")), reason="PyNN and NEST are not installed")
DURATION = 2.0


def steps_and_neurons(network: SpikingNetwork, times_s: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    return np.stack([np.rint(times_s / network.dt_s), neurons]).astype(int)


def test_van_der_pol_in_closed_loop(brian2_network: SpikingNetwork, tmp_path: Path) -> None:
    """Some thousand spikes in noise: every one in its step, so that rates and latents are the reference's too."""
    network = brian2_network
    export(network, tmp_path / "net.py", format="pynn", seed=5)
    isolated = "import runpy, sys; sys.modules['ddm2snn'] = None; sys.argv = sys.argv[1:]; "
    command = [sys.executable, "-W", "ignore", "-c", isolated + "runpy.run_path(sys.argv[0], run_name='__main__')"]
    command += ["net.py", "--duration", str(DURATION), "--output", "run.npz"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    with np.load(tmp_path / "run.npz") as file:
        found = dict(file)

    def reference(of: SpikingNetwork) -> tuple[np.ndarray, np.ndarray]:
        step, backend = of.dt_s / of.time_unit_s, ReferenceBackend()
        own = simulate(of, backend=backend, duration=DURATION, trials=1, seed=5, every=step, spikes=True)
        assert own.spikes is not None
        return steps_and_neurons(of, own.spikes.time_s, own.spikes.neuron), own.samples[0]

    spikes = steps_and_neurons(network, found["spike_time_s"], found["spike_neuron"])
    expected, latent = reference(network)
    assert spikes.shape[1] > 1000
    assert np.array_equal(spikes, expected)
    assert found["latent"] == pytest.approx(latent, rel=1e-9, abs=1e-9)
    longer = dataclasses.replace(network, neuron=LIF(refractory_s=network.neuron.refractory_s + network.dt_s))
    assert not np.array_equal(spikes, reference(longer)[0])
