"""What decoders are solved for: with exact decoders one step of the loop follows the flow of the rate model."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.trajectories import flow, regression_target

# Rate time units. A classical Runge-Kutta step errs by order five; the slope over a factor of four is off
# by the next order in the step, and the orders of the alternatives below lie two and more away
STEPS = np.array([0.4, 0.2, 0.1])
SLOPE_TOLERANCE = 0.5


@pytest.fixture
def rate(make_rate):
    """A network with read-outs of order one, whose flow is far from linear."""
    return make_rate(right_vectors=np.random.default_rng(9).standard_normal((6, 2)))


@pytest.fixture
def states():
    """Internal latents that cover the tanh units."""
    return np.random.default_rng(10).uniform(-1.5, 1.5, (20, 2))


def exact_flow(rate, z, step):
    """Flow of dz/dt = -z + W_s phi(Gamma z + b) to twelve digits."""

    def velocity(t, flat):
        state = flat.reshape(-1, 2)
        return (rate.internal_readout(state) - state).ravel()

    return solve_ivp(velocity, (0.0, step), z.ravel(), method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1].reshape(-1, 2)


def loop_errors(rate, z, target):
    """Distance of one loop step z' = a z + (1 - a) y, a = exp(-step), from the flow, for each step."""
    errors = []
    for step in STEPS:
        decay = np.exp(-step)
        errors.append(np.abs(decay * z + (1 - decay) * target(step) - exact_flow(rate, z, step)).max())
    return np.array(errors)


def slope(errors):
    """Exponent p in error ~ step^p."""
    return np.polyfit(np.log(STEPS), np.log(errors), 1)[0]


@pytest.mark.parametrize("time_unit_s", [0.1, 0.5])
def test_one_loop_step_follows_the_flow_to_fifth_order(rate, states, time_unit_s):
    def target(step):
        return regression_target(rate, states, Clock(time_unit_s, step * time_unit_s, "grid"))

    errors = loop_errors(rate, states, target)
    assert abs(slope(errors) - 5.0) < SLOPE_TOLERANCE
    assert errors[-1] < 1e-5


def test_the_plain_readout_lags_to_second_order(rate, states):
    errors = loop_errors(rate, states, lambda step: rate.internal_readout(states))
    assert abs(slope(errors) - 2.0) < SLOPE_TOLERANCE
    assert errors[-1] > 1e-3


def test_the_target_tends_to_the_readout_as_the_step_vanishes(rate, states):
    target = regression_target(rate, states, Clock(0.1, 1e-6 * 0.1, "grid"))
    assert np.abs(target - rate.internal_readout(states)).max() < 1e-4


def test_a_leak_alone_asks_for_nothing(make_rate, states):
    # the flow of -z is exp(-step) z, so y vanishes but for the Runge-Kutta error step^5 / 120 / (1 - a)
    bare = make_rate(right_vectors=np.zeros((6, 2)))
    target = regression_target(bare, states, Clock(0.1, 0.001, "grid"))
    assert np.abs(target).max() < 0.01**4 / 100 * 1.5


def test_the_flow_composes(rate, states):
    twice = flow(rate, flow(rate, states, 0.05), 0.05)
    assert (
        np.abs(twice - exact_flow(rate, states, 0.1)).max()
        < 0.2 * np.abs(flow(rate, states, 0.1) - exact_flow(rate, states, 0.1)).max()
    )
