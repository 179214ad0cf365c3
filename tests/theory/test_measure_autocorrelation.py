"""Autocorrelation of Ornstein-Uhlenbeck processes."""

import numpy as np
import pytest
from planted_changes import EVERY, MATRIX, ornstein_uhlenbeck, planted
from scipy.linalg import expm

from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import autocorrelation, lagged_products, rms_difference

LAGS = 80


def function(path):
    return autocorrelation(lagged_products(path, LAGS))[0]


def test_agrees_with_the_definition():
    path = np.random.default_rng(1).standard_normal((2, 37, 3)) + 5.0
    found = lagged_products(path, 37)
    about = path - path.mean(axis=(0, 1))
    for lag in (0, 1, 20, 36):
        expected = (about[:, : 37 - lag] * about[:, lag:]).mean(axis=1)
        np.testing.assert_allclose(found[:, lag], expected, atol=1e-12)


@pytest.mark.parametrize("relaxation", [0.5, 1.5])
def test_exponential(relaxation):
    path = ornstein_uhlenbeck(2, -np.eye(2) / relaxation, np.eye(2), samples=4000)
    lags = round(12 * relaxation / EVERY)
    found = autocorrelation(lagged_products(path, lags))[0]
    time = np.arange(lags) * EVERY
    # variance of a correlation at most 2 relaxation / total time
    total = 64 * 4000 * EVERY
    np.testing.assert_allclose(
        found, np.exp(-time / relaxation)[:, None] * [1, 1], atol=5 * np.sqrt(2 * relaxation / total)
    )


def test_rotation_shows_and_a_shift_or_noise_do_not():
    reference = function(planted())
    distance = {c: rms_difference(function(planted(c, seed=3)), reference)
                for c in (None, "drift 5 % slower", "diffusion 20 % up", "mean shifted", "rotation added")}  # fmt: skip
    assert distance["rotation added"] > 3 * distance[None]
    assert max(distance["diffusion 20 % up"], distance["mean shifted"]) < 2 * distance[None]
    spread = planted(seed=4)
    covariance = spread.reshape(-1, 2).T @ spread.reshape(-1, 2) / spread.size * 2
    theory = [np.diag(expm(MATRIX * EVERY * lag) @ covariance) / np.diag(covariance) for lag in range(LAGS)]
    assert rms_difference(reference, np.array(theory)) < 0.03


def test_trials_are_weighed():
    products = lagged_products(planted()[:3], LAGS)
    twice = autocorrelation(products, np.array([[2.0, 0.0, 1.0]]))[0]
    np.testing.assert_allclose(twice, autocorrelation(products[[0, 0, 2]])[0])


def test_a_latent_that_stands_still_stays_correlated():
    np.testing.assert_array_equal(autocorrelation(lagged_products(np.zeros((2, 50, 1)), 10)), np.ones((1, 10, 1)))


def test_refusals():
    with pytest.raises(InputError, match="200 samples per trial, samples has 100"):
        lagged_products(planted()[:, :100], 200)
