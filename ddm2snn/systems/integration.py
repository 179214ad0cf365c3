"""Integration of stochastic differential equations in the sense of Ito."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift, Factor, Latents, Paths, States


def heun_step(drift: Drift, state: Latents, dt: float, increment: Latents) -> Latents:
    """One step of the Heun scheme in the drift: strong order 1, weak order 2 for additive noise.

    `increment` is the noise of the step, G sqrt(dt) xi with G at the beginning of the step: noise whose
    strength depends on the state is meant in the sense of Ito, and then has weak order 1. Source: Kloeden,
    Platen, Numerical Solution of Stochastic Differential Equations (1992), sections 14.1 and 15.1.

    Examples
    --------
    >>> heun_step(lambda z: -z, np.array([1.0]), 0.1, np.zeros(1)).round(6)  # 1 - h + h^2 / 2
    array([0.905])
    """
    slope = drift(state)
    predicted = state + dt * slope + increment
    return state + 0.5 * dt * (slope + drift(predicted)) + increment


def integrate(
    drift: Drift,
    factor: Float[np.ndarray, "rank rank"] | Factor,
    state: States,
    *,
    dt: float,
    steps: int,
    stride: int,
    rng: np.random.Generator,
    forcing: Callable[[int], Float[np.ndarray, "trial rank"]] | None = None,
    progress: Progress = no_progress,
) -> Paths:
    """Trajectories of ``dz = (f(z) + u) dt + G(z) dw``, sampled each `stride` steps from the initial state on.

    The factor G is a matrix, or a function of arrays (..., rank). The forcing u, a function of the number of a
    step, is constant over the step, of each trial or one for all, and zero by default.

    Examples
    --------
    >>> rng, still = np.random.default_rng(0), np.zeros((1, 1))
    >>> path = integrate(lambda z: -z, still, np.ones((1, 1)), dt=0.01, steps=201, stride=100, rng=rng)
    >>> path[0, :, 0].round(3)  # exp(-t) at 0, 1 and 2
    array([1.   , 0.368, 0.135])
    """
    samples = np.empty((state.shape[0], -(-steps // stride), state.shape[1]))
    noise = _noise(factor, np.sqrt(dt), rng)
    for step in range(steps):
        if step % stride == 0:
            samples[:, step // stride] = state
            if not np.isfinite(state).all():
                raise InputError(
                    f"The trajectory left the range of finite numbers by time {step * dt:g}. "
                    "Use a shorter step, or a drift that confines its trajectories."
                )
            progress(step / steps)
        u = None if forcing is None else forcing(step)
        field = drift if u is None else lambda z, u=u: drift(z) + u
        state = heun_step(field, state, dt, noise(state))
    return samples


def _noise(
    factor: Float[np.ndarray, "rank rank"] | Factor, root: float, rng: np.random.Generator
) -> Callable[[States], States]:
    """Noise of one step as a function of the state at its beginning."""
    if callable(factor):
        return lambda z: root * (factor(z) @ rng.standard_normal((*z.shape, 1)))[..., 0]
    scaled = root * factor.T
    return lambda z: rng.standard_normal(z.shape) @ scaled


def stable_step(drift: Drift, points: States, *, tolerance: float = 1e-4) -> float:
    """Largest step 2^-m at which one Heun step differs from two half steps by `tolerance` of the spread.

    Judged at the 99th percentile over `points`, without noise. Sixteen halvings of 1/16 are tried.

    Examples
    --------
    >>> points = np.linspace(-1.0, 1.0, 9)[:, None]
    >>> stable_step(lambda z: -z, points), stable_step(lambda z: -10.0 * z, points)
    (0.0625, 0.0078125)
    """
    scale = points.std(axis=0) + 1e-12
    dt = 2.0**-4
    quiet = np.zeros_like(points)
    for _ in range(16):
        whole = heun_step(drift, points, dt, quiet)
        half = heun_step(drift, heun_step(drift, points, dt / 2, quiet), dt / 2, quiet)
        error = np.abs((whole - half) / scale).max(axis=1)
        if np.isfinite(error).all() and np.quantile(error, 0.99) < tolerance:
            return dt
        dt /= 2
    raise InputError(
        f"No time step above {dt:.1e} resolves this drift. Check it for discontinuities, or rescale its time."
    )
