"""The LIF neuron: its arguments, its edges and its refusals."""

# Numbers stand for arrays here, wrong types are given and frozen fields are written to on purpose:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import math

import numpy as np
import pytest

from ddm2snn import LIF, InputError

NEURON = LIF(tau_membrane_s=0.02, refractory_s=0.002)


@pytest.mark.parametrize("bad", [0.0, -0.02, np.nan, np.inf, "0.02", None])
def test_the_membrane_time_constant_must_be_positive(refuses, bad):
    with refuses(InputError, f"LIF.tau_membrane_s must be a finite number above zero, got {bad!r}"):
        LIF(tau_membrane_s=bad)


@pytest.mark.parametrize("bad", [-0.02, np.nan, np.inf, "0.02", None, True])
def test_the_refractory_period_must_not_be_negative(refuses, bad):
    with refuses(InputError, f"LIF.refractory_s must be a finite number, zero or above, got {bad!r}"):
        LIF(refractory_s=bad)


def test_without_a_refractory_period_any_step_is_taken_and_spikes_fall_on_the_grid():
    free = LIF(tau_membrane_s=0.02, refractory_s=0.0)
    assert free.refractory_steps(0.003) == 0
    assert free.longest_step_s == np.inf
    assert free.timing_on("interpolated") == "grid"
    assert NEURON.timing_on("interpolated") == "interpolated"
    # 20 ms * ln 2 = 13.863 ms of climb alone, and 14 steps of 1 ms on the grid
    assert float(free.rate_hz(2.0)) == pytest.approx(1.0 / (0.02 * math.log(2.0)), rel=1e-14)
    assert float(free.rate_hz(2.0, timing="grid", dt_s=0.001)) == pytest.approx(1.0 / 0.014, rel=1e-14)
    assert float(free.rate_hz(free.current_at_rate(np.array(400.0)))) == pytest.approx(400.0, rel=1e-12)


def test_a_neuron_is_frozen():
    with pytest.raises(AttributeError, match="tau_membrane_s"):
        NEURON.tau_membrane_s = 0.01


def test_the_rate_by_hand():
    # 2 ms refractory, then 20 ms * ln 2 from reset to threshold at twice the threshold current
    assert float(NEURON.rate_hz(2.0)) == pytest.approx(1.0 / (0.002 + 0.02 * math.log(2.0)), rel=1e-14)


def test_the_rate_on_a_grid_by_hand():
    # 13.863 ms take 28 steps of half a millisecond, after 4 refractory ones
    assert float(NEURON.rate_hz(2.0, timing="grid", dt_s=0.0005)) == pytest.approx(1.0 / 0.016, rel=1e-14)


@pytest.mark.parametrize("timing", ["grid", "interpolated"])
def test_at_threshold_and_below_there_is_no_spike(timing):
    currents = np.array([-1e300, -1.0, 0.0, 1.0])
    assert not NEURON.rate_hz(currents, timing=timing, dt_s=0.001).any()


def test_just_above_threshold_the_rate_is_finite_and_positive():
    rate = float(NEURON.rate_hz(np.nextafter(1.0, 2.0)))
    assert 0.0 < rate < 2.0


@pytest.mark.parametrize(("timing", "highest_hz"), [("interpolated", 500.0), ("grid", 1.0 / 0.003)])
def test_a_huge_current_fires_at_the_refractory_limit(timing, highest_hz):
    # on a grid the climb takes one step of 1 ms, however short it is
    assert float(NEURON.rate_hz(1e12, timing=timing, dt_s=0.001)) == pytest.approx(highest_hz, rel=1e-9)


def test_the_shape_of_currents_is_kept():
    assert NEURON.rate_hz(2.0).shape == ()
    assert NEURON.rate_hz(np.full((2, 3), 2.0)).shape == (2, 3)
    assert NEURON.lead_s(np.full((2, 3), 2.0)).shape == (2, 3)


def test_a_grid_needs_a_step(refuses):
    with refuses(InputError, "LIF.rate_hz on a grid needs dt_s, the step of the simulator", "none was given"):
        NEURON.rate_hz(2.0, timing="grid")


@pytest.mark.parametrize(("dt_s", "steps"), [(0.002, 1), (0.001, 2), (0.0005, 4), (0.0001, 20), (2e-3 / 3, 3)])
def test_refractory_steps(dt_s, steps):
    assert NEURON.refractory_steps(dt_s) == steps


@pytest.mark.parametrize("dt_s", [0.0021, 0.003, 1.0])
def test_a_step_longer_than_the_refractory_period(refuses, dt_s):
    text = f"dt_s = {dt_s:g} is longer than the refractory period of 0.002 s. Use dt_s <= 0.002."
    with refuses(InputError, text):
        NEURON.refractory_steps(dt_s)


@pytest.mark.parametrize(("dt_s", "better"), [(0.0015, "0.002"), (0.0007, "0.000666667"), (0.0009, "0.001")])
def test_a_refractory_period_of_no_whole_number_of_steps(refuses, dt_s, better):
    text = f"refractory_s = 0.002 is not a whole number of steps of dt_s = {dt_s:g}. Use dt_s = {better}."
    with refuses(InputError, text):
        NEURON.refractory_steps(dt_s)
    assert NEURON.refractory_steps(float(better)) >= 1  # the advice is good


@pytest.mark.parametrize("bad", [0.0, -0.001, np.nan, "1 ms"])
def test_a_step_that_is_no_step(refuses, bad):
    with refuses(InputError, "dt_s must be a finite number above zero", repr(bad)):
        NEURON.refractory_steps(bad)


def test_currents_and_rates_are_inverse():
    rates = np.array([10.0, 50.0, 100.0, 499.0])
    assert np.allclose(NEURON.rate_hz(NEURON.current_at_rate(rates)), rates, rtol=1e-11)


@pytest.mark.parametrize("bad", [0.0, -1.0, 500.0, 1e6, np.nan])
def test_a_rate_that_the_neuron_cannot_reach(refuses, bad):
    with refuses(InputError, "rates above 0 and below 500 Hz (1 / refractory_s)", f"asked for {bad:g} to {bad:g} Hz"):
        NEURON.current_at_rate(np.array([bad, bad]))


def test_one_rate_too_high_is_enough(refuses):
    with refuses(InputError, "asked for 10 to 600 Hz"):
        NEURON.current_at_rate(np.array([10.0, 600.0]))


def test_lead_is_zero_below_threshold_and_grows_from_there():
    assert not NEURON.lead_s(np.array([-1.0, 0.5, 1.0])).any()
    far = NEURON.lead_s(np.array([1e6]))
    # for large J: (J - 1) q -> tau (1 - 1 / 2J), so that half a refractory period is left
    assert far == pytest.approx(0.001, rel=1e-3)


def test_an_unknown_timing_is_refused(refuses):
    with refuses(InputError, "timing", "'exact'", "grid, interpolated"):
        NEURON.rate_hz(2.0, timing="exact")
