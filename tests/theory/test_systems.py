"""Target systems against what is known of them in closed form."""

import numpy as np
import pytest

import ddm2snn
from ddm2snn.systems import BUILT_IN, lorenz, memories, ornstein_uhlenbeck, quartic_wells, sequence
from ddm2snn.systems.integration import integrate
from ddm2snn.training.sampling import stationary_cloud

STEP = 1e-3  # of central differences; their error is of order STEP squared times third derivatives


def grid(rank, reach=1.5, points=15):
    axes = np.meshgrid(*[np.linspace(-reach, reach, points)] * rank, indexing="ij")
    return np.stack(axes, axis=-1).reshape(-1, rank)


def derivative(function, z, axis):
    shift = STEP * np.eye(z.shape[-1])[axis]
    return (function(z + shift) - function(z - shift)) / (2 * STEP)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_system_acts_on_any_batch_shape(name):
    system = ddm2snn.find_system(name)
    points = system.starts(np.random.default_rng(0), 6)
    whole = system.checked_drift(points)
    assert np.isfinite(whole).all()
    np.testing.assert_array_equal(system.checked_drift(points.reshape(2, 3, -1)).reshape(6, -1), whole)
    np.testing.assert_array_equal(system.checked_drift(points[0]), whole[0])
    assert system.name == name
    assert system.summary


LANDSCAPES = {
    "doublewell": quartic_wells(1),
    "fourwell": quartic_wells(2),
    "memories": memories(np.array([[1.0, 0.0], [-0.5, 0.8], [-0.5, -0.8]])),
    "sequence at rest": sequence(4, 0.0),
}


@pytest.mark.parametrize("name", sorted(LANDSCAPES))
def test_landscapes_are_gradients_of_their_energy(name):
    system = LANDSCAPES[name]
    z = grid(system.rank)
    for axis in range(system.rank):
        slope = derivative(system.known["energy"], z, axis)
        np.testing.assert_allclose(system.drift(z)[:, axis], -slope, atol=1e-4)


@pytest.mark.parametrize("name", sorted(LANDSCAPES))
def test_memories_are_minima(name):
    system = LANDSCAPES[name]
    around = np.random.default_rng(1).standard_normal((50, 1, system.rank))
    around *= 0.3 / np.linalg.norm(around, axis=-1, keepdims=True)
    energy = system.known["energy"]
    assert (energy(system.known["memories"] + around) > energy(system.known["memories"])).all()


def probability_current(system):
    """J = f p - sigma^2/2 grad p for a system whose density is known up to a factor."""
    variance = system.factor(np.zeros(system.rank))[0, 0] ** 2

    def density(z):
        return np.exp(-2.0 * system.known["energy"](z) / variance)

    def current(z):
        gradient = np.stack([derivative(density, z, axis) for axis in range(system.rank)], axis=-1)
        return system.drift(z) * density(z)[..., None] - 0.5 * variance * gradient

    return current


@pytest.mark.parametrize("strength", [0.0, 1.0, 3.0])
def test_the_sequence_has_the_same_stationary_density_at_every_strength(strength):
    current = probability_current(sequence(4, strength))
    z = grid(2)
    divergence = derivative(lambda x: current(x)[..., 0], z, 0) + derivative(lambda x: current(x)[..., 1], z, 1)
    size = np.abs(current(z)).max()
    assert np.abs(divergence).max() < 1e-3
    # at rest there is no current; otherwise it is far above what differences leave
    assert size < 1e-4 if strength == 0 else size > 0.02 * strength


def test_a_wrong_current_is_not_divergence_free():
    # the control: a rotation of constant speed also turns, but does not keep this density
    still = sequence(4, 0.0)
    turning = ddm2snn.System(
        "turning", 2, lambda z: still.drift(z) + np.stack([-z[..., 1], z[..., 0]], -1), diffusion=0.8, known=still.known
    )
    current, z = probability_current(turning), grid(2)
    divergence = derivative(lambda x: current(x)[..., 0], z, 0) + derivative(lambda x: current(x)[..., 1], z, 1)
    assert np.abs(divergence).max() > 0.1


def visits(strength):
    """Memories in the order in which independent trajectories enter them, as steps around the ring."""
    system = sequence(4, strength)
    rng = np.random.default_rng(2)
    path = integrate(system.drift, system.noise, system.starts(rng, 40), dt=0.01, steps=10000, stride=10, rng=rng)
    near = np.linalg.norm(path[..., None, :] - system.known["memories"], axis=-1)
    steps = []
    for trial in near:
        entered = np.where(trial.min(axis=-1) < 0.3, trial.argmin(axis=-1), -1)
        entered = entered[entered >= 0]
        moves = np.diff(entered) % 4
        steps.append(moves[moves > 0])
    return np.concatenate(steps)


def test_the_current_decides_the_order_of_visits():
    driven, still = visits(3.0), visits(0.0)
    assert len(still) > 400
    forward = np.mean(driven == 1)
    # at rest both directions are equally likely: the share is 1/2 within four standard errors
    turns = still[still != 2]
    assert abs(np.mean(turns == 1) - 0.5) < 4 * 0.5 / np.sqrt(len(turns))
    assert forward > 0.8


def test_ornstein_uhlenbeck_covariance_solves_its_equation_and_is_sampled():
    system = ornstein_uhlenbeck()
    b = system.drift(np.eye(2)).T
    g, covariance = system.factor(np.zeros(2)), system.known["covariance"]
    np.testing.assert_allclose(b @ covariance + covariance @ b.T, -g @ g.T, atol=1e-12)
    cloud = stationary_cloud(system, 20000, np.random.default_rng(3))
    # 20,000 points from 256 trajectories, 0.1 time units apart, decorrelate within about one: some 3,000 count
    np.testing.assert_allclose(np.cov(cloud.points.T), covariance, atol=4 * covariance.max() * np.sqrt(2 / 3000))


@pytest.mark.parametrize(("leak", "turn", "noise"), [(1.0, 2.0, 0.5), (0.3, 0.1, 2.0), (1.0, 0.0, 1.0)])
def test_entropy_production_of_a_rotation(leak, turn, noise):
    system = ornstein_uhlenbeck(np.array([[-leak, turn], [-turn, -leak]]), noise * np.eye(2))
    # D = noise^2/2, S = noise^2/(2 leak), so the rate is turn^2 tr(S)/D = 2 turn^2 / leak
    assert system.known["entropy_production"] == pytest.approx(2 * turn**2 / leak, abs=1e-12)


def test_an_unstable_process_is_refused():
    with pytest.raises(ddm2snn.InputError, match="never settles"):
        ornstein_uhlenbeck(np.eye(2), np.eye(2))


def test_lorenz_has_its_fixed_points_and_its_moments():
    system = lorenz()
    place = np.sqrt(8 / 3 * 27)
    np.testing.assert_allclose(system.drift(np.array([[place, place, 27.0], [-place, -place, 27.0]])), 0, atol=1e-12)
    cloud = stationary_cloud(system, 40000, np.random.default_rng(4))
    # 256 trajectories of 15 time units, which decorrelate within about one
    np.testing.assert_allclose(cloud.scale, system.known["deviations"], rtol=0.02)
    assert cloud.mean[2] == pytest.approx(system.known["mean_z"], rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["doublewell", "fourwell", "sequence"])
def test_landscapes_are_trained_to_their_tolerance(name):
    assert max(ddm2snn.train(name, seed=5).provenance["drift_error"]) <= 2e-3
