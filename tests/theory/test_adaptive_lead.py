"""`AdaptiveLIF.lead_s` against a population of adapted neurons with uniform phases under a slow ramp."""

import numpy as np
import pytest

from ddm2snn import LIF, AdaptiveLIF

NEURON = AdaptiveLIF(threshold_jump=0.1, tau_threshold_s=0.06)
NEURONS, DURATION_S, SLOPE_PER_S, STEP_S = 400, 2.0, 0.2, 2e-5
# The excess is a difference of counts in two directions. What the slope leaves besides the first order is the
# transient at both ends, one relaxation of the threshold (up to 60 ms) out of two seconds; steps of 20 us shift each
# ramp alike. With one phase in each of M equal strata, 2 / M spikes are left to chance
TRANSIENT, CHANCE = 0.03, 2.0 * 2.0 / NEURONS


def counts(start, slope_per_s):
    """Spikes per neuron under a ramp, from steady intervals at its start in all phases."""
    rng = np.random.default_rng(3)
    interval_s = 1.0 / float(NEURON.rate_hz(np.array(start)))
    age_s = interval_s * (np.arange(NEURONS) + rng.random(NEURONS)) / NEURONS
    decayed = np.exp(-interval_s / NEURON.tau_threshold_s)
    raised = NEURON.threshold_jump / (1.0 - decayed) * np.exp(-age_s / NEURON.tau_threshold_s)
    voltage = start * -np.expm1(-np.maximum(age_s - NEURON.refractory_s, 0.0) / NEURON.tau_membrane_s)
    wait_s, count = np.maximum(NEURON.refractory_s - age_s, 0.0), 0
    kept, fallen = np.exp(-STEP_S / NEURON.tau_membrane_s), np.exp(-STEP_S / NEURON.tau_threshold_s)
    for step in range(round(DURATION_S / STEP_S)):
        current = start + slope_per_s * (step + 0.5) * STEP_S
        voltage = np.where(wait_s > 0.5 * STEP_S, 0.0, current + (voltage - current) * kept)
        raised, wait_s = raised * fallen, np.maximum(wait_s - STEP_S, 0.0)
        fired = voltage > 1.0 + raised
        count += fired.sum()
        voltage, raised = np.where(fired, 0.0, voltage), raised + NEURON.threshold_jump * fired
        wait_s = np.where(fired, NEURON.refractory_s, wait_s)
    return count / NEURONS


def excess(start):
    """Spikes on the way up beyond those on the way down between the same two currents."""
    end = start + SLOPE_PER_S * DURATION_S
    return counts(start, SLOPE_PER_S) - counts(end, -SLOPE_PER_S)


def predicted(start, lead_s):
    """Integral of lead x dF/dt along both ramps."""
    current = start + SLOPE_PER_S * DURATION_S * np.linspace(0.0, 1.0, 1001)
    return 2.0 * float((lead_s(0.5 * (current[1:] + current[:-1])) * np.diff(NEURON.rate_hz(current))).sum())


@pytest.mark.parametrize("start", [1.5, 5.0])
def test_lead_is_what_a_ramped_population_shows(start):
    found, expected = excess(start), predicted(start, NEURON.lead_s)
    allowed = TRANSIENT * expected + CHANCE
    assert abs(found - expected) < allowed
    for wrong in (LIF().lead_s, lambda current: 0.75 * NEURON.lead_s(current), lambda c: 1.3 * NEURON.lead_s(c)):
        assert abs(found - predicted(start, wrong)) > allowed, "a lead without or with wrong adaptation is noticed"


def test_neurons_below_threshold_do_not_lead():
    assert (NEURON.lead_s(np.array([-1.0, 0.5, 1.0])) == 0.0).all()
