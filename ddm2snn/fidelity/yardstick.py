"""A reference made ready for comparisons: its measures, its own values and what chance makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.randomness import stream
from ddm2snn.fidelity.battery import battery
from ddm2snn.fidelity.chance import Chance, find_chance
from ddm2snn.fidelity.family import Entry, Family
from ddm2snn.fidelity.occupancy import Matching
from ddm2snn.fidelity.report import Measure
from ddm2snn.fidelity.separation import Separation

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.family import Samples, Weights

_RESAMPLES = 100
_NORMAL_95 = 1.959964
_NEAR = 4.0  # deviations of chance above the floor, where half of the scatter downwards is that of resampled trials
_FAMILY_WISE = 0.98  # of the largest deviation over all measures; leaves 2 % of 5 % for uncertainty of the splits
_UNCERTAIN = 10.0  # trials
_COSTLY_LIMIT = 4.5  # deviations; few splits give no such quantile, a half-normal exceeds this with 0.05 %


@dataclass(frozen=True, eq=False)
class _Known:
    """A family with the reference's summary, its recordings' values, and chance."""

    family: Family
    values: Sequence[Any] | np.ndarray
    chance: Chance


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What every comparison with one reference shares.

    Parameters
    ----------
    pooled
        Trials of all recordings of the reference, one recording after the other.
    trials, runs
        Trials per recording, and recordings.
    every
        Sampling interval in rate time units.
    wells
        Centres of wells, if any.
    seed
        Of splits and resampling.
    """

    pooled: Samples
    trials: int
    runs: int
    every: float
    wells: Float[np.ndarray, "well rank"] | None
    seed: int

    @classmethod
    def of(
        cls, recordings: Sequence[Samples], every: float, wells: Float[np.ndarray, "well rank"] | None, seed: int
    ) -> Yardstick:
        """From recordings of equal shape."""
        return cls(np.concatenate(list(recordings)), len(recordings[0]), len(recordings), every, wells, seed)

    @cached_property
    def known(self) -> list[_Known]:
        """All families; each summary of the reference is dropped once its values are known."""
        return [self.know(family) for family in battery(self.pooled, self.every, self.trials, self.wells)]

    def know(self, family: Family) -> _Known:
        """Values of the reference's recordings, and what chance makes of them."""
        summary = family.summarise(self.pooled)
        chance = find_chance(family, summary, self.trials, self.runs, self.seed)
        return _Known(family, family.values(summary, np.kron(np.eye(self.runs), np.ones(self.trials))), chance)

    @cached_property
    def limit(self) -> float | None:
        """Deviations above the floor that chance exceeds in no measure, in 98 % of comparisons; None where unknown."""
        columns = []
        for known in self.known:
            deviation = known.chance.deviation
            for index, entry in enumerate(known.family.entries):
                if deviation[index] > 0 and not known.family.costly and self._tells(known.chance, index, entry):
                    columns.append(known.chance.scatter[:, index] / deviation[index])
        if not columns:
            return None
        return float(np.quantile(np.max(columns, axis=0), _FAMILY_WISE)) * self._caution

    def _tells(self, chance: Chance, index: int, entry: Entry) -> bool:
        """Whether chance stays below what would be a coarse difference."""
        known = len(chance.scatter) > 0 and bool(np.isfinite(chance.floor[index]))
        return known and chance.high(index, len(self.pooled)) <= entry.coarse

    @property
    def _caution(self) -> float:
        """Student's quantiles over normal ones, roughly: splits of N trials know their scatter to 1 / sqrt(2 N)."""
        return 1.0 + _UNCERTAIN / len(self.pooled)

    def measures(self, tests: Sequence[Samples]) -> tuple[list[Measure], list[str]]:
        """Distances of recordings of one network from the reference, as means; and what could not be measured."""
        draws = stream(self.seed, "fidelity", "bootstrap").multinomial(
            self.trials, np.full(self.trials, 1.0 / self.trials), size=_RESAMPLES
        )
        measures, missing = [], []
        for known in self.known:
            found = [_judge(known, samples, draws.astype(np.float64)) for samples in tests]
            for index, entry in enumerate(known.family.entries):
                here = [f for f in found if np.isfinite(f.distances[index])]
                if here and np.isfinite(known.chance.floor[index]):
                    measures.append(self._measure(known, index, entry, here))
                else:
                    missing.append(entry.label)
        return measures, missing

    def _measure(self, known: _Known, index: int, entry: Entry, found: list[_Judged]) -> Measure:
        """Mean over recordings, with interval, floor and whether it is more than chance."""
        chance, floor = known.chance, float(known.chance.floor[index])
        distances = np.array([f.distances[index] for f in found])
        distance = float(distances.mean())
        by_chance = floor * float(chance.deviation[index])
        over = max(0.0, distance - floor) / by_chance if by_chance > 0 else np.inf if distance > floor else 0.0
        resampled = float(np.mean([f.variances[index] for f in found])) * (1.0 + 1.0 / self.runs)
        spread = _spread(by_chance, resampled, over, self.trials)
        if len(distances) > 1:
            spread = np.sqrt(np.maximum(spread**2, distances.var(ddof=1)) / len(distances))
        interval = excess = high = None
        if np.isfinite(spread).all() and len(chance.scatter):
            interval = _around(distance, spread)
            relative = distance / max(floor, 1e-12)
            of_floor = relative * chance.floor_error * float(chance.deviation[index])
            excess = _around(relative, np.hypot(spread / max(floor, 1e-12), of_floor))
            high = chance.high(index, len(self.pooled))
        informative = high is not None and self._tells(chance, index, entry)
        limit = _COSTLY_LIMIT * self._caution if known.family.costly else self.limit
        numbers = [n for n in (f.numbers[index] for f in found) if n is not None]
        test, reference = np.mean(numbers, axis=0) if numbers else (None, None)
        return Measure(
            name=entry.name,
            label=entry.label,
            unit=entry.unit,
            distance=distance,
            floor=floor,
            interval=interval,
            samples=self.trials * self.pooled.shape[1],
            trials=self.trials,
            test=None if test is None else float(test),
            reference=None if reference is None else float(reference),
            floor_high=high,
            excess_interval=excess,
            informative=informative,
            differs=bool(informative and limit is not None and over > limit),
            recordings=len(found),
        )


@dataclass(frozen=True, eq=False)
class _Judged:
    """Distances of one test recording per entry, their variance when its trials are resampled, compared numbers."""

    distances: Float[np.ndarray, " entry"]
    variances: Float[np.ndarray, " entry"]
    numbers: list[tuple[float, float] | None]


def _judge(known: _Known, samples: Samples, draws: Weights) -> _Judged:
    family, references = known.family, known.values
    summary = family.summarise(samples)
    value = family.values(summary, np.ones((1, len(samples))))[0]
    pairs = [family.distances(value, reference) for reference in references]
    numbers = [family.numbers(value, reference) for reference in references]
    mean = []
    for index in range(len(family.entries)):
        known_numbers = [n for n in (row[index] for row in numbers) if n is not None and np.isfinite(n).all()]
        mean.append(tuple(np.mean(known_numbers, axis=0)) if known_numbers else None)
    if len(samples) < 2:
        variances = np.full(len(family.entries), np.nan)
    elif isinstance(family, Separation | Matching):
        variances = np.array([family.resampled(summary, value, list(references), draws).var(ddof=1)])
    else:
        again = [
            np.mean([family.distances(other, reference) for reference in references], axis=0)
            for other in family.values(summary, draws)
        ]
        variances = _finite_variance(np.array(again))
    return _Judged(np.mean(pairs, axis=0), variances, mean)


def _finite_variance(values: Float[np.ndarray, "draw entry"]) -> Float[np.ndarray, " entry"]:
    found = np.full(values.shape[1], np.nan)
    for index, column in enumerate(values.T):
        finite = column[np.isfinite(column)]
        if len(finite) > 1:
            found[index] = finite.var(ddof=1)
    return found


def _spread(by_chance: float, resampled: float, over: float, trials: int) -> Float[np.ndarray, " side"]:
    """Standard deviations of the distance, downwards and upwards.

    Near the floor a distance is folded: where the difference of two numbers is within chance, its absolute value
    scatters by 0.6 of what the difference does, and resampling adds noise to the noise of other distances. Splits are
    exact there, so downwards, where the interval meets the floor, theirs is taken near the floor and that of resampled
    trials far above it. Upwards it is the larger of the two: a difference that noise has made smaller can lie above by
    all that the difference scatters.
    """
    if not np.isfinite(by_chance):
        return np.full(2, np.nan)
    if not np.isfinite(resampled):
        return np.full(2, by_chance)
    near = 1.0 / (1.0 + (min(over, 1e6) / _NEAR) ** 4)
    blended = near * by_chance**2 + (1.0 - near) * resampled
    return np.sqrt([blended, max(by_chance**2, resampled * _small_sample(trials))])


def _small_sample(trials: int) -> float:
    """Factor on the variance of resampled trials: few of them know their own scatter badly (Student), and too small."""
    from scipy.special import stdtrit

    return trials / (trials - 1) * (float(stdtrit(trials - 1, 0.975)) / _NORMAL_95) ** 2 if trials > 1 else 1.0


def _around(value: float, spread: Float[np.ndarray, " side"]) -> tuple[float, float]:
    return max(0.0, value - _NORMAL_95 * float(spread[0])), value + _NORMAL_95 * float(spread[1])
