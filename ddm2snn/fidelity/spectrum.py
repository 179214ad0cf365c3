"""Power spectra of latents and the Hellinger distance between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

SEGMENT = 4096
"""Longest Welch segment in samples."""

SMOOTHING = 20.0
"""Width of the published smoothing in bins of the periodogram."""


def power_spectra(
    samples: Float[np.ndarray, "trial time rank"], every: float, segment: int | None = None
) -> tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, "trial frequency rank"]]:
    """Welch power spectra of each trial; frequencies in cycles per rate time unit.

    Source: Welch, IEEE Trans. Audio Electroacoust. 15 (1967); Hann windows of `segment` samples (by
    default the trial's length, at most 4,096), half overlapping, mean removed.
    """
    from scipy.signal import welch

    length = segment or min(SEGMENT, samples.shape[1])
    frequency, power = welch(samples, fs=1.0 / every, nperseg=length, axis=1)
    return frequency, power


def smoothed_spectra(
    samples: Float[np.ndarray, "trial time rank"], every: float, sigma: float = SMOOTHING
) -> tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, "trial frequency rank"]]:
    """Periodograms of each trial, smoothed by a Gaussian of `sigma` bins; frequencies in cycles per rate time unit.

    The published variant, up to the order of smoothing and averaging over trials, which is free. (It standardises each
    series first, which the normalisation of `hellinger` makes of no consequence.) A bin is one over the length of a
    trial, so that spectra of long trials are smoothed less. Source: Mikhaeil, Monfared, Durstewitz, NeurIPS 2022.
    """
    from scipy.ndimage import gaussian_filter1d

    about = samples - samples.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(about, axis=1)) ** 2
    return np.fft.rfftfreq(samples.shape[1], every), gaussian_filter1d(power, sigma, axis=1)


def hellinger(test: Float[np.ndarray, "frequency rank"], reference: Float[np.ndarray, "frequency rank"]) -> float:
    r"""Power-spectrum Hellinger distance D_H, the mean over dimensions of

    .. math:: H = \sqrt{1 - \sum_\omega \sqrt{p_\omega q_\omega}}

    between spectra normalised to sum one. Source: Mikhaeil, Monfared, Durstewitz, NeurIPS 2022.
    """
    p, q = test / test.sum(axis=0), reference / reference.sum(axis=0)
    return float(np.sqrt(np.maximum(0.0, 1.0 - np.sqrt(p * q).sum(axis=0))).mean())
