"""Rates at constant latents against the closed form that belongs to each simulator's spike timing."""

import dataclasses

import numpy as np
import pytest

from ddm2snn.neuron import LIF

# From far below threshold to a hundred times above it; none climbs for a whole number of steps
CURRENTS = np.array([-3.0, 0.0, 0.9, 1.0, 1.001, 1.05, 1.21, 1.5, 2.03, 3.3, 7.0, 21.0, 97.0])
WINDOW_S = {1e-3: 1.0, 1e-4: 0.2}
# Periodic spikes whose first falls within one interval of the start: the count in a window differs
# from window x rate by at most one
COUNT_TOLERANCE = 1.0
# The inverse filter divides by (1 - decay) / dt = 1 / T: rounding of 500 Hz times T is below 1e-13
FILTER_TOLERANCE = 1e-9
LATENT = 0.7

steps = pytest.mark.parametrize("dt_s", sorted(WINDOW_S))


@pytest.fixture
def network(make_spiking, dt_s):
    """Neurons that a constant latent drives with the currents above."""
    encoder = np.linspace(-1.0, 1.0, len(CURRENTS))[:, None]
    return make_spiking(
        rank=1,
        neurons=len(CURRENTS),
        encoders=encoder,
        bias=CURRENTS - LATENT * encoder[:, 0],
        rate_left_vectors=np.ones((1, 1)),
        unit=np.zeros(len(CURRENTS)),
        dt_s=dt_s,
    )


@pytest.fixture
def miss(spiking_backend, filtered, unfiltered):
    """Largest distance between spikes counted in a network and spikes expected of a neuron model."""

    def distance(network, neuron, timing):
        window_s = WINDOW_S[network.dt_s]
        latent = network.latent_offset + network.latent_scale * LATENT
        trace = filtered(spiking_backend, network, np.tile(latent, (round(window_s / network.dt_s), 1)))
        spikes = unfiltered(trace, network.dt_s, network.time_unit_s)
        assert np.abs(spikes - np.rint(spikes)).max() < FILTER_TOLERANCE
        expected = window_s * neuron.rate_hz(CURRENTS, timing=timing, dt_s=network.dt_s)
        return np.abs(np.rint(spikes).sum(axis=0) - expected).max()

    return distance


@steps
def test_rates_follow_the_closed_form_of_the_simulators_timing(spiking_backend, network, miss):
    assert miss(network, network.neuron, spiking_backend.spike_timing) <= COUNT_TOLERANCE


@steps
def test_a_refractory_period_one_step_too_long_is_noticed(spiking_backend, network, miss):
    longer = LIF(refractory_s=network.neuron.refractory_s + network.dt_s)
    wrong = dataclasses.replace(network, neuron=longer)
    assert miss(wrong, network.neuron, spiking_backend.spike_timing) > COUNT_TOLERANCE


@pytest.mark.parametrize("dt_s", [1e-3])
def test_the_curve_of_the_other_timing_is_noticed(spiking_backend, network, miss):
    other = {"grid": "interpolated", "interpolated": "grid"}[spiking_backend.spike_timing]
    assert miss(network, network.neuron, other) > COUNT_TOLERANCE


def test_a_current_at_threshold_never_fires_however_coarse_the_step(spiking_backend, make_spiking, filtered):
    # at two membrane time constants in a step the voltage rounds to the threshold itself within twenty steps
    network = make_spiking(
        encoders=np.zeros((8, 2)), bias=np.ones(8), neuron=LIF(tau_membrane_s=1e-3, refractory_s=2e-3), dt_s=2e-3
    )
    assert (network.neuron.rate_hz(network.bias, timing="grid", dt_s=2e-3) == 0.0).all()
    assert not filtered(spiking_backend, network, np.tile(network.latent_offset, (100, 1))).any()


@pytest.mark.parametrize("dt_s", [1e-3])
def test_a_wrong_filter_constant_leaves_no_whole_spikes(spiking_backend, network, filtered, unfiltered):
    trace = filtered(spiking_backend, network, np.tile(network.latent_offset, (100, 1)))
    spikes = unfiltered(trace, network.dt_s, 1.01 * network.time_unit_s)
    assert np.abs(spikes - np.rint(spikes)).max() > FILTER_TOLERANCE
