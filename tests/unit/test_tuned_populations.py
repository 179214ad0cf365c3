"""Tuned populations decode better and keep the rows of Gamma; their gradient is the derivative of the loss."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.population import Population, encode
from ddm2snn.conversion.tuning import _Problem, tune
from ddm2snn.neuron import LIF

CLOCK = Clock(time_unit_s=0.2, dt_s=1e-3, spike_timing="grid")


@pytest.fixture
def drawn(quick_rate):
    z = np.random.default_rng(0).standard_normal((1500, 2))
    return z, encode(quick_rate, Population(4), CLOCK, z, np.random.default_rng(1))


def decoding_error(rate, ensemble, z):
    """Relative error of the best decoders on exact rates, at points that the tuning has not seen."""
    train, fresh = z[:4000], z[4000:]
    curves, others = (LIF().rate_hz(ensemble.currents(points)) / 500.0 for points in (train, fresh))
    gram = curves.T @ curves
    gram += 1e-6 * np.trace(gram) / len(gram) * np.eye(len(gram))
    decoders = np.linalg.solve(gram, curves.T @ rate.internal_readout(train))
    wanted = rate.internal_readout(fresh)
    return np.sqrt(((others @ decoders - wanted) ** 2).mean() / ((wanted - fresh) ** 2).mean())


def test_tuning_lowers_the_decoding_error_on_fresh_points(quick_rate, drawn):
    z, ensemble = drawn
    tuned, losses = tune(quick_rate, ensemble, z)
    fresh = np.random.default_rng(2).standard_normal((8000, 2))
    before, after = (decoding_error(quick_rate, e, fresh) for e in (ensemble, tuned))
    assert after < 0.7 * before
    assert losses["loss_after"] < 0.5 * losses["loss_before"]


def test_tuned_encoders_are_rows_of_gamma_with_the_sign_they_had(quick_rate, drawn):
    z, ensemble = drawn
    tuned, _ = tune(quick_rate, ensemble, z)
    rows = quick_rate.left_vectors[tuned.unit]
    cross = tuned.encoders[:, 0] * rows[:, 1] - tuned.encoders[:, 1] * rows[:, 0]
    assert np.abs(cross).max() < 1e-12 * np.abs(tuned.encoders).max() * np.abs(rows).max()
    factor = (tuned.encoders * ensemble.encoders).sum(axis=1) / (ensemble.encoders**2).sum(axis=1)
    assert (factor >= 1 / 3 - 1e-9).all()
    assert (factor <= 3 + 1e-9).all()
    assert np.ptp(factor) > 0.1  # something was moved


def test_the_gradient_is_the_derivative_of_the_loss():
    rng = np.random.default_rng(3)
    with ThreadPoolExecutor(1) as threads:
        problem = _Problem(
            LIF(), rng.standard_normal((60, 4)), 1.0 + rng.random(4), rng.uniform(0.5, 2, 4), rng.uniform(0.5, 2, 4),
            rng.standard_normal((60, 2)), threads,
        )  # fmt: skip
        place = 0.1 * rng.standard_normal(8)
        _, gradient = problem.loss(place, 0.05)
        step = 1e-4 * np.eye(8)
        numeric = [(problem.loss(place + e, 0.05)[0] - problem.loss(place - e, 0.05)[0]) / 2e-4 for e in step]
    # central differences: relative error of the order of the squared step over the squared width, 4e-6
    np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-3 * np.abs(numeric).max())
