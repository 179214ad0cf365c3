"""Closed loop without noise: every simulator gives the reference's spikes, one for one."""

import dataclasses

import numpy as np
import pytest
from ddm2snn_backends.brian2 import Brian2Backend
from ddm2snn_backends.reference import ReferenceBackend

from ddm2snn.backend import find_backend
from ddm2snn.neuron import LIF
from ddm2snn.simulate import simulate
from ddm2snn.stimulus import Stimulus

DURATION, TRIALS = 3.0, 2
# Each step rounds latents of order ten at eps; while spikes agree, errors shrink with the leak, so that
# they stay below steps x eps x size (at most 600 x 2e-16 x 10) with room for sums over 256 neurons
ROUNDING = 1e-10


@pytest.fixture(scope="module")
def loop(oracle_of):
    """Run a network with a stimulus that switches, from two initial states."""

    def run(backend, network):
        return simulate(
            network,
            backend=backend,
            duration=DURATION,
            trials=TRIALS,
            seed=21,
            initial_latent=network.latent_offset + network.latent_scale * [[0.5], [-1.0]],
            stimulus=Stimulus(times=np.array([0.5, 1.7]), values=np.outer([1.0, -0.6], np.ones(network.rank))),
            every=2 * network.dt_s / network.time_unit_s,
            spikes=True,
        )

    return run


def same_spikes(found, expected):
    """Whether times, neurons and trials of all spikes agree."""
    names = ("time_s", "neuron", "trial")
    return all(np.array_equal(getattr(found.spikes, name), getattr(expected.spikes, name)) for name in names)


def test_small_networks_fire_with_the_reference(simulator, small_network, loop, oracle_of):
    found, expected = loop(simulator, small_network), loop(oracle_of(simulator), small_network)
    assert expected.spikes.time_s.size > 10
    assert same_spikes(found, expected)
    assert np.abs(found.samples - expected.samples).max() < ROUNDING


@pytest.mark.parametrize("name", ["brian2", "nengo"])
def test_a_trained_network_fires_with_the_reference(name, spiking_networks, loop, oracle_of):
    network = dataclasses.replace(spiking_networks[name], diffusion_factor=np.zeros((2, 2)))
    backend = find_backend(name, **({"mode": "numpy"} if name == "brian2" else {}))
    found, expected = loop(backend, network), loop(oracle_of(backend), network)
    assert expected.spikes.time_s.size > 1000
    assert same_spikes(found, expected)
    assert np.abs(found.samples - expected.samples).max() < ROUNDING


def test_a_refractory_period_one_step_too_long_is_noticed(simulator, make_spiking, loop, oracle_of):
    network = make_spiking(rank=3, neurons=12)
    longer = dataclasses.replace(network, neuron=LIF(refractory_s=network.neuron.refractory_s + network.dt_s))
    found, expected = loop(simulator, longer), loop(oracle_of(simulator), network)
    assert not same_spikes(found, expected)
    assert np.abs(found.samples - expected.samples).max() > ROUNDING


def test_latents_one_step_late_are_noticed(simulator, make_spiking, loop, oracle_of):
    network = make_spiking(rank=3, neurons=12)
    found, expected = loop(simulator, network).samples, loop(oracle_of(simulator), network).samples
    assert np.abs(found[:, 1:] - expected[:, :-1]).max() > ROUNDING


@pytest.mark.slow
def test_cython_fires_with_the_reference(make_spiking, loop, oracle_of, process_state):
    # one network with all features, compiled once: the compiler takes some fifteen seconds
    network, backend = make_spiking(rank=1, neurons=6), Brian2Backend(mode="cython")
    before = process_state()
    found = loop(backend, network)
    assert process_state() == before
    assert found.provenance["options"] == {"mode": "cython"}
    expected = loop(oracle_of(backend), network)
    assert expected.spikes.time_s.size > 10
    assert same_spikes(found, expected)
    assert np.abs(found.samples - expected.samples).max() < ROUNDING


@pytest.mark.slow
def test_standalone_fires_with_the_reference(standalone_runs):
    found, settings = standalone_runs["program"]["quiet"], standalone_runs["settings"]["quiet"]
    network, stimulus = standalone_runs["networks"]["quiet"], standalone_runs["stimulus"]
    expected = simulate(network, backend=ReferenceBackend("grid"), stimulus=stimulus, **settings)
    assert expected.spikes is not None
    assert expected.spikes.time_s.size > 10
    assert same_spikes(found, expected)
    assert np.abs(found.samples - expected.samples).max() < ROUNDING
