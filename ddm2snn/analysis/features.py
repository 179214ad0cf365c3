"""Smooth functions on a cloud of latent states: quadratic polynomials with Gaussian bumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import freeze_arrays
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Features:
    r"""Basis :math:`\varphi_a` on whitened states :math:`v = R^{-1}(z - m)`.

    .. math:: v_i, \quad v_i v_j \ (i \le j), \quad e^{-|v - c_a|^2 / 2 s^2}

    so that the logarithm of any Gaussian density lies in their span, and others are approached as bumps are
    added. There is no constant, since only gradients matter.

    Parameters
    ----------
    mean, root
        m, shape (rank,), and R with R R^T the covariance, shape (rank, rank).
    centres
        c, shape (bump, rank), whitened.
    width
        s, in standard deviations.

    Examples
    --------
    >>> points = np.random.default_rng(0).standard_normal((500, 2))
    >>> features = Features.on(points, bumps=10, width=0.7, rng=np.random.default_rng(1))
    >>> features
    Features(rank=2, bumps=10, width=0.7)
    >>> features.value(points).shape, features.gradient(points).shape  # 2 + 3 + 10 features
    ((500, 15), (500, 2, 15))
    """

    mean: Float[np.ndarray, " rank"]
    root: Float[np.ndarray, "rank rank"]
    centres: Float[np.ndarray, "bump rank"]
    width: float

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def __repr__(self) -> str:
        return f"Features(rank={len(self.mean)}, bumps={len(self.centres)}, width={self.width:g})"

    @classmethod
    def on(
        cls, points: Float[np.ndarray, "sample rank"], *, bumps: int, width: float, rng: np.random.Generator
    ) -> Features:
        """Features with bumps spread over `points`: each centre is the candidate furthest from those before.

        Raises
        ------
        InputError
            Where the points lie in a plane of fewer dimensions, so that they cannot be whitened.
        """
        mean = points.mean(axis=0)
        covariance = np.atleast_2d(np.cov(points.T))
        if np.linalg.matrix_rank(covariance) < len(covariance):
            raise InputError("A latent does not move, or moves with the others only. Leave it out of the analysis.")
        root = np.linalg.cholesky(covariance)
        pool = points[rng.choice(len(points), size=min(len(points), max(20 * bumps, 1)), replace=False)]
        return cls(mean, root, _spread(np.linalg.solve(root, (pool - mean).T).T, bumps), width)

    def value(self, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... feature"]:
        """The features at `latent`, shape (..., feature)."""
        v = self._white(latent)
        first, second = np.triu_indices(v.shape[-1])
        return np.concatenate([v, v[..., first] * v[..., second], self._bumps(v)], axis=-1)

    def gradient(self, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank feature"]:
        """Their gradients by `latent`, shape (..., rank, feature)."""
        v = self._white(latent)
        rank = v.shape[-1]
        first, second = np.triu_indices(rank)
        eye = np.eye(rank)
        quadratic = eye[:, first] * v[..., None, second] + eye[:, second] * v[..., None, first]
        pull = (self.centres.T - v[..., None]) / self.width**2  # (..., rank, bump)
        linear = np.broadcast_to(eye, (*v.shape, rank))
        slopes = np.concatenate([linear, quadratic, pull * self._bumps(v)[..., None, :]], axis=-1)
        return np.linalg.inv(self.root).T @ slopes

    def curvature(
        self, latent: Float[np.ndarray, "... rank"], half: Float[np.ndarray, "... rank rank"]
    ) -> Float[np.ndarray, "... feature"]:
        r""":math:`\sum_{ij} D_{ij}\,\partial_i\partial_j\varphi_a` at `latent` for D = `half`, shape (..., feature)."""
        v = self._white(latent)
        inverse = np.linalg.inv(self.root)
        d = inverse @ half @ inverse.T
        first, second = np.triu_indices(v.shape[-1])
        pull = (self.centres.T - v[..., None]) / self.width**2
        trace = np.trace(d, axis1=-2, axis2=-1)[..., None]
        bumps = ((d @ pull) * pull).sum(axis=-2) - trace / self.width**2
        return np.concatenate([np.zeros_like(v), 2 * d[..., first, second], bumps * self._bumps(v)], axis=-1)

    def _white(self, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank"]:
        return (np.asarray(latent, dtype=np.float64) - self.mean) @ np.linalg.inv(self.root).T

    def _bumps(self, v: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... bump"]:
        square = (v**2).sum(-1)[..., None] - 2 * v @ self.centres.T + (self.centres**2).sum(axis=1)
        return np.exp(-square / (2 * self.width**2))


def _spread(pool: Float[np.ndarray, "sample rank"], count: int) -> Float[np.ndarray, "bump rank"]:
    """Farthest-point choice of `count` from a pool, the point nearest to the middle first."""
    if count == 0:
        return pool[:0]
    chosen = [int((pool**2).sum(axis=1).argmin())]
    nearest = ((pool - pool[chosen[0]]) ** 2).sum(axis=1)
    for _ in range(min(count, len(pool)) - 1):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((pool - pool[chosen[-1]]) ** 2).sum(axis=1))
    return pool[chosen]
