"""Backend torch: the reference's spikes with noise too, compiled and not, and answers in one line."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import sys
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from ddm2snn_backends import torch_backend
from ddm2snn_backends.reference import ReferenceBackend
from ddm2snn_backends.torch_backend import TorchBackend

from ddm2snn.cli.costs import of_simulation
from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.neuron import LIF, AdaptiveLIF, LogNormal, NeuronModel, RectifiedLinear
from ddm2snn.recording import Recording
from ddm2snn.schedule import SpikeSelection
from ddm2snn.simulate import simulate
from ddm2snn.stimulus import Stimulus

# PyTorch's compiler imports a module of its own that PyTorch calls deprecated
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
ROUNDING = 1e-10  # as in test_closed_loop.py
RUN: dict[str, Any] = {"duration": 2.0, "trials": 2, "seed": 5, "every": 0.02, "spikes": True}
PLAIN = TorchBackend("cpu", compile=False)


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    """Each device that there is."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    return request.param


def ran(network, backend, **changed: Any) -> Recording:
    """A run as `RUN` says, but for what is changed."""
    return simulate(network, backend=backend, **{**RUN, **changed})


def same_spikes(found, expected):
    names = ("time_s", "neuron", "trial")
    return all(np.array_equal(getattr(found.spikes, name), getattr(expected.spikes, name)) for name in names)


CASES: list[tuple[int, NeuronModel, bool]] = [
    (1, LIF(LogNormal(0.02, 0.3)), False),
    (2, RectifiedLinear(), False),
    (3, AdaptiveLIF(), False),
    (5, LIF(refractory_s=0.0), False),
    (2, LIF(LogNormal(0.02, 0.3)), True),  # six rows of decoders, in one loop
    (3, AdaptiveLIF(), True),  # twelve of them, as a product of matrices
]


@pytest.mark.parametrize(("rank", "neuron", "compiled"), CASES)
def test_noisy_runs_have_the_spikes_of_the_reference(noisy, device, rank, neuron, compiled):
    network, stimulus = noisy(rank=rank, neuron=neuron), Stimulus(times=np.array([0.1]), values=np.ones((1, rank)))
    backends = TorchBackend(device, compile=compiled), ReferenceBackend()
    found, expected = (ran(network, backend, stimulus=stimulus) for backend in backends)
    assert len(expected.spikes.time_s) > 50
    assert same_spikes(found, expected)
    assert np.abs(found.samples - expected.samples).max() < ROUNDING
    assert not same_spikes(ran(network, backends[0], stimulus=stimulus, seed=6), expected)
    assert found.provenance["options"] == {"device": device, "compile": compiled}
    assert found.provenance["device"] == device


def test_a_large_network_in_one_trial_fires_with_the_reference(make_spiking):
    network = make_spiking(rank=3, neurons=3000)
    found, expected = (ran(network, backend, trials=1, duration=0.4) for backend in (PLAIN, ReferenceBackend()))
    assert len(expected.spikes.time_s) > 1000
    # voltages are rounded at 6e-8: of this many spikes one may come a step earlier or later
    apart = len(set(zip(*_steps(found), strict=True)) ^ set(zip(*_steps(expected), strict=True)))
    assert apart <= 2
    late = ran(network, PLAIN, trials=1, duration=0.4, seed=6)
    assert len(set(zip(*_steps(late), strict=True)) ^ set(zip(*_steps(expected), strict=True))) > 1000


def _steps(recording):
    return np.rint(recording.spikes.time_s / recording.provenance["dt_s"]), recording.spikes.neuron


def test_trials_with_inputs_of_their_own(noisy):
    stimulus = Stimulus(times=np.array([0.1]), values=np.array([[[1.0, -1.0]], [[-1.0, 0.5]]]))
    found, expected = (ran(noisy(), backend, stimulus=stimulus) for backend in (PLAIN, ReferenceBackend()))
    assert same_spikes(found, expected)
    assert np.abs(found.samples - expected.samples).max() < ROUNDING


@pytest.mark.parametrize("length", [1, 7, 64])
def test_the_bits_do_not_depend_on_the_length_of_blocks(noisy, monkeypatch, length):
    whole = ran(noisy(), PLAIN)
    monkeypatch.setattr(torch_backend, "_BLOCK_STEPS", length)
    parts = ran(noisy(), PLAIN)
    assert np.array_equal(parts.samples, whole.samples)
    assert same_spikes(parts, whole)


def test_selected_spikes_are_those_of_all(noisy):
    selection = SpikeSelection(window=(0.3, 1.2), neurons=[3, 4, 11])
    found, every = ran(noisy(), PLAIN, spikes=selection), ran(noisy(), PLAIN)
    assert every.spikes is not None
    assert len(found.spikes.time_s) > 5
    assert np.array_equal(found.spikes.time_s, selection.of(every.spikes, noisy().time_unit_s).time_s)


def test_more_shapes_than_pytorch_compiles_one_function_for(noisy, monkeypatch):
    import torch

    traced = functools.partial(torch.compile, backend="eager")
    monkeypatch.setattr(torch, "compile", traced)
    torch_backend._compiled.cache_clear()
    expected = [ran(noisy(neurons=count), PLAIN, duration=0.1).samples for count in range(20, 30)]
    found = [ran(noisy(neurons=count), TorchBackend("cpu"), duration=0.1).samples for count in range(20, 30)]
    torch_backend._compiled.cache_clear()
    assert all(np.abs(a - b).max() < ROUNDING for a, b in zip(found, expected, strict=True))


@pytest.fixture
def recorded_steps(monkeypatch):
    """Graphs on the CPU: what is captured is not run but kept, as on a GPU; the number of steps that were replayed."""
    import torch

    kind, capturing, replayed = torch_backend._Simulation, [], []
    init, step = kind.__init__, kind.step

    class Graph(list):
        def replay(self):
            for each in self:
                replayed.append(each)
                each()

    @contextlib.contextmanager
    def graph(target):
        capturing.append(target)
        yield
        capturing.clear()

    def with_graph(self, schedule, device, compiled):
        init(self, schedule, device, compiled)
        self.graph = self._graph()

    def kept(self):
        capturing[0].append(lambda: step(self)) if capturing else step(self)

    for name, fake in (("CUDAGraph", Graph), ("graph", graph), ("stream", contextlib.nullcontext)):
        monkeypatch.setattr(torch.cuda, name, fake)
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, MagicMock)
    monkeypatch.setattr(kind, "__init__", with_graph)
    monkeypatch.setattr(kind, "step", kept)
    return replayed


def test_a_run_by_graphs_is_a_run_by_steps(noisy, recorded_steps, request):
    network = noisy(neuron=AdaptiveLIF())
    found = ran(network, PLAIN)
    request.getfixturevalue("monkeypatch").undo()
    expected = ran(network, PLAIN)
    steps = round(RUN["duration"] * network.time_unit_s / network.dt_s)
    assert len(recorded_steps) == steps - steps % torch_backend._GRAPH_STEPS > 0
    assert np.array_equal(found.samples, expected.samples)
    assert same_spikes(found, expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "tpu"}, "Backend torch has no device 'tpu'; choose one of cuda, cpu"),
        ({"compile": "maybe"}, "compile must be true or false, got 'maybe'"),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(InputError, match=words):
        TorchBackend(**options)


def test_a_gpu_that_is_not_there_is_refused(make_spiking, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert TorchBackend().device == "cpu"
    with pytest.raises(UnsupportedError, match=r"network\. device cuda: PyTorch finds no GPU\. Use device=cpu\.$"):
        ran(make_spiking(), TorchBackend("cuda"))


def test_no_compiler_is_refused_and_not_needed_without_compilation(make_spiking, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name, **options: None)
    with pytest.raises(UnsupportedError, match=r"takes a C\+\+ compiler, and none was found\. .*use compile=false"):
        ran(make_spiking(), TorchBackend("cpu"))
    assert ran(make_spiking(), PLAIN, duration=0.1).trials == 2


def test_a_compiler_that_fails_is_said_in_one_line(make_spiking, monkeypatch, tmp_path):
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    said = r"^PyTorch cannot compile the step: InvalidCxxCompiler: No working C\+\+ [^\n]*\. Use compile=false\.$"
    with (
        config.patch({"cpp.cxx": (shutil.which("false"),)}),  # a patch of pytest's would take the setting away for good
        pytest.raises(InputError, match=said),
    ):
        ran(make_spiking(neurons=7), TorchBackend("cpu"))


def test_the_command_line_counts_the_voltages_of_all_trials():
    asked: dict[str, Any] = {"steps": 1.0, "samples": 1.0, "folder": None}
    few, many = (of_simulation(10**6, 3, "torch", trials=trials, **asked).memory for trials in (1, 1001))
    assert many - few == 1000 * 8 * 10**6


def test_too_little_memory_is_said_in_one_line(make_spiking, monkeypatch):
    import torch

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee the manual")

    monkeypatch.setattr(torch_backend, "_Simulation", full)
    with pytest.raises(InputError, match=r"^CUDA out of memory\. Tried to allocate 2 GiB\. Take fewer trials, or dev"):
        ran(make_spiking(), PLAIN)


def test_the_adapter_is_there_without_pytorch_being_imported():
    code = "import sys, ddm2snn_backends.torch_backend as t; t.TorchBackend(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
