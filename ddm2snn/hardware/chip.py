"""A chip in this project's own arithmetic: runs and drives of a network in registers, many trials at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.randomness import stream
from ddm2snn.hardware import arithmetic
from ddm2snn.hardware.device import device_of, machine_of, per_compartment, population_blocks
from ddm2snn.hardware.inputs import input_amplitude, input_signs
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.registers import registers_of
from ddm2snn.recording import Spikes
from ddm2snn.schedule import blocks

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.base.hardware_config import HardwareConfig
    from ddm2snn.base.progress import Progress
    from ddm2snn.hardware.device import Device, Machine
    from ddm2snn.hardware.registers import Registers
    from ddm2snn.neuron import NeuronModel
    from ddm2snn.schedule import OpenLoop, Schedule

BLOCK = 512
_GOLDEN = 0.618034


@dataclass(frozen=True, eq=False)
class Start:
    """Registers at the start, for every trial.

    Parameters
    ----------
    decode_current, decode_voltage
        Currents and voltages of decode neurons.
    voltage
        Voltages of neurons.
    """

    decode_current: Float[np.ndarray, "trial decode"]
    voltage: Float[np.ndarray, "trial neuron"]
    decode_voltage: Float[np.ndarray, "trial decode"]


def start_of(
    machine: Machine,
    latent: Float[np.ndarray, "trial rank"],
    voltage: Float[np.ndarray, "trial neuron"],
    decode_voltage: Float[np.ndarray, "trial decode"],
) -> Start:
    """Registers for internal latents and for voltages between reset and threshold.

    The first step lets the latents decay before any spike arrives, so they start that much larger.
    """
    decode, registers = machine.device.decode_neurons, machine.decode_neurons
    per_current = per_compartment(registers, "per_current")
    current = latent[:, decode.latent] * decode.share * decode.gain * per_current / registers[0].current_decay
    values = (
        current,
        voltage * per_compartment(machine.population, "threshold"),
        decode_voltage * per_compartment(registers, "threshold"),
    )
    return Start(*(np.trunc(each) if registers[0].whole else each for each in values))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run on a device: registers, what they hold at the start, and the input spikes of every step."""

    machine: Machine
    start: Start
    signs: Int[np.ndarray, "trial step rank"] | None

    def arriving(self, block: range) -> Int[np.ndarray, "trial step rank"]:
        """Input spikes that arrive in the steps of a block: those that were sent a step before."""
        trials, rank = len(self.start.voltage), self.machine.device.decode_neurons.radius.shape[1]
        signs = np.zeros((trials, len(block), rank), dtype=np.int8)
        if self.signs is not None:
            first = max(block.start, 1)
            signs[:, first - block.start :] = self.signs[:, first - 1 : block.stop - 1]
        return signs


def prepare(schedule: Schedule, config: HardwareConfig) -> Prepared:
    """Put a scheduled run into a device's registers."""
    device = device_of(schedule.network, config, schedule.dt_s)
    amplitude = input_amplitude(schedule, device)
    noise = stream(schedule.seed, "device", "noise")
    signs = None if amplitude is None else input_signs(schedule, device, amplitude, noise)
    machine = machine_of(schedule.network, device, amplitude)
    decode_voltage = _decode_voltage(schedule.seed, schedule.trials, device)
    start = start_of(machine, schedule.initial_latent, schedule.initial_voltage, decode_voltage)
    return Prepared(machine, start, signs)


class Chip:
    """A network in registers on many trials, run block by block.

    Parameters
    ----------
    machine
        The network in registers.
    start
        Registers at the start.
    """

    def __init__(self, machine: Machine, start: Start) -> None:
        rank = machine.device.decode_neurons.radius.shape[1]
        self._population = _compartments(machine.population, _population_weights(machine.population))
        self._decode = _compartments(machine.decode_neurons, np.concatenate(machine.decode_weights))
        inputs = np.zeros((2 * rank, len(self._decode.bias)))
        if machine.amplitude is not None:
            inputs = np.concatenate([part.weights[1] for part in machine.decode_neurons], axis=1)
        first_on = machine.device.decode_neurons.first_on
        self._links = arithmetic.Links(machine.first_decode_neuron, first_on, np.ascontiguousarray(inputs))
        self._state = _state_at(np.zeros_like(start.voltage), start.voltage)
        self._decode_state = _state_at(start.decode_current, start.decode_voltage)
        self._per_latent, self._step = machine.per_latent, 0
        self.counts = np.zeros((len(start.voltage), 3), dtype=np.int64)

    def advance(
        self, signs: Int[np.ndarray, "trial step rank"], stride: int = 1, *, spikes: bool = False
    ) -> tuple[Float[np.ndarray, "trial sample rank"], np.ndarray]:
        """Go on by some steps.

        Parameters
        ----------
        signs
            Input spikes that arrive in each step: those of the step before, zero for none.
        stride
            Steps between samples.
        spikes
            Whether to record the spikes.

        Returns
        -------
        latent
            Internal latents in every step whose number since the start is a multiple of `stride`.
        raster
            Spikes, shape (trial, step, neuron), with no steps unless asked for.
        """
        trials, steps, _ = signs.shape
        offset = self._step % stride
        latent = np.zeros((trials, (offset + steps - 1) // stride + 1, *self._links.first_on.shape))
        raster = np.zeros((trials, steps if spikes else 0, len(self._population.bias)), dtype=np.uint8)
        arithmetic.closed_loop(
            signs, self._population, self._decode, self._links, stride, offset, self._state, self._decode_state,
            arithmetic.Results(latent, raster, self.counts),
        )  # fmt: skip
        self._step += steps
        return (latent[:, int(offset > 0) :] / self._per_latent).sum(axis=2), raster


def run_device(
    schedule: Schedule, ready: Prepared, progress: Progress
) -> tuple[Float[np.ndarray, "trial time rank"], Spikes | None, Int[np.ndarray, "trial kind"]]:
    """Simulate: internal latents at every sample, spikes where asked for, and counts of spikes by kind."""
    chip = Chip(ready.machine, ready.start)
    samples, tables = [], [np.empty((3, 0), dtype=np.int64)]
    for block in blocks(schedule.steps, BLOCK):
        latent, raster = chip.advance(ready.arriving(block), schedule.stride, spikes=schedule.spikes is not None)
        samples.append(latent)
        trial, step, neuron = np.nonzero(raster)
        tables.append(np.stack([step + block.start + 1, neuron, trial]))
        progress(block.stop / schedule.steps)
    step, neuron, trial = np.concatenate(tables, axis=1)
    spikes = Spikes.sorted(step * schedule.dt_s, neuron, trial) if schedule.spikes is not None else None
    return np.concatenate(samples, axis=1), spikes, chip.counts


class DeviceDrive:
    """Neurons of a device driven along latents, its decode neurons and their delay included, block by block.

    The decode neurons get their currents in floating point: how latents are rounded depends on decoders, which are
    solved from such a drive.

    Parameters
    ----------
    population
        The neurons in registers.
    device
        Where they are.
    voltage
        Membrane voltages at the start between 0 and 1, shape (trial, neuron).
    decode_voltage
        The same of the decode neurons, shape (trial, decode neuron).
    columns
        Column of the output to which each neuron's filtered spike train is added.
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
        self._population = _compartments(population, _population_weights(population))
        decode, decay = device.decode_neurons, device.decay
        threshold = np.full(decode.neurons, 1.0 / device.dt_s)
        sums = (0.0, 1.0, 0.0, np.inf, np.inf, np.inf, False)
        self._decode = arithmetic.Compartments(np.empty((0, 0)), decode.bias_hz, threshold, sums)  # no axons arrive
        self._currents = arithmetic.LatentCurrents(decode.gain * decode.share, decode.latent)
        start = voltage * self._population.threshold
        start = np.floor(start) if population[0].whole else start
        self._state = _state_at(np.zeros_like(voltage), start)
        self._decode_state = _state_at(np.zeros_like(decode_voltage), decode_voltage * threshold)
        self._synapses = arithmetic.ChipSynapses(decay, (1.0 - decay) / device.dt_s, columns, np.zeros_like(voltage))

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
        arithmetic.open_loop(
            path, self._population, self._decode, self._currents, self._synapses, stride, self._state,
            self._decode_state, out,
        )  # fmt: skip
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


def _compartments(parts: tuple[Registers, ...], weights: np.ndarray) -> arithmetic.Compartments:
    """Compartments as the compiled steps take them, with the weights of all axons."""
    first, bias = parts[0], np.concatenate([part.bias for part in parts])
    constants = (  # the same for every compartment of a kind
        first.current_decay, first.voltage_decay, float(first.refractory_steps), first.input_limit,
        first.state_limit, first.voltage_limit, first.whole,
    )  # fmt: skip
    threshold = per_compartment(parts, "threshold")
    return arithmetic.Compartments(np.ascontiguousarray(weights), bias, threshold, constants)


def _population_weights(parts: tuple[Registers, ...]) -> Float[np.ndarray, "decode neuron"]:
    """Weights of all decode neurons to all neurons."""
    return np.concatenate([np.concatenate(part.weights) for part in parts], axis=1)


def _state_at(current: np.ndarray, voltage: np.ndarray) -> arithmetic.ChipState:
    """State of compartments that have not fired yet, shapes (trial, compartment)."""
    trials = len(voltage)
    fired = np.zeros(voltage.shape, dtype=np.int64)
    number = np.zeros(trials, dtype=np.int64)
    return arithmetic.ChipState(current.copy(), voltage.copy(), np.zeros_like(voltage), fired, number)
