"""One seed gives one recording, down to the bytes of its file; another seed gives another."""

import time

import numpy as np
import pytest
from ddm2snn_backends.nengo.backend import _closed_loop
from ddm2snn_backends.reference import ReferenceBackend

from ddm2snn.backend import RATE
from ddm2snn.schedule import Run, Schedule
from ddm2snn.simulate import simulate
from ddm2snn.stimulus import Stimulus


@pytest.fixture(params=[False, True], ids=["at once", "rising"])
def rises(request):
    return request.param


@pytest.fixture
def record(any_backend, build, rises):
    """A short noisy run with a stimulus and spikes, in two trials."""
    # a sum of three terms depends on their order: stimulus, noise and spikes; what rises, what relaxes and the start
    rising = {} if any_backend == RATE else {"rise_s": 4e-3, "noise_colour": np.full((2, 4), [2.0, 9.0, 12.0, 0.5])}
    network = build(diffusion_factor=0.3 * np.eye(2), **(rising if rises else {}))

    def run(seed):
        return simulate(
            network,
            backend=any_backend,
            duration=1.0,
            trials=2,
            seed=seed,
            stimulus=Stimulus(times=np.array([0.3]), values=np.array([[1.0, -1.0]])),
            spikes=any_backend != RATE,
        )

    return run


def test_the_same_seed_gives_the_same_latents_and_spikes(any_backend, record):
    first, *others = (record(61) for _ in range(4))
    assert all(np.array_equal(first.samples, other.samples) for other in others)
    second = others[0]
    assert first.fingerprint == second.fingerprint
    assert first.provenance == second.provenance
    if any_backend != RATE:
        assert first.spikes.time_s.size > 10
        assert np.array_equal(first.spikes.time_s, second.spikes.time_s)
        assert np.array_equal(first.spikes.neuron, second.spikes.neuron)
        assert np.array_equal(first.spikes.trial, second.spikes.trial)


def test_the_same_seed_gives_the_same_bytes(record, tmp_path):
    record(61).save(tmp_path / "first.nc")
    record(61).save(tmp_path / "second.nc")
    assert (tmp_path / "first.nc").read_bytes() == (tmp_path / "second.nc").read_bytes()


def test_a_file_written_a_second_later_has_the_same_bytes(make_spiking, tmp_path):
    recording = simulate(make_spiking(), backend=ReferenceBackend(), duration=0.1, trials=1, seed=61)
    recording.save(tmp_path / "first.nc")
    time.sleep(1.1)  # a time stamp inside would count seconds
    recording.save(tmp_path / "second.nc")
    assert (tmp_path / "first.nc").read_bytes() == (tmp_path / "second.nc").read_bytes()


def test_the_global_generator_has_no_say(record):
    first = record(61)
    np.random.seed(12345)  # noqa: NPY002 - the global one is the point
    assert np.array_equal(first.samples, record(61).samples)


def test_another_seed_gives_another_recording(record):
    first, second = record(61), record(62)
    assert first.fingerprint != second.fingerprint
    assert not np.array_equal(first.samples[:, 1:], second.samples[:, 1:])


def test_trials_differ(record):
    samples = record(61).samples
    assert not np.array_equal(samples[0], samples[1])


@pytest.mark.parametrize("by_state", [False, True])
def test_nengo_adds_no_more_than_two_inputs(make_spiking, rises, by_state):
    """Nengo orders the inputs of a node by chance, which the sum of two does not show."""
    fields = {"rise_s": 4e-3, "noise_colour": np.ones((2, 4))} if rises else {}
    if by_state:
        fields |= {"diffusion_decoders": np.ones((2, 2, 8)), "diffusion_filter_s": 0.05}
    network = make_spiking(diffusion_factor=0.3 * np.eye(2), **fields)
    run = Run(network, 0.1, 3, 0, stimulus=Stimulus(times=np.array([0.0]), values=np.ones((1, 2))))
    schedule = Schedule.of(run)
    model = _closed_loop(schedule, np.empty((3, schedule.samples, 2)), [])
    inputs = {node: np.zeros(node.size_in) for node in model.all_nodes}
    for connection in model.all_connections:
        if connection.post_obj in inputs:
            inputs[connection.post_obj][connection.post_slice] += 1
    assert max(count.max(initial=0) for count in inputs.values()) == 2
