"""Symmetric and antisymmetric parts of the recurrent matrix, with the energy of the symmetric one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.analysis.activation import activated, inverse_integral
from ddm2snn.analysis.subspace import full_state, latent_projector
from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork


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
    """Frobenius norms of W and of its symmetric and antisymmetric parts."""

    whole: float
    symmetric: float
    antisymmetric: float

    def as_json(self) -> dict[str, float]:
        """The norms and the share of the squared norm that is antisymmetric."""
        share = (self.antisymmetric / self.whole) ** 2 if self.whole else 0.0
        return {
            "norm": self.whole,
            "symmetric_norm": self.symmetric,
            "antisymmetric_norm": self.antisymmetric,
            "antisymmetric_share": share,
        }


def symmetric_product(network: RateNetwork, rates: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "... unit"]:
    r""":math:`S r` with :math:`S = \tfrac12(\Gamma W_s + W_s^\top\Gamma^\top)`, of rank 2k at most.

    Acts through the factors in O(n k); `rates` and result have shape (..., unit).
    """
    forward, backward = _products(network, rates)
    return 0.5 * (forward + backward)


def antisymmetric_product(network: RateNetwork, rates: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "... unit"]:
    r""":math:`A r` with :math:`A = \tfrac12(\Gamma W_s - W_s^\top\Gamma^\top)`, through the factors."""
    forward, backward = _products(network, rates)
    return 0.5 * (forward - backward)


def _products(
    network: RateNetwork, rates: Float[np.ndarray, "... unit"]
) -> tuple[Float[np.ndarray, "... unit"], Float[np.ndarray, "... unit"]]:
    """W r and W^T r."""
    gamma, w_s = network.left_vectors, network.right_vectors.T
    return (rates @ w_s.T) @ gamma.T, (rates @ gamma) @ w_s


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


def state_drift(network: RateNetwork, state: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "... unit"]:
    r""":math:`-x + W\phi(x) + b` at full states, shape (..., unit), internal units."""
    rates = activated(network, state)
    return -state + _products(network, rates)[0] + network.bias


def symmetric_drift(network: RateNetwork, state: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "... unit"]:
    r""":math:`-x + S\phi(x) + b` at full states, shape (..., unit): the dynamics that `energy` governs."""
    return -state + symmetric_product(network, activated(network, state)) + network.bias


def energy(network: RateNetwork, state: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "..."]:
    r"""Energy of the symmetric dynamics at full states (..., unit).

    .. math:: E(x) = -\tfrac12\phi^\top S\phi - b^\top\phi + \sum_i\int_0^{\phi_i}\phi^{-1}(s)\,ds, \qquad
        \dot E = -\sum_i\phi'(x_i)\,\dot x_i^2 \le 0 \text{ along } \dot x = -x + S\phi(x) + b.

    Sources: Hopfield, PNAS 81 (1984); Cohen, Grossberg, IEEE Trans. Syst. Man Cybern. 13 (1983).

    Raises
    ------
    InputError
        Where the activation is none that this has a closed form for.
    """
    rates = activated(network, state)
    coupling = (rates * symmetric_product(network, rates)).sum(axis=-1)
    return -0.5 * coupling - rates @ network.bias + inverse_integral(network, state).sum(axis=-1)


def latent_parts(network: RateNetwork, latent: Float[np.ndarray, "... rank"]) -> LatentParts:
    r"""Split the latent drift into what S and A contribute, projected onto the subspace of :math:`\Gamma`.

    .. math:: f_S = \Lambda(-z + \Gamma^+ S\phi), \qquad f_A = \Lambda\,\Gamma^+ A\phi, \qquad f = f_S + f_A

    at :math:`x = \Gamma z + b`. S and A each push out of the subspace as well; these pushes cancel in
    their sum, and the projection leaves them out. Decomposition as in arXiv 2602.14885; the projection by
    the pseudo-inverse is ours.

    Parameters
    ----------
    latent
        Shape (..., rank), system units.
    """
    projector = latent_projector(network)
    rates = activated(network, full_state(network, latent))
    symmetric = symmetric_product(network, rates) @ projector.T - to_internal(network, latent)
    antisymmetric = antisymmetric_product(network, rates) @ projector.T
    return LatentParts(symmetric * network.latent_scale, antisymmetric * network.latent_scale)
