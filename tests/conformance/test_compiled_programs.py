"""A compiled program serves every network of its shape, in single precision too, and fails in one line."""

# pyright: reportArgumentType=false, reportOptionalMemberAccess=false
# settings are merged from dictionaries, and every run here records spikes

import dataclasses
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ddm2snn_backends.brian2 import Brian2Backend, program
from ddm2snn_backends.reference import ReferenceBackend

from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.neuron import LIF, AdaptiveLIF, RectifiedLinear
from ddm2snn.schedule import SpikeSelection
from ddm2snn.simulate import drive, simulate
from ddm2snn.stimulus import Stimulus

pytestmark = pytest.mark.slow  # a few compilations
RUN: dict[str, Any] = {"duration": 1.0, "trials": 3, "seed": 5, "every": 0.1, "spikes": True}


@pytest.fixture
def no_build(monkeypatch):
    """Whoever would compile now, fails."""

    def refuse(shape, folder):
        raise AssertionError(f"compiled {shape}")

    monkeypatch.setattr(program, "_build", refuse)


def _spikes(recording):
    return recording.spikes.time_s, recording.spikes.neuron, recording.spikes.trial


def _agree(found, expected, rounding):
    for mine, theirs in zip(_spikes(found), _spikes(expected), strict=True):
        assert np.allclose(mine, theirs, rtol=1e-9, atol=0)
    assert np.allclose(found.samples, expected.samples, atol=rounding)
    assert len(expected.spikes.time_s) > 50


@pytest.mark.parametrize("neuron", [LIF(), RectifiedLinear(), AdaptiveLIF()], ids=lambda n: type(n).__name__)
def test_spike_for_spike_as_the_reference(make_spiking, neuron):
    # without noise the loop is deterministic; latents differ by the order of sums, some 1e-15 of values near 1
    network = make_spiking(neuron=neuron)
    found = simulate(network, backend=Brian2Backend("cpp_standalone"), **RUN)
    _agree(found, simulate(network, backend=ReferenceBackend(), **RUN), rounding=1e-9)


def test_other_weights_step_duration_and_input_need_no_compiler(make_spiking, request):
    stimulus = Stimulus(times=np.array([0.2]), values=np.array([[0.5, -0.5]]))
    backend = Brian2Backend("cpp_standalone")
    simulate(make_spiking(), backend=backend, stimulus=stimulus, **RUN)
    request.getfixturevalue("no_build")
    network = make_spiking(seed=3, dt_s=5e-4)
    settings = RUN | {"duration": 2.3, "trials": 2, "seed": 6}
    levels = np.array([[-0.5, 0.2], [0.0, 1.0]])
    later = Stimulus(times=np.array([0.1, 1.0]), values=np.stack([levels, -levels]))  # of each trial its own
    found = simulate(network, backend=backend, stimulus=later, **settings)
    _agree(found, simulate(network, backend=ReferenceBackend(), stimulus=later, **settings), rounding=1e-9)


def test_another_shape_does_need_one(make_spiking, request):
    simulate(make_spiking(), backend=Brian2Backend("cpp_standalone"), **RUN)
    request.getfixturevalue("no_build")
    with pytest.raises(AssertionError, match="compiled"):
        simulate(make_spiking(neurons=9), backend=Brian2Backend("cpp_standalone"), **RUN)


def test_single_precision_has_the_same_rates(make_spiking):
    network = make_spiking(diffusion_factor=0.1 * np.eye(2))
    double, single = (
        simulate(network, backend=Brian2Backend("cpp_standalone", precision), **RUN | {"duration": 20.0, "trials": 8})
        for precision in ("double", "single")
    )
    # the same noise: spikes move by a step here and there, which is less than one spike for each neuron and trial
    counts = [np.bincount(r.spikes.neuron, minlength=8) for r in (double, single)]
    assert np.abs(counts[0] - counts[1]).max() <= 8
    assert counts[0].sum() > 1000
    assert single.provenance["options"] == {"mode": "cpp_standalone", "precision": "single"}


def test_single_precision_has_the_same_law(make_spiking):
    """Means of the latents agree within four standard errors of independent trials."""
    network = make_spiking(diffusion_factor=0.3 * np.eye(2))
    settings = RUN | {"duration": 10.0, "trials": 64, "every": 1.0, "spikes": False}
    double = simulate(network, backend=Brian2Backend("cpp_standalone"), **settings).samples[:, 5:].mean(axis=1)
    single = (
        simulate(network, backend=Brian2Backend("cpp_standalone", "single"), **settings | {"seed": 6})
        .samples[:, 5:]
        .mean(axis=1)
    )
    error = np.sqrt((double.var(axis=0) + single.var(axis=0)) / 64)
    assert (np.abs(double.mean(axis=0) - single.mean(axis=0)) < 4 * error).all()
    shifted = double.mean(axis=0) + 8 * error  # such a shift would be seen
    assert (np.abs(shifted - single.mean(axis=0)) > 4 * error).any()


@pytest.mark.parametrize("mode", ["numpy", "cpp_standalone"])
def test_dense_weights_do_what_factors_do(make_spiking, mode):
    network = make_spiking()
    found = simulate(network, backend=Brian2Backend(mode, dense="factors"), **RUN)
    _agree(found, simulate(network, backend=ReferenceBackend(), **RUN), rounding=1e-9)


def test_a_lesioned_weight_is_felt(make_spiking):
    network = make_spiking()
    weights = network.encoders @ network.decoders
    whole = simulate(network, backend=Brian2Backend("numpy", dense=weights), **RUN)
    lesioned = np.where(np.arange(8)[:, None] == 3, 0.0, weights)
    cut = simulate(network, backend=Brian2Backend("numpy", dense=lesioned), **RUN)
    _agree(whole, simulate(network, backend=ReferenceBackend(), **RUN), rounding=1e-9)
    assert not np.array_equal(whole.spikes.time_s, cut.spikes.time_s)


def test_dense_weights_that_do_not_fit_are_refused_with_what_they_take(make_spiking, monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 1)
    with pytest.raises(UnsupportedError, match=r"8 x 8 synapses take 0\.0 GiB, and 0\.0 GiB are free. Run the factors"):
        simulate(make_spiking(), backend=Brian2Backend(dense="factors"), **RUN)


def test_dense_weights_of_another_size_are_refused(make_spiking):
    with pytest.raises(UnsupportedError, match=r"weights have shape \(3, 3\). Give shape \(8, 8\)"):
        simulate(make_spiking(), backend=Brian2Backend(dense=np.eye(3)), **RUN)


@pytest.mark.parametrize(("what", "value"), [("mode", "gpu"), ("precision", "half")])
def test_an_option_that_is_none_is_refused(what, value):
    with pytest.raises(InputError, match=f"Brian2 has no {what} '{value}'"):
        Brian2Backend(**{what: value})
    with pytest.raises(InputError, match="dense must be 'factors'"):
        Brian2Backend(dense="all")  # pyright: ignore[reportArgumentType]


def test_a_compiled_open_loop_streams_what_the_reference_filters(make_spiking):
    network = make_spiking()
    path = np.cumsum(np.random.default_rng(0).normal(0, 0.02, (1500, 2)), axis=0)
    found, expected = (
        list(drive(network, path, backend=backend, seed=3))
        for backend in (Brian2Backend("cpp_standalone"), ReferenceBackend())
    )
    assert [len(block) for block in found] == [512, 512, 476]
    assert np.allclose(np.concatenate(found), np.concatenate(expected), atol=1e-9)
    assert np.concatenate(expected).max() > 10


@pytest.mark.parametrize("mode", ["numpy", "cpp_standalone"])
def test_only_the_spikes_asked_for(make_spiking, mode):
    network, backend = make_spiking(), Brian2Backend(mode)
    whole = simulate(network, backend=backend, **RUN)
    some = simulate(network, backend=backend, **{**RUN, "spikes": SpikeSelection((0.3, 0.6), [1, 4])})
    time_s, neuron, _ = _spikes(whole)
    time = time_s / network.time_unit_s
    keep = (time >= 0.3 - 1e-9) & (time <= 0.6 + 1e-9) & np.isin(neuron, [1, 4])
    assert 0 < keep.sum() < len(keep)
    for mine, theirs in zip(_spikes(some), _spikes(whole), strict=True):
        assert np.array_equal(mine, theirs[keep])


def test_a_run_that_would_fill_the_disk_is_refused_before_it_starts(make_spiking):
    with pytest.raises(InputError, match=r"The run takes at least 894,070 GiB in .* are free\."):
        simulate(make_spiking(), backend=Brian2Backend("cpp_standalone"), **RUN | {"duration": 1e12})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line(make_spiking, tmp_path):
    command = _command_of(make_spiking(), tmp_path)
    (tmp_path / "samples").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"There is no room left in .* for the results of the simulation"):
        program.run_all([command], [tmp_path], lambda steps: None)


def test_a_program_without_its_files_is_no_result(make_spiking, tmp_path):
    command = [*_command_of(make_spiking(), tmp_path), f"neurons.v={tmp_path / 'nowhere'}"]
    with pytest.raises(RuntimeError, match=r"ended with status 0: .*nowhere"):
        program.run_all([command], [tmp_path], lambda steps: None)


def _command_of(network, folder):
    """Program of a shape on zeros, which writes 1,000,000 samples."""
    shape = program.Shape(network.neurons, network.rank, "lif")
    settings: dict[str, Any] = {"steps": 1e6, "stride": 1.0, "report": 1e6, "first": 0.0, "last": 0.0, "seed": 1.0}
    given = program.arguments_of("latents", settings, np.float64, folder)
    return program.command_of(program.program_of(shape), folder, given)


def test_an_interrupt_ends_all_processes(make_spiking, tmp_path):
    class HaltedError(Exception):
        pass

    def halt(share):
        if share > 0:
            raise HaltedError

    network = dataclasses.replace(make_spiking(), dt_s=5e-4)
    with pytest.raises(HaltedError):
        simulate(network, backend=Brian2Backend("cpp_standalone"), duration=20000.0, trials=4, seed=1, progress=halt)
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "ddm2snn-brian2-" not in listed
