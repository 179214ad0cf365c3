"""The LIF rate: monotone, inverse to its current, and on a grid slower by at most one step."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from network_strategies import MODEST

from ddm2snn import LIF

TAUS_S = st.floats(0.001, 0.2)
STEPS_S = st.sampled_from([1e-4, 2.5e-4, 5e-4, 1e-3, 2e-3])
CURRENTS = st.lists(st.floats(-5.0, 100.0), min_size=2, max_size=20).map(lambda v: np.array(sorted(v)))
ROUNDING = 1e-9


@st.composite
def gridded(draw):
    """A step and a neuron whose refractory period is a whole number of them."""
    dt_s, steps = draw(STEPS_S), draw(st.integers(1, 20))
    return dt_s, LIF(tau_membrane_s=draw(TAUS_S), refractory_s=steps * dt_s)


@MODEST
@given(setting=gridded(), currents=CURRENTS)
def test_rates_grow_with_the_current(setting, currents):
    dt_s, neuron = setting
    for rates in (neuron.rate_hz(currents), neuron.rate_hz(currents, timing="grid", dt_s=dt_s)):
        assert (np.diff(rates) >= -ROUNDING * rates[1:]).all()
        assert (rates >= 0).all()
        assert (rates <= 1.0 / neuron.refractory_s * (1 + ROUNDING)).all()
        assert ((rates > 0) == (currents > 1.0)).all()


@MODEST
@given(setting=gridded(), currents=CURRENTS)
def test_a_grid_slows_by_at_most_one_step_per_interval(setting, currents):
    dt_s, neuron = setting
    currents = currents[currents > 1.0]
    assume(currents.size)
    continuous = neuron.rate_hz(currents)
    on_grid = neuron.rate_hz(currents, timing="grid", dt_s=dt_s)
    interval_s = 1.0 / continuous
    # a spike waits for the end of its step: the interval P grows by less than dt
    bound = 1.0 / interval_s - 1.0 / (interval_s + dt_s)
    assert (on_grid <= continuous * (1 + ROUNDING)).all()
    assert (continuous - on_grid <= bound + ROUNDING * continuous).all()


@MODEST
@given(setting=gridded(), currents=CURRENTS)
def test_intervals_on_a_grid_are_whole_numbers_of_steps(setting, currents):
    dt_s, neuron = setting
    rates = neuron.rate_hz(currents[currents > 1.0], timing="grid", dt_s=dt_s)
    steps = 1.0 / (rates * dt_s)
    assert np.allclose(steps, np.rint(steps), rtol=1e-9)
    assert (steps >= neuron.refractory_steps(dt_s) + 1 - 1e-6).all()


@MODEST
@given(tau_s=TAUS_S, refractory_s=st.floats(1e-4, 0.02), share=st.floats(0.05, 0.95))
def test_current_at_rate_is_the_inverse(tau_s, refractory_s, share):
    neuron = LIF(tau_s, refractory_s)
    rate = share / refractory_s
    assume((1.0 / rate - refractory_s) / tau_s < 20.0)  # beyond, the current is 1 within rounding
    current = neuron.current_at_rate(np.array(rate))
    assert current > 1.0
    assert np.allclose(neuron.rate_hz(current), rate, rtol=1e-6)


@MODEST
@given(tau_s=TAUS_S, refractory_s=st.floats(1e-4, 0.02), scale=st.floats(0.1, 10.0), currents=CURRENTS)
def test_rates_know_no_other_clock_than_the_neurons_own(tau_s, refractory_s, scale, currents):
    slow, fast = LIF(tau_s, refractory_s), LIF(tau_s / scale, refractory_s / scale)
    assert np.allclose(fast.rate_hz(currents), scale * slow.rate_hz(currents), rtol=1e-9)


@MODEST
@given(tau_s=TAUS_S, refractory_s=st.floats(1e-4, 0.02), current=st.floats(1.01, 50.0))
def test_the_lead_is_what_its_derivation_says(tau_s, refractory_s, current):
    neuron = LIF(tau_s, refractory_s)
    climb_s = 1.0 / float(neuron.rate_hz(current)) - refractory_s
    interval_s = refractory_s + climb_s
    gain = float(neuron.rate_hz(current * (1 + 1e-6)) - neuron.rate_hz(current * (1 - 1e-6))) / (2e-6 * current)
    c = tau_s / (current * interval_s) * ((climb_s - tau_s / (current - 1)) / interval_s + 0.5 / (current - 1))
    assert np.isclose(float(neuron.lead_s(current)), c / gain, rtol=1e-3, atol=1e-7)
