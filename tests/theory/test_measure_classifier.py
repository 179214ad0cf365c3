"""The classifier two-sample test against the best classifier there is."""

import numpy as np
import pytest
from planted_changes import lorenz, ornstein_uhlenbeck, planted
from scipy.stats import norm

from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.classifier import (
    FOLDS,
    Classifier,
    Features,
    accuracy,
    delay_embedding,
    held_out_points,
)
from ddm2snn.fidelity.samples import thinned


def classify(test, reference, *, delays=1, stride=1, seed=0):
    """The measure's classifier on 20,000 points with 300 cosines, trained on points in place of sums over trials."""
    centre, scale = reference.mean(axis=(0, 1)), reference.std(axis=(0, 1))
    whole = min(len(test), len(reference)) >= FOLDS
    points, trials, folds, places = [], [], [], []
    for samples in (test, reference):
        embedded = delay_embedding((samples - centre) / scale, delays, stride)
        time = thinned(embedded.shape[1], len(embedded), 20_000)
        trial = np.repeat(np.arange(len(embedded)), len(time))
        place = np.tile(FOLDS * time / embedded.shape[1], len(embedded))
        points.append(embedded[:, time].reshape(len(trial), -1))
        trials.append(trial)
        folds.append(trial % FOLDS if whole else place.astype(np.int64))
        places.append(np.where(whole, 0.5, place % 1.0))
    features = Features.draw(np.concatenate([x[::10] for x in points]), np.random.default_rng(seed), 300)
    right = held_out_points([features(x) for x in points], folds, places)
    return accuracy(*(np.bincount(t, r) / np.bincount(t) for t, r in zip(trials, right, strict=True)))[0]


def test_shifted_gaussians_reach_the_best_accuracy():
    rng = np.random.default_rng(1)
    reference, test = rng.standard_normal((2, 40, 250, 2)) + np.array([0.0, 1.0])[:, None, None, None] * [0.6, 0.8]
    found = classify(test, reference)
    # the best answer is the side of the plane between; 20,000 judged points err by 0.0035
    assert found == pytest.approx(norm.cdf(0.5), abs=4 * 0.0035)


def test_equal_processes_cannot_be_told_apart():
    found = [classify(planted(seed=s), planted(seed=s + 10)) for s in (1, 2)]
    # some 64 x 2 independent stretches of 100 time units: 0.5 / sqrt(64 x 2 x 20) is 0.01
    np.testing.assert_allclose(found, 0.5, atol=0.03)


def test_neighbours_never_straddle_a_split():
    # slow trials: with neighbours in the training set a classifier would know each trial by its place
    slow = -0.002 * np.eye(2)
    a, b = (ornstein_uhlenbeck(s, slow, 0.1 * np.eye(2), trials=10, samples=400) for s in (3, 4))
    assert classify(a, b) < 0.75
    shuffled = [x.reshape(-1, 2)[np.random.default_rng(5).permutation(4000)].reshape(10, 400, 2) for x in (a, b)]
    assert classify(*shuffled) > 0.85


def test_what_lies_next_to_a_fold_is_not_trained_on():
    # block b is the end of fold b and the beginning of fold b + 1; even ones hold the test, odd ones the reference,
    # so whoever trains across the border knows the answer, and whoever does not knows nothing of this block
    rows, folds, gaps = [], [], []
    for blocks in ((0, 2), (1, 3)):
        block = np.repeat(blocks, 20)
        late = np.tile([0, 1], 20)
        rows.append(np.eye(5)[np.append(block + 1, np.zeros(50, int))])
        folds.append(np.append(block + late, np.arange(50) % 5))
        gaps.append(np.append(np.where(late, 0.1, 0.9), np.full(50, 0.5)))
    for right in held_out_points(rows, folds, gaps):
        assert right[:40].mean() == 0.0
    # the control: the same points, said to lie in the middle of their folds
    for right in held_out_points(rows, folds, [np.full(90, 0.5)] * 2):
        assert right[:40].mean() == 1.0


def test_few_trials_are_split_in_time():
    a, b = (ornstein_uhlenbeck(s, trials=2, samples=4000) for s in (6, 7))
    assert classify(a, b) == pytest.approx(0.5, abs=0.08)
    assert classify(a + 1.0, b) > 0.8


def test_segments_see_what_points_do_not():
    runs = lorenz()
    slower, reference = runs["slower"], runs["reference"]
    assert classify(slower, reference) == pytest.approx(0.5, abs=0.03)
    assert classify(slower, reference, delays=4, stride=5) > 0.95
    assert classify(runs["rho 27"], reference) > 0.8


@pytest.mark.parametrize(("change", "delays", "least"), [("mean shifted", 1, 0.53), ("diffusion 20 % up", 3, 0.53)])
def test_planted_changes(change, delays, least):
    assert classify(planted(change, seed=8), planted(), delays=delays, stride=8) > least


@pytest.mark.parametrize("trials", [2, 10])
def test_sums_over_trials_train_the_same_classifier_as_points(trials):
    a, b = (ornstein_uhlenbeck(s, trials=trials, samples=200) for s in (8, 9))
    measure = Classifier.of_states(ReferenceSamples(b, trials, 0.05))
    runs = [measure.summarise(x) for x in (a + 0.3, b)]
    test, reference = (measure.values(run, np.ones((1, trials)))[0] for run in runs)
    found = measure.answers(test, reference)
    points = runs[0].rows.shape[1]
    place = np.tile(FOLDS * runs[0].time, trials)
    trial = np.repeat(np.arange(trials), points)
    folds, places = (trial % FOLDS, np.full(trial.shape, 0.5)) if trials >= FOLDS else (place.astype(int), place % 1)
    rows = [run.rows.reshape(trials * points, -1) for run in runs]
    right = held_out_points(rows, [folds] * 2, [places] * 2)
    for shares, expected in zip(found, right, strict=True):
        np.testing.assert_allclose(shares, expected.reshape(trials, points).mean(axis=1), atol=1.5 / points)


def test_resampling_weighs_trials():
    weighted = accuracy(np.array([0.2, 0.6]), np.array([0.5]), np.array([[2.0, 0.0], [1.0, 1.0]]))
    np.testing.assert_allclose(weighted, [0.35, 0.45])


def test_delay_embedding():
    path = np.arange(12.0).reshape(1, 6, 2)
    found = delay_embedding(path, 3, 2)
    np.testing.assert_array_equal(found, [[[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]]])


def test_refusals():
    good = planted()[:5, :100]
    with pytest.raises(InputError, match="41 samples per trial, samples has 40"):
        delay_embedding(good[:, :40], 5, 10)
    with pytest.raises(InputError, match="stride must be a whole number"):
        delay_embedding(good, 2, 0)
