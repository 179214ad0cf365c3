"""Classifier two-sample test: can a classifier tell the test from the reference, by states or by segments?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.base.arrays import as_count
from ddm2snn.base.least_squares import solve_ridge
from ddm2snn.fidelity.measures.measure import Entry, FloorLaw, Measure, Numbers, ReferenceSamples
from ddm2snn.fidelity.samples import check_samples, median_distance, thinned

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.fidelity.samples import Samples, Weights

FOLDS = 5  # [choice]
"""Parts of the trials that are held out in turn."""
_MOST_POINTS = 2000  # per recording [cost]
_COSINES = 80  # random features [choice]
_SEGMENT_STATES = 4  # of one segment that is classified [choice]
_RIDGE = 1e-3  # relative to the mean square of the features [choice]


def delay_embedding(samples: Samples, delays: int, stride: int = 1) -> Float[np.ndarray, "trial time delay"]:
    """Segments of a trajectory as points: state now, `stride` samples later, and so on, `delays` states in all.

    Examples
    --------
    >>> delay_embedding(np.arange(5.0).reshape(1, 5, 1), delays=2, stride=3)
    array([[[0., 3.],
            [1., 4.]]])
    """
    check_samples("delay_embedding", {"samples": samples}, shortest=(delays - 1) * stride + 1)
    as_count("delays", delays)
    as_count("stride", stride)
    last = samples.shape[1] - (delays - 1) * stride
    return np.concatenate([samples[:, i * stride : i * stride + last] for i in range(delays)], axis=-1)


@dataclass(frozen=True, eq=False)
class Features:
    r"""What the classifier is linear in: a constant, latents, their products, and random cosines.

    .. math:: \cos(\omega \cdot x + b)

    with :math:`\omega` Gaussian over the median distance of points, times 1, 2 or 4. Source: Rahimi, Recht, NeurIPS
    2007.
    """

    frequency: Float[np.ndarray, "axis feature"]
    phase: Float[np.ndarray, " feature"]

    @classmethod
    def draw(cls, points: np.ndarray, rng: np.random.Generator, cosines: int = _COSINES) -> Features:
        """Cosines for the scale of the points."""
        median = median_distance(points, rng)
        frequency = rng.standard_normal((points.shape[1], cosines)) / median
        return cls(frequency * 2.0 ** (np.arange(cosines) % 3), rng.uniform(0, 2 * np.pi, cosines))

    def __call__(self, points: Float[np.ndarray, "point axis"]) -> Float[np.ndarray, "point feature"]:
        """Features of each point; products reach the tails, where the ratio of the densities is large."""
        i, j = np.triu_indices(min(points.shape[1], 16))
        products = points[:, i] * points[:, j]
        cosines = np.cos(points @ self.frequency + self.phase)
        return np.concatenate([np.ones((len(points), 1)), points, products, cosines], axis=1)


def accuracy(
    test: Float[np.ndarray, " trial"], reference: Float[np.ndarray, " other"], weights: Weights | None = None
) -> Float[np.ndarray, " selection"]:
    """Mean of two recordings' shares of right answers: 0.5 where nothing tells them apart.

    Both are shares of right answers among the held-out points of each trial; `weights` say how often each trial of the
    test counts. The classifier is not trained again.

    Examples
    --------
    >>> accuracy(np.array([1.0, 0.6]), np.array([0.8]))  # (0.8 + 0.8) / 2
    array([0.8])
    >>> accuracy(np.array([1.0, 0.6]), np.array([0.8]), np.array([[2.0, 0.0]]))  # the first trial twice
    array([0.9])
    """
    weight = np.ones((1, len(test))) if weights is None else weights
    return (weight @ test / weight.sum(axis=1) + reference.mean()) / 2


@dataclass(frozen=True, eq=False)
class Points:
    """Features of the points of some trials, and their sums over each trial or, for a selection, over each fold.

    A fold is every fifth of the selected trials. `time` is that of the points within a trial, from 0 to 1.
    """

    rows: Float[np.ndarray, "trial point feature"]
    time: Float[np.ndarray, " point"]
    grams: Float[np.ndarray, "part feature other"]
    sums: Float[np.ndarray, "part feature"]

    def without(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean product and mean features of all trials but those of one fold."""
        count = (len(self.rows) - len(self.rows[fold::FOLDS])) * self.rows.shape[1]
        return (self._total[0] - self.grams[fold]) / count, (self._total[1] - self.sums[fold]) / count

    @cached_property
    def _total(self) -> tuple[np.ndarray, np.ndarray]:
        return self.grams.sum(axis=0), self.sums.sum(axis=0)


@dataclass(frozen=True, eq=False)
class Classifier(Measure):
    """Accuracy of a classifier that tells test from reference, minus one half, on 2,000 points of each.

    The classifier is a ridge regression of the label 1 or -1 on `Features`; the sign is its answer. Whole trials are
    held out, a fifth at a time, so that no neighbour of a judged point is trained on. With fewer than five trials a
    fifth of the time is held out, with a quarter of a fifth left out on either side. The accuracy is a lower bound of
    the best classifier's. Source: Lopez-Paz, Oquab, ICLR 2017.

    A point holds `delays` states, `stride` samples apart; there are `points` in each trial.
    """

    delays: int
    stride: int
    points: int
    features: Features
    centre: Float[np.ndarray, " rank"]
    scale: Float[np.ndarray, " rank"]
    costly: ClassVar[bool] = True
    floor_law: ClassVar[FloorLaw] = "means"  # on a quarter of few trials, it would be held out in another way

    @classmethod
    def of_states(cls, reference: ReferenceSamples, delays: int = 1, stride: int = 1) -> Classifier:
        """By single states, or by segments of `delays` states."""
        samples = reference.samples
        centre, scale = samples.mean(axis=(0, 1)), samples.std(axis=(0, 1))
        embedded = delay_embedding((samples - centre) / scale, delays, stride)
        cloud = embedded[:, thinned(embedded.shape[1], len(embedded), _MOST_POINTS)].reshape(-1, embedded.shape[2])
        features = Features.draw(cloud, np.random.default_rng(0))
        return cls(delays, stride, max(1, _MOST_POINTS // reference.trials), features, centre, scale)

    @classmethod
    def of_segments(cls, reference: ReferenceSamples) -> Classifier:
        """By four states, together as long as `ReferenceSamples.segment`."""
        return cls.of_states(reference, _SEGMENT_STATES, max(1, reference.segment // (_SEGMENT_STATES - 1)))

    @property
    def entries(self) -> tuple[Entry]:
        """Accuracy above chance."""
        name, short, kind = "c2st_segment", "classifier on segments", "course"
        if self.delays == 1:
            name, short, kind = "c2st_point", "classifier on states", "states"
        return (Entry(name, f"{short}, accuracy - 0.5", "", coarse=0.2, kind=kind, short=short,
                      sources=("lopezpaz2017",)),)  # fmt: skip

    def summarise(self, samples: Samples) -> Points:
        """Features of evenly spaced points of each trial."""
        embedded = delay_embedding((samples - self.centre) / self.scale, self.delays, self.stride)
        time = thinned(embedded.shape[1], 1, self.points)
        states = embedded[:, time]
        rows = self.features(states.reshape(-1, states.shape[2])).reshape(*states.shape[:2], -1)
        return Points(rows, time / embedded.shape[1], np.swapaxes(rows, 1, 2) @ rows, rows.sum(axis=1))

    def values(self, summary: Points, weights: Weights) -> Sequence[Points]:
        """The trials of each selection; one product of matrices gives the sums of all of them without copies."""
        selections = [np.flatnonzero(weight) for weight in weights]
        folds = np.zeros((len(weights), FOLDS, len(summary.rows)))
        for run, trials in enumerate(selections):
            for fold in range(FOLDS):
                folds[run, fold, trials[fold::FOLDS]] = 1.0
        flat = folds.reshape(-1, len(summary.rows))
        grams, sums = (
            (flat @ each.reshape(len(each), -1)).reshape(len(weights), FOLDS, *each.shape[1:])
            for each in (summary.grams, summary.sums)
        )
        rows = [summary.rows[trials] for trials in selections]
        return [Points(each, summary.time, *of) for each, *of in zip(rows, grams, sums, strict=True)]

    def answers(self, test: Points, reference: Points) -> list[Float[np.ndarray, " trial"]]:
        """Share of right answers in each trial of both, by classifiers that were not trained on it."""
        both = (test, reference)
        if min(len(run.rows) for run in both) >= FOLDS:
            return _held_out_trials(both)
        rows, folds, places = [], [], []
        for run in both:
            trials, points = run.rows.shape[:2]
            place = np.tile(FOLDS * run.time, trials)
            rows.append(run.rows.reshape(trials * points, -1))
            folds.append(place.astype(np.int64))
            places.append(place % 1.0)
        right = held_out_points(rows, folds, places)
        return [r.reshape(len(run.rows), -1).mean(axis=1) for r, run in zip(right, both, strict=True)]

    def distances(self, test: Points, reference: Points) -> tuple[float]:
        """Absolute difference of the accuracy from chance."""
        return (float(abs(accuracy(*self.answers(test, reference))[0] - 0.5)),)

    def numbers(self, test: Points, reference: Points) -> tuple[Numbers]:
        """Accuracy beside one half."""
        return ((float(accuracy(*self.answers(test, reference))[0]), 0.5),)

    def resampled(
        self, summary: Points, value: Points, references: Sequence[Points], draws: Weights
    ) -> Float[np.ndarray, "draw entry"]:
        """Distances of resampled trials by the classifiers as they are, since training again takes long."""
        accuracies = [accuracy(*self.answers(value, reference), weights=draws) for reference in references]
        return np.abs(np.mean(accuracies, axis=0) - 0.5)[:, None]


def _held_out_trials(both: tuple[Points, Points]) -> list[Float[np.ndarray, " trial"]]:
    """Share of right answers per trial, by classifiers that were trained without its fold."""
    right = [np.zeros(len(run.rows)) for run in both]
    for fold in range(FOLDS):
        (test_gram, test_sum), (reference_gram, reference_sum) = (run.without(fold) for run in both)
        weights = solve_ridge(test_gram + reference_gram, test_sum - reference_sum, _RIDGE)
        for label, run, shares in zip((1.0, -1.0), both, right, strict=True):
            shares[fold::FOLDS] = ((run.rows[fold::FOLDS] @ weights) * label > 0).mean(axis=1)
    return right


def held_out_points(
    rows: Sequence[Float[np.ndarray, "point feature"]],
    folds: Sequence[Int[np.ndarray, " point"]],
    places: Sequence[Float[np.ndarray, " point"]],
) -> list[Float[np.ndarray, " point"]]:
    """Right answers (1) and wrong ones (0) on each point, by classifiers that were trained without its fold.

    Of test and reference, `rows` hold the features of each point, and `places` its place in its fold, from 0 to 1.
    Points of the neighbouring folds within a quarter of the border are not trained on either.
    """
    right = [np.zeros(len(x)) for x in rows]
    labels = (1.0, -1.0)
    sums = {}
    for c, x in enumerate(rows):
        for fold in range(FOLDS):
            for edge in (-1, 0, 1):  # points near the lower end of a fold, in its middle, near its upper end
                near = np.where(places[c] < 0.25, -1, np.where(places[c] > 0.75, 1, 0))
                part = x[(folds[c] == fold) & (near == edge)]
                sums[c, fold, edge] = (part.T @ part, part.sum(axis=0), len(part))
    for fold in range(FOLDS):
        barred = {(fold, e) for e in (-1, 0, 1)} | {(fold - 1, 1), (fold + 1, -1)}
        gram, target = 0.0, 0.0
        for c, label in enumerate(labels):
            trained_on = [value for (k, f, e), value in sums.items() if k == c and (f, e) not in barred]
            count = max(sum(n for _, _, n in trained_on), 1)
            gram = gram + np.sum([g for g, _, _ in trained_on], axis=0) / count
            target = target + label * np.sum([s for _, s, _ in trained_on], axis=0) / count
        weights = solve_ridge(np.asarray(gram), np.asarray(target), _RIDGE)
        for c, label in enumerate(labels):
            judged = folds[c] == fold
            right[c][judged] = (rows[c][judged] @ weights) * label > 0
    return right
