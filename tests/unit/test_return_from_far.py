"""Trajectories from far outside come back, also where saturated units would hold them."""

# Lists stand for arrays here:
# pyright: reportArgumentType=false

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn.base.randomness import stream
from ddm2snn.training.matching import drift_error
from ddm2snn.training.robustness import check_return, far_starts, watch
from ddm2snn.training.sampling import task_of
from ddm2snn.training.spurious_attractors import returning, spurious_attractors, without_spurious_attractors


@pytest.fixture(scope="module")
def system():
    return ddm2snn.find_system("vanderpol")


@pytest.fixture(scope="module")
def trained():
    return ddm2snn.train("vanderpol", units=48, seed=3)


@pytest.fixture(scope="module")
def held(trained):
    """The same network with two units that cancel within four standard deviations, and beyond push outwards."""
    steep, push = 5.0, 12.0
    return dataclasses.replace(
        trained,
        left_vectors=np.vstack([trained.left_vectors, [[steep, 0.0], [0.0, 0.0]]]),
        bias=np.append(trained.bias, [-4.0 * steep, 20.0]),
        right_vectors=np.vstack([trained.right_vectors, [[push, 0.0], [push, 0.0]]]),
    )


def test_a_trained_network_has_no_spurious_attractors(trained, system):
    assert len(spurious_attractors(trained, system, stream(1, "test"))) == 0
    assert trained.provenance["points_added"] == 0


def test_spurious_attractors_are_found_where_they_are(held, system):
    found = spurious_attractors(held, system, stream(1, "test"))
    assert len(found) >= 1
    assert (found[:, 0] > 4.0).all()
    drift = held.internal_readout(found) - found
    assert np.abs(drift).max() < 0.1 * np.abs(found).max()


def test_they_are_removed_at_little_cost(held, system):
    task = task_of(system, 3000, stream(2, "test"))
    rng = stream(3, "test")
    network, points, left = without_spurious_attractors(
        held, task, 1e-6, lambda candidate: spurious_attractors(candidate, system, rng)
    )
    assert points > 0
    assert left == 0
    assert len(spurious_attractors(network, system, stream(4, "test"))) == 0
    assert drift_error(network, system, task.cloud.points).max() < 3e-3


def test_a_price_that_is_too_high_is_not_paid(held, system):
    task = task_of(system, 3000, stream(2, "test"))
    network, points, left = without_spurious_attractors(
        held, task, 1e-6, lambda candidate: spurious_attractors(candidate, system, stream(3, "test")), lambda _: False
    )
    assert network is held
    assert points == 0
    assert left >= 1


def test_starts_that_lead_the_target_away_too_are_not_counted(held):
    runaway = ddm2snn.System(
        name="runaway",
        rank=2,
        drift=lambda z: np.stack([z[..., 1], (1 - z[..., 0] ** 2) * z[..., 1] - z[..., 0]], axis=-1) + 10.0 * (
            np.abs(z) > 5.0
        ) * z,
        diffusion=0.1,
    )  # fmt: skip
    assert len(spurious_attractors(held, runaway, stream(1, "test"))) < len(
        spurious_attractors(held, ddm2snn.find_system("vanderpol"), stream(1, "test"))
    )


def test_lost_trajectories_are_mended_where_they_stay(held, system):
    task, rng = task_of(system, 3000, stream(2, "test")), stream(3, "test")
    states = task.cloud.points

    def search(candidate):
        return check_return(candidate, system, states, rng)[1]

    before, places = check_return(held, system, states, stream(4, "test"))
    assert before.astray == len(places) > 3
    assert (places[:, 0] > 4.0).all()
    network, points, left = without_spurious_attractors(held, task, 1e-6, search)
    assert points > 0
    assert left == 0
    assert drift_error(network, system, states).max() < 3e-3
    # of trajectories that neither the fits nor the choice among them have seen
    assert check_return(network, system, states, stream(5, "test"), 128)[0].lost == 0


def test_a_mended_network_says_how_it_returns(held, system):
    task = task_of(system, 3000, stream(2, "test"))
    states = task.cloud.points[:1000], task.cloud.points[1000:2000]
    network, back, points, left = returning(held, system, task, 1e-6, states, 3, lambda _: True)
    assert (back.lost, left) == (0, 0)
    assert points > 0
    assert drift_error(network, system, states[1]).max() < 3e-3
    same, back, points, left = returning(held, system, task, 1e-6, states, 3, lambda _: False)
    assert same is held
    assert back.lost > 0
    assert points == 0
    assert left > 0


def test_trajectories_that_come_back_late_are_not_lost():
    # one pair of relu units that leaves a twentieth of the leak, as in the target: 6 sd are 2.2 sd after 20 units
    slow = ddm2snn.System("slow", 1, lambda z: -0.05 * z, diffusion=np.sqrt(0.1))
    network = ddm2snn.RateNetwork(
        left_vectors=[[1.0], [-1.0]], right_vectors=[[0.95], [-0.95]], bias=[0.0, 0.0], activation="relu",
        diffusion_factor=[[np.sqrt(0.1)]], input_map=[[1.0]], latent_offset=[0.0], latent_scale=[1.0],
        initial_latent=[[0.0]],
    )  # fmt: skip
    rng = np.random.default_rng(1)
    states = rng.standard_normal((1000, 1))
    assert watch(network, slow, states, far_starts(network, 64, rng), rng, duration=10.0).astray.any()
    assert check_return(network, slow, states, rng)[0].lost == 0
