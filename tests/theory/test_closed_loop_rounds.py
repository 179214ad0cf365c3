"""Closed-loop rounds of calibration: the loop is the backend's, its target is what the path itself asks for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend

import ddm2snn
from ddm2snn import Calibrated, InputError
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.driving import ClosedLoop, Drive
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.conversion.population import Population, encode
from ddm2snn.conversion.trajectories import Trajectories, regression_target
from ddm2snn.network import to_internal
from ddm2snn.neuron import NEURON_MODELS

CLOCK = Clock(0.2, 1e-3, "grid")
EVERY = 0.1
STRIDE = 20  # steps of 1 ms in 0.1 time units of 200 ms


@pytest.fixture
def loop_of(rate_network):
    """Builder of loops of a network's neurons and decoders, on as many trials as there are voltages."""

    def build(network, voltage, states, factor, rate=rate_network):
        ensemble, own = Ensemble.of(network), np.arange(network.neurons)
        loop = ClosedLoop(rate, ensemble, network.decoders, own, factor, states, np.random.default_rng(7))
        loop._drive = Drive(ensemble, voltage, own)  # these voltages instead of random ones
        return loop

    return build


@pytest.mark.parametrize("model", NEURON_MODELS.values())
@pytest.mark.parametrize("timing", ["grid", "interpolated"])
def test_the_loop_is_that_of_the_reference(make_spiking, loop_of, model, timing):
    own = model().timing_on(timing)  # some models fire on the grid of every simulator
    network = dataclasses.replace(make_spiking(neurons=40), neuron=model(), spike_timing=own, time_unit_s=0.2)
    trials, seed = 3, 4
    start = network.initial_latent[:trials]
    run = ddm2snn.simulate(
        network,
        backend=ReferenceBackend(timing),
        duration=2.0,
        trials=trials,
        seed=seed,
        initial_latent=start,
        every=EVERY,
    )
    voltage = stream(seed, "run", "voltage").random((trials, network.neurons))
    filtered, _, states = loop_of(network, voltage, to_internal(network, start), np.zeros((2, 2))).advance(19)
    expected = to_internal(network, run.samples)[:, 1:]
    assert filtered.max() > 20.0, "neurons must fire for this to mean anything"
    assert np.abs(states - expected).max() < 1e-9 * np.abs(expected).max()


def test_the_target_follows_the_path_that_the_spikes_take(rate_network, make_spiking, loop_of):
    # a loop that is sampled at each step shows its whole path, along which the target can be filtered by hand
    network = dataclasses.replace(make_spiking(neurons=40), time_unit_s=0.2)
    start = to_internal(rate_network, rate_network.initial_latent[:5])
    voltage = np.random.default_rng(1).random((5, 40))
    factor = 0.3 * np.eye(2)
    whole = loop_of(network, voltage, start, factor)
    whole.stride = 1
    _, _, states = whole.advance(2 * STRIDE)
    path = np.concatenate([start[:, None], states], axis=1)
    decay, expected = np.exp(-1 / 200), np.zeros_like(start)
    for step in range(2 * STRIDE):
        expected = decay * expected + (1.0 - decay) * regression_target(rate_network, path[:, step], CLOCK)
    _, target, reached = loop_of(network, voltage, start, factor).advance(2)
    assert np.array_equal(reached[:, -1], path[:, -1]), "the same noise gives the same path"
    assert np.abs(target[:, -1] - expected).max() < 1e-12 * np.abs(expected).max()


def test_on_a_path_of_the_rate_network_it_is_the_target_of_trajectories(rate_network):
    # without noise the filtered y is z less the decaying start, whichever way it is found
    states = to_internal(rate_network, rate_network.initial_latent[:20])
    quiet = dataclasses.replace(rate_network, diffusion_factor=np.zeros((2, 2)))
    paths = Trajectories(quiet, CLOCK, states, EVERY, np.random.default_rng(0))
    path, target, _ = paths.advance(40)
    decay = np.exp(-1 / 200)

    def missed(wanted):
        filtered = np.zeros_like(states)
        for step in range(path.shape[1]):
            filtered = decay * filtered + (1.0 - decay) * wanted(path[:, step])
        return np.abs(filtered - target[:, -1]).max() / np.abs(target).max()

    heun = (paths.fine / 200) ** 2  # the drift's own step in time units, squared
    assert missed(lambda z: regression_target(rate_network, z, CLOCK)) < heun
    assert missed(rate_network.internal_readout) > heun, "half a step of lag must show"


def test_a_round_adds_samples_and_none_changes_nothing(rate_network):
    cloud = to_internal(rate_network, rate_network.initial_latent)
    ensemble = encode(rate_network, Population(1), Clock(0.1, 1e-3, "grid"), cloud, np.random.default_rng(0))

    def calibrated(**settings):
        decoders = Calibrated(duration=200.0, **settings)
        return decoders.calibrate(rate_network, ensemble, cloud, np.random.default_rng(3))

    none, one = calibrated(rounds=0), calibrated(rounds=1)
    assert np.array_equal(none.decoders, calibrated().decoders)
    assert one.samples == pytest.approx(2 * none.samples, rel=0.1)
    assert not np.allclose(one.decoders, none.decoders, rtol=1e-3)


@pytest.mark.parametrize("bad", [-1, 1.5, True, "2"])
def test_rounds_are_a_whole_number(bad):
    with pytest.raises(InputError, match=r"Calibrated\.rounds must be 0 or a whole number above zero, got"):
        Calibrated(rounds=bad)
