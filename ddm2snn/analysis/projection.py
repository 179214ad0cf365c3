"""Regression of a drift onto gradients, judged on blocks of samples that the fit has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.least_squares import solve_ridge

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.analysis.features import Features

_RIDGES = (1e-3, 1e-5, 1e-7, 1e-9)
_FOLDS = 4


@dataclass(frozen=True, eq=False)
class Regression:
    r"""Sums over blocks of samples that fit and judge any weights c.

    The mean of :math:`\nabla\varphi\cdot y`, with y = f - div D, is that of
    :math:`-\nabla\cdot(D\nabla\varphi) = -D:\nabla\nabla\varphi - \nabla\cdot D\cdot\nabla\varphi`, the term of
    score matching. The first has no noise where there is no current, the second does not depend on the
    current. Weights are fitted to the weighted mean of the two that scatters least over blocks.

    Parameters
    ----------
    count
        Samples, shape (block,).
    power
        q, sums of y^T D^-1 y, shape (block,).
    direct
        r, sums of gradients times y, shape (block, feature).
    overlap
        Weighted mean of r and the term of score matching, shape (block, feature).
    gram
        G, sums of gradients times D times gradients, shape (block, feature, feature).
    """

    count: Float[np.ndarray, " block"]
    power: Float[np.ndarray, " block"]
    direct: Float[np.ndarray, "block feature"]
    overlap: Float[np.ndarray, "block feature"]
    gram: Float[np.ndarray, "block feature feature"]

    @classmethod
    def of(
        cls,
        features: Features,
        points: Float[np.ndarray, "sample rank"],
        target: Float[np.ndarray, "sample rank"],
        half: Float[np.ndarray, "sample rank rank"],
        drift_of_noise: Float[np.ndarray, "sample rank"],
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

    def weights(self, used: Float[np.ndarray, " block"], ridge: float) -> Float[np.ndarray, " feature"]:
        """Ridge solution from the blocks whose entry in `used` is true."""
        total = self.count[used].sum()
        return solve_ridge(
            self.gram[used].sum(axis=0) / total, (self.overlap[used].sum(axis=0) / total)[:, None], ridge
        )[:, 0]

    def loss(self, weights: Float[np.ndarray, " feature"]) -> Float[np.ndarray, " block"]:
        """Mean residual of each block, up to a constant, by `overlap`: the criterion for the ridge."""
        return ((self.gram @ weights) @ weights - 2 * self.overlap @ weights) / self.count

    def residual(self, weights: Float[np.ndarray, " feature"]) -> Float[np.ndarray, " block"]:
        r"""Mean residual :math:`(q - 2 c^\top r + c^\top G c)` of each block, which is never negative."""
        return (self.power - 2 * self.direct @ weights + (self.gram @ weights) @ weights) / self.count


def _least_scatter(
    first: Float[np.ndarray, "block feature"],
    second: Float[np.ndarray, "block feature"],
    count: Float[np.ndarray, " block"],
    gram: Float[np.ndarray, "block feature feature"],
) -> Float[np.ndarray, "block feature"]:
    """(1 - share) first + share second, with the share that makes the scatter of solutions smallest."""
    total = gram.sum(axis=0) / count.sum()
    middle = solve_ridge(total, ((first + second).sum(axis=0) / (2 * count.sum()))[:, None], _RIDGES[1])[:, 0]
    # the part of r that is G times common weights varies with G from block to block, and scatters no solution
    mean = [(values - gram @ middle) / count[:, None] for values in (first, second)]
    a, b = (values - values.mean(axis=0) for values in mean)
    # the scatter of residuals is that of r in the norm of G^-1
    solved = solve_ridge(total, (a - b).T, _RIDGES[1]).T
    share = (a * solved).sum() / max(((a - b) * solved).sum(), 1e-300)
    share = float(np.clip(share, 0.0, 1.0))
    return (1 - share) * first + share * second


@dataclass(frozen=True, eq=False)
class Choice:
    """Weights at the ridge that does best on samples left out.

    Parameters
    ----------
    weights
        From all blocks, shape (feature,).
    loss
        Mean loss on samples left out.
    left_out
        Mean residual of each block under weights from the other folds, shape (block,).
    share
        Samples in each block.
    """

    weights: Float[np.ndarray, " feature"]
    loss: float
    left_out: Float[np.ndarray, " block"]
    share: Float[np.ndarray, " block"]


def choose(regression: Regression) -> Choice:
    """Choose the ridge by cross-validation over folds of neighbouring blocks."""
    return min((_judged(regression, ridge) for ridge in _RIDGES), key=lambda choice: choice.loss)


def _judged(regression: Regression, ridge: float) -> Choice:
    fold = np.arange(len(regression.count)) * _FOLDS // len(regression.count)
    loss, residual = np.empty(len(fold)), np.empty(len(fold))
    for number in range(_FOLDS):
        inside = fold == number
        weights = regression.weights(~inside, ridge)
        loss[inside], residual[inside] = regression.loss(weights)[inside], regression.residual(weights)[inside]
    everything = regression.weights(np.ones(len(fold), dtype=bool), ridge)
    mean = float((loss * regression.count).sum() / regression.count.sum())
    return Choice(everything, mean, residual, regression.count)
