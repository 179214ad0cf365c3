"""Calibrated decoders: the compiled drive, the target along trajectories, the solution, the noise budget."""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# SciPy's filters are typed by overloads, and a stand-in has only what is read of trajectories

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend
from scipy import signal

import ddm2snn
from ddm2snn import Calibrated, InputError, Population
from ddm2snn.base.least_squares import NormalEquations
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.driving import Drive, DrivenBlock, without_jumps
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.conversion.kernels.rate_steps import CODES, outputs
from ddm2snn.conversion.noise_spectrum import NoiseSpectrum, spectrum_of
from ddm2snn.conversion.population import encode
from ddm2snn.conversion.trajectories import Trajectories
from ddm2snn.network import to_internal
from ddm2snn.neuron import NEURON_MODELS
from ddm2snn.simulate import drive as open_loop

QUICK = Calibrated(duration=200.0)


@pytest.mark.parametrize("model", NEURON_MODELS.values())
@pytest.mark.parametrize("timing", ["grid", "interpolated"])
@pytest.mark.parametrize("rise_s", [0.0, 4e-3])
def test_the_compiled_drive_is_the_reference(make_spiking, model, timing, rise_s):
    network = dataclasses.replace(make_spiking(neurons=40, rise_s=rise_s), neuron=model(), spike_timing=timing)
    rng = np.random.default_rng(1)
    path = np.cumsum(0.03 * rng.standard_normal((3000, 2)), axis=0)
    outside = path * network.latent_scale + network.latent_offset
    expected = np.concatenate(list(open_loop(network, outside, backend=ReferenceBackend(timing), seed=3)))
    ensemble = Ensemble.of(network)
    voltage = stream(3, "drive", "voltage").random(40)[None]
    compiled = Drive(ensemble, voltage, np.arange(40)).advance(path[None], 10)[0]
    assert expected.max() > 20.0, "neurons must fire for this to mean anything"
    assert np.abs(compiled - expected[9::10]).max() < 1e-9 * expected.max()
    # in two blocks, and pooled in pairs, it is the same
    drive = Drive(ensemble, voltage, np.arange(40) // 2)
    pooled = np.concatenate([drive.advance(path[None, :1000], 10), drive.advance(path[None, 1000:], 10)], axis=1)[0]
    assert np.allclose(pooled, compiled[:, ::2] + compiled[:, 1::2], rtol=1e-12, atol=1e-9)


def test_targets_obey_the_loop_they_are_for(rate_network):
    # z - y_filtered is noise through a unit leak: variance G G^T / 2, and no correlation with the drift
    states = to_internal(rate_network, rate_network.initial_latent)
    paths = Trajectories(rate_network, Clock(0.2, 5e-4, "grid"), states[:256], 0.1, np.random.default_rng(5))
    paths.advance(100)
    path, target, reached = paths.advance(200)
    assert path.shape == (256, 200 * paths.stride, 2)
    noise = reached - target
    expected = (rate_network.diffusion_factor**2).sum(axis=1) / 2
    # 256 trials of 20 time units, correlated over about one: 5,000 independent values, four standard errors
    assert np.allclose((noise**2).mean(axis=(0, 1)), expected, rtol=4 * np.sqrt(2 / 5000))
    assert np.allclose(reached[:, :-1], path[:, paths.stride :: paths.stride], atol=1e-12)


def test_trajectories_are_those_of_the_rate_network(rate_network):
    quiet = dataclasses.replace(rate_network, diffusion_factor=np.zeros((2, 2)))
    states = to_internal(quiet, quiet.initial_latent[:20])
    paths = Trajectories(quiet, Clock(0.2, 5e-4, "grid"), states, 0.1, np.random.default_rng(0))
    path, *_ = paths.advance(30)
    times = np.arange(path.shape[1]) * 5e-4 / 0.2
    run = ddm2snn.simulate(quiet, duration=2.0, trials=20, every=0.05, initial_latent=quiet.initial_latent[:20])
    sampled = to_internal(quiet, run.samples)
    nearest = np.rint(0.05 * np.arange(sampled.shape[1]) / (times[1] - times[0])).astype(int)
    # both integrate with Heun steps whose local error is 1e-4 of the spread at most
    assert np.abs(path[:, nearest] - sampled).max() < 5e-3


@pytest.mark.parametrize("activation", ["tanh", "relu", "lif"])
def test_compiled_units_are_those_of_the_rate_network(make_rate, activation):
    rate = make_rate(rank=4, units=50, seed=3, activation=activation)
    z = np.random.default_rng(4).standard_normal((100, 4)) * np.geomspace(1e-3, 1e3, 100)[:, None]
    gamma, found = np.ascontiguousarray(rate.left_vectors.T), np.empty((100, 50))
    for row, latent in zip(found, z, strict=True):
        outputs(latent, gamma, rate.bias, CODES[activation], row)
    expected = rate.hidden(z)
    assert np.abs(found - expected).max() < 1e-12 * np.abs(expected).max()


def test_trajectories_with_noise_by_state_have_its_size(make_rate):
    rng = np.random.default_rng(5)
    rate = make_rate(rank=2, units=30, seed=6, diffusion_readout=0.3 * rng.standard_normal((30, 2, 2)))
    states = rng.standard_normal((4000, 2))
    paths = Trajectories(rate, Clock(1.0, 1e-4, "grid"), states, 1e-4, rng)
    moved = paths.advance(1)[2][:, 0] - states
    factor = rate.internal_factor(states)
    whitened = np.linalg.solve(factor, moved[..., None])[..., 0] / 1e-2  # the drift of a step is a hundredth of it
    assert np.allclose(whitened.T @ whitened / 4000, np.eye(2), atol=4 * np.sqrt(2 / 4000))


def test_normal_equations_are_least_squares():
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((500, 6)), rng.standard_normal((6, 2))
    y = x @ w + 0.1 * rng.standard_normal((500, 2))
    parts = [NormalEquations.empty(6, 2) for _ in range(2)]
    parts[0].add(x[:200], y[:200])
    parts[1].add(x[200:], y[200:])
    whole = parts[0] + parts[1]
    assert np.allclose(whole.solve(1e-14), np.linalg.lstsq(x, y)[0], rtol=1e-9)
    assert np.allclose(whole.error(w), ((y - x @ w) ** 2).mean(axis=0), rtol=1e-9)


def test_neighbours_share_decoders_when_there_are_too_many(rate_network):
    z = to_internal(rate_network, rate_network.initial_latent)
    ensemble = encode(rate_network, Population(12), Clock(0.2, 1e-3, "grid"), z, np.random.default_rng(0))
    column_of, columns = ensemble.shared_columns(300)
    assert columns <= 300
    assert set(column_of) == set(range(columns))
    for column in range(columns):
        members = column_of == column
        assert len(set(ensemble.unit[members])) == 1, "a decoder is shared within a unit only"
        directions = ensemble.encoders[members] @ ensemble.encoders[members][0]
        assert (directions > 0).all(), "and within a polarity only"
    assert np.array_equal(ensemble.shared_columns(768)[0], np.arange(768))


@pytest.mark.parametrize("backend", ["brian2", "nengo"])
def test_calibrated_decoders_carry_the_drift(rate_network, backend):
    made = ddm2snn.convert(rate_network, backend=backend, decoders=QUICK, seed=2)
    calibration = made.diagnostics.calibration
    assert max(made.diagnostics.drift_error) < 0.05
    assert calibration is not None
    assert calibration.samples == pytest.approx(2000, rel=0.15)  # intervals are whole steps
    errors = {ridge: np.square(error).sum() for ridge, error in calibration.held_out_error.items()}
    assert f"{calibration.ridge:g}" == min(errors, key=lambda ridge: errors[ridge])
    stand_in = ReferenceBackend(made.network.spike_timing)  # the same spikes, quicker

    def spread(network, **run):
        samples = ddm2snn.simulate(network, duration=12.0, trials=16, seed=1, **run).samples
        return samples[:, 200:].std(axis=(0, 1))

    expected = spread(rate_network)
    assert np.allclose(spread(made.network, backend=stand_in), expected, rtol=0.05)
    spoilt = dataclasses.replace(made.network, decoders=1.2 * made.network.decoders)
    assert np.abs(spread(spoilt, backend=stand_in) / expected - 1.0).max() > 0.05, "a fifth too much must show"


def white_spectrum(target, spikes, response=0.0):
    """Spectrum of errors that are white, on frequencies that reach far beyond the motion."""
    frequency = np.geomspace(0.2, 100.0, 30)
    flat = np.ones((30, 1, 1))
    return NoiseSpectrum(frequency, target, flat * response * np.eye(2), flat * spikes + 0j, motion=0.5)


def test_what_is_injected_makes_up_the_difference():
    wanted, root = np.array([[2.0, 0.5], [0.5, 1.0]]), np.random.default_rng(3).standard_normal((2, 2))
    spikes = 0.02 * root @ root.T
    spectrum = white_spectrum(wanted, spikes)
    factor, colour = spectrum.injection
    assert colour is None
    assert np.triu(factor, 1) == pytest.approx(np.zeros((2, 2)))
    assert np.allclose(factor @ factor.T + spikes, wanted, rtol=1e-12)
    assert np.allclose(spectrum.total(factor, None), wanted, rtol=1e-12)
    # an error that opposes a tenth of all noise: more is injected, and the total is the target again
    opposed = white_spectrum(wanted, spikes, response=-0.1)
    assert np.allclose(opposed.total(opposed.injection[0], None), wanted, rtol=1e-12)
    assert np.linalg.det(opposed.injection[0]) > 1.1 * np.linalg.det(factor)
    # noisier than the target in one direction: nothing is injected there, the other is made up as before
    noisy = white_spectrum(np.eye(2), np.diag([1.5, 0.125])).injection[0]
    assert np.allclose(noisy**2, np.diag([0.0, 0.875]), rtol=1e-12)
    assert not white_spectrum(np.zeros((2, 2)), spikes).injection[0].any(), "no noise in the target, none injected"


def test_a_colour_leaves_out_what_spikes_bring_along():
    """Spikes of a resonance at 12 per time unit: the total deviates less than a tenth of what white noise leaves."""
    frequency = np.geomspace(0.2, 100.0, 30)
    peak = 0.6 / (1.0 + ((frequency / 12.0 - 12.0 / frequency) / 1.5) ** 2)
    spikes = peak[:, None, None] * np.diag([1.0, 0.0]) + 0j
    spectrum = NoiseSpectrum(frequency, np.eye(2), np.zeros((30, 2, 2)), spikes, motion=0.5)
    factor, colour = spectrum.injection
    assert colour is not None
    assert np.array_equal(colour[1], np.ones(4)), "the other latent stays white"

    def deviation(total):
        return np.sqrt((np.abs(total - np.eye(2)) ** 2).mean(axis=0).max())

    assert deviation(spectrum.total(factor, colour)) < 0.1 * deviation(spectrum.total(spectrum.white, None))


def test_the_spectrum_of_an_error_comes_back():
    """Error = -0.2 of the noise + noise of its own + a function of the state, all behind the filter."""
    rng, every, trials, steps = np.random.default_rng(0), 0.02, 64, 1500
    noise, own = rng.standard_normal((2, trials, steps, 2)) / np.sqrt(every)
    state = np.cumsum(rng.standard_normal((trials, steps, 2)), axis=1) * np.sqrt(every)
    features = np.concatenate([np.tanh(state), np.ones((trials, steps, 1))], axis=-1)
    error = -0.2 * noise + 0.5 * own * [1.0, 2.0] + 0.3 * features[..., :2]
    decay = np.exp(-every)
    filtered = [signal.lfilter([0.0, 1.0 - decay], [1.0, -decay], each, axis=1) for each in (error, noise)]
    spectrum = spectrum_of(*filtered, features, np.eye(2), every, motion=1.0)
    # 64 trials of 11 segments, and more frequencies in the higher bins: four standard errors of 1 / sqrt(700)
    assert np.allclose(np.einsum("fii->fi", spectrum.spikes).real, [0.25, 1.0], rtol=0.15)
    assert np.allclose(np.einsum("fii->fi", spectrum.response), -0.2, atol=0.15 * np.sqrt([0.25, 1.0]))
    assert np.abs(np.einsum("fii->fi", spectrum.response).mean(axis=0) + 0.2).max() < 0.02


def test_the_fast_noise_of_spikes_is_not_taken_for_slow_noise():
    """The smooth part is fitted to a third of 300,000 samples: with single ones, slow noise was 108 times too much."""
    rng, every, trials, count = np.random.default_rng(0), 0.002, 16, 18_750
    fast = np.diff(rng.standard_normal((trials, count + 1, 1)), axis=1)  # of density |1 - exp(-i w)|^2, nothing slow
    slow = np.exp(-every / 0.2)
    features = signal.lfilter([1.0], [1.0, -slow], rng.standard_normal((trials, count, 64)), axis=1)
    error = signal.lfilter([1.0 - np.exp(-every)], [1.0, -np.exp(-every)], fast, axis=1)
    found = spectrum_of(error, np.zeros_like(error), features, np.eye(1), every, motion=1.0)
    some = found.frequency < 5.0
    expected = every * 2.0 * (1.0 - np.cos(2.0 * np.pi * found.frequency * every))
    assert np.real(found.spikes[some, 0, 0]).sum() < 2.0 * expected[some].sum()


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match=r"Calibrated\.duration must be a finite number above zero"):
        Calibrated(duration=0.0)
    with pytest.raises(InputError, match=r"Calibrated\.trajectories must be 4 or more, got 3"):
        Calibrated(trajectories=3)


def test_behind_a_perturbation_filters_start_anew():
    """What comes out is, from the end of the gap on, the filter of what came in since."""
    rng, every, samples = np.random.default_rng(0), 0.1, 40
    decay, clock = np.exp(-every), Clock(0.1, 1e-3, "grid", rise_s=0.0035)  # five rises are two samples
    paths = SimpleNamespace(trials=2, every=every, moved=np.zeros((2, samples), dtype=bool))
    paths.moved[0, [10, 11, 25]] = True
    came = rng.standard_normal((2, samples, 3))
    filtered = signal.lfilter([1.0], [1.0, -decay], came, axis=1)
    blocks = iter([DrivenBlock(1.0, filtered.copy(), filtered[..., :2].copy(), filtered)])
    (block,) = without_jumps(paths, blocks, clock)
    expected = filtered.copy()
    expected[0, 10:14], expected[0, 25:28] = 0.0, 0.0
    expected[0, 14:25] = signal.lfilter([1.0], [1.0, -decay], came[0, 14:25], axis=0)
    expected[0, 28:] = signal.lfilter([1.0], [1.0, -decay], came[0, 28:], axis=0)
    assert np.allclose(block.spikes_hz, expected, atol=1e-12)
    assert np.allclose(block.target, expected[..., :2], atol=1e-12)
