"""Time-reversible and irreversible parts of a drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.analysis.projection import Features, Regression, choose
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift, Latents, Paths, States, Tensors

Tensor = Callable[["Latents"], "Tensors"]
"""Diffusion tensor G G^T as a function of the state."""

MOST_SAMPLES = 20000
_BLOCKS = 32
_WIDTHS = (0.3, 0.45, 0.7, 1.0)  # of the bumps, in standard deviations
_SINGULAR = 1e-10  # eigenvalues of the diffusion tensor below this share of the largest count as no noise
_STEP = 1e-5  # of central differences
_RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A value with the limits of its 95 % bootstrap interval.

    Examples
    --------
    >>> Estimate.of_blocks(np.ones(8), weights=np.ones(8), rng=np.random.default_rng(0))
    Estimate(value=1.0, low=1.0, high=1.0)
    """

    value: float
    low: float
    high: float

    @classmethod
    def of_blocks(
        cls, values: Float[np.ndarray, " block"], weights: Float[np.ndarray, " block"], rng: np.random.Generator
    ) -> Estimate:
        """Weighted mean over blocks; the interval is from drawing blocks with replacement.

        Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
        """
        drawn = rng.integers(len(values), size=(_RESAMPLES, len(values)))
        means = (values * weights)[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return cls(float((values * weights).sum() / weights.sum()), float(low), float(high))

    def as_json(self) -> dict[str, float]:
        """Value and limits."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Irreversibility:
    r"""Split of a drift with respect to its stationary density p.

    .. math:: f = f_\text{rev} + f_\text{irr}, \quad f_\text{rev} = D\nabla\log p + \nabla\cdot D, \quad
        J = p f_\text{irr}, \quad \Phi = \langle f_\text{irr}^\top D^{-1} f_\text{irr}\rangle

    The `tensor` is G G^T = 2 D. Up to a constant, log p is the sum of the `features` times the `weights`; `log_norm` is
    the logarithm of the integral of its exponential. `entropy_production` is Phi, per time unit, in units of k_B.
    """

    drift: Drift
    tensor: Tensor
    features: Features
    weights: Float[np.ndarray, " feature"]
    log_norm: float
    entropy_production: Estimate

    def __repr__(self) -> str:
        return f"Irreversibility(entropy_production={self.entropy_production}, features={self.features})"

    def log_density(self, latent: Latents) -> Float[np.ndarray, "..."]:
        """Log p at `latent`, shape (...); an extrapolation outside the samples that it was fitted to."""
        return self.features.value(latent) @ self.weights - self.log_norm

    def score(self, latent: Latents) -> Latents:
        """Gradient of log p at `latent`."""
        return self.features.gradient(latent) @ self.weights

    def reversible(self, latent: Latents) -> Latents:
        """Part of the drift that keeps its sign when time runs backwards; units of the drift."""
        half = 0.5 * self.tensor(np.asarray(latent, dtype=np.float64))
        return np.einsum("...ij,...j->...i", half, self.score(latent)) + divergence(self.tensor, latent)

    def irreversible(self, latent: Latents) -> Latents:
        """Part of the drift that changes its sign when time runs backwards: the local mean velocity."""
        return self.drift(np.asarray(latent, dtype=np.float64)) - self.reversible(latent)

    def current(self, latent: Latents) -> Latents:
        """Stationary probability current J = p f_irr."""
        return np.exp(self.log_density(latent))[..., None] * self.irreversible(latent)


def split_drift(
    drift: Drift,
    tensor: Tensor,
    samples: Paths,
    *,
    bumps: int = 240,
    rng: np.random.Generator,
) -> Irreversibility:
    r"""Split a drift by its stationary samples, without a model of their density.

    In the stationary state the current is free of divergence, so f_irr is orthogonal to every gradient:
    :math:`\langle f_\text{irr}\cdot\nabla\varphi\rangle = 0`. Hence log p is the :math:`\psi` that minimises

    .. math:: \langle (f - \nabla\cdot D - D\nabla\psi)^\top D^{-1} (f - \nabla\cdot D - D\nabla\psi)\rangle,

    and the minimum is the entropy production. With :math:`\psi` linear in features this is a ridge
    regression on samples. Width of the features and ridge are those with the smallest residual on
    samples left out of the fit, and this residual is the Phi that is reported. What the features cannot express
    makes it larger on average, never smaller. In the stationary state the objective is that of score matching
    (Hyvarinen, J. Mach. Learn. Res. 6, 2005) up to a constant; the weighted mean of the two with the least noise is
    used. Orthogonality: Dechant, Sasa, Ito, Phys. Rev. Research 4, L012034 (2022). Split: Risken, The
    Fokker-Planck Equation, section 6.4, for variables that are even under time reversal.

    Drift and `tensor` G G^T are meant in the sense of Ito. Of the stationary samples at most 20,000, evenly spaced, are
    used. Blocks of successive trials are left out together, and resampled for the interval. With 240 Gaussian `bumps`
    among the features Phi was within 2 % of the Fokker-Planck equation's for four planar processes with a current, and
    some 1e-4 too high for two without; within 5 % for a linear process in three dimensions, in which nonlinear ones
    have no known value to check.

    Raises
    ------
    InputError
        Where the diffusion tensor is singular, samples are too few or a latent does not move.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> samples = rng.standard_normal((40, 50, 1)) * 0.5**0.5
    >>> split = split_drift(lambda z: -z, lambda z: np.ones((*z.shape, 1)), samples, bumps=4, rng=rng)
    >>> split.entropy_production.value < 1e-3  # one dimension has no current
    True
    >>> split.reversible(np.array([1.0])).round(2)
    array([-1.])
    """
    z = np.asarray(samples, dtype=np.float64)
    if z.ndim != 3 or not np.isfinite(z).all() or z.shape[0] * z.shape[1] < 1000:
        raise InputError(
            f"split_drift needs 1000 finite samples or more of shape (trial, time, rank), got shape {z.shape}."
        )
    flat = z.reshape(-1, z.shape[-1])
    points = flat[:: -(-len(flat) // MOST_SAMPLES)]
    half = diffusivity(tensor, points)
    spread = divergence(tensor, points)
    target = drift(points) - spread
    fits = []
    for width in _WIDTHS:
        features = Features.on(points, bumps=min(bumps, len(points) // 10), width=width, rng=rng)
        regression = Regression.of(features, points, target, half, spread, _BLOCKS)
        fits.append((*choose(regression), regression.count, features))
    _, weights, residual, count, features = min(fits, key=lambda fit: fit[0])
    return Irreversibility(
        drift=drift,
        tensor=tensor,
        features=features,
        weights=weights,
        log_norm=_log_norm(points, features.value(points) @ weights, rng),
        entropy_production=Estimate.of_blocks(residual, count, rng),
    )


def diffusivity(tensor: Tensor, latent: Latents) -> Tensors:
    """D = G G^T / 2 at `latent`, shape (..., rank, rank); refused where a direction carries no noise."""
    half = 0.5 * tensor(np.asarray(latent, dtype=np.float64))
    values = np.linalg.eigvalsh(half)
    largest = values.max()
    if not (largest > 0 and (values[..., 0] > _SINGULAR * largest).all()):
        raise InputError(
            f"The diffusion tensor is singular: its eigenvalues run from {values.min():.3g} to {largest:.3g}, so some "
            "direction carries no noise and entropy production is infinite or undefined. Add noise to every latent."
        )
    return half


def divergence(tensor: Tensor, latent: Latents) -> Latents:
    r""":math:`(\nabla\cdot D)_i = \sum_j \partial_j D_{ij}` by central differences, shape (..., rank).

    Examples
    --------
    >>> divergence(lambda z: 2.0 * z[..., None], np.array([[1.0], [3.0]])).round(6)  # D = z
    array([[1.],
           [1.]])
    """
    z = np.asarray(latent, dtype=np.float64)
    total = np.zeros_like(z)
    for axis in range(z.shape[-1]):
        shift = _STEP * np.maximum(1.0, np.abs(z[..., axis : axis + 1])) * np.eye(z.shape[-1])[axis]
        difference = 0.5 * (tensor(z + shift) - tensor(z - shift))
        total += difference[..., axis] / (2 * shift[..., axis : axis + 1])
    return total


def _log_norm(points: States, log_p: Float[np.ndarray, " sample"], rng: np.random.Generator) -> float:
    r"""Logarithm of :math:`Z = \int e^\psi`, from :math:`\langle q e^{-\psi}\rangle = 1 / Z` for any density q.

    q is a kernel density estimate from other samples, so that the ratio varies little.
    """
    from scipy.special import logsumexp

    rank = points.shape[1]
    order = rng.permutation(len(points))
    centres, probes = points[order[:512]], order[512:4608]
    root = np.linalg.cholesky(np.atleast_2d(np.cov(points.T)))

    def squares(some: np.ndarray) -> np.ndarray:
        """Squared distances from the centres, in standard deviations."""
        difference = np.linalg.solve(root, (some[:, None] - centres).reshape(-1, rank).T)
        return (difference**2).sum(axis=0).reshape(len(some), len(centres))

    # the width of the kernels: half of the centres have eight others within it
    width = np.median(np.sort(squares(centres), axis=1)[:, 8]) ** 0.5
    square = squares(points[probes]) / width**2
    volume = rank / 2 * np.log(2 * np.pi * width**2) + np.log(np.linalg.det(root)) + np.log(len(centres))
    ratio = logsumexp(-square / 2, axis=1) - volume - log_p[probes]
    return float(np.log(len(probes)) - logsumexp(ratio))
