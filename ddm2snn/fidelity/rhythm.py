"""How the latents go on in time: power spectrum, autocorrelation, period, phase diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.autocorrelation import autocorrelation_distance, lagged_products
from ddm2snn.fidelity.family import Entry, Number
from ddm2snn.fidelity.oscillation import cycle_counts, mean_period, most_regular
from ddm2snn.fidelity.phase import PhaseSums, phase_sums
from ddm2snn.fidelity.spectrum import hellinger, power_spectra, smoothed_spectra

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.family import Samples, Weights

_LAGS = 400


@dataclass(frozen=True)
class Spectrum:
    """Power-spectrum Hellinger distance D_H; a latent that stands still is at distance one.

    In two variants: of Welch's spectra, which resolve lines, and with the published smoothing.
    """

    every: float
    smoothed: bool = False
    costly = False

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The distance."""
        name, words = ("d_h_smoothed", " (smoothed)") if self.smoothed else ("d_h", "")
        return (Entry(name, f"power-spectrum Hellinger D_H{words}", "", 0.5),)

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial frequency rank"]:
        """Spectra per trial."""
        return (smoothed_spectra if self.smoothed else power_spectra)(samples, self.every)[1]

    def values(self, summary: np.ndarray, weights: Weights) -> Float[np.ndarray, "run frequency rank"]:
        """Mean spectra."""
        return np.tensordot(weights, summary, axes=1) / weights.sum(axis=1)[:, None, None]

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Mean over latents."""
        moves = test.sum(axis=0) > 0
        found = hellinger(test[:, moves], reference[:, moves]) if moves.any() else 0.0
        return (float(found * moves.mean() + (1.0 - moves.mean())),)

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Number]:
        """None: spectra are functions."""
        return (None,)


@dataclass(frozen=True)
class Correlation:
    """Root-mean-square difference of autocorrelation functions; a latent that stands still stays correlated."""

    lags: int
    entries: tuple[Entry, ...] = (Entry("autocorrelation", "autocorrelation function", "", 0.3),)
    costly = False

    @classmethod
    def of(cls, reference: Samples) -> Correlation:
        """With lags up to a quarter of the trials, at most 400."""
        return cls(min(_LAGS, reference.shape[1] // 4))

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial lag rank"]:
        """Lagged products per trial."""
        return lagged_products(samples, self.lags)

    def values(self, summary: np.ndarray, weights: Weights) -> Float[np.ndarray, "run lag rank"]:
        """Autocorrelation functions."""
        total = np.tensordot(weights, summary, axes=1)
        first = total[:, :1]
        return np.where(first > 0, total / np.where(first > 0, first, 1.0), 1.0)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Over lags and latents."""
        return (autocorrelation_distance(test, reference),)

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Number]:
        """None."""
        return (None,)


@dataclass(frozen=True, eq=False)
class Oscillation:
    """Period, of the latent that cycles most regularly, and where the reference has a phase, its diffusion."""

    every: float
    scale: Float[np.ndarray, " rank"]
    latent: int
    like: PhaseSums | None
    costly = False

    @classmethod
    def of(cls, reference: Samples, every: float) -> Oscillation | None:
        """None where the reference completes no cycle."""
        scale = reference.std(axis=(0, 1))
        latent = most_regular(reference, scale)
        found = cls(every, scale, latent, phase_sums(reference, every))
        return found if cycle_counts(reference, every, scale, latent)[0].sum() else None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Period, phase diffusion."""
        period = Entry("period", "oscillation period", "relative", 0.2)
        phase = Entry("phase_diffusion", "phase diffusion", "relative", 1.0)
        return (period, phase) if self.like else (period,)

    def summarise(self, samples: Samples) -> tuple[np.ndarray, np.ndarray, PhaseSums | None]:
        """Cycles with their time, and phase increments, per trial."""
        cycles, spans = cycle_counts(samples, self.every, self.scale, self.latent)
        return cycles, spans, phase_sums(samples, self.every, like=self.like) if self.like else None

    def values(self, summary: tuple[np.ndarray, np.ndarray, PhaseSums | None], weights: Weights) -> np.ndarray:
        """Period and phase diffusion, shape (run, 2)."""
        cycles, spans, sums = summary
        period = mean_period(cycles * weights, spans * weights)
        return np.stack([period, sums.diffusion(weights) if sums else np.full(len(weights), np.nan)], axis=1)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float, ...]:
        """Relative differences."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.abs(test / reference - 1.0)
        return tuple(map(float, found[: len(self.entries)]))

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Number, ...]:
        """In rate time units, and radian^2 per rate time unit."""
        return tuple((float(test[i]), float(reference[i])) for i in range(len(self.entries)))
