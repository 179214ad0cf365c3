"""Power-spectrum Hellinger distance D_H."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, Measure, ReferenceSamples

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples

    Spectra = tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, "trial frequency rank"]]

SEGMENT = 4096  # [choice]
"""Longest Welch segment in samples."""

SMOOTHING = 20.0  # [literature: smoothing of D_H in use]
"""Width of the published smoothing in bins of the periodogram."""


def hellinger(test: Float[np.ndarray, "frequency rank"], reference: Float[np.ndarray, "frequency rank"]) -> float:
    r"""Power-spectrum Hellinger distance D_H, the mean over latents of

    .. math:: H = \sqrt{1 - \sum_\omega \sqrt{p_\omega q_\omega}}

    between spectra normalised to sum one. Source: Mikhaeil, Monfared, Durstewitz, NeurIPS 2022.

    Examples
    --------
    >>> line, other = np.array([[1.0], [0.0]]), np.array([[0.0], [5.0]])
    >>> hellinger(line, 3 * line), hellinger(line, other)
    (0.0, 1.0)
    """
    p, q = test / test.sum(axis=0), reference / reference.sum(axis=0)
    return float(np.sqrt(np.maximum(0.0, 1.0 - np.sqrt(p * q).sum(axis=0))).mean())


def power_spectra(samples: Samples, every: float) -> Spectra:
    """Welch power spectra of each trial; frequencies in cycles per rate time unit.

    Hann windows of the trial's length, at most 4,096 samples, half overlapping, mean removed.
    Source: Welch, IEEE Trans. Audio Electroacoust. 15 (1967).

    Examples
    --------
    >>> wave = np.sin(2 * np.pi * np.arange(200) / 20)[None, :, None]  # a period of 20 samples
    >>> frequency, power = power_spectra(wave, every=0.1)
    >>> float(frequency[power[0, :, 0].argmax()])
    0.5
    """
    from scipy.signal import welch

    return welch(samples, fs=1.0 / every, nperseg=min(SEGMENT, samples.shape[1]), axis=1)


def smoothed_spectra(samples: Samples, every: float) -> Spectra:
    """Periodograms of each trial, smoothed by a Gaussian of `SMOOTHING` bins; frequencies as in `power_spectra`.

    The published variant, up to the order of smoothing and averaging over trials, which is free. (It standardises each
    series first, which the normalisation of `hellinger` makes of no consequence.) A bin is one over the length of a
    trial, so that spectra of long trials are smoothed less. Source: Mikhaeil, Monfared, Durstewitz, NeurIPS 2022.
    """
    from scipy.ndimage import gaussian_filter1d

    about = samples - samples.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(about, axis=1)) ** 2
    return np.fft.rfftfreq(samples.shape[1], every), gaussian_filter1d(power, SMOOTHING, axis=1)


@dataclass(frozen=True)
class PowerSpectrum(Measure):
    """Power-spectrum Hellinger distance D_H; a latent that stands still is at distance one.

    Spectra have the published smoothing if `smoothed`, else Welch's windows, which resolve lines.
    """

    every: float
    smoothed: bool = False

    @classmethod
    def of(cls, reference: ReferenceSamples) -> PowerSpectrum:
        """Of Welch's spectra."""
        return cls(reference.every)

    @classmethod
    def of_smoothed(cls, reference: ReferenceSamples) -> PowerSpectrum:
        """With the published smoothing."""
        return cls(reference.every, smoothed=True)

    @property
    def entries(self) -> tuple[Entry]:
        """The distance; Welch's is prominent."""
        name, words, prominence = ("d_h_smoothed", " (smoothed)", 0) if self.smoothed else ("d_h", "", 3)
        label, short = f"power-spectrum Hellinger D_H{words}", f"D_H{words}"
        return (Entry(name, label, "", coarse=0.5, kind="course", short=short, prominence=prominence,
                      sources=("mikhaeil2022",)),)  # fmt: skip

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial frequency rank"]:
        """Spectra of each trial."""
        return (smoothed_spectra if self.smoothed else power_spectra)(samples, self.every)[1]

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Mean over latents."""
        moves = test.sum(axis=0) > 0
        of_moving = hellinger(test[:, moves], reference[:, moves]) if moves.any() else 0.0
        return (float(of_moving * moves.mean() + (1.0 - moves.mean())),)
