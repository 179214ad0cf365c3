"""Drift-diffusion matching: what was trained does what the target does, and says how well."""

# Lists stand for arrays here, and a frozen field is written to on purpose:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch

import ddm2snn
from ddm2snn import RateNetwork, System, Training
from ddm2snn.training import drift_error

# Relative root-mean-square error of the drift. Decoding from four neurons per unit adds 5e-3 in the
# better latent, so that within this bound training is not what limits a converted network.
DRIFT_TOLERANCE = 2e-3
SEEDS = (0, 1, 2)  # the first three there are


def van_der_pol(z):
    x, y = z[:, 0], z[:, 1]
    return np.stack([y, (1.0 - x * x) * y - x], axis=1)


@functools.cache
def noise_free_cycle():
    """10,000 states of the limit cycle: 200 starts, classical Runge-Kutta, 40 time units forgotten."""
    z = np.random.default_rng(99).uniform(-3.0, 3.0, (200, 2))
    dt, kept = 0.01, []
    for step in range(5000):
        k1 = van_der_pol(z)
        k2 = van_der_pol(z + 0.5 * dt * k1)
        k3 = van_der_pol(z + 0.5 * dt * k2)
        k4 = van_der_pol(z + dt * k3)
        z = z + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        if step >= 4000 and step % 20 == 0:
            kept.append(z)
    return np.concatenate(kept)


def relative_error(network):
    states = noise_free_cycle()
    truth = van_der_pol(states)
    return np.sqrt(np.mean((network.drift(states) - truth) ** 2, axis=0) / np.mean(truth**2, axis=0))


@functools.cache
def trained(seed) -> RateNetwork:
    return ddm2snn.train("vanderpol", seed=seed)


def ornstein_uhlenbeck():
    """Mean (50, -3), standard deviations 5 and 0.1: units that only a scaled network can learn in."""
    mean, spread = np.array([50.0, -3.0]), np.array([5.0, 0.1])
    return System(
        name="ou",
        rank=2,
        drift=lambda z: mean - z,
        diffusion=np.sqrt(2.0) * np.diag(spread),
        initial=lambda rng, count: mean + spread * rng.standard_normal((count, 2)),
    )


def test_the_cycle_of_this_test_is_the_known_one():
    # amplitude as in Strogatz, Nonlinear Dynamics, section 7.6: the sample itself must be right
    states = noise_free_cycle()
    assert len(states) == 10_000
    assert np.abs(states[:, 0]).max() == pytest.approx(2.0086, abs=2e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_drift_is_matched_on_an_independent_sample(seed):
    assert trained(seed).units == 64
    assert (relative_error(trained(seed)) <= DRIFT_TOLERANCE).all()


@pytest.mark.parametrize("field", ["left_vectors", "right_vectors", "bias"])
def test_one_percent_of_noise_on_the_weights_fails_the_tolerance(field):
    weights = getattr(trained(0), field)
    noisy = weights * (1.0 + 0.01 * np.random.default_rng(3).standard_normal(weights.shape))
    assert relative_error(dataclasses.replace(trained(0), **{field: noisy})).max() > DRIFT_TOLERANCE


def test_the_reported_error_is_that_order_too():
    reported = np.array(trained(0).provenance["drift_error"])
    # the report is on noisy states, which leave the cycle: a little larger, never ten times
    assert (reported <= DRIFT_TOLERANCE).all()
    assert (reported < 10 * relative_error(trained(0))).all()


def test_drift_error_is_relative_per_latent(quick_rate):
    system = ddm2snn.find_system("vanderpol")
    assert np.allclose(drift_error(quick_rate, system, noise_free_cycle()), relative_error(quick_rate), rtol=1e-12)


def test_the_loss_history_decreases():
    loss = trained(1).provenance["loss"]
    assert len(loss) > 50
    assert np.isfinite(loss).all()
    assert loss[-1] < 0.01 * loss[0]
    thirds = np.array_split(np.array(loss), 3)
    assert np.median(thirds[0]) > np.median(thirds[1]) > np.median(thirds[2])


def test_provenance_tells_how(quick_rate, quick):
    provenance = quick_rate.provenance
    assert provenance["system"] == "vanderpol"
    assert provenance["seed"] == 5
    assert provenance["units"] == 8
    assert provenance["training"] == dataclasses.asdict(quick)
    assert provenance["device"] == "cpu"
    assert set(provenance["versions"]) >= {"ddm2snn", "torch", "numpy"}
    assert provenance["readout_norm"] == pytest.approx(np.abs(quick_rate.right_vectors).sum())


def test_a_seed_fixes_the_network(quick, quick_rate):
    again = ddm2snn.train("vanderpol", units=8, seed=5, training=quick)
    assert again.fingerprint == quick_rate.fingerprint
    assert again.provenance == quick_rate.provenance
    other = ddm2snn.train("vanderpol", units=8, seed=6, training=quick)
    assert other.fingerprint != quick_rate.fingerprint


def test_training_leaves_the_global_generators_alone(quick):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global one is what is looked at
    ddm2snn.train("vanderpol", units=3, training=quick)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_the_default_number_of_units_is_the_systems_own(quick):
    system = dataclasses.replace(ornstein_uhlenbeck(), units=7)
    assert ddm2snn.train(system, training=quick).units == 7
    assert ddm2snn.train(system, units=3, training=quick).units == 3


@pytest.mark.parametrize("factor", [0.3, [[0.4, 0.0], [0.1, 0.2]], [[0.2, -0.3], [0.5, 0.1]]])
def test_the_diffusion_tensor_is_the_systems(quick, factor):
    system = System(name="ou", rank=2, drift=lambda z: -z, diffusion=factor)
    network = ddm2snn.train(system, units=4, training=quick)
    g = system.factor(np.zeros(2))
    tensor = network.diffusion(network.initial_latent[:5])
    # dividing by the scale and multiplying again costs a rounding or two
    assert np.allclose(tensor, np.broadcast_to(g @ g.T, (5, 2, 2)), rtol=1e-14, atol=1e-16)


def test_states_and_scales_are_in_the_units_of_the_system(quick):
    network = ddm2snn.train(ornstein_uhlenbeck(), units=6, seed=1, training=quick)
    states = network.initial_latent
    assert states.shape == (quick.points, 2)
    # means and spreads of 400 points that are nearly independent: five standard errors
    assert np.allclose(states.mean(axis=0), [50.0, -3.0], rtol=0, atol=[5 * 5 / 20, 5 * 0.1 / 20])
    assert np.allclose(states.std(axis=0), [5.0, 0.1], rtol=5 / np.sqrt(2 * 400))
    assert np.allclose(network.latent_offset, states.mean(axis=0), rtol=1e-12)
    assert np.allclose(network.latent_scale, states.std(axis=0), rtol=1e-12)
    assert np.allclose(network.drift(np.array([55.0, -3.0])), [-5.0, 0.0], rtol=0, atol=[0.25, 0.005])


def test_states_to_start_from_lie_on_the_cycle():
    states, cycle = trained(2).initial_latent, noise_free_cycle()
    assert states.shape == (1024, 2)
    distance = np.linalg.norm(states[:100, None] - cycle[None, ::4], axis=-1).min(axis=1)
    assert np.median(distance) < 0.2  # noise of 0.1 against a relaxation rate of one


def test_the_input_map_takes_inputs_in_units_of_the_system(quick):
    network = ddm2snn.train(ornstein_uhlenbeck(), units=6, seed=1, training=quick)
    assert np.allclose(np.diag(network.latent_scale) @ network.input_map, np.eye(2), rtol=1e-14)


def test_a_larger_ridge_makes_a_smaller_readout(quick):
    large, small = (
        ddm2snn.train("vanderpol", units=16, training=dataclasses.replace(quick, ridge=ridge)) for ridge in (1e-2, 1e-6)
    )
    assert large.provenance["readout_norm"] < 0.5 * small.provenance["readout_norm"]


def test_progress_grows_to_at_most_one(quick):
    shares = []
    ddm2snn.train("vanderpol", units=3, training=quick, progress=shares.append)
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert 0.0 < shares[-1] <= 1.0


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Training().ridge = 1.0


def test_the_ridge_is_lowered_until_the_error_is_reached():
    stages = {}
    for error in (0.5, 1e-9):
        made = ddm2snn.train("vanderpol", units=16, seed=1, training=Training(error=error, iterations=20)).provenance
        stages[error] = made["stages"]
        assert made["ridge"] == made["stages"][-1]["ridge"]
    assert len(stages[0.5]) == 1, "the first ridge already does"
    ridges = [stage["ridge"] for stage in stages[1e-9]]
    assert len(ridges) > 1
    assert ridges == sorted(ridges, reverse=True)
    assert stages[1e-9][-1]["drift_error"] < stages[0.5][0]["drift_error"]


def test_a_given_ridge_is_the_only_one_tried():
    training = Training(ridge=1e-3, error=1e-9, iterations=10)
    stages = ddm2snn.train("vanderpol", units=16, seed=1, training=training).provenance["stages"]
    assert [stage["ridge"] for stage in stages] == [1e-3]
