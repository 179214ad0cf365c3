"""Noise that depends on the state, in the sense of Ito, against densities known in closed form."""

import numpy as np
import pytest
from scipy.integrate import quad

import ddm2snn
from ddm2snn.systems import System, anisotropic, stuart_landau
from ddm2snn.systems.integration import integrate

STEP = 1e-4  # of central differences: their error is of order STEP squared times third derivatives, some 1e-7
DT, STEPS, STRIDE = 0.01, 1500, 50
SIGMAS = 4.5  # standard errors: a test of a right program fails once in 150,000

SYSTEMS = {
    "stuartlandau": stuart_landau(),
    "noisy oscillator": stuart_landau(noise=0.5),
    "little growth": stuart_landau(mu=0.5, omega=-2.0, beta=0.1, noise=0.4, growth=0.1),
    "anisotropic": anisotropic(),
    "little stretch": anisotropic(stretch=0.2, noise=1.3),
}


def plane(reach=3.0, points=24):  # an even number leaves out the origin, where r has no direction
    axis = np.linspace(-reach, reach, points)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def derivative(function, z, axis):
    shift = STEP * np.eye(2)[axis]
    return (function(z + shift) - function(z - shift)) / (2 * STEP)


def tensor(system):
    def at(z):
        g = system.factor(z)
        return g @ np.swapaxes(g, -1, -2)

    return at


def density(system):
    """Stationary density in the plane."""
    if "density" in system.known:
        return system.known["density"]
    radial = system.known["radial_density"]

    def at(z):
        radius = np.sqrt((z**2).sum(axis=-1))
        return radial(radius) / (2 * np.pi * radius)

    return at


def ito_current(system):
    """J = f p - div(D p)/2."""
    p, d = density(system), tensor(system)

    def current(z):
        flux = [sum(derivative(lambda x, i=i, j=j: d(x)[:, i, j] * p(x), z, j) for j in range(2)) / 2 for i in range(2)]
        return system.drift(z) * p(z)[:, None] - np.stack(flux, axis=-1)

    return current


def stratonovich(system):
    """The Ito form of the same f and G read in the sense of Stratonovich: f_i + G_kj d_k G_ij / 2."""

    def drift(z):
        flat = z.reshape(-1, 2)
        slope = np.stack([derivative(system.factor, flat, k) for k in range(2)], axis=-1)  # sample, i, j, k
        return system.drift(z) + 0.5 * np.einsum("skj,sijk->si", system.factor(flat), slope).reshape(z.shape)

    return System("stratonovich", 2, drift, diffusion=system.diffusion, known=system.known)


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_the_factor_is_lower_triangular_smooth_and_invertible(name):
    system, z = SYSTEMS[name], np.concatenate([plane(8.0), np.zeros((1, 2))])
    g = system.factor(z)
    assert (g[:, 0, 1] == 0).all()
    assert (g[:, [0, 1], [0, 1]] > 0).all()
    assert np.linalg.eigvalsh(tensor(system)(z)).min() > 0.01
    for axis in range(2):
        # one-sided slopes agree where the function is smooth, at the origin too
        shift = STEP * np.eye(2)[axis]
        right, left = (system.factor(z + shift) - g) / STEP, (g - system.factor(z - shift)) / STEP
        assert np.abs(right - left).max() < 100 * STEP
    np.testing.assert_array_equal(system.factor(z[:24].reshape(2, 3, 4, 2)).reshape(24, 2, 2), g[:24])


def test_the_tensor_is_the_one_that_is_stated():
    z, stretch, noise = plane(), 3.0, 0.8
    radial = z[:, :, None] * z[:, None, :] / (1 + (z**2).sum(axis=-1))[:, None, None]
    np.testing.assert_allclose(tensor(anisotropic())(z), noise**2 * (np.eye(2) + stretch * radial), atol=1e-14)
    spread = 0.2**2 * (1 + (z**2).sum(axis=-1))
    np.testing.assert_allclose(tensor(stuart_landau())(z), spread[:, None, None] * np.eye(2), atol=1e-14)


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_the_density_carries_no_current_but_the_turn(name):
    system, z = SYSTEMS[name], plane()
    current = ito_current(system)(z)
    scale = np.abs(system.drift(z) * density(system)(z)[:, None]).max()
    radial = (current * z).sum(axis=-1)
    assert np.abs(radial).max() < 1e-5 * scale
    across = current[:, 0] * z[:, 1] - current[:, 1] * z[:, 0]
    if "entropy_production" in system.known:
        assert np.abs(across).max() < 1e-5 * scale
    else:  # an oscillator turns in its stationary state, and by symmetry this keeps the density
        assert np.abs(across).max() > 0.1 * scale


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_in_the_sense_of_stratonovich_there_would_be_a_current(name):
    # the control: its size is |div D| p / 4, against the rounding of differences above
    system, z = stratonovich(SYSTEMS[name]), plane()
    scale = np.abs(system.drift(z) * density(system)(z)[:, None]).max()
    assert np.abs((ito_current(system)(z) * z).sum(axis=-1)).max() > 1e-3 * scale


@pytest.mark.parametrize("mu", [0.2, 1.0, 2.0])
@pytest.mark.parametrize("noise", [0.1, 0.5])
@pytest.mark.parametrize("growth", [0.05, 1.0, 5.0])
def test_the_radial_density_is_normalised_and_has_its_moment(mu, noise, growth):
    known = stuart_landau(mu=mu, noise=noise, growth=growth).known
    radial, top = known["radial_density"], np.sqrt(mu) * (1 + 20 * noise) + 20 * noise * (1 + growth)
    kwargs = {"points": [np.sqrt(mu)], "limit": 400}
    assert quad(radial, 0, top, **kwargs)[0] == pytest.approx(1.0, abs=1e-7)
    mean = quad(lambda r: r**2 * radial(r), 0, top, **kwargs)[0]
    assert mean == pytest.approx(known["mean_square_radius"], rel=1e-6)
    assert (radial(np.array([-1.0, 0.0])) == 0).all()


def moments(name, z):
    """What is averaged, and its mean in the stationary state."""
    square = (z**2).sum(axis=-1)
    if name == "noisy oscillator":
        return {"r^2": (square, SYSTEMS[name].known["mean_square_radius"])}
    # of a standard normal in the plane
    return {"r^2": (square, 2.0), "r^4": (square**2, 8.0), "xy": (z[..., 0] * z[..., 1], 0.0)}


def deviations(system, name, trials):
    """Deviation of each time average from its mean, in its standard error over independent trials."""
    rng = np.random.default_rng(5)
    start = SYSTEMS[name].starts(rng, trials)
    path = integrate(system.drift, system.factor, start, dt=DT, steps=STEPS, stride=STRIDE, rng=rng)
    settled = path[:, path.shape[1] // 3 :]  # five time units; both relax within about one
    found = {}
    for label, (values, mean) in moments(name, settled).items():
        averages = values.mean(axis=1)
        found[label] = abs(averages.mean() - mean) / (averages.std(ddof=1) / np.sqrt(trials))
    return found


@pytest.mark.parametrize("name", ["noisy oscillator", "anisotropic"])
def test_trajectories_keep_the_stationary_moments(name):
    # 1000 trials of some ten relaxation times: a standard error of about 1 %, like the scheme's own of order DT
    assert max(deviations(SYSTEMS[name], name, 1000).values()) < SIGMAS


@pytest.mark.parametrize("name", ["noisy oscillator", "anisotropic"])
def test_the_sense_of_stratonovich_has_other_moments(name):
    assert max(deviations(stratonovich(SYSTEMS[name]), name, 200).values()) > SIGMAS


def test_the_cycle_of_the_noise_free_oscillator():
    system = stuart_landau(mu=0.8, omega=2.0, beta=0.7)
    period, radius = system.known["period"], system.known["amplitude"]
    steps = 2000
    start = np.array([[radius, 0.0]])
    path = integrate(
        system.drift, np.zeros((2, 2)), start, dt=period / steps, steps=steps + 1, stride=steps // 4,
        rng=np.random.default_rng(0),
    )[0]  # fmt: skip
    quarters = radius * np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 0]])
    np.testing.assert_allclose(path, quarters, atol=1e-4)


@pytest.mark.parametrize("bad", [{"mu": 0.0}, {"noise": -0.1}, {"growth": 0.0}, {"growth": np.nan}])
def test_stuart_landau_refuses_numbers_at_or_below_zero(bad):
    with pytest.raises(ddm2snn.InputError, match=f"stuart_landau.{next(iter(bad))} must be a finite number above zero"):
        stuart_landau(**bad)


def test_stuart_landau_refuses_to_stand_still():
    with pytest.raises(ddm2snn.InputError, match=r"does not turn on its cycle.*other than beta \* mu"):
        stuart_landau(mu=2.0, omega=1.0, beta=0.5)


@pytest.mark.parametrize("bad", [{"stretch": 0.0}, {"noise": np.inf}])
def test_anisotropic_refuses_numbers_at_or_below_zero(bad):
    with pytest.raises(ddm2snn.InputError, match=f"anisotropic.{next(iter(bad))} must be a finite number above zero"):
        anisotropic(**bad)
