"""The regression that training solves: points, targets and weights in standardised coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork
from ddm2snn.training.sampling import Cloud, stationary_cloud, training_points

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import System
    from ddm2snn.training.variable_projection import VariableProjection

_POOL = 32  # stationary states to choose each training point from
_LARGEST_POOL = 400_000


@dataclass(frozen=True)
class Task:
    """What the outputs of the units are fitted to.

    Parameters
    ----------
    cloud
        Stationary states, system units, whose mean and standard deviations standardise the coordinates.
    points, target, weight
        Regressors z (sample, rank), outputs (sample, output) and weights (sample,).
    unit
        What one unit of each output stands for, shape (output,). The first outputs are the latents of z + f(z). Where
        the diffusion depends on the state, the entries of the factor G follow.
    factor
        Constant part of G, shape (rank, rank).
    """

    cloud: Cloud
    points: Float[np.ndarray, "sample rank"]
    target: Float[np.ndarray, "sample output"]
    weight: Float[np.ndarray, " sample"]
    unit: Float[np.ndarray, " output"]
    factor: Float[np.ndarray, "rank rank"]

    @property
    def rank(self) -> int:
        """Number of latents."""
        return self.points.shape[1]

    def network(self, projection: VariableProjection, ridge: float) -> RateNetwork:
        """Rate network of the hidden units as they are, with the read-out at a ridge."""
        gamma, bias = projection.hidden_weights()
        readout, rank = projection.readout(ridge) * self.unit, self.rank
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


def task_of(system: System, count: int, rng: np.random.Generator) -> Task:
    """Sample a system at `count` points and scale what is to be fitted there.

    Each output counts relative to its root mean square over stationary states, so that the loss is the relative error
    that is reported. A factor G that depends on the state is fitted as a lower-triangular matrix.

    Raises
    ------
    InputError
        Where the system cannot be sampled, or its drift or diffusion cannot be fitted.
    """
    pool = stationary_cloud(system, min(_POOL * count, max(count, _LARGEST_POOL)), rng)
    cloud = Cloud(pool.points[:count], pool.dt)
    offset, scale = cloud.mean, cloud.scale
    z = training_points((pool.points - offset) / scale, count, rng)
    states = z * scale + offset
    velocity = system.checked_drift(states) / scale
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
    centre = factor[: len(stationary)].mean(axis=0)
    size = np.full(system.rank**2, np.sqrt((factor[: len(stationary)] ** 2).mean() * system.rank))
    entries = (factor - centre).reshape(len(z), -1) / size
    return Task(cloud, z, np.hstack([target, entries]), weight, np.hstack([unit, size]), centre)


def _triangular(system: System, states: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample rank rank"]:
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


def _rms(values: Float[np.ndarray, "sample column"]) -> Float[np.ndarray, " column"]:
    return np.sqrt((values**2).mean(axis=0))
