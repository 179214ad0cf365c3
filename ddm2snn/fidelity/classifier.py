"""Classifier two-sample test: can a classifier tell the test from the reference?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import as_count, freeze_arrays
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples, thinned

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_FOLDS = 5
_FEATURES = 300
_MOST = 20_000  # points per recording
_RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Right answers of the classifier on held-out points; enough to resample trials.

    Parameters
    ----------
    test, reference
        Share of right answers among the points of each trial, shape (trial,) and (other,).
    """

    test: Float[np.ndarray, " trial"]
    reference: Float[np.ndarray, " other"]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def accuracy(self, weights: Float[np.ndarray, "draw trial"] | None = None) -> Float[np.ndarray, " draw"]:
        """Mean of the two recordings' shares, for each draw of the test's trials: 0.5 where nothing tells them apart.

        With the classifier as it was trained: resampling does not train again.
        """
        weight = np.ones((1, len(self.test))) if weights is None else weights
        return (weight @ self.test / weight.sum(axis=1) + self.reference.mean()) / 2


def delay_embedding(
    samples: Float[np.ndarray, "trial time rank"], delays: int, stride: int = 1
) -> Float[np.ndarray, "trial time delay"]:
    """Segments of a trajectory as points: state now, `stride` samples later, and so on, `delays` states in all."""
    check_samples("delay_embedding", {"samples": samples}, shortest=(delays - 1) * stride + 1)
    as_count("delays", delays)
    as_count("stride", stride)
    last = samples.shape[1] - (delays - 1) * stride
    return np.concatenate([samples[:, i * stride : i * stride + last] for i in range(delays)], axis=-1)


def classify(
    test: Float[np.ndarray, "trial time rank"],
    reference: Float[np.ndarray, "other time rank"],
    *,
    delays: int = 1,
    stride: int = 1,
    seed: int = 0,
) -> Verdicts:
    r"""Train a classifier on some trials and judge it by others (C2ST).

    Ridge regression of the label -1 or 1 on the products of any two latents and 300 random Fourier features
    :math:`\cos(\omega\cdot x + b)`, with :math:`\omega` Gaussian over the median distance of points, times 1, 2 or 4;
    the sign is the answer. Whole trials are held out, a fifth at a time (with fewer than five trials: fifths of
    the time, with a quarter of a fifth left out on either side), so that no neighbour of a judged point was trained on.
    Both recordings are thinned to 20,000 points.

    Parameters
    ----------
    test, reference
        Samples in any units; both are standardised by the reference.
    delays, stride
        States per segment and samples between them: 1 compares single points, more compare the dynamics too.
    seed
        Of the random features.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank), of unequal rank, or shorter than a segment or 20 samples.

    Notes
    -----
    Source: Lopez-Paz, Oquab, ICLR 2017; Rahimi, Recht, NeurIPS 2007 (features). The accuracy is a lower bound of the
    best classifier's.
    """
    check_samples("classify", {"test": test, "reference": reference}, shortest=(delays - 1) * stride + 20)
    centre, scale = reference.mean(axis=(0, 1)), reference.std(axis=(0, 1))
    if not scale.all():
        raise InputError(
            f"Latent {int(np.argmin(scale))} of the reference is constant. Leave it out of the comparison."
        )
    whole = min(len(test), len(reference)) >= _FOLDS
    points, trials, folds, gaps = [], [], [], []
    for samples in (test, reference):
        embedded = delay_embedding((samples - centre) / scale, delays, stride)
        time = thinned(embedded.shape[1], len(embedded), _MOST)
        trial = np.repeat(np.arange(len(embedded)), len(time))
        place = np.tile(_FOLDS * time / embedded.shape[1], len(embedded))
        points.append(embedded[:, time].reshape(len(trial), -1))
        trials.append(trial)
        folds.append(trial % _FOLDS if whole else place.astype(np.int64))
        gaps.append(np.where(whole, 0.5, place % 1.0))
    features = _Features.draw(np.concatenate([x[::10] for x in points]), np.random.default_rng(seed))
    rows = [features(x) for x in points]
    right = _held_out(rows, folds, gaps)
    means = [np.bincount(t, r) / np.bincount(t) for t, r in zip(trials, right, strict=True)]
    return Verdicts(*means)


@dataclass(frozen=True, eq=False)
class _Features:
    frequency: Float[np.ndarray, "axis feature"]
    phase: Float[np.ndarray, " feature"]

    @classmethod
    def draw(
        cls, points: Float[np.ndarray, "point axis"], rng: np.random.Generator, cosines: int = _FEATURES
    ) -> _Features:
        pairs = rng.integers(len(points), size=(2, 2000))
        median = np.median(np.linalg.norm(points[pairs[0]] - points[pairs[1]], axis=1))
        frequency = rng.standard_normal((points.shape[1], cosines)) / max(float(median), 1e-12)
        return cls(frequency * 2.0 ** (np.arange(cosines) % 3), rng.uniform(0, 2 * np.pi, cosines))

    def __call__(self, points: Float[np.ndarray, "point axis"]) -> Float[np.ndarray, "point feature"]:
        """Constant, latents, their products and cosines; products reach the tails, where the density ratio is large."""
        i, j = np.triu_indices(min(points.shape[1], 16))
        products = points[:, i] * points[:, j]
        cosines = np.cos(points @ self.frequency + self.phase)
        return np.concatenate([np.ones((len(points), 1)), points, products, cosines], axis=1)


def _held_out(
    rows: list[Float[np.ndarray, "point feature"]],
    folds: list[Int[np.ndarray, " point"]],
    gaps: list[Float[np.ndarray, " point"]],
) -> list[Float[np.ndarray, " point"]]:
    """Right answers (1) and wrong ones (0) on each point by the classifier that was trained without its fold."""
    right = [np.zeros(len(x)) for x in rows]
    labels = (1.0, -1.0)
    sums = {}
    for c, x in enumerate(rows):
        for fold in range(_FOLDS):
            for edge in (-1, 0, 1):  # points near the lower end of a fold, in its middle, near its upper end
                near = np.where(gaps[c] < 0.25, -1, np.where(gaps[c] > 0.75, 1, 0))
                part = x[(folds[c] == fold) & (near == edge)]
                sums[c, fold, edge] = (part.T @ part, part.sum(axis=0), len(part))
    for fold in range(_FOLDS):
        barred = {(fold, e) for e in (-1, 0, 1)} | {(fold - 1, 1), (fold + 1, -1)}
        gram, target = 0.0, 0.0
        for c, label in enumerate(labels):
            kept = [value for (k, f, e), value in sums.items() if k == c and (f, e) not in barred]
            count = max(sum(n for _, _, n in kept), 1)
            gram = gram + np.sum([g for g, _, _ in kept], axis=0) / count
            target = target + label * np.sum([s for _, s, _ in kept], axis=0) / count
        size = np.asarray(gram)
        answer = np.linalg.solve(size + _RIDGE * np.trace(size) / len(size) * np.eye(len(size)), target)
        for c, label in enumerate(labels):
            judged = folds[c] == fold
            right[c][judged] = (rows[c][judged] @ answer) * label > 0
    return right
