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
    """Relative root-mean-square error of the drift per latent: |f_net - f| / |f| over `points`."""
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
