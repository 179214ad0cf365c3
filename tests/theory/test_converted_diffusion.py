"""Diffusion that depends on the state, after conversion: tensor on cells, drift, and the factor's own noise."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.signal import lfilter

import ddm2snn
from ddm2snn.base.diffusion_tensor import symmetric_factor
from ddm2snn.base.least_squares import fit_ridge
from ddm2snn.conversion import Ensemble, Population
from ddm2snn.conversion.diffusion_factor import _halved
from ddm2snn.conversion.driving import Drive
from ddm2snn.conversion.noise_budget import _windowed, injected_by_state, smooth_features
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.fidelity.measures.drift_field import estimate_field, field_grid, field_sums
from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ddm2snn.network import RateNetwork, SpikingNetwork

TENSOR_TOLERANCE = 0.10  # in any cell, and half of it over all cells
DRIFT_TOLERANCE = 0.025
SIGMAS = 3.0
TRIALS, DURATION, BURN_IN, EVERY, LAG = 64, 105.0, 5.0, 0.05, 2
BINS = 5  # in each dimension: some 250 time units in each cell
NAMES = ("anisotropic", "stuartlandau")


@pytest.fixture(scope="module")
def trained() -> Callable[[str], RateNetwork]:
    """Networks of 64 units, trained once."""
    found: dict[str, RateNetwork] = {}
    return lambda name: found.setdefault(name, ddm2snn.train(name, seed=1))


@pytest.fixture(scope="module")
def converted(trained) -> Callable[[str], ddm2snn.Conversion]:
    """Eight neurons for each unit."""
    found: dict[str, ddm2snn.Conversion] = {}

    def of(name: str) -> ddm2snn.Conversion:
        if name not in found:
            found[name] = ddm2snn.convert(trained(name), population=Population(8), backend="brian2", seed=0)
        return found[name]

    return of


def samples(network: RateNetwork | SpikingNetwork, seed: int) -> np.ndarray:
    """Stationary latents, cut into pieces of 25 time units, which are as good as independent."""
    run = ddm2snn.simulate(network, duration=DURATION, trials=TRIALS, seed=seed, every=EVERY)
    kept = run.samples[:, round(BURN_IN / EVERY) :]
    return kept.reshape(4 * TRIALS, -1, kept.shape[-1])


def tensor_distance(reference: np.ndarray, test: np.ndarray) -> tuple[float, float, float, int]:
    """Relative distance of diffusion tensors on cells.

    Returns
    -------
    overall
        Root mean square over cells, weighted with their samples, less that of two runs of one process.
    worst
        Largest distance of a cell, less `SIGMAS` of its standard errors.
    chance
        Root mean square of what two runs of one process differ by.
    cells
        Number of cells.
    """
    grid = field_grid(reference, bins=BINS)
    a, b = (estimate_field(field_sums(z, EVERY, grid, LAG)) for z in (test, reference))
    cells = a.settled(2000) & b.settled(2000)
    size = np.linalg.norm(b.diffusion, axis=(1, 2))[cells]
    distance = np.linalg.norm(a.diffusion - b.diffusion, axis=(1, 2))[cells] / size
    error = np.sqrt((a.diffusion_error**2 + b.diffusion_error**2).sum(axis=(1, 2)))[cells] / size
    weight = b.count[cells] / b.count[cells].sum()
    chance = weight @ error**2
    overall = np.sqrt(max(weight @ distance**2 - chance, 0.0))
    return overall, float((distance - SIGMAS * error).max()), float(np.sqrt(chance)), int(cells.sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_diffusion_tensor_is_the_rate_networks_at_every_state(trained, converted, name):
    rate, network = trained(name), converted(name).network
    reference = samples(rate, 11)
    overall, worst, chance, cells = tensor_distance(reference, samples(network, 12))
    assert cells >= BINS**2 / 2
    assert chance < TENSOR_TOLERANCE / 2, "enough data to tell"
    assert overall <= TENSOR_TOLERANCE / 2
    assert worst <= TENSOR_TOLERANCE
    # the control: the rate network with its mean tensor everywhere
    factor = rate.internal_factor(to_internal(rate, stationary_states(rate, 0)))
    mean = symmetric_factor((factor @ np.swapaxes(factor, 1, 2)).mean(axis=0))
    still = dataclasses.replace(rate, diffusion_factor=mean, diffusion_readout=None)
    assert tensor_distance(reference, samples(still, 13))[0] > TENSOR_TOLERANCE / 2


def drift_error(rate: RateNetwork, network: SpikingNetwork, trials: int = 32, duration: float = 50.0) -> np.ndarray:
    """Smooth error of the decoded drift relative to the drift along the spiking network's own paths, per latent.

    The same neurons are given the recorded latents again, in open loop; what they decode is held against
    W_s phi at the middle of each step, both behind the synaptic filter.
    """
    step = network.dt_s / network.time_unit_s
    run = ddm2snn.simulate(network, backend="reference", duration=duration, trials=trials, seed=5, every=step)
    z, decay, stride = to_internal(rate, run.samples), np.exp(-step), round(0.1 / step)
    readout = rate.internal_readout((z[:, 1:] + z[:, :-1]) / 2)
    wanted = np.asarray(lfilter([1 - decay], [1, -decay], readout, axis=1))
    voltage = np.random.default_rng(5).random((trials, network.neurons))
    drive = Drive(Ensemble.of(network), voltage, np.arange(network.neurons))
    decoded = drive.advance(z[:, :-1], stride) @ network.decoders.T
    wanted, z = wanted[:, stride - 1 :: stride], z[:, stride::stride]
    count = decoded.shape[1]
    late = slice(100, None)  # ten time units, for the filters to forget their start
    mean_error, middle, _ = _windowed((decoded - wanted[:, :count])[:, late], z[:, :count][:, late], stride * step)
    features = smooth_features(rate, middle)
    smooth = features @ fit_ridge(features, mean_error)
    velocity = rate.internal_readout(middle) - middle
    return np.sqrt((smooth**2).mean(axis=0) / (velocity**2).mean(axis=0))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_drift_is_the_rate_networks(trained, converted, name):
    rate, network = trained(name), converted(name).network
    assert drift_error(rate, network).max() <= DRIFT_TOLERANCE
    # the control: decoders five per cent too large
    larger = dataclasses.replace(network, decoders=1.05 * network.decoders)
    assert drift_error(rate, larger, trials=8).max() > DRIFT_TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_what_the_conversion_says_of_the_factor(converted, name):
    diffusion = converted(name).diagnostics.diffusion
    assert diffusion is not None
    assert diffusion.held_out_error is not None
    assert diffusion.tensor_error < 0.05
    assert 0 < diffusion.factor_noise < 0.05
    assert min(diffusion.held_out_error.values()) == diffusion.held_out_error[f"{diffusion.ridge:g}"]
    injected, spikes, target = (
        np.trace(tensors, axis1=1, axis2=2)
        for tensors in (diffusion.by_state.injected, diffusion.by_state.spikes, diffusion.by_state.target)
    )
    total = injected + spikes
    assert target.max() > 1.3 * target.min(), "the noise differs between states"
    assert np.abs(total / target - 1).max() < 0.1


def test_the_injected_by_state_is_the_rest_at_each_state():
    rng = np.random.default_rng(3)
    roots = rng.standard_normal((5, 3, 3))
    wanted = roots @ np.swapaxes(roots, 1, 2)
    noise = 0.3 * rng.standard_normal((5, 3, 3))
    spikes = noise @ np.swapaxes(noise, 1, 2)
    largest = np.linalg.eigvals(np.linalg.solve(wanted, spikes)).real.max(axis=1)
    small = spikes * (0.9 / largest)[:, None, None]
    assert np.allclose(injected_by_state(wanted, small) + small, wanted, rtol=1e-9)
    noisy = injected_by_state(wanted, 1.5 * small / 0.9)
    assert np.abs(np.linalg.det(noisy)).max() < 1e-9, "nothing is injected where spikes are noisier than the target"
    assert np.linalg.eigvalsh(noisy).min() > -1e-9
    assert np.allclose(injected_by_state(wanted, -spikes), wanted, rtol=1e-9), "no noise is negative"
    assert not injected_by_state(0 * wanted, spikes).any()


def test_a_correction_of_the_factor_is_that_of_the_tensor():
    rng = np.random.default_rng(5)
    root = rng.standard_normal((4, 2, 2))
    wanted, missing = root @ np.swapaxes(root, 1, 2), rng.standard_normal((4, 2, 2))
    missing = missing + np.swapaxes(missing, 1, 2)
    s, change = symmetric_factor(wanted), _halved(wanted, missing)
    assert np.allclose(s @ s, wanted)
    assert np.allclose(s @ change + change @ s, missing)
    silent = _halved(np.diag([1.0, 0.0])[None], np.diag([1.0, 1.0])[None])
    assert np.allclose(silent, np.diag([0.5, 0.0])), "nothing where there is no noise"
