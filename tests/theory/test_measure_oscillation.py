"""Phase diffusion and period of planted rotations; no phase where nothing oscillates."""

import numpy as np
import pytest
from planted_changes import LORENZ_EVERY, heun, lorenz, ornstein_uhlenbeck

from ddm2snn.fidelity.measures.oscillation import phase_sums

EVERY, PERIOD, DIFFUSION = 0.05, 5.0, 0.03


def rotation(seed, period=PERIOD, diffusion=DIFFUSION, trials=64, samples=2000):
    rng = np.random.default_rng(seed)
    steps = 2 * np.pi / period * EVERY + np.sqrt(2 * diffusion * EVERY) * rng.standard_normal((trials, samples - 1))
    phase = np.cumsum(np.concatenate([rng.uniform(0, 2 * np.pi, (trials, 1)), steps], axis=1), axis=1)
    return np.stack([3.0 + 2.0 * np.cos(phase), np.sin(phase)], axis=-1)


@pytest.mark.parametrize("latents", [1, 2])
def test_planted_period_and_diffusion(latents):
    found = phase_sums(rotation(1)[..., :latents], EVERY)
    assert found is not None
    total = 64 * 2000 * EVERY * (1 if latents == 2 else 0.8)
    # phase gained is uncertain by sqrt(2 D T); squares of overlapping increments over a lag by sqrt(4 L / 3 T)
    relative = np.sqrt(2 * DIFFUSION / total) * PERIOD / (2 * np.pi)
    assert found.period()[0] == pytest.approx(PERIOD, rel=4 * relative)
    tolerance = 4 * np.sqrt(4 * found.lag / (3 * total)) + (0 if latents == 2 else 0.05)  # Hilbert's own error
    assert found.diffusion()[0] == pytest.approx(DIFFUSION, rel=tolerance)
    assert tolerance < 0.4


def test_changes_of_speed_and_noise_are_told_apart():
    before, slower, louder = phase_sums(rotation(2), EVERY), None, None
    assert before is not None
    slower = phase_sums(rotation(3, period=PERIOD / 0.95), EVERY, lag=before.lag)
    louder = phase_sums(rotation(4, diffusion=2 * DIFFUSION), EVERY, lag=before.lag)
    assert slower is not None
    assert louder is not None
    assert slower.lag == louder.lag == before.lag
    assert slower.period()[0] / before.period()[0] == pytest.approx(1 / 0.95, rel=0.015)
    assert louder.period()[0] / before.period()[0] == pytest.approx(1.0, rel=0.015)
    assert louder.diffusion()[0] / before.diffusion()[0] == pytest.approx(2.0, rel=0.4)


def test_van_der_pol_has_its_period():
    rng = np.random.default_rng(5)
    path = heun(lambda z: np.stack([z[..., 1], (1 - z[..., 0] ** 2) * z[..., 1] - z[..., 0]], axis=-1), 0.1,
                np.array([2.0, 0.0]) * np.ones((32, 1)), rng, dt=0.02, samples=2000, stride=2)  # fmt: skip
    found = phase_sums(path[:, 500:], 0.04)
    assert found is not None
    # noise of 0.1 moves the mean period by its square
    assert found.period()[0] == pytest.approx(6.663, rel=0.01)
    assert 0 < found.diffusion()[0] < 0.02


def test_no_phase_without_oscillation():
    assert phase_sums(ornstein_uhlenbeck(6), EVERY) is None
    assert phase_sums(lorenz()["reference"], LORENZ_EVERY) is None
    assert phase_sums(rotation(7, diffusion=2.0), EVERY) is None  # spreads by four radians in a period
    assert phase_sums(np.zeros((2, 100, 2)), EVERY) is None
    assert phase_sums(rotation(8)[:, :150], EVERY) is None  # a cycle and a half
    rng = np.random.default_rng(9)
    switching = heun(
        lambda z: z - z**3, 0.6, np.sign(rng.standard_normal((32, 1))), rng, dt=0.05, samples=2000, stride=2
    )
    assert phase_sums(switching, 0.1) is None


def test_trials_are_weighed():
    found = phase_sums(rotation(10), EVERY)
    assert found is not None
    only = np.zeros((1, 64))
    only[0, 3] = 1.0
    alone = phase_sums(rotation(10)[3:4] * 1.0, EVERY, lag=found.lag)
    assert alone is not None
    # its own mean is another centre, which distorts the angle a little
    assert found.period(only)[0] == pytest.approx(alone.period()[0], rel=0.01)
