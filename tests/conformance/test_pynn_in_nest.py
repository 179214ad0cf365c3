"""Exported PyNN scripts in NEST itself: the reference's spikes, one by one (needs the extra pynn)."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ddm2snn_backends.reference_backend import ReferenceBackend

import ddm2snn
from ddm2snn import LIF, Population, RateNetwork, Record, SpikingNetwork, Static, export

pytestmark = pytest.mark.skipif(not (find_spec("pyNN") and find_spec("nest")), reason="PyNN and NEST are not installed")
DURATION = 5.0


def steps_and_neurons(network: SpikingNetwork, times_s: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    return np.stack([np.rint(times_s / network.dt_s), neurons]).astype(int)


@pytest.fixture(scope="module")
def network(rate_network: RateNetwork) -> SpikingNetwork:
    """Van der Pol, 64 units times 4 neurons, in its noise."""
    population = Population(4, neuron=LIF(refractory_s=0.002))
    return ddm2snn.convert(
        rate_network, population=population, decoders=Static(), backend="reference", time_unit_s=0.1, dt_s=5e-4, seed=0
    ).network


def test_van_der_pol_in_closed_loop(network: SpikingNetwork, tmp_path: Path) -> None:
    """Some thousand spikes in noise: every one in its step, so that rates and latents are the reference's too."""
    export(network, tmp_path / "net.py", format="pynn", seed=5)
    isolated = "import runpy, sys; sys.modules['ddm2snn'] = None; sys.argv = sys.argv[1:]; "
    command = [sys.executable, "-W", "ignore", "-c", isolated + "runpy.run_path(sys.argv[0], run_name='__main__')"]
    command += ["net.py", "--duration", str(DURATION), "--output", "run.npz"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    with np.load(tmp_path / "run.npz") as file:
        found = dict(file)

    def reference(of: SpikingNetwork) -> tuple[np.ndarray, np.ndarray]:
        record = Record(of.dt_s / of.time_unit_s, spikes=True)
        own = ReferenceBackend().run(of, duration=DURATION, trials=1, seed=5, record=record)
        assert own.spikes is not None
        return steps_and_neurons(of, own.spikes.time_s, own.spikes.neuron), own.samples[0]

    spikes = steps_and_neurons(network, found["spike_time_s"], found["spike_neuron"])
    expected, latent = reference(network)
    assert spikes.shape[1] > 1000
    assert np.array_equal(spikes, expected)
    assert found["latent"] == pytest.approx(latent, rel=1e-9, abs=1e-9)
    longer = dataclasses.replace(network, neuron=LIF(refractory_s=network.neuron.refractory_s + network.dt_s))
    assert not np.array_equal(spikes, reference(longer)[0])
