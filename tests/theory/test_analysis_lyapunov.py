"""Lyapunov spectra against closed forms and published values."""

import numpy as np
import pytest

import ddm2snn
from ddm2snn.analysis import LyapunovSpectrum, lyapunov_spectrum
from ddm2snn.systems import lorenz, van_der_pol


def test_a_linear_flow_has_the_real_parts_of_its_eigenvalues():
    matrix = np.array([[-0.5, 2.0, 0.0], [-2.0, -0.5, 0.3], [0.0, 0.0, -3.0]])
    starts = np.random.default_rng(0).standard_normal((4, 3))
    found = lyapunov_spectrum(lambda z: z @ matrix.T, starts, dt=0.01, duration=20.0, burn_in=10.0)
    # Runge-Kutta's rate is off by dt^4 |lambda|^5 / 120, here 2e-8; that of the rotation goes
    # round within the plane over 20 time units, which is no whole number of turns: 1 part in 1e4
    np.testing.assert_allclose(found.exponents, [-0.5, -0.5, -3.0], atol=2e-3)
    assert found.exponents.sum() == pytest.approx(np.trace(matrix), abs=1e-6)


def test_uncoupled_decays_are_exact():
    rates = np.array([-3.0, 0.5, -1.0])
    starts = np.ones((2, 3))
    found = lyapunov_spectrum(lambda z: z * rates, starts, dt=0.01, duration=5.0, burn_in=0.0)
    # dt^4 |lambda|^5 / 120 = 2e-8; central differences of a linear function are exact to 1e-10
    np.testing.assert_allclose(found.exponents, [0.5, -1.0, -3.0], atol=3e-8)
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-9)


def test_the_lorenz_spectrum():
    system = lorenz()
    starts = system.starts(np.random.default_rng(1), 128)
    found = lyapunov_spectrum(system.drift, starts, dt=0.01, duration=80.0, burn_in=10.0)
    first, second, third = found.exponents
    published = system.known["lyapunov"]
    # 128 trajectories of 80 time units: standard error 0.003
    assert found.standard_error[0] < 0.004
    assert first == pytest.approx(published[0], rel=0.01)
    assert abs(second) < 0.005
    assert third == pytest.approx(published[2], rel=0.002)
    # the sum is the divergence of the flow, -(10 + 1 + 8/3), whatever the trajectory; the steps are off by
    # dt^4 |lambda|^5 / 120 = 5e-4 where contraction is fastest, |lambda| = 22.8
    assert found.exponents.sum() == pytest.approx(-41 / 3, abs=5e-4)
    # Sprott (2003): Kaplan-Yorke dimension 2.062
    assert found.kaplan_yorke_dimension == pytest.approx(2.062, abs=0.002)


def test_a_cycle_has_one_exponent_of_zero():
    system = van_der_pol()
    starts = system.starts(np.random.default_rng(2), 8)
    found = lyapunov_spectrum(system.drift, starts, dt=0.02, duration=66.63, burn_in=20.0)
    # over ten periods; multiplier 8.597e-4, so log / period is -1.059
    assert found.exponents[0] == pytest.approx(0, abs=2e-3)
    assert found.exponents[1] == pytest.approx(np.log(8.597e-4) / 6.66329, abs=5e-3)


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [
        ([-1.0, -2.0], 0.0),
        ([0.0, -1.0], 1.0),
        ([0.9, 0.0, -14.5], 2 + 0.9 / 14.5),
        ([0.5, 0.1], 2.0),
        ([1.0, -0.5, -1.0], 2.5),
    ],
)
def test_kaplan_yorke_dimension(exponents, dimension):
    values = np.array(exponents, dtype=float)
    assert LyapunovSpectrum(values, np.zeros_like(values)).kaplan_yorke_dimension == pytest.approx(dimension)


def test_a_diverging_flow_is_refused():
    with pytest.raises(ddm2snn.InputError, match="finite numbers"), np.errstate(all="ignore"):
        lyapunov_spectrum(lambda z: z**3, np.full((2, 1), 3.0), dt=0.1, duration=10.0, burn_in=0.0)
    with pytest.raises(ddm2snn.InputError, match="shape"):
        lyapunov_spectrum(lambda z: -z, np.ones(2), dt=0.1, duration=1.0, burn_in=0.0)
