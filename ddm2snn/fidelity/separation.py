"""Can a classifier tell test and reference apart, by single states or by segments?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.classifier import _FOLDS, _RIDGE, Verdicts, _Features, _held_out, delay_embedding
from ddm2snn.fidelity.family import Entry, Number
from ddm2snn.fidelity.samples import thinned

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.family import Samples, Weights

_POINTS = 2000  # per recording
_COSINES = 80
_DELAYS = 4


@dataclass(frozen=True, eq=False)
class Trials:
    """Features of the points of each trial, and their sums.

    Parameters
    ----------
    rows
        Shape (trial, point, feature).
    grams, sums
        Products and sums over the points of each trial, shape (trial, feature, feature) and (trial, feature).
    time
        Relative time of each point, shape (point,).
    """

    rows: np.ndarray
    grams: np.ndarray
    sums: np.ndarray
    time: np.ndarray


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some of the trials, with the sums of every fifth of them, one for each of the five that it can begin with.

    Parameters
    ----------
    rows, time
        As in `Trials`.
    grams, sums
        Shape (fold, feature, feature) and (fold, feature).
    """

    rows: np.ndarray
    time: np.ndarray
    grams: np.ndarray
    sums: np.ndarray

    def without(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean product and mean features of all trials but every fifth from `fold` on."""
        count = (len(self.rows) - len(self.rows[fold::_FOLDS])) * self.rows.shape[1]
        return (self._total[0] - self.grams[fold]) / count, (self._total[1] - self.sums[fold]) / count

    @cached_property
    def _total(self) -> tuple[np.ndarray, np.ndarray]:
        return self.grams.sum(axis=0), self.sums.sum(axis=0)


@dataclass(frozen=True, eq=False)
class Separation:
    """Accuracy of `classify` minus one half, on 2,000 points per recording, so that it can be repeated on many splits.

    Segments are four states, together as long as half of a typical period or correlation time.
    """

    delays: int
    stride: int
    points: int
    features: _Features
    centre: Float[np.ndarray, " rank"]
    scale: Float[np.ndarray, " rank"]
    entries: tuple[Entry, ...]
    costly = True

    @classmethod
    def of(cls, reference: Samples, trials: int, *, delays: int, stride: int) -> Separation:
        """Features scaled to the reference; `trials` per recording."""
        points = max(1, _POINTS // trials)
        name, words = ("c2st_point", "states") if delays == 1 else ("c2st_segment", "segments")
        entries = (Entry(name, f"classifier on {words}, accuracy - 0.5", "", 0.2),)
        centre, scale = reference.mean(axis=(0, 1)), reference.std(axis=(0, 1))
        embedded = delay_embedding((reference - centre) / scale, delays, stride)
        cloud = embedded[:, thinned(embedded.shape[1], len(embedded), _POINTS)].reshape(-1, embedded.shape[2])
        features = _Features.draw(cloud, np.random.default_rng(0), _COSINES)
        return cls(delays, stride, points, features, centre, scale, entries)

    def summarise(self, samples: Samples) -> Trials:
        """Features and relative times of evenly spaced points per trial."""
        embedded = delay_embedding((samples - self.centre) / self.scale, self.delays, self.stride)
        time = thinned(embedded.shape[1], 1, self.points)
        states = embedded[:, time]
        rows = self.features(states.reshape(-1, states.shape[2])).reshape(*states.shape[:2], -1)
        return Trials(rows, np.swapaxes(rows, 1, 2) @ rows, rows.sum(axis=1), time / embedded.shape[1])

    def values(self, summary: Trials, weights: Weights) -> Sequence[Chosen]:
        """The chosen trials; the sums of all selections by one product of matrices, which spares copies."""
        chosen = [np.flatnonzero(weight) for weight in weights]
        folds = np.zeros((len(weights), _FOLDS, len(summary.rows)))
        for run, trials in enumerate(chosen):
            for fold in range(_FOLDS):
                folds[run, fold, trials[fold::_FOLDS]] = 1.0
        flat = folds.reshape(-1, len(summary.rows))
        grams, sums = (
            (flat @ each.reshape(len(each), -1)).reshape(len(weights), _FOLDS, *each.shape[1:])
            for each in (summary.grams, summary.sums)
        )
        rows = [summary.rows[trials] for trials in chosen]
        return [Chosen(each, summary.time, *of) for each, *of in zip(rows, grams, sums, strict=True)]

    def verdicts(self, test: Chosen, reference: Chosen) -> Verdicts:
        """Right answers per trial on held-out trials, or held-out stretches of time below five trials."""
        both = (test, reference)
        if min(len(run.rows) for run in both) >= _FOLDS:
            return Verdicts(*_by_trials(both))
        rows, folds, gaps = [], [], []
        for run in both:
            trials, points = run.rows.shape[:2]
            place = np.tile(_FOLDS * run.time, trials)
            rows.append(run.rows.reshape(trials * points, -1))
            folds.append(place.astype(np.int64))
            gaps.append(place % 1.0)
        right = _held_out(rows, folds, gaps)
        return Verdicts(*(r.reshape(len(run.rows), -1).mean(axis=1) for r, run in zip(right, both, strict=True)))

    def distances(self, test: Chosen, reference: Chosen) -> tuple[float]:
        """Absolute difference of the accuracy from chance."""
        return (float(abs(self.verdicts(test, reference).accuracy()[0] - 0.5)),)

    def numbers(self, test: Chosen, reference: Chosen) -> tuple[Number]:
        """Accuracy beside one half."""
        return ((float(self.verdicts(test, reference).accuracy()[0]), 0.5),)

    def resampled(
        self, summary: Trials, value: Chosen, references: Sequence[Chosen], draws: Weights
    ) -> Float[np.ndarray, " draw"]:
        """Distances of resampled trials, by the classifiers as they were trained."""
        found = [self.verdicts(value, reference).accuracy(draws) for reference in references]
        return np.abs(np.mean(found, axis=0) - 0.5)


def _by_trials(both: tuple[Chosen, Chosen]) -> list[Float[np.ndarray, " trial"]]:
    """Share of right answers per trial, as `classifier._held_out` has it, from sums over trials that are kept."""
    right = [np.zeros(len(run.rows)) for run in both]
    labels = (1.0, -1.0)
    for fold in range(_FOLDS):
        kept = [run.without(fold) for run in both]
        gram = kept[0][0] + kept[1][0]
        target = kept[0][1] - kept[1][1]
        answer = np.linalg.solve(gram + _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), target)
        for label, run, found in zip(labels, both, right, strict=True):
            found[fold::_FOLDS] = ((run.rows[fold::_FOLDS] @ answer) * label > 0).mean(axis=1)
    return right
