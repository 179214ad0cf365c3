"""Residual lag: a delay that was put there is found, compensation is seen, and conversions report it."""

# Diagnostics may lack a part, and the tests know which of them these have:
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import numpy as np
import pytest

import ddm2snn
from ddm2snn import Population, Static
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.decoders.static import solve_static
from ddm2snn.conversion.noise_budget import lag_of, measure_lag
from ddm2snn.conversion.trajectories import regression_target, stationary_states
from ddm2snn.network import to_internal

CLOCK = Clock(0.5, 1e-3, "grid")
DELAY = 0.01


def signals(delay, noise=0.0):
    """Error of a delayed signal with a constant bias, and the signal's derivative; (trial, time, rank)."""
    rng = np.random.default_rng(4)
    phase, time = rng.uniform(0, 2 * np.pi, (16, 1, 2)), np.arange(0, 20, 0.05)[:, None]
    error = np.sin(time - delay + phase) - np.sin(time + phase) + 0.3
    return error + noise * rng.standard_normal(error.shape), np.cos(time + phase)


@pytest.mark.parametrize("delay", [DELAY, -DELAY])
def test_a_known_delay_is_found(delay):
    lag, deviation = lag_of(*signals(delay))
    assert lag == pytest.approx(np.full(2, delay), rel=DELAY)  # the next term of the series is the delay squared
    assert (deviation < 1e-3 * DELAY).all()


def test_the_standard_error_is_that_of_white_noise():
    noise = 0.1
    lag, deviation = lag_of(*signals(DELAY, noise))
    expected = noise / np.sqrt(16 * 400 * 0.5)  # of a regression on a regressor of mean square one half
    assert deviation == pytest.approx(np.full(2, expected), rel=0.6)  # 15 degrees of freedom: three times 18 %
    assert (np.abs(lag - DELAY) < 4 * expected).all()


def test_what_does_not_move_has_no_lag():
    still = np.zeros((4, 10, 1))
    assert lag_of(np.ones_like(still), still) == (0.0, 0.0)


def test_compensation_takes_the_lead_of_the_neurons_away(rate_network):
    cloud = to_internal(rate_network, stationary_states(rate_network, 0))
    ensemble, _ = Static().place(rate_network, Population(4), CLOCK, cloud, 0)
    target, velocity = regression_target(rate_network, cloud, CLOCK), rate_network.internal_readout(cloud) - cloud

    def lag(*, compensate):
        rates_hz = ensemble.rates_hz(cloud, velocity if compensate else None)
        return measure_lag(rate_network, ensemble, solve_static(rates_hz, target, 0.01), cloud, stream(1, "lag"))

    (plain_s, error_s), (compensated_s, _) = lag(compensate=False), lag(compensate=True)
    assert (plain_s < -1e-3 - 3 * error_s).all(), "supra-threshold neurons lead by milliseconds"
    assert (np.abs(compensated_s) < 0.6 * np.abs(plain_s)).all()


def test_conversions_report_lag_and_singular_values(quick_rate):
    made = ddm2snn.convert(quick_rate, backend="reference", time_unit_s=0.2, seed=5)
    lag = made.diagnostics.lag
    assert np.shape(lag.lag_s) == np.shape(lag.standard_error_s) == (2,)
    # calibrated decoders leave less than a step
    assert (np.abs(lag.lag_s) < made.network.dt_s + 4 * np.array(lag.standard_error_s)).all()
    dense = quick_rate.left_vectors @ quick_rate.right_vectors.T
    values = made.diagnostics.rate_singular_values
    assert values == pytest.approx(np.linalg.svd(dense, compute_uv=False)[:2], rel=1e-12)
    assert made.network.provenance["diagnostics"]["lag"] == lag.model_dump()
