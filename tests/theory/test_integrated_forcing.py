"""`integrate`: forcing, noise and sampling against closed forms."""

import numpy as np
import pytest

from ddm2snn.errors import InputError
from ddm2snn.systems.integration import integrate

DT, STEPS, STRIDE = 0.01, 300, 4
START = np.array([[0.5, -1.0], [2.0, 0.0]])
QUIET = np.zeros((2, 2))
# One Heun step of -z multiplies by 1 - h + h^2/2 for exp(-h), h^3/6 too much: after time t at most
# h^2/6 t exp(-t) <= h^2/(6 e) of each of start and two jumps, which are below 3 here
TOLERANCE = DT**2 / (6.0 * np.e) * 3 * 3.0


def relax(forcing):
    """Integrate a leak without noise."""
    given = None if forcing is None else forcing.__getitem__
    rng = np.random.default_rng(0)
    return integrate(np.negative, QUIET, START, dt=DT, steps=STEPS, stride=STRIDE, rng=rng, forcing=given)


def closed_form(onset, offset, push):
    """Leak with a push from `onset` to `offset`."""
    t = (np.arange(-(-STEPS // STRIDE)) * STRIDE * DT)[:, None]
    risen = -np.expm1(-np.maximum(t - onset, 0.0)) + np.expm1(-np.maximum(t - offset, 0.0))
    return START[:, None] * np.exp(-t) + risen * push


@pytest.fixture
def forcing():
    """A push from step 50 to step 173, neither a multiple of the sampling stride."""
    push = np.zeros((STEPS, 2))
    push[50:173] = [1.5, -2.0]
    return push


def test_forcing_acts_from_the_start_of_its_step(forcing):
    expected = closed_form(50 * DT, 173 * DT, np.array([1.5, -2.0]))
    assert np.abs(relax(forcing) - expected).max() < TOLERANCE


def test_forcing_one_step_late_is_noticed(forcing):
    expected = closed_form(50 * DT, 173 * DT, np.array([1.5, -2.0]))
    assert np.abs(relax(np.roll(forcing, 1, axis=0)) - expected).max() > TOLERANCE


def test_no_forcing_is_a_bare_leak():
    assert np.abs(relax(None) - closed_form(0.0, 0.0, np.zeros(2))).max() < TOLERANCE


def test_samples_start_with_the_initial_state_and_are_thinned_by_the_stride():
    fine = integrate(np.negative, np.eye(2), START, dt=DT, steps=11, stride=1, rng=np.random.default_rng(4))
    coarse = integrate(np.negative, np.eye(2), START, dt=DT, steps=11, stride=4, rng=np.random.default_rng(4))
    assert np.array_equal(fine[:, 0], START)
    assert np.array_equal(coarse, fine[:, ::4])
    assert coarse.shape == (2, 3, 2)


TRIALS, SIGMAS = 20_000, 5.0
FACTOR = np.array([[0.5, 0.0], [0.4, 0.3]])


def stationary_scores(dt, factor):
    """Covariance after eight time units from zero, in standard errors from G G^T / 2.

    Left of the start is exp(-16); Heun's own error h^2/4 is 1e-4 at most, against a standard error of 1e-2.
    """
    end = integrate(
        np.negative, factor, np.zeros((TRIALS, 2)), dt=dt, steps=round(8.0 / dt) + 1, stride=round(8.0 / dt),
        rng=np.random.default_rng(6),
    )[:, -1]  # fmt: skip
    expected = FACTOR @ FACTOR.T / 2.0
    power = np.diag(expected)
    error = np.sqrt((np.outer(power, power) + expected**2) / TRIALS)
    return np.abs(end.T @ end / TRIALS - expected) / error


@pytest.mark.parametrize("dt", [0.02, 0.08])
def test_noise_with_a_full_factor_has_the_stationary_covariance(dt):
    assert stationary_scores(dt, FACTOR).max() < SIGMAS


@pytest.mark.parametrize("wrong", [FACTOR.T, 1.1 * FACTOR])
def test_a_wrong_factor_is_noticed(wrong):
    assert stationary_scores(0.08, wrong).max() > SIGMAS


def test_a_trajectory_that_leaves_the_numbers_is_refused():
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(InputError, match="left the range of finite"):
        integrate(lambda z: z**3, QUIET, 10.0 * START, dt=0.1, steps=100, stride=1, rng=np.random.default_rng(0))
