"""Difference of the autocorrelation functions of latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, Measure, ReferenceSamples
from ddm2snn.fidelity.samples import autocorrelation, lagged_products, rms_difference

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples, Weights

_MOST_LAGS = 400  # that are compared [choice]


@dataclass(frozen=True)
class Autocorrelation(Measure):
    """Root-mean-square difference of the autocorrelation functions of the latents, over a number of `lags`."""

    lags: int

    @classmethod
    def of(cls, reference: ReferenceSamples) -> Autocorrelation:
        """With lags up to a quarter of the trials, at most 400."""
        return cls(min(_MOST_LAGS, reference.samples.shape[1] // 4))

    @property
    def entries(self) -> tuple[Entry]:
        """The difference."""
        label, short = "autocorrelation function", "autocorrelation"
        return (Entry("autocorrelation", label, "", coarse=0.3, kind="course", short=short),)

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial lag rank"]:
        """Lagged products of each trial."""
        return lagged_products(samples, self.lags)

    def values(self, summary: np.ndarray, weights: Weights) -> Float[np.ndarray, "selection lag rank"]:
        """Autocorrelation functions."""
        return autocorrelation(summary, weights)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Over lags and latents."""
        return (rms_difference(test, reference),)
