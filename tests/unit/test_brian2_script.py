"""Brian2 scripts that stand alone: the reference's spikes one by one, the backend's statistics, no ddm2snn."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ddm2snn_backends.brian2 import Brian2Backend
from ddm2snn_backends.reference import ReferenceBackend

import ddm2snn
from ddm2snn import LIF, AdaptiveLIF, InputError, LoihiLIF, RectifiedLinear, SpikingNetwork, export

MODELS = {
    "lif": LIF(), "no_refractory_period": LIF(refractory_s=0.0), "adaptive": AdaptiveLIF(), "loihi": LoihiLIF(),
    "rectified_linear": RectifiedLinear(),
}  # fmt: skip
NOISE = {
    "constant": {"diffusion_factor": np.array([[0.5, 0.0], [0.3, 1.0]])},
    "coloured": {
        "diffusion_factor": np.array([[0.5, 0.0], [0.3, 1.0]]), "rise_s": 4e-3,
        "noise_colour": np.array([[2.0, 9.0, 12.0, 1.0], [8.0, 4.0, 30.0, 0.3]]),
    },
    "by_state": {
        "diffusion_factor": np.diag([0.1, 0.2]), "diffusion_filter_s": 0.05,
        "diffusion_decoders": np.random.default_rng(1).standard_normal((2, 2, 8)) / 100.0,
    },
}  # fmt: skip
DURATION, OWN_SEED, OTHER_SEED = 5.0, 3, 8
ISOLATED = """
import runpy, sys
sys.modules["ddm2snn"] = None
for script, seed in zip(sys.argv[1::2], sys.argv[2::2]):
    sys.argv = [script, "--duration", "5", "--output", script + ".npz", *(["--seed", seed] if seed else [])]
    runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def networks(make_spiking) -> dict[str, SpikingNetwork]:
    made = {name: make_spiking(neuron=neuron, rise_s=4e-3) for name, neuron in MODELS.items()}
    return made | {name: make_spiking(**fields) for name, fields in NOISE.items()}


@pytest.fixture(scope="module")
def ran(networks: dict[str, SpikingNetwork], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What each script says, run in a process that cannot import ddm2snn: those of noise with another seed."""
    folder, asked = tmp_path_factory.mktemp("scripts"), []
    for name, network in networks.items():
        done = export(network, folder / f"{name}.py", format="brian2", seed=OWN_SEED)
        assert done.files == (folder / f"{name}.py", folder / f"{name}.npz")
        asked += [f"{name}.py", str(OTHER_SEED) if name in NOISE else ""]
    subprocess.run([sys.executable, "-c", ISOLATED, *asked], cwd=folder, check=True, capture_output=True, timeout=300)
    found = {}
    for name in networks:
        with np.load(folder / f"{name}.py.npz") as file:
            found[name] = dict(file)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_spikes_are_the_references_one_by_one(networks, ran, name: str) -> None:
    """Deterministic, so that the two loops differ by rounding alone: no spike of these moves by a step."""
    network, found = networks[name], ran[name]
    every, reference = network.dt_s / network.time_unit_s, ReferenceBackend()
    own = ddm2snn.simulate(
        network, backend=reference, duration=DURATION, trials=1, seed=OWN_SEED, every=every, spikes=True
    )
    assert own.spikes is not None
    assert len(own.spikes.time_s) > 50
    step, neuron_of = np.rint(found["spike_time_s"] / network.dt_s).astype(int), found["spike_neuron"]
    assert sorted(zip(step, neuron_of, strict=True)) == sorted(
        zip(np.rint(own.spikes.time_s / network.dt_s).astype(int), own.spikes.neuron, strict=True)
    )
    # sums over 8 neurons in another order, damped by the leak: some tens of roundings
    assert found["latent"] == pytest.approx(own.samples[0], rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("name", NOISE)
def test_noise_and_spikes_are_those_of_the_backend_with_the_same_seed(networks, ran, name: str) -> None:
    """Not with another seed, nor with noise of another size: each moves latents by what noise moves them."""
    network, found = networks[name], ran[name]["latent"]

    def own(of: SpikingNetwork, seed: int) -> np.ndarray:
        every, brian2 = of.dt_s / of.time_unit_s, Brian2Backend("numpy")
        return ddm2snn.simulate(of, backend=brian2, duration=DURATION, trials=1, seed=seed, every=every).samples[0]

    assert found == pytest.approx(own(network, OTHER_SEED), rel=1e-11, abs=1e-11)
    larger = dataclasses.replace(network, diffusion_factor=2.0 * network.diffusion_factor)
    for other in (own(network, OWN_SEED), own(larger, OTHER_SEED)):
        assert np.abs(found - other).max() > 0.1


def test_refusals(make_spiking, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must end in \.py"):
        export(make_spiking(), tmp_path / "net.txt", format="brian2")
    too_fast = make_spiking(diffusion_decoders=np.zeros((2, 2, 8)), diffusion_filter_s=1e-4)
    with pytest.raises(InputError, match="longer than the filter of the diffusion factor"):
        export(too_fast, tmp_path / "net.py", format="brian2")
    with pytest.raises(InputError, match="not a whole number of steps"):
        export(make_spiking(neuron=LIF(refractory_s=0.0015)), tmp_path / "net.py", format="brian2")
    assert list(tmp_path.iterdir()) == []
