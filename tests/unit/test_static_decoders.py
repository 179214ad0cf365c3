"""Static decoders: the least squares they solve, and the target they are solved for."""

from __future__ import annotations

import numpy as np
import pytest

from ddm2snn import LIF, InputError, Population, Static
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.decoders.static import solve_static
from ddm2snn.conversion.population import encode
from ddm2snn.conversion.trajectories import flow, regression_target

CLOCK = Clock(time_unit_s=0.1, dt_s=0.0005, spike_timing="interpolated")


def augmented_lstsq(rates_hz, target, ridge):
    """The same problem by an orthogonal method: rows of the penalty below the rows of the data."""
    samples, neurons = rates_hz.shape
    weight = np.sqrt(samples) * ridge * rates_hz.max()
    stacked = np.vstack([rates_hz, weight * np.eye(neurons)])
    goal = np.vstack([target, np.zeros((neurons, target.shape[1]))])
    return np.linalg.lstsq(stacked, goal, rcond=None)[0].T


def problem(samples, neurons, seed=0):
    rng = np.random.default_rng(seed)
    return np.maximum(0.0, 100.0 * rng.standard_normal((samples, neurons))), rng.standard_normal((samples, 3))


@pytest.mark.parametrize(("samples", "neurons"), [(200, 30), (40, 40), (41, 40), (40, 41), (30, 200), (1, 5), (5, 1)])
@pytest.mark.parametrize("ridge", [0.01, 0.3])
def test_both_branches_agree_with_an_orthogonal_solver(samples, neurons, ridge):
    rates_hz, target = problem(samples, neurons)
    decoders = solve_static(rates_hz, target, ridge)
    assert decoders.shape == (3, neurons)
    expected = augmented_lstsq(rates_hz, target, ridge)
    # normal equations square the condition number, which the ridge bounds by (1 / ridge)^2 = 1e4
    assert np.allclose(decoders, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def test_another_ridge_is_told_apart():
    # the comparison above must bite: one percent more ridge is another solution
    rates_hz, target = problem(200, 30)
    expected = augmented_lstsq(rates_hz, target, 0.3)
    wrong = solve_static(rates_hz, target, 0.303)
    assert np.abs(wrong - expected).max() > 1e-4 * np.abs(expected).max()


def test_more_ridge_means_smaller_decoders():
    rates_hz, target = problem(100, 20)
    sizes = [np.linalg.norm(solve_static(rates_hz, target, ridge)) for ridge in (0.01, 0.1, 1.0, 10.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.1 * sizes[0]


@pytest.mark.parametrize("shape", [(20, 5), (5, 20)])
def test_a_silent_population_decodes_to_zero(shape):
    decoders = solve_static(np.zeros(shape), np.ones((shape[0], 2)), 0.01)
    assert decoders.shape == (2, shape[1])
    assert not decoders.any()


@pytest.mark.parametrize("bad", [0.0, -0.01, np.nan, np.inf, "0.01"])
def test_a_ridge_is_positive(refuses, bad):
    with refuses(InputError, f"Static.ridge must be a finite number above zero, got {bad!r}"):
        Static(ridge=bad)


def test_the_flow_is_that_of_a_fine_integration(quick_rate):
    z = np.random.default_rng(2).standard_normal((20, 2))
    state, parts = z, 2000
    for _ in range(parts):
        state = state + (0.01 / parts) * (quick_rate.internal_readout(state) - state)
    # one Runge-Kutta step of 0.01 is exact to 1e-8; Euler in 2000 parts leaves 0.01^2 / 4000 = 2.5e-8 z''
    assert np.abs(flow(quick_rate, z, 0.01) - state).max() < 1e-5
    assert np.abs(flow(quick_rate, z, 0.01) - z).max() > 1e-3


def test_the_target_makes_the_loop_follow_the_flow(quick_rate):
    z = np.random.default_rng(3).standard_normal((20, 2))
    step = CLOCK.dt_s / CLOCK.time_unit_s
    decay = np.exp(-step)
    after = decay * z + (1.0 - decay) * regression_target(quick_rate, z, CLOCK)
    assert np.allclose(after, flow(quick_rate, z, step), rtol=0, atol=1e-12)


def test_the_target_tends_to_the_readout_for_short_steps(quick_rate):
    z = np.random.default_rng(3).standard_normal((20, 2))
    readout = quick_rate.internal_readout(z)
    misses = [
        np.abs(regression_target(quick_rate, z, Clock(1.0, dt_s, "grid")) - readout).max()
        for dt_s in (4e-3, 2e-3, 1e-3)
    ]
    # the lag of half a step that is taken out is of first order
    assert misses[0] / misses[1] == pytest.approx(2.0, rel=0.1)
    assert misses[1] / misses[2] == pytest.approx(2.0, rel=0.1)
    assert misses[2] > 1e-6


@pytest.fixture(scope="module")
def placed(quick_rate):
    """Latents, and neurons placed around them."""
    z = np.random.default_rng(6).standard_normal((50, 2))
    return z, encode(quick_rate, Population(3), CLOCK, z, stream(0, "test"))


def test_without_compensation_rates_are_those_of_a_standing_latent(placed):
    z, ensemble = placed
    assert np.array_equal(ensemble.rates_hz(z), LIF().rate_hz(ensemble.currents(z)))


def test_compensation_looks_ahead_by_the_lead(quick_rate, placed):
    z, ensemble = placed
    rates = ensemble.rates_hz(z, quick_rate.internal_readout(z) - z)
    current = ensemble.currents(z)
    lead_s = np.clip(LIF().lead_s(current), 0.0, 0.004)
    # the current one small time later along the flow, by finite differences
    later = ensemble.currents(z + 1e-6 * (quick_rate.internal_readout(z) - z))
    speed_per_s = (later - current) / 1e-6 / CLOCK.time_unit_s
    assert np.allclose(rates, LIF().rate_hz(current + lead_s * speed_per_s), rtol=1e-6, atol=1e-3)
    assert np.abs(rates - LIF().rate_hz(current)).max() > 0.5


def test_a_grid_gives_the_rates_of_the_grid(placed):
    z, ensemble = placed
    clock = Clock(time_unit_s=0.1, dt_s=0.001, spike_timing="grid")
    rates = ensemble.timed(clock).rates_hz(z)
    intervals = 1.0 / rates[rates > 0] / clock.dt_s
    assert np.allclose(intervals, np.rint(intervals), rtol=1e-9)
