"""Closed forms of LIF rates against brute-force integration of the membrane."""

import numpy as np
import pytest

from ddm2snn.neuron import LIF

NEURON = LIF()
CURRENTS = np.array([1.05, 1.21, 1.5, 2.03, 3.3, 7.0, 21.0])
FINE_S = 5e-6
DURATION_S = 0.15  # two intervals of the slowest neuron


def intervals_s(current, neuron, grid_s=None):
    """Last interval between spikes of forward Euler in steps of `FINE_S`; infinite where there are not two.

    On a grid the threshold is looked at only where a step of the grid ends.
    """
    stride = 1 if grid_s is None else round(grid_s / FINE_S)
    voltage, wait = np.zeros_like(current), np.zeros(current.shape, dtype=int)
    last, interval = np.full(current.shape, -np.inf), np.full(current.shape, np.inf)
    for step in range(1, round(DURATION_S / FINE_S) + 1):
        voltage = np.where(wait > 0, 0.0, voltage + FINE_S / neuron.tau_membrane_s * (current - voltage))
        wait = np.maximum(wait - 1, 0)
        if step % stride == 0:
            fired = voltage >= 1.0
            interval = np.where(fired, step * FINE_S - last, interval)
            last = np.where(fired, step * FINE_S, last)
            wait = np.where(fired, round(neuron.refractory_s / FINE_S), wait)
            voltage = np.where(fired, 0.0, voltage)
    return interval


def euler_error_s(current, neuron):
    """Largest error of an interval of forward Euler.

    A crossing is seen up to one fine step h late, and Euler's (1 - h/tau)^n = exp(-q/tau) shortens the
    climb q by a share h / (2 tau) to leading order; a tenth more covers the next order.
    """
    climb_s = neuron.tau_membrane_s * np.log(current / (current - 1.0))
    return FINE_S * (1.0 + 1.1 * climb_s / (2.0 * neuron.tau_membrane_s))


@pytest.mark.parametrize("neuron", [NEURON, LIF(tau_membrane_s=0.01, refractory_s=0.004)])
def test_continuous_rate_is_that_of_the_integrated_membrane(neuron):
    found = intervals_s(CURRENTS, neuron)
    assert (np.abs(found - 1.0 / neuron.rate_hz(CURRENTS)) < euler_error_s(CURRENTS, neuron)).all()


def test_a_refractory_period_twenty_microseconds_longer_is_noticed():
    found = intervals_s(CURRENTS, LIF(refractory_s=NEURON.refractory_s + 2e-5))
    assert (np.abs(found - 1.0 / NEURON.rate_hz(CURRENTS)) > euler_error_s(CURRENTS, NEURON)).any()


@pytest.mark.parametrize("dt_s", [1e-3, 5e-4])
def test_rate_on_a_grid_is_that_of_the_integrated_membrane(dt_s):
    found = intervals_s(CURRENTS, NEURON, grid_s=dt_s) / dt_s
    expected = 1.0 / (NEURON.rate_hz(CURRENTS, timing="grid", dt_s=dt_s) * dt_s)
    # whole steps on both sides: none of the currents climbs for nearly a whole number of steps
    assert np.array_equal(np.rint(found), np.rint(expected))
    assert np.abs(expected - np.rint(expected)).max() < 1e-9
    assert not np.array_equal(np.rint(found), np.rint(1.0 / (NEURON.rate_hz(CURRENTS) * dt_s)))


def test_neurons_at_or_below_threshold_are_silent():
    current = np.array([-3.0, 0.0, 0.99, 1.0])
    assert np.isinf(intervals_s(current, NEURON)).all()
    for timing in ("interpolated", "grid"):
        assert (NEURON.rate_hz(current, timing=timing, dt_s=1e-3) == 0.0).all()


@pytest.mark.parametrize("dt_s", [2e-3, 1e-3, 1e-4, 1e-5])
def test_intervals_on_a_grid_are_longer_by_less_than_one_step(dt_s):
    current = np.linspace(1.01, 30.0, 1000)
    excess = 1.0 / NEURON.rate_hz(current, timing="grid", dt_s=dt_s) - 1.0 / NEURON.rate_hz(current)
    assert excess.min() > -1e-9 * dt_s
    assert excess.max() < dt_s
    assert excess.max() > 0.5 * dt_s


# Current above threshold is exp(-(1/r - t_ref)/tau), 0.008 at 10 Hz; rounding of the current near 1 moves the
# climb by tau eps / 0.008 and the rate by r times this, 6e-15
INVERSE_TOLERANCE = 1e-13


def test_current_at_rate_inverts_the_rate():
    rate = np.linspace(10.0, 490.0, 200)
    current = NEURON.current_at_rate(rate)
    assert np.abs(NEURON.rate_hz(current) / rate - 1.0).max() < INVERSE_TOLERANCE
    assert np.abs(NEURON.rate_hz(current * (1 + 1e-10)) / rate - 1.0).max() > INVERSE_TOLERANCE


@pytest.mark.parametrize("rate_hz", [0.0, -5.0, 500.0, 1000.0, np.nan])
def test_a_rate_out_of_reach_is_refused(rate_hz):
    with pytest.raises(ValueError, match="LIF can fire at rates above 0 and below 500 Hz"):
        NEURON.current_at_rate(np.array([rate_hz]))
