"""Maximum mean discrepancy against its closed form for Gaussians."""

import numpy as np
import pytest
from planted_changes import planted

from ddm2snn.errors import InputError
from ddm2snn.fidelity.discrepancy import embed, squared_discrepancy


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
    found = [squared_discrepancy(a, b)[0] for a, b in pairs]
    # four times 128 frequencies stand for all: a relative error of about 1 / sqrt(128) for each draw of them
    assert np.mean(found) == pytest.approx(expected, rel=3 / np.sqrt(5 * 128))


def test_unbiased_without_a_difference_and_seen_where_planted():
    reference = planted()
    floor = []
    for seed in range(1, 9):
        test, known = embed(planted(seed=seed), reference, reference=reference)
        floor.append(squared_discrepancy(test, known)[0])
    assert min(floor) < 0 < max(floor)
    scatter = np.std(floor)
    for change in ("mean shifted", "diffusion 20 % up"):
        test, known = embed(planted(change, seed=9), reference, reference=reference)
        assert squared_discrepancy(test, known)[0] > 8 * scatter
    backwards, forwards = embed(planted(seed=1)[:, ::-1], planted(seed=1), reference=reference)
    np.testing.assert_allclose(backwards.means.mean(axis=0), forwards.means.mean(axis=0), atol=0.01)


def test_weights_and_dependent_samples():
    rng = np.random.default_rng(2)
    # trials that do not move: within-trial pairs would raise a naive estimate to 1 / trials
    still = np.repeat(rng.standard_normal((2, 40, 1, 2)), 100, axis=2)
    test, known = embed(*still, reference=still[1])
    everyone, twice = np.ones((1, 40)), 2 * np.ones((1, 40))
    assert abs(squared_discrepancy(test, known, everyone)[0]) < 1 / 40
    assert squared_discrepancy(test, known, everyone)[0] == pytest.approx(squared_discrepancy(test, known)[0])
    assert squared_discrepancy(test, known, twice)[0] == pytest.approx(squared_discrepancy(test, known)[0])


def test_refusals():
    path = planted()[:3, :50]
    single, several = embed(path[:1], path, reference=path)
    with pytest.raises(InputError, match="two trials or more"):
        squared_discrepancy(single, several)
    with pytest.raises(InputError, match="Latent 0 of the reference is constant"):
        embed(path, reference=path * [0.0, 1.0])
