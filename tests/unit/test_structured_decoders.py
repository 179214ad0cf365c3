"""Structured decoders: sparse, bounded or of one sign, with what each costs, and refusals in words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import nnls

import ddm2snn
from ddm2snn import Bounded, InputError, OneSign, Population, Sparse
from ddm2snn.base.least_squares import NormalEquations

STRUCTURES = [Sparse(0.5), Bounded(1.5), OneSign()]


@pytest.fixture(scope="module")
def network(quick_rate):
    population = Population(8, tuned=False)
    return ddm2snn.convert(quick_rate, population=population, backend="reference", time_unit_s=0.5, seed=5).network


@pytest.fixture(scope="module")
def equations():
    """Normal equations of 12 positive regressors, two targets that most of them share in, and the data."""
    rng = np.random.default_rng(3)
    regressors = np.maximum(rng.standard_normal((500, 12)), 0.0) + 0.1
    target = regressors @ rng.standard_normal((12, 2)) + 0.1 * rng.standard_normal((500, 2))
    whole = NormalEquations.empty(12, 2)
    whole.add(regressors, target)
    return whole


@pytest.fixture(scope="module", params=STRUCTURES, ids=lambda structure: type(structure).__name__)
def restructured(request, quick_rate, network):
    return request.param, ddm2snn.restructure(quick_rate, network, request.param, seed=1)


def test_the_structure_is_there_and_the_rank_is_kept(restructured, network):
    structure, conversion = restructured
    decoders, diagnostics = conversion.network.decoders, conversion.diagnostics
    if isinstance(structure, Sparse):
        assert ((decoders != 0).sum(axis=1) == network.neurons // 2).all()
        assert diagnostics.zero_share == 0.5
    elif isinstance(structure, OneSign):
        assert ((decoders >= 0).all(axis=0) | (decoders <= 0).all(axis=0)).all()
        assert 0.0 < diagnostics.excitatory_share < 1.0
        assert not ((network.decoders >= 0).all(axis=0) | (network.decoders <= 0).all(axis=0)).all()
    assert diagnostics.rank_audit.rank == 2
    assert np.array_equal(conversion.network.encoders, network.encoders)
    assert conversion.network.provenance["structure"]["structure"] == diagnostics.structure


def test_the_price_is_told(restructured):
    _, conversion = restructured
    before, after = conversion.diagnostics.before, conversion.diagnostics.after
    # least squares within a structure leave no less of the error than without
    assert max(after.drift_error) > 0.9 * max(before.drift_error)
    assert max(after.drift_error) < 1.0
    assert after.spikes_over_target > 0


def test_bounds_hold_and_the_rest_is_optimal(equations):
    free, bounded = equations.solve(1e-6), Bounded(1.0).solve(equations)
    limit = np.sqrt((free**2).mean(axis=0))
    assert (np.abs(bounded) <= limit * (1 + 1e-12)).all()
    assert (np.abs(free) > limit).any()
    slope = equations.gram @ bounded - equations.moment
    inside = np.abs(bounded) < 0.999 * limit
    # Karush, Kuhn, Tucker: no slope inside, and at a bound only outwards
    assert np.abs(slope[inside]).max() < 1e-3 * np.abs(equations.moment).max()
    assert (slope[~inside] * np.sign(bounded[~inside]) <= 1e-3 * np.abs(equations.moment).max()).all()


def test_signs_hold_and_the_rest_is_optimal(equations):
    signed = OneSign().solve(equations)
    assert ((signed >= 0).all(axis=1) | (signed <= 0).all(axis=1)).all()
    slope = equations.gram @ signed - equations.moment
    inside = np.abs(signed) > 1e-3
    assert np.abs(slope[inside]).max() < 1e-3 * np.abs(equations.moment).max()


def test_regressors_that_are_nearly_alike_are_solved_exactly():
    # curves that differ by a hundredth, as those of neurons with neighbouring thresholds do: a condition of 1e6
    x = np.linspace(-1.0, 1.0, 400)[:, None]
    regressors = np.maximum(np.hstack([x - np.linspace(-0.9, 0.8, 60), np.linspace(-0.8, 0.9, 60) - x]), 0.0)
    equations = NormalEquations.empty(120, 2)
    equations.add(regressors, np.hstack([np.sin(3.0 * x), np.cos(2.0 * x)]))
    free, signed = equations.solve(1e-6), OneSign().solve(equations)
    sign = np.where((free / np.sqrt((free**2).mean(axis=0))).sum(axis=1) >= 0, 1.0, -1.0)
    gram = equations.gram + 1e-6 * np.diag(equations.gram).mean() * np.eye(120)
    upper = np.linalg.cholesky(gram).T
    for latent in range(2):
        expected, _ = nnls(upper * sign, np.linalg.solve(upper.T, equations.moment[:, latent]), maxiter=10_000)
        assert np.allclose(signed[:, latent], expected * sign, rtol=0, atol=1e-6 * np.abs(expected).max())
    assert (equations.error(signed) >= equations.error(free) * (1 - 1e-9)).all()
    assert (np.sqrt(equations.error(signed)) < 0.1).all()


def test_what_stays_of_sparse_decoders_is_solved_again(equations):
    sparse = Sparse(0.25).solve(equations)
    for latent in range(2):
        stays = np.flatnonzero(sparse[:, latent])
        assert len(stays) == 3
        part = equations.gram[np.ix_(stays, stays)]
        assert np.allclose(sparse[stays, latent], np.linalg.solve(part, equations.moment[stays, latent]), rtol=1e-3)
    assert np.allclose(Sparse(1.0).solve(equations), equations.solve(1e-6))


def test_other_networks_and_structures_are_refused(refuses, quick_rate, network):
    other = dataclasses.replace(quick_rate, bias=quick_rate.bias + 0.1)
    with refuses(InputError, "comes from the rate network", "Give the one that it was converted from"):
        ddm2snn.restructure(other, network, Sparse())
    with refuses(InputError, "restructure needs a Sparse, Bounded or OneSign, got a float"):
        ddm2snn.restructure(quick_rate, network, 0.5)  # pyright: ignore[reportArgumentType]
    with refuses(InputError, "restructure needs a SpikingNetwork, got a RateNetwork"):
        ddm2snn.restructure(quick_rate, quick_rate, Sparse())
    moved = dataclasses.replace(network, latent_offset=network.latent_offset + 1.0)
    with refuses(InputError, "another origin than the rate network's"):
        ddm2snn.restructure(quick_rate, moved, Sparse())
    with refuses(InputError, "Sparse.kept is a share above 0 and up to 1, got 1.5"):
        Sparse(1.5)
    with refuses(InputError, "Bounded.largest must be a finite number above zero"):
        Bounded(0.0)
