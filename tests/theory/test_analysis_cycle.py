"""Limit cycles against periods and multipliers that are known."""

import numpy as np
import pytest

import ddm2snn
from ddm2snn.analysis import find_cycle
from ddm2snn.systems import lorenz, ornstein_uhlenbeck, van_der_pol

VAN_DER_POL_PERIOD = 6.6632868593  # mu = 1


def test_the_van_der_pol_cycle():
    cycle = find_cycle(van_der_pol().drift, np.array([0.1, 0.0]), duration=100.0)
    assert cycle is not None
    # the integrator's relative tolerance is 1e-9, the published period has eleven digits
    assert cycle.period == pytest.approx(VAN_DER_POL_PERIOD, abs=1e-8)
    assert cycle.orbit[:, 0].max() == pytest.approx(2.00862, abs=1e-4)
    np.testing.assert_allclose(cycle.orbit[0], cycle.orbit[-1], atol=1e-7)
    # Liouville: the product of the multipliers is exp of the integral of the trace, 1 - x^2
    trace = (1 - cycle.orbit[:-1, 0] ** 2).mean() * cycle.period
    assert abs(cycle.multipliers[0] - 1) < 1e-6
    assert np.prod(cycle.multipliers).real == pytest.approx(np.exp(trace), rel=1e-5)


@pytest.mark.parametrize(("rate", "speed"), [(0.1, 1.0), (0.5, 3.0)])
def test_the_hopf_normal_form(rate, speed):
    # r' = rate r (1 - r^2), angle' = speed: period 2 pi / speed, multiplier exp(-2 rate period)
    def drift(z):
        square = (z**2).sum(axis=-1, keepdims=True)
        return rate * z * (1 - square) + speed * np.stack([-z[..., 1], z[..., 0]], axis=-1)

    cycle = find_cycle(drift, np.array([0.5, 0.0]), duration=250.0)
    assert cycle is not None
    assert cycle.period == pytest.approx(2 * np.pi / speed, rel=1e-8)
    assert cycle.multipliers[1].real == pytest.approx(np.exp(-2 * rate * cycle.period), rel=1e-4)


def test_a_chaotic_flow_and_a_fixed_point_have_no_cycle():
    assert find_cycle(lorenz().drift, np.array([1.0, 1.0, 20.0]), duration=60.0) is None
    assert find_cycle(ornstein_uhlenbeck().drift, np.array([1.0, 1.0])) is None


def test_a_trained_network_keeps_the_period(oscillator):
    cycle = find_cycle(oscillator.drift, oscillator.initial_latent[0], duration=100.0)
    assert cycle is not None
    # a drift error of 1e-3 or less changes the period by about as much
    assert cycle.period == pytest.approx(VAN_DER_POL_PERIOD, rel=2e-3)


@pytest.fixture(scope="module")
def oscillator():
    return ddm2snn.train("vanderpol", units=24, seed=0, training=ddm2snn.Training(points=1500, iterations=60))


def test_what_cannot_be_followed_is_refused():
    with pytest.raises(ddm2snn.InputError, match="duration"):
        find_cycle(van_der_pol().drift, np.zeros(2), duration=-1.0)
    with pytest.raises(ddm2snn.InputError, match="shape"):
        find_cycle(van_der_pol().drift, np.zeros((1, 2)))
