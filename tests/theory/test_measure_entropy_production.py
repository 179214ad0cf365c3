"""Entropy production and probability current against closed forms."""

import numpy as np
import pytest
from planted_changes import EVERY, FACTOR, MATRIX, covariance, heun, ornstein_uhlenbeck, planted

import ddm2snn
import ddm2snn.systems as systems
from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures.drift_field import field_grid
from ddm2snn.fidelity.measures.entropy_production import CurrentBasis, current_moments, entropy_rate
from ddm2snn.fidelity.measures.probability_current import cell_currents

DRAWS = np.random.default_rng(0).multinomial(64, np.full(64, 1 / 64), size=40).astype(float)


def rate(path, every=EVERY, bumps=40):
    """Entropy production rate, and its standard error from resampled trials."""
    moments = current_moments(path, every, CurrentBasis.of(path, bumps))
    return float(entropy_rate(moments)[0]), float(entropy_rate(moments, DRAWS).std())


@pytest.mark.parametrize("bumps", [0, 40])
@pytest.mark.parametrize("every", [0.025, 0.05, 0.1])
def test_ornstein_uhlenbeck(bumps, every):
    truth = systems.ornstein_uhlenbeck(MATRIX, FACTOR).known["entropy_production"]
    found, error = rate(ornstein_uhlenbeck(1, every=every), every, bumps)
    # the error left of second order in the lag: the square of every times the norm of B, sqrt(2)
    assert found == pytest.approx(truth, abs=3 * error + 2 * truth * every**2)
    assert error < 0.05 * truth


def test_a_rotation_raises_it_by_its_size_and_noise_alone_does_not():
    system = systems.ornstein_uhlenbeck(MATRIX + 0.5 * np.array([[0.0, 1.0], [-1.0, 0.0]]), FACTOR)
    found, error = rate(planted("rotation added", seed=2))
    before, _ = rate(planted())
    assert found == pytest.approx(system.known["entropy_production"], abs=3 * error + 0.02)
    assert found - before > 10 * error
    louder, error = rate(planted("diffusion 20 % up", seed=3))
    assert abs(louder - before) < 4 * np.sqrt(2) * error


def test_equilibrium_scatters_around_zero():
    found = []
    for seed in range(6):
        path = ornstein_uhlenbeck(seed, -np.eye(2), 0.5 * np.eye(2))
        found.append(entropy_rate(current_moments(path, EVERY, CurrentBasis.of(path, 20)))[0])
    # without the correction the expectation would be 2 x 46 currents / 6,400 time units = 0.0144
    # and its standard deviation that times the root of 2 / 86, over the root of six recordings
    assert abs(np.mean(found)) < 4 * 0.0144 * np.sqrt(2 / 46) / np.sqrt(6)


def test_sequence_is_bounded_from_below_ever_more_tightly():
    system, rng = systems.sequence(4, 3.0), np.random.default_rng(1)
    path = heun(system.drift, 0.8, system.starts(rng, 64), rng, dt=0.01, samples=2000, stride=2)
    truth = sequence_entropy(system)
    assert truth == pytest.approx(1.377, abs=0.001)
    (none, _), (many, error) = (rate(path, 0.02, bumps) for bumps in (0, 80))
    assert 0.2 * truth < none < many < truth + 3 * error
    assert many > 0.85 * truth > none


def sequence_entropy(system, noise=0.8):
    """(2 / sigma^2) times the mean square of the irreversible drift, by sums on a grid."""
    axis = np.linspace(-3, 3, 601)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    density = np.exp(-2 * system.known["energy"](z) / noise**2)
    still = systems.sequence(4, 0.0)
    turn = system.drift(z) - still.drift(z)
    return 2 / noise**2 * ((turn**2).sum(axis=-1) * density).sum() / density.sum()


def test_current_of_an_ornstein_uhlenbeck_process():
    path = ornstein_uhlenbeck(4, every=0.02, trials=200)
    grid = field_grid(path, 10)
    current = cell_currents(path, 0.02, grid).mean(axis=0)
    spread = covariance(MATRIX, FACTOR)
    irreversible = MATRIX + FACTOR @ FACTOR.T / 2 @ np.linalg.inv(spread)
    cells = grid.cells(path)
    count = np.bincount(cells[cells >= 0], minlength=grid.size)
    known = count > 2000
    velocity = current[known] / (count[known] / cells.size)[:, None]
    slope = np.linalg.lstsq(grid.centres[known], velocity, rcond=None)[0].T
    # lag times relaxation is 2 %, the width of a cell smears the rest; 4 time units per trial for 200 trials
    np.testing.assert_allclose(slope, irreversible, atol=0.12)
    assert np.abs(irreversible).max() > 1


def test_no_current_in_equilibrium():
    path = ornstein_uhlenbeck(5, -np.eye(2), 0.5 * np.eye(2))
    currents = cell_currents(path, EVERY, field_grid(path, 6))
    draws = np.tensordot(DRAWS, currents, axes=1) / len(path)
    z = currents.mean(axis=0) / draws.std(axis=0)
    assert abs(z.std() - 1) < 0.4
    assert np.abs(z).max() < 5


def test_refusals():
    path = planted()[:1]
    with pytest.raises(InputError, match="two trials or more, got 1"):
        entropy_rate(current_moments(path, EVERY, CurrentBasis.of(path, 0)))
    with pytest.raises(InputError, match="3 samples per trial, samples has 2"):
        current_moments(path[:, :2], EVERY, CurrentBasis.of(path, 0))
    with pytest.raises(InputError, match="Latent 1 of the reference is constant"):
        CurrentBasis.of(path * [1.0, 0.0])


def test_motion_that_is_slow_against_the_sampling_is_compared():
    """Lags follow the motion: here one is longer than a hundred samples, so that 512 of them hold few."""
    rng = np.random.default_rng(0)
    bridge = np.linspace(0, 1, 20_000)[None, :, None]

    def slow():
        path = 0.01 * np.cumsum(rng.standard_normal((4, 20_000, 2)), axis=1)
        return path - bridge * path[:, -1:]

    report = ddm2snn.compare(slow(), slow(), every=0.02, label="again")
    lags = [float(m.name.rpartition("_")[2]) for m in report.measures if m.name.startswith("entropy_production")]
    assert max(lags) > 512 * 0.02 / 3
    assert np.isfinite([m.distance for m in report.measures if m.name.startswith("entropy_production")]).all()
