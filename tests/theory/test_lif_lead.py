"""`LIF.lead_s` against a population of neurons with uniform phases under a slow current ramp."""

import numpy as np
import pytest
from scipy.integrate import quad

from ddm2snn.neuron import LIF

NEURON = LIF()
NEURONS, DURATION_S, SLOPE_PER_S = 4000, 2.0, 0.1
# The count of a neuron does not decrease with its phase, and takes two values at most over one interval of
# phases: with one random phase in each of M equal strata only those strata count wrong where it switches
SAMPLING_SPIKES = 2.0
# First order in the slope: what is left is the transient of the phases at both ends, about one interval (at
# most 38 ms, at J = 1.2) out of the two seconds, and the third order, (slope x interval / (J - 1))^2
EXPANSION = 0.02


def spike_counts(start, slope_per_s, phase):
    """Number of spikes of each neuron under J(t) = start + slope t, by solving for each crossing.

    Between spikes v = J(t) - s tau + (v_0 - J(t_0) + s tau) exp(-(t - t_0) / tau), exactly.
    """
    tau_s, count = NEURON.single_tau_s, np.zeros(len(phase), dtype=int)
    age_s = phase / NEURON.rate_hz(np.array(start))  # time since the last spike
    begin_s = np.maximum(NEURON.refractory_s - age_s, 0.0)
    voltage = start * -np.expm1(-np.maximum(age_s - NEURON.refractory_s, 0.0) / tau_s)
    while True:
        lower, upper = begin_s, begin_s + 20.0 * tau_s
        for _ in range(45):  # 0.4 s halved 45 times is 1e-14 s
            middle = 0.5 * (lower + upper)
            lag = slope_per_s * tau_s
            offset = voltage - (start + slope_per_s * begin_s) + lag
            above = start + slope_per_s * middle - lag + offset * np.exp(-(middle - begin_s) / tau_s) >= 1.0
            lower, upper = np.where(above, lower, middle), np.where(above, middle, upper)
        inside = upper <= DURATION_S
        if not inside.any():
            return count
        count += inside
        begin_s, voltage = upper + NEURON.refractory_s, np.zeros(len(phase))


def excess(start, slope_per_s):
    """Spikes per neuron beyond the integral of F(J(t)), counted over random phases."""
    phase = (np.arange(NEURONS) + np.random.default_rng(5).random(NEURONS)) / NEURONS
    expected, _ = quad(lambda t: float(NEURON.rate_hz(np.array(start + slope_per_s * t))), 0.0, DURATION_S)
    return spike_counts(start, slope_per_s, phase).mean() - expected


def predicted(start, slope_per_s, lead_s):
    """Integral of lead x dF/dt along the ramp, by parts of a thousandth each."""
    current = start + slope_per_s * np.linspace(0.0, DURATION_S, 1001)
    rate_hz = NEURON.rate_hz(current)
    return float((lead_s(0.5 * (current[1:] + current[:-1])) * np.diff(rate_hz)).sum())


def miss(start, lead_s):
    """Distance of measured from predicted excess, rising minus falling ramp, and what is allowed.

    The difference of the two directions has no even orders in the slope.
    """
    signs = (1.0, -1.0)
    found = sum(sign * excess(start, sign * SLOPE_PER_S) for sign in signs)
    expected = sum(sign * predicted(start, sign * SLOPE_PER_S, lead_s) for sign in signs)
    return abs(found - expected), 2.0 * SAMPLING_SPIKES / NEURONS + EXPANSION * abs(expected)


@pytest.mark.parametrize("start", [1.4, 1.8, 2.5])
def test_lead_is_what_a_ramped_population_shows(start):
    distance, allowed = miss(start, NEURON.lead_s)
    assert distance < allowed


@pytest.mark.parametrize("start", [1.4, 1.8, 2.5])
@pytest.mark.parametrize("factor", [0.0, 0.8, 1.25])
def test_no_lead_and_a_wrong_lead_are_noticed(start, factor):
    distance, allowed = miss(start, lambda current: factor * NEURON.lead_s(current))
    assert distance > allowed


def test_neurons_below_threshold_do_not_lead():
    assert (NEURON.lead_s(np.array([-1.0, 0.5, 1.0])) == 0.0).all()
