"""Time reversal: parts of the drift, current and entropy production against what is known exactly."""

import numpy as np
import pytest

import ddm2snn
from ddm2snn.analysis import split_drift, stationary_paths
from ddm2snn.analysis.irreversibility import divergence
from ddm2snn.systems import ornstein_uhlenbeck, quartic_wells, sequence, van_der_pol
from ddm2snn.systems.integration import integrate

TRIALS, DURATION, EVERY = 200, 25.0, 0.05


def squared(system):
    factor = np.asarray(system.diffusion)
    return factor @ factor.T


def constant(matrix):
    return lambda z: np.broadcast_to(matrix, (*np.shape(z), len(matrix)))


def tensor_of(system):
    return constant(squared(system))


def linear_parts(system):
    """B and B_irr = B + D S^-1 of dz = B z dt + G dw; Gardiner, Handbook of Stochastic Methods, section 4.5."""
    matrix = system.drift(np.eye(system.rank)).T
    return matrix, matrix + squared(system) / 2 @ np.linalg.inv(system.known["covariance"])


def entropy_production_along(path, irreversible, diffusion):
    """Mean of f_irr D^-1 o dz / dt with Stratonovich's product, extrapolated from one and two steps to none.

    Independent of the split: it uses trajectories, and changes its sign with time. Frishman, Ronceray, Phys. Rev. X 10
    (2020); the extrapolation is Richardson's.
    """
    force, mean = irreversible(path) @ np.linalg.inv(diffusion), []
    for lag in (1, 2):
        middle, step = 0.5 * (force[:, lag:] + force[:, :-lag]), path[:, lag:] - path[:, :-lag]
        mean.append((middle * step).sum(axis=-1).mean() / (lag * EVERY))
    return 2 * mean[0] - mean[1]


def paths(system, dt, seed=0, trials=TRIALS):
    rng = np.random.default_rng(seed)
    stride = round(EVERY / dt)
    steps = round((DURATION + 5.0) / dt)
    path = integrate(
        system.drift, system.diffusion, system.starts(rng, trials), dt=dt, steps=steps, stride=stride, rng=rng
    )
    return path[:, round(5.0 / EVERY) :]


def sequence_target(strength=3.0, noise=0.8):
    """Phi and the density of `sequence` on a grid: p is known in closed form at every strength."""
    axis = np.linspace(-2.5, 2.5, 101)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    driven, still = sequence(4, strength, noise=noise), sequence(4, 0.0, noise=noise)
    density = np.exp(-2 * driven.known["energy"](z) / noise**2)
    density /= density.sum() * (axis[1] - axis[0]) ** 2
    current = driven.drift(z) - still.drift(z)
    share = density / density.sum()
    return z, density, still.drift(z), (share * (current**2).sum(axis=-1)).sum() / (noise**2 / 2)


@pytest.fixture(scope="module")
def rotation():
    system = ornstein_uhlenbeck()
    path = paths(system, dt=0.025)
    return system, path, split_drift(system.drift, tensor_of(system), path, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def ring():
    system = sequence()
    path = paths(system, dt=0.0125)
    return system, path, split_drift(system.drift, tensor_of(system), path, rng=np.random.default_rng(1))


def test_closed_form_of_a_linear_process():
    system = ornstein_uhlenbeck()
    _, irreversible = linear_parts(system)
    # a current without divergence: tr B_irr = 0, and B_irr S is antisymmetric
    product = irreversible @ system.known["covariance"]
    np.testing.assert_allclose(product, -product.T, atol=1e-12)
    rate = np.trace(irreversible.T @ np.linalg.solve(squared(system) / 2, product))
    assert system.known["entropy_production"] == pytest.approx(rate, rel=1e-12)
    still = ornstein_uhlenbeck(-np.diag([1.0, 2.0]), np.diag([0.3, 0.7]))
    assert still.known["entropy_production"] == pytest.approx(0, abs=1e-12)


def test_entropy_production_of_the_rotation_from_samples(rotation):
    system, _, split = rotation
    target = system.known["entropy_production"]
    # 200 trajectories of 25 correlation times: 5000 independent squares, relative error sqrt(2 / 5000) = 2 %
    assert split.entropy_production.value == pytest.approx(target, rel=0.05)
    assert split.entropy_production.high - split.entropy_production.low < 0.2 * target
    (_, irreversible), covariance = linear_parts(system), system.known["covariance"]
    z = np.random.default_rng(2).multivariate_normal(np.zeros(2), covariance, 500)
    error = split.irreversible(z) - z @ irreversible.T
    assert np.sqrt((error**2).mean() / ((z @ irreversible.T) ** 2).mean()) < 0.1
    gaussian = -0.5 * np.einsum("si,ij,sj->s", z, np.linalg.inv(covariance), z)
    gaussian -= 0.5 * np.log(np.linalg.det(2 * np.pi * covariance))
    # errors of the norm and of the quadratic form, 2 % each, beyond the tails
    assert np.median(np.abs(split.log_density(z) - gaussian)) < 0.1


def test_entropy_production_of_the_sequence_from_samples(ring):
    _, _, split = ring
    z, density, reversible, target = sequence_target()
    assert split.entropy_production.value == pytest.approx(target, rel=0.10)
    seen = density > 0.02 * density.max()
    weight = density[seen][:, None]
    error = (split.reversible(z)[seen] - reversible[seen]) ** 2
    # the score is fitted to some 5000 independent samples by 245 features: sqrt(245 / 5000) = 0.2 at worst
    assert np.sqrt((weight * error).sum() / (weight * reversible[seen] ** 2).sum()) < 0.2
    assert np.abs(split.log_density(z) - np.log(density))[seen].mean() < 0.25
    np.testing.assert_allclose(split.reversible(z) + split.irreversible(z), sequence().drift(z), atol=1e-12)


def test_the_irreversible_part_produces_as_much_along_trajectories(rotation, ring):
    for (system, path, split), target in (
        (rotation, rotation[0].known["entropy_production"]),
        (ring, sequence_target()[3]),
    ):
        forward = entropy_production_along(path[:140], split.irreversible, squared(system) / 2)
        # scatter sqrt(2 Phi T) / (Phi T) with T = 3500: 2 %; curvature in the sampling interval below 3 %
        assert forward == pytest.approx(target, rel=0.08)
        # the control: played backwards it changes its sign
        backward = entropy_production_along(path[:140, ::-1], split.irreversible, squared(system) / 2)
        assert backward == pytest.approx(-forward, rel=1e-9)


def test_an_equilibrium_produces_none():
    system = quartic_wells(2)
    path = paths(system, dt=0.025, seed=4, trials=80)
    split = split_drift(system.drift, tensor_of(system), path, rng=np.random.default_rng(5))
    # the drift, a gradient of quartics, lies nearly in the span; its own size is of order one
    assert split.entropy_production.value < 5e-3


def test_a_weak_noise_ring_keeps_a_density_that_integrates_to_one():
    system = van_der_pol(noise=0.2)
    split = split_drift(system.drift, tensor_of(system), paths(system, dt=0.025), rng=np.random.default_rng(7))
    axis = np.linspace(-4, 4, 161)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    samples = paths(system, dt=0.025, seed=8).reshape(-1, 2)
    visited, *_ = np.histogram2d(*samples.T, bins=[np.append(axis, 4.05) - 0.025] * 2)
    total = (np.exp(split.log_density(z)) * (visited > 5)).sum() * 0.05**2
    # the cells that are visited hold nearly all; where the current rules, log p is known to some 0.3
    assert total == pytest.approx(1.0, abs=0.3)


def test_multiplicative_noise_has_its_own_drift():
    # dz = -z dt + sqrt(2 D(z)) dw with D = 0.2 (1 + z^2): one dimension, so there is no current
    def tensor(z):
        return 0.4 * (1 + np.asarray(z) ** 2)[..., None]

    z = np.linspace(-2, 2, 9)[:, None]
    np.testing.assert_allclose(divergence(tensor, z), 0.4 * z, atol=1e-8)
    rng = np.random.default_rng(9)
    path = integrate(
        lambda x: -x,
        lambda x: np.sqrt(tensor(x)),
        0.3 * rng.standard_normal((200, 1)),
        dt=0.01,
        steps=1500,
        stride=10,
        rng=rng,
    )[:, 50:]
    split = split_drift(lambda x: -x, tensor, path, rng=rng)
    np.testing.assert_allclose(split.reversible(z[3:6]), -z[3:6], atol=0.05)
    # beside <f^2 / D>, which is some 0.8; the tails are heavy, and a few samples in them decide
    assert split.entropy_production.value < 0.02


@pytest.mark.parametrize(
    ("system", "target", "settings"),
    [
        (ornstein_uhlenbeck(), ornstein_uhlenbeck().known["entropy_production"], {"units": 16, "points": 1000}),
        (sequence(), sequence_target()[3], {"units": 40, "points": 2000}),
    ],
    ids=["ornsteinuhlenbeck", "sequence"],
)
def test_trained_networks_produce_what_their_targets_do(system, target, settings):
    training = ddm2snn.Training(ridge=1e-6, points=settings["points"], iterations=30)
    network = ddm2snn.train(system, units=settings["units"], seed=0, training=training)
    rng = np.random.default_rng(10)
    path = stationary_paths(network, trials=200, duration=20.0, every=0.2, burn_in=3.0, rng=rng)
    split = split_drift(network.drift, network.diffusion, path, rng=rng)
    assert split.entropy_production.value == pytest.approx(target, rel=0.10)


def test_noiseless_directions_and_poor_samples_are_refused():
    z = np.random.default_rng(11).standard_normal((20, 100, 2))
    with pytest.raises(ddm2snn.InputError, match="singular"):
        split_drift(lambda x: -x, constant(np.diag([1.0, 0.0])), z, rng=np.random.default_rng(0))
    with pytest.raises(ddm2snn.InputError, match="1000 finite samples"):
        split_drift(lambda x: -x, constant(np.eye(2)), z[:2], rng=np.random.default_rng(0))
    with pytest.raises(ddm2snn.InputError, match="does not move"):
        split_drift(lambda x: -x, constant(np.eye(2)), 0 * z, rng=np.random.default_rng(0))
