"""Autocorrelation functions of latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float

_WINDOW = 5.0  # integrate up to this many autocorrelation times


def lagged_products(
    samples: Float[np.ndarray, "trial time rank"], lags: int, centre: Float[np.ndarray, " rank"] | None = None
) -> Float[np.ndarray, "trial lag rank"]:
    r"""Mean products of each trial with itself, by fast Fourier transform.

    .. math:: c_l = \frac{1}{n - l} \sum_{t=0}^{n-l-1} (z_t - \bar z)(z_{t+l} - \bar z)

    Means over trials, weighted or not, are autocovariances; the mean is that of all trials, since the mean of one
    short trial would take the slow part away.

    Parameters
    ----------
    samples
        In system units.
    lags
        Number of lags, from zero on.
    centre
        The mean; by default that of the samples.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank) or have fewer samples per trial than lags.
    """
    check_samples("lagged_products", {"samples": samples}, shortest=max(lags, 1))
    from scipy.fft import next_fast_len

    length = samples.shape[1]
    size = next_fast_len(length + lags, real=True)
    about = samples - (samples.mean(axis=(0, 1)) if centre is None else centre)
    power = np.abs(np.fft.rfft(about, size, axis=1)) ** 2
    sums = np.fft.irfft(power, size, axis=1)[:, :lags]
    return sums / (length - np.arange(lags))[:, None]


def autocorrelation(
    products: Float[np.ndarray, "trial lag rank"], weights: Float[np.ndarray, "draw trial"] | None = None
) -> Float[np.ndarray, "draw lag rank"]:
    """Autocorrelation function, one at lag zero, of the pooled trials for each draw and its weights."""
    weight = np.ones((1, len(products))) if weights is None else weights
    total = np.tensordot(weight, products, axes=1)
    if (total[:, 0] <= 0).any():
        raise InputError("A latent is constant, so it has no autocorrelation. Leave it out.")
    return total / total[:, :1]


def autocorrelation_distance(test: Float[np.ndarray, "lag rank"], reference: Float[np.ndarray, "lag rank"]) -> float:
    """Root-mean-square difference of two autocorrelation functions over lags and latents."""
    return float(np.sqrt(((test - reference) ** 2).mean()))


def integral_time(correlation: Float[np.ndarray, "... lag rank"], every: float) -> Float[np.ndarray, "... rank"]:
    r"""Integral autocorrelation time of each latent in rate time units.

    .. math:: \tau_{\text{int}} = \tau \Big(\tfrac12 + \sum_{l=1}^{M} \rho_l\Big), \qquad
        M = \min\{m : m \tau \ge 5\,\tau_{\text{int}}(m)\}

    (trapezoidal rule, so that it is 1/a for the process :math:`dz = -a z\,dt + dw`); 2 :math:`\tau_{\text{int}}`
    of time hold one independent sample. Oscillations cancel in it. NaN where the window never closes: then the
    function was computed for too few lags. Source: Sokal, Monte Carlo Methods in Statistical Mechanics (1997).
    """
    check_positive("integral_time", every=every)
    summed = np.cumsum(correlation, axis=-2) - 0.5
    steps = np.arange(correlation.shape[-2])[:, None]
    closed = steps >= np.maximum(_WINDOW * summed, 1.0)
    last = closed.argmax(axis=-2)
    value = np.take_along_axis(summed, last[..., None, :], axis=-2)[..., 0, :]
    return np.where(closed.any(axis=-2), value * every, np.nan)
