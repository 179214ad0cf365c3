"""What a network is trained on: stationary states of a system, a wider cloud of points, and the regression there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork
from ddm2snn.systems.integration import integrate, stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import States, System
    from ddm2snn.training.variable_projection import VariableProjection

_POOL = 32  # stationary states to choose each training point from
_LARGEST_POOL = 400_000
_RELAXATION_STEPS = 4000
_TRAJECTORIES = 256
_SHIFT, _REACH = 0.25, 1.5  # of moved points: standard deviations, and the largest factor outwards
_GROWTH = 3.0  # of the range of states from half of the relaxation to its end: beyond, they do not settle
_POINT_GRID, _DRIFT_GRID = 2.0**-16, 2.0**-26  # of rounded points and drifts, in standard deviations


@dataclass(frozen=True)
class Cloud:
    """Points of a system's stationary distribution.

    `points` are in system units; `dt` is the time step of the integration that they come from.
    """

    points: States
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
    late, before = (np.quantile(np.abs(z), 0.9, axis=0) for z in (state, early))
    if (late > _GROWTH * (before + early.std(axis=0))).any() or not np.isfinite(late).all():
        raise InputError(
            f"System {system.name}: its trajectories still grow after a long relaxation, so there is no stationary "
            "state to train on. Check the sign of its drift, or confine it."
        )
    dt = min(dt, stable_step(system.checked_drift, state))
    per_trajectory = -(-count // _TRAJECTORIES)
    stride = max(1, round(0.1 / dt))
    steps = per_trajectory * stride
    path = integrate(system.checked_drift, system.noise, state, dt=dt, steps=steps, stride=stride, rng=rng)
    points = rng.permutation(path.reshape(-1, system.rank))[:count]
    if (points.std(axis=0) <= 1e-9 * (1 + np.abs(points.mean(axis=0)))).any():
        raise InputError(f"System {system.name}: a latent is constant in the stationary state. Drop it or add noise.")
    return Cloud(points, dt)


def training_points(
    pool: States, count: int, rng: np.random.Generator, domain: tuple[np.ndarray, np.ndarray] | None = None
) -> States:
    """Points to train on, out of many stationary states in standardised coordinates.

    The first half are stationary. The others cover the visited region evenly, however rarely a part of it is visited,
    or the `domain` where there is one; half of these are moved beside it, where noise can lead and trajectories must
    return from.
    """
    stationary = pool[: count - count // 2]
    even = evenly(pool, count - len(stationary), rng)
    if domain is not None:
        even[::2] = rng.uniform(*domain, even[::2].shape)
    return np.concatenate([stationary, even[::2], _moved(even[1::2], rng)])


def evenly(pool: States, count: int, rng: np.random.Generator) -> States:
    """Choose `count` states that lie evenly over the visited region: one for each cell of a grid.

    The grid is the finest of a series with at most `count` occupied cells; the rest is drawn at random.
    """
    # a cell is identified by a hash of its indices, since their product may exceed 64 bits
    multipliers = rng.integers(1, 2**63, size=pool.shape[1], dtype=np.uint64) | np.uint64(1)
    chosen = np.empty(0, dtype=np.int64)
    for size in 0.025 * 1.3 ** np.arange(20):
        cell = np.floor(pool / size).astype(np.int64).view(np.uint64)
        _, chosen = np.unique((cell * multipliers).sum(axis=1, dtype=np.uint64), return_index=True)
        if len(chosen) <= count:
            break
    chosen = rng.permutation(chosen)[:count]
    rest = rng.integers(len(pool), size=count - len(chosen))
    return pool[rng.permutation(np.concatenate([chosen, rest]))]


def _moved(z: States, rng: np.random.Generator) -> States:
    """Move all points at random, and scale half of them outwards by a factor of up to 1.5."""
    out = z + _SHIFT * rng.standard_normal(z.shape)
    half = len(z) // 2
    out[:half] *= rng.uniform(1.0, _REACH, (half, 1))
    return out


@dataclass(frozen=True)
class Task:
    """What the outputs of the units are fitted to.

    Mean and standard deviations of the `cloud` standardise the coordinates of the regressors `points`. The first
    outputs are the latents of z + f(z). Where the diffusion depends on the state, the entries of G follow, less the
    constant `factor`. One unit of each output of the `target` stands for `unit`.
    """

    cloud: Cloud
    points: States
    target: Float[np.ndarray, "sample output"]
    weight: Float[np.ndarray, " sample"]
    unit: Float[np.ndarray, " output"]
    factor: Float[np.ndarray, "rank rank"]

    def network(self, projection: VariableProjection, ridge: float) -> RateNetwork:
        """Rate network of the hidden units as they are, with the read-out at a ridge."""
        gamma, bias = projection.hidden_weights()
        readout, rank = projection.readout(ridge) * self.unit, self.points.shape[1]
        entries = readout[:, rank:]
        return RateNetwork(
            left_vectors=gamma,
            right_vectors=readout[:, :rank],
            bias=bias,
            diffusion_factor=self.factor,
            input_map=np.diag(1.0 / self.cloud.scale),
            latent_offset=self.cloud.mean,
            latent_scale=self.cloud.scale,
            initial_latent=self.cloud.points[:1024],
            activation=projection.activation,
            diffusion_readout=entries.reshape(-1, rank, rank) if entries.size else None,
        )


def task_of(system: System, count: int, rng: np.random.Generator, *, rounded: bool = False) -> Task:
    """Sample a system at `count` points and scale what is to be fitted there.

    Each output counts relative to its root mean square over stationary states, so that the loss is the relative error
    that is reported. A factor G that depends on the state is fitted as a lower-triangular matrix.

    With `rounded`, points and drift are rounded to binary fractions that are coarse against the errors of arithmetic:
    then a system gives the same task, bit for bit, in whatever units it is written.
    """
    pool = stationary_cloud(system, min(_POOL * count, max(count, _LARGEST_POOL)), rng)
    if rounded:
        pool = Cloud(_to_grid(pool.points, _POINT_GRID), pool.dt)
    cloud = Cloud(pool.points[:count], pool.dt)
    offset, scale = cloud.mean, cloud.scale
    domain = system.domain and (  # in standard deviations
        (system.domain[0] - offset) / scale, (system.domain[1] - offset) / scale,
    )  # fmt: skip
    z = training_points((pool.points - offset) / scale, count, rng, domain)
    states = z * scale + offset
    velocity = system.checked_drift(states) / scale
    velocity = _to_grid(velocity, _DRIFT_GRID) if rounded else velocity
    if not np.isfinite(velocity).all():
        raise InputError(f"System {system.name}: the drift is NaN or infinite near its stationary cloud. Check it.")
    stationary = velocity[: count - count // 2]
    if (_rms(velocity) == 0).any() or (_rms(stationary) == 0).any():
        raise InputError(f"System {system.name}: the drift of a latent is zero everywhere; there is nothing to match.")
    # beside the cloud the drift can be huge: errors count relative to it where it exceeds nearly all of the cloud's
    speed = np.linalg.norm(velocity / _rms(stationary), axis=1) / np.sqrt(system.rank)
    weight = 1.0 / np.maximum(1.0, speed / np.quantile(speed[: len(stationary)], 0.999))
    unit, target = _rms(stationary), (z + velocity) / _rms(stationary)
    if system.constant_factor is not None:
        return Task(cloud, z, target, weight, unit, system.constant_factor / scale[:, None])
    factor = _triangular(system, states) / scale[:, None]
    factor = _to_grid(factor, _DRIFT_GRID) if rounded else factor
    centre = factor[: len(stationary)].mean(axis=0)
    size = np.full(system.rank**2, np.sqrt((factor[: len(stationary)] ** 2).mean() * system.rank))
    entries = (factor - centre).reshape(len(z), -1) / size
    return Task(cloud, z, np.hstack([target, entries]), weight, np.hstack([unit, size]), centre)


def _triangular(system: System, states: States) -> Float[np.ndarray, "sample rank rank"]:
    """Lower-triangular factors of the system's tensor: its own where they are triangular, else by Cholesky."""
    factor = system.factor(states)
    if not np.isfinite(factor).all():
        raise InputError(f"System {system.name}: the diffusion is NaN or infinite near its stationary cloud. Check it.")
    if not np.triu(factor, 1).any():
        return factor
    tensor = factor @ np.swapaxes(factor, -1, -2)
    trace = np.trace(tensor, axis1=-2, axis2=-1)[:, None, None]
    try:
        return np.linalg.cholesky(tensor + 1e-12 * trace * np.eye(system.rank))
    except np.linalg.LinAlgError as error:
        raise InputError(
            f"System {system.name}: its diffusion tensor vanishes somewhere near its stationary cloud, where no smooth "
            "factor can be read off it. Give diffusion as a lower-triangular matrix G(z)."
        ) from error


def _to_grid(values: Float[np.ndarray, "..."], grid: float) -> Float[np.ndarray, "..."]:
    return np.round(values / grid) * grid


def _rms(values: Float[np.ndarray, "sample column"]) -> Float[np.ndarray, " column"]:
    return np.sqrt((values**2).mean(axis=0))
