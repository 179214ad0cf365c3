"""Symmetric and antisymmetric parts against dense matrices; energy along trajectories and down the latent drift."""

# pyright: reportArgumentType=false
# names of projections come from a parameter, one of them wrong

import dataclasses
import functools

import numpy as np
import pytest
from scipy.integrate import quad

import ddm2snn
from ddm2snn.analysis import energy, full_state, latent_parts, symmetry_norms
from ddm2snn.analysis.flow import SLOPES, stationary_paths
from ddm2snn.analysis.symmetry import INVERSE_INTEGRALS
from ddm2snn.neuron.activation import activate
from ddm2snn.systems import BUILT_IN, find_system
from ddm2snn.training.sampling import stationary_cloud

ACTIVATIONS = ("tanh", "relu")
ROUNDING = 1e-12  # twelve digits of the largest number that a sum is made of


@pytest.fixture(params=ACTIVATIONS)
def network(request, make_rate):
    strong = make_rate(rank=2, units=30, seed=4, activation=request.param)
    # strong enough that the antisymmetric part turns states round
    return dataclasses.replace(strong, right_vectors=np.array(12.0 * strong.right_vectors))


def dense(network):
    w = network.left_vectors @ network.right_vectors.T
    return w, (w + w.T) / 2, (w - w.T) / 2


def symmetric_drift(network, x):
    return -x + activate(network.activation, x) @ dense(network)[1] + network.bias


def state_drift(network, x):
    return -x + activate(network.activation, x) @ dense(network)[0].T + network.bias


def test_norms_are_those_of_the_dense_matrices(network):
    w, s, a = dense(network)
    assert np.linalg.matrix_rank(s) <= 4
    norms = symmetry_norms(network)
    expected = [np.linalg.norm(m) for m in (w, s, a)]
    np.testing.assert_allclose([norms.whole, norms.symmetric, norms.antisymmetric], expected, rtol=1e-12)
    assert norms.as_json()["antisymmetric_share"] == pytest.approx((expected[2] / expected[0]) ** 2)


def test_the_coupling_of_the_energy_is_that_of_the_dense_matrix(network):
    x = full_state(network, np.random.default_rng(0).standard_normal((3, 4, 2)))
    rates = activate(network.activation, x)
    integral = INVERSE_INTEGRALS[network.activation](x).sum(axis=-1)
    expected = -0.5 * np.einsum("...i,ij,...j", rates, dense(network)[1], rates) - rates @ network.bias + integral
    np.testing.assert_allclose(energy(network, x), expected, rtol=1e-12)


def projected(network, z, weights):
    """Symmetric part of the latent drift by weighted least squares on the dense matrices, state by state."""
    x = full_state(network, z)
    root = np.sqrt(weights(x))
    target = activate(network.activation, x) @ dense(network)[1] - (x - network.bias)
    found = [np.linalg.lstsq(r[:, None] * network.left_vectors, r * v)[0] for r, v in zip(root, target, strict=True)]
    return np.array(found) * network.latent_scale


def test_the_parts_are_projections_of_the_dense_products(network):
    z = np.random.default_rng(0).standard_normal((40, 2))
    for projection, weights in (("gradient-flow", SLOPES[network.activation]), ("pseudo-inverse", np.ones_like)):
        parts = latent_parts(network, z, projection=projection)
        expected = projected(network, z, weights)
        np.testing.assert_allclose(parts.symmetric, expected, atol=1e-10 * np.abs(expected).max())
    assert np.abs(latent_parts(network, z).symmetric - expected).max() > 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("projection", ["gradient-flow", "pseudo-inverse"])
def test_the_parts_of_the_latent_drift_add_up(network, projection):
    z = np.random.default_rng(1).standard_normal((5, 7, 2))
    parts = latent_parts(network, z, projection=projection)
    whole = network.drift(z)
    np.testing.assert_allclose(parts.symmetric + parts.antisymmetric, whole, atol=ROUNDING * np.abs(whole).max())
    # the control: each alone is not the drift
    assert np.abs(parts.symmetric - whole).max() > 0.1 * np.abs(whole).max()


# ----- the symmetric part descends its energy


def slope_of_energy(network, z):
    """Gradient of E(Gamma z + b) by the internal latents, and the metric M = Gamma^T Phi' Gamma, from dense sums."""
    x = full_state(network, z)
    gain = SLOPES[network.activation](x)
    gradient = -(gain * symmetric_drift(network, x)) @ network.left_vectors
    return gradient, np.einsum("...i,ia,ib->...ab", gain, network.left_vectors, network.left_vectors)


def climb(network, z, projection="gradient-flow"):
    """Rate of change of E along the symmetric part of the latent drift, and what rounding can make of it."""
    gradient, _ = slope_of_energy(network, z)
    flow = latent_parts(network, z, projection=projection).symmetric / network.latent_scale
    return (gradient * flow).sum(axis=-1), ROUNDING * np.abs(gradient * flow).sum(axis=-1).max()


@functools.cache
def matched(name, activation):
    """A network with the drift of a built-in system: hidden units at random, read out by a ridge regression."""
    system, rng = find_system(name), np.random.default_rng(5)
    states = stationary_cloud(system, 4000, rng).points
    offset, scale = states.mean(axis=0), states.std(axis=0)
    z, units = (states - offset) / scale, 40 * system.rank
    gamma, bias = 1.5 * rng.standard_normal((units, system.rank)), rng.uniform(-2.0, 2.0, units)
    hidden = activate(activation, z @ gamma.T + bias)
    target = system.drift(states) / scale + z
    gram = hidden.T @ hidden + 1e-4 * len(z) * np.eye(units)
    network = ddm2snn.RateNetwork(
        left_vectors=gamma, right_vectors=np.linalg.solve(gram, hidden.T @ target), bias=bias, activation=activation,
        diffusion_factor=np.zeros((system.rank, system.rank)), input_map=np.diag(1 / scale), latent_offset=offset,
        latent_scale=scale, initial_latent=states[:200],
    )  # fmt: skip
    # a network of this system: most of its drift is there
    error = ((network.drift(states) - system.drift(states)) ** 2).mean(axis=0)
    assert (error < 0.2 * (system.drift(states) ** 2).mean(axis=0)).all()
    return network


def states_of(network):
    """Stationary states of the target, and a grid over one and a half times their range."""
    low, high = network.initial_latent.min(axis=0), network.initial_latent.max(axis=0)
    middle, half = (low + high) / 2, 0.75 * (high - low)
    axes = [np.linspace(-1.0, 1.0, {1: 401, 2: 41, 3: 13}[network.rank])] * network.rank
    grid = middle + half * np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, network.rank)
    return np.concatenate([network.initial_latent, grid])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_the_symmetric_part_descends_its_energy_for_every_system(name, activation):
    network = matched(name, activation)
    z = states_of(network)
    rate, rounding = climb(network, z)
    assert rate.max() <= rounding
    # as steep as the metric says: -(grad E)^T M^-1 grad E
    gradient, metric = slope_of_energy(network, z)
    steepest = -np.einsum("...i,...ij,...j", gradient, np.linalg.pinv(metric, rtol=1e-13, hermitian=True), gradient)
    np.testing.assert_allclose(rate, steepest, rtol=1e-8, atol=rounding)
    parts, whole = latent_parts(network, z), network.drift(z)
    np.testing.assert_allclose(parts.symmetric + parts.antisymmetric, whole, atol=ROUNDING * np.abs(whole).max())


def test_a_trained_network_descends_along_trajectories_where_the_pseudo_inverse_climbs(rate_network):
    path = stationary_paths(
        rate_network, trials=16, duration=12.8, every=0.2, burn_in=3.0, rng=np.random.default_rng(6)
    ).reshape(-1, 2)
    rate, rounding = climb(rate_network, path)
    assert rate.max() <= rounding
    # the control: by the pseudo-inverse the energy rises at a good part of the same states
    rate, rounding = climb(rate_network, path, "pseudo-inverse")
    assert (rate > 1e6 * rounding).mean() > 0.1


@pytest.mark.parametrize("name", ["vanderpol", "fourwell", "lorenz"])
def test_the_energy_falls_along_the_latent_flow_of_the_symmetric_part(name):
    network = matched(name, "tanh")
    heights = {}
    for projection in ("gradient-flow", "pseudo-inverse"):
        z, heights[projection] = network.initial_latent[:40], []
        for _ in range(400):
            heights[projection].append(energy(network, full_state(network, z)))
            speed = latent_parts(network, z, projection=projection).symmetric
            # short steps: a twentieth of the fastest relaxation at any state, and of a standard deviation
            z = z + 0.002 * speed / np.maximum(1.0, np.abs(speed / network.latent_scale).max(axis=-1, keepdims=True))
    falls = np.array(heights["gradient-flow"])
    assert np.diff(falls, axis=0).max() <= ROUNDING * np.ptp(falls)
    assert np.ptp(falls, axis=0).max() > 0.1  # they move
    # the control
    assert np.diff(np.array(heights["pseudo-inverse"]), axis=0).max() > 1e3 * ROUNDING * np.ptp(falls)


def test_silent_rectifiers_leave_the_rest_to_the_others(make_rate):
    network = make_rate(rank=2, units=4, activation="relu")
    gamma = np.array([[1.0, 0.0], [1.0, 0.5], [0.0, 1.0], [0.0, 2.0]])
    network = dataclasses.replace(
        network, left_vectors=gamma, right_vectors=np.array(3.0 * network.right_vectors), bias=np.zeros(4),
        latent_offset=np.zeros(2), latent_scale=np.ones(2),
    )  # fmt: skip
    for z, active in (([1.0, -3.0], 1), ([2.0, -3.0], 2), ([-1.0, -1.0], 0)):
        z = np.array([z])
        slopes = SLOPES["relu"](full_state(network, z))
        assert slopes.sum() == active
        # the limit of weights phi' + epsilon: its error is of order epsilon
        found = latent_parts(network, z).symmetric
        np.testing.assert_allclose(found, projected(network, z, lambda x: SLOPES["relu"](x) + 1e-9), atol=1e-7)
        rate, rounding = climb(network, z)
        assert rate.max() <= rounding
        whole = latent_parts(network, z)
        np.testing.assert_allclose(whole.symmetric + whole.antisymmetric, network.drift(z), atol=1e-12)
    # where none is active, it is the pseudo-inverse
    np.testing.assert_allclose(found, latent_parts(network, z, projection="pseudo-inverse").symmetric, atol=1e-12)


def test_saturated_units_keep_their_ratios(make_rate):
    gamma = np.array([[1.0, 0.2], [0.9, 0.3], [0.3, 1.0], [0.25, 1.05]])
    network = dataclasses.replace(make_rate(rank=2, units=4), left_vectors=gamma)
    far = network.latent_offset + network.latent_scale * np.array([[30.0, 30.0], [35.0, 31.0]])
    largest = SLOPES["tanh"](full_state(network, far)).max()
    assert 0 < largest < 1e-28  # 1 - tanh^2 is zero there
    rate, rounding = climb(network, far)
    assert rate.max() <= rounding
    parts = latent_parts(network, far)
    whole = network.drift(far)
    np.testing.assert_allclose(parts.symmetric + parts.antisymmetric, whole, rtol=1e-12)


def test_other_projections_and_slopes_that_are_not_finite_are_refused(make_rate):
    network, z = make_rate(), np.zeros(2)
    with pytest.raises(ddm2snn.InputError, match="gradient-flow, pseudo-inverse"):
        latent_parts(network, z, projection="orthogonal")
    lif = dataclasses.replace(network, activation="lif")
    with pytest.raises(ddm2snn.InputError, match="Use projection='pseudo-inverse'"):
        latent_parts(lif, z)
    parts = latent_parts(lif, z, projection="pseudo-inverse")
    np.testing.assert_allclose(parts.symmetric + parts.antisymmetric, lif.drift(z), atol=1e-12)


def test_a_symmetric_matrix_has_no_antisymmetric_part(make_rate):
    network = make_rate(rank=2, units=20)
    even = dataclasses.replace(network, right_vectors=network.left_vectors)
    z = np.random.default_rng(2).standard_normal((6, 2))
    np.testing.assert_allclose(latent_parts(even, z).antisymmetric, 0, atol=1e-12)
    assert symmetry_norms(even).antisymmetric < 1e-6 * symmetry_norms(even).whole


def test_the_integral_of_the_inverse_is_the_integral(network):
    inverse = {"tanh": np.arctanh, "relu": lambda s: s}[network.activation]
    integral = INVERSE_INTEGRALS[network.activation]
    for x in (-1.7, -0.3, 0.0, 0.4, 2.1):
        top = activate(network.activation, np.array(x))
        assert integral(np.array(x)) == pytest.approx(quad(inverse, 0.0, float(top))[0], abs=1e-10)
    assert np.isfinite(integral(np.array([-800.0, 800.0]))).all()


def test_the_energy_has_the_symmetric_drift_for_its_gradient(network):
    x = full_state(network, np.random.default_rng(3).standard_normal(2))
    step = 1e-5
    shift = step * np.eye(30)
    gradient = (energy(network, x + shift) - energy(network, x - shift)) / (2 * step)
    # central differences: rounding of E, some 1e2, over the step gives 1e-9
    expected = -SLOPES[network.activation](x) * symmetric_drift(network, x)
    np.testing.assert_allclose(gradient, expected, atol=1e-7 * np.abs(expected).max() + 1e-8)


def energies(network, drift, steps=2000, dt=0.005):
    """Energies along Euler paths; the step is short beside the leak, so its error of order dt^2 is small."""
    x = full_state(network, 2.0 * np.random.default_rng(4).standard_normal((10, 2)))
    found = [energy(network, x)]
    for _ in range(steps):
        x = x + dt * drift(network, x)
        found.append(energy(network, x))
    return np.array(found)


def test_the_energy_falls_along_the_symmetric_dynamics_and_not_along_the_whole(make_rate):
    network = make_rate(rank=2, units=30, seed=4)
    turned = network.left_vectors @ np.array([[1.2, -2.0], [2.0, 1.2]]) * 3 / 30
    network = dataclasses.replace(network, right_vectors=turned, bias=np.zeros(30))
    symmetric, whole = energies(network, symmetric_drift), energies(network, state_drift)
    scale = np.ptp(symmetric)
    assert scale > 1.0
    # rounding only: twelve digits of the range
    assert np.diff(symmetric, axis=0).max() <= 1e-12 * scale
    # the control: with the antisymmetric part it rises as well, far above rounding
    assert np.diff(whole, axis=0).max() > 1e-4 * scale


def test_an_activation_without_a_closed_form_is_refused(make_rate):
    network = make_rate(activation="lif")
    with pytest.raises(ddm2snn.InputError, match="tanh or relu"):
        energy(network, np.zeros(6))
