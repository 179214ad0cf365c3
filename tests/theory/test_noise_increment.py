"""`Schedule.noise_factor`: the Gaussian increment of one step is exact for the linear leak."""

import numpy as np
import pytest

from ddm2snn.schedule import Run, Schedule

FACTOR = np.array([[0.9, 0.0], [-0.5, 0.4]])
STEPS_S = [2e-3, 1e-3, 1e-4, 1e-5]
EXACT = 1e-10  # cancellation in 1 - a^2 at steps of 1e-4 time units leaves eps / 1e-4


@pytest.fixture
def plan(make_spiking):
    """Schedule of a run with a given step, time unit 0.1 s."""

    def make(dt_s):
        network = make_spiking(diffusion_factor=FACTOR)
        return Schedule.of(Run(network, duration=1.0, trials=1, seed=0, dt_s=dt_s, every=0.1))

    return make


def covariance(plan):
    """Covariance of the increment of one step."""
    return plan.noise_factor @ plan.noise_factor.T


@pytest.mark.parametrize("dt_s", STEPS_S)
def test_the_stationary_covariance_is_half_the_diffusion_tensor_at_every_step(plan, dt_s):
    stationary = covariance(plan(dt_s)) / (1.0 - plan(dt_s).decay ** 2)
    assert np.abs(stationary - FACTOR @ FACTOR.T / 2.0).max() < EXACT


def test_an_increment_of_sqrt_dt_alone_would_not_be_exact(plan):
    dt = 0.02
    stationary = FACTOR @ FACTOR.T * dt / (1.0 - np.exp(-2 * dt))
    assert np.abs(stationary - FACTOR @ FACTOR.T / 2.0).max() > EXACT
    assert plan(2e-3).decay == pytest.approx(np.exp(-dt), rel=1e-15)


@pytest.mark.parametrize("dt_s", STEPS_S[1:])
def test_two_steps_add_up_to_one_of_twice_the_length(plan, dt_s):
    short, long = plan(dt_s), plan(2 * dt_s)
    assert np.abs((1.0 + short.decay**2) * covariance(short) - covariance(long)).max() < EXACT * dt_s


def test_noise_scales_with_the_square_root_of_the_step(plan):
    ratio = plan(2.5e-4).noise_factor[0, 0] / plan(1e-3).noise_factor[0, 0]
    # sqrt((1 - exp(-2 h)) / 2) = sqrt(h) (1 - h / 2 + ...), so a quarter of h = 0.01 gives 1/2 (1 + 3 h / 8)
    assert ratio == pytest.approx(0.5 * (1 + 3 * 0.01 / 8), rel=0.01**2)
    assert ratio != pytest.approx(0.25, rel=0.01)


def test_a_network_without_noise_gets_none(make_spiking):
    quiet = Schedule.of(Run(make_spiking(), duration=1.0, trials=1, seed=0))
    assert not quiet.noise_factor.any()
