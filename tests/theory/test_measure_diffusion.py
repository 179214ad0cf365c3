"""Diffusion at lags: closed forms with and without ripple, any sampling interval, and fairness to a test."""

import dataclasses

import numpy as np
import pytest
from planted_changes import EVERY, FACTOR, MATRIX, covariance, ornstein_uhlenbeck
from scipy.linalg import expm

from ddm2snn import find_system
from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.diffusion import Diffusion, Flow
from ddm2snn.workflow.source import record_system

TRIALS, SAMPLES = 64, 2000
STEP = expm(MATRIX * EVERY)
PER_STEP = covariance(MATRIX, FACTOR) - STEP @ covariance(MATRIX, FACTOR) @ STEP.T


def with_ripple(seed, variance):
    ripple = np.random.default_rng(seed).standard_normal((TRIALS, SAMPLES, 2))
    return ornstein_uhlenbeck(seed, trials=TRIALS, samples=SAMPLES) + ripple * np.sqrt(variance)


def measured(test, reference, every=EVERY):
    """The measure; tensors of the test in system units at each lag, from all trials."""
    measure = Diffusion.of(ReferenceSamples.of([reference], every))
    found = measure.values(measure.summarise(test), np.ones((1, len(test))))[0]
    return measure, found * measure.scale[:, None] * measure.scale


@pytest.mark.parametrize("variance", [(0.0, 0.0), (0.01, 0.002)])
def test_an_ornstein_uhlenbeck_process_with_measurement_noise_has_the_closed_form_at_every_lag(variance):
    measure, found = measured(with_ripple(2, variance), ornstein_uhlenbeck(1))
    assert [lag * EVERY for lag in measure.lags] == pytest.approx([0.05, 0.1, 0.5, 1.0])
    ripple = np.diag(variance)
    left = np.eye(2) - STEP
    for lag, tensor in zip(measure.lags, found, strict=True):
        # eta_L - A eta_0 + (1 - A) (eta_1 + ... + eta_(L-1)) beside L steps of noise
        summed = ripple + STEP @ ripple @ STEP.T + (lag - 1) * left @ ripple @ left.T
        known = PER_STEP / EVERY + summed / (lag * EVERY)
        windows = TRIALS * SAMPLES / lag
        np.testing.assert_allclose(tensor, known, atol=4 * np.trace(known) * np.sqrt(2 / windows))


def test_the_fit_gives_diffusion_and_ripple_back():
    variance = np.array([0.01, 0.002])
    measure, found = measured(with_ripple(2, variance), ornstein_uhlenbeck(1))
    diffusion, ripple = np.tensordot(measure._fit, found, axes=1)
    # lags of half a unit and less decide: 6,400 time units hold 12,800 windows or more
    np.testing.assert_allclose(diffusion, PER_STEP / EVERY, atol=0.03 * np.trace(PER_STEP / EVERY))
    np.testing.assert_allclose(np.diag(ripple), 2 * variance, rtol=0.06, atol=0.0003)
    still, _ = measured(with_ripple(3, 0.0), ornstein_uhlenbeck(1))
    clean = still.values(still.summarise(with_ripple(3, 0.0)), np.ones((1, TRIALS)))[0]
    loud = still.values(still.summarise(with_ripple(3, variance)), np.ones((1, TRIALS)))[0]
    by_name = dict(zip([entry.name for entry in still.entries], still.distances(loud, clean), strict=True))
    expected = np.linalg.norm(2 * variance / still.scale**2) / np.linalg.norm(
        FACTOR @ FACTOR.T / still.scale[:, None] / still.scale
    )
    assert by_name["ripple"] == pytest.approx(expected, rel=0.1)
    assert by_name["diffusion"] < 0.05
    assert by_name["diffusion_0.05"] > 5 * by_name["diffusion_1"]


@pytest.mark.parametrize(("name", "degree"), [("vanderpol", 3), ("lorenz", 3)])
def test_nonlinear_drift_is_no_diffusion(name, degree):
    system = find_system(name)
    starts = system.starts(np.random.default_rng(0), 64)
    runs = [
        record_system(system, starts, duration=40, every=0.02, trials=32, seed=seed).samples[:, 200:] for seed in (1, 2)
    ]
    measure, found = measured(runs[1], runs[0], 0.02)
    assert measure.flow.degree >= degree
    of_latents = found[:, range(system.rank), range(system.rank)]
    known = system.factor(np.zeros(system.rank))[-1, -1] ** 2
    # the first latent of Lorenz's system contracts by 10 a time unit, so one sample of 0.02 knows 0.82 of its noise
    low = (1 - np.exp(-2 * 10 * 0.02)) / (2 * 10 * 0.02) if name == "lorenz" else 1.0
    np.testing.assert_allclose(of_latents[0, 1:], known, rtol=0.08)
    assert of_latents[0, 0] == pytest.approx(low * known, rel=0.04)
    # 1,152 windows of one time unit, 4 %, and the flow's terms over as much time
    np.testing.assert_allclose(of_latents, of_latents[:1] * np.ones((5, 1)), rtol=0.2)


def test_a_run_of_the_reference_has_no_more_diffusion_than_the_reference():
    ratios, flattered = [], []
    for seed in range(30):
        reference, test = (ornstein_uhlenbeck(2 * seed + i, trials=8, samples=200) for i in (0, 1))
        measure = Diffusion.of(ReferenceSamples.of([reference], EVERY))
        assert measure is not None
        cubic = Flow._empty(measure.flow.low, measure.flow.high, 3, 8)
        gram, moment, _ = cubic._sums(reference, np.arange(199))
        terms = gram.sum(axis=0), moment.sum(axis=0)
        own = dataclasses.replace(cubic, weights=np.linalg.solve(*terms)[None], whitening=np.zeros((1, 10, 10)))
        for flow, found in ((measure.flow, ratios), (own, flattered)):
            using = dataclasses.replace(measure, flow=flow)
            of_test, of_reference = (
                using.values(using.summarise(z), np.ones((1, 8)))[0, -1].trace() for z in (test, reference)
            )
            found.append(np.log(of_test / of_reference))
    # 80 windows of two latents on either side: 0.16 each, 0.03 of thirty
    assert abs(np.mean(ratios)) < 0.09
    assert np.mean(flattered) > 0.15  # ten terms know what they were fitted to


def test_states_where_the_reference_hardly_comes_are_unknown():
    reference, test = ornstein_uhlenbeck(1), ornstein_uhlenbeck(2)
    measure = Diffusion.of(ReferenceSamples.of([reference], EVERY))
    _, known = measure.flow.residuals(test)
    spread = (test[:, :-1] @ np.linalg.inv(covariance(MATRIX, FACTOR)) * test[:, :-1]).sum(axis=-1)
    assert measure.flow.degree == 1  # so that leverage over its mean is (1 + spread) / 3
    assert (known == (spread < 14)).mean() > 0.999
    far = measure.values(measure.summarise(test + 100.0), np.ones((1, len(test))))[0]
    assert np.isnan(far).all()
    assert np.isnan(measure.distances(far, far)).all()


def test_rare_states_of_a_short_recording_are_no_diffusion():
    # of 80 time units of Lorenz's system a polynomial knows little where another run goes alone
    system = find_system("lorenz")
    starts = system.starts(np.random.default_rng(0), 64)
    path = record_system(system, starts, duration=30, every=0.02, trials=96, seed=3).samples[:, 1000:]
    measure = Diffusion.of(ReferenceSamples.of([path[:8]], 0.02))
    values = measure.values(measure.summarise(path), np.kron(np.eye(12), np.ones(8)))
    latents = values[:, 0, range(3), range(3)]
    # 4,000 samples know a variance to 0.02; unknown states included, the largest is more than twice the smallest
    np.testing.assert_allclose(latents, np.median(latents, axis=0) * np.ones((12, 3)), rtol=0.2)


def test_refusals_and_few_samples():
    with pytest.raises(InputError, match=r"A flow of rank 2 needs two trials and 60 samples, got 1 of 100\. Record"):
        Flow.of(ornstein_uhlenbeck(1, trials=1, samples=100))
    assert Diffusion.of(ReferenceSamples.of([ornstein_uhlenbeck(1, trials=1, samples=100)], EVERY)) is None
    short = Diffusion.of(ReferenceSamples.of([ornstein_uhlenbeck(1, trials=8, samples=30)], EVERY))
    assert short.lags == (1, 2, 7)  # a quarter of a trial
    slow = Diffusion.of(ReferenceSamples.of([ornstein_uhlenbeck(1, trials=8, samples=30)], 3.0))
    assert [entry.name for entry in slow.entries] == ["diffusion_3"]
