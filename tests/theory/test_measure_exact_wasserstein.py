"""Exact Wasserstein distances of subsamples."""

import numpy as np
import pytest
from planted_changes import planted

from ddm2snn.fidelity.measures.wasserstein import exact_wasserstein


def wasserstein(test, reference, points=500, repeats=4, seed=0):
    """Distances of random subsamples in standard deviations of the reference."""
    scale, rng = reference.std(axis=(0, 1)), np.random.default_rng(seed)
    clouds = [samples.reshape(-1, len(scale)) / scale for samples in (test, reference)]
    draws = [[cloud[rng.choice(len(cloud), points, replace=False)] for cloud in clouds] for _ in range(repeats)]
    return np.array([exact_wasserstein(*both) for both in draws])


def test_one_dimension_by_sorting():
    rng = np.random.default_rng(1)
    reference, test = rng.standard_normal((2, 1, 200, 1))
    scale = reference.std()
    expected = np.sqrt(((np.sort(test.ravel()) - np.sort(reference.ravel())) ** 2).mean()) / scale
    np.testing.assert_allclose(wasserstein(test, reference, points=200, repeats=2), expected)


def test_a_moved_copy_is_as_far_as_it_was_moved():
    cloud = np.random.default_rng(2).standard_normal((1, 300, 3)) * [1.0, 2.0, 3.0]
    scale = cloud.std(axis=(0, 1))
    # a translation is the optimal map of a cloud onto its moved copy
    found = wasserstein(cloud + np.array([0.1, 0.2, 0.3]), cloud, points=300, repeats=1)
    assert found[0] == pytest.approx(np.linalg.norm([0.1, 0.2, 0.3] / scale))


def test_planted_changes_stand_above_the_floor():
    reference = planted()
    floor = wasserstein(planted(seed=1), reference)
    shifted = wasserstein(planted("mean shifted", seed=2), reference)
    backwards = wasserstein(planted(seed=1)[:, ::-1], reference)
    assert floor.mean() > 0.1  # subsamples of one cloud are apart
    # squares nearly add: a shift of 0.28 standard deviations on a floor of 0.25; draws scatter by 0.025
    assert shifted.mean() > floor.mean() + 0.08
    assert abs(backwards.mean() - floor.mean()) < 0.05


def test_a_small_change_takes_more_points():
    # 20 % of diffusion is 0.13 in the distance, hidden under a floor of 0.25 at 500 points
    options = {"points": 1500, "repeats": 2}
    floor = wasserstein(planted(seed=1), planted(), **options)
    louder = wasserstein(planted("diffusion 20 % up", seed=3), planted(), **options)
    assert louder.mean() > floor.mean() + 0.03
