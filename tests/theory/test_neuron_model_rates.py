"""Rates of the neuron models other than LIF against direct simulation of what their docstrings say."""

import dataclasses

import numpy as np
import pytest
from scipy.optimize import brentq

from ddm2snn import LIF, AdaptiveLIF, LoihiLIF, RectifiedLinear

CURRENTS = np.array([-2.0, 0.3, 0.99, 1.001, 1.05, 1.21, 1.5, 2.03, 3.3, 7.0, 21.0, 97.0])
MODELS = [
    RectifiedLinear(),
    RectifiedLinear(tau_membrane_s=0.003),
    AdaptiveLIF(),
    AdaptiveLIF(tau_membrane_s=0.01, refractory_s=0.004, threshold_jump=0.7, tau_threshold_s=0.03),
    AdaptiveLIF(threshold_jump=0.01, tau_threshold_s=0.5),
    LoihiLIF(),
    LoihiLIF(tau_membrane_s=0.01, refractory_s=0.004, decay_bits=8),
]
# After the threshold has settled, spikes in a window are as many as its length times the rate, and the one at either
# end that is in or out
COUNT_TOLERANCE = 1.0
WINDOW_S = 1.0

models = pytest.mark.parametrize("neuron", MODELS, ids=repr)
steps = pytest.mark.parametrize("dt_s", [1e-3, 5e-4, 1e-4])


def settling_s(neuron):
    """Time after which a start without adaptation is forgotten: exp(-12) is 6e-6."""
    return 12.0 * neuron.tau_threshold_s if isinstance(neuron, AdaptiveLIF) else 0.1


def spikes_on_grid(neuron, dt_s):
    """Spikes in the window, step by step, all currents at once."""
    first, last = round(settling_s(neuron) / dt_s), round((settling_s(neuron) + WINDOW_S) / dt_s)
    voltage, raised, count = (np.zeros(len(CURRENTS)) for _ in range(3))
    held = np.zeros(len(CURRENTS), dtype=int)
    for step in range(last):
        if isinstance(neuron, RectifiedLinear):
            voltage = voltage + dt_s / neuron.tau_membrane_s * np.maximum(CURRENTS, 0.0)
            fired = voltage > 1.0
            voltage = np.where(fired, np.minimum(voltage - 1.0, 1.0), voltage)
        else:
            lost = -np.expm1(-dt_s / neuron.tau_membrane_s)
            if isinstance(neuron, LoihiLIF):
                lost = np.rint(lost * 2**neuron.decay_bits) / 2**neuron.decay_bits
            voltage = np.where(held > 0, 0.0, voltage + lost * (CURRENTS - voltage))
            if isinstance(neuron, AdaptiveLIF):
                raised = raised * np.exp(-dt_s / neuron.tau_threshold_s)
            fired = voltage > 1.0 + raised
            held = np.where(fired, round(neuron.refractory_s / dt_s), np.maximum(held - 1, 0))
            voltage = np.where(fired, 0.0, voltage)
            if isinstance(neuron, AdaptiveLIF):
                raised = raised + neuron.threshold_jump * fired
        if step >= first:
            count += fired
    return count


def wait_for_spike_s(neuron, current, held_s, raised):
    """Time until the voltage, held at reset for a while, meets a threshold that falls from 1 + raised."""
    if isinstance(neuron, RectifiedLinear):
        return neuron.tau_membrane_s / current

    def above(wait_s):
        climbed = current * -np.expm1(-max(wait_s - held_s, 0.0) / neuron.tau_membrane_s)
        fallen = np.exp(-wait_s / neuron.tau_threshold_s) if isinstance(neuron, AdaptiveLIF) else 0.0
        return climbed - 1.0 - raised * fallen

    return float(brentq(above, 0.0, 30.0, xtol=1e-13))  # pyright: ignore[reportArgumentType] - no full output


def spikes_in_continuous_time(neuron, current):
    """Spikes in the window, from crossing to crossing."""
    time_s, held_s, raised, count = 0.0, 0.0, 0.0, 0
    while current > neuron.threshold_current:
        wait_s = wait_for_spike_s(neuron, current, held_s, raised)
        time_s, held_s = time_s + wait_s, neuron.refractory_s
        if isinstance(neuron, AdaptiveLIF):
            raised = raised * np.exp(-wait_s / neuron.tau_threshold_s) + neuron.threshold_jump
        if time_s > settling_s(neuron) + WINDOW_S:
            break
        count += time_s > settling_s(neuron)
    return count


@models
@steps
def test_rates_on_a_grid_are_those_of_the_simulated_steps(neuron, dt_s):
    expected = WINDOW_S * neuron.rate_hz(CURRENTS, timing="grid", dt_s=dt_s)
    assert np.abs(spikes_on_grid(neuron, dt_s) - expected).max() <= COUNT_TOLERANCE


@models
def test_rates_in_continuous_time_are_those_of_crossings(neuron):
    currents = CURRENTS[CURRENTS < 10.0]
    found = np.array([spikes_in_continuous_time(neuron, current) for current in currents])
    assert np.abs(found - WINDOW_S * neuron.rate_hz(currents)).max() <= COUNT_TOLERANCE


WRONG = [
    (RectifiedLinear(), RectifiedLinear(tau_membrane_s=0.0202)),
    (AdaptiveLIF(), AdaptiveLIF(threshold_jump=0.056)),
    (AdaptiveLIF(), AdaptiveLIF(tau_threshold_s=0.112)),
    (AdaptiveLIF(), AdaptiveLIF(refractory_s=0.003)),
    (LoihiLIF(), LoihiLIF(decay_bits=5)),
    (LoihiLIF(), LoihiLIF(refractory_s=0.003)),
]


@pytest.mark.parametrize(("right", "wrong"), WRONG, ids=repr)
def test_a_slightly_wrong_neuron_is_noticed(right, wrong):
    expected = WINDOW_S * right.rate_hz(CURRENTS, timing="grid", dt_s=5e-4)
    assert np.abs(spikes_on_grid(wrong, 5e-4) - expected).max() > COUNT_TOLERANCE


@pytest.mark.parametrize("neuron", [n for n in MODELS if not isinstance(n, RectifiedLinear)], ids=repr)
def test_the_curve_of_continuous_time_is_noticed_on_a_grid(neuron):
    assert np.abs(spikes_on_grid(neuron, 1e-3) - WINDOW_S * neuron.rate_hz(CURRENTS)).max() > COUNT_TOLERANCE


def test_a_rectified_line_fires_once_a_step_at_most():
    rates = RectifiedLinear().rate_hz(np.array([-1.0, 0.0, 3.0, 50.0]), timing="grid", dt_s=1e-3)
    assert np.allclose(rates, [0.0, 0.0, 150.0, 1000.0], rtol=1e-15)


def test_without_adaptation_the_adaptive_neuron_is_lif():
    bare, lif = AdaptiveLIF(threshold_jump=1e-12), LIF()
    driven = CURRENTS[CURRENTS > 1.0]
    assert np.allclose(bare.rate_hz(driven), lif.rate_hz(driven), rtol=1e-9)
    for dt_s in (1e-3, 1e-4):
        on_grid = [model.rate_hz(driven, timing="grid", dt_s=dt_s) for model in (bare, lif)]
        assert np.allclose(*on_grid, rtol=1e-12)
    assert np.allclose(bare.lead_s(driven), lif.lead_s(driven), rtol=1e-6, atol=1e-12)


def test_with_many_bits_the_device_is_lif_on_its_grid():
    many, lif = LoihiLIF(decay_bits=45), LIF()
    assert np.allclose(*(m.rate_hz(CURRENTS, timing="grid", dt_s=1e-3) for m in (many, lif)), rtol=1e-12)


def test_a_decay_of_one_half_meets_the_threshold_and_does_not_cross_it():
    # twice the threshold current: 1 after one step, which is not above 1, and 1.5 after two
    neuron = LoihiLIF(tau_membrane_s=1e-3 / np.log(2.0), decay_bits=1)
    assert neuron.decay(1e-3) == 0.5
    assert float(neuron.rate_hz(np.array(2.0), timing="grid", dt_s=1e-3)) == pytest.approx(1.0 / 4e-3, rel=1e-14)
    at_once = dataclasses.replace(neuron, tau_membrane_s=1e-4)
    assert at_once.decay(1e-3) == 1.0
    assert float(at_once.rate_hz(np.array(1.1), timing="grid", dt_s=1e-3)) == pytest.approx(1.0 / 3e-3, rel=1e-14)
