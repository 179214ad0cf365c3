"""Difference of the autocorrelation functions of latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, Measure
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.measures.measure import Samples, Weights
    from ddm2snn.fidelity.measures.reference_samples import ReferenceSamples

_MOST_LAGS = 400


def lagged_products(samples: Samples, lags: int) -> Float[np.ndarray, "trial lag rank"]:
    r"""Mean products of each trial with itself, by fast Fourier transform.

    .. math:: c_l = \frac{1}{n - l} \sum_{t=0}^{n-l-1} (z_t - \bar z)(z_{t+l} - \bar z)

    Means over trials, weighted or not, are autocovariances. The mean is that of all trials, since the mean of one
    short trial would take its slow part away.

    Parameters
    ----------
    samples
        In system units.
    lags
        Number of lags, from zero on.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank) or have fewer samples per trial than lags.

    Examples
    --------
    >>> lagged_products(np.array([1.0, -1.0, 1.0, -1.0]).reshape(1, 4, 1), lags=3).ravel().round(12)
    array([ 1., -1.,  1.])
    """
    check_samples("lagged_products", {"samples": samples}, shortest=max(lags, 1))
    from scipy.fft import next_fast_len

    length = samples.shape[1]
    size = next_fast_len(length + lags, real=True)
    power = np.abs(np.fft.rfft(samples - samples.mean(axis=(0, 1)), size, axis=1)) ** 2
    sums = np.fft.irfft(power, size, axis=1)[:, :lags]
    return sums / (length - np.arange(lags))[:, None]


def autocorrelation(
    products: Float[np.ndarray, "trial lag rank"], weights: Weights | None = None
) -> Float[np.ndarray, "run lag rank"]:
    """Autocorrelation function of the pooled trials of each selection; one at any lag for a latent that stands still.

    Examples
    --------
    >>> autocorrelation(np.array([[[4.0], [2.0]], [[2.0], [1.0]]])).ravel()
    array([1. , 0.5])
    """
    total = np.tensordot(np.ones((1, len(products))) if weights is None else weights, products, axes=1)
    first = total[:, :1]
    return np.where(first > 0, total / np.where(first > 0, first, 1.0), 1.0)


def autocorrelation_distance(test: Float[np.ndarray, "lag rank"], reference: Float[np.ndarray, "lag rank"]) -> float:
    """Root-mean-square difference of two autocorrelation functions over lags and latents.

    Examples
    --------
    >>> autocorrelation_distance(np.array([[1.0], [0.5]]), np.array([[1.0], [0.5]]))
    0.0
    """
    return float(np.sqrt(((test - reference) ** 2).mean()))


@dataclass(frozen=True)
class Autocorrelation(Measure):
    """Root-mean-square difference of the autocorrelation functions of the latents.

    Parameters
    ----------
    lags
        Number of lags.
    """

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

    def values(self, summary: np.ndarray, weights: Weights) -> Float[np.ndarray, "run lag rank"]:
        """Autocorrelation functions."""
        return autocorrelation(summary, weights)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Over lags and latents."""
        return (autocorrelation_distance(test, reference),)
