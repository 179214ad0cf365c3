r"""Symmetric and antisymmetric parts of the recurrent matrix, with the energy of the symmetric one.

:math:`W = \Gamma W_s = S + A` with :math:`S = \tfrac12(W + W^\top)` and :math:`A = \tfrac12(W - W^\top)`, each of rank
2k at most. Products with them go through the factors, in O(n k).

Examples
--------
Two units that inhibit and excite each other: W is antisymmetric, and turns the latents.

>>> from ddm2snn.network import RateNetwork
>>> network = RateNetwork(
...     left_vectors=[[1.0, 0.0], [0.0, 1.0]], right_vectors=[[0.0, 1.0], [-1.0, 0.0]], bias=[0.0, 0.0],
...     diffusion_factor=np.zeros((2, 2)), input_map=np.eye(2), latent_offset=[0.0, 0.0], latent_scale=[1.0, 1.0],
...     initial_latent=[[1.0, 0.0], [0.0, 1.0]],
... )
>>> symmetry_norms(network).antisymmetric_share
1.0
>>> parts = latent_parts(network, np.array([1.0, 0.0]))
>>> parts.symmetric, parts.antisymmetric.round(3)
(array([-1.,  0.]), array([0.   , 0.762]))
>>> energy(network, np.array([1.0, 0.0])).round(3)
np.float64(0.328)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.analysis.subspace import full_state, latent_projector
from ddm2snn.errors import InputError
from ddm2snn.network import to_internal
from ddm2snn.neuron.activation import activate

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork


def _tanh_integral(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    r""":math:`\phi\,\mathrm{artanh}\,\phi + \tfrac12\log(1 - \phi^2)`, by x, so that saturated units lose no digits."""
    size = np.abs(x)
    # log cosh x = |x| + log(1 + exp(-2|x|)) - log 2 does not overflow
    return x * np.tanh(x) - (size + np.log1p(np.exp(-2.0 * size)) - np.log(2.0))


INVERSE_INTEGRALS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": _tanh_integral,
    "relu": lambda x: np.maximum(x, 0.0) ** 2 / 2,
}
r""":math:`\int_0^{\phi(x)}\phi^{-1}(s)\,ds = x\phi(x) - \int_0^x\phi(y)\,dy`, where it has a closed form."""


@dataclass(frozen=True, eq=False)
class LatentParts:
    """Drift of the latents split by the symmetry of the recurrent matrix; both in system units.

    Parameters
    ----------
    symmetric
        Leak and symmetric part, shape (..., rank).
    antisymmetric
        Antisymmetric part, shape (..., rank); the two add up to the drift of the network.
    """

    symmetric: Float[np.ndarray, "... rank"]
    antisymmetric: Float[np.ndarray, "... rank"]


@dataclass(frozen=True, eq=False)
class SymmetryNorms:
    """Frobenius norms of W and of its symmetric and antisymmetric parts.

    Examples
    --------
    >>> SymmetryNorms(whole=5.0, symmetric=4.0, antisymmetric=3.0).antisymmetric_share
    0.36
    """

    whole: float
    symmetric: float
    antisymmetric: float

    @property
    def antisymmetric_share(self) -> float:
        """Share of the squared norm of W that is antisymmetric."""
        return (self.antisymmetric / self.whole) ** 2 if self.whole else 0.0

    def as_json(self) -> dict[str, float]:
        """The norms and the share of the squared norm that is antisymmetric."""
        norms = {"norm": self.whole, "symmetric_norm": self.symmetric, "antisymmetric_norm": self.antisymmetric}
        return {**norms, "antisymmetric_share": self.antisymmetric_share}


def symmetry_norms(network: RateNetwork) -> SymmetryNorms:
    r"""Frobenius norms of W, S and A from k x k products.

    .. math:: |W|^2 = \operatorname{tr}(\Gamma^\top\Gamma\,W_s W_s^\top), \quad
        |S|^2, |A|^2 = \tfrac12\big(|W|^2 \pm \operatorname{tr}[(W_s\Gamma)^2]\big)
    """
    gamma, w_s = network.left_vectors, network.right_vectors.T
    whole = float(np.trace(gamma.T @ gamma @ w_s @ w_s.T))
    overlap = w_s @ gamma
    twice = float(np.trace(overlap @ overlap))
    # rounding can leave a norm of zero slightly below it
    return SymmetryNorms(*(float(np.sqrt(max(v, 0.0))) for v in (whole, (whole + twice) / 2, (whole - twice) / 2)))


def energy(network: RateNetwork, state: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "..."]:
    r"""Energy of the symmetric dynamics at full states (..., unit), internal units.

    .. math:: E(x) = -\tfrac12\phi^\top S\phi - b^\top\phi + \sum_i\int_0^{\phi_i}\phi^{-1}(s)\,ds, \qquad
        \dot E = -\sum_i\phi'(x_i)\,\dot x_i^2 \le 0 \text{ along } \dot x = -x + S\phi(x) + b.

    Sources: Hopfield, PNAS 81 (1984); Cohen, Grossberg, IEEE Trans. Syst. Man Cybern. 13 (1983).

    Raises
    ------
    InputError
        Where the integral has no closed form for the network's activation.
    """
    if network.activation not in INVERSE_INTEGRALS:
        raise InputError(
            f"The energy needs phi in closed form: {' or '.join(INVERSE_INTEGRALS)}; the network's activation is "
            f"{network.activation!r}. Train with one of these to use it."
        )
    rates = activate(network.activation, state)
    coupling = (rates * _products(network, rates)[0]).sum(axis=-1)
    return -0.5 * coupling - rates @ network.bias + INVERSE_INTEGRALS[network.activation](state).sum(axis=-1)


def latent_parts(network: RateNetwork, latent: Float[np.ndarray, "... rank"]) -> LatentParts:
    r"""Split the latent drift into what S and A contribute, projected onto the subspace of :math:`\Gamma`.

    .. math:: f_S = \Lambda(-z + \Gamma^+ S\phi), \qquad f_A = \Lambda\,\Gamma^+ A\phi, \qquad f = f_S + f_A

    at :math:`x = \Gamma z + b`. :math:`S\phi` and :math:`A\phi` also have components outside of the subspace, which
    cancel in their sum; the projection leaves them out. Decomposition as in arXiv 2602.14885; the projection by the
    pseudo-inverse is ours.

    Parameters
    ----------
    network
        The network.
    latent
        Shape (..., rank), system units.
    """
    projector = latent_projector(network)
    symmetric, antisymmetric = _products(network, activate(network.activation, full_state(network, latent)))
    inside = symmetric @ projector.T - to_internal(network, latent)
    return LatentParts(inside * network.latent_scale, antisymmetric @ projector.T * network.latent_scale)


def _products(
    network: RateNetwork, rates: Float[np.ndarray, "... unit"]
) -> tuple[Float[np.ndarray, "... unit"], Float[np.ndarray, "... unit"]]:
    """S r and A r."""
    w = network.recurrent
    forward, backward = rates @ w.T, rates @ w  # W r and W^T r
    return 0.5 * (forward + backward), 0.5 * (forward - backward)
