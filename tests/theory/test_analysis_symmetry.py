"""Symmetric and antisymmetric parts against dense matrices; energy along trajectories."""

import dataclasses

import numpy as np
import pytest
from scipy.integrate import quad

import ddm2snn
from ddm2snn.analysis import energy, full_state, latent_parts, symmetry_norms
from ddm2snn.analysis.flow import SLOPES
from ddm2snn.analysis.symmetry import INVERSE_INTEGRALS, _products
from ddm2snn.neuron.activation import activate

ACTIVATIONS = ("tanh", "relu")


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


def test_factored_products_are_the_dense_ones(network):
    w, s, a = dense(network)
    rates = np.random.default_rng(0).standard_normal((3, 4, 30))
    symmetric, antisymmetric = _products(network, rates)
    np.testing.assert_allclose(symmetric, rates @ s, atol=1e-12)
    np.testing.assert_allclose(antisymmetric, rates @ a.T, atol=1e-12)
    assert np.linalg.matrix_rank(s) <= 4
    norms = symmetry_norms(network)
    expected = [np.linalg.norm(m) for m in (w, s, a)]
    np.testing.assert_allclose([norms.whole, norms.symmetric, norms.antisymmetric], expected, rtol=1e-12)
    assert norms.as_json()["antisymmetric_share"] == pytest.approx((expected[2] / expected[0]) ** 2)


def test_the_parts_of_the_latent_drift_add_up(network):
    z = np.random.default_rng(1).standard_normal((5, 7, 2))
    parts = latent_parts(network, z)
    whole = network.drift(z)
    np.testing.assert_allclose(parts.symmetric + parts.antisymmetric, whole, atol=1e-12 * np.abs(whole).max())
    # the control: each alone is not the drift
    assert np.abs(parts.symmetric - whole).max() > 0.1 * np.abs(whole).max()


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
