"""Fixed points, Jacobians and kinds of stability against closed forms."""

import numpy as np
import pytest

import ddm2snn
from ddm2snn.analysis import FixedPoint, central_jacobian, find_fixed_points, network_jacobian
from ddm2snn.systems import lorenz, quartic_wells, van_der_pol


def starts(system, count=150, seed=0):
    return system.starts(np.random.default_rng(seed), count)


def test_wells_have_all_their_fixed_points():
    system = quartic_wells(2)
    found = find_fixed_points(system.drift, np.random.default_rng(0).uniform(-1.5, 1.5, (200, 2)))
    places = np.array([point.place for point in found])
    expected = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)], dtype=float)
    assert len(places) == 9
    # Newton's method ends at rounding; the residual asked for is 1e-9
    np.testing.assert_allclose(places[np.lexsort(np.round(places.T[::-1]))], expected, atol=1e-8)
    kinds = [point.kind for point in found]
    assert {kind: kinds.count(kind) for kind in kinds} == {"stable node": 4, "saddle": 4, "unstable node": 1}


def test_lorenz_has_a_saddle_and_two_saddle_foci():
    found = find_fixed_points(lorenz().drift, starts(lorenz()))
    place = np.sqrt(8 / 3 * 27)
    np.testing.assert_allclose(found[0].place, [-place, -place, 27], atol=1e-7)
    np.testing.assert_allclose(found[1].place, 0, atol=1e-7)
    assert [point.kind for point in found] == ["saddle focus", "saddle", "saddle focus"]
    # Sparrow, The Lorenz Equations (1982): 0.094 +- 10.195 i and -13.855
    np.testing.assert_allclose(np.real(found[0].eigenvalues), [0.09396, 0.09396, -13.85457], atol=1e-4)
    np.testing.assert_allclose(np.imag(found[0].eigenvalues), [10.19451, -10.19451, 0], atol=1e-4)


def test_zeros_far_from_the_starts_are_left_out():
    near = 0.3 * starts(van_der_pol())
    assert [point.kind for point in find_fixed_points(van_der_pol().drift, near)] == ["unstable focus"]
    assert find_fixed_points(lambda z: z - 5.0, near) == ()


def test_a_field_without_zeros_has_no_fixed_points():
    assert find_fixed_points(lambda z: np.ones_like(z) + z**2, np.linspace(-1, 1, 30)[:, None]) == ()


@pytest.mark.parametrize(
    ("matrix", "kind"),
    [
        ([[-1, 0], [0, -2]], "stable node"),
        ([[1, 0], [0, 2]], "unstable node"),
        ([[-1, 1], [-1, -1]], "stable focus"),
        ([[1, 1], [-1, 1]], "unstable focus"),
        ([[1, 0], [0, -1]], "saddle"),
        ([[0, 1], [-1, 0]], "centre"),
        ([[0, 0], [0, -1]], "not hyperbolic"),
        ([[1, 1, 0], [-1, 1, 0], [0, 0, -1]], "saddle focus"),
    ],
)
def test_kinds(matrix, kind):
    jacobian = np.array(matrix, dtype=float)
    assert FixedPoint(place=np.zeros(len(jacobian)), jacobian=jacobian).kind == kind


@pytest.mark.parametrize("activation", ["tanh", "lif"])
def test_the_jacobian_of_a_network_is_that_of_its_drift(make_rate, activation):
    network = make_rate(rank=3, units=25, seed=1, activation=activation)
    z = np.random.default_rng(5).standard_normal((2, 4, 3))
    analytic, numeric = network_jacobian(network)(z), central_jacobian(network.drift)(z)
    assert analytic.shape == (2, 4, 3, 3)
    # central differences at the cube root of the precision: 4e-11 times third derivatives of order one
    np.testing.assert_allclose(analytic, numeric, atol=1e-8)
    # the control: indices swapped would differ
    assert np.abs(np.swapaxes(analytic, -1, -2) - numeric).max() > 1e-3


def test_the_jacobian_of_a_linear_drift_is_its_matrix():
    matrix = np.random.default_rng(6).standard_normal((3, 3))
    found = central_jacobian(lambda z: z @ matrix.T)(np.random.default_rng(7).standard_normal(3))
    np.testing.assert_allclose(found, matrix, atol=1e-9)


def test_starts_that_are_no_points_are_refused():
    with pytest.raises(ddm2snn.InputError, match="shape"):
        find_fixed_points(van_der_pol().drift, np.zeros(2))
