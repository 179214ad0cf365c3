"""Backend compiled: the reference's spikes with noise too, and the same bytes for any number of threads and ranks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ddm2snn_backends import compiled_loop
from ddm2snn_backends.compiled import CompiledBackend
from ddm2snn_backends.reference import ReferenceBackend

from ddm2snn.errors import InputError
from ddm2snn.neuron import LIF, AdaptiveLIF, LogNormal, RectifiedLinear
from ddm2snn.recording import Recording
from ddm2snn.schedule import SpikeSelection
from ddm2snn.simulate import simulate
from ddm2snn.stimulus import Stimulus

CHUNK = compiled_loop.TILE * compiled_loop.CHUNK_TILES
LARGE = 4 * CHUNK + 100  # neurons in five parts, of which the last is not full
ROUNDING = 1e-10  # as in test_closed_loop.py
RUN: dict[str, Any] = {"duration": 0.4, "trials": 2, "seed": 5, "every": 0.02, "spikes": True}
MPIEXEC = str(Path(sys.executable).with_name("mpiexec"))
KILLED_S = 30.0  # in which the other ranks end: it takes them 0.1 s


@pytest.fixture(scope="module")
def large(noisy):
    return noisy(rank=3, neurons=LARGE)


def ran(network, backend, **changed: Any) -> Recording:
    """A run as `RUN` says, but for what is changed."""
    return simulate(network, backend=backend, **{**RUN, **changed})


def same_spikes(found, expected):
    names = ("time_s", "neuron", "trial")
    return all(np.array_equal(getattr(found.spikes, name), getattr(expected.spikes, name)) for name in names)


@pytest.mark.parametrize(
    ("rank", "neuron"),
    [(1, LIF(LogNormal(0.02, 0.3))), (2, RectifiedLinear()), (3, AdaptiveLIF()), (5, LIF(refractory_s=0.0))],
)
def test_noisy_runs_have_the_spikes_of_the_reference(noisy, rank, neuron):
    network = noisy(rank=rank, neuron=neuron)
    stimulus = Stimulus(times=np.array([0.1]), values=np.ones((1, rank)))
    found, expected = (
        ran(network, backend, duration=3.0, stimulus=stimulus) for backend in (CompiledBackend(), ReferenceBackend())
    )
    assert len(expected.spikes.time_s) > 50
    assert same_spikes(found, expected)
    assert np.abs(found.samples - expected.samples).max() < ROUNDING
    other = ran(network, CompiledBackend(), duration=3.0, seed=6, stimulus=stimulus)
    assert not same_spikes(other, expected)


@pytest.mark.parametrize("trials", [1, 2])
def test_the_bits_do_not_depend_on_the_number_of_threads(large, trials):
    runs = [ran(large, CompiledBackend(threads=n), trials=trials) for n in (1, 2, 3, 4)]
    assert len(runs[0].spikes.time_s) > 1000
    assert len({run.fingerprint for run in runs}) == 1
    assert same_spikes(runs[0], ran(large, ReferenceBackend(), trials=trials))


def test_the_order_of_sums_would_show(large, monkeypatch):
    one = ran(large, CompiledBackend(threads=1))
    monkeypatch.setattr(compiled_loop, "CHUNK_TILES", compiled_loop.CHUNK_TILES // 2)
    assert not np.array_equal(one.samples, ran(large, CompiledBackend(threads=1)).samples)


def test_selected_spikes_are_those_of_all(large):
    selection = SpikeSelection(window=(0.1, 0.2), neurons=[3, 4, CHUNK + 1, LARGE - 1])
    found = ran(large, CompiledBackend(threads=3), spikes=selection)
    every = ran(large, CompiledBackend())
    assert every.spikes is not None
    assert len(found.spikes.time_s) > 0
    assert np.array_equal(found.spikes.time_s, selection.of(every.spikes, large.time_unit_s).time_s)


def test_single_precision_is_near(noisy):
    double, single = (ran(noisy(), CompiledBackend(precision=p)) for p in ("double", "single"))
    assert single.provenance["options"] == {"precision": "single"}
    assert len(single.spikes.time_s) > 10
    # voltages are rounded at 1e-7: once in some million times a spike comes a step earlier or later
    assert same_spikes(single, double)
    assert np.array_equal(single.samples, double.samples)  # what moves latents is in double precision


def test_an_interrupted_team_ends_and_the_next_run_works(large):
    class StoppedError(Exception):
        pass

    def stop(share):
        raise StoppedError

    with pytest.raises(StoppedError):
        ran(large, CompiledBackend(threads=3), trials=1, progress=stop)
    assert ran(large, CompiledBackend(threads=3), trials=1).trials == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "half"}, "no precision 'half'; choose one of double, single"),
        ({"ranks": "two"}, "ranks must be true or false, got 'two'"),
        ({"threads": 0}, "threads"),
        ({"threads": "many"}, "threads"),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(InputError, match=words):
        CompiledBackend(**options)


def command(network, output, *options, ranks=2):
    run = [sys.executable, "-m", "ddm2snn.cli", "simulate", str(network), "-o", str(output), *options]
    return [MPIEXEC, "-n", str(ranks), *run, "--ranks"] if ranks else [*run, "--backend", "compiled"]


@pytest.fixture(scope="module")
def network_file(large, tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks") / "large.safetensors"
    large.save(path)
    return path


def test_ranks_write_the_same_bytes_as_one_process(network_file, tmp_path):
    options = "--trials", "2", "--duration", "1", "--spikes", "--backend-option", "threads=1"
    for ranks in (0, 2, 3):
        subprocess.run(
            command(network_file, tmp_path / f"{ranks}.nc", *options, ranks=ranks), check=True, capture_output=True
        )
    one, *others = ((tmp_path / f"{ranks}.nc").read_bytes() for ranks in (0, 2, 3))
    assert all(other == one for other in others)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.nc", "2.nc", "3.nc"]


def test_what_is_wrong_on_all_ranks_is_said_once(noisy, tmp_path):
    noisy().save(tmp_path / "small.safetensors")
    done = subprocess.run(
        command(tmp_path / "small.safetensors", tmp_path / "out.nc", "--trials", "1", "--duration", "1"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert errors == [
        "Error: Backend compiled cannot run this network. ranks: 2 ranks are more than the 1 parts of its neurons. "
        "Start 1 at most."
    ]


def test_a_lost_rank_ends_the_run_and_leaves_what_was_recorded(network_file, tmp_path):
    output, partial = tmp_path / "out.nc", tmp_path / "out.partial.nc"
    with subprocess.Popen(
        command(network_file, output, "--trials", "1", "--duration", "1e5"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as run:  # fmt: skip
        while not partial.exists():
            assert run.poll() is None
            time.sleep(0.05)
        ranks = [pid for pid in _children(run.pid) if str(output) in _words(pid) and MPIEXEC not in _words(pid)]
        assert len(ranks) == 2
        os.kill(ranks[-1], signal.SIGKILL)
        said, _ = run.communicate(timeout=KILLED_S)
    assert run.returncode != 0
    assert "Traceback" not in said
    recording = Recording.load(partial)
    assert 0 < recording.provenance["partial"] < 1
    assert 0 < recording.samples.shape[1] < 5_000_000
    assert not output.exists()


def _children(pid):
    """Processes that descend from one, oldest first."""
    found, parents = [], {pid}
    for folder in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent in parents:
            parents.add(int(folder.name))
            found.append(int(folder.name))
    return found


def _words(pid):
    return (Path("/proc") / str(pid) / "cmdline").read_bytes().decode().split("\0")
