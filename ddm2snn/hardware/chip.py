"""A chip in this project's own arithmetic: runs and drives of a network in registers, many trials at once.

A host sends stimulus and latent noise as one spike of a pair of axons for each latent and step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.compiled import compiled
from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import stream
from ddm2snn.hardware import arithmetic
from ddm2snn.hardware.device import Device, Machine, device_of, machine_of, per_compartment, population_blocks
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.registers import Registers, registers_of
from ddm2snn.neuron import NeuronModel
from ddm2snn.recording import Spikes
from ddm2snn.schedule import OpenLoop, Schedule, blocks

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BLOCK = 512
_GOLDEN = 0.618034
_SIGMAS = 2.0  # of the noise in one spike: what does not fit a step is sent in the next ones


def input_amplitude(schedule: Schedule, device: Device) -> Float[np.ndarray, " rank"] | None:
    """Input of one spike in internal units: the largest stimulus and two sigmas of noise; None without either."""
    inputs = np.abs(schedule.inputs().distinct).max(axis=(0, 1))
    deviation = np.sqrt((schedule.noise_factor**2).sum(axis=1)) / (1.0 - device.decay)
    size = inputs + _SIGMAS * deviation
    return np.maximum(size, 1e-3 * size.max()) if size.any() else None


def input_signs(
    schedule: Schedule, device: Device, amplitude: Float[np.ndarray, " rank"], rng: np.random.Generator
) -> Int[np.ndarray, "trial step rank"]:
    r"""Signs of the spikes that carry stimulus and noise.

    .. math:: x_n = u_n + \frac{1}{1-a} F \xi_n, \qquad s_n = \operatorname{sign}(e_n + x_n), \qquad
        e_{n+1} = e_n + x_n - A s_n,

    with F the factor of a step's noise and a the decay of a latent. The error e carries over what a spike is too small
    for (sigma-delta), so that the sum of spikes never strays from the sum of inputs.
    """
    trials, rank = schedule.initial_latent.shape
    signs = np.empty((trials, schedule.steps, rank), dtype=np.int8)
    inputs, factor = schedule.inputs(), schedule.noise_factor / (1.0 - device.decay)
    error = np.zeros((trials, rank))
    for first in range(0, schedule.steps, 4096):
        some = slice(first, min(first + 4096, schedule.steps))
        white = rng.standard_normal((some.stop - first, trials, rank))
        target = np.ascontiguousarray(np.swapaxes(inputs[some] + white @ factor.T, 0, 1))
        _sigma_delta(target, amplitude, error, signs[:, some])
    return signs


@compiled()
def _sigma_delta(target: np.ndarray, amplitude: np.ndarray, error: np.ndarray, signs: np.ndarray) -> None:
    for trial in range(target.shape[0]):
        for step in range(target.shape[1]):
            for d in range(target.shape[2]):
                total = error[trial, d] + target[trial, step, d]
                sign = 1 if total >= 0.0 else -1
                signs[trial, step, d] = sign
                error[trial, d] = total - sign * amplitude[d]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run on a device: its registers, what they hold at the start, and signs of input spikes; None without input."""

    machine: Machine
    voltage: Float[np.ndarray, "trial neuron"]
    decode_current: Float[np.ndarray, "trial decode"]
    decode_voltage: Float[np.ndarray, "trial decode"]
    signs: Int[np.ndarray, "trial step rank"] | None

    def arriving(self, block: range) -> Int[np.ndarray, "trial step rank"]:
        """Input spikes that arrive in the steps of a block: those that were sent a step before."""
        signs = np.zeros((len(self.voltage), len(block), self.machine.device.decode_neurons.rank), dtype=np.int8)
        if self.signs is not None:
            first = max(block.start, 1)
            signs[:, first - block.start :] = self.signs[:, first - 1 : block.stop - 1]
        return signs


def prepare(schedule: Schedule, config: HardwareConfig) -> Prepared:
    """Put a scheduled run into a device's registers.

    The first step lets the latents decay before any spike arrives, so they start that much larger.
    """
    device = device_of(schedule.network, config, schedule.dt_s)
    amplitude = input_amplitude(schedule, device)
    noise = stream(schedule.seed, "device", "noise")
    signs = None if amplitude is None else input_signs(schedule, device, amplitude, noise)
    machine = machine_of(schedule.network, device, amplitude)
    decode, registers = device.decode_neurons, machine.decode_neurons
    per_current = per_compartment(registers, "per_current")
    latent = schedule.initial_latent[:, decode.latent]
    start = (
        schedule.initial_voltage * per_compartment(machine.population, "threshold"),
        latent * decode.share * decode.gain * per_current / registers[0].current_decay,
        _decode_voltage(schedule.seed, schedule.trials, device) * per_compartment(registers, "threshold"),
    )
    voltage, current, decode_voltage = (np.trunc(each) if registers[0].whole else each for each in start)
    return Prepared(machine, voltage, current, decode_voltage, signs)


def run_device(
    schedule: Schedule, ready: Prepared, progress: Progress
) -> tuple[Float[np.ndarray, "trial time rank"], Spikes | None, Int[np.ndarray, "trial kind"]]:
    """Simulate: internal latents at every sample, spikes where asked for, and counts of spikes by kind."""
    machine, decode, stride = ready.machine, ready.machine.device.decode_neurons, schedule.stride
    population = _compartments(machine.population, np.zeros_like(ready.voltage), ready.voltage)
    decode_weights = np.concatenate(machine.decode_weights)
    decoding = _compartments(machine.decode_neurons, ready.decode_current, ready.decode_voltage, decode_weights)
    inputs = np.zeros((2 * decode.rank, decode.neurons))
    if machine.amplitude is not None:
        inputs = np.concatenate([part.weights[1] for part in machine.decode_neurons], axis=1)
    links = arithmetic.Links(machine.first_decode_neuron, decode.first_on, np.ascontiguousarray(inputs))
    trials, neurons = ready.voltage.shape
    samples, tables = [], [np.empty((3, 0), dtype=np.int64)]
    counts = np.zeros((trials, 3), dtype=np.int64)
    for block in blocks(schedule.steps, BLOCK):
        offset, steps = block.start % stride, len(block)
        latent = np.zeros((trials, (offset + steps - 1) // stride + 1, *links.first_on.shape))
        raster = np.zeros((trials, steps if schedule.spikes is not None else 0, neurons), dtype=np.uint8)
        arithmetic.closed_loop(
            ready.arriving(block), population, decoding, links, stride, offset,
            arithmetic.Results(latent, raster, counts),
        )  # fmt: skip
        samples.append((latent[:, int(offset > 0) :] / machine.per_latent).sum(axis=2))
        trial, step, neuron = np.nonzero(raster)
        tables.append(np.stack([step + block.start + 1, neuron, trial]))
        progress(block.stop / schedule.steps)
    step, neuron, trial = np.concatenate(tables, axis=1)
    spikes = Spikes.sorted(step * schedule.dt_s, neuron, trial) if schedule.spikes is not None else None
    return np.concatenate(samples, axis=1), spikes, counts


class DeviceDrive:
    """Neurons of a device driven along latents, its decode neurons and their delay included, block by block.

    The decode neurons get their currents in floating point: how latents are rounded depends on decoders, which are
    solved from such a drive. Voltages start between 0 and 1. Each neuron's filtered spike train is added to one of the
    `columns` of the output.
    """

    def __init__(
        self,
        population: tuple[Registers, ...],
        device: Device,
        voltage: Float[np.ndarray, "trial neuron"],
        decode_voltage: Float[np.ndarray, "trial decode"],
        columns: Int[np.ndarray, " neuron"],
    ) -> None:
        self.columns = int(columns.max()) + 1
        start = voltage * per_compartment(population, "threshold")
        start = np.floor(start) if population[0].whole else start
        self._population = _compartments(population, np.zeros_like(voltage), start)
        decode, decay = device.decode_neurons, device.decay
        threshold = np.full(decode.neurons, 1.0 / device.dt_s)
        sums = (0.0, 1.0, 0.0, np.inf, np.inf, np.inf, False)
        state = _state_at(np.zeros_like(decode_voltage), decode_voltage * threshold)
        self._decode = arithmetic.Compartments(np.empty((0, 0)), decode.bias_hz, threshold, sums, *state)  # no axons
        self._links = arithmetic.OpenLinks(
            decode.gain * decode.share, decode.latent, decay, (1.0 - decay) / device.dt_s, columns,
            np.zeros_like(voltage),
        )  # fmt: skip

    @classmethod
    def of_neurons(
        cls,
        device: Device,
        encoders: Float[np.ndarray, "neuron rank"],
        bias: Float[np.ndarray, " neuron"],
        neuron: NeuronModel,
        voltage: Float[np.ndarray, "trial neuron"],
        columns: Int[np.ndarray, " neuron"],
    ) -> DeviceDrive:
        """Neurons without decoders yet, on a device: what decoders in the loop are solved on."""
        layout = layout_of(len(bias), encoders.shape[1], device.config)
        device = device.with_groups(len(layout.groups))
        blocks = population_blocks(encoders, bias, neuron, device)
        population = tuple(registers_of(block, device.config.precision) for block in blocks)
        count = len(voltage) * device.decode_neurons.neurons
        spread = (np.arange(count) * _GOLDEN % 1.0).reshape(len(voltage), -1)  # out of step from the start
        return cls(population, device, voltage, spread, columns)

    def advance(
        self, path: Float[np.ndarray, "trial step rank"], stride: int
    ) -> Float[np.ndarray, "trial sample column"]:
        """Filtered spike trains in Hz, pooled, after every `stride` steps along the internal latents `path`."""
        out = np.zeros((len(path), path.shape[1] // stride, self.columns))
        arithmetic.open_loop(path, self._population, self._decode, self._links, stride, out)
        return out


def drive_device(loop: OpenLoop, config: HardwareConfig) -> Iterator[Float[np.ndarray, "time neuron"]]:
    """Open loop on a device: its decode neurons are held at z(t); see `ddm2snn.backend.Backend.drive`."""
    device = device_of(loop.network, config, loop.dt_s)
    machine = machine_of(loop.network, device)
    voltage, decode_voltage = loop.initial_voltage[None], _decode_voltage(loop.seed, 1, device)
    drive = DeviceDrive(machine.population, device, voltage, decode_voltage, np.arange(loop.network.neurons))
    for block in blocks(len(loop.path), BLOCK):
        yield drive.advance(loop.path[None, block.start : block.stop], 1)[0]


def _decode_voltage(seed: int, trials: int, device: Device) -> Float[np.ndarray, "trial decode"]:
    """Voltages of decode neurons at the start, uniform between reset and threshold."""
    # the random stream has this name from before, and another one would give other runs
    return stream(seed, "device", "relay voltage").random((trials, device.decode_neurons.neurons))


def _compartments(
    parts: tuple[Registers, ...], current: np.ndarray, voltage: np.ndarray, weights: np.ndarray | None = None
) -> arithmetic.Compartments:
    """Compartments as the compiled steps take them, with the weights of all axons, by default those of the parts."""
    if weights is None:
        weights = np.concatenate([np.concatenate(part.weights) for part in parts], axis=1)
    first, bias = parts[0], np.concatenate([part.bias for part in parts])
    constants = (  # the same for every compartment of a kind
        first.current_decay, first.voltage_decay, float(first.refractory_steps), first.input_limit,
        first.state_limit, first.voltage_limit, first.whole,
    )  # fmt: skip
    threshold, state = per_compartment(parts, "threshold"), _state_at(current, voltage)
    return arithmetic.Compartments(np.ascontiguousarray(weights), bias, threshold, constants, *state)


def _state_at(current: np.ndarray, voltage: np.ndarray) -> tuple[np.ndarray, ...]:
    """State of compartments that have not fired yet, as it stands in `arithmetic.Compartments`."""
    fired, number = np.zeros(voltage.shape, dtype=np.int64), np.zeros(len(voltage), dtype=np.int64)
    return current.copy(), voltage.copy(), np.zeros_like(voltage), fired, number
