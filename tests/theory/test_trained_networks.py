"""Trained rate networks against the processes that they were trained on; the long forms are in tests/benchmarks.

Errors of the landscapes' drift are in test_systems.py, entropy production in test_analysis_irreversibility.py.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from planted_changes import circulation

import ddm2snn
from ddm2snn import Training
from ddm2snn.fidelity.compare import compare_each
from ddm2snn.fidelity.wells import mean_dwell, visits
from ddm2snn.recording import Recording
from ddm2snn.systems.integration import integrate
from ddm2snn.training import diffusion_error, drift_error
from ddm2snn.training.robustness import Ends, far_starts, watch
from ddm2snn.training.sampling import stationary_cloud

# fewer steps than training takes by default: errors of a few per mille, in two seconds
BRIEF = Training(error=2e-3, iterations=80, points=2500, holdout=1000)
EVERY = 0.05
SIGMAS = 4.0  # standard errors: a right program fails one of the some 20 deviations below in a thousand runs


@functools.cache
def trained(name: str) -> ddm2snn.RateNetwork:
    return ddm2snn.train(name, seed=3, training=BRIEF)


@functools.cache
def stationary(name: str) -> np.ndarray:
    return stationary_cloud(ddm2snn.find_system(name), 4000, np.random.default_rng(31)).points


def target_recording(name: str, *, trials: int, duration: float, seed: int, every: float, dt: float) -> Recording:
    system, rng = ddm2snn.find_system(name), np.random.default_rng(seed)
    starts = stationary(name)[rng.choice(4000, trials, replace=False)]
    path = integrate(
        system.drift, system.noise, starts, dt=dt, steps=round(duration / dt), stride=round(every / dt), rng=rng
    )
    return Recording.from_arrays(path, every=every, time_unit_s=1.0)


def network_recording(
    network: ddm2snn.RateNetwork, name: str, *, trials: int, duration: float, seed: int, every: float, dt: float
) -> Recording:
    starts = stationary(name)[np.random.default_rng(1000 + seed).choice(4000, trials, replace=False)]
    return ddm2snn.simulate(
        network, duration=duration, trials=trials, seed=seed, every=every, dt_s=dt, initial_latent=starts
    )


@pytest.mark.parametrize("name", ["stuartlandau", "anisotropic"])
def test_noise_that_depends_on_the_state_is_learnt(name):
    system, points = ddm2snn.find_system(name), stationary(name)
    network = trained(name)
    assert diffusion_error(network, system, points) <= 1e-2
    # the control: the constant tensor nearest to it is far off
    still = dataclasses.replace(network, diffusion_readout=None)
    assert diffusion_error(still, system, points) > 0.1


@pytest.mark.parametrize("name", ["ornsteinuhlenbeck", "doublewell"])
def test_constant_noise_is_kept_exactly(name):
    # dividing by the scale and multiplying again costs some roundings
    assert diffusion_error(trained(name), ddm2snn.find_system(name), stationary(name)) < 1e-14


# ----- wells: a visit lasts some 30 time units in the double well, 2.6 in the sequence


def dwell_times(recording: Recording, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean dwell time per well, and its standard error from resampling trials."""
    found = visits(recording.samples, centres, recording.every)
    trials, rng = recording.trials, np.random.default_rng(0)
    weights = rng.multinomial(trials, np.full(trials, 1 / trials), size=300).astype(float)
    drawn = mean_dwell(weights @ found.time_in, np.tensordot(weights, found.transitions, axes=1))
    return mean_dwell(found.time_in.sum(axis=0), found.transitions.sum(axis=0)), drawn.std(axis=0, ddof=1)


def apart(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Deviations in standard errors."""
    return np.abs(one[0] - other[0]) / np.hypot(one[1], other[1])


def test_dwell_times_of_the_double_well():
    name, size = "doublewell", {"trials": 256, "duration": 40.0, "every": EVERY, "dt": 0.025}
    centres = ddm2snn.find_system(name).known["memories"]
    truth = dwell_times(target_recording(name, seed=1, **size), centres)
    ours = dwell_times(network_recording(trained(name), name, seed=2, **size), centres)
    assert apart(ours, truth).max() < SIGMAS
    # the control: a fifth more noise shortens the stay, by exp(-(2 * 0.25 / 0.25) (1 - 1 / 1.44)), nearly half
    louder = dataclasses.replace(trained(name), diffusion_factor=1.2 * trained(name).diffusion_factor)
    assert apart(dwell_times(network_recording(louder, name, seed=2, **size), centres), truth).max() > SIGMAS


@pytest.mark.slow
def test_order_and_dwell_times_of_the_sequence():
    name, size = "sequence", {"trials": 128, "duration": 30.0, "every": EVERY, "dt": 0.0125}
    centres = ddm2snn.find_system(name).known["memories"]
    target = target_recording(name, seed=1, **size)
    ours = network_recording(trained(name), name, seed=2, **size)
    assert apart(dwell_times(ours, centres), dwell_times(target, centres)).max() < SIGMAS
    forward = []
    for recording in (ours, target):
        moves = visits(recording.samples, centres, EVERY).transitions.sum(axis=0)
        ahead = np.array([moves[i, (i + 1) % 4] for i in range(4)])
        share = ahead / moves.sum(axis=1)
        forward.append((share, np.sqrt(share * (1 - share) / moves.sum(axis=1))))
        # each memory is left for the next one nearly always: back and forth would be zero, a strict ring one
        assert min(circulation(moves)[i, (i + 1) % 4] for i in range(4)) > 0.8
    assert apart(forward[0], forward[1]).max() < SIGMAS


def test_the_network_is_at_the_floor_of_its_target(rate_network):
    name = "vanderpol"
    size = {"trials": 24, "duration": 30.0, "every": 0.05, "dt": 0.025}
    reference, *floors = (target_recording(name, seed=seed, **size) for seed in range(4))
    # the control: two per cent of noise on the read-out, far more than training leaves
    noise = 0.02 * np.random.default_rng(4).standard_normal(rate_network.right_vectors.shape)
    worse = dataclasses.replace(rate_network, right_vectors=(1 + noise) * rate_network.right_vectors)
    assert drift_error(rate_network, ddm2snn.find_system(name), stationary(name)).max() < 2e-3
    assert drift_error(worse, ddm2snn.find_system(name), stationary(name)).max() > 0.02
    tests = {
        label: network_recording(n, name, seed=9, **size) for label, n in (("ours", rate_network), ("worse", worse))
    }
    ours, control = compare_each(reference, tests, floor=floors)
    # over all measures together: where there is no difference, 5 % of comparisons have any that says so
    assert not [m.name for m in ours.measures if m.differs]
    assert [m.name for m in control.measures if m.differs]


# ----- long runs: 2,000 time units here, 10,000 of ten seeds in tests/benchmarks/long_runs.py


@pytest.mark.parametrize("name", ["doublewell", "ornsteinuhlenbeck", "stuartlandau"])
def test_no_trajectory_is_lost_in_a_long_run(name):
    system, network, rng = ddm2snn.find_system(name), trained(name), np.random.default_rng(5)
    starts = np.concatenate([stationary(name)[:32], far_starts(network, 32, rng)])
    ends = watch(network, system, stationary(name), starts, rng, duration=30.0, relaxation=10.0)
    assert not (ends.escaped | ends.astray | ends.still).any()


def test_each_way_of_being_lost_is_seen():
    # windows of a double well: at rest at its top, in a well of its own at 5, and running away
    system, network, rng = ddm2snn.find_system("doublewell"), trained("doublewell"), np.random.default_rng(6)
    scale, offset = network.latent_scale, network.latent_offset
    relu = {"activation": "relu", "bias": np.zeros(2), "diffusion_factor": np.zeros((1, 1))}
    points, starts = stationary("doublewell"), stationary("doublewell")[:40]

    def ends(left: list[float], right: list[float], **fields: object) -> Ends:
        made = dataclasses.replace(
            network, left_vectors=np.array(left)[:, None], right_vectors=np.array(right)[:, None], **{**relu, **fields}
        )
        return watch(made, system, points, starts, rng, duration=20.0, relaxation=10.0)

    resting = ends([1.0, -1.0], [0.0, 0.0])
    assert np.array_equal(resting.still, np.ones(40, dtype=bool))
    # pulled to five standard deviations, under the noise of the target
    away = ends([0.0, 0.0], [5.0, 0.0], bias=np.array([1.0, 0.0]), diffusion_factor=network.diffusion_factor)
    assert np.array_equal(away.astray, np.ones(40, dtype=bool))
    assert (5 * scale + offset > points.max()).all()
    # the target itself, from the same starts, is not lost
    own = watch(network, system, points, starts, rng, duration=20.0, relaxation=10.0, target=True)
    assert not (own.escaped | own.astray | own.still).any()
    runaway = ends([1.0, -1.0], [3.0, -3.0])
    assert np.array_equal(runaway.escaped, np.ones(40, dtype=bool))
