"""Processes with a planted change, sampled exactly or finely, for the tests of the measures."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.linalg import expm, solve_continuous_lyapunov

EVERY = 0.05
MATRIX = np.array([[-1.0, 1.0], [-1.0, -1.0]])
FACTOR = np.array([[0.5, 0.0], [0.2, 0.4]])


def covariance(matrix, factor):
    return solve_continuous_lyapunov(matrix, -factor @ factor.T)


def ornstein_uhlenbeck(seed, matrix=MATRIX, factor=FACTOR, *, mean=0.0, trials=64, samples=2000, every=EVERY):
    """Exact samples of dz = B (z - mean) dt + G dw from the stationary distribution."""
    rng = np.random.default_rng(seed)
    spread = covariance(matrix, factor)
    step = expm(matrix * every)
    root = np.linalg.cholesky(spread - step @ spread @ step.T)
    state = rng.standard_normal((trials, len(matrix))) @ np.linalg.cholesky(spread).T
    path = np.empty((trials, samples, len(matrix)))
    for t in range(samples):
        path[:, t] = state
        state = state @ step.T + rng.standard_normal(state.shape) @ root.T
    return path + mean


CHANGES = {
    "drift 5 % slower": {"matrix": 0.95 * MATRIX},
    "diffusion 20 % up": {"factor": np.sqrt(1.2) * FACTOR},
    "mean shifted": {"mean": np.array([0.1, 0.0])},
    "rotation added": {"matrix": MATRIX + 0.5 * np.array([[0.0, 1.0], [-1.0, 0.0]])},
}


@cache
def planted(change=None, seed=0, trials=64, samples=2000):
    """The process with one of `CHANGES`, or without; read-only, made once per session."""
    path = ornstein_uhlenbeck(seed, trials=trials, samples=samples, **(CHANGES[change] if change else {}))
    path.setflags(write=False)
    return path


def heun(drift, noise, state, rng, *, dt, samples, stride):
    """Samples each `stride` steps of dz = f(z) dt + noise dw."""
    path = np.empty((len(state), samples, state.shape[1]))
    for step in range(samples * stride):
        if step % stride == 0:
            path[:, step // stride] = state
        push = noise * np.sqrt(dt) * rng.standard_normal(state.shape)
        slope = drift(state)
        state = state + dt / 2 * (slope + drift(state + dt * slope + push)) + push
    return path


LORENZ_EVERY = 0.02


def lorenz_drift(z, rho: float | np.ndarray = 28.0):
    x, y, w = z[..., 0], z[..., 1], z[..., 2]
    return np.stack([10 * (y - x), x * (rho - w) - y, x * y - 8 / 3 * w], axis=-1)


@cache
def lorenz() -> dict[str, np.ndarray]:
    """Noisy Lorenz, 50 trials of 2,000 samples: reference, a second run, rho = 27, and 5 % slower."""
    rng = np.random.default_rng(1)
    rho = np.repeat([28.0, 28.0, 27.0, 28.0], 50)
    speed = np.repeat([1.0, 1.0, 1.0, 0.95], 50)[:, None]
    start = rng.normal([0.0, 0.0, 25.0], 8.0, (200, 3))
    # 20 time units to leave the surroundings of the foci, from which trajectories spiral out slowly
    path = heun(lambda z: speed * lorenz_drift(z, rho), 0.1, start, rng, dt=0.005, samples=3000, stride=4)[:, 1000:]
    path.setflags(write=False)
    return dict(zip(("reference", "again", "rho 27", "slower"), path.reshape(4, 50, 2000, 3), strict=True))


def circulation(transitions):
    """(N_ij - N_ji) / (N_ij + N_ji) for each pair of wells: zero in equilibrium, NaN for pairs without a transition."""
    back = transitions.T
    both = transitions + back
    return np.where(both > 0, (transitions - back) / np.maximum(both, 1e-300), np.nan)
