"""The adapter to nengo-loihi: targets, refusals, and what it leaves behind."""

from __future__ import annotations

import numpy as np
import pytest
from ddm2snn_backends import loihi_model
from ddm2snn_backends.loihi import LoihiBackend
from ddm2snn_backends.quantised import QuantisedBackend

from ddm2snn.backend import find_backend, gaps
from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.layout import layout_of
from ddm2snn.neuron import LIF, RectifiedLinear
from ddm2snn.simulate import drive, simulate

nengo_loihi = pytest.importorskip("nengo_loihi")
DEVICES = (LoihiBackend, QuantisedBackend)
NOISE = {"diffusion_factor": 0.1 * np.eye(2)}


@pytest.mark.parametrize("target", ["sim", "simreal"])
def test_provenance_names_the_target_that_ran(target, make_spiking):
    run = simulate(make_spiking(**NOISE), backend=find_backend("nengo-loihi", target=target), duration=0.1, trials=1)
    assert run.provenance["backend"] == "nengo-loihi"
    assert run.provenance["options"]["target"] == target
    assert run.provenance["options"]["hardware"]["name"] == "loihi1-emulator"
    assert run.provenance["versions"]["nengo_loihi"] == nengo_loihi.__version__


def test_without_rounding_the_registers_are_other_ones(make_spiking):
    network = make_spiking(neurons=20, seed=1)
    settings = {"duration": 4.0, "trials": 1, "seed": 0}
    rounded, real = (
        simulate(network, backend=LoihiBackend(target=target), **settings).samples for target in ("sim", "simreal")
    )
    # latents are of order one; weights of at best seven bits and a sign move spikes, and those latents by a share
    assert not np.array_equal(rounded, real)
    assert np.abs(rounded - real).mean() < 0.2


def test_own_arithmetic_without_bits_is_simreal_up_to_32_bits(make_spiking):
    network = make_spiking(neurons=20, seed=1)
    settings = {"duration": 0.3, "trials": 1, "seed": 0}
    config = find_hardware("loihi1-emulator")
    real = QuantisedBackend(config.model_copy(update={"precision": type(config.precision)()}))
    found, expected = (simulate(network, backend=b, **settings).samples for b in (real, LoihiBackend(target="simreal")))
    # sums of some tens of numbers with 24 bits of mantissa, over 30 steps, before a first spike moves by a step
    assert np.abs(found - expected).max() < 1e-4


def test_an_unknown_target_and_hardware_that_it_does_not_run():
    with pytest.raises(InputError, match="no target 'chip'; known are sim, simreal, loihi"):
        LoihiBackend(target="chip")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"does not target loihi2-like\. Run it with backend=.quantised"):
        LoihiBackend("loihi2-like")


def test_the_other_device_runs_on_its_own_arithmetic(make_spiking):
    run = simulate(make_spiking(**NOISE), backend=QuantisedBackend("loihi2-like"), duration=0.5, trials=1)
    assert run.provenance["options"]["hardware"]["name"] == "loihi2-like"
    assert np.isfinite(run.samples).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"neuron": RectifiedLinear()}, "rectified-linear neurons: loihi1-emulator has LIF or LoihiLIF"),
        (
            {"diffusion_decoders": np.zeros((2, 2, 8)), "diffusion_filter_s": 0.05},
            "diffusion_decoders: spikes would have to multiply noise",
        ),
        ({"neuron": LIF(refractory_s=0.063)}, "refractory_s: its register counts 62 steps of 0.001 s"),
        ({"time_unit_s": 0.004}, "filter_s = 0.005 of loihi1-emulator is no shorter than the time unit of 0.004 s"),
    ],
)
def test_what_a_device_lacks_is_refused_in_its_words(device, fields, words, make_spiking):
    network = make_spiking(**fields)
    with pytest.raises(UnsupportedError, match=words):
        simulate(network, backend=device(), duration=0.1, trials=1, seed=0)
    with pytest.raises(UnsupportedError, match=words):
        drive(network, np.zeros((3, 2)), backend=device())


@pytest.mark.parametrize("device", DEVICES)
def test_a_refractory_period_at_the_limit_of_its_register_runs(device, make_spiking):
    network = make_spiking(neuron=LIF(refractory_s=0.062))
    assert gaps(device(), network) == []


@pytest.mark.parametrize("device", DEVICES)
def test_runs_leave_no_trace(device, make_spiking, process_state):
    network, before = make_spiking(**NOISE), process_state()
    simulate(network, backend=device(), duration=0.2, trials=2, seed=5)
    list(drive(network, np.zeros((5, 2)), backend=device(), seed=5))
    assert process_state() == before


@pytest.mark.parametrize("device", DEVICES)
def test_a_seed_gives_the_same_run_again_and_another_seed_another(device, make_spiking):
    network = make_spiking(**NOISE)
    first, again, other = (
        simulate(network, backend=device(), duration=0.5, trials=2, seed=seed).samples for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("device", DEVICES)
def test_runs_start_where_they_are_told(device, make_spiking):
    network = make_spiking()
    start = network.latent_offset + network.latent_scale * np.array([[0.5, -0.8], [0.1, 0.3]])
    run = simulate(network, backend=device(), duration=0.1, trials=2, seed=0, initial_latent=start, every=0.01)
    # a register unit of a latent, of which there are hundreds of thousands within the radius
    assert np.abs(run.samples[:, 0] - start).max() < 1e-4


@pytest.mark.parametrize("axons", [4096, 80])
def test_open_loop_fires_as_neurons_at_the_decoded_current(axons, make_spiking, filtered):
    """At a latent that stands still, rates are those of the encoders' currents, as the closed form has them.

    With 80 axons into a core, 80 neurons are two groups, and the mean of decode neurons is that of twice as many.
    """
    network = make_spiking(neurons=40 if axons > 80 else 80, seed=8, dt_s=5e-4)
    capacity = find_hardware("loihi1-emulator").capacity.model_copy(update={"input_axons_per_core": axons})
    config = find_hardware("loihi1-emulator").model_copy(update={"capacity": capacity})
    assert len(layout_of(network.neurons, 2, config).groups) == (1 if axons > 80 else 2)
    z = np.array([0.3, -0.4])
    current = network.encoders @ z + network.bias

    def outside(shift):
        path = np.tile(network.latent_offset + network.latent_scale * (z + shift), (4000, 1))
        rates_hz = filtered(find_backend("quantised", hardware=config), network, path)[2000:].mean(axis=0)
        return (rates_hz < low).sum() + (rates_hz > high).sum()

    # 20 decode neurons round their periods by half a step of 8 to 40, each its own way: some 2 % of a radius of 2 in
    # the mean, and as much again as ripple, times encoders of up to 2; one spike more or less in the second
    low, high = (network.neuron.rate_hz(current + d, timing="grid", dt_s=5e-4) + 10 * d for d in (-0.15, 0.15))
    assert outside(0.0) == 0
    assert outside(0.5) > 5


def test_nengo_loihi_still_needs_the_repair():
    """Where this fails, nengo-loihi says `copy=None` by itself: drop loihi_model.repaired for that version."""
    from nengo_loihi.block import Synapse

    assert loihi_model.needs_repair(nengo_loihi)
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        Synapse(2).set_weights(np.ones((2, 3)))


def test_the_repair_holds_inside_the_adapter_only():
    from nengo_loihi import block, neurons

    before = (block.np, neurons.np)  # pyright: ignore[reportAttributeAccessIssue]
    with loihi_model.repaired() as repaired:
        assert repaired is nengo_loihi
        assert block.np is not before[0]  # pyright: ignore[reportAttributeAccessIssue]
        block.Synapse(2).set_weights(np.ones((2, 3)))
    assert (block.np, neurons.np) == before  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("version", "numpy", "needed"), [("1.1.0", "1.26.4", False), ("1.2.0", "2.3.5", False)])
def test_other_versions_are_left_alone(version, numpy, needed, monkeypatch):
    monkeypatch.setattr(nengo_loihi, "__version__", version)
    monkeypatch.setattr(loihi_model.np, "__version__", numpy)
    assert loihi_model.needs_repair(nengo_loihi) is needed
