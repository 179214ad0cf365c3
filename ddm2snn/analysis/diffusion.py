"""Diffusion tensors as functions of the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

Tensor = Callable[["Float[np.ndarray, '... rank']"], "Float[np.ndarray, '... rank rank']"]

_SINGULAR = 1e-10  # eigenvalues below this share of the largest count as no noise
_STEP = 1e-5


def constant_tensor(matrix: Float[np.ndarray, "rank rank"]) -> Tensor:
    """The function of arrays (..., rank) that is G G^T = `matrix` everywhere."""
    fixed = np.array(matrix, dtype=np.float64)
    return lambda latent: np.broadcast_to(fixed, (*np.shape(latent), len(fixed)))


def diffusivity(tensor: Tensor, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank rank"]:
    """D = G G^T / 2 at `latent`, shape (..., rank, rank).

    Raises
    ------
    InputError
        Where a direction carries no noise, so that D has no inverse.
    """
    half = 0.5 * tensor(np.asarray(latent, dtype=np.float64))
    values = np.linalg.eigvalsh(half)
    largest = values.max()
    if not (largest > 0 and (values[..., 0] > _SINGULAR * largest).all()):
        raise InputError(
            f"The diffusion tensor is singular: its eigenvalues run from {values.min():.3g} to {largest:.3g}, so some "
            "direction carries no noise and entropy production is infinite or undefined. Add noise to every latent."
        )
    return half


def divergence(tensor: Tensor, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank"]:
    r""":math:`(\nabla\cdot D)_i = \sum_j \partial_j D_{ij}` by central differences, shape (..., rank)."""
    z = np.asarray(latent, dtype=np.float64)
    total = np.zeros_like(z)
    for axis in range(z.shape[-1]):
        shift = _STEP * np.maximum(1.0, np.abs(z[..., axis : axis + 1])) * np.eye(z.shape[-1])[axis]
        difference = 0.5 * (tensor(z + shift) - tensor(z - shift))
        total += difference[..., axis] / (2 * shift[..., axis : axis + 1])
    return total
