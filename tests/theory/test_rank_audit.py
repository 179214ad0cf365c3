"""The audit of a conversion against dense linear algebra on E D."""

import dataclasses

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from ddm2snn.conversion import audit

# QR and SVD of well-conditioned 40 x 3 factors: some N eps of the largest singular value
ROUNDING = 1e-12
ANGLE_ROUNDING = 1e-7  # angles near zero come from a cosine within eps of one: sqrt(eps) at worst


@pytest.fixture
def network(make_spiking):
    """Forty neurons of twenty units, rank three."""
    return make_spiking(rank=3, neurons=40)


def replaced(network, **fields):
    """Network with other arrays; `freeze_arrays` copies them."""
    return dataclasses.replace(network, **fields)


def test_singular_values_are_those_of_the_dense_matrix(network):
    report = audit(network)
    dense = np.linalg.svd(network.encoders @ network.decoders, compute_uv=False)
    assert np.abs(np.array(report.singular_values) - dense[:3]).max() < ROUNDING * dense[0]
    assert dense[3] < ROUNDING * dense[0]
    assert report.rank == np.linalg.matrix_rank(network.encoders @ network.decoders) == 3


def test_the_dense_matrix_of_other_decoders_is_told_apart(network):
    other = replaced(network, decoders=1.001 * network.decoders)
    dense = np.linalg.svd(network.encoders @ network.decoders, compute_uv=False)
    assert np.abs(np.array(audit(other).singular_values) - dense[:3]).max() > ROUNDING * dense[0]


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_missing_rank_is_found(network, rank):
    decoders = network.decoders.copy()
    decoders[rank:] = decoders[:1] if rank else 0.0  # the rows from here on repeat the first
    deficient = replaced(network, decoders=decoders)
    assert audit(deficient).rank == np.linalg.matrix_rank(deficient.encoders @ decoders) == rank


def test_encoders_that_are_scaled_rows_keep_the_span(network):
    report = audit(network)
    assert report.row_residual < ROUNDING
    assert max(report.principal_angles_rad) < ANGLE_ROUNDING


def test_a_corrupted_encoder_row_is_found_with_its_angle(network):
    row = network.encoders[17]
    side = np.cross(row, [1.0, 0.0, 0.0])
    turned = network.encoders.copy()
    turned[17] = row * np.cos(0.3) + side / np.linalg.norm(side) * np.linalg.norm(row) * np.sin(0.3)
    report = audit(replaced(network, encoders=turned))
    assert report.row_residual == pytest.approx(np.sin(0.3), rel=1e-9)
    assert max(report.principal_angles_rad) > ANGLE_ROUNDING
    assert report.rank == 3  # the rank alone does not tell


def test_a_neuron_on_the_wrong_unit_is_found(network):
    unit = network.unit.copy()
    unit[0] = (unit[0] + 1) % len(network.rate_left_vectors)
    assert audit(replaced(network, unit=unit)).row_residual > 1e-3


def test_principal_angles_are_those_of_the_folded_encoders(network):
    """Mixing latents in the encoders of one unit turns its folded row, and with it the span, by what scipy says."""
    mixed = network.encoders.copy()
    own = network.unit == 4
    mixed[own] += 0.5 * np.abs(mixed[own]).max() * np.array([0.3, -0.2, 0.4])
    gamma = network.rate_left_vectors
    factor = (mixed * gamma[network.unit]).sum(axis=1) / (gamma[network.unit] ** 2).sum(axis=1)
    folded = np.stack([(mixed / factor[:, None])[network.unit == unit].mean(axis=0) for unit in range(len(gamma))])
    report = audit(replaced(network, encoders=mixed))
    assert report.principal_angles_rad == pytest.approx(subspace_angles(gamma, folded), abs=1e-9)
    assert max(report.principal_angles_rad) > 1e-3


def test_polarity_and_gain_do_not_count(network):
    signs = np.where(np.arange(40) % 3, 1.0, -2.5)[:, None]
    assert audit(replaced(network, encoders=signs * network.encoders)).row_residual < ROUNDING


def test_a_trained_conversion_passes(spiking_networks):
    for network in spiking_networks.values():
        report = audit(network)
        assert report.rank == 2
        assert report.row_residual < ROUNDING
        assert max(report.principal_angles_rad) < ANGLE_ROUNDING
