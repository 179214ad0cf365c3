"""Dwell times in wells, and transitions between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, FloorLaw, Measure, Numbers, ReferenceSamples
from ddm2snn.fidelity.wells import transition_matrix, visits

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.fidelity.samples import Samples, Weights

# from a well in one recording of the reference, in the mean; other wells are left out [measured: doublewell,
# fourwell]
_FEWEST_DEPARTURES = 10
_Value = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Switching(Measure):
    """Relative difference of mean dwell times and, for three wells or more, difference of transition probabilities.

    Root mean squares over the `compared` wells. The reference chooses these once, so that splits of its trials and
    whole recordings are compared over equally many. Where a recording never leaves one of them, its dwell time counts
    as all the time spent there, and its transition probabilities as zero.

    Examples
    --------
    >>> switching = Switching(np.array([[-1.0], [1.0]]), np.array([0, 1]), every=0.5)
    >>> fast, slow = (np.resize(np.repeat([-1.0, 1.0], n), 200).reshape(1, 200, 1) for n in (4, 5))
    >>> values = [switching.values(switching.summarise(z), np.ones((1, 1)))[0] for z in (slow, fast)]
    >>> switching.distances(*values)[0] > 0.2  # stays of 5 samples in place of 4
    True
    """

    floor_law: ClassVar[FloorLaw] = "means"
    """Dwell times are means; quarters of few departures have long tails, which are no law."""

    wells: Float[np.ndarray, "well rank"]
    compared: Int[np.ndarray, " well"]
    every: float

    @classmethod
    def of(cls, reference: ReferenceSamples) -> Switching | None:
        """None without wells; without distances where no well is left ten times in a recording."""
        if reference.wells is None:
            return None
        departures = visits(reference.samples, reference.wells, reference.every).transitions.sum(axis=(0, 2))
        often = np.flatnonzero(departures >= _FEWEST_DEPARTURES * reference.runs)
        return cls(reference.wells, often, reference.every)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Dwell times, transitions."""
        dwell = Entry("dwell", "mean dwell times (rms over wells)", "relative", 0.7, "timing", "dwell times")
        transitions = Entry("transitions", "transition probabilities (rms)", "", 0.3, "course", "transitions")
        return (dwell, transitions) if len(self.wells) > 2 else (dwell,)

    def summarise(self, samples: Samples) -> _Value:
        """Time in wells and transitions of each trial."""
        table = visits(samples, self.wells, self.every)
        return table.time_in, table.transitions

    def values(self, summary: _Value, weights: Weights) -> Sequence[_Value]:
        """Their sums."""
        time_in, transitions = (np.tensordot(weights, x, axes=1) for x in summary)
        return list(zip(time_in, transitions, strict=True))

    def distances(self, test: _Value, reference: _Value) -> tuple[float, ...]:
        """NaN without a well to compare, or where the reference never came to one of them."""
        (of_test, to_test), (of_reference, to_reference) = (self._rates(*value) for value in (test, reference))
        if not len(self.compared) or not of_reference.all():
            return (float("nan"),) * len(self.entries)
        dwell = np.sqrt(((of_test / of_reference - 1.0) ** 2).mean())
        transitions = np.sqrt(((to_test - to_reference) ** 2).sum(axis=1).mean() / 2)
        return tuple(map(float, (dwell, transitions)[: len(self.entries)]))

    def _rates(
        self, time_in: Float[np.ndarray, " well"], transitions: Float[np.ndarray, "well target"]
    ) -> tuple[Float[np.ndarray, " compared"], Float[np.ndarray, "compared target"]]:
        """Mean dwell times and transition probabilities of the compared wells."""
        moves = transitions[self.compared]
        dwell = time_in[self.compared] / np.maximum(moves.sum(axis=1), 1.0)
        return dwell, np.nan_to_num(transition_matrix(moves))

    def numbers(self, test: _Value, reference: _Value) -> tuple[Numbers, ...]:
        """Mean dwell time over all wells in rate time units."""
        both = [float(v[0].sum() / v[1].sum()) if v[1].sum() else float("nan") for v in (test, reference)]
        dwell = (both[0], both[1]) if np.isfinite(both).all() else None
        return (dwell, None)[: len(self.entries)]
