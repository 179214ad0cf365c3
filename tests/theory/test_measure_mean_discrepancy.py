"""Maximum mean discrepancy against its closed form for Gaussians."""

import numpy as np
import pytest
from planted_changes import planted

from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.mean_discrepancy import MeanDiscrepancy


def embed(*recordings, reference, seed=0):
    """Mean embeddings of trials."""
    measure = MeanDiscrepancy.of(ReferenceSamples(reference, len(reference), 1.0), seed)
    return [measure.summarise(samples) for samples in recordings]


def squared_discrepancy(test, reference):
    """The unbiased estimate, which leaves out pairs within a trial because its samples depend on each other."""

    def within(means):
        total = means.sum(axis=0)
        return (total @ total - (means**2).sum()) / (len(means) * (len(means) - 1))

    return within(test) + within(reference) - 2 * test.mean(axis=0) @ reference.mean(axis=0)


def test_gaussians_have_a_closed_form():
    rng = np.random.default_rng(1)
    shift = np.array([0.5, -0.3])
    reference, test = rng.standard_normal((2, 50, 400, 2))
    test = test + shift
    scale = reference.std(axis=(0, 1))
    median = 2 * np.sqrt(np.log(2))  # of the distance of two standard normal states in the plane

    def kernel_mean(gap, width):
        # E k(x, y) for x - y normal with mean gap and variance 2: w^2 / (w^2 + 2) exp(-gap^2 / 2 (w^2 + 2))
        return width**2 / (width**2 + 2) * np.exp(-(gap**2) / (2 * (width**2 + 2)))

    widths = median * np.array([0.25, 0.5, 1.0, 2.0])
    gap = np.linalg.norm(shift / scale)
    expected = np.mean(2 * kernel_mean(0.0, widths) - 2 * kernel_mean(gap, widths))
    pairs = [embed(test, reference, reference=reference, seed=s) for s in range(5)]
    found = [squared_discrepancy(a, b) for a, b in pairs]
    # four times 128 frequencies stand for all: a relative error of about 1 / sqrt(128) for each draw of them
    assert np.mean(found) == pytest.approx(expected, rel=3 / np.sqrt(5 * 128))


def test_unbiased_without_a_difference_and_seen_where_planted():
    reference = planted()
    floor = []
    for seed in range(1, 9):
        test, known = embed(planted(seed=seed), reference, reference=reference)
        floor.append(squared_discrepancy(test, known))
    assert min(floor) < 0 < max(floor)
    scatter = np.std(floor)
    for change in ("mean shifted", "diffusion 20 % up"):
        test, known = embed(planted(change, seed=9), reference, reference=reference)
        assert squared_discrepancy(test, known) > 8 * scatter
    backwards, forwards = embed(planted(seed=1)[:, ::-1], planted(seed=1), reference=reference)
    np.testing.assert_allclose(backwards.mean(axis=0), forwards.mean(axis=0), atol=0.01)


def test_pairs_within_a_trial_are_left_out_of_the_unbiased_estimate_and_not_of_the_measure():
    # trials that do not move: within-trial pairs raise the measure's estimate to 1 / trials
    still = np.repeat(np.random.default_rng(2).standard_normal((2, 40, 1, 2)), 100, axis=2)
    test, known = embed(*still, reference=still[1])
    assert abs(squared_discrepancy(test, known)) < 1 / 40 < np.sum((test.mean(axis=0) - known.mean(axis=0)) ** 2)


def test_the_measure_is_the_biased_estimate_and_weights_count_trials():
    reference, test = planted()[:8], planted("mean shifted", seed=2)[:8]
    measure = MeanDiscrepancy.of(ReferenceSamples(reference, 8, 1.0))
    summaries = [measure.summarise(samples) for samples in (test, reference)]
    one = np.ones((1, 8))
    distance = measure.distances(*(measure.values(summary, one)[0] for summary in summaries))[0]
    a, b = (summary.mean(axis=0) for summary in summaries)
    assert distance**2 == pytest.approx(a @ a + b @ b - 2 * a @ b)
    weighted = measure.values(summaries[0], np.array([[2.0, 1.0, *[0.0] * 6]]))[0]
    repeated = measure.values(summaries[0][[0, 0, 1]], np.ones((1, 3)))[0]
    np.testing.assert_allclose(weighted, repeated)
