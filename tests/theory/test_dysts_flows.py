"""Chaotic flows of the collection dysts: the formula, the scaling, and what is refused."""

import functools
import importlib
from types import MappingProxyType

import numpy as np
import pytest

import ddm2snn
from ddm2snn.systems import chaos, lorenz
from ddm2snn.systems.chaos import from_dysts, names
from ddm2snn.systems.integration import integrate
from ddm2snn.training.sampling import stationary_cloud

pytest.importorskip("dysts", reason="the extra 'dysts' is not installed")

flow = functools.cache(from_dysts)
# the last three have a right-hand side of their own instead of a formula of scalars
FLOWS = ["Chen", "Halvorsen", "Rossler", "Rucklidge", "BeerRNN", "Hopfield", "Lorenz96"]


@pytest.fixture(scope="module", autouse=True)
def _loaded():
    names()  # imports the package, which warns where Numba is not installed


@pytest.mark.parametrize("name", FLOWS)
def test_the_drift_is_the_packages_own_after_the_scaling(name):
    system, rng = flow(name), np.random.default_rng(0)
    z = system.starts(rng, 40) + 0.3 * rng.standard_normal((40, system.rank))
    offset, scale, unit = (system.known[key] for key in ("offset", "scale", "time_unit"))
    model = getattr(importlib.import_module("dysts.flows"), name)()
    expected = np.array([np.asarray(model.rhs(point, 0.0)) * unit / scale for point in offset + scale * z])
    tolerance = 1e-12 * np.abs(expected).max()  # rounding, of a formula with some ten operations
    np.testing.assert_allclose(system.drift(z), expected, rtol=0, atol=tolerance)
    batches = system.drift(z.reshape(2, 4, 5, system.rank)).reshape(z.shape)
    np.testing.assert_allclose(batches, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(system.drift(z[0]), expected[0], rtol=0, atol=tolerance)


def test_lorenz_is_the_built_in_lorenz_in_other_units():
    system, usual = flow("Lorenz"), lorenz(beta=2.667)  # as the collection rounds it
    z = np.random.default_rng(1).standard_normal((50, 3))
    offset, scale, unit = (system.known[key] for key in ("offset", "scale", "time_unit"))
    np.testing.assert_allclose(system.drift(z), unit * usual.drift(offset + scale * z) / scale, rtol=1e-9)
    # 0.9056 in the literature; the collection's estimate from finite trajectories lies within some per cent
    assert system.known["largest_lyapunov"] / unit == pytest.approx(lorenz().known["lyapunov"][0], rel=0.03)
    assert offset[2] == pytest.approx(lorenz().known["mean_z"], rel=0.03)
    np.testing.assert_allclose(scale, lorenz().known["deviations"], rtol=0.05)


# 140 periods, of which each counts as one independent point, against a cloud of far more: four standard
# errors of a mean and of a standard deviation. The collection's own moments of Bouali2 are off by 4 and 3.7.
MEAN_TOLERANCE, SCALE_TOLERANCE = 4 / np.sqrt(140), 4 / np.sqrt(2 * 140)


@pytest.mark.parametrize("name", ["Rossler", "Halvorsen", "Bouali2"])
def test_latents_have_zero_mean_and_unit_variance(name):
    cloud = stationary_cloud(flow(name), 20000, np.random.default_rng(2))
    np.testing.assert_allclose(cloud.mean, 0.0, atol=MEAN_TOLERANCE)
    np.testing.assert_allclose(cloud.scale, 1.0, atol=SCALE_TOLERANCE)
    starts = flow(name).starts(np.random.default_rng(3), 4000)
    np.testing.assert_allclose(starts.mean(axis=0), 0.0, atol=4 / np.sqrt(4000))


def test_a_period_lasts_as_long_as_van_der_pols():
    # Rossler turns about its centre in nearly equal times, so that its turns can be counted
    system, dt = flow("Rossler"), 2.0**-7
    still = np.zeros((3, 3))
    start = system.starts(np.random.default_rng(4), 8)
    path = integrate(
        system.drift, still, start, dt=dt, steps=25600, stride=1, rng=np.random.default_rng(0)
    )[:, :, 0]  # fmt: skip
    turns = ((path[:, :-1] < 0) & (path[:, 1:] >= 0)).sum(axis=1).mean()
    # 200 time units, 30 turns, of which one more or less is counted
    assert 25600 * dt / turns == pytest.approx(system.known["period"], rel=1 / 30)
    assert system.known["period"] == pytest.approx(ddm2snn.find_system("vanderpol").known["period"])


def test_the_noise_is_small_additive_and_may_be_left_out():
    np.testing.assert_array_equal(flow("Rossler").constant_factor, 0.01 * np.eye(3))
    assert not from_dysts("Rossler", noise=0.0).factor(np.zeros(3)).any()


def test_the_same_name_gives_the_same_system():
    one, other = flow("Rossler"), ddm2snn.find_system("dysts:Rossler")
    assert (other.name, other.rank, other.units) == ("dysts:Rossler", 3, 256)
    assert "spiral" in other.summary.lower()
    first, second = (system.starts(np.random.default_rng(7), 5) for system in (one, other))
    np.testing.assert_array_equal(first, second)


REFUSED = {
    "MackeyGlass": "it has a delay",
    "Duffing": "it is driven from outside",
    "Torus": "its drift depends on time",
    "DoublePendulum": r"latent\(s\) \[0, 1\] are angles or places that grow without bound",
    "MacArthur": "it has 10 dimensions, and at most 6 are taken",
    "BelousovZhabotinsky": "its formula holds for single points only",
    "SprottJerk": r"under noise 0.01. Take less of it: from_dysts\('SprottJerk', noise=0.001\), for commands",
    "Henon": "is a map in discrete time",
    "Rosler": "There is no flow 'Rosler' in the collection dysts. Did you mean dysts:Rossler",
    "hindmarshrose": "Did you mean dysts:HindmarshRose",
    "": r"There is no flow '' in the collection dysts. Take one of ddm2snn.systems.chaos.names\(\)",
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_target_is_refused_with_its_reason(name):
    with pytest.raises(ddm2snn.InputError, match=REFUSED[name]):
        ddm2snn.find_system(f"dysts:{name}")


def test_a_flow_that_comes_to_rest_is_refused():
    facts = {"period": 6.28, "std": [1.0, 1.0], "initial_conditions": [1.0, 0.0]}

    class Spring:
        damping = 0.02
        params = MappingProxyType({})

        def rhs(self, state, time):
            return state[1], -state[0] - self.damping * state[1]

    with pytest.raises(ddm2snn.InputError, match="comes to rest: its chaos is a transient only"):
        chaos._attractor("Spring", Spring(), facts)
    Spring.damping = 0.0  # the control: it swings on
    assert np.abs(chaos._attractor("Spring", Spring(), facts)).max() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("noise", [-0.1, np.nan, np.inf, "much"])
def test_noise_that_is_no_strength_is_refused(noise):
    with pytest.raises(ddm2snn.InputError, match=r"from_dysts.noise must be a finite number, zero or above"):
        from_dysts("Rossler", noise=noise)


def test_the_names_are_those_that_are_taken():
    usable = names()
    assert usable == sorted(usable)
    assert len(usable) > 100
    assert set(FLOWS) <= set(usable)
    assert not {"MackeyGlass", "Duffing", "Torus", "DoublePendulum", "MacArthur", "Henon"} & set(usable)
