"""Recovery of the latent subspace from full states that were integrated in all units."""

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn.analysis import full_state, recover_subspace
from ddm2snn.network import to_internal
from ddm2snn.neuron.activation import activate

ROUNDING = np.finfo(float).eps


@pytest.fixture(scope="module")
def network(make_rate):
    return make_rate(rank=3, units=40, seed=2, diffusion_factor=0.3 * np.eye(3) + 0.1)


@pytest.fixture(scope="module")
def trajectories(network):
    """Euler steps of all units, and of the latents alone, with the same noise."""
    rng = np.random.default_rng(0)
    dt, steps, trials = 0.02, 400, 5
    w = network.left_vectors @ network.right_vectors.T
    z = rng.standard_normal((trials, 3)) * network.latent_scale + network.latent_offset
    x = full_state(network, z)
    states, latents = [x], [z]
    for _ in range(steps):
        push = np.sqrt(dt) * rng.standard_normal((trials, 3)) @ network.diffusion_factor.T
        x = x + dt * (-x + activate(network.activation, x) @ w.T + network.bias) + push @ network.left_vectors.T
        z = z + dt * network.drift(z) + push * network.latent_scale
        states.append(x)
        latents.append(z)
    return np.stack(states, axis=1), np.stack(latents, axis=1)


def test_latents_are_recovered_to_rounding(network, trajectories):
    states, latents = trajectories
    subspace = recover_subspace(states)
    assert subspace.rank == 3
    found = subspace.latents(network, states)
    # rounding of x enters at each of 400 steps, and grows by the condition of Gamma, about two
    condition = np.linalg.cond(network.left_vectors)
    tolerance = 400 * condition * ROUNDING * np.abs(states).max() * network.latent_scale.max()
    assert tolerance < 1e-11
    np.testing.assert_allclose(found, latents, atol=tolerance, rtol=0)
    np.testing.assert_allclose(subspace.components.T @ subspace.components, np.eye(3), atol=100 * ROUNDING)


def test_a_push_out_of_the_subspace_is_found(trajectories):
    states, _ = trajectories
    out = np.zeros(states.shape[-1])
    out[0] = 1e-6
    pushed = states + out * np.random.default_rng(1).standard_normal((*states.shape[:2], 1))
    assert recover_subspace(pushed).rank == 4


def test_few_samples_give_the_same_subspace(network, trajectories):
    states, latents = trajectories
    subspace = recover_subspace(states, most=50)
    assert subspace.rank == 3
    assert len(subspace.deviations) <= 50
    np.testing.assert_allclose(subspace.latents(network, states), latents, atol=1e-10)


def test_full_state_is_affine_in_internal_latents(network):
    z = np.random.default_rng(3).standard_normal((2, 4, 3))
    expected = to_internal(network, z) @ network.left_vectors.T + network.bias
    np.testing.assert_array_equal(full_state(network, z), expected)


def test_what_cannot_be_recovered_is_refused(network, trajectories):
    states, _ = trajectories
    with pytest.raises(ddm2snn.InputError, match="do not move"):
        recover_subspace(np.ones((2, 5, 7)))
    with pytest.raises(ddm2snn.InputError, match="shape"):
        recover_subspace(states[0])
    fewer = {name: getattr(network, name)[:39] for name in ("left_vectors", "right_vectors", "bias")}
    smaller = dataclasses.replace(network, **fewer)
    with pytest.raises(ddm2snn.InputError, match="40 units, the network 39"):
        recover_subspace(states).latents(smaller, states)
    repeated = np.repeat(network.left_vectors[:, :1], 3, axis=1)
    with pytest.raises(ddm2snn.InputError, match="span 1 dimension"):
        recover_subspace(states).latents(dataclasses.replace(network, left_vectors=repeated), states)
