"""Phase of an oscillation: mean period and phase diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.fidelity.oscillation import cycle_counts, mean_period
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float

_CYCLES = 3.0  # fewest per trial
_LOOSEST = 1.0  # standard deviation in radians that a phase may gain in a period and still be one
_LAG_PERIODS = 4
_MARGIN = 0.1  # share of a trial where the Hilbert transform suffers from the ends


@dataclass(frozen=True, eq=False)
class PhaseSums:
    """Phase increments over one lag, per trial: number, sum and sum of squares, from which trials are resampled.

    Parameters
    ----------
    sums
        Shape (trial, 3).
    lag
        In rate time units.
    """

    sums: Float[np.ndarray, "trial moment"]
    lag: float

    def period(self, weights: Float[np.ndarray, "draw trial"] | None = None) -> Float[np.ndarray, " draw"]:
        r"""Mean period :math:`2\pi / |\omega|` in rate time units."""
        mean, _ = self._moments(weights)
        return 2 * np.pi * self.lag / np.maximum(np.abs(mean), 1e-300)

    def diffusion(self, weights: Float[np.ndarray, "draw trial"] | None = None) -> Float[np.ndarray, " draw"]:
        r"""Phase diffusion coefficient :math:`\operatorname{var}(\phi_{t+L} - \phi_t) / 2L`, radian^2 per time unit."""
        mean, square = self._moments(weights)
        return np.maximum(square - mean**2, 0.0) / (2 * self.lag)

    def _moments(self, weights: Float[np.ndarray, "draw trial"] | None) -> tuple[np.ndarray, np.ndarray]:
        weight = np.ones((1, len(self.sums))) if weights is None else weights
        count, first, second = (weight @ self.sums).T
        return first / count, second / count


def phases(
    samples: Float[np.ndarray, "trial time rank"], centre: Float[np.ndarray, " rank"], scale: Float[np.ndarray, " rank"]
) -> Float[np.ndarray, "trial time"]:
    """Unwrapped phase in radians: angle about `centre` in the first two latents; in rank 1 the Hilbert phase.

    The Hilbert transform suffers from the ends, so a tenth of the trial is missing on either side in rank 1.
    """
    about = (samples - centre) / scale
    if samples.shape[2] > 1:
        return np.unwrap(np.arctan2(about[..., 1], about[..., 0]), axis=1)
    from scipy.signal import hilbert

    margin = int(_MARGIN * samples.shape[1])
    angle = np.angle(np.asarray(hilbert(about[..., 0], axis=1)))
    return np.unwrap(angle[:, margin : samples.shape[1] - margin], axis=1)


def phase_sums(
    samples: Float[np.ndarray, "trial time rank"], every: float, *, like: PhaseSums | None = None
) -> PhaseSums | None:
    """Sum phase increments over a lag of four periods, in which a phase forgets the shape of its cycle.

    Parameters
    ----------
    samples
        In system units.
    every
        Sampling interval in rate time units.
    like
        Sums of the reference, whose lag is taken for a test.

    Returns
    -------
    The sums, or None where there is no oscillation: fewer than three cycles per trial by crossings of the first
    latent, a phase that turns at another period than the crossings (by a fifth), or one that spreads by more
    than a radian within a period, such as that of noise, of switching between wells or of chaos.

    Notes
    -----
    Source: Pikovsky, Rosenblum, Kurths, Synchronization (2001), section 9.1 and appendix A2; thresholds ours.
    """
    check_samples("phase_sums", {"samples": samples}, shortest=10)
    check_positive("phase_sums", every=every)
    centre, scale = samples.mean(axis=(0, 1)), samples.std(axis=(0, 1))
    if not scale[:2].all():
        return None
    cycles, spans = cycle_counts(samples, every, scale)
    period = float(mean_period(cycles, spans))
    if not np.median(cycles) >= _CYCLES:
        return None
    phase = phases(samples, centre, scale)
    length = phase.shape[1]
    wanted = like.lag if like else _LAG_PERIODS * period
    steps = max(1, min(round(wanted / every), length - 1 if like else length // 2))
    found = _sum_increments(phase, steps, every)
    turned = found.period()[0]
    # test the spread at the shorter lag of one period, where few turns can be told from none
    short = _sum_increments(phase, max(1, min(round(period / every), length - 1)), every)
    spread = np.sqrt(2 * short.diffusion()[0] * period)
    return found if abs(turned / period - 1) < 0.2 and spread < _LOOSEST else None


def _sum_increments(phase: Float[np.ndarray, "trial time"], steps: int, every: float) -> PhaseSums:
    change = phase[:, steps:] - phase[:, :-steps]
    count = np.full(len(change), change.shape[1], dtype=np.float64)
    return PhaseSums(np.stack([count, change.sum(axis=1), (change**2).sum(axis=1)], axis=1), steps * every)
