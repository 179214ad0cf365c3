"""Exact Wasserstein distance between equally many states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, FloorLaw, Measure, ReferenceSamples
from ddm2snn.fidelity.samples import thinned

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.fidelity.samples import Samples, Weights

_MOST_POINTS = 300  # states per recording; the cost grows with the third power of their number
_RESAMPLES = 10
_RESAMPLED_REFERENCES = 2  # recordings of the reference that resampled trials are matched with


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
    apart by an amount of the order of n^(-1/rank), in which small differences drown.

    Parameters
    ----------
    points
        States of a recording that are matched.
    times
        Samples of each trial that may be taken, in a random order.
    scale
        Standard deviations of the reference.
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
        return (Entry("wasserstein", label, "reference sd", coarse=1.0, kind="states", short=short),)

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
