"""Sliced Wasserstein distance between clouds of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, Measure, ReferenceSamples

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples, Weights

_DIRECTIONS = 40
_LEVELS = np.linspace(0.001, 0.999, 999)
_OUTERMOST = np.arcsinh(1000.0)
_BINS = 1024
_SELECTIONS_AT_ONCE = 64
_BLOCK = 1000  # samples whose projections stay in the cache


def sliced_wasserstein(
    test: Float[np.ndarray, "direction level"], reference: Float[np.ndarray, "direction level"]
) -> float:
    r"""Sliced 2-Wasserstein distance from quantiles of projections.

    .. math:: SW_2^2 = \frac{1}{L}\sum_{\theta}\int_0^1 (F^{-1}_{\theta,\text{test}}(q) -
        F^{-1}_{\theta,\text{ref}}(q))^2\,dq

    with :math:`F^{-1}_\theta(q)` the quantile at level q of the states projected on one of L directions.
    Source: Bonneel, Rabin, Peyre, Pfister, J. Math. Imaging Vis. 51 (2015).

    Examples
    --------
    >>> quantiles = np.array([[0.0, 1.0, 2.0]])
    >>> sliced_wasserstein(quantiles + 0.5, quantiles)  # a cloud that is moved by 0.5
    0.5
    """
    return float(np.sqrt(((test - reference) ** 2).mean()))


def random_directions(rank: int, count: int = 100) -> Float[np.ndarray, "direction rank"]:
    """Unit vectors, uniform on the sphere, the same for every call.

    Examples
    --------
    >>> np.linalg.norm(random_directions(3, 2), axis=1)
    array([1., 1.])
    """
    directions = np.random.default_rng(0).standard_normal((count, rank))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class SlicedWasserstein(Measure):
    """Sliced Wasserstein distance in standard deviations of the reference, along 40 directions.

    The summary of a trial is a histogram for each direction. Bins are even in the inverse hyperbolic sine of the
    distance from the reference's mean: they are 0.015 standard deviations wide in the middle, and the outermost
    ones reach a thousand standard deviations.

    Parameters
    ----------
    directions
        Over the reference's standard deviations.
    middle
        Projections of the reference's mean.
    """

    directions: Float[np.ndarray, "direction rank"]
    middle: Float[np.ndarray, " direction"]

    @classmethod
    def of(cls, reference: ReferenceSamples) -> SlicedWasserstein:
        """About the mean of the reference, in its standard deviations."""
        directions = random_directions(reference.samples.shape[-1], _DIRECTIONS) / reference.samples.std(axis=(0, 1))
        return cls(directions, directions @ reference.samples.mean(axis=(0, 1)))

    @property
    def entries(self) -> tuple[Entry]:
        """The distance."""
        name, label = "sliced_wasserstein", "sliced Wasserstein"
        return (Entry(name, label, "reference sd", coarse=0.5, kind="states", prominence=1),)

    @property
    def edges(self) -> Float[np.ndarray, "direction edge"]:
        """Edges of the bins."""
        return self.middle[:, None] + np.sinh(np.linspace(-_OUTERMOST, _OUTERMOST, _BINS + 1))

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial direction bin"]:
        """Histograms of the projections of each trial."""
        counts = np.zeros((len(samples), len(self.directions), _BINS), dtype=np.float32)
        first = np.arange(len(self.directions)) * _BINS
        for trial, states in enumerate(samples):
            for start in range(0, len(states), _BLOCK):
                place = np.arcsinh(states[start : start + _BLOCK] @ self.directions.T - self.middle) / _OUTERMOST
                cell = np.clip(((place + 1) / 2 * _BINS).astype(np.int64), 0, _BINS - 1) + first
                counts[trial] += np.bincount(cell.ravel(), minlength=counts[trial].size).reshape(counts[trial].shape)
        return counts

    def values(self, summary: np.ndarray, weights: Weights) -> Float[np.ndarray, "selection direction level"]:
        """Quantiles of the projections, linear within a bin."""
        trials, directions, bins = summary.shape
        all_edges = self.edges
        quantiles = np.empty((len(weights), directions, len(_LEVELS)), dtype=np.float32)
        cumulated = np.zeros((directions, bins + 1))
        for start in range(0, len(weights), _SELECTIONS_AT_ONCE):  # one large product costs less than many small ones
            some = weights[start : start + _SELECTIONS_AT_ONCE].astype(summary.dtype) @ summary.reshape(trials, -1)
            for run, counts in enumerate(some.reshape(-1, directions, bins), start):
                np.cumsum(counts, axis=1, out=cumulated[:, 1:])
                for direction, edges in enumerate(all_edges):
                    levels = cumulated[direction] / cumulated[direction, -1]
                    quantiles[run, direction] = np.interp(_LEVELS, levels, edges)
        return quantiles

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Root-mean-square difference of the quantiles."""
        return (sliced_wasserstein(test, reference),)
