"""Stationary trajectories of a rate network, in its latent space."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.errors import InputError
from ddm2snn.systems.integration import integrate, stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import Factor


def stationary_paths(
    network: RateNetwork,
    *,
    trials: int,
    duration: float,
    every: float,
    burn_in: float,
    rng: np.random.Generator,
    progress: Callable[[float], None] = lambda share: None,
) -> Float[np.ndarray, "trial time rank"]:
    """Trajectories of ``dz = f(z) dt + G(z) dw`` that have had `burn_in` time to become stationary.

    They start from the stationary states that the network carries.

    Parameters
    ----------
    network
        Its drift and diffusion, in system units.
    trials
        Independent trajectories.
    duration, every, burn_in
        Length, sampling interval and length left out before, in rate time units. The step is shortened so
        that `every` is a multiple of it.

    Returns
    -------
    array
        Shape (trial, time, rank), system units.

    Raises
    ------
    InputError
        Where a setting makes no sense or a trajectory leaves the range of finite numbers.
    """
    check_positive("stationary_paths", duration=duration, every=every)
    if not (np.isfinite(burn_in) and burn_in >= 0):
        raise InputError(f"stationary_paths.burn_in must be a finite number from zero up, got {burn_in!r}.")
    known = network.initial_latent
    count = as_count("stationary_paths.trials", trials)
    start = known[rng.choice(len(known), size=count, replace=count > len(known))]
    stride = int(np.ceil(every / (stable_step(network.drift, known))))
    left_out, kept = round(burn_in / every), max(1, round(duration / every))
    path = integrate(
        network.drift,
        _factor(network),
        start,
        dt=every / stride,
        steps=(left_out + kept) * stride,
        stride=stride,
        rng=rng,
        progress=progress,
    )
    return path[:, left_out:]


def _factor(network: RateNetwork) -> Float[np.ndarray, "rank rank"] | Factor:
    """Factor of the noise: one matrix where the tensor is the same at all the states that the network carries."""
    tensors = network.diffusion(network.initial_latent)
    if len(tensors) > 1 and not np.allclose(tensors, tensors[0], rtol=1e-12, atol=0.0):
        return lambda z: tensor_root(network.diffusion(z))
    return tensor_root(tensors[0])


def tensor_root(tensor: Float[np.ndarray, "... rank rank"]) -> Float[np.ndarray, "... rank rank"]:
    """Symmetric root of a tensor G G^T, which may be singular: one factor that makes the same noise."""
    values, vectors = np.linalg.eigh(tensor)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)
