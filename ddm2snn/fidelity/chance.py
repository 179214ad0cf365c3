"""What chance alone makes of a measure: its floor and its scatter, from splits of the reference's trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.randomness import stream
from ddm2snn.fidelity.measures.measure import Measure
from ddm2snn.fidelity.samples import mean_of_finite

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_EXPERIMENTS = 240  # pretended comparisons [cost]
_COSTLY = 60  # of those whose distance takes long [cost]
_AT_ONCE = 10  # deals, for the sake of memory [cost]
# relative; differences of means follow 1 / sqrt(T) exactly, and splits know a ratio so well [measured:
# ornsteinuhlenbeck]
_RATIO_KNOWN = 0.15
_FEWEST_TRIALS = 6  # below so many trials in all, splits repeat themselves [choice]
# pretended comparisons with a distance; fewer do not know how it scatters [measured: doublewell, fourwell]
_FEWEST_DECIDED = 30


@dataclass(frozen=True, eq=False)
class Chance:
    r"""Distances that the reference has from itself.

    Trials are independent, so any two disjoint sets of them are two recordings of the reference. With R recordings
    of T trials, all R T trials are dealt out at random (without replacement, since a trial in both sets would bring
    them together):

    - floor: into R recordings of T trials, mean distance over many deals. Unbiased, and far less noisy than the mean
      over the R (R - 1) / 2 pairs of the recordings as they are. With one recording only, into halves and
      quarters, whose mean distances F(T/2) and F(T/4) are continued to F(T) = F(T/2)^2 / F(T/4), or by the 1 / sqrt(2)
      of means where their ratio is as near to it as splits can tell.
    - scatter: into R + 1 recordings of R T / (R + 1) trials, one of which pretends to be the test. Its mean distance
      from the others, over the mean of all, minus one: the comparison's own structure, under no difference.

    Parameters
    ----------
    floor
        Shape (entry,); NaN for a distance that the reference does not allow.
    scatter
        Shape (experiment, entry); without rows where trials are too few to know. NaN where an experiment has no
        distance, such as a dwell time without departures; a distance that fewer than 30 experiments have is NaN in all.
    floor_error
        Standard error of the floor relative to the standard deviation of the scatter.

    Examples
    --------
    >>> chance = Chance(np.array([2.0]), np.array([[-0.5], [0.0], [0.5]]), floor_error=0.1)
    >>> chance.deviation
    array([0.5])
    >>> chance
    Chance(entries=1, experiments=3, floor_error=0.1)
    """

    floor: Float[np.ndarray, " entry"]
    scatter: Float[np.ndarray, "experiment entry"]
    floor_error: float

    def __repr__(self) -> str:
        """Sizes only."""
        experiments, entries = self.scatter.shape
        return f"Chance(entries={entries}, experiments={experiments}, floor_error={self.floor_error:.2g})"

    def high(self, index: int, trials: int) -> float:
        """Distance that 95 % of comparisons without a difference stay below.

        A little above the quantile of the splits, since N trials know their own scatter to 1 / sqrt(2 N) only
        (as Student's quantiles are above normal ones).
        """
        of_splits = self.scatter[np.isfinite(self.scatter[:, index]), index]
        return float(self.floor[index] * (1.0 + np.quantile(of_splits, 0.95) * (1.0 + 3.0 / trials)))

    @property
    def known(self) -> Bool[np.ndarray, " entry"]:
        """Distances whose scatter the experiments tell."""
        return np.isfinite(self.deviation)

    @property
    def deviation(self) -> Float[np.ndarray, " entry"]:
        """Standard deviation of the scatter; NaN for a distance whose scatter is unknown."""
        columns = [column[np.isfinite(column)] for column in self.scatter.T]
        return np.array([column.std(ddof=1) if len(column) > 1 else np.nan for column in columns])


def find_chance(measure: Measure, summary: Any, trials: int, runs: int, seed: int) -> Chance:  # noqa: ANN401
    """Deal the pooled trials of the reference's recordings out again and again, of which `summary` is the measure's.

    Equal seeds deal equally for every measure, so that measures can be judged together.

    Examples
    --------
    >>> from ddm2snn.fidelity.measures.moments import Moments
    >>> noise = np.random.default_rng(0).standard_normal((40, 100, 1))
    >>> moments = Moments(np.zeros(1), np.ones(1))
    >>> chance = find_chance(moments, moments.summarise(noise), trials=20, runs=2, seed=0)
    >>> chance.floor.round(2)  # between deviations and between means of 2,000 samples
    array([0.02, 0.03])
    """
    deals = _Deals(measure, summary, trials * runs, stream(seed, "fidelity", "splits"))
    empty = np.empty((0, len(measure.entries)))
    count = _COSTLY if measure.costly else _EXPERIMENTS
    if runs == 1:
        halves = deals.experiments(2, trials // 2, count)
        enough = deals.trials >= _FEWEST_TRIALS
        floor = deals.continued(mean_of_finite(halves), trials) if enough else mean_of_finite(halves)
        return Chance(floor, _relative(halves) if enough else empty, float(np.sqrt(1.0 / deals.trials)))
    part = deals.trials // (runs + 1)
    scatter = empty
    if deals.trials >= _FEWEST_TRIALS and part > 1:
        scatter = _relative(deals.experiments(runs + 1, part, count))
    whole = deals.experiments(runs, trials, _COSTLY if measure.costly else _EXPERIMENTS // 2)
    return Chance(mean_of_finite(whole), scatter, float(np.sqrt(1.0 / deals.trials)))


@dataclass(frozen=True, eq=False)
class _Deals:
    """Random deals of trials into pretended recordings."""

    measure: Measure
    summary: Any
    trials: int
    rng: np.random.Generator

    def experiments(self, runs: int, part: int, wanted: int) -> Float[np.ndarray, "experiment entry"]:
        """Mean distances of each of `runs` recordings of `part` trials from the others, `wanted` of them or more."""
        count, distances = max(1, -(-wanted // runs)), []
        for start in range(0, count, _AT_ONCE):
            deals = min(_AT_ONCE, count - start)
            weights = np.zeros((deals * runs, self.trials))
            dealt = [self.rng.permutation(self.trials)[: runs * part].reshape(runs, part) for _ in range(deals)]
            np.put_along_axis(weights, np.concatenate(dealt), 1.0, axis=1)
            values = self.measure.values(self.summary, weights)
            distances += [self._from_others(values[i : i + runs]) for i in range(0, len(weights), runs)]
        return np.concatenate(distances)

    def _from_others(self, values: Sequence[Any] | np.ndarray) -> Float[np.ndarray, "run entry"]:
        """Mean distance of each value from the others."""
        runs = len(values)
        apart = np.full((runs, runs, len(self.measure.entries)), np.nan)
        for i in range(runs):
            for j in range(runs):
                if self.measure.costly and i > j:
                    apart[i, j] = apart[j, i]
                elif i != j:
                    apart[i, j] = self.measure.distances(values[i], values[j])
        return mean_of_finite(apart, axis=1)

    def continued(self, half: Float[np.ndarray, " entry"], trials: int) -> Float[np.ndarray, " entry"]:
        """Floor of recordings of `trials` trials from those of halves, by the measure's law."""
        law = self.measure.floor_law
        wanted = (_COSTLY if self.measure.costly else _EXPERIMENTS) // 2
        by_quarters = trials >= 8 and law != "means"
        quarter = mean_of_finite(self.experiments(4, trials // 4, wanted)) if by_quarters else np.sqrt(2.0) * half
        # between no gain from twice the trials (noise of the ratio may lie above) and that of a squared distance
        ratio = np.clip(np.where(quarter > 0, half / np.where(quarter > 0, quarter, 1.0), 1.0), 0.4, 1.1)
        of_means = (law != "observed") & ~(np.abs(ratio / np.sqrt(0.5) - 1.0) > _RATIO_KNOWN)
        return half * np.where(of_means, np.sqrt(0.5), ratio)


def _relative(distances: Float[np.ndarray, "experiment entry"]) -> Float[np.ndarray, "experiment entry"]:
    """Deviations from the mean, relative to it.

    Zero where no experiment shows any distance. NaN where an experiment has none, and for distances that too few have:
    no distance is not the same as no deviation.
    """
    mean = mean_of_finite(distances)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where((mean == 0.0) & np.isfinite(distances), 0.0, distances / mean - 1.0)
    decided = np.isfinite(relative)
    return np.where(decided & (decided.sum(axis=0) >= _FEWEST_DECIDED), relative, np.nan)
