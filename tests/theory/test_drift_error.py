"""Drift error of a conversion: a planted error of known size and noise comes back, and agrees with the comparison."""

from __future__ import annotations

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend
from scipy.signal import lfilter

import ddm2snn
from ddm2snn import Calibrated, Population
from ddm2snn.base.least_squares import fit_ridge
from ddm2snn.conversion import drift_error
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.drift_error import drift_error_of
from ddm2snn.conversion.noise_budget import _windowed, smooth_features
from ddm2snn.conversion.trajectories import Trajectories
from ddm2snn.fidelity.field_difference import field_difference
from ddm2snn.fidelity.measures import drift_field
from ddm2snn.fidelity.measures.drift_field import field_grid, field_sums
from ddm2snn.network import to_internal

SIGMAS = 3.0
WAVE = 0.5  # standard deviations of a latent between crests of the planted error: two cells
SIZE, NOISE = 0.02, 5e-4  # rms of the planted error relative to the drift, and diffusion of the noise, internal units


@pytest.fixture(scope="module")
def paths(rate_network):
    """Trajectories of van der Pol, middle of each interval, and its drift there."""
    states = to_internal(rate_network, rate_network.initial_latent)
    made = Trajectories(rate_network, Clock(0.5, 1e-3, "grid"), states[:64], 0.01, np.random.default_rng(5))
    made.advance(300)
    z = made.advance(2000)[2]
    middle = 0.5 * (z[:, 1:] + z[:, :-1])
    drift = rate_network.internal_readout(middle.reshape(-1, 2)).reshape(middle.shape) - middle
    return z, middle, np.sqrt((drift**2).mean(axis=(0, 1))), made.every


def planted(paths, size, noise, seed=0):
    """Error behind the synaptic filter: waves over the states, of an rms relative to the drift, and white noise."""
    _, middle, drift, every = paths
    waves = np.sqrt(2.0) * np.sin(2.0 * np.pi / WAVE * middle / middle.std(axis=(0, 1)))
    error = size * drift * waves / np.sqrt((waves**2).mean(axis=(0, 1)))
    error = error + np.sqrt(noise / every) * np.random.default_rng(seed).standard_normal(error.shape)
    decay = np.exp(-every)
    filtered = np.asarray(lfilter([1.0 - decay], [1.0, -decay], error, axis=1))
    return np.concatenate([np.zeros_like(filtered[:, :1]), filtered], axis=1)


@pytest.fixture(scope="module")
def on_cells(paths):
    """Root mean square of the planted error's means on the cells of the comparison, relative to the drift."""
    _, middle, drift, every = paths
    filtered, decay = planted(paths, SIZE, 0.0), np.exp(-every)
    error = (filtered[:, 1:] - decay * filtered[:, :-1]) / (1.0 - decay)
    grid = field_grid(middle)
    cells = grid.cells(middle)
    inside = cells >= 0
    count = np.bincount(cells[inside], minlength=grid.size)
    sums = np.stack([np.bincount(cells[inside], e[inside], grid.size) for e in np.moveaxis(error, -1, 0)])
    return np.sqrt((sums**2 / np.maximum(count, 1)).sum(axis=1) / count.sum()) / drift


def test_a_planted_error_is_told_within_its_standard_error(rate_network, paths, on_cells):
    z, _, drift, every = paths
    assert (on_cells > 0.8 * SIZE).all(), "cells resolve it"
    found = drift_error_of(rate_network, planted(paths, SIZE, NOISE), z, every)
    assert (found.standard_error < 0.05 * on_cells).all(), "enough data to tell"
    # the comparison leaves out what lies beyond two deviations, some 5 % of the states
    assert (np.abs(found.repeatable - on_cells) < SIGMAS * found.standard_error + 0.03 * on_cells).all()
    random = np.sqrt(NOISE / 0.1) / drift  # means of white noise over a tenth of a time unit
    assert np.allclose(found.random, random, rtol=0.05)
    assert (found.random > 2 * found.repeatable).all(), "the noise is what one sees first"


def test_smooth_features_in_half_units_miss_half_of_it(rate_network, paths, on_cells):
    """The control: the estimate that conversions had before."""
    z, _, drift, every = paths
    mean_error, middle, _ = _windowed(planted(paths, SIZE, NOISE), z, every)
    features = smooth_features(rate_network, middle)
    smooth = features @ fit_ridge(features, mean_error)
    assert (np.sqrt((smooth**2).mean(axis=0)) / drift < 0.6 * on_cells).all()


def test_noise_alone_is_no_repeatable_error(rate_network, paths):
    z, _, _, every = paths
    for seed in range(5):
        found = drift_error_of(rate_network, planted(paths, 0.0, NOISE, seed), z, every)
        square, upper = found.repeatable**2, (found.repeatable + found.standard_error) ** 2
        assert (square <= SIGMAS * (upper - square)).all(), "the square scatters about zero by its standard error"
        assert (found.repeatable < 0.15 * found.random).all()


def test_few_states_say_nothing(rate_network):
    one = np.zeros((1, 20, 2))
    found = drift_error_of(rate_network, one, one + np.linspace(0, 1, 20)[:, None], 0.01)
    assert np.isinf(found.standard_error).all()
    assert not found.repeatable.any()


@pytest.mark.slow
def test_it_is_what_the_comparison_finds_in_the_closed_loop(rate_network):
    """Two neurons for each unit: the drift field of long runs deviates by as much, without what sampling does to it."""
    made = ddm2snn.convert(rate_network, population=Population(2), decoders=Calibrated(duration=1000.0), seed=3)
    stand_in = ReferenceBackend(made.network.spike_timing)  # the same spikes, quicker
    settings = {"duration": 44.0, "trials": 128, "every": 0.02}
    reference = ddm2snn.simulate(rate_network, seed=1, **settings).samples[:, 200:]
    test = ddm2snn.simulate(made.network, backend=stand_in, seed=2, **settings).samples[:, 200:]
    grid = field_grid(reference)
    found = field_difference(field_sums(test, 0.02, grid), field_sums(reference, 0.02, grid))
    # per deviation of the latents, as the comparison has it
    z = to_internal(rate_network, rate_network.initial_latent)
    drift = ((rate_network.internal_readout(z) - z) ** 2).mean(axis=0) / z.var(axis=0)
    expected = np.sqrt((drift * np.square(made.diagnostics.drift_error)).sum() / drift.sum())
    assert found.drift_bias == pytest.approx(expected, rel=0.3)
    assert expected > 2 * np.array(made.diagnostics.drift_standard_error).max()


def test_cells_are_as_large_as_those_of_the_comparison():
    assert drift_error._BINS == drift_field._BINS
