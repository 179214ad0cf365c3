"""Regression of a drift onto gradients of smooth functions, judged on blocks of samples that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import freeze_arrays
from ddm2snn.base.least_squares import solve_ridge
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Latents, States, Tensors

    OfBlocks = Float[np.ndarray, " block"]
    Slopes = Float[np.ndarray, "block feature"]
    Weights = Float[np.ndarray, " feature"]

_RIDGES = (1e-3, 1e-5, 1e-7, 1e-9)
_FOLDS = 4


@dataclass(frozen=True, eq=False)
class Features:
    r"""Basis :math:`\varphi_a` on whitened states :math:`v = R^{-1}(z - m)`.

    .. math:: v_i, \quad v_i v_j \ (i \le j), \quad e^{-|v - c_a|^2 / 2 s^2}

    so that the logarithm of any Gaussian density lies in their span, and others are approached as bumps are
    added. There is no constant, since only gradients matter.

    `mean` is m, the `root` R with R R^T the covariance; whitened `centres` c and `width` s are in standard deviations.

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
    def on(cls, points: States, *, bumps: int, width: float, rng: np.random.Generator) -> Features:
        """Features with bumps spread over `points`: each centre is the candidate furthest from those before."""
        mean = points.mean(axis=0)
        covariance = np.atleast_2d(np.cov(points.T))
        if np.linalg.matrix_rank(covariance) < len(covariance):
            raise InputError("A latent does not move, or moves with the others only. Leave it out of the analysis.")
        root = np.linalg.cholesky(covariance)
        pool = points[rng.choice(len(points), size=min(len(points), max(20 * bumps, 1)), replace=False)]
        white = np.linalg.solve(root, (pool - mean).T).T
        middle = int((white**2).sum(axis=1).argmin())
        return cls(mean, root, spread_out(white, min(bumps, len(white)), middle)[0], width)

    def value(self, latent: Latents) -> Float[np.ndarray, "... feature"]:
        """The features at `latent`, shape (..., feature)."""
        v = self._white(latent)
        first, second = np.triu_indices(v.shape[-1])
        return np.concatenate([v, v[..., first] * v[..., second], self._bumps(v)], axis=-1)

    def gradient(self, latent: Latents) -> Float[np.ndarray, "... rank feature"]:
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

    def curvature(self, latent: Latents, half: Tensors) -> Float[np.ndarray, "... feature"]:
        r""":math:`\sum_{ij} D_{ij}\,\partial_i\partial_j\varphi_a` at `latent` for D = `half`, shape (..., feature)."""
        v = self._white(latent)
        inverse = np.linalg.inv(self.root)
        d = inverse @ half @ inverse.T
        first, second = np.triu_indices(v.shape[-1])
        pull = (self.centres.T - v[..., None]) / self.width**2
        trace = np.trace(d, axis1=-2, axis2=-1)[..., None]
        bumps = ((d @ pull) * pull).sum(axis=-2) - trace / self.width**2
        return np.concatenate([np.zeros_like(v), 2 * d[..., first, second], bumps * self._bumps(v)], axis=-1)

    def _white(self, latent: Latents) -> Latents:
        return (np.asarray(latent, dtype=np.float64) - self.mean) @ np.linalg.inv(self.root).T

    def _bumps(self, v: Latents) -> Float[np.ndarray, "... bump"]:
        square = (v**2).sum(-1)[..., None] - 2 * v @ self.centres.T + (self.centres**2).sum(axis=1)
        return np.exp(-square / (2 * self.width**2))


def spread_out(pool: States, count: int, first: int) -> tuple[Float[np.ndarray, "bump rank"], float]:
    """Points of a pool from the index `first` on, each furthest from those before; distance of the last from these.

    Examples
    --------
    >>> spread_out(np.array([[0.0], [1.0], [4.0], [2.5]]), count=3, first=0)
    (array([[0. ],
           [4. ],
           [2.5]]), 1.5)
    """
    chosen, gap = [first][:count], 1.0
    nearest = ((pool - pool[first]) ** 2).sum(axis=1)
    for _ in range(count - 1):
        chosen.append(int(nearest.argmax()))
        gap = float(np.sqrt(nearest[chosen[-1]]))
        nearest = np.minimum(nearest, ((pool - pool[chosen[-1]]) ** 2).sum(axis=1))
    return pool[chosen], gap


@dataclass(frozen=True, eq=False)
class Regression:
    r"""Sums over blocks of samples that fit and judge any weights c.

    The mean of :math:`\nabla\varphi\cdot y`, with y = f - div D, is that of
    :math:`-\nabla\cdot(D\nabla\varphi) = -D:\nabla\nabla\varphi - \nabla\cdot D\cdot\nabla\varphi`, the term of
    score matching. The first has no noise where there is no current, the second does not depend on the
    current. Weights are fitted to the weighted mean of the two that scatters least over blocks.

    Over the samples of a block, of which there are `count`, `power` q sums y^T D^-1 y, `direct` r gradients times y,
    and `gram` G gradients times D times gradients. `overlap` is the weighted mean.
    """

    count: OfBlocks
    power: OfBlocks
    direct: Slopes
    overlap: Slopes
    gram: Float[np.ndarray, "block feature feature"]

    @classmethod
    def of(
        cls,
        features: Features,
        points: States,
        target: States,
        half: Float[np.ndarray, "sample rank rank"],
        drift_of_noise: States,
        blocks: int,
    ) -> Regression:
        """Sums over `blocks` blocks of stationary `points`, for y, D and div D there."""
        count, power, first, second, gram = [], [], [], [], []
        for block in np.array_split(np.arange(len(points)), blocks):
            slopes, y, d = features.gradient(points[block]), target[block], half[block]
            count.append(float(len(block)))
            power.append((y * np.linalg.solve(d, y[..., None])[..., 0]).sum())
            # one matrix product of stacked rows is far faster than one per sample
            flat = slopes.reshape(-1, slopes.shape[-1])
            first.append(y.ravel() @ flat)
            second.append(-features.curvature(points[block], d).sum(axis=0) - drift_of_noise[block].ravel() @ flat)
            gram.append(flat.T @ (d @ slopes).reshape(flat.shape))
        n, g, direct = np.array(count), np.array(gram), np.array(first)
        return cls(n, np.array(power), direct, _least_scatter(direct, np.array(second), n, g), g)

    def weights(self, used: OfBlocks, ridge: float) -> Weights:
        """Ridge solution from the blocks whose entry in `used` is true."""
        gram, overlap = (sums[used].sum(axis=0) / self.count[used].sum() for sums in (self.gram, self.overlap))
        return solve_ridge(gram, overlap[:, None], ridge)[:, 0]

    def loss(self, weights: Weights) -> OfBlocks:
        """Mean residual of each block, up to a constant, by `overlap`: the criterion for the ridge."""
        return ((self.gram @ weights) @ weights - 2 * self.overlap @ weights) / self.count

    def residual(self, weights: Weights) -> OfBlocks:
        r"""Mean residual :math:`(q - 2 c^\top r + c^\top G c)` of each block, which is never negative."""
        return (self.power - 2 * self.direct @ weights + (self.gram @ weights) @ weights) / self.count


def _least_scatter(first: Slopes, second: Slopes, count: OfBlocks, gram: np.ndarray) -> Slopes:
    """(1 - share) first + share second, with the share that makes the scatter of solutions smallest."""
    total = gram.sum(axis=0) / count.sum()
    middle = solve_ridge(total, ((first + second).sum(axis=0) / (2 * count.sum()))[:, None], _RIDGES[1])[:, 0]
    # the part of r that is G times common weights varies with G from block to block, and scatters no solution
    mean = [(values - gram @ middle) / count[:, None] for values in (first, second)]
    a, b = (values - values.mean(axis=0) for values in mean)
    # the scatter of residuals is that of r in the norm of G^-1
    solved = solve_ridge(total, (a - b).T, _RIDGES[1]).T
    share = float(np.clip((a * solved).sum() / max(((a - b) * solved).sum(), 1e-300), 0.0, 1.0))
    return (1 - share) * first + share * second


def choose(regression: Regression) -> tuple[float, Weights, OfBlocks]:
    """Choose the ridge by cross-validation over folds of neighbouring blocks.

    Returns the mean loss on samples left out, the weights from all blocks, and the mean residual of each block under
    weights from the other folds.
    """
    return min((_judged(regression, ridge) for ridge in _RIDGES), key=lambda judged: judged[0])


def _judged(regression: Regression, ridge: float) -> tuple[float, Weights, OfBlocks]:
    """As `choose`, of one ridge."""
    fold = np.arange(len(regression.count)) * _FOLDS // len(regression.count)
    loss, residual = np.empty(len(fold)), np.empty(len(fold))
    for number in range(_FOLDS):
        inside = fold == number
        weights = regression.weights(~inside, ridge)
        loss[inside], residual[inside] = regression.loss(weights)[inside], regression.residual(weights)[inside]
    mean = float((loss * regression.count).sum() / regression.count.sum())
    return mean, regression.weights(np.ones(len(fold), dtype=bool), ridge), residual
