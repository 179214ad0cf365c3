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
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ddm2snn.analysis.flow import SLOPES
from ddm2snn.analysis.subspace import full_state, latent_projector
from ddm2snn.errors import InputError
from ddm2snn.network import to_internal
from ddm2snn.neuron.activation import activate

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import Latents

Projection = Literal["gradient-flow", "pseudo-inverse"]
"""Projection of S phi and A phi onto the subspace of Gamma; see `latent_parts`."""

_FLAT = 1e-13  # eigenvalues of Gamma^T Phi' Gamma below this share of the largest are rounding, and count as zero


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
    """Drift of the latents split by the symmetry of the recurrent matrix; in system units per rate time unit.

    The leak counts to the symmetric part. The two add up to the drift of ``network.in_rate_time``.
    """

    symmetric: Latents
    antisymmetric: Latents


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
    # the antisymmetric part has no quadratic form: phi^T S phi = phi^T W phi
    coupling = ((rates @ network.left_vectors) * (rates @ network.right_vectors)).sum(axis=-1)
    return -0.5 * coupling - rates @ network.bias + INVERSE_INTEGRALS[network.activation](state).sum(axis=-1)


def check_projection(projection: Projection) -> None:
    """Refuse a projection that there is not."""
    if projection not in get_args(Projection):
        raise InputError(f"projection is {projection!r}; known are {', '.join(get_args(Projection))}. Use one of them.")


def latent_parts(network: RateNetwork, latent: Latents, *, projection: Projection = "gradient-flow") -> LatentParts:
    r"""Split the latent drift into what S and A contribute, projected onto the subspace of :math:`\Gamma`.

    .. math:: f_S = \Lambda(-z + P S\phi), \qquad f_A = \Lambda P A\phi, \qquad f = f_S + f_A

    at :math:`x = \Gamma z + b`. :math:`S\phi` and :math:`A\phi` also have components outside of the subspace, which
    cancel in their sum. Every P with :math:`P\Gamma = 1` leaves them out, and the parts add up to f; which one is
    taken decides how f is shared.

    - ``gradient-flow``: least squares in which each unit counts by its slope, :math:`\Phi' = \mathrm{diag}\,\phi'(x)`,

      .. math:: P = M^{-1}\Gamma^\top\Phi', \quad M = \Gamma^\top\Phi'\Gamma, \qquad
          \Lambda^{-1} f_S = -M^{-1}\nabla_z E, \quad \dot E = -\nabla_z E^\top M^{-1} \nabla_z E \le 0

      so the symmetric part descends the `energy` everywhere, and rests just where the energy on the subspace does. It
      is the gradient flow of the energy in the metric that :math:`\phi'` induces on the latents.
    - ``pseudo-inverse``: :math:`P = \Gamma^+`, in which each unit counts the same, wherever it is. It does not commute
      with :math:`\Phi'`, so the symmetric part can climb the energy.

    Where M is singular, since too few units have a slope (silent rectified ones have none), P is the limit of the
    weights :math:`\phi' + \epsilon` as :math:`\epsilon \to 0`: units with a slope decide what they can, the others the
    rest. The energy does not change along what the others decide, so it still falls or stays.

    Decomposition as in arXiv 2602.14885, which says that the symmetric dynamics descend the energy; both projections
    are ours.

    The `latent` is in system units.

    Raises
    ------
    InputError
        Where there is no such projection, the activation has no finite slope everywhere, or the columns of Gamma are
        dependent.
    """
    check_projection(projection)
    state = full_state(network, latent)
    rates = activate(network.activation, state)
    forward, inward = rates @ network.right_vectors, rates @ network.left_vectors  # W_s phi = P W phi, Gamma^T phi
    if projection == "pseudo-inverse":
        backward = inward @ (latent_projector(network) @ network.right_vectors).T
    else:
        backward = _by_slope(network, state, inward)
    symmetric = 0.5 * (forward + backward) - to_internal(network, latent)
    return LatentParts(symmetric * network.latent_scale, 0.5 * (forward - backward) * network.latent_scale)


def _by_slope(network: RateNetwork, state: Float[np.ndarray, "... unit"], inward: Latents) -> Latents:
    r""":math:`P W^\top\phi = P W_s^\top\,(\Gamma^\top\phi)` with P weighted by the slopes of the units."""
    if network.activation not in SLOPES:
        raise InputError(
            f"The projection 'gradient-flow' needs a slope phi' that is finite everywhere: {' or '.join(SLOPES)}; the "
            f"network's activation is {network.activation!r}. Use projection='pseudo-inverse'."
        )
    latent_projector(network)  # refuses dependent columns
    gamma, backward, rank = network.left_vectors, network.right_vectors, network.rank
    slope = SLOPES[network.activation](state)
    # only the ratios of weights count, and those of saturated units are tiny
    weights = slope / np.maximum(slope.max(axis=-1, keepdims=True), np.finfo(np.float64).tiny)

    def onto_gamma(columns: np.ndarray) -> np.ndarray:
        """Gamma^T Phi' times columns, shape (..., rank, rank)."""
        products = (gamma[:, :, None] * columns[:, None, :]).reshape(network.units, rank**2)
        return (weights @ products).reshape(*weights.shape[:-1], rank, rank)

    values, vectors = np.linalg.eigh(onto_gamma(gamma))
    steep = values > _FLAT * values[..., -1:]
    axes, onto = np.swapaxes(vectors, -1, -2), inward[..., None]
    inverse = np.where(steep, 1.0 / np.where(steep, values, 1.0), 0.0)[..., None]
    projected = vectors @ (inverse * (axes @ (onto_gamma(backward) @ onto)))
    if not steep.all():  # along flat axes as without weights, given what the steep ones leave
        flat, plain = vectors @ (axes * ~steep[..., None]), gamma.T @ gamma
        rest = flat @ (gamma.T @ backward @ onto - plain @ projected)
        projected = projected + np.linalg.solve(flat @ plain @ flat + np.eye(rank) - flat, rest)
    return projected[..., 0]
