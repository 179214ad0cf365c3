"""Registers, spikes and latents of the project's own arithmetic are those of nengo-loihi's emulator, every bit."""

from __future__ import annotations

import numpy as np
import pytest
from ddm2snn_backends.loihi import LoihiBackend, _quiet
from ddm2snn_backends.quantised import QuantisedBackend

from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.device import device_of, machine_of
from ddm2snn.neuron import LIF, LoihiLIF
from ddm2snn.simulate import simulate
from ddm2snn.stimulus import Stimulus

pytest.importorskip("nengo_loihi")
CONFIG = find_hardware("loihi1-emulator")
NETWORKS = {
    "noisy": {"neurons": 40, "seed": 1, "diffusion_factor": np.array([[0.3, 0.0], [0.1, 0.2]])},
    "long_time_unit": {"neurons": 30, "seed": 2, "rank": 3, "time_unit_s": 0.5},  # weights lose bits
    "fine_step": {"neurons": 12, "seed": 3, "dt_s": 5e-4, "neuron": LoihiLIF(), "diffusion_factor": 0.2 * np.eye(2)},
    "decodes_nothing": {"neurons": 8, "seed": 4, "decoders": np.zeros((2, 8))},
    "fast_membrane": {"neurons": 8, "seed": 5, "neuron": LIF(5e-3, 4e-3)},
}
FEWER = CONFIG.decode_neurons.model_copy(update={"pairs_per_latent": 3})
# 36 axons and two for each latent: 100 neurons in three groups, of 12 decode neurons each
IN_GROUPS = CONFIG.model_copy(
    update={"capacity": CONFIG.capacity.model_copy(update={"input_axons_per_core": 40}), "decode_neurons": FEWER}
)
LEVELS = np.array([[0.4, -0.5], [0.0, 0.7]])
STIMULUS = Stimulus(times=np.array([0.3, 1.1]), values=LEVELS)
OF_TRIALS = Stimulus(times=np.array([0.3, 1.1]), values=np.stack([LEVELS, -LEVELS]))


def discretised(network, device, amplitude):
    """Blocks of nengo-loihi, population first, after its discretisation."""
    from ddm2snn_backends.loihi_model import build, repaired

    signs = None if amplitude is None else np.ones((1, 3, network.rank), dtype=np.int8)
    with repaired() as nengo_loihi, _quiet():
        model, made = build(
            network, device, nengo_loihi, trials=1, seed=0, amplitude=amplitude, signs=signs, record_spikes=False
        )
        store = nengo_loihi.builder.Model(dt=network.dt_s)
        store.decode_tau = network.time_unit_s
        with nengo_loihi.Simulator(model, dt=network.dt_s, model=store, target="sim") as simulator:
            objects = simulator.model.objs
            return tuple(
                [block for e in kind for block in objects[e]["in"]] for kind in (made[0].neurons, made[0].decode)
            )


def assert_equal_registers(blocks, registers, groups):
    assert len(blocks) == len(registers)
    groups = groups if isinstance(groups[0], list) else [groups] * len(blocks)
    for block, found, axons_of in zip(blocks, registers, groups, strict=True):
        state = block.compartment
        assert np.array_equal(state.bias, found.bias)
        assert (state.vth == found.threshold).all()
        assert ((4095 - state.decay_u) / 4096 == found.current_decay).all()  # the chip adds one to this decay
        assert ((4096 - state.decay_v) / 4096 == found.voltage_decay).all()
        assert (state.refract_delay == found.refractory_steps + 1).all()  # counts the step of the spike
        assert state.vmax == found.voltage_limit
        theirs = {synapse.n_axons: synapse for synapse in block.synapses}
        for weights, exponent, axons in zip(found.weights, found.exponents, axons_of, strict=True):
            rows = [theirs[axons].axon_weights_indices(axon)[0] for axon in range(axons)]  # equal rows are kept once
            assert np.array_equal(rows, weights)
            assert theirs[axons].synapse_cfg.weight_exp == exponent


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("with_input", [False, True])
def test_registers_are_equal_integer_for_integer(name, with_input, make_spiking):
    network = make_spiking(**NETWORKS[name])
    amplitude = np.linspace(1.0, 3.0, network.rank) if with_input else None
    device = device_of(network, CONFIG, network.dt_s)
    machine = machine_of(network, device, amplitude)
    population, decode = discretised(network, device, amplitude)
    assert_equal_registers(population, machine.population, [device.decode_neurons.neurons])
    assert_equal_registers(decode, machine.decode_neurons, [network.neurons, 2 * network.rank][: 1 + with_input])


def test_groups_with_decode_neurons_of_their_own_have_equal_registers(make_spiking):
    network = make_spiking(neurons=100, seed=9, diffusion_factor=0.2 * np.eye(2))
    device = device_of(network, IN_GROUPS, network.dt_s)
    assert device.decode_neurons.groups == 3
    assert np.abs(np.diff(device.decode_neurons.radius, axis=0)).min() > 1e-3  # each with a radius of its own
    machine = machine_of(network, device, np.array([1.0, 2.0]))
    population, decode = discretised(network, device, np.array([1.0, 2.0]))
    assert [len(part.bias) for part in machine.population] == [33, 33, 34]
    assert_equal_registers(decode, machine.decode_neurons, [[33, 4], [33, 4], [34, 4]])
    assert len(population) == 3
    for block, found in zip(population, machine.population, strict=True):
        theirs = [synapse.axon_weights_indices(axon)[0] for synapse in block.synapses for axon in range(12)]
        assert np.array_equal(np.array(theirs), np.concatenate(found.weights))
        assert [synapse.synapse_cfg.weight_exp for synapse in block.synapses] == list(found.exponents)
        assert np.array_equal(block.compartment.bias, found.bias)


def test_parts_on_several_cores_have_registers_of_their_own(make_spiking):
    network = make_spiking(neurons=50, seed=6)
    placement = CONFIG.placement.model_copy(update={"block_compartments": 20})
    config = CONFIG.model_copy(update={"placement": placement})
    device = device_of(network, config, network.dt_s)
    machine = machine_of(network, device)
    assert [len(part.bias) for part in machine.population] == [17, 17, 16]
    population, decode = discretised(network, device, None)
    assert_equal_registers(population, machine.population, [device.decode_neurons.neurons])
    assert_equal_registers(decode, machine.decode_neurons, [network.neurons])


def runs(network, *, seed=3, config=CONFIG, **changed):
    """The same run by nengo-loihi and by the own arithmetic."""
    settings = {"duration": 2.0, "trials": 2, "seed": seed, "spikes": True, **changed}
    theirs, ours = (simulate(network, backend=b(config), **settings) for b in (LoihiBackend, QuantisedBackend))
    return theirs, ours


def spikes_of(run):
    assert run.spikes is not None
    return np.stack([run.spikes.time_s, run.spikes.neuron, run.spikes.trial])


@pytest.mark.parametrize("name", NETWORKS)
def test_spikes_and_latents_are_those_of_the_emulator(name, make_spiking):
    network = make_spiking(**NETWORKS[name])
    stimulus = STIMULUS if network.rank == 2 else None
    theirs, ours = runs(network, stimulus=stimulus)
    assert spikes_of(theirs).shape[1] > 50
    assert np.array_equal(spikes_of(theirs), spikes_of(ours))
    assert np.array_equal(theirs.samples, ours.samples)


def test_groups_give_the_spikes_and_latents_of_the_emulator(make_spiking):
    network = make_spiking(neurons=100, seed=9, diffusion_factor=0.2 * np.eye(2))
    theirs, ours = runs(network, config=IN_GROUPS, stimulus=OF_TRIALS)
    assert spikes_of(theirs).shape[1] > 500
    assert np.array_equal(spikes_of(theirs), spikes_of(ours))
    assert np.array_equal(theirs.samples, ours.samples)


def test_more_neurons_than_a_core_has_axons(make_spiking):
    """4,100 neurons and 4 axons of input: two groups on the real limits of Loihi, three before a group has 2,050."""
    network = make_spiking(neurons=4100, seed=10)
    theirs, ours = runs(network, config=CONFIG, duration=0.3, trials=1)
    assert np.array_equal(spikes_of(theirs), spikes_of(ours))
    assert np.array_equal(theirs.samples, ours.samples)
    assert spikes_of(theirs)[1].max() > 4096


def test_one_bit_less_gives_other_spikes(make_spiking):
    network = make_spiking(**NETWORKS["noisy"])
    settings = {"duration": 2.0, "trials": 2, "seed": 3, "spikes": True}
    fewer = CONFIG.model_copy(update={"precision": CONFIG.precision.model_copy(update={"weight_bits": 7})})
    found, expected = (spikes_of(simulate(network, backend=QuantisedBackend(c), **settings)) for c in (fewer, CONFIG))
    assert not np.array_equal(found, expected)


def test_sampling_grids_that_blocks_do_not_divide(make_spiking):
    network = make_spiking(neurons=12, seed=7)
    # 1,030 steps are two blocks of 512 and a rest; every third step is sampled
    settings = {"duration": 10.3, "trials": 1, "every": 0.03}
    theirs, ours = runs(network, **settings)
    assert theirs.samples.shape == (1, 344, 2)
    assert np.array_equal(theirs.samples, ours.samples)
