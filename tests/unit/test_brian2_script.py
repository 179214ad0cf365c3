"""Brian2 scripts that stand alone: the reference's spikes one by one, the backend's statistics, no ddm2snn."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ddm2snn_backends.brian2_backend import Brian2Backend
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


NOISE = {
    "constant": {"diffusion_factor": np.array([[0.5, 0.0], [0.3, 1.0]])},
    "by_state": {
        "diffusion_factor": np.diag([0.1, 0.2]), "diffusion_filter_s": 0.05,
        "diffusion_decoders": np.random.default_rng(1).standard_normal((2, 2, 8)) / 100.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_noise_and_spikes_are_those_of_the_backend_with_the_same_seed(make_spiking, noise, tmp_path: Path) -> None:
    """Another seed than the script's own; its noise is no less than the signal, so that no noise shows as well."""
    network = make_spiking(**noise)
    found = ran(network, tmp_path, "--duration", "10", "--seed", "8")

    def own(seed: int) -> np.ndarray:
        brian2 = Brian2Backend("numpy")
        every = network.dt_s / network.time_unit_s
        return ddm2snn.simulate(network, backend=brian2, duration=10.0, trials=1, seed=seed, every=every).samples[0]

    assert found["latent"] == pytest.approx(own(8), rel=1e-11, abs=1e-11)
    quiet = dataclasses.replace(network, diffusion_decoders=None, diffusion_filter_s=None, diffusion_factor=np.eye(2))
    for other in (own(3), ddm2snn.simulate(quiet, backend=Brian2Backend("numpy"), duration=10.0, trials=1, seed=8,
                                           every=0.01).samples[0]):  # fmt: skip
        assert np.abs(found["latent"] - other).max() > 0.1


def test_refusals(make_spiking, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.py"):
        export(make_spiking(), tmp_path / "net.txt", format="brian2")
    too_fast = make_spiking(diffusion_decoders=np.zeros((2, 2, 8)), diffusion_filter_s=1e-4)
    with pytest.raises(InputError, match="longer than the filter of the diffusion factor"):
        export(too_fast, tmp_path / "net.py", format="brian2")
    with pytest.raises(InputError, match="not a whole number of steps"):
        export(make_spiking(neuron=LIF(refractory_s=0.0015)), tmp_path / "net.py", format="brian2")
    assert list(tmp_path.iterdir()) == []
