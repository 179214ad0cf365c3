"""Jacobians of drifts in the latent space."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.analysis.activation import known_activation, slope
from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import Drift

Jacobian = Callable[["Float[np.ndarray, '... rank']"], "Float[np.ndarray, '... rank rank']"]

# central differences: rounding over the step balances the step squared near the cube root of the precision
_STEP = float(np.finfo(np.float64).eps ** (1 / 3))


def central_jacobian(drift: Drift) -> Jacobian:
    r"""Jacobian by central differences: :math:`J_{ij} \approx [f_i(z + h e_j) - f_i(z - h e_j)] / 2h`.

    The step is the cube root of the machine precision times :math:`\max(1, |z_j|)`, so the error is some
    1e-10 of third derivatives.

    Parameters
    ----------
    drift
        f on arrays (..., rank).

    Returns
    -------
    Jacobian
        Function of arrays (..., rank) with values (..., rank, rank), [i, j] the derivative of f_i by z_j.
    """

    def jacobian(latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank rank"]:
        z = np.asarray(latent, dtype=np.float64)
        step = _STEP * np.maximum(1.0, np.abs(z))
        shift = step[..., None] * np.eye(z.shape[-1])  # (..., which is moved, rank)
        upper, lower = z[..., None, :] + shift, z[..., None, :] - shift
        width = np.diagonal(upper - lower, axis1=-2, axis2=-1)  # as rounded, not as asked for
        return np.swapaxes((drift(upper) - drift(lower)) / width[..., None], -1, -2)

    return jacobian


def network_jacobian(network: RateNetwork) -> Jacobian:
    r"""Jacobian of the latent drift of a rate network in system units, shape (..., rank, rank).

    .. math:: J = \Lambda\,[W_s\,\mathrm{diag}(\phi'(\Gamma z + b))\,\Gamma - 1]\,\Lambda^{-1}

    with :math:`\Lambda` the latent scales; O(n k^2) per point. An activation that is not known in closed
    form is differentiated by central differences.
    """
    if not known_activation(network):
        return central_jacobian(network.drift)
    gamma, w_s, rank = network.left_vectors, network.right_vectors.T, network.rank
    products = np.einsum("in,nj->nij", w_s, gamma).reshape(network.units, rank * rank)
    ratio = network.latent_scale[:, None] / network.latent_scale

    def jacobian(latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank rank"]:
        z = to_internal(network, latent)
        gain = slope(network, z @ gamma.T + network.bias)
        return ((gain @ products).reshape(*z.shape, rank) - np.eye(rank)) * ratio

    return jacobian
