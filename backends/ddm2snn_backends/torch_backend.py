"""The backend `torch`: all trials of a network in one step that PyTorch compiles, on a GPU or on the CPU.

The step reads what moves the latents from blocks that are copied to the device beforehand, and writes samples and
spikes into blocks that are copied back afterwards: nothing passes between host and device within a block. Membranes and
what their spikes add to the latents are one loop over trials and neurons. Its sums are reductions, without atomics, so
that runs on one machine repeat to the last bit. On a GPU some steps together are a CUDA graph.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.base.arrays import large_array
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Spikes
from ddm2snn.schedule import OpenLoop, Schedule, Trace, blocks
from ddm2snn.stimulus import Stimulus
from ddm2snn_backends import compiled_loop as loop
from ddm2snn_backends.compiled import membrane_constants

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

Device = Literal["cuda", "cpu"]
_BLOCK_STEPS = 512  # at most, between two copies from the device [cost]
_BLOCK_WORK, _MOST_SPIKES = 2**28, 2**26  # neurons, trials and steps of a block; bytes of its spikes [cost]
_GRAPH_STEPS = 16  # in a CUDA graph [guess]
_MOST_UNROLLED = 8  # rows of decoders that a step adds up in one loop; more are a product of matrices [cost]


class TorchBackend:
    """One step for all trials, compiled by PyTorch: many trials or one large network on a GPU, or on the CPU.

    Neurons are in single precision and latents in double precision. With the same seed it draws the reference's noise.
    On one core a step takes about as long as in Brian2's program (`tests/benchmarks/huge.py --parts torch`). It
    has not run on a GPU yet.

    Parameters
    ----------
    device
        "cuda" or "cpu"; by default "cuda" where PyTorch finds a GPU.
    compile
        Whether PyTorch compiles the step. That takes some ten seconds for the first run of its kind, and a C++ compiler
        (on a GPU Triton, which comes with PyTorch, and a C compiler). Without it a step takes several times as long.

    Examples
    --------
    >>> TorchBackend(device="cpu", compile=False)
    TorchBackend(device='cpu', compile=False)
    """

    name = "torch"
    spike_timing: SpikeTiming = "grid"

    def __init__(self, device: Device | None = None, compile: bool | str = True) -> None:
        if device is not None and device not in get_args(Device):
            raise InputError(f"Backend torch has no device {device!r}; choose one of {', '.join(get_args(Device))}.")
        if str(compile).lower() not in ("true", "false"):
            raise InputError(f"compile must be true or false, got {compile!r}.")
        self._device: Device | None = device
        self.compile = str(compile).lower() == "true"

    def __repr__(self) -> str:
        return f"TorchBackend(device={self._device!r}, compile={self.compile})"

    @property
    def device(self) -> Device:
        """Where runs take place."""
        import torch

        return self._device or ("cuda" if torch.cuda.is_available() else "cpu")

    def unsupported(self, network: SpikingNetwork, *, dt_s: float, stimulus: Stimulus) -> list[Unsupported]:
        """A GPU that is not there, and compilation without a compiler."""
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            return [Unsupported("device cuda", "PyTorch finds no GPU", "Use device=cpu")]
        program = "C compiler with Triton" if self.device == "cuda" else "C++ compiler"
        return [] if not self.compile or _compiler(self.device) else [
            Unsupported("compile", f"it takes a {program}, and none was found", "Install one, or use compile=false")
        ]  # fmt: skip

    def run(self, schedule: Schedule, progress: Progress) -> Trace:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        import torch

        with _in_one_line():
            simulation = _Simulation(schedule, self.device, self.compile)
        rng, inputs = stream(schedule.seed, "reference", "noise"), schedule.inputs()
        samples = large_array((schedule.trials, schedule.samples, schedule.network.rank))
        spikes = []
        for block in blocks(schedule.steps, simulation.length):
            white = rng.standard_normal((len(block), *schedule.initial_latent.shape))
            with _in_one_line():
                latent = simulation.advance(inputs[block.start : block.stop], white)
            chosen = np.arange(-block.start % schedule.stride, len(block), schedule.stride)
            samples[:, (block.start + chosen) // schedule.stride] = np.swapaxes(latent[chosen], 0, 1)
            if schedule.spikes is not None:
                some = simulation.spikes(block)
                spikes.append(schedule.spikes.of(some, schedule.network.time_unit_s))
            progress(block.stop / schedule.steps)
        columns = (np.concatenate([getattr(each, name) for each in spikes]) for name in ("time_s", "neuron", "trial"))
        options = {"device": self.device, "compile": self.compile}
        return Trace(samples, Spikes.sorted(*columns) if spikes else None, {"torch": torch.__version__}, options)

    def drive(self, loop: OpenLoop) -> Iterator[Float[np.ndarray, "time neuron"]]:
        """Open loop, without compilation; see `ddm2snn.backend.Backend.drive`."""
        import torch

        network, device = loop.network, self.device
        neurons = _Neurons.of(network, loop.dt_s, network.decoders, loop.initial_voltage[None], device)
        risen = torch.zeros(network.neurons, dtype=torch.float64, device=device)
        filtered, rise = risen.clone(), loop.rise_decay
        for block in blocks(len(loop.path), _BLOCK_STEPS):
            rows = torch.empty((len(block), network.neurons), dtype=torch.float64, device=device)
            for row, z in zip(rows, torch.tensor(loop.path[block.start : block.stop], device=device), strict=True):
                fired = _fired(neurons, _current(neurons, z[None], unrolled=False))[0]
                risen = rise * risen + (1.0 - rise) * (fired.to(risen.dtype) / loop.dt_s)
                filtered = loop.decay * filtered + (1.0 - loop.decay) * risen
                row.copy_(filtered)
            yield rows.cpu().numpy()


def _compiler(device: Device) -> str | None:
    """The program with which PyTorch compiles for a device, where it is there."""
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        return None
    if device == "cuda":
        return os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """Say in one line that a device's memory does not suffice, or that PyTorch cannot compile the step."""
    import torch

    try:
        yield
    except RuntimeError as error:
        words, *_ = [line.rstrip(".") for line in str(error).splitlines() if line and not line.endswith(":")] or [""]
        if isinstance(error, torch.OutOfMemoryError):
            raise InputError(f"{words}. Take fewer trials, or device=cpu.") from error
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise InputError(f"PyTorch cannot compile the step: {words}. Use compile=false.") from error
        raise


class _Neurons(NamedTuple):
    """What a step needs of the neurons; voltages and raised thresholds move in place."""

    model: int
    constants: torch.Tensor
    decay: torch.Tensor
    bias: torch.Tensor
    weights: torch.Tensor
    decoders: torch.Tensor
    voltage: torch.Tensor
    raised: torch.Tensor

    @classmethod
    def of(
        cls, network: SpikingNetwork, dt_s: float, rows: Float[np.ndarray, "row neuron"],
        voltage: Float[np.ndarray, "trial neuron"], device: Device,
    ) -> _Neurons:  # fmt: skip
        """Neurons of all trials, with rows of decoders, from voltages on."""
        import torch

        model, constants, decay = membrane_constants(network.neuron, dt_s)
        some = constants, decay, network.bias, network.encoders.T
        single = [torch.tensor(np.array(each), dtype=torch.float32, device=device).contiguous() for each in some]
        v = torch.tensor(voltage, dtype=torch.float32, device=device)
        decoders = torch.tensor(rows, dtype=torch.float64, device=device)
        raised = torch.zeros_like(v if model == loop.ADAPTIVE else v[:, :1])
        return cls._make((model, *single, decoders, v, raised))


class _Latents(NamedTuple):
    """What a step needs of the latents, in the order of `ddm2snn.backend`; what they are now moves in place."""

    numbers: torch.Tensor
    factor: torch.Tensor
    sections: torch.Tensor
    z: torch.Tensor
    decoded: torch.Tensor
    entries: torch.Tensor
    before: torch.Tensor
    earlier: torch.Tensor

    @classmethod
    def of(cls, schedule: Schedule, device: Device) -> _Latents:
        """Latents of all trials at time zero."""
        import torch

        factor, sections, z = schedule.factor, schedule.noise_sections, schedule.initial_latent
        decays = schedule.decay, schedule.rise_decay, 0.0 if factor is None else factor.decay
        none = np.empty((schedule.trials, 0))
        some = (
            (*decays, schedule.dt_s, schedule.noise_scale), schedule.noise_factor,
            np.empty((5, 0)) if sections is None else sections.T, z, schedule.initial_decoded,
            none if factor is None else factor.start, np.zeros_like(z), np.zeros_like(z),
        )  # fmt: skip
        return cls._make(torch.tensor(np.array(each), dtype=torch.float64, device=device) for each in some)


class _Block(NamedTuple):
    """A block of steps on the device: the next step, inputs, normal numbers, and room for latents and spikes."""

    at: torch.Tensor
    inputs: torch.Tensor
    white: torch.Tensor
    latent: torch.Tensor
    fired: torch.Tensor


class _Simulation:
    """A run of all trials on a device, block after block."""

    def __init__(self, schedule: Schedule, device: Device, compiled: bool) -> None:
        import torch

        self.schedule, network, factor = schedule, schedule.network, schedule.factor
        rows = network.decoders if factor is None else np.concatenate([network.decoders, factor.decoders])
        self.neurons = _Neurons.of(network, schedule.dt_s, rows, schedule.initial_voltage, device)
        self.latents = _Latents.of(schedule, device)
        trials, size = schedule.trials, schedule.trials * network.neurons
        most = _BLOCK_WORK if schedule.spikes is None else _MOST_SPIKES
        self.length = max(1, min(_BLOCK_STEPS, most // size))
        apart = trials if schedule.stimulus.trials else 1
        inputs, white, latent = (
            torch.zeros((self.length, count, network.rank), dtype=torch.float64, device=device)
            for count in (apart, trials, trials)
        )
        room = (self.length if schedule.spikes is not None else 0, trials, network.neurons)
        at, fired = torch.zeros(1, dtype=torch.int64, device=device), torch.zeros(room, dtype=torch.bool, device=device)
        self.block = _Block(at, inputs, white, latent, fired)
        self.unrolled = compiled and len(rows) <= _MOST_UNROLLED
        shapes = [tuple(each.shape) for each in (*self.neurons[1:], *self.latents, *self.block)]
        self.function = _compiled((self.neurons.model, device, *shapes)) if compiled else _advance
        self.graph = self._graph() if compiled and device == "cuda" else None

    def step(self) -> None:
        """Go on for one step."""
        self.function(self.neurons, self.latents, self.block, self.unrolled)

    def _graph(self) -> torch.cuda.CUDAGraph:
        """Some steps as a CUDA graph; the state stays as it was."""
        import torch

        state = (self.block.at, *self.neurons[-2:], *self.latents[3:])
        kept = [each.clone() for each in state]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            self.step()  # compiles, which must not be part of a graph
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(_GRAPH_STEPS):
                self.step()
        for each, before in zip(state, kept, strict=True):
            each.copy_(before)
        return graph

    def advance(
        self, inputs: Float[np.ndarray, "step trial rank"], white: Float[np.ndarray, "step trial rank"]
    ) -> Float[np.ndarray, "step trial rank"]:
        """Go on for a block of steps and return the latents at the beginning of each."""
        import torch

        steps, block = len(white), self.block
        block.at.zero_()
        block.inputs[:steps].copy_(torch.from_numpy(np.ascontiguousarray(inputs)))
        block.white[:steps].copy_(torch.from_numpy(white))
        left = steps
        if self.graph is not None:
            for _ in range(steps // _GRAPH_STEPS):
                self.graph.replay()
            left = steps % _GRAPH_STEPS
        for _ in range(left):
            self.step()
        return block.latent[:steps].cpu().numpy()

    def spikes(self, block: range) -> Spikes:
        """Spikes of the block that was simulated last."""
        step, trial, neuron = self.block.fired[: len(block)].nonzero(as_tuple=True)
        time_s = (block.start + step.cpu().numpy() + 1) * self.schedule.dt_s
        return Spikes(time_s, neuron.cpu().numpy(), trial.cpu().numpy())


@functools.cache
def _compiled(shape: tuple[Any, ...]) -> Callable[..., None]:
    """The step, compiled for a shape; each is a function of its own, since PyTorch compiles one for eight at most."""
    import torch

    own = FunctionType(_advance.__code__.replace(), globals())
    return torch.compile(own, fullgraph=True, dynamic=False)


def _current(neurons: _Neurons, z: torch.Tensor, *, unrolled: bool) -> torch.Tensor:
    """Input currents of all trials."""
    single = z.to(neurons.bias.dtype)
    if not unrolled:
        return neurons.bias + single @ neurons.weights
    current = neurons.bias
    for c in range(z.shape[1]):
        current = current + single[:, c, None] * neurons.weights[c]
    return current


def _fired(neurons: _Neurons, current: torch.Tensor) -> torch.Tensor:
    """Advance the membranes, as the loops of `ddm2snn_backends.compiled_loop` do; returns which neurons fired."""
    refractory, _, per_step, fade, jump = neurons.constants.unbind()
    before, raised, threshold = neurons.voltage, neurons.raised * fade, 1.0
    if neurons.model == loop.LINEAR:
        x = before + current.clamp_min(0.0) * per_step
        fired, after = x > 1.0, (x - 1.0).clamp_max(1.0)
    else:
        x = (current + (before - current) * neurons.decay).clamp_min(0.0)
        x = x.where(before >= 0.0, before + 1.0)
        if neurons.model == loop.ADAPTIVE:
            threshold = 1.0 + raised
        fired, after = x > threshold, -refractory
        if neurons.model == loop.ADAPTIVE:
            neurons.raised.copy_(raised + fired * jump)
    neurons.voltage.copy_(after.where(fired, x))
    return fired


def _advance(neurons: _Neurons, latents: _Latents, block: _Block, unrolled: bool) -> None:
    """Go on for one step."""
    import torch

    rank, white = latents.z.shape[1], block.white.index_select(0, block.at)[0]
    decay, rise, factor_decay, dt_s, noise_scale = latents.numbers.unbind()
    block.latent.index_copy_(0, block.at, latents.z[None])
    fired = _fired(neurons, _current(neurons, latents.z, unrolled=unrolled))
    if len(block.fired):
        block.fired.index_copy_(0, block.at, fired[None])
    if unrolled:
        total = torch.stack([torch.where(fired, row, 0.0).sum(1) for row in neurons.decoders], 1)
    else:
        total = fired.to(neurons.decoders.dtype) @ neurons.decoders.T
    chi = white
    if latents.sections.shape[1]:
        b0, b1, b2, a1, a2 = latents.sections
        chi = b0 * white + latents.before
        latents.before.copy_(b1 * white - a1 * chi + latents.earlier)
        latents.earlier.copy_(b2 * white - a2 * chi)
    latents.decoded.copy_(rise * latents.decoded + (1.0 - rise) * (total[:, :rank] / dt_s))
    push = block.inputs.index_select(0, block.at)[0] + latents.decoded
    z = decay * latents.z + (1.0 - decay) * push + (chi[:, None] * latents.factor).sum(2)
    if latents.entries.shape[1]:
        by_state = latents.entries.view(-1, rank, rank)
        z = z + noise_scale * (by_state * white[:, None]).sum(2)
        latents.entries.copy_(factor_decay * latents.entries + (1.0 - factor_decay) * total[:, rank:] / dt_s)
    latents.z.copy_(z)
    block.at.add_(1)
