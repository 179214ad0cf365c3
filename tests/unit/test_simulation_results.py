"""What simulate returns: lengths, times, seeds, provenance, spikes."""

# Lists stand for arrays here, and wrong types are given on purpose; the test knows that there are spikes:
# pyright: reportArgumentType=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import numpy as np
import pytest

from ddm2snn import Stimulus, simulate

SHORT = {"duration": 0.5, "trials": 3, "every": 0.05, "seed": 2}


@pytest.fixture(scope="module", params=["rate", "spiking"])
def network(request, quick_rate, quick_spiking):
    return {"rate": quick_rate, "spiking": quick_spiking}[request.param]


def test_shape_and_times(network):
    recording = simulate(network, **SHORT)
    assert recording.samples.shape == (3, 10, 2)
    assert np.allclose(recording.latent["time"], np.arange(10) * 0.05)
    unit_s = getattr(network, "time_unit_s", 1.0)
    assert np.allclose(recording.latent["time_s"], np.arange(10) * 0.05 * unit_s)


def test_the_first_sample_is_the_initial_state_in_system_units(network):
    start = np.array([[1.0, 2.0], [-0.5, 0.0], [0.3, -1.0]])
    recording = simulate(network, **SHORT, initial_latent=start)
    assert np.allclose(recording.samples[:, 0], start, rtol=0, atol=1e-12)


def test_trials_start_from_states_that_the_network_carries(network):
    first = simulate(network, **SHORT).samples[:, 0]
    distance = np.abs(network.initial_latent[:, None] - first).max(axis=-1).min(axis=0)
    assert (distance < 1e-12).all()
    assert len(np.unique(first[:, 0])) == 3


def test_the_same_seed_gives_the_same_recording(network):
    assert simulate(network, **SHORT).fingerprint == simulate(network, **SHORT).fingerprint
    assert simulate(network, **{**SHORT, "seed": 3}).fingerprint != simulate(network, **SHORT).fingerprint


def test_another_seed_starts_from_other_states(network):
    first, second = (simulate(network, **{**SHORT, "seed": seed}).samples[:, 0] for seed in (2, 3))
    assert not np.isclose(first, second).any()


def test_a_run_leaves_its_network_alone(network):
    before = network.fingerprint
    simulate(network, **SHORT, stimulus=Stimulus(times=[0.1], values=[[1.0, 0.0]]))
    assert type(network)(**{f: getattr(network, f) for f in network.__dataclass_fields__}).fingerprint == before


def test_a_stimulus_moves_the_latent_only_after_its_onset(network):
    pulse = Stimulus(times=[0.25], values=[[4.0, 0.0]])
    with_it, without = (simulate(network, **SHORT, stimulus=s).samples for s in (pulse, None))
    assert np.array_equal(with_it[:, :6], without[:, :6])  # samples at 0 to 0.25, before any step with input
    assert (with_it[:, -1, 0] > without[:, -1, 0] + 0.1).all()


def test_provenance_names_parents_seed_and_step(network):
    pulse = Stimulus(times=[0.25], values=[[4.0, 0.0]])
    provenance = simulate(network, **SHORT, stimulus=pulse).provenance
    assert provenance["network"] == network.fingerprint
    assert provenance["network_type"] == type(network).__name__
    assert provenance["stimulus"] == pulse.fingerprint
    assert provenance["seed"] == 2
    assert provenance["dt_s"] > 0
    assert provenance["backend"] in ("rate", "reference")
    assert set(provenance["versions"]) >= {"ddm2snn", "numpy"}
    assert simulate(network, **SHORT).provenance["stimulus"] is None


def test_spikes_come_only_when_asked_for(quick_spiking):
    assert simulate(quick_spiking, **SHORT).spikes is None
    recording = simulate(quick_spiking, **SHORT, spikes=True)
    table = recording.spikes
    assert table.time_s.size > 10
    assert set(np.unique(table.trial)) <= {0, 1, 2}
    assert table.neuron.max() < quick_spiking.neurons
    assert table.time_s.min() > 0
    assert table.time_s.max() <= 0.5 * quick_spiking.time_unit_s + 1e-9
    assert recording.fingerprint != simulate(quick_spiking, **SHORT).fingerprint
    assert np.array_equal(recording.samples, simulate(quick_spiking, **SHORT).samples)


def test_no_two_spikes_of_a_neuron_within_its_refractory_period(quick_spiking):
    table = simulate(quick_spiking, **SHORT, spikes=True).spikes
    for trial in range(3):
        for neuron in range(quick_spiking.neurons):
            times = table.time_s[(table.trial == trial) & (table.neuron == neuron)]
            assert (np.diff(times) > quick_spiking.neuron.refractory_s).all()


def test_progress_runs_from_zero_towards_one(network):
    shares = []
    simulate(network, **SHORT, progress=shares.append)
    assert shares[0] == 0.0
    assert shares == sorted(shares)
    assert 0.5 < shares[-1] <= 1.0
