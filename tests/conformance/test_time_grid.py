"""When samples and spikes are taken: the same conventions on every backend."""

# pyright: reportOptionalMemberAccess=false
# the tests know which recordings have spikes

import numpy as np
import pytest

from ddm2snn.backend import RATE
from ddm2snn.base.randomness import stream
from ddm2snn.network import to_internal
from ddm2snn.simulate import simulate

STEP = 0.01  # in rate time units
ROUNDING = 1e-13  # latents of order one go to internal units and back once
# A latent jumps by 0.005 at a spike; leaks and rounding of one step are told apart from it by far
HALF_A_JUMP = 2.5e-3


def run(backend, network, steps, stride: float = 1, **options):
    """Run `steps` steps, sampled each `stride` steps, from states of the tests' own."""
    start = network.latent_offset + network.latent_scale * [[0.4, -0.3], [1.0, 2.0]]
    recording = simulate(
        network,
        backend=backend,
        duration=steps * STEP,
        trials=2,
        seed=71,
        dt_s=STEP * getattr(network, "time_unit_s", 1.0),
        initial_latent=start,
        every=stride * STEP,
        spikes=backend != RATE,
        **options,
    )
    return recording, start


# the last: more than one block of the adapters, with a stride that divides neither
@pytest.mark.parametrize(("steps", "stride"), [(100, 2), (101, 2), (7, 7), (8, 7), (3, 7), (1, 1), (5, 1), (1030, 3)])
def test_samples_start_at_zero_and_fill_the_duration(any_backend, build, steps, stride):
    recording, start = run(any_backend, build(), steps, stride)
    assert recording.samples.shape == (2, -(-steps // stride), 2)
    assert np.abs(recording.samples[:, 0] - start).max() < ROUNDING
    times = recording.latent["time"].values
    assert np.allclose(times, np.arange(len(times)) * stride * STEP, rtol=1e-12, atol=0.0)
    unit_s = recording.provenance["time_unit_s"]
    assert np.allclose(recording.latent["time_s"].values, times * unit_s, rtol=1e-12, atol=0.0)


def test_a_coarser_sampling_interval_thins_the_same_run_out(any_backend, build):
    fine, coarse = (run(any_backend, build(), 30, stride)[0].samples for stride in (1, 3))
    assert np.array_equal(coarse, fine[:, ::3])


def test_initial_states_are_drawn_from_those_of_the_network(any_backend, build):
    network = build()
    recording = simulate(network, backend=any_backend, duration=1.0, trials=20, seed=72, every=1.0)
    distance = np.abs(recording.samples[:, :1] - network.initial_latent[None]).max(axis=-1).min(axis=1)
    assert distance.max() < ROUNDING
    assert len(np.unique(recording.samples[:, 0].round(6), axis=0)) > 1


@pytest.fixture
def two_neurons(make_spiking):
    """Neurons at constant currents, each of which moves one latent."""
    return make_spiking(
        neurons=2,
        encoders=np.zeros((2, 2)),
        bias=[1.7, 3.0],
        decoders=np.diag([HALF_A_JUMP * 2, HALF_A_JUMP * 2]) * 1e-3 / -np.expm1(-STEP),
    )


def test_the_first_spike_bears_the_end_of_its_step(spiking_backend, two_neurons):
    recording, _ = run(spiking_backend, two_neurons, 100)
    tau_s, dt_s = two_neurons.neuron.tau_membrane_s, two_neurons.dt_s
    voltage = stream(71, "run", "voltage").random((2, 2))
    climb_s = tau_s * np.log((two_neurons.bias - voltage) / (two_neurons.bias - 1.0))
    spikes = recording.spikes
    for trial in range(2):
        for neuron in range(2):
            own = spikes.time_s[(spikes.trial == trial) & (spikes.neuron == neuron)]
            expected = np.ceil(climb_s[trial, neuron] / dt_s) * dt_s
            assert own[0] == pytest.approx(expected, rel=1e-12)


def test_a_spike_moves_the_latent_at_its_own_time(spiking_backend, two_neurons):
    recording, _ = run(spiking_backend, two_neurons, 100)
    z = to_internal(two_neurons, recording.samples)
    jumps = z[:, 1:] - np.exp(-STEP) * z[:, :-1]
    trial, step, neuron = np.nonzero(jumps > HALF_A_JUMP)
    seen = recording.spikes.time_s < (100 - 0.5) * two_neurons.dt_s  # no sample follows the last step
    found = np.stack([recording.spikes.trial, recording.spikes.time_s / two_neurons.dt_s, recording.spikes.neuron])
    order = np.lexsort((neuron, step, trial))
    assert trial.size > 10
    assert np.allclose(found[:, seen], np.stack([trial, step + 1, neuron])[:, order], rtol=1e-9, atol=0.0)


def test_spikes_are_left_out_unless_asked_for(any_backend, build):
    assert simulate(build(), backend=any_backend, duration=0.1, trials=1, seed=73).spikes is None


def test_progress_rises_within_zero_and_one(any_backend, build):
    shares: list[float] = []
    run(any_backend, build(), 600, progress=shares.append)
    assert len(shares) > 0
    assert shares == sorted(shares)
    assert shares[0] >= 0.0
    assert shares[-1] <= 1.0


def test_a_sampling_interval_off_the_grid_is_refused(any_backend, build):
    with pytest.raises(ValueError, match=r"the sampling interval `every` lasts .* no whole number of steps"):
        run(any_backend, build(), 10, stride=2.5)
