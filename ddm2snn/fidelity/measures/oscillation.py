"""Oscillation: period, by cycles of one latent, and phase diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.fidelity.measures.measure import Entry, Measure, Numbers, ReferenceSamples
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.fidelity.samples import Samples, Weights

    OfTrials = Float[np.ndarray, "... trial"]
    OfLatents = Float[np.ndarray, " rank"]

_SWING = 1.0  # in standard deviations, so that noise does not count as a cycle [choice]
_FEWEST_CYCLES = 3.0  # per trial, for a phase [choice]
_LARGEST_SPREAD = 1.0  # standard deviation in radians that a phase may gain in a period and still be one [choice]
_LAG_PERIODS = 4  # over which the phase diffuses [choice]
_MARGIN = 0.1  # share of a trial where the Hilbert transform suffers from the ends [choice]


def cycle_counts(samples: Samples, every: float, scale: OfLatents, latent: int = 0) -> tuple[OfTrials, OfTrials]:
    """Complete cycles of one latent in each trial, and the time in rate time units that they took.

    A cycle runs from one rise to the next. A rise is the moment a latent has climbed one sd above its last trough; a
    trough counts once the latent has fallen one sd from its last peak. The mean period of a set of trials is the sum of
    the times over the sum of the cycles.

    Examples
    --------
    >>> wave = np.sin(2 * np.pi * np.arange(100) / 20)[None, :, None]  # a period of 20 samples of 0.1
    >>> cycles, times = cycle_counts(wave, 0.1, wave.std(axis=(0, 1)))
    >>> cycles, times
    (array([3.]), array([6.]))
    >>> mean_period(cycles, times)
    array(2.)
    """
    rises = [np.flatnonzero(rise) for rise in _rises(samples[..., latent], _SWING * scale[latent])]
    cycles = np.array([max(len(steps) - 1, 0) for steps in rises], dtype=np.float64)
    return cycles, every * np.array([steps[-1] - steps[0] if len(steps) else 0.0 for steps in rises])


def most_regular(samples: Samples, scale: OfLatents) -> int:
    """Latent whose cycles are the most alike: the smallest standard deviation of their lengths over the mean.

    The first latent of Lorenz's system lingers about its lobes for any number of turns; each turn is a cycle of the
    third. The first latent where none completes two cycles.
    """
    spread = []
    for latent in range(samples.shape[2]):
        rises = _rises(samples[..., latent], _SWING * scale[latent])
        lengths = np.concatenate([np.diff(np.flatnonzero(each)) for each in rises])
        spread.append(lengths.std() / lengths.mean() if len(lengths) > 1 else np.inf)
    return int(np.argmin(spread))


def _rises(series: Float[np.ndarray, "trial time"], swing: float) -> Bool[np.ndarray, "trial time"]:
    """Where each series has risen by a swing from a trough, after it had fallen by a swing from a peak."""
    rises = np.zeros(series.shape, dtype=bool)
    high, low = series[:, 0].copy(), np.full(len(series), np.inf)
    up = np.ones(len(series), dtype=bool)
    for step in range(1, series.shape[1] if swing > 0 else 0):
        x = series[:, step]
        high, low = np.where(up, np.maximum(high, x), x), np.where(up, x, np.minimum(low, x))
        rises[:, step] = ~up & (x >= low + swing)
        up = np.where(up, x > high - swing, rises[:, step])
    return rises


def mean_period(cycles: OfTrials, times: OfTrials) -> Float[np.ndarray, "..."]:
    """Mean period of the trials in rate time units; NaN where none completes a cycle."""
    total = cycles.sum(axis=-1)
    return np.where(total > 0, times.sum(axis=-1) / np.maximum(total, 1), np.nan)


@dataclass(frozen=True, eq=False)
class PhaseSums:
    """Phase increments over one lag, in rate time units: number, sum and sum of squares of each trial.

    Examples
    --------
    >>> sums = PhaseSums(np.array([[2.0, 2 * np.pi, 2 * np.pi**2 + 0.2]]), lag=0.5)  # pi +- sqrt(0.1) in half a unit
    >>> sums.period(), sums.diffusion().round(6)
    (array([1.]), array([0.1]))
    """

    sums: Float[np.ndarray, "trial moment"]
    lag: float

    def period(self, weights: Weights | None = None) -> Float[np.ndarray, " selection"]:
        r"""Mean period :math:`2\pi / |\omega|` in rate time units."""
        mean, _ = self._moments(weights)
        return 2 * np.pi * self.lag / np.maximum(np.abs(mean), 1e-300)

    def diffusion(self, weights: Weights | None = None) -> Float[np.ndarray, " selection"]:
        r"""Phase diffusion coefficient :math:`\operatorname{var}(\phi_{t+L} - \phi_t) / 2L`, radian^2 per time unit."""
        mean, square = self._moments(weights)
        return np.maximum(square - mean**2, 0.0) / (2 * self.lag)

    def _moments(self, weights: Weights | None) -> tuple[np.ndarray, np.ndarray]:
        weight = np.ones((1, len(self.sums))) if weights is None else weights
        count, first, second = (weight @ self.sums).T
        return first / count, second / count


def phase_sums(samples: Samples, every: float, *, lag: float | None = None) -> PhaseSums | None:
    """Sum phase increments over a lag of four periods, so that the phase's unevenness within a cycle averages out.

    Of a test that is compared with a reference, `lag` is the reference's, in rate time units. None where there is no
    oscillation: a median of fewer than three cycles per trial (from rise to rise of latent 0, since the phase turns
    once in each of its cycles), a phase with another period than these cycles (by a fifth), or one that spreads by more
    than a radian within a period, as noise, switching between wells or chaos does.

    Source: Pikovsky, Rosenblum, Kurths, Synchronization (2001), section 9.1 and appendix A2; thresholds ours.
    """
    check_samples("phase_sums", {"samples": samples}, shortest=10)
    check_positive("phase_sums", every=every)
    centre, scale = samples.mean(axis=(0, 1)), samples.std(axis=(0, 1))
    if not scale[:2].all():
        return None
    cycles, times = cycle_counts(samples, every, scale)
    period = float(mean_period(cycles, times))
    if not np.median(cycles) >= _FEWEST_CYCLES:
        return None
    phase = _phases(samples, centre, scale)
    length = phase.shape[1]
    wanted = lag or _LAG_PERIODS * period
    # a lag of its own leaves half of the trial to average over; that of a reference is kept, for equal lags compare
    steps = max(1, min(round(wanted / every), length - 1 if lag else length // 2))
    sums = _sum_increments(phase, steps, every)
    # the spread is judged over one period: at the longer lag a short trial has as few as two separate increments
    short = _sum_increments(phase, max(1, min(round(period / every), length - 1)), every)
    spread = np.sqrt(2 * short.diffusion()[0] * period)
    return sums if abs(sums.period()[0] / period - 1) < 0.2 and spread < _LARGEST_SPREAD else None


def _phases(samples: Samples, centre: OfLatents, scale: OfLatents) -> Float[np.ndarray, "trial time"]:
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


def _sum_increments(phase: Float[np.ndarray, "trial time"], steps: int, every: float) -> PhaseSums:
    change = phase[:, steps:] - phase[:, :-steps]
    count = np.full(len(change), change.shape[1], dtype=np.float64)
    return PhaseSums(np.stack([count, change.sum(axis=1), (change**2).sum(axis=1)], axis=1), steps * every)


_Summary = tuple[np.ndarray, np.ndarray, PhaseSums | None]


@dataclass(frozen=True, eq=False)
class Oscillation(Measure):
    """Period, of the latent that cycles most regularly, and phase diffusion, where the reference has a phase.

    Cycles are those of one `latent`. The lag of phase increments in rate time units, `phase_lag`, is None where the
    reference has no phase.
    """

    every: float
    scale: OfLatents
    latent: int
    phase_lag: float | None

    @classmethod
    def of(cls, reference: ReferenceSamples) -> Oscillation | None:
        """None where the reference completes no cycle."""
        samples, every = reference.samples, reference.every
        scale = samples.std(axis=(0, 1))
        latent = most_regular(samples, scale)
        if not cycle_counts(samples, every, scale, latent)[0].sum():
            return None
        sums = phase_sums(samples, every)
        return cls(every, scale, latent, sums.lag if sums else None)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Period, phase diffusion."""
        period = Entry("period", "oscillation period", "relative", coarse=0.2, kind="period", short="period")
        phase = Entry("phase_diffusion", "phase diffusion", "relative", coarse=1.0, kind="timing",
                      sources=("pikovsky2001",))  # fmt: skip
        return (period, phase) if self.phase_lag else (period,)

    def summarise(self, samples: Samples) -> _Summary:
        """Cycles with their time, and phase increments, of each trial."""
        cycles, times = cycle_counts(samples, self.every, self.scale, self.latent)
        return cycles, times, phase_sums(samples, self.every, lag=self.phase_lag) if self.phase_lag else None

    def values(self, summary: _Summary, weights: Weights) -> Float[np.ndarray, "selection number"]:
        """Period and phase diffusion, shape (selection, 2)."""
        cycles, times, sums = summary
        period = mean_period(cycles * weights, times * weights)
        return np.stack([period, sums.diffusion(weights) if sums else np.full(len(weights), np.nan)], axis=1)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float, ...]:
        """Relative differences."""
        with np.errstate(divide="ignore", invalid="ignore"):
            change = np.abs(test / reference - 1.0)
        return tuple(map(float, change[: len(self.entries)]))

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Numbers, ...]:
        """In rate time units, and radian^2 per rate time unit."""
        return tuple((float(test[i]), float(reference[i])) for i in range(len(self.entries)))
