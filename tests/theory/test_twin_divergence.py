"""Largest Lyapunov exponents of Lorenz and of linear processes, from trajectories."""

import numpy as np
import pytest
from planted_changes import LORENZ_EVERY, heun, lorenz, lorenz_drift, ornstein_uhlenbeck

from ddm2snn.analysis.lyapunov import log_distance, twin_divergence
from ddm2snn.errors import InputError

LYAPUNOV = 0.9056  # Sprott, Chaos and Time-Series Analysis (2003)


def test_twins_with_shared_noise_on_lorenz():
    start = lorenz()["reference"][:, -1]
    close = start + 1e-6 * np.random.default_rng(1).standard_normal(start.shape)
    first, second = (
        heun(lorenz_drift, 0.1, z, np.random.default_rng(2), dt=0.01, samples=600, stride=2) for z in (start, close)
    )
    draws = np.random.default_rng(3).multinomial(50, np.full(50, 0.02), size=100).astype(float)
    error = twin_divergence(first, second, LORENZ_EVERY, draws, skip=1.0).std()
    assert error < 0.1
    assert twin_divergence(first, second, LORENZ_EVERY, skip=1.0)[0] == pytest.approx(LYAPUNOV, abs=4 * error)


def test_twins_of_a_linear_process_converge_at_its_rate():
    noise = ornstein_uhlenbeck(4, -np.eye(2), np.eye(2), trials=5, samples=100)
    time = 0.05 * np.arange(100)
    # shared noise cancels in the difference, which follows exp(-t) exactly
    twin = noise + 1e-3 * np.exp(-time)[:, None]
    assert twin_divergence(noise, twin, 0.05)[0] == pytest.approx(-1.0, rel=1e-6)
    assert log_distance(noise, twin)[:, 0].mean() == pytest.approx(
        np.log(1e-3 * np.linalg.norm(1 / noise.std(axis=(0, 1))))
    )


def test_refusals():
    path = ornstein_uhlenbeck(6, trials=2, samples=100)
    with pytest.raises(InputError, match="equal in every sample"):
        twin_divergence(path, path, 0.05)
    with pytest.raises(InputError, match="Twins must be alike"):
        twin_divergence(path, path[:, :50], 0.05)
    assert np.isnan(twin_divergence(path, path + 10.0, 0.05)).all()
