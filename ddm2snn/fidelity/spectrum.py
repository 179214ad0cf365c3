"""Power spectra of latents and the Hellinger distance between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

SEGMENT = 4096
"""Longest Welch segment in samples."""


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


def hellinger(test: Float[np.ndarray, "frequency rank"], reference: Float[np.ndarray, "frequency rank"]) -> float:
    r"""Power-spectrum Hellinger distance D_H, the mean over dimensions of

    .. math:: H = \sqrt{1 - \sum_\omega \sqrt{p_\omega q_\omega}}

    between spectra normalised to sum one; no smoothing beyond Welch's. Source: Mikhaeil, Monfared,
    Durstewitz, NeurIPS 2022, who smooth a periodogram instead.
    """
    p, q = test / test.sum(axis=0), reference / reference.sum(axis=0)
    return float(np.sqrt(np.maximum(0.0, 1.0 - np.sqrt(p * q).sum(axis=0))).mean())
