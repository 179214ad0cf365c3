"""Brian2 scripts that stand alone: the reference's spikes one by one, the backend's statistics, no ddm2snn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ddm2snn_backends.reference_backend import ReferenceBackend

import ddm2snn
from ddm2snn import LIF, AdaptiveLIF, InputError, LoihiLIF, Record, RectifiedLinear, SpikingNetwork, export

MODELS = [LIF(), LIF(refractory_s=0.0), AdaptiveLIF(), LoihiLIF(), RectifiedLinear()]
ISOLATED = (
    "import sys; sys.modules['ddm2snn'] = None; import runpy; sys.argv = sys.argv[1:]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


def ran(network: SpikingNetwork, folder: Path, *options: str, seed: int = 3) -> dict[str, np.ndarray]:
    """What the script says, run in a process that cannot import ddm2snn."""
    done = export(network, folder / "net.py", format="brian2", seed=seed)
    assert done.files == (folder / "net.py", folder / "net.npz")
    command = [sys.executable, "-c", ISOLATED, "net.py", "--output", "run.npz", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    with np.load(folder / "run.npz") as file:
        return dict(file)


@pytest.mark.parametrize("neuron", MODELS, ids=repr)
def test_spikes_are_the_references_one_by_one(make_spiking, neuron, tmp_path: Path) -> None:
    """Deterministic, so that the two loops differ by rounding alone: no spike of these moves by a step."""
    network = make_spiking(neuron=neuron)
    found = ran(network, tmp_path, "--duration", "5")
    own = ReferenceBackend().run(
        network, duration=5.0, trials=1, seed=3, record=Record(every=network.dt_s / network.time_unit_s, spikes=True)
    )
    assert own.spikes is not None
    assert len(own.spikes.time_s) > 50
    step, neuron_of = np.rint(found["spike_time_s"] / network.dt_s).astype(int), found["spike_neuron"]
    assert sorted(zip(step, neuron_of, strict=True)) == sorted(
        zip(np.rint(own.spikes.time_s / network.dt_s).astype(int), own.spikes.neuron, strict=True)
    )
    # sums over 8 neurons in another order, damped by the leak: some tens of roundings
    assert found["latent"] == pytest.approx(own.samples[0], rel=1e-11, abs=1e-11)


def test_another_seed_starts_elsewhere(make_spiking, tmp_path: Path) -> None:
    network = make_spiking()
    first, second = ran(network, tmp_path, "--duration", "1"), ran(network, tmp_path, "--duration", "1", "--seed", "8")
    assert not np.array_equal(first["latent"][0], second["latent"][0])


def test_noise_is_that_of_the_network(make_spiking, tmp_path: Path) -> None:
    """Silent neurons: an Ornstein-Uhlenbeck process per latent, whose variance is that of G G^T / 2.

    600 correlation times give a standard deviation within 1 / sqrt(600) of itself, 4 %, as one standard error.
    """
    quiet = make_spiking(bias=np.full(8, -50.0), diffusion_factor=np.diag([0.5, 1.0]))
    latent = ran(quiet, tmp_path, "--duration", "600")["latent"]
    own = ddm2snn.simulate(quiet, backend="brian2", duration=600.0, trials=1, seed=3, every=0.02)
    expected = quiet.latent_scale * np.array([0.5, 1.0]) / np.sqrt(2.0)
    for found in (latent[2000:], own.samples[0, 1000:]):
        assert found.std(axis=0) == pytest.approx(expected, rel=0.16)


def test_refusals(make_spiking, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.py"):
        export(make_spiking(), tmp_path / "net.txt", format="brian2")
    by_state = make_spiking(diffusion_decoders=np.zeros((2, 2, 8)), diffusion_filter_s=0.1)
    with pytest.raises(InputError, match="diffusion depends on the state"):
        export(by_state, tmp_path / "net.py", format="brian2")
    with pytest.raises(InputError, match="not a whole number of steps"):
        export(make_spiking(neuron=LIF(refractory_s=0.0015)), tmp_path / "net.py", format="brian2")
    assert list(tmp_path.iterdir()) == []
