"""Every neuron model's curve: monotone, inverse to its current, on a grid what simulated steps give."""

from __future__ import annotations

import numpy as np
from ddm2snn_backends.reference import membrane_of
from hypothesis import assume, given
from hypothesis import strategies as st
from network_strategies import MODEST

from ddm2snn import LIF, AdaptiveLIF, LoihiLIF, RectifiedLinear

TAUS_S = st.floats(0.003, 0.1)
STEPS_S = st.sampled_from([2.5e-4, 5e-4, 1e-3, 2e-3])
CURRENTS = st.lists(st.floats(-5.0, 60.0), min_size=2, max_size=12).map(lambda v: np.array(sorted(v)))
ROUNDING = 1e-9
# The mean over 256 intervals of three steps or more (a refractory one and at least one of climbing, two of them
# short of P by less than one each) is exact within 1 / 256 of a step
GRID_MEAN = 1.0 / (256 * 2)


@st.composite
def gridded(draw):
    """A step and a neuron that can take it."""
    dt_s, tau_s = draw(STEPS_S), draw(TAUS_S)
    refractory_s = draw(st.integers(1, 10)) * dt_s
    return dt_s, draw(
        st.sampled_from([LIF(tau_s, refractory_s), LoihiLIF(tau_s, refractory_s), RectifiedLinear(tau_s)])
        | st.builds(
            AdaptiveLIF, st.just(tau_s), st.just(refractory_s), threshold_jump=st.floats(1e-4, 2.0),
            tau_threshold_s=st.floats(0.005, 0.5),
        )
    )  # fmt: skip


@MODEST
@given(setting=gridded(), currents=CURRENTS)
def test_rates_grow_from_the_threshold_current(setting, currents):
    dt_s, neuron = setting
    for rates, slack in (
        (neuron.rate_hz(currents), ROUNDING),
        (neuron.rate_hz(currents, timing="grid", dt_s=dt_s), 2 * GRID_MEAN),
    ):
        assert (np.diff(rates) >= -slack * rates[1:]).all()
        assert ((rates > 0) == (currents > neuron.threshold_current)).all()


@MODEST
@given(setting=gridded(), currents=CURRENTS)
def test_a_grid_slows_by_at_most_one_step_per_interval(setting, currents):
    dt_s, neuron = setting
    assume(not isinstance(neuron, LoihiLIF))  # its decay is rounded as well
    currents = currents[currents > neuron.threshold_current]
    rates = neuron.rate_hz(currents)
    on_grid = neuron.rate_hz(currents, timing="grid", dt_s=dt_s)
    if isinstance(neuron, RectifiedLinear):
        assert np.array_equal(on_grid, np.minimum(rates, 1.0 / dt_s))
        return
    assert (on_grid >= 1.0 / (1.0 / rates + dt_s) * (1 - ROUNDING)).all()
    if not isinstance(neuron, AdaptiveLIF):  # one that adapts makes up for some of what a long interval lost
        assert (on_grid <= rates * (1 + ROUNDING)).all()


@MODEST
@given(setting=gridded(), share=st.floats(0.02, 0.95))
def test_current_at_rate_is_the_inverse(setting, share):
    _, neuron = setting
    rate = np.array(share / (neuron.refractory_s or 0.005))
    current = neuron.current_at_rate(rate)
    assume(current > neuron.threshold_current + 1e-6)  # nearer, the current is the threshold's within rounding
    assert np.allclose(neuron.rate_hz(current), rate, rtol=1e-6)


@MODEST
@given(setting=gridded(), currents=st.lists(st.floats(0.01, 30.0), min_size=1, max_size=6))
def test_simulated_steps_give_the_curve_to_one_spike(setting, currents):
    dt_s, neuron = setting
    current = neuron.threshold_current + np.array(currents)
    step = membrane_of(neuron, np.full(current.shape, 0.3), dt_s)
    settling_s = 12.0 * neuron.tau_threshold_s if isinstance(neuron, AdaptiveLIF) else 0.1
    for _ in range(round(settling_s / dt_s)):
        step(current, "grid")
    steps = round(0.5 / dt_s)
    count = sum(step(current, "grid").astype(int) for _ in range(steps))
    expected = steps * dt_s * neuron.rate_hz(current, timing="grid", dt_s=dt_s)
    # between two spikes and an interval more: the steady orbit of a threshold on a grid counts within one of its mean
    assert (np.abs(count - expected) <= 1.0 + expected * GRID_MEAN + ROUNDING).all()


@MODEST
@given(setting=gridded(), currents=CURRENTS)
def test_the_lead_is_finite_and_none_below_threshold(setting, currents):
    _, neuron = setting
    lead_s = neuron.lead_s(currents)
    assert np.isfinite(lead_s).all()
    assert not lead_s[currents <= neuron.threshold_current].any()
    assert (lead_s >= -1e-9).all()
