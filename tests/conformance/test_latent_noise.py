"""Injected noise: stationary statistics against the closed form of the Ornstein-Uhlenbeck process."""

import dataclasses

import numpy as np
import pytest
from scipy import signal

from ddm2snn.backend import RATE
from ddm2snn.network import to_internal, to_system
from ddm2snn.simulate import simulate

FACTOR = np.array([[1.0, 0.0], [0.8, 0.6]])  # correlated: G G^T has 0.8 off its diagonal
TIME_UNIT_S, EVERY, DURATION, TRIALS = 0.01, 0.5, 100.0, 32
SPAN = TRIALS * DURATION  # independent data in correlation times
# Some sixty scores with fixed seeds; the chance that one of them passes five by luck is 4e-5
SIGMAS = 5.0

steps = pytest.mark.parametrize("dt", [0.1, 0.025])  # in rate time units, four times apart


@pytest.fixture
def leak(any_backend, build, leak_only):
    """Networks that do nothing but leak and take in noise."""
    clock = {} if any_backend == RATE else {"time_unit_s": TIME_UNIT_S}
    return lambda factor: build(diffusion_factor=factor, **leak_only, **clock)


def trajectories(backend, network, dt, every=EVERY, seed=31):
    """Internal latents of trials that start in the stationary distribution of `FACTOR`."""
    start = np.random.default_rng(seed).standard_normal((TRIALS, 2)) @ FACTOR.T / np.sqrt(2.0)
    unit_s = getattr(network, "time_unit_s", 1.0)
    recording = simulate(
        network,
        backend=backend,
        duration=DURATION,
        trials=TRIALS,
        seed=seed,
        dt_s=dt * unit_s,
        initial_latent=to_system(network, start),
        every=every,
    )
    return to_internal(network, recording.samples)


def scores(z):
    r"""Deviations from dz = -z dt + G dw in standard errors: covariance, lagged covariance, mean, trials.

    :math:`C = G G^\top / 2`, :math:`\langle z(t) z(t+\tau)^\top\rangle = C e^{-\tau}`. Over a span L an average
    of products has the variance :math:`(C_{ii} C_{jj} + C_{ij}^2) L^{-1} h \coth h`, h the sampling
    interval (sum of :math:`e^{-2|\tau|}`); a lagged product has no more. A mean has
    :math:`C_{ii} L^{-1} h \coth(h/2)`.
    """
    covariance = FACTOR @ FACTOR.T / 2.0
    power = np.diag(covariance)
    product_error = np.sqrt((np.outer(power, power) + covariance**2) * EVERY / np.tanh(EVERY) / SPAN)
    mean_error = np.sqrt(power * EVERY / np.tanh(EVERY / 2.0) / SPAN)

    def average(a, b):
        return np.einsum("tsi,tsj->ij", a, b) / (a.shape[0] * a.shape[1])

    lagged = (average(z[:, 1:], z[:, :-1]) + average(z[:, :-1], z[:, 1:])) / 2.0
    return {
        "covariance": (average(z, z) - covariance) / product_error,
        "lag": (lagged - covariance * np.exp(-EVERY)) / product_error,
        "mean": z.mean(axis=(0, 1)) / mean_error,
        "between trials": average(z, np.roll(z, 1, axis=0)) / product_error,
    }


def worst(z):
    """Largest of all scores."""
    return max(np.abs(score).max() for score in scores(z).values())


@steps
def test_stationary_statistics_are_those_of_the_closed_form(any_backend, leak, dt):
    assert worst(trajectories(any_backend, leak(FACTOR), dt)) < SIGMAS


@pytest.mark.parametrize("wrong", [1.2 * FACTOR, FACTOR.T, np.diag(np.diag(FACTOR @ FACTOR.T)) ** 0.5])
def test_a_wrong_factor_is_noticed(any_backend, leak, wrong):
    assert worst(trajectories(any_backend, leak(wrong), 0.1)) > SIGMAS


@pytest.mark.slow
def test_standalone_has_the_statistics_of_the_closed_form(standalone_runs):
    network, recording = standalone_runs["networks"]["noisy"], standalone_runs["here"]
    assert np.array_equal(network.diffusion_factor, FACTOR)
    assert recording.samples.shape == (TRIALS, DURATION / EVERY, 2)
    assert worst(to_internal(network, recording.samples)) < SIGMAS


def increment_scores(z, dt):
    r"""Deviations of :math:`r = z(t + h) - e^{-h} z(t)` from white noise of covariance C (1 - exp(-2 h)).

    Increments are independent, so that their products have the errors of as many independent samples:
    four per cent of a variance at five standard errors, where an increment of G sqrt(h) is ten per cent off.
    """
    covariance = FACTOR @ FACTOR.T / 2.0 * -np.expm1(-2.0 * dt)
    r = z[:, 1:] - np.exp(-dt) * z[:, :-1]
    power = np.diag(covariance)
    error = np.sqrt((np.outer(power, power) + covariance**2) / (r.shape[0] * r.shape[1]))
    lagged = np.einsum("tsi,tsj->ij", r[:, 1:], r[:, :-1]) / (r.shape[0] * (r.shape[1] - 1))
    return np.abs([(np.einsum("tsi,tsj->ij", r, r) / (r.shape[0] * r.shape[1]) - covariance) / error, lagged / error])


def test_increments_of_one_step_are_white_and_exact(any_backend, leak):
    dt = 0.1
    assert increment_scores(trajectories(any_backend, leak(FACTOR), dt, every=dt), dt).max() < SIGMAS
    euler = np.sqrt(2.0 * dt / -np.expm1(-2.0 * dt)) * FACTOR
    assert increment_scores(trajectories(any_backend, leak(euler), dt, every=dt), dt).max() > SIGMAS


def test_noise_that_trials_share_is_noticed(oracle_of, simulator, make_spiking):
    network = make_spiking(neurons=2, decoders=np.zeros((2, 2)), diffusion_factor=FACTOR, time_unit_s=TIME_UNIT_S)
    z = trajectories(oracle_of(simulator), network, 0.1)
    shared = np.repeat(z[::2], 2, axis=0)
    assert np.abs(scores(shared)["between trials"]).max() > SIGMAS


def per_trial(recording, network):
    """Per trial: mean, variance and lagged covariance of each latent, and the number of spikes."""
    z = to_internal(network, recording.samples)
    centred = z - z.mean(axis=1, keepdims=True)
    parts = [z.mean(axis=1), (centred**2).mean(axis=1), (centred[:, 1:] * centred[:, :-1]).mean(axis=1)]
    count = np.bincount(recording.spikes.trial, minlength=recording.trials)
    return np.column_stack([*parts, count])


def welch(a, b):
    """Difference of means of two sets of independent trials in standard errors."""
    error = np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))
    return np.abs((a.mean(axis=0) - b.mean(axis=0)) / error)


@pytest.fixture
def noisy(make_spiking):
    """A loop of twelve fast neurons through two latents, with correlated noise of the size of its activity."""
    return make_spiking(neurons=12, seed=8, bias=np.linspace(1.5, 4.0, 12), diffusion_factor=0.5 * FACTOR)


@pytest.fixture
def statistics():
    """Statistics of 64 trials of five time units from one state."""

    def run(backend, network, seed):
        start = np.tile(network.latent_offset, (64, 1))
        run = simulate(
            network, backend=backend, duration=5.0, trials=64, seed=seed, initial_latent=start, every=0.2, spikes=True
        )
        return per_trial(run, network)

    return run


def test_a_noisy_loop_of_neurons_has_the_statistics_of_the_reference(simulator, noisy, statistics, oracle_of):
    assert welch(statistics(simulator, noisy, 41), statistics(oracle_of(simulator), noisy, 42)).max() < SIGMAS


def test_a_refractory_period_one_step_too_long_shows_in_the_statistics(simulator, noisy, statistics, oracle_of):
    neuron = dataclasses.replace(noisy.neuron, refractory_s=noisy.neuron.refractory_s + noisy.dt_s)
    longer = dataclasses.replace(noisy, neuron=neuron)
    assert welch(statistics(simulator, longer, 41), statistics(oracle_of(simulator), noisy, 42)).max() > SIGMAS


COLOUR = np.array([[1.0, 6.0, 2.0, 1.0], [9.0, 3.0, 2.0, 0.3]])  # one source quieter around its frequency, one louder


def coloured_covariance(dt):
    """Stationary covariance of a leak driven by coloured noise: sums of the impulse responses of all filters."""
    responses = []
    for alpha, beta, omega, gamma in COLOUR:
        rate = omega / np.tan(0.5 * omega * dt)  # the bilinear transform that is exact at omega
        numerator, denominator = signal.bilinear([gamma, alpha, omega**2], [1, beta, omega**2], fs=0.5 * rate)
        response = signal.lfilter(numerator, denominator, np.eye(1, round(40 / dt))[0])
        responses.append(signal.lfilter([1.0], [1.0, -np.exp(-dt)], response))
    mixed = FACTOR[:, :, None] * np.array(responses) * np.sqrt(-np.expm1(-2.0 * dt) / 2.0)
    return np.einsum("ist,jst->ij", mixed, mixed)


def test_coloured_noise_has_the_covariance_of_its_filters(spiking_backend, make_spiking):
    silent = {"decoders": np.zeros((2, 8)), "diffusion_factor": FACTOR, "time_unit_s": TIME_UNIT_S}
    network, dt = make_spiking(**silent, noise_colour=COLOUR), 0.025
    z = trajectories(spiking_backend, network, dt)[:, 20:]
    found, expected = np.einsum("tsi,tsj->ij", z, z) / (z.shape[0] * z.shape[1]), coloured_covariance(dt)
    white = FACTOR @ FACTOR.T / 2.0
    error = np.sqrt((np.outer(np.diag(white), np.diag(white)) + white**2) * EVERY / np.tanh(EVERY) / SPAN)
    assert np.abs((found - expected) / error).max() < SIGMAS
    assert np.abs((white - expected) / error).max() > 2 * SIGMAS  # white noise would be noticed
