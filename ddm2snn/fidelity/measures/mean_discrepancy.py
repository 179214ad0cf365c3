"""Maximum mean discrepancy MMD between clouds of states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, Measure, ReferenceSamples
from ddm2snn.fidelity.samples import median_distance, thinned

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples

_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0)  # of the median distance [choice]
_FREQUENCIES = 128  # per bandwidth [cost]
_MOST_SAMPLES = 8000  # per recording [cost]


@dataclass(frozen=True, eq=False)
class MeanDiscrepancy(Measure):
    r"""Maximum mean discrepancy: Euclidean distance of mean embeddings, for a mixture of Gaussian kernels.

    .. math:: k(x, y) = \frac14 \sum_{b} e^{-|x - y|^2 / 2 (b m)^2}, \qquad b \in \{\tfrac14, \tfrac12, 1, 2\}

    with m the median distance of the reference's states, each latent in units of its standard deviation. Each kernel
    is a sum over 128 random frequencies, so that the cost is linear in the number of samples. Pairs of samples of one
    trial count as well (the biased estimate): unlike the unbiased one it is a distance, and its floor is measured.
    Source: Gretton, Borgwardt, Rasch, Schoelkopf, Smola, J. Mach. Learn. Res. 13 (2012); Rahimi, Recht, NeurIPS 2007.

    Examples
    --------
    >>> cloud = np.random.default_rng(0).standard_normal((2, 500, 1))
    >>> mmd = MeanDiscrepancy.of(ReferenceSamples.of([cloud], every=1.0))
    >>> value, moved = (mmd.values(mmd.summarise(z), np.ones((1, 2)))[0] for z in (cloud, cloud + 3.0))
    >>> mmd.distances(value, value), mmd.distances(moved, value)[0] > 0.5
    ((0.0,), True)
    """

    centre: Float[np.ndarray, " rank"]
    frequency: Float[np.ndarray, "rank feature"]

    @classmethod
    def of(cls, reference: ReferenceSamples, seed: int = 0) -> MeanDiscrepancy:
        """With frequencies for the scale of the reference, drawn with `seed`."""
        samples = reference.samples
        scale = samples.std(axis=(0, 1))
        rng = np.random.default_rng(seed)
        width = np.repeat(_BANDWIDTHS, _FREQUENCIES) * median_distance(samples.reshape(-1, len(scale)) / scale, rng)
        frequency = rng.standard_normal((len(scale), len(width))) / width / scale[:, None]
        return cls(samples.mean(axis=(0, 1)), frequency)

    @property
    def entries(self) -> tuple[Entry]:
        """The discrepancy."""
        label, sources = "maximum mean discrepancy MMD", ("gretton2012",)
        return (Entry("mmd", label, "", coarse=0.3, kind="states", short="MMD", sources=sources),)

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial feature"]:
        """Mean embedding of each trial, scaled such that inner products are values of the kernel."""
        time = thinned(samples.shape[1], len(samples), _MOST_SAMPLES)
        count = self.frequency.shape[1]
        means = np.empty((len(samples), 2 * count))
        for trial, states in enumerate(samples[:, time]):
            # the kernels depend on differences only; about the mean, angles are small enough for single precision
            angle = ((states - self.centre) @ self.frequency).astype(np.float32)
            means[trial] = np.concatenate([f(angle).mean(axis=0, dtype=np.float64) for f in (np.cos, np.sin)])
        return means / np.sqrt(count)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Euclidean distance of the mean embeddings."""
        return (float(np.linalg.norm(test - reference)),)
