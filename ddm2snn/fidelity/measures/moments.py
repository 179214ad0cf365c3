"""Mean and standard deviation of each latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, Measure, Numbers, ReferenceSamples

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples, Weights


@dataclass(frozen=True, eq=False)
class Moments(Measure):
    """Relative differences of the standard deviations, differences of the means in deviations of the reference.

    Examples
    --------
    >>> moments = Moments(np.zeros(1), np.ones(1))
    >>> [entry.name for entry in moments.entries]
    ['sd_0', 'mean_0']
    >>> reference, test = np.array([[[-1.0], [1.0]]]), np.array([[[0.0], [4.0]]])
    >>> values = [moments.values(moments.summarise(z), np.ones((1, 1)))[0] for z in (test, reference)]
    >>> moments.distances(*values)  # a deviation of 2 beside 1, a mean of 2 beside 0
    (1.0, 2.0)
    """

    centre: Float[np.ndarray, " rank"]
    scale: Float[np.ndarray, " rank"]

    @classmethod
    def of(cls, reference: ReferenceSamples) -> Moments:
        """About the reference's mean."""
        return cls(reference.samples.mean(axis=(0, 1)), reference.samples.std(axis=(0, 1)))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Deviations, then means."""
        latents = range(len(self.scale))
        return (
            *(Entry(f"sd_{c}", f"standard deviation of latent {c}", "relative", 0.5, "deviation") for c in latents),
            *(Entry(f"mean_{c}", f"mean of latent {c}", "reference sd", 0.5, "mean") for c in latents),
        )

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial moment rank"]:
        """First and second moments of each trial."""
        about = samples - self.centre
        return np.stack([about.mean(axis=1), (about**2).mean(axis=1)], axis=1)

    def values(self, summary: np.ndarray, weights: Weights) -> Float[np.ndarray, "selection moment rank"]:
        """Mean and standard deviation."""
        first, second = np.moveaxis(np.asarray(super().values(summary, weights)), 1, 0)
        return np.stack([first, np.sqrt(np.maximum(second - first**2, 0.0))], axis=1)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float, ...]:
        """Absolute differences."""
        deviation = np.abs(test[1] / reference[1] - 1.0)
        return (*map(float, deviation), *map(float, np.abs(test[0] - reference[0]) / self.scale))

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Numbers, ...]:
        """In system units."""
        deviations = [(float(a), float(b)) for a, b in zip(test[1], reference[1], strict=True)]
        means = [(float(a), float(b)) for a, b in zip(test[0] + self.centre, reference[0] + self.centre, strict=True)]
        return (*deviations, *means)
