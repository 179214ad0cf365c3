"""PyNN scripts that stand alone: the reference's spikes one by one, without ddm2snn."""

from __future__ import annotations

import dataclasses
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend
from pynn_stand_in import Nodes, stand_ins

from ddm2snn import LIF, AdaptiveLIF, InputError, Recording, SpikingNetwork, export, simulate

NOISE = np.array([[0.5, 0.0], [0.3, 1.0]])
FIELDS = {
    "noisy": {"diffusion_factor": NOISE},
    "no_refractory_period": {"neuron": LIF(refractory_s=0.0), "diffusion_factor": NOISE},
    "short_steps": {"dt_s": 2e-4, "neuron": LIF(0.01, 0.0006)},
    # currents down to -20, so that the floor of the voltage counts
    "inhibited": {"encoders": np.random.default_rng(2).standard_normal((8, 2)) * 8.0, "diffusion_factor": 2.0 * NOISE},
    "coloured": {
        "diffusion_factor": NOISE, "rise_s": 4e-3,
        "noise_colour": np.array([[2.0, 9.0, 12.0, 1.0], [8.0, 4.0, 30.0, 0.3]]),
    },
    "noise_by_state": {
        "diffusion_factor": 0.2 * NOISE, "diffusion_filter_s": 0.05,
        "diffusion_decoders": np.random.default_rng(1).standard_normal((2, 2, 8)) / 100.0,
    },
}  # fmt: skip


def ran(network: SpikingNetwork, folder: Path, monkeypatch: pytest.MonkeyPatch, **asked: int) -> dict[str, np.ndarray]:
    """What the script says of five time units, with stand-ins for PyNN and NEST and no ddm2snn."""
    done = export(network, folder / "net.py", format="pynn", seed=3)
    assert done.files == (folder / "net.py", folder / "net.npz")
    assert done.lost == ()
    with monkeypatch.context() as patch:
        for name, module in stand_ins().items():
            patch.setitem(sys.modules, name, module)
        patch.setitem(sys.modules, "ddm2snn", None)
        return runpy.run_path(str(done.files[0]))["simulate"](5.0, **asked)


def reference(network: SpikingNetwork, seed: int = 3) -> Recording:
    every = network.dt_s / network.time_unit_s
    return simulate(network, backend=ReferenceBackend(), duration=5.0, trials=1, seed=seed, every=every, spikes=True)


def agree(network: SpikingNetwork, found: dict[str, np.ndarray], own: Recording) -> bool:
    """Whether all spikes are the same, and latents within some tens of roundings."""
    assert own.spikes is not None
    step, other = (np.rint(times / network.dt_s) for times in (found["spike_time_s"], own.spikes.time_s))
    return (
        np.array_equal(step, other)
        and np.array_equal(found["spike_neuron"], own.spikes.neuron)
        and np.allclose(found["latent"], own.samples[0], rtol=1e-11, atol=1e-11)
    )


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_spikes_and_latents_are_the_references(make_spiking, fields, tmp_path: Path, monkeypatch) -> None:
    network = make_spiking(**fields)
    found, own = ran(network, tmp_path, monkeypatch), reference(network)
    assert len(found["spike_time_s"]) > 50
    assert agree(network, found, own)
    assert not agree(network, found, reference(network, seed=4))


def test_another_seed_is_that_of_the_reference(make_spiking, tmp_path: Path, monkeypatch) -> None:
    network = make_spiking(diffusion_factor=NOISE)
    found = ran(network, tmp_path, monkeypatch, seed=8)
    assert agree(network, found, reference(network, seed=8))
    longer = dataclasses.replace(network, neuron=LIF(refractory_s=0.003))
    assert not agree(network, found, reference(longer, seed=8))


def test_without_the_floor_of_the_voltage_spikes_are_others(make_spiking, tmp_path: Path, monkeypatch) -> None:
    network = make_spiking(**FIELDS["inhibited"])
    monkeypatch.setattr(Nodes, "set", lambda self, states: self.__dict__.update(voltage=[s["V_m"] for s in states]))
    assert not agree(network, ran(network, tmp_path, monkeypatch), reference(network))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"neuron": AdaptiveLIF()}, "PyNN has no AdaptiveLIF neurons"),
        ({"neuron": LIF(refractory_s=0.0015)}, "not a whole number of steps"),
        (
            {"neuron": LIF(refractory_s=0.001), "dt_s": 1e-3 / 3},
            "whole microseconds, and this network's is dt_s = 0.000333",
        ),
    ],
)
def test_what_pynn_cannot_run_is_refused(make_spiking, fields, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        export(make_spiking(**fields), tmp_path / "net.py", format="pynn")
    with pytest.raises(InputError, match=r"must end in \.py"):
        export(make_spiking(), tmp_path / "net.txt", format="pynn")
    assert list(tmp_path.iterdir()) == []
