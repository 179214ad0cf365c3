"""Samples of a target system: stationary states, and the wider cloud of points to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.systems.integration import integrate, stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import System

_RELAXATION_STEPS = 4000
_TRAJECTORIES = 256
_SHIFT, _REACH = 0.25, 1.5  # of moved points: standard deviations, and the largest factor outwards
_GROWTH = 3.0  # of the range of states from half of the relaxation to its end: beyond, they do not settle


@dataclass(frozen=True)
class Cloud:
    """Points of a system's stationary distribution.

    Parameters
    ----------
    points
        Shape (sample, rank), system units.
    dt
        Time step of the integration that they come from.
    """

    points: Float[np.ndarray, "sample rank"]
    dt: float

    def __repr__(self) -> str:
        samples, rank = self.points.shape
        return f"Cloud(points={samples}, rank={rank}, dt={self.dt:g})"

    @property
    def mean(self) -> Float[np.ndarray, " rank"]:
        """Mean of each latent."""
        return self.points.mean(axis=0)

    @property
    def scale(self) -> Float[np.ndarray, " rank"]:
        """Standard deviation of each latent."""
        return self.points.std(axis=0)


def stationary_cloud(system: System, count: int, rng: np.random.Generator) -> Cloud:
    """Draw `count` points from independent trajectories, after a relaxation.

    Raises
    ------
    InputError
        Where the drift or the diffusion is not finite, trajectories diverge, or a latent does not move.

    Examples
    --------
    >>> from ddm2snn.systems import quartic_wells
    >>> cloud = stationary_cloud(quartic_wells(1), 2000, np.random.default_rng(0))
    >>> cloud
    Cloud(points=2000, rank=1, dt=0.015625)
    """
    state = system.starts(rng, _TRAJECTORIES)
    if not np.isfinite(system.checked_drift(state)).all():
        raise InputError(f"System {system.name}: the drift is NaN or infinite at its starting points. Check it.")
    if not np.isfinite(system.factor(state)).all():
        raise InputError(f"System {system.name}: its diffusion is NaN or infinite at its starting points. Check it.")
    dt = stable_step(system.checked_drift, state)
    half = max(_RELAXATION_STEPS, round(30.0 / dt)) // 2
    path = integrate(system.checked_drift, system.noise, state, dt=dt, steps=2 * half + 1, stride=half, rng=rng)
    early, state = path[:, 1], path[:, 2]
    if (np.abs(state).max(axis=0) > _GROWTH * (np.abs(early).max(axis=0) + early.std(axis=0))).any():
        raise InputError(
            f"System {system.name}: its trajectories still grow after a long relaxation, so there is no stationary "
            "state to train on. Check the sign of its drift, or confine it."
        )
    dt = min(dt, stable_step(system.checked_drift, state))
    per_trajectory = -(-count // _TRAJECTORIES)
    stride = max(1, round(0.1 / dt))
    path = integrate(
        system.checked_drift, system.noise, state, dt=dt, steps=per_trajectory * stride, stride=stride,
        rng=rng,
    )  # fmt: skip
    points = rng.permutation(path.reshape(-1, system.rank))[:count]
    if (points.std(axis=0) <= 1e-9 * (1 + np.abs(points.mean(axis=0)))).any():
        raise InputError(f"System {system.name}: a latent is constant in the stationary state. Drop it or add noise.")
    return Cloud(points, dt)


def training_points(
    pool: Float[np.ndarray, "state rank"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "sample rank"]:
    """Points to train on, out of many stationary states in standardised coordinates.

    The first half are stationary. The others cover the visited region evenly, however rarely a part of it is visited;
    half of these are moved beside it, where noise can lead and trajectories must return from.
    """
    stationary = pool[: count - count // 2]
    even = evenly(pool, count - len(stationary), rng)
    return np.concatenate([stationary, even[::2], _moved(even[1::2], rng)])


def evenly(
    pool: Float[np.ndarray, "state rank"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "sample rank"]:
    """Choose `count` states that lie evenly over the visited region: one for each cell of a grid.

    The grid is the finest of a series with at most `count` occupied cells; the rest is drawn at random.
    """
    # a cell is identified by a hash of its indices, since their product may exceed 64 bits
    multipliers = rng.integers(1, 2**63, size=pool.shape[1], dtype=np.uint64) | np.uint64(1)
    chosen = np.empty(0, dtype=np.int64)
    for size in 0.025 * 1.3 ** np.arange(20):
        cell = np.floor(pool / size).astype(np.int64).view(np.uint64)
        _, first = np.unique((cell * multipliers).sum(axis=1, dtype=np.uint64), return_index=True)
        chosen = first
        if len(first) <= count:
            break
    chosen = rng.permutation(chosen)[:count]
    rest = rng.integers(len(pool), size=count - len(chosen))
    return pool[rng.permutation(np.concatenate([chosen, rest]))]


def _moved(z: Float[np.ndarray, "sample rank"], rng: np.random.Generator) -> Float[np.ndarray, "sample rank"]:
    """Move all points at random, and scale half of them outwards by a factor of up to 1.5."""
    out = z + _SHIFT * rng.standard_normal(z.shape)
    half = len(z) // 2
    out[:half] *= rng.uniform(1.0, _REACH, (half, 1))
    return out
