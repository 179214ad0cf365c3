"""Relative errors of a trained network's drift and diffusion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import System


def drift_error(
    network: RateNetwork, system: System, points: Float[np.ndarray, "sample rank"]
) -> Float[np.ndarray, " rank"]:
    """Relative root-mean-square error of the drift per latent: |f_net - f| / |f| over `points`.

    Examples
    --------
    >>> from ddm2snn.network import RateNetwork
    >>> from ddm2snn.systems import System
    >>> network = RateNetwork(
    ...     left_vectors=[[1.0]], right_vectors=[[0.0]], bias=[0.0], diffusion_factor=[[0.5]], input_map=[[1.0]],
    ...     latent_offset=[0.0], latent_scale=[1.0], initial_latent=[[0.0]],
    ... )
    >>> system, points = System(name="decay", rank=1, drift=lambda z: -2.0 * z, diffusion=1.0), np.ones((5, 1))
    >>> drift_error(network, system, points)  # the network decays at half the rate
    array([0.5])
    >>> diffusion_error(network, system, points)  # and has a quarter of the tensor
    0.75
    """
    truth = system.checked_drift(points)
    return np.sqrt(((network.drift(points) - truth) ** 2).mean(axis=0) / (truth**2).mean(axis=0))


def diffusion_error(network: RateNetwork, system: System, points: Float[np.ndarray, "sample rank"]) -> float:
    """Relative root-mean-square error of the tensor G G^T over `points`, in Frobenius norm.

    Latents are in units of the network's scale, so that none outweighs the others. Zero where the system has no noise.
    """
    unit = np.multiply.outer(network.latent_scale, network.latent_scale)
    factor = system.factor(points)
    truth = factor @ np.swapaxes(factor, -1, -2) / unit
    size = float((truth**2).sum())
    return float(np.sqrt(((network.diffusion(points) / unit - truth) ** 2).sum() / size)) if size else 0.0
