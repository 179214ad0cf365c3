"""Outputs that a task reads: of the rate network in closed form, of spikes at the same time and size."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

import ddm2snn
from ddm2snn import InputError, Population, Static, Stimulus

READOUT = np.random.default_rng(0).standard_normal((64, 2)) / 8.0
BIAS = np.array([0.5, -1.0])


@pytest.fixture(scope="module")
def reading(rate_network):
    return dataclasses.replace(rate_network, output_vectors=READOUT, output_bias=BIAS)


@pytest.fixture(scope="module")
def spiking(reading):
    return ddm2snn.convert(reading, backend="reference", seed=1).network


def test_outputs_of_the_rate_network_are_those_of_its_units(reading):
    run = ddm2snn.simulate(reading, duration=1.0, trials=2, seed=0)
    z = (run.samples - reading.latent_offset) / reading.latent_scale
    expected = np.tanh(z @ reading.left_vectors.T + reading.bias) @ READOUT + BIAS
    assert run.output is not None
    assert run.output.dims == ("trial", "time", "output")
    assert np.allclose(run.output.values, expected, rtol=1e-12)


@pytest.mark.parametrize("backend", ["reference", "brian2", "nengo"])
def test_spikes_say_what_the_rate_network_would_at_the_same_state(reading, spiking, backend):
    """Without a delay: the outputs fit best at the time of the latents, to a tenth of their spread."""
    if backend == "nengo":  # whose spikes fall between the steps
        spiking = ddm2snn.convert(reading, backend=backend, seed=1).network
    run = ddm2snn.simulate(spiking, backend=backend, trials=8, duration=24.0, seed=2)
    assert run.output is not None
    expected, outputs = (each[:, 200:] for each in (reading.output(run.samples), run.output.values))  # 4 time units
    spread = expected.std(axis=(0, 1))
    assert ((outputs - expected).std(axis=(0, 1)) < 0.12 * spread).all()
    assert (np.abs((outputs - expected).mean(axis=(0, 1))) < 0.03 * spread).all()
    misfit = [np.square(outputs[:, 10 + k : -10 + k or None] - expected[:, 10:-10]).mean() for k in range(-10, 10)]
    assert abs(int(np.argmin(misfit)) - 10) <= 2  # samples of 0.02 time units


def test_outputs_are_read_and_not_fed_back(reading, rate_network):
    """Without noise the latents are the same to the last bit, with a read-out or without."""
    quiet = [dataclasses.replace(each, diffusion_factor=np.zeros((2, 2))) for each in (reading, rate_network)]
    runs = []
    for rate in quiet:
        made = ddm2snn.convert(
            rate, population=Population(1, tuned=False), decoders=Static(), backend="reference", time_unit_s=0.1, seed=1
        ).network
        made = dataclasses.replace(made, diffusion_factor=np.zeros((2, 2)))
        runs.append(ddm2snn.simulate(made, trials=2, duration=3.0, seed=4))
    assert np.allclose(runs[0].samples, runs[1].samples, rtol=0, atol=1e-12)


def test_outputs_of_driven_trials(make_rate):
    """A unit that follows its input: the output ends where the rate network's does, under every input."""
    rate = make_rate(rank=1, units=32, seed=3)
    rate = dataclasses.replace(rate, output_vectors=rate.left_vectors / 16.0, output_bias=np.array([0.2]))
    values = np.array([-0.6, -0.2, 0.2, 0.6])[:, None, None] * np.ones((1, 1, rate.input_map.shape[1]))
    stimulus = Stimulus(times=np.zeros(1), values=values, duration=12.0)
    decoders = ddm2snn.Calibrated(stimulus=stimulus)
    spiking = ddm2snn.convert(rate, decoders=decoders, time_unit_s=0.1, seed=1).network
    start = np.zeros((4, 1))
    own, run = (ddm2snn.simulate(n, stimulus=stimulus, initial_latent=start, seed=2) for n in (rate, spiking))
    assert own.output is not None
    assert run.output is not None
    ends, expected = (each.output.values[:, -100:, 0].mean(axis=1) for each in (run, own))
    assert np.abs(ends - expected).max() < 0.03 * np.ptp(expected)


def test_the_emulated_chip_reads_them_too(reading):
    spiking = ddm2snn.convert(reading, hardware="loihi1-emulator", seed=1).network
    run = ddm2snn.simulate(spiking, trials=2, duration=20.0, seed=2)
    assert run.output is not None
    expected, outputs = (each[:, 200:] for each in (reading.output(run.samples), run.output.values))
    assert ((outputs - expected).std(axis=(0, 1)) < 0.2 * expected.std(axis=(0, 1))).all()


def test_outputs_are_those_of_a_filter_of_their_own(reading, spiking):
    """The sampling interval that was asked for does not matter: in between it is as short as the filter needs."""
    runs = [ddm2snn.simulate(spiking, duration=4.0, trials=2, every=every, seed=3) for every in (0.02, 0.5)]
    fine, coarse = (run.output.values for run in runs if run.output is not None)
    assert np.abs(fine[:, ::25] - coarse).max() < 0.05 * np.ptp(fine)
    late = dataclasses.replace(spiking, output_filter_s=None)
    slow = ddm2snn.simulate(late, duration=4.0, trials=2, seed=3).output
    assert slow is not None
    assert np.diff(slow.values, axis=1).std() < 0.8 * np.diff(fine, axis=1).std()


def test_files_keep_them(spiking, tmp_path):
    spiking.save(tmp_path / "network.safetensors")
    loaded = ddm2snn.load(tmp_path / "network.safetensors")
    assert loaded.fingerprint == spiking.fingerprint
    run = ddm2snn.simulate(spiking, trials=2, duration=1.0)
    run.save(tmp_path / "run.nc")
    back = ddm2snn.Recording.load(tmp_path / "run.nc")
    assert back.output is not None
    assert run.output is not None
    assert np.array_equal(back.output.values, run.output.values)
    assert back.fingerprint == run.fingerprint


def test_half_a_readout_is_refused(reading, spiking):
    with pytest.raises(InputError, match=r"needs output_vectors, output_bias together.*output_bias is None"):
        dataclasses.replace(reading, output_bias=None)
    with pytest.raises(
        InputError, match=r"needs output_decoders, output_map, output_bias together.*output_decoders is None"
    ):
        dataclasses.replace(spiking, output_decoders=None)


@pytest.mark.parametrize("kind", ["nir", "hdf5", "brian2", "nengo"])
def test_an_export_keeps_them_or_says_that_it_does_not(spiking, tmp_path, kind):
    endings = {"nir": "net.nir", "hdf5": "net.h5"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = ddm2snn.export(spiking, tmp_path / endings.get(kind, "net.py"), format=kind)
    said = any("The read-out of 2 output(s) is left out" in str(each.message) for each in caught)
    assert said == any("read-out of 2 output(s)" in sentence for sentence in made.lost) == (kind != "hdf5")
    if kind == "hdf5":
        back = ddm2snn.import_network(tmp_path / "net.h5")
        assert back.fingerprint == spiking.fingerprint


def test_inputs_reach_outputs_at_once(make_rate):
    """Latents that only filter their input: the output follows them, and does not wait for the synapse once more.

    The units are nearly linear here. What is not linear in the latents waits: spikes know no input.
    """
    rate = make_rate(rank=1, units=8, right_vectors=np.zeros((8, 1)), activation="tanh")
    gentle, signs = 0.2 * rate.left_vectors, np.sign(rate.left_vectors)
    rate = dataclasses.replace(
        rate, left_vectors=gentle, bias=np.zeros(8), output_vectors=signs, output_bias=np.zeros(1)
    )
    values = np.array([0.5, -0.5])[:, None, None] * np.ones((1, 1, rate.input_map.shape[1]))
    values = np.concatenate([np.zeros_like(values), values], axis=1)
    stimulus = Stimulus(times=np.array([0.0, 2.0]), values=values, duration=8.0, repeats=8)
    decoders = ddm2snn.Calibrated(stimulus=stimulus, duration=500.0)
    network = ddm2snn.convert(rate, decoders=decoders, backend="reference", time_unit_s=0.1, seed=1).network
    own, run = (ddm2snn.simulate(each, stimulus=stimulus, every=0.1, seed=2) for each in (rate, network))
    assert own.output is not None
    assert run.output is not None
    steps = own.output.values[:, 20:, 0] - own.output.values[:, 20:21, 0]
    size = np.abs(steps[:, -10:]).mean()
    late = np.abs(run.output.values[:, 20:40, 0] - own.output.values[:, 20:40, 0]).mean(axis=0).max()
    assert late < 0.1 * size  # a delay of one time unit would miss by 1 / e
