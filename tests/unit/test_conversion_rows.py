"""Conversion keeps the low-rank factors: rows of Gamma, rank, polarities, thresholds, rates."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn import LIF, Population
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.diagnostics import audit
from ddm2snn.conversion.population import encode

ROUNDING = 1e-12
CLOCK = Clock(time_unit_s=0.2, dt_s=1e-3, spike_timing="grid")


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def sized(request, quick_rate):
    """A conversion with M neurons per unit, and M."""
    m = request.param
    return ddm2snn.convert(quick_rate, population=Population(neurons_per_unit=m), backend="reference").network, m


def row_factors(network):
    """Factor of each row of E against the row of Gamma of its unit, by projection."""
    own = network.rate_left_vectors[network.unit]
    return (network.encoders * own).sum(axis=1) / (own**2).sum(axis=1)


def test_rows_of_the_encoders_are_multiples_of_gammas(sized):
    network, _ = sized
    own = network.rate_left_vectors[network.unit]
    factors = row_factors(network)
    residual = np.linalg.norm(network.encoders - factors[:, None] * own, axis=1)
    assert (residual <= ROUNDING * np.linalg.norm(network.encoders, axis=1)).all()
    assert (np.abs(factors) > 0).all()


def test_gamma_is_the_rate_networks(sized, quick_rate):
    network, _ = sized
    assert np.array_equal(network.rate_left_vectors, quick_rate.left_vectors)
    assert network.rate_fingerprint == quick_rate.fingerprint


def test_the_recurrent_matrix_has_the_rank(sized):
    network, _ = sized
    assert np.linalg.matrix_rank(network.encoders @ network.decoders) == network.rank == 2


def test_each_unit_has_its_neurons(sized, quick_rate):
    network, m = sized
    assert network.neurons == m * quick_rate.units
    assert np.bincount(network.unit).tolist() == [m] * quick_rate.units


def test_each_unit_has_both_polarities(sized, quick_rate):
    network, m = sized
    on = np.bincount(network.unit, row_factors(network) > 0, quick_rate.units)
    if m == 1:
        assert on.tolist() == [1, 0] * (quick_rate.units // 2)  # neighbours share the work
    else:
        assert (on >= m // 2).all()
        assert (on <= m - m // 2).all()
    assert on.sum() == network.neurons / 2


def test_the_audit_reports_what_numpy_finds(sized):
    network, _ = sized
    report = audit(network)
    dense = np.linalg.svd(network.encoders @ network.decoders, compute_uv=False)
    assert report.rank == 2
    assert np.allclose(report.singular_values, dense[:2], rtol=1e-10)
    assert report.row_residual <= ROUNDING
    assert np.max(report.principal_angles_rad) <= 1e-7  # arcsines of rounding errors


def test_the_audit_sees_a_row_that_left_its_direction(quick_spiking):
    encoders = quick_spiking.encoders.copy()
    encoders[3] += 1e-6 * encoders[3, ::-1] * [1, -1]
    bent = dataclasses.replace(quick_spiking, encoders=encoders)
    assert 1e-8 < audit(bent).row_residual < 1e-5
    assert audit(quick_spiking).row_residual < 1e-12


def test_the_audit_sees_a_lost_rank(quick_spiking):
    decoders = np.outer([1.0, 2.0], quick_spiking.decoders[0])
    assert audit(dataclasses.replace(quick_spiking, decoders=decoders)).rank == 1


@pytest.mark.parametrize("m", [1, 2, 3, 5])
@pytest.mark.parametrize("rates", [(100.0, 200.0), (50.0, 50.0), (1.5, 300.0)])
def test_thresholds_and_rates_are_within_what_was_asked(quick_rate, m, rates):
    neuron = LIF(tau_membrane_s=0.015, refractory_s=0.003)
    z = np.random.default_rng(4).standard_normal((300, 2))
    ensemble = encode(quick_rate, Population(m, rates, neuron), CLOCK, z, stream(1, "test"))
    x = z @ quick_rate.left_vectors.T + quick_rate.bias
    own = quick_rate.left_vectors[ensemble.unit]
    factor = (ensemble.encoders * own).sum(axis=1) / (own**2).sum(axis=1)
    # J = 1 + factor (x - threshold), so the threshold is where the bias says J = 1
    threshold = quick_rate.bias[ensemble.unit] + (1.0 - ensemble.bias) / factor
    low, high = x.min(axis=0)[ensemble.unit], x.max(axis=0)[ensemble.unit]
    slack = 1e-9 * (high - low)
    assert (threshold >= low - slack).all()
    assert (threshold <= high + slack).all()
    # a neuron keeps a tenth of the range above its threshold, or it would need an endless gain
    room = np.where(factor > 0, high - threshold, threshold - low)
    assert (room >= 0.1 * (high - low) - slack).all()
    highest = neuron.rate_hz(ensemble.currents(z)).max(axis=0)
    assert (highest >= rates[0] * (1 - 1e-9)).all()
    assert (highest <= rates[1] * (1 + 1e-9)).all()


@pytest.mark.parametrize("m", [4, 6])
def test_thresholds_of_a_unit_are_stratified(quick_rate, m):
    # each pair of polarities has its own part of nine tenths of the range: the unit is covered evenly
    z = np.random.default_rng(4).standard_normal((300, 2))
    ensemble = encode(quick_rate, Population(m), CLOCK, z, stream(1, "test"))
    x = z @ quick_rate.left_vectors.T + quick_rate.bias
    own = quick_rate.left_vectors[ensemble.unit]
    factor = (ensemble.encoders * own).sum(axis=1) / (own**2).sum(axis=1)
    threshold = quick_rate.bias[ensemble.unit] + (1.0 - ensemble.bias) / factor
    low, high = x.min(axis=0)[ensemble.unit], x.max(axis=0)[ensemble.unit]
    depth = np.where(factor > 0, threshold - low, high - threshold) / (high - low) / 0.9
    part = np.floor(depth.reshape(-1, m) * (m // 2) + 1e-9)
    assert (part == np.arange(m) // 2).all()


def test_max_rates_are_spread_over_their_range(quick_rate):
    z = np.random.default_rng(4).standard_normal((300, 2))
    ensemble = encode(quick_rate, Population(40, (100.0, 200.0)), CLOCK, z, stream(1, "test"))
    highest = LIF().rate_hz(ensemble.currents(z)).max(axis=0)
    # 320 draws from a uniform distribution: its mean to five standard errors, its ends to a tenth
    assert highest.mean() == pytest.approx(150.0, abs=5 * 100 / np.sqrt(12 * 320))
    assert highest.min() < 110.0
    assert highest.max() > 190.0


def test_a_unit_without_input_range_gets_finite_neurons(quick_rate):
    # all points in one place: nothing to cover, but nothing to divide by either
    ensemble = encode(quick_rate, Population(), CLOCK, np.zeros((5, 2)), stream(1, "test"))
    assert np.isfinite(ensemble.encoders).all()
    assert np.isfinite(ensemble.bias).all()


def test_currents_are_affine_in_the_latent(quick_rate):
    z = np.random.default_rng(5).standard_normal((6, 2))
    ensemble = encode(quick_rate, Population(2), CLOCK, z, stream(2, "test"))
    expected = np.array([[e @ point + b for e, b in zip(ensemble.encoders, ensemble.bias, strict=True)] for point in z])
    assert np.allclose(ensemble.currents(z), expected, rtol=1e-12)
