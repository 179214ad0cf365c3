"""Where a target system lives: its stationary cloud, and the wider one that training sees."""

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
_SMEAR, _REACH = 0.25, 1.5
_GROWTH = 3.0  # a cloud that has forgotten its start does not triple in as long again


@dataclass(frozen=True)
class Cloud:
    """Points of a system's stationary distribution, shape (sample, rank), and the step that resolved it."""

    points: Float[np.ndarray, "sample rank"]
    dt: float

    @property
    def mean(self) -> Float[np.ndarray, " rank"]:
        """Mean of each latent."""
        return self.points.mean(axis=0)

    @property
    def scale(self) -> Float[np.ndarray, " rank"]:
        """Standard deviation of each latent."""
        return self.points.std(axis=0)


def stationary_cloud(system: System, count: int, rng: np.random.Generator) -> Cloud:
    """Draw `count` points from independent trajectories that have forgotten their starts.

    Raises
    ------
    InputError
        Where trajectories diverge or a latent does not move.
    """
    state = system.starts(rng, _TRAJECTORIES)
    if not np.isfinite(system.checked_drift(state)).all():
        raise InputError(f"System {system.name}: the drift is NaN or infinite at its starting points. Check it.")
    if not np.isfinite(system.factor(state)).all():
        raise InputError(f"System {system.name}: its diffusion is NaN or infinite at its starting points. Check it.")
    dt = stable_step(system.checked_drift, state)
    early, state = _advance(system, state, dt, rng)
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


def _advance(
    system: System, state: Float[np.ndarray, "trial rank"], dt: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Relax, and return the states halfway and at the end."""
    half = max(_RELAXATION_STEPS, round(30.0 / dt)) // 2
    path = integrate(system.checked_drift, system.noise, state, dt=dt, steps=2 * half + 1, stride=half, rng=rng)
    return path[:, 1], path[:, 2]


def training_points(
    pool: Float[np.ndarray, "state rank"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "sample rank"]:
    """Points to train on, out of many stationary states in standardised coordinates.

    The first half are stationary. The others cover the visited region evenly, however rarely it is visited,
    and half of them are widened: a heavy tail is visited seldom, but decides where a trajectory comes back.
    """
    stationary = pool[: count - count // 2]
    spread = evenly(pool, count - len(stationary), rng)
    return np.concatenate([stationary, spread[::2], _pushed(spread[1::2], rng)])


def evenly(
    pool: Float[np.ndarray, "state rank"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "sample rank"]:
    """Choose `count` states that lie evenly over the visited region: one for each cell of a grid.

    The grid is the finest of a series with at most `count` occupied cells; the rest is drawn at random.
    """
    # cells are told apart by a hash of their indices, since rank times their number may exceed 64 bits
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


def _pushed(z: Float[np.ndarray, "sample rank"], rng: np.random.Generator) -> Float[np.ndarray, "sample rank"]:
    """Smear all and push half of them outwards, far enough that trajectories find no untrained way out."""
    out = z + _SMEAR * rng.standard_normal(z.shape)
    half = len(z) // 2
    out[:half] *= rng.uniform(1.0, _REACH, (half, 1))
    return out


def widened(
    z: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
    *,
    spread: float = 0.25,
    reach: float = 1.35,
) -> Float[np.ndarray, "sample rank"]:
    """Half the points as they are, three eighths smeared by `spread`, one eighth pushed out by up to `reach`.

    In standardised coordinates. The smear is what noise explores; the push keeps trajectories from
    finding an untrained way out.
    """
    out = z.copy()
    smeared, pushed = np.split(np.arange(len(z) // 2, len(z)), [3 * len(z) // 8])
    out[smeared] += spread * rng.standard_normal((len(smeared), z.shape[1]))
    out[pushed] *= rng.uniform(1.0, reach, (len(pushed), 1))
    return out
