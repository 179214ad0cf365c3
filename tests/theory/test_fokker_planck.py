"""The oracle of planar diffusions itself, against processes whose density, current or escape rate has a closed form."""

# pyright: reportArgumentType=false, reportPossiblyUnboundVariable=false
# names of schemes come from a parameter, and there is one at least

import numpy as np
import pytest
from fokker_planck import Grid, Planar
from scipy.integrate import quad

from ddm2snn.systems import anisotropic, ornstein_uhlenbeck, sequence, stuart_landau, van_der_pol

SCHEMES = ("scharfetter-gummel", "central")


def tensor_of(system):
    def tensor(z):
        factor = system.factor(z)
        return factor @ np.swapaxes(factor, -1, -2)

    return tensor


def square(reach, cells):
    return Grid((-reach, -reach), (reach, reach), (cells, cells))


def solved(system, grid, scheme):
    return Planar(system.drift, tensor_of(system), grid, scheme)


def deviation(found, expected):
    """Sum of absolute differences over that of the expected values."""
    return np.abs(found - expected).sum() / np.abs(expected).sum()


def linear(system, z):
    """Density and current of a linear process: J = (B + D S^-1) z p. Gardiner, section 4.5."""
    inverse = np.linalg.inv(system.known["covariance"])
    density = np.exp(-0.5 * np.einsum("...i,ij,...j", z, inverse, z)) * np.sqrt(np.linalg.det(inverse)) / (2 * np.pi)
    turn = system.drift(np.eye(2)).T + tensor_of(system)(np.zeros(2)) / 2 @ inverse
    return density, density[..., None] * (z @ turn.T)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("factor", [0.5 * np.eye(2), ((0.5, 0.0), (0.2, 0.4))], ids=["isotropic", "correlated"])
def test_a_linear_process(scheme, factor):
    system = ornstein_uhlenbeck(factor=factor)
    errors = []
    for cells in (50, 100):
        process = solved(system, square(2.0, cells), scheme)
        density, current = linear(system, process.grid.points())
        rate = process.entropy_production / system.known["entropy_production"] - 1
        errors.append([deviation(process.density, density), deviation(process.current, current), abs(rate)])
    # cells of an eighth of a standard deviation: errors of second order are some 1 %, and a quarter at half of it
    assert max(errors[1]) < 0.01
    assert (np.array(errors[1]) < 0.3 * np.array(errors[0])).all()
    # the control: a tenth more noise is seen in the density
    louder = solved(ornstein_uhlenbeck(factor=np.sqrt(1.1) * np.array(factor)), process.grid, scheme)
    assert deviation(louder.density, density) > 5 * errors[1][0]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_is_lost_and_all_currents_close(scheme):
    process = solved(stuart_landau(), square(2.2, 60), scheme)
    columns = np.asarray(process.generator.sum(axis=0)).ravel()
    np.testing.assert_allclose(columns, 0, atol=1e-10 * np.abs(process.generator.diagonal()).max())
    assert process.density.sum() * process.grid.area == pytest.approx(1.0, abs=1e-12)
    change = process.generator @ process.density.ravel()
    assert np.abs(change).sum() < 1e-8 * np.abs(process.generator.diagonal() @ process.density.ravel())
    if scheme == "scharfetter-gummel":
        coarse = solved(van_der_pol(), Grid((-2.7, -3.5), (2.7, 3.5), (20, 26)), scheme)
        assert coarse.density.min() > 0


def test_noise_by_state_that_is_stronger_along_the_radius():
    system = anisotropic()
    for scheme in SCHEMES:
        process = solved(system, square(4.5, 110), scheme)
        density = system.known["density"](process.grid.points())
        assert deviation(process.density, density) < 5e-3
        assert process.entropy_production < 1e-3
    # the control: without div D in the current the density lies elsewhere
    wrong = Planar(system.drift, lambda z: np.broadcast_to(0.64 * np.eye(2), (*z.shape, 2)), process.grid)
    assert deviation(wrong.density, density) > 0.1


def test_noise_that_grows_with_the_radius():
    # f_irr is the rotation by omega - beta r^2, so Phi is its square over D, averaged over the known radius
    system, omega, beta, noise, growth = stuart_landau(), 1.5, 0.5, 0.2, 1.0
    radius = system.known["radial_density"]
    expected, _ = quad(
        lambda r: radius(r) * ((omega - beta * r**2) * r) ** 2 / (noise**2 * (1 + growth * r**2) / 2), 0, 4
    )
    process = solved(system, square(2.2, 140), "central")
    distance = np.linalg.norm(process.grid.points(), axis=-1)
    assert process.entropy_production == pytest.approx(expected, rel=2e-3)
    assert deviation(process.density, radius(distance) / (2 * np.pi * distance)) < 5e-3


def test_memories_that_a_current_visits():
    driven, still = sequence(), sequence(strength=0.0)
    process = solved(driven, square(2.5, 120), "central")
    z = process.grid.points()
    density = np.exp(-2 * driven.known["energy"](z) / 0.64)
    density /= density.sum() * process.grid.area
    around = driven.drift(z) - still.drift(z)
    assert deviation(process.density, density) < 5e-3
    assert deviation(process.current, density[..., None] * around) < 5e-3
    expected = (density * (around**2).sum(axis=-1)).sum() * process.grid.area / 0.32
    assert process.entropy_production == pytest.approx(expected, rel=5e-3)


def test_van_der_pol_where_noise_is_weak():
    system = van_der_pol()
    process = solved(system, Grid((-2.7, -3.5), (2.7, 3.5), (180, 234)), "central")
    density, current = process.density, process.current
    # two forms of the entropy production: int J D^-1 v and int J D^-1 J / p, the second where p is resolved
    seen = density > 1e-4 * density.max()
    second = ((current[seen] ** 2).sum(axis=-1) / density[seen]).sum() * process.grid.area / 0.005
    assert process.entropy_production == pytest.approx(second, rel=5e-3)
    # and a third, without the current: <f^2> / D + <div f>
    z = process.grid.points()
    mean = (density * ((system.drift(z) ** 2).sum(axis=-1) / 0.005 + 1 - z[..., 0] ** 2)).sum() * process.grid.area
    assert process.entropy_production == pytest.approx(mean, rel=2e-3)
    # Scharfetter and Gummel's fluxes add a diffusion of |v| h / 2 or so, eight times the noise: still within 1 %
    upwind = solved(system, process.grid, "scharfetter-gummel")
    assert upwind.entropy_production == pytest.approx(process.entropy_production, rel=0.01)


# ----- escape over a barrier: U = b (x^2 - 1)^2 + k(x) y^2 / 2, stiffer at the saddle


def wells(barrier, stiff):
    """Drift -grad U, with k = 1 at the minima and 1 + stiff at the saddle, and U."""

    def drift(z):
        x, y = z[..., 0], z[..., 1]
        slope = -2 * stiff * x * np.exp(-2 * x**2)  # of k / 2
        k = 1 + stiff * (np.exp(-2 * x**2))
        return np.stack([-4 * barrier * x * (x**2 - 1) - slope * y**2, -k * y], axis=-1)

    return drift


def constant(diffusion):
    return lambda z: np.broadcast_to(2 * diffusion * np.eye(2), (*z.shape, 2))


def escape(barrier, diffusion, stiff=0.0, scheme="scharfetter-gummel", cells=121):
    process = Planar(wells(barrier, stiff), constant(diffusion), square(2.0, cells), scheme)
    x = process.grid.points()[..., 0]
    return process, process.escape_rate(x < -0.9, x > 0.9)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_mean_passage_times_are_those_of_the_quadrature(scheme):
    barrier, diffusion = 1.0, 0.25
    process, _ = escape(barrier, diffusion, scheme=scheme)
    x = process.grid.points()[:, 0, 0]
    start, end = int(np.argmin(np.abs(x + 1))), int(np.argmin(np.abs(x - 0.9)))
    # exact in one dimension, y being independent: t = int_a^b e^(U/D) int_-inf^y e^(-U/D) / D; Gardiner, section 5.2
    fine = np.linspace(-2.0, x[end], 20_001)
    energy = barrier * (fine**2 - 1) ** 2 / diffusion
    below = np.concatenate([[0.0], np.cumsum((np.exp(-energy)[1:] + np.exp(-energy)[:-1]) / 2)]) * (fine[1] - fine[0])
    exact = np.trapezoid((np.exp(energy) * below / diffusion)[fine >= x[start]], fine[fine >= x[start]])
    time = process.passage_time(process.grid.points()[..., 0] >= x[end] - 1e-9)
    np.testing.assert_allclose(time[start], exact, rtol=2e-3)


@pytest.mark.parametrize("stiff", [0.0, 3.0])
def test_escape_rates_tend_to_those_of_kramers(stiff):
    # Eyring and Kramers: k = |lambda| / 2 pi sqrt(det H_min / |det H_saddle|) e^(-b / D), lambda = -4 b at the saddle
    barrier, ratios = 1.0, []
    across = np.sqrt((1 + stiff * np.exp(-2)) / (1 + stiff))  # of the prefactor: k at the minimum over k at the saddle
    for diffusion in (1 / 5, 1 / 10, 1 / 20):
        _, rate = escape(barrier, diffusion, stiff)
        along = np.sqrt(8 * barrier * 4 * barrier) / (2 * np.pi) * np.exp(-barrier / diffusion)
        ratios.append(rate / (along * across))
    # corrections are of first order in D / b: at b / D = 20 a few per cent, and each halving of D halves them
    gap = np.abs(np.array(ratios) - 1)
    assert gap[2] < 0.06
    assert gap[1] < 0.7 * gap[0]
    assert gap[2] < 0.7 * gap[1]
    # the control: where the saddle is stiffer, the formula of one dimension is wrong
    if stiff:
        assert ratios[2] * across < 0.7
