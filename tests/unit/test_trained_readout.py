"""Trained read-out: columns of W_s as trained, the target they are solved for, constants without spikes."""

# Diagnostics may lack a part, and the tests know which of them these have:
# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false, reportArgumentType=false

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import ddm2snn
from ddm2snn import LIF, InputError, Population, TrainedReadout
from ddm2snn.base.progress import no_progress
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.convert import with_constant
from ddm2snn.conversion.decoders import Problem
from ddm2snn.conversion.decoders.trained import activation_target, tune_units
from ddm2snn.conversion.population import encode
from ddm2snn.conversion.trajectories import regression_target
from ddm2snn.conversion.tuning import around

CLOCK = Clock(time_unit_s=0.2, dt_s=0.001, spike_timing="interpolated")
ON_CURVES = TrainedReadout(compensate_lag=False)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(1).standard_normal((600, 2))


def activations(rate, ensemble, z, judged):
    """Activations of units at the states `judged`, decoded as is solved for at the states z."""
    scale, constant = ON_CURVES.scales(rate, ensemble, z)
    belongs = np.equal.outer(ensemble.unit, np.arange(rate.units)) * scale[:, None]
    return constant + LIF().rate_hz(ensemble.currents(judged)) @ belongs


@pytest.fixture(scope="module")
def converted(quick_rate):
    return ddm2snn.convert(quick_rate, decoders=TrainedReadout(), backend="reference", seed=2)


def test_every_column_of_the_decoders_is_that_of_the_trained_readout(converted, quick_rate):
    network = converted.network
    own = quick_rate.right_vectors[network.unit].T
    cross = network.decoders[0] * own[1] - network.decoders[1] * own[0]
    size = np.linalg.norm(network.decoders, axis=0) * np.linalg.norm(own, axis=0)
    assert np.abs(cross).max() <= 1e-12 * size.max()
    assert np.linalg.norm(network.decoders, axis=0).min() > 0


def test_a_block_of_the_recurrent_matrix_is_a_trained_weight_times_rank_one(converted, quick_rate):
    network = converted.network
    weights = quick_rate.left_vectors @ quick_rate.right_vectors.T
    recurrent = network.encoders @ network.decoders
    left, right = quick_rate.left_vectors[network.unit], quick_rate.right_vectors[network.unit].T
    gain = (network.encoders * left).sum(axis=1) / (left**2).sum(axis=1)
    scale = (network.decoders * right).sum(axis=0) / (right**2).sum(axis=0)
    for i, j in ((0, 3), (5, 2)):
        into, out_of = network.unit == i, network.unit == j
        expected = weights[i, j] * np.outer(gain[into], scale[out_of])
        assert np.allclose(recurrent[np.ix_(into, out_of)], expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    assert converted.diagnostics.rank_audit.rank == 2
    assert converted.diagnostics.rank_audit.row_residual < 1e-12


def test_calibrated_decoders_do_not_keep_the_readout(quick_spiking, quick_rate):
    own = quick_rate.right_vectors[quick_spiking.unit].T
    cross = quick_spiking.decoders[0] * own[1] - quick_spiking.decoders[1] * own[0]
    size = np.linalg.norm(quick_spiking.decoders, axis=0) * np.linalg.norm(own, axis=0)
    assert np.abs(cross).max() > 1e-4 * size.max()  # against rounding above


def test_the_target_of_activations_is_that_of_the_drift(quick_rate, points):
    mapped = activation_target(quick_rate, points, CLOCK) @ quick_rate.right_vectors
    wanted = regression_target(quick_rate, points, CLOCK)
    # Simpson's rule and the Runge-Kutta step are off by fourth powers of a step of 0.005, the lag by the first
    lag = np.abs(quick_rate.internal_readout(points) - wanted).max()
    assert lag > 1e-3
    assert np.abs(mapped - wanted).max() < 1e-3 * lag


def test_units_are_solved_by_themselves(quick_rate, points):
    ensemble = encode(quick_rate, Population(3), CLOCK, points, stream(0, "test"))
    scale, constant = TrainedReadout(ridge=0.02, compensate_lag=False).scales(quick_rate, ensemble, points)
    rates_hz = LIF().rate_hz(ensemble.currents(points))
    own = ensemble.unit == 4
    weight = np.sqrt(len(points)) * 0.02 * rates_hz.max()
    stacked = np.vstack([np.column_stack([rates_hz[:, own], np.ones(len(points))]), np.zeros((3, 4))])
    stacked[-3:, :3] = weight * np.eye(3)
    goal = np.append(activation_target(quick_rate, points, CLOCK)[:, 4], np.zeros(3))
    expected = np.linalg.lstsq(stacked, goal, rcond=None)[0]
    assert np.allclose(scale[own], expected[:3], rtol=0, atol=1e-9 * np.abs(expected[:3]).max())
    assert constant[4] == pytest.approx(expected[3], abs=1e-9)


def test_decoders_are_columns_of_the_readout_times_what_is_solved_for(quick_rate, points):
    ensemble = encode(quick_rate, Population(3), CLOCK, points, stream(0, "test"))
    solution = ON_CURVES.solve(Problem(quick_rate, ensemble, points, seed=0), no_progress)
    scale, constant = ON_CURVES.scales(quick_rate, ensemble, around(points, 0))
    assert np.array_equal(solution.decoders, quick_rate.right_vectors[ensemble.unit].T * scale)
    assert solution.constant is not None
    assert np.array_equal(solution.constant, constant @ quick_rate.right_vectors)


def test_tuned_units_decode_their_activations_better(quick_rate, points):
    drawn = encode(quick_rate, Population(2), CLOCK, points, stream(0, "test"))
    tuned = tune_units(quick_rate, drawn, points, ON_CURVES.ridge, stream(1, "test"))
    fresh = np.random.default_rng(7).standard_normal((2000, 2))
    target = activation_target(quick_rate, fresh, CLOCK)
    errors = [
        np.sqrt(((activations(quick_rate, ensemble, points, fresh) - target) ** 2).mean())
        for ensemble in (drawn, tuned)
    ]
    assert errors[1] < 0.6 * errors[0]
    factor = (tuned.encoders * drawn.encoders).sum(axis=1) / (drawn.encoders**2).sum(axis=1)
    assert np.allclose(tuned.encoders, factor[:, None] * drawn.encoders)
    assert (np.abs(np.log(factor)) <= np.log(3.0) + 1e-9).all()


def test_a_constant_is_decoded_without_spikes(quick_spiking):
    constant = np.array([0.3, -0.2])
    moved = with_constant(quick_spiking, constant)
    latent = np.array([0.7, 1.1])
    z, z_moved = ((latent - net.latent_offset) / net.latent_scale for net in (quick_spiking, moved))
    # at one state in system units neurons get the same currents, and the internal state lacks the constant
    assert np.allclose(quick_spiking.encoders @ z + quick_spiking.bias, moved.encoders @ z_moved + moved.bias)
    assert np.allclose(z_moved + constant, z)


def test_the_loop_runs_and_keeps_its_moments(rate_network):
    conversion = ddm2snn.convert(
        rate_network, decoders=TrainedReadout(), population=Population(8), backend="reference", seed=2
    )
    reference = ddm2snn.simulate(rate_network, duration=20.0, trials=8, seed=1).samples[:, 250:]
    spiking = ddm2snn.simulate(conversion.network, duration=20.0, trials=8, seed=1).samples[:, 250:]
    # drift errors of some percent, and means of 8 trials of some five periods each: 0.06 seen at most over three
    # seeds; the constants alone move the origin by more (0.25 to 3)
    assert np.allclose(spiking.std(axis=(0, 1)), reference.std(axis=(0, 1)), rtol=0.1)
    assert np.allclose(spiking.mean(axis=(0, 1)), reference.mean(axis=(0, 1)), atol=0.12)
    moved = conversion.network.latent_offset - rate_network.latent_offset
    assert np.abs(moved).max() > 0.12
    assert max(conversion.diagnostics.drift_error) < 0.3
    assert len(conversion.diagnostics.activation_error or ()) == rate_network.units
    assert conversion.diagnostics.noise.spikes_over_target > 0


def test_more_neurons_cost_less_error(quick_rate, points):
    misses = []
    for m in (1, 8):
        ensemble = encode(quick_rate, Population(m), CLOCK, points, stream(0, "test"))
        decoded = activations(quick_rate, ensemble, points, points)
        misses.append(np.abs(decoded - activation_target(quick_rate, points, CLOCK)).mean())
    assert misses[1] < 0.3 * misses[0]


def test_a_unit_without_neurons_is_refused(refuses, quick_rate, points):
    ensemble = encode(quick_rate, Population(1), CLOCK, points, stream(0, "test"))
    fewer = replace(ensemble, encoders=ensemble.encoders[2:], bias=ensemble.bias[2:], unit=ensemble.unit[2:])
    with refuses(InputError, "2 of 8 units have none", "neurons_per_unit of 1 or more"):
        TrainedReadout().scales(quick_rate, fewer, points)


@pytest.mark.parametrize("bad", [0.0, np.nan, "0.1"])
def test_a_ridge_is_positive(refuses, bad):
    with refuses(InputError, f"TrainedReadout.ridge must be a finite number above zero, got {bad!r}"):
        TrainedReadout(ridge=bad)
