"""A reference made ready for comparisons: its measures, its own values and what chance makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.randomness import stream
from ddm2snn.fidelity.chance import Chance, find_chance
from ddm2snn.fidelity.measures import Entry, Measure, ReferenceSamples, measures_of
from ddm2snn.fidelity.report import JudgedDistance
from ddm2snn.fidelity.samples import mean_of_finite

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.measures.measure import Numbers
    from ddm2snn.fidelity.samples import Samples, Weights

    Raw = tuple[Float[np.ndarray, " entry"], Float[np.ndarray, " entry"], list[Numbers]]
    """Of a test recording: distances, their variance when its trials are resampled, compared numbers."""

_RESAMPLES = 100  # of the trials of a test [cost]
_NORMAL_95 = 1.959964  # quantile of the normal distribution at 97.5 % [derived]
# deviations of chance above the floor, where half of the scatter downwards is that of resampled trials [measured:
# ornsteinuhlenbeck]
_NEAR = 4.0
# of the largest deviation over all measures; leaves 2 % of 5 % for uncertainty of the splits [measured:
# ornsteinuhlenbeck]
_FAMILY_WISE = 0.98
_UNCERTAIN = 10.0  # trials [measured: ornsteinuhlenbeck]
_COSTLY_LIMIT = 4.5  # deviations; few splits give no such quantile, a half-normal exceeds this with 0.05 % [derived]


@dataclass(frozen=True, eq=False)
class PreparedMeasure:
    """A measure with the values of the reference's recordings, and what chance makes of its distances."""

    measure: Measure
    values: Sequence[Any] | np.ndarray
    chance: Chance


@dataclass(frozen=True, eq=False)
class Reference:
    """What every comparison with one reference shares: samples of all its recordings, seed of splits and resampling.

    Examples
    --------
    >>> from ddm2snn.fidelity.measures.moments import Moments
    >>> noise = np.random.default_rng(0).standard_normal((2, 8, 200, 1))
    >>> reference = Reference(ReferenceSamples.of(noise, every=0.1), seed=0)
    >>> reference.prepare(Moments.of(reference.samples)).chance
    Chance(entries=2, experiments=240, floor_error=0.25)
    """

    samples: ReferenceSamples
    seed: int

    @cached_property
    def prepared(self) -> list[PreparedMeasure]:
        """All measures that the reference allows."""
        return [self.prepare(measure) for measure in measures_of(self.samples)]

    def prepare(self, measure: Measure) -> PreparedMeasure:
        """Values of the reference's recordings, and what chance makes of them; the summary is dropped."""
        trials, runs = self.samples.trials, self.samples.runs
        summary = measure.summarise(self.samples.samples)
        chance = find_chance(measure, summary, trials, runs, self.seed)
        return PreparedMeasure(measure, measure.values(summary, np.kron(np.eye(runs), np.ones(trials))), chance)

    @cached_property
    def limit(self) -> float | None:
        """Deviations above the floor that chance exceeds in no measure, in 98 % of comparisons; None where unknown."""
        columns = []
        for each in self.prepared:
            deviation = each.chance.deviation
            for index, entry in enumerate(each.measure.entries):
                if deviation[index] > 0 and not each.measure.costly and self._tells(each.chance, index, entry):
                    columns.append(each.chance.scatter[:, index] / deviation[index])
        if not columns:
            return None
        largest = np.nanmax(columns, axis=0, initial=0.0)  # of the distances that a pretended comparison has
        return float(np.quantile(largest, _FAMILY_WISE)) * self._caution

    def _tells(self, chance: Chance, index: int, entry: Entry) -> bool:
        """Whether chance stays below what would be a coarse difference."""
        known = bool(chance.known[index] and np.isfinite(chance.floor[index]))
        return known and chance.high(index, self._pooled_trials) <= entry.coarse

    @property
    def _pooled_trials(self) -> int:
        return len(self.samples.samples)

    @property
    def _caution(self) -> float:
        """Student's quantiles over normal ones, roughly: splits of N trials know their scatter to 1 / sqrt(2 N)."""
        return 1.0 + _UNCERTAIN / self._pooled_trials

    def judge(self, tests: Sequence[Samples]) -> tuple[list[JudgedDistance], list[str]]:
        """Mean distances of recordings of one network from the reference; labels of those that could not be measured.

        The recordings are finite, and have as many trials as those of the reference.
        """
        trials = self.samples.trials
        draws = stream(self.seed, "fidelity", "bootstrap").multinomial(
            trials, np.full(trials, 1.0 / trials), size=_RESAMPLES
        )
        judged, missing = [], []
        for each in self.prepared:
            raw = [_measure(each, samples, draws.astype(np.float64)) for samples in tests]
            for index, entry in enumerate(each.measure.entries):
                finite = [r for r in raw if np.isfinite(r[0][index])]
                if finite and np.isfinite(each.chance.floor[index]):
                    judged.append(self._judge(each, index, entry, finite))
                else:
                    missing.append(entry.label)
        return judged, missing

    def _judge(self, each: PreparedMeasure, index: int, entry: Entry, raw: Sequence[Raw]) -> JudgedDistance:
        """Mean over recordings, with interval, floor and whether it is more than chance."""
        chance, floor, trials = each.chance, float(each.chance.floor[index]), self.samples.trials
        distances = np.array([of_test[index] for of_test, _, _ in raw])
        distance = float(distances.mean())
        by_chance = floor * float(chance.deviation[index])
        over = max(0.0, distance - floor) / by_chance if by_chance > 0 else np.inf if distance > floor else 0.0
        resampled = float(np.mean([variances[index] for _, variances, _ in raw])) * (1.0 + 1.0 / self.samples.runs)
        spread = _spread(by_chance, resampled, over, trials)
        if len(distances) > 1:
            among = distances.var(ddof=1) * _student(len(distances))
            spread = np.sqrt(np.maximum(spread**2, among) / len(distances))
        interval = excess = high = None
        if np.isfinite(spread).all() and chance.known[index]:
            interval = _around(distance, spread)
            relative = distance / max(floor, 1e-12)
            of_floor = relative * chance.floor_error * float(chance.deviation[index])
            excess = _around(relative, np.hypot(spread / max(floor, 1e-12), of_floor))
            high = chance.high(index, self._pooled_trials)
        informative = high is not None and self._tells(chance, index, entry)
        limit = _COSTLY_LIMIT * self._caution if each.measure.costly else self.limit
        numbers = [n for n in (pairs[index] for _, _, pairs in raw) if n is not None]
        test, reference = np.mean(numbers, axis=0) if numbers else (None, None)
        return JudgedDistance(
            entry=entry,
            distance=distance,
            floor=floor,
            interval=interval,
            samples=trials * self.samples.samples.shape[1],
            trials=trials,
            test=None if test is None else float(test),
            reference=None if reference is None else float(reference),
            floor_high=high,
            excess_interval=excess,
            informative=informative,
            differs=bool(informative and limit is not None and over > limit),
            recordings=len(raw),
        )


def _measure(each: PreparedMeasure, samples: Samples, draws: Weights) -> Raw:
    """Means over the recordings of the reference."""
    measure, references = each.measure, list(each.values)
    summary = measure.summarise(samples)
    value = measure.values(summary, np.ones((1, len(samples))))[0]
    distances = [measure.distances(value, reference) for reference in references]
    pairs = [measure.numbers(value, reference) for reference in references]
    numbers: list[Numbers] = []
    for of_entry in zip(*pairs, strict=True):
        finite = [pair for pair in of_entry if pair is not None and np.isfinite(pair).all()]
        numbers.append(tuple(np.mean(finite, axis=0)) if finite else None)
    if len(samples) < 2:
        variances = np.full(len(measure.entries), np.nan)
    else:
        variances = _finite_variance(measure.resampled(summary, value, references, draws))
    return mean_of_finite(np.array(distances)), variances, numbers


def _finite_variance(values: Float[np.ndarray, "draw entry"]) -> Float[np.ndarray, " entry"]:
    """Variance over the finite draws; NaN for fewer than two of them."""
    finite = [column[np.isfinite(column)] for column in values.T]
    return np.array([column.var(ddof=1) if len(column) > 1 else np.nan for column in finite])


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
    return trials / (trials - 1) * _student(trials) if trials > 1 else 1.0


def _student(count: int) -> float:
    """Factor on a variance that is itself estimated from `count` numbers, two or more, for normal quantiles."""
    from scipy.special import stdtrit

    return (float(stdtrit(count - 1, 0.975)) / _NORMAL_95) ** 2


def _around(value: float, spread: Float[np.ndarray, " side"]) -> tuple[float, float]:
    return max(0.0, value - _NORMAL_95 * float(spread[0])), value + _NORMAL_95 * float(spread[1])
