"""Convergence orders of the stochastic Heun scheme: deterministic, weak and strong."""

import numpy as np
import pytest
from scipy.linalg import solve_continuous_lyapunov, solve_discrete_lyapunov

from ddm2snn.systems.integration import heun_step

# A slope over a factor of eight in the step is off by the next order, some h / 2 at the finest of the steps
# (0.05 at most here); schemes of neighbouring orders differ by one
SLOPE_TOLERANCE = 0.15
STEPS = np.array([0.1, 0.05, 0.025, 0.0125])


def euler_step(drift, state, dt, increment):
    """Euler-Maruyama, one order below: what Heun must not be mistaken for."""
    return state + dt * drift(state) + increment


def slope(errors, steps=STEPS):
    """Exponent p in error ~ step^p, by least squares in logarithms."""
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


def logistic_error(scheme, dt):
    """Error at time 2 for y' = y (1 - y), whose solution is 1 / (1 + (1 / y_0 - 1) exp(-t))."""
    state = start = np.array([[0.1], [0.4], [1.7]])
    for _ in range(round(2.0 / dt)):
        state = scheme(lambda y: y * (1.0 - y), state, dt, np.zeros_like(state))
    return np.abs(state - 1.0 / (1.0 + (1.0 / start - 1.0) * np.exp(-2.0))).max()


@pytest.mark.parametrize(("scheme", "order"), [(heun_step, 2), (euler_step, 1)])
def test_deterministic_order(scheme, order):
    errors = [logistic_error(scheme, dt) for dt in STEPS]
    assert abs(slope(errors) - order) < SLOPE_TOLERANCE


MATRIX = np.array([[-1.0, 2.0], [-1.5, -0.7]])  # rotates and decays, not normal
FACTOR = np.array([[0.5, 0.0], [0.3, 0.8]])


def covariance_error(scheme, dt):
    """Error of the stationary covariance of a linear SDE, free of sampling.

    A step is z' = A z + B xi with B xi from the increment G sqrt(dt) xi, so that its covariance solves
    C = A C A^T + B B^T.
    """

    def drift(state):
        return state @ MATRIX.T

    still = np.zeros((2, 2))
    propagator = scheme(drift, np.eye(2), dt, still).T
    push = scheme(drift, still, dt, np.sqrt(dt) * FACTOR.T).T
    found = solve_discrete_lyapunov(propagator, push @ push.T)
    return np.abs(found - solve_continuous_lyapunov(MATRIX, -FACTOR @ FACTOR.T)).max()


@pytest.mark.parametrize(("scheme", "order"), [(heun_step, 2), (euler_step, 1)])
def test_weak_order_of_the_stationary_covariance(scheme, order):
    errors = [covariance_error(scheme, dt) for dt in STEPS]
    assert abs(slope(errors) - order) < SLOPE_TOLERANCE


def test_stationary_variance_of_a_scalar_leak_in_closed_form():
    r"""Heun's own: :math:`\frac{G^2}{2} \frac{1 - h/2}{1 - h/2 + h^2/4}`."""
    dt, still = 0.2, np.zeros((1, 1))
    decay = heun_step(np.negative, np.ones((1, 1)), dt, still).item()
    push = heun_step(np.negative, still, dt, np.full((1, 1), np.sqrt(dt))).item()
    assert push**2 / (1.0 - decay**2) == pytest.approx(0.5 * (1 - dt / 2) / (1 - dt / 2 + dt**2 / 4), rel=1e-13)


def test_strong_order_for_additive_noise():
    """Errors at time 1 against the same Brownian paths in steps 32 times finer than the finest."""
    rng, fine, paths = np.random.default_rng(3), STEPS[-1] / 32, 400
    increments = 0.3 * np.sqrt(fine) * rng.standard_normal((round(1.0 / fine), paths, 1))

    def end(dt):
        state = np.full((paths, 1), 0.4)
        for push in increments.reshape(-1, round(dt / fine), paths, 1).sum(axis=1):
            state = heun_step(lambda y: np.sin(2.0 * y), state, dt, push)
        return state

    truth = end(fine)
    errors = [np.sqrt(((end(dt) - truth) ** 2).mean()) for dt in STEPS]
    # Mean squares of 400 paths are good to some 10 %, their logarithms over a factor of eight to 0.05
    assert abs(slope(errors) - 1.0) < SLOPE_TOLERANCE


def test_noise_that_scales_with_the_step_loses_the_variance():
    dt, still = 0.01, np.zeros((1, 1))
    decay = heun_step(np.negative, np.ones((1, 1)), dt, still).item()
    wrong = heun_step(np.negative, still, dt, np.full((1, 1), dt)).item()
    assert wrong**2 / (1.0 - decay**2) < 0.02 * 0.5
