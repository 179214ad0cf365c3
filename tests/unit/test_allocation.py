"""Fractions of neurons per unit: who gets how many, and that whole numbers give what they always gave."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import ddm2snn
from ddm2snn import InputError, Population, Static, TrainedReadout
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.population import allocate, encode, importance

CLOCK = Clock(time_unit_s=0.2, dt_s=1e-3, spike_timing="grid")


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(1).standard_normal((400, 2))


@pytest.mark.parametrize("total", [5, 7, 9])
def test_the_allocation_is_the_best_of_all(total):
    weight = np.array([0.2, 1.0, 3.0, 0.7])
    every = (n for n in itertools.product(range(1, total), repeat=4) if sum(n) == total)
    least = min(float((weight**2 / np.array(n)).sum()) for n in every)
    count = allocate(total, weight)
    assert count.sum() == total
    assert (weight**2 / count).sum() == pytest.approx(least, rel=1e-12)


def test_with_few_neurons_the_heaviest_units_get_one_each():
    assert allocate(2, np.array([0.2, 1.0, 3.0, 0.7])).tolist() == [0, 1, 1, 0]
    assert allocate(4, np.ones(4)).tolist() == [1, 1, 1, 1]
    assert allocate(6, np.zeros(4)).sum() == 6


def test_importance_is_the_readout_times_what_the_unit_does(rate_of, points):
    rate = rate_of()
    x = points @ rate.left_vectors.T + rate.bias
    expected = np.sqrt((rate.right_vectors**2).sum(axis=1)) * np.tanh(x).std(axis=0)
    assert np.allclose(importance(rate, points), expected)


def encode_before(rate, population, z, rng):
    """Encoders and biases as they were drawn when every unit had the same whole number of neurons."""
    m, units = population.neurons_per_unit, rate.units
    x = z @ rate.left_vectors.T + rate.bias
    low, high = x.min(axis=0), x.max(axis=0)
    span = (high - low)[:, None]
    index = np.arange(m)
    polarity = np.where((np.arange(units)[:, None] + index) % 2 == 0, 1.0, -1.0)
    depth = np.minimum((index // 2 + rng.random((units, m))) / np.maximum(1, (m + 1) // 2), 1.0) * 0.9
    top = population.neuron.current_at_rate(rng.uniform(*population.max_rates_hz, (units, m)))
    gain = (top - 1.0) / ((1.0 - depth) * span)
    threshold = np.where(polarity > 0, low[:, None] + depth * span, high[:, None] - depth * span)
    encoders = (gain * polarity).ravel()[:, None] * rate.left_vectors[np.repeat(np.arange(units), m)]
    return encoders, (1.0 + gain * polarity * (rate.bias[:, None] - threshold)).ravel()


@pytest.mark.parametrize("m", [1, 2, 3, 4.0])
def test_whole_numbers_give_what_they_always_gave(quick_rate, points, m):
    population = Population(m)
    assert isinstance(population.neurons_per_unit, int)
    ensemble = encode(quick_rate, population, CLOCK, points, stream(3, "test"))
    encoders, bias = encode_before(quick_rate, population, points, stream(3, "test"))
    assert np.array_equal(ensemble.encoders, encoders)
    assert np.array_equal(ensemble.bias, bias)


@pytest.mark.parametrize("m", [1.5, 2.25, 0.75])
def test_units_that_matter_more_get_more(quick_rate, points, m):
    population = Population(m)
    ensemble = encode(quick_rate, population, CLOCK, points, stream(3, "test"))
    count = np.bincount(ensemble.unit, minlength=quick_rate.units)
    assert count.sum() == round(m * quick_rate.units)
    order = np.argsort(importance(quick_rate, points))
    assert (np.diff(count[order]) >= 0).all()
    assert (count.min() > 0) == (m > 1)
    assert count.max() > count.min()


@pytest.mark.parametrize("m", [1.5, 0.75])
def test_a_fraction_is_converted(quick_rate, m):
    conversion = ddm2snn.convert(quick_rate, population=Population(m), decoders=Static(), backend="reference", seed=1)
    report = conversion.diagnostics.rank_audit
    assert conversion.network.neurons == round(m * quick_rate.units)
    assert report.rank == 2
    assert report.row_residual < 1e-12
    assert max(report.principal_angles_rad) < 1e-7
    assert conversion.network.provenance["neurons_per_unit"] == m


def test_polarities_stay_balanced_where_units_have_none(quick_rate, points):
    ensemble = encode(quick_rate, Population(0.75), CLOCK, points, stream(3, "test"))
    factor = (ensemble.encoders * quick_rate.left_vectors[ensemble.unit]).sum(axis=1)
    assert (factor > 0).sum() == 3 == (factor < 0).sum()


def test_a_trained_readout_refuses_units_without_neurons(refuses, quick_rate):
    with refuses(InputError, "TrainedReadout needs at least one neuron for each unit; 2 of 8 units have none"):
        ddm2snn.convert(quick_rate, population=Population(0.75), decoders=TrainedReadout(), backend="reference")


def test_fewer_neurons_than_latents_are_refused(refuses, quick_rate, points):
    with refuses(InputError, "neurons_per_unit = 0.1 gives 1 neurons for 8 units", "Use 0.25 or more"):
        encode(quick_rate, Population(0.1), CLOCK, points, stream(3, "test"))
