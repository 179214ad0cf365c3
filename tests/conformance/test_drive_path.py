"""Open-loop drive along a moving path: every simulator fires with the reference, spike by spike."""

import dataclasses

import numpy as np
import pytest

from ddm2snn.neuron import LIF

STEPS = 700  # more than one block of the adapters
# Rounding enters with a few units in the last place per step and is forgotten at the rate of the
# filter: at most eps x the largest value x a few / (1 - decay), with 1 - decay above 1/400 here
ROUNDING = 8 * np.finfo(float).eps * 400
HALF_A_SPIKE = 0.5


@pytest.fixture
def path():
    """Latents that wander over several units of scale, in system units."""

    def wander(network):
        time = np.arange(STEPS)[:, None] * 2 * np.pi / STEPS
        harmonics = np.arange(1, network.rank + 1)
        internal = 1.5 * np.sin(3 * harmonics * time + harmonics) + 0.7 * np.cos(11 * time)
        return network.latent_offset + network.latent_scale * internal

    return wander


def test_spikes_and_traces_equal_the_reference(simulator, small_network, path, oracle_of, filtered, unfiltered):
    clock = small_network.dt_s, small_network.time_unit_s, small_network.rise_s
    found = filtered(simulator, small_network, path(small_network), seed=11)
    expected = filtered(oracle_of(simulator), small_network, path(small_network), seed=11)
    assert found.shape == expected.shape == (STEPS, small_network.neurons)
    assert np.array_equal(np.rint(unfiltered(found, *clock)), np.rint(unfiltered(expected, *clock)))
    assert np.abs(found - expected).max() <= ROUNDING * expected.max()


def test_paths_make_neurons_fire_and_fall_silent(small_network, path, oracle_of, simulator, filtered, unfiltered):
    trace = filtered(oracle_of(simulator), small_network, path(small_network), seed=11)
    spikes = np.rint(unfiltered(trace, small_network.dt_s, small_network.time_unit_s, small_network.rise_s))
    assert spikes.sum() > 10
    assert spikes.mean() < HALF_A_SPIKE


def test_a_membrane_one_percent_slower_is_noticed(simulator, make_spiking, path, oracle_of, filtered):
    network = make_spiking(neurons=8)
    slower = dataclasses.replace(network, neuron=LIF(tau_membrane_s=1.01 * network.neuron.tau_membrane_s))
    found = filtered(simulator, slower, path(network), seed=11)
    expected = filtered(oracle_of(simulator), network, path(network), seed=11)
    assert np.abs(found - expected).max() > ROUNDING * expected.max()


def test_another_seed_starts_from_other_voltages(spiking_backend, make_spiking, path, filtered):
    network = make_spiking(neurons=8)
    first, second = (filtered(spiking_backend, network, path(network), seed=seed) for seed in (11, 12))
    assert not np.array_equal(first, second)


def test_a_path_of_one_step_is_driven(spiking_backend, make_spiking, filtered):
    network = make_spiking(neurons=8)
    assert filtered(spiking_backend, network, network.initial_latent[:1]).shape == (1, network.neurons)


def test_units_of_a_rate_network_relax_to_their_activity(make_rate, filtered):
    network = make_rate()
    trace = filtered("rate", network, np.tile(network.initial_latent[:1], (STEPS, 1)))
    z = (network.initial_latent[0] - network.latent_offset) / network.latent_scale
    activity = np.tanh(network.left_vectors @ z + network.bias)
    time = 0.01 * np.arange(1, STEPS + 1)[:, None]  # the backend's step unless told, in rate time units
    assert np.abs(trace - activity * (1.0 - np.exp(-time))).max() <= ROUNDING
    shifted = activity * (1.0 - np.exp(-time - 0.01))
    assert np.abs(trace - shifted).max() > ROUNDING
