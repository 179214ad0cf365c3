"""Wasserstein distances between clouds of states: sliced, of all states, and exact, of few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, FloorLaw, Measure, ReferenceSamples
from ddm2snn.fidelity.samples import rms_difference, thinned

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.fidelity.samples import Samples, Weights

_DIRECTIONS = 40  # of projections [cost]
_LEVELS = np.linspace(0.001, 0.999, 999)  # of quantiles that are compared [choice]
_OUTERMOST = np.arcsinh(1000.0)  # outermost bin of the sketch of quantiles, arsinh of deviations [choice]
_BINS = 1024  # of the sketch of quantiles [cost]
_SELECTIONS_AT_ONCE = 64  # of trials [cost]
_BLOCK = 1000  # samples whose projections stay in the cache [cost]
_MOST_POINTS = 300  # states per recording; the cost grows with the third power of their number [cost]
_RESAMPLES = 10  # of trials [cost]
_RESAMPLED_REFERENCES = 2  # recordings of the reference that resampled trials are matched with [cost]


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
    r"""Sliced 2-Wasserstein distance in standard deviations of the reference, along L = 40 directions.

    .. math:: SW_2^2 = \frac{1}{L}\sum_{\theta}\int_0^1 (F^{-1}_{\theta,\text{test}}(q) -
        F^{-1}_{\theta,\text{ref}}(q))^2\,dq

    with :math:`F^{-1}_\theta(q)` the quantile at level q of the states projected on one direction.
    Source: Bonneel, Rabin, Peyre, Pfister, J. Math. Imaging Vis. 51 (2015).

    The summary of a trial is a histogram for each direction. Bins are even in the inverse hyperbolic sine of the
    distance from the reference's mean: they are 0.015 standard deviations wide in the middle, and the outermost
    ones reach a thousand standard deviations. Directions are over the reference's standard deviations, and `middle`
    holds the projections of its mean.
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
        return (Entry(name, label, "reference sd", coarse=0.5, kind="states", prominence=1, sources=("bonneel2015",)),)

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
        return (rms_difference(test, reference),)


def exact_wasserstein(test: Float[np.ndarray, "point rank"], reference: Float[np.ndarray, "point rank"]) -> float:
    r"""Exact 2-Wasserstein distance of equally many states, by the assignment problem.

    .. math:: W_2^2 = \min_{\pi} \frac1n \sum_{i=1}^{n} |x_i - y_{\pi(i)}|^2

    over permutations. Source: Peyre, Cuturi, Found. Trends Mach. Learn. 11 (2019), section 2.

    Examples
    --------
    >>> states = np.array([[0.0, 0.0], [3.0, 1.0]])
    >>> exact_wasserstein(states[::-1] + [0.75, 1.0], states)  # moved by 1.25, in another order
    1.25
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cost = cdist(test, reference, "sqeuclidean")
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


@dataclass(frozen=True, eq=False)
class ExactWasserstein(Measure):
    """Exact 2-Wasserstein distance of 300 states of each recording, in standard deviations of the reference.

    No choice of directions or bins enters. In return the floor is high: two sets of n states of one process are
    apart by an amount of the order of n^(-1/rank), in which small differences drown. The `times` are the samples of
    each trial that may be taken, in a random order.
    """

    points: int
    times: Int[np.ndarray, " column"]
    scale: Float[np.ndarray, " rank"]
    costly: ClassVar[bool] = True
    floor_law: ClassVar[FloorLaw] = "observed"  # the number of states is fixed, however many trials they come from

    @classmethod
    def of(cls, reference: ReferenceSamples) -> ExactWasserstein:
        """Evenly spaced times, so many that a quarter of the trials is enough to give all states."""
        length = reference.samples.shape[1]
        points = max(2, min(_MOST_POINTS, reference.trials * length // 4))
        times = thinned(length, 1, -(-4 * points // reference.trials))
        return cls(points, np.random.default_rng(0).permutation(times), reference.samples.std(axis=(0, 1)))

    @property
    def entries(self) -> tuple[Entry]:
        """The distance, with the number of states in its label."""
        label, short = f"exact Wasserstein of {self.points} states", "exact Wasserstein"
        return (
            Entry("wasserstein", label, "reference sd", coarse=1.0, kind="states", short=short, sources=("peyre2019",)),
        )

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial column rank"]:
        """States at the times."""
        return samples[:, self.times] / self.scale

    def values(self, summary: np.ndarray, weights: Weights) -> Sequence[np.ndarray]:
        """Equally many states of each trial of a selection, as often as it counts."""
        selections = []
        for weight in weights:
            trials = np.repeat(np.arange(len(weight)), weight.astype(np.int64))
            columns = -(-self.points // len(trials))
            states = np.swapaxes(summary[trials, :columns], 0, 1).reshape(-1, summary.shape[2])
            selections.append(states[: self.points])
        return selections

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Root of the mean square over matched pairs."""
        return (exact_wasserstein(test, reference),)

    def resampled(
        self, summary: np.ndarray, value: np.ndarray, references: Sequence[np.ndarray], draws: Weights
    ) -> Float[np.ndarray, "draw entry"]:
        """As for other measures, of fewer draws and references."""
        return super().resampled(summary, value, references[:_RESAMPLED_REFERENCES], draws[:_RESAMPLES])
