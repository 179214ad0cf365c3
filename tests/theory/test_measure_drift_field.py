"""Drift and diffusion fields: the Ornstein-Uhlenbeck process within its standard errors, planted changes with size."""

import numpy as np
import pytest
from planted_changes import EVERY, FACTOR, LORENZ_EVERY, MATRIX, lorenz, ornstein_uhlenbeck, planted

from ddm2snn.errors import InputError
from ddm2snn.fidelity.field_difference import field_difference
from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.drift_field import DriftField, estimate_field, field_grid, field_sums
from ddm2snn.fidelity.samples import Grid

TENSOR = FACTOR @ FACTOR.T
LONG = 8000


def difference(change, seed, samples=2000):
    reference = planted(samples=samples)
    grid = field_grid(reference)
    test = field_sums(planted(change, seed=seed, samples=samples), EVERY, grid)
    return field_difference(test, field_sums(reference, EVERY, grid))


def normalised(every=EVERY, seed=1):
    path = ornstein_uhlenbeck(seed, every=every)
    found = estimate_field(field_sums(path, every, field_grid(path)))
    known = found.settled()
    truth = found.position @ MATRIX.T
    return ((found.drift - truth) / found.drift_error)[known], ((found.diffusion - TENSOR) / found.diffusion_error)[
        known
    ]


def test_recovers_drift_and_diffusion_within_standard_errors():
    drift, diffusion = normalised()
    for z in (drift[:, 0], drift[:, 1], diffusion[:, 0, 0], diffusion[:, 0, 1], diffusion[:, 1, 1]):
        cells = len(z)
        assert cells > 200
        # standard errors from a few dozen trials have a t distribution, hence the tenth; cells are nearly independent
        assert z.std() == pytest.approx(1.0, abs=0.1 + 4 / np.sqrt(2 * cells))
        assert abs(z.mean()) < 4 / np.sqrt(cells)


def test_the_classical_estimate_is_biased_and_the_corrected_one_is_not():
    path = ornstein_uhlenbeck(2, every=0.2)
    grid = field_grid(path)
    found = estimate_field(field_sums(path, 0.2, grid))
    settled = found.settled()
    # the classical one, on the same cells
    inside = np.isin(grid.cells(path[:, :-1]), np.flatnonzero(settled))
    state, step = path[:, :-1][inside], np.diff(path, axis=1)[inside]
    bias = {1: (step[:, 1] ** 2).mean() / 0.2 / TENSOR[1, 1] - 1}
    slope = {1: np.linalg.lstsq(state, step / 0.2, rcond=None)[0].T}
    weight = found.count[settled] / found.count[settled].sum()
    root = np.sqrt(weight)[:, None]
    slope[2] = np.linalg.lstsq(root * found.position[settled], root * found.drift[settled], rcond=None)[0].T
    bias[2] = np.tensordot(weight, found.diffusion[settled], axes=1)[1, 1] / TENSOR[1, 1] - 1
    # first order: lag over two times the relaxation, some 20 %; second order: its square over three
    assert abs(bias[1]) > 0.1
    assert abs(bias[2]) < 0.03
    # the same of the drift: lag / 2 times the square of B, and lag^2 / 3 times its cube, beside 3 % from sampling
    np.testing.assert_allclose(slope[1] - MATRIX, 0.1 * MATRIX @ MATRIX, atol=0.06)
    np.testing.assert_allclose(slope[2], MATRIX, atol=0.04 / 3 * 2 * np.sqrt(2) + 0.06)


def test_lorenz_drift_to_a_thousandth():
    runs = lorenz()
    grid = field_grid(runs["reference"])
    known = field_sums(runs["reference"], LORENZ_EVERY, grid)
    again, slower, other = (field_difference(field_sums(runs[name], LORENZ_EVERY, grid), known)
                            for name in ("again", "slower", "rho 27"))  # fmt: skip
    assert again.drift_rmse < 0.005
    # trials of an attractor that is nearly a sheet are no Gaussian sample, but the floor is right to a factor
    assert 0.5 < again.drift_rmse / again.drift_floor < 2.0
    assert slower.drift_scale == pytest.approx(0.95, abs=0.005)
    assert slower.drift_bias == pytest.approx(0.05, abs=0.005)
    assert other.drift_bias > 0.05
    assert again.share > 0.95


class TestPlantedChanges:
    """Errors of the four numbers over twenty pairs of 64 x 2,000 samples: scale 0.018, diffusion ratio 0.0043."""

    SCALE, RATIO, SHIFT = 3 * 0.018, 3 * 0.0043, 0.04

    def test_nothing(self):
        found = difference(None, seed=11)
        assert found.drift_rmse == pytest.approx(found.drift_floor, rel=0.15)  # 230 cells, 2 components
        assert found.drift_scale == pytest.approx(1.0, abs=self.SCALE)
        assert found.diffusion_ratio == pytest.approx(1.0, abs=self.RATIO)
        np.testing.assert_allclose(found.drift_shift, 0.0, atol=self.SHIFT)

    def test_slower_drift(self):
        found = difference("drift 5 % slower", seed=12, samples=LONG)  # four times the samples, half the errors
        assert found.drift_scale == pytest.approx(0.95, abs=self.SCALE / 2)
        assert self.SCALE / 2 < 0.05
        assert found.diffusion_ratio == pytest.approx(1.0, abs=self.RATIO / 2)

    def test_more_diffusion(self):
        found = difference("diffusion 20 % up", seed=13)
        assert found.diffusion_ratio == pytest.approx(1.2, abs=1.2 * self.RATIO)
        np.testing.assert_allclose(found.diffusion_test, 1.2 * TENSOR, atol=0.005)
        np.testing.assert_allclose(found.diffusion_reference, TENSOR, atol=0.005)
        assert found.drift_scale == pytest.approx(1.0, abs=self.SCALE)

    def test_shifted_mean(self):
        found = difference("mean shifted", seed=14)
        np.testing.assert_allclose(found.drift_shift, -MATRIX @ [0.1, 0.0], atol=self.SHIFT)
        assert found.diffusion_ratio == pytest.approx(1.0, abs=self.RATIO)
        assert found.drift_rmse > 1.08 * found.drift_floor

    def test_rotation(self):
        found = difference("rotation added", seed=15)
        assert found.drift_bias > 0.3
        assert found.diffusion_ratio == pytest.approx(1.0, abs=self.RATIO)


def test_floor_predicts_what_sampling_makes():
    squares = [(d.drift_rmse / d.drift_floor) ** 2 for d in (difference(None, seed=s) for s in range(20, 28))]
    # one square of some 230 x 2 numbers scatters by 0.07; all share one reference
    assert np.mean(squares) == pytest.approx(1.0, abs=0.1)


def test_uneven_population_of_cells_is_no_bias():
    # the same process, but the test starts away from the middle and is watched while it relaxes
    reference = ornstein_uhlenbeck(31)
    tilted = np.concatenate([ornstein_uhlenbeck(s, trials=64, samples=2000) for s in (32, 33, 34)])
    chosen = tilted[np.argsort(-tilted[:, 0, 0])[:64], :40]
    grid = Grid.around(reference, 3)  # coarse, so that a shift within a cell matters
    known = field_sums(reference, EVERY, grid)
    found = field_difference(field_sums(chosen, EVERY, grid), known, fewest=50)
    assert found.drift_rmse < 1.6 * found.drift_floor


def test_resampled_trials_equal_repeated_ones():
    reference = ReferenceSamples(planted(), 64, EVERY)
    measure = DriftField.of(reference)
    assert measure is not None
    whole, repeated = (measure.summarise(path) for path in (planted(seed=3)[:4], planted(seed=3)[[0, 0, 1]]))
    weighted, again = (
        measure.values(summary, np.array([weights]))[0]
        for summary, weights in ((whole, [2.0, 1.0, 0.0, 0.0]), (repeated, [1.0, 1.0, 1.0]))
    )
    np.testing.assert_allclose(weighted.drift, again.drift)
    np.testing.assert_allclose(weighted.slope, again.slope)


def test_the_measure_has_the_means_and_errors_of_the_estimated_field():
    path, reference = planted(seed=3), ReferenceSamples(planted(), 64, EVERY)
    measure = DriftField.of(reference)
    assert measure is not None
    means = measure.values(measure.summarise(path), np.ones((1, len(path))))[0]
    field = estimate_field(field_sums(path, EVERY, measure.grid, measure.lag))
    scale = measure.scale
    np.testing.assert_allclose(means.drift * scale, field.drift[measure.cells])
    np.testing.assert_allclose(np.sqrt(means.error) * scale, field.drift_error[measure.cells], rtol=1e-9)
    np.testing.assert_allclose(means.count, field.count[measure.cells])


def test_refusals():
    path = planted()
    grid = field_grid(path)
    with pytest.raises(InputError, match="rank of 4 or less, got 5"):
        field_grid(np.random.default_rng(0).standard_normal((2, 50, 5)))
    with pytest.raises(InputError, match="grid has rank 2, the samples 3"):
        field_sums(lorenz()["again"], EVERY, grid)
    with pytest.raises(InputError, match="sums on one grid"):
        field_difference(field_sums(path, EVERY, grid), field_sums(path, EVERY, field_grid(path, 5)))
    with pytest.raises(InputError, match="No cell holds 100 samples of both"):
        field_difference(field_sums(path[:2, :100], EVERY, grid), field_sums(path, EVERY, grid))
