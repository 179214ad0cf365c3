"""The samples of a reference, by which measures are fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.measures.autocorrelation import autocorrelation, lagged_products

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.measures.measure import Samples

_SEGMENT_TRIALS = 64
_LAGS_PER_SEGMENT = 20  # fine against the motion, and as coarse against spikes as that allows


@dataclass(frozen=True, eq=False)
class ReferenceSamples:
    """Trials of all recordings of a reference, one recording after the other.

    Parameters
    ----------
    samples
        Finite, with no constant latent.
    trials
        Trials of one recording.
    every
        Sampling interval in rate time units.
    wells
        Centres of the wells, two or more, if there are any.

    Examples
    --------
    >>> wave = np.sin(0.1 * np.arange(1000))[None, :, None]
    >>> reference = ReferenceSamples.of([wave, -wave], every=0.1)
    >>> reference
    ReferenceSamples(runs=2, trials=1, time=1000, rank=1, every=0.1)
    >>> reference.segment, reference.lag  # a period is 63 samples
    (22, 1)
    """

    samples: Samples
    trials: int
    every: float
    wells: Float[np.ndarray, "well rank"] | None = None

    @classmethod
    def of(
        cls, recordings: Sequence[Samples], every: float, wells: Float[np.ndarray, "well rank"] | None = None
    ) -> ReferenceSamples:
        """From recordings of equal shape."""
        return cls(np.concatenate(list(recordings)), len(recordings[0]), every, wells)

    def __repr__(self) -> str:
        """Sizes only."""
        _, time, rank = self.samples.shape
        return (
            f"ReferenceSamples(runs={self.runs}, trials={self.trials}, time={time}, rank={rank}, every={self.every:g})"
        )

    @property
    def runs(self) -> int:
        """Number of recordings."""
        return len(self.samples) // self.trials

    @cached_property
    def segment(self) -> int:
        """Samples of a third of a period, or of about one correlation time where nothing oscillates.

        Twice the samples after which the mean autocorrelation of the latents first falls below a half, at most a
        quarter of a trial.
        """
        length = self.samples.shape[1]
        some = self.samples[:: -(-len(self.samples) // _SEGMENT_TRIALS)]
        correlation = autocorrelation(lagged_products(some, max(2, length // 4)))[0].mean(axis=1)
        below = np.flatnonzero(correlation < 0.5)
        return min(2 * int(below[0]) if len(below) else length // 4, length // 4)

    @property
    def lag(self) -> int:
        """Samples over which drift, diffusion, currents and entropy production are measured."""
        return max(1, self.segment // _LAGS_PER_SEGMENT)
