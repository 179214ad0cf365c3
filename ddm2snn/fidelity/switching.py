"""Dwell times in wells and transitions between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.family import Entry, Number
from ddm2snn.fidelity.wells import mean_dwell, transition_matrix, visits

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.family import Samples, Weights

_FEWEST = 10  # departures from a well, below which its numbers are left out
_Value = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Switching:
    """Relative difference of mean dwell times and, for three wells or more, difference of transition probabilities."""

    wells: Float[np.ndarray, "well rank"]
    every: float
    costly = False

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Dwell times, transitions."""
        dwell = Entry("dwell", "mean dwell times (rms over wells)", "relative", 0.7)
        transitions = Entry("transitions", "transition probabilities (rms)", "", 0.3)
        return (dwell, transitions) if len(self.wells) > 2 else (dwell,)

    def summarise(self, samples: Samples) -> _Value:
        """Time in wells and transitions per trial."""
        found = visits(samples, self.wells, self.every)
        return found.time_in, found.transitions

    def values(self, summary: _Value, weights: Weights) -> Sequence[_Value]:
        """Their sums."""
        time_in, transitions = (np.tensordot(weights, x, axes=1) for x in summary)
        return list(zip(time_in, transitions, strict=True))

    def distances(self, test: _Value, reference: _Value) -> tuple[float, ...]:
        """NaN where no well is left often enough in both."""
        often = np.minimum(test[1].sum(axis=1), reference[1].sum(axis=1)) >= _FEWEST
        if not often.any():
            return (float("nan"),) * len(self.entries)
        ratio = mean_dwell(*test)[often] / mean_dwell(*reference)[often]
        change = (transition_matrix(test[1]) - transition_matrix(reference[1]))[often]
        found = np.sqrt(((ratio - 1.0) ** 2).mean()), np.sqrt((change**2).sum(axis=1).mean() / 2)
        return tuple(map(float, found[: len(self.entries)]))

    def numbers(self, test: _Value, reference: _Value) -> tuple[Number, ...]:
        """Mean dwell time over all wells in rate time units."""
        both = [float(v[0].sum() / v[1].sum()) if v[1].sum() else float("nan") for v in (test, reference)]
        known = (both[0], both[1]) if np.isfinite(both).all() else None
        return (known, None)[: len(self.entries)]
