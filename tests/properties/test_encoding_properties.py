"""encode(): every neuron of every population reaches its drawn rate at the end of the range it prefers."""

# A pair is passed on as a pair:
# pyright: reportCallIssue=false

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from network_strategies import MODEST

from ddm2snn import LIF, AdaptiveLIF, LoihiLIF, Population, RateNetwork, RectifiedLinear
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.population import encode

CLOCK = Clock(time_unit_s=0.1, dt_s=1e-3, spike_timing="grid")


@st.composite
def cases(draw):
    """A rate network, points, a population and the seed of its draws."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rank, units = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    rate = RateNetwork(
        left_vectors=rng.standard_normal((units, rank)) * draw(st.floats(0.01, 100.0)),
        right_vectors=rng.standard_normal((units, rank)),
        bias=rng.standard_normal(units) * draw(st.floats(0.0, 10.0)),
        diffusion_factor=np.zeros((rank, rank)),
        input_map=np.eye(rank),
        latent_offset=np.zeros(rank),
        latent_scale=np.ones(rank),
        initial_latent=np.zeros((1, rank)),
    )
    tau_s, refractory_s = draw(st.floats(0.005, 0.05)), draw(st.floats(0.0005, 0.004))
    models = (LIF, AdaptiveLIF, LoihiLIF)
    neuron = draw(st.sampled_from([RectifiedLinear(tau_s), *(model(tau_s, refractory_s) for model in models)]))
    low = draw(st.floats(20.0, 100.0))
    population = Population(draw(st.integers(1, 6)), (low, low + draw(st.floats(0.0, 100.0))), neuron)
    return rate, rng.standard_normal((20, rank)), population, draw(st.integers(0, 1000))


@MODEST
@given(case=cases())
def test_currents_at_the_preferred_end_give_the_drawn_rate(case):
    rate, z, population, seed = case
    ensemble = encode(rate, population, CLOCK, z, stream(seed, "encode"))
    # the draws in their order: depths of the thresholds first, then the largest rates
    again = stream(seed, "encode")
    again.random((rate.units, int(population.neurons_per_unit)))
    drawn = again.uniform(*population.max_rates_hz, (rate.units, int(population.neurons_per_unit))).ravel()
    x = z @ rate.left_vectors.T + rate.bias
    own = rate.left_vectors[ensemble.unit]
    factor = (ensemble.encoders * own).sum(axis=1) / (own**2).sum(axis=1)
    end = np.where(factor > 0, x.max(axis=0)[ensemble.unit], x.min(axis=0)[ensemble.unit])
    current = ensemble.bias + factor * (end - rate.bias[ensemble.unit])
    assert np.allclose(population.neuron.rate_hz(current), drawn, rtol=1e-6)


@MODEST
@given(case=cases())
def test_nowhere_on_the_points_is_a_rate_exceeded(case):
    rate, z, population, seed = case
    ensemble = encode(rate, population, CLOCK, z, stream(seed, "encode"))
    rates = population.neuron.rate_hz(ensemble.currents(z))
    assert rates.max() <= population.max_rates_hz[1] * (1 + 1e-6)
    assert (rates.max(axis=0) >= population.max_rates_hz[0] * (1 - 1e-6)).all()


@MODEST
@given(case=cases())
def test_polarities_are_balanced(case):
    rate, z, population, seed = case
    ensemble = encode(rate, population, CLOCK, z, stream(seed, "encode"))
    own = rate.left_vectors[ensemble.unit]
    positive = (ensemble.encoders * own).sum(axis=1) > 0
    m = int(population.neurons_per_unit)
    per_unit = np.bincount(ensemble.unit, positive, rate.units)
    assert np.isin(per_unit, [m // 2, m - m // 2]).all()
    assert abs(2 * positive.sum() - positive.size) <= 1


@MODEST
@given(case=cases(), factor=st.floats(0.1, 10.0))
def test_units_of_the_latent_do_not_matter(case, factor):
    # stretching the latents and shrinking Gamma leaves every input, hence every current, as it was
    rate, z, population, seed = case
    assume(np.abs(rate.left_vectors).min() > 1e-6)
    stretched = RateNetwork(
        **{name: getattr(rate, name) for name in rate.__dataclass_fields__ if name != "left_vectors"},
        left_vectors=rate.left_vectors / factor,
    )
    here = encode(rate, population, CLOCK, z, stream(seed, "encode")).currents(z)
    there = encode(stretched, population, CLOCK, z * factor, stream(seed, "encode")).currents(z * factor)
    assert np.allclose(here, there, rtol=1e-6, atol=1e-6)
