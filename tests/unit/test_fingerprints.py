"""A fingerprint is the content, the whole content and nothing but the content."""

# Lists stand for arrays here, and wrong types are given on purpose:
# pyright: reportArgumentType=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn import LIF, RateNetwork, Spikes, SpikingNetwork, Stimulus, find_hardware
from ddm2snn.base.arrays import array_fields, arrays_of, content_fingerprint
from ddm2snn.base.stored import settings_of


def nudged(array):
    """The smallest change that an array can have: one value, last place."""
    out = array.copy()
    flat = out.reshape(-1)
    flat[-1] = flat[-1] - 1 if out.dtype == np.int64 else np.nextafter(flat[-1], np.inf)
    return out


@pytest.mark.parametrize("field", array_fields(RateNetwork))
def test_each_array_of_a_rate_network_counts(rate_of, field):
    outputs = {"output_vectors": np.ones((5, 1)), "output_bias": np.ones(1)}
    network = rate_of(**outputs, diffusion_readout=np.ones((5, 2, 2)))
    changed = dataclasses.replace(network, **{field: nudged(getattr(network, field))})
    assert changed.fingerprint != network.fingerprint


@pytest.mark.parametrize("field", array_fields(SpikingNetwork))
def test_each_array_of_a_spiking_network_counts(spiking_of, field):
    by_state = {"diffusion_decoders": np.ones((2, 2, 20)), "diffusion_filter_s": 0.01}
    outputs = {"output_decoders": np.ones((1, 20)), "output_map": np.ones((1, 2)), "output_bias": np.ones(1)}
    network = spiking_of(**by_state, **outputs, noise_colour=np.ones((2, 4)))
    changed = dataclasses.replace(network, **{field: nudged(getattr(network, field))})
    assert changed.fingerprint != network.fingerprint


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("neuron", LIF(tau_membrane_s=0.03, refractory_s=0.005)),
        ("neuron", LIF(tau_membrane_s=0.031, refractory_s=0.004)),
        ("time_unit_s", 0.2),
        ("dt_s", 0.002),
        ("rise_s", 0.004),
        ("spike_timing", "interpolated"),
        ("backend", "nengo"),
        ("rate_fingerprint", "0" * 32),
        ("hardware", find_hardware("ideal")),
    ],
)
def test_each_setting_of_a_spiking_network_counts(spiking_of, field, value):
    assert spiking_of(**{field: value}).fingerprint != spiking_of().fingerprint


def test_the_filter_of_a_decoded_factor_counts(spiking_of):
    made = [spiking_of(diffusion_decoders=np.ones((2, 2, 20)), diffusion_filter_s=tau) for tau in (0.01, 0.02)]
    assert made[0].fingerprint != made[1].fingerprint


def test_the_filter_of_outputs_counts(spiking_of):
    outputs = {"output_decoders": np.ones((1, 20)), "output_map": np.zeros((1, 2)), "output_bias": np.zeros(1)}
    made = {spiking_of(**outputs, output_filter_s=tau).fingerprint for tau in (None, 0.01, 0.02)}
    assert len(made) == 3
    assert "output_filter_s" not in settings_of(spiking_of(**outputs))


def spikes_of(network):
    run = ddm2snn.simulate(network, backend="quantised", duration=2.0, trials=1, seed=4, spikes=True)
    return np.stack([run.spikes.time_s, run.spikes.neuron])


def test_networks_that_run_in_different_arithmetic_differ(make_spiking, tmp_path):
    network = make_spiking(neurons=40)
    devices = [None, find_hardware("loihi1-emulator"), find_hardware("ideal")]
    networks = [dataclasses.replace(network, hardware=device) for device in devices]
    prints = [each.fingerprint for each in networks]
    assert len(set(prints)) == len(devices)
    assert prints[0] == network.fingerprint
    spikes = [spikes_of(each) for each in networks]
    assert spikes[1].tobytes() != spikes[2].tobytes()
    for index, (each, table) in enumerate(zip(networks, spikes, strict=True)):
        each.save(tmp_path / f"{index}")
        loaded = SpikingNetwork.load(tmp_path / f"{index}")
        assert loaded.hardware == each.hardware
        assert loaded.fingerprint == each.fingerprint
        assert np.array_equal(spikes_of(loaded), table)


def test_what_a_device_leaves_out_does_not_count(spiking_of):
    # a setting that a later version adds, with None for a device without it, moves no fingerprint
    stored = settings_of(spiking_of(hardware=find_hardware("ideal")))["hardware"]
    assert "step_s" not in stored
    assert stored["precision"] == {}


def test_what_a_constant_diffusion_leaves_out_does_not_count(spiking_of):
    # fingerprints from before there was any diffusion that depends on the state stay what they were
    assert not {"diffusion_decoders", "diffusion_filter_s"} & {*settings_of(spiking_of()), *arrays_of(spiking_of())}


def test_the_time_scale_counts_and_one_is_no_part_of_a_file(rate_of, spiking_of):
    for build in (rate_of, spiking_of):
        assert build(time_scale=2.0).fingerprint != build(time_scale=3.0).fingerprint != build().fingerprint
        assert "time_scale" not in settings_of(build())
        assert settings_of(build(time_scale=2.0))["time_scale"] == 2.0


def test_these_are_all_the_fields_there_are(spiking_of):
    # a new field must be added to one of the lists above
    settings = {"neuron", "time_unit_s", "dt_s", "spike_timing", "backend", "rate_fingerprint", "provenance"}
    settings |= {"diffusion_filter_s", "output_filter_s", "hardware", "time_scale", "rise_s"}
    assert {f.name for f in dataclasses.fields(SpikingNetwork)} == settings | set(array_fields(SpikingNetwork))
    assert {f.name for f in dataclasses.fields(RateNetwork)} == {"activation", "provenance", "time_scale"} | set(
        array_fields(RateNetwork)
    )


def test_provenance_does_not_count(rate_of, spiking_of, recording_of):
    for build in (rate_of, spiking_of, recording_of):
        assert build(provenance={"anything": [1, 2]}).fingerprint == build().fingerprint


def test_the_same_content_in_another_type_differs():
    # a Stimulus and a Recording of the same numbers are not the same thing
    arrays = {"a": np.zeros(3)}
    assert content_fingerprint("X", arrays, {}) != content_fingerprint("Y", arrays, {})


def test_names_types_and_shapes_of_arrays_count():
    zeros = np.zeros(4)
    prints = {
        content_fingerprint("X", {"a": zeros}, {}),
        content_fingerprint("X", {"b": zeros}, {}),
        content_fingerprint("X", {"a": zeros.reshape(2, 2)}, {}),
        content_fingerprint("X", {"a": zeros.view(np.int64)}, {}),
        content_fingerprint("X", {"a": zeros[:2], "b": zeros[2:]}, {}),
        content_fingerprint("X", {"a": zeros}, {"s": 1}),
    }
    assert len(prints) == 6


def test_the_order_of_names_does_not_count():
    a, b = np.zeros(2), np.ones(3)
    first = content_fingerprint("X", {"a": a, "b": b}, {"s": 1, "t": {"u": 2, "v": 3}})
    second = content_fingerprint("X", {"b": b, "a": a}, {"t": {"v": 3, "u": 2}, "s": 1})
    assert first == second


@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda a: a[::-1].copy()[::-1], lambda a: np.repeat(a, 2, axis=0)[::2], np.ndarray.tolist],
    ids=["fortran", "reversed view", "strided view", "nested list"],
)
def test_the_memory_layout_does_not_count(rate_of, layout):
    network = rate_of()
    again = dataclasses.replace(network, left_vectors=layout(network.left_vectors))
    assert again.fingerprint == network.fingerprint


def test_fingerprints_survive_a_file(rate_of, spiking_of, recording_of, tmp_path):
    stimulus = Stimulus(times=[0.0, 1.0], values=[[1.0], [2.0]])
    for index, thing in enumerate((rate_of(), spiking_of(), stimulus, recording_of(), recording_of(spikes=True))):
        thing.save(tmp_path / f"{index}")
        assert ddm2snn.load(tmp_path / f"{index}").fingerprint == thing.fingerprint


def test_a_fingerprint_is_32_hexadecimal_digits_of_today(rate_of):
    # pinned: a fingerprint stands in files, so it must not change while the format version does not
    stimulus = Stimulus(times=[0.0, 1.5], values=[[1.0, 2.0], [3.0, 4.0]])
    assert stimulus.fingerprint == "1ff9de897b7cd2b55b704501fee4a0f9"
    assert len(rate_of().fingerprint) == 32
    assert int(rate_of().fingerprint, 16) >= 0


def test_latents_times_and_spikes_of_a_recording_count(recording_of):
    base = recording_of(spikes=True)
    table = base.spikes
    others = [
        recording_of(),
        recording_of(spikes=True, seed=20),
        recording_of(spikes=True, every=0.2),
        recording_of(spikes=True, time_unit_s=0.1),
        dataclasses.replace(base, spikes=Spikes(nudged(table.time_s), table.neuron, table.trial)),
        dataclasses.replace(base, spikes=Spikes(table.time_s, nudged(table.neuron), table.trial)),
        dataclasses.replace(base, spikes=Spikes(table.time_s, table.neuron, nudged(table.trial))),
    ]
    assert len({base.fingerprint, *(r.fingerprint for r in others)}) == 1 + len(others)
