"""Jacobians of drifts in the latent space."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import Drift

Jacobian = Callable[["Float[np.ndarray, '... rank']"], "Float[np.ndarray, '... rank rank']"]

# central differences: rounding over the step balances the step squared near the cube root of the precision
_STEP = float(np.finfo(np.float64).eps ** (1 / 3))

SLOPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": lambda x: 1.0 - np.tanh(x) ** 2,
    "relu": lambda x: (np.asarray(x) > 0).astype(np.float64),
}
r"""Derivative :math:`\phi'(x)` by activation, where it is finite everywhere; zero at the kink of a rectifier."""


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

    Examples
    --------
    >>> jacobian = central_jacobian(lambda z: z**2)
    >>> jacobian(np.array([1.0, 3.0])).round(6)
    array([[2., 0.],
           [0., 6.]])
    """

    def jacobian(latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank rank"]:
        z = np.asarray(latent, dtype=np.float64)
        step = _STEP * np.maximum(1.0, np.abs(z))
        shift = step[..., None] * np.eye(z.shape[-1])  # (..., latent that is moved, rank)
        upper, lower = z[..., None, :] + shift, z[..., None, :] - shift
        width = np.diagonal(upper - lower, axis1=-2, axis2=-1)  # after rounding
        return np.swapaxes((drift(upper) - drift(lower)) / width[..., None], -1, -2)

    return jacobian


def network_jacobian(network: RateNetwork) -> Jacobian:
    r"""Jacobian of the latent drift of a rate network in system units, shape (..., rank, rank).

    .. math:: J = \Lambda\,[W_s\,\mathrm{diag}(\phi'(\Gamma z + b))\,\Gamma - 1]\,\Lambda^{-1}

    with :math:`\Lambda` the latent scales; O(n k^2) per point. An activation whose slope is not in `SLOPES` is
    differentiated by central differences.

    Examples
    --------
    >>> from ddm2snn.network import RateNetwork
    >>> network = RateNetwork(
    ...     left_vectors=[[2.0]], right_vectors=[[1.0]], bias=[0.0], diffusion_factor=[[0.0]], input_map=[[1.0]],
    ...     latent_offset=[0.0], latent_scale=[1.0], initial_latent=[[-1.0], [1.0]],
    ... )
    >>> network_jacobian(network)(np.array([0.0]))  # 2 phi'(0) - 1
    array([[1.]])
    """
    slope = SLOPES.get(network.activation)
    if slope is None:
        return central_jacobian(network.drift)
    gamma, w_s, rank = network.left_vectors, network.right_vectors.T, network.rank
    products = np.einsum("in,nj->nij", w_s, gamma).reshape(network.units, rank * rank)
    ratio = network.latent_scale[:, None] / network.latent_scale

    def jacobian(latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank rank"]:
        z = to_internal(network, latent)
        gain = slope(z @ gamma.T + network.bias)
        return ((gain @ products).reshape(*z.shape, rank) - np.eye(rank)) * ratio

    return jacobian
