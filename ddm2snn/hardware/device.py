"""A device: what it makes of neurons that it is given, and the latents' leak in its registers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.hardware.blocks import Block, check_filter, lost_share, population_blocks, relay_blocks
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.limits import decay_gaps
from ddm2snn.hardware.registers import Registers, latent_kept, registers_of
from ddm2snn.hardware.relay import Relay, radius_of, relay_for
from ddm2snn.hardware.shares import shared_radius
from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.base.hardware_config import HardwareConfig
    from ddm2snn.hardware.registers import Rounding
    from ddm2snn.network import SpikingNetwork
    from ddm2snn.neuron import NeuronModel

State = tuple[np.ndarray, ...]
"""Current, voltage, refractory steps left, neurons that fired last and their number, each by trial."""


_GOLDEN = 0.618034


@dataclass(frozen=True)
class Device:
    """A target device at one time step, with the decode neurons that a network needs on it.

    Parameters
    ----------
    config
        Limits and settings.
    relay
        Decode neurons.
    time_unit_s, dt_s
        Nominal synaptic time constant, and step.
    """

    config: HardwareConfig
    relay: Relay
    time_unit_s: float
    dt_s: float

    @property
    def kept(self) -> float:
        """What is left of a latent after one step: exp(-dt/T) as the device rounds it."""
        return latent_kept(self.config.precision, lost_share(self.time_unit_s, self.dt_s))

    def drive(
        self,
        encoders: Float[np.ndarray, "neuron rank"],
        bias: Float[np.ndarray, " neuron"],
        neuron: NeuronModel,
        voltage: Float[np.ndarray, "trial neuron"],
        pool: Int[np.ndarray, " neuron"],
    ) -> DeviceDrive:
        """Neurons on this device, to be driven along latents: what decoders in the loop are solved on."""
        device = self._in_groups(len(layout_of(len(bias), encoders.shape[1], self.config).groups))
        blocks = population_blocks(encoders, bias, neuron, device.relay, self.config, self.dt_s)
        parts = tuple(registers_of(block, self.config.precision) for block in blocks)
        count = len(voltage) * device.relay.neurons
        spread = (np.arange(count) * _GOLDEN % 1.0).reshape(len(voltage), -1)  # out of step from the start
        return DeviceDrive(parts, device, voltage, spread, pool)

    def _in_groups(self, groups: int) -> Device:
        """The same with decode neurons in groups that share latents equally: no decoder tells them apart yet."""
        if groups == self.relay.groups:
            return self
        radius = np.tile(self.radius / groups, (groups, 1))
        return replace(self, relay=relay_for(self.config.decode_neurons, radius, self.dt_s))

    @property
    def radius(self) -> Float[np.ndarray, " rank"]:
        """Size of a latent beyond which decode neurons saturate, internal units."""
        return self.relay.radius.sum(axis=0)


def device_for(
    config: HardwareConfig, latents: Float[np.ndarray, "sample rank"], time_unit_s: float, dt_s: float
) -> Device:
    """Device with decode neurons whose radius follows from internal latents.

    Raises
    ------
    InputError
        Where the device has another time step, its filter is slower than the latents, or they than its slowest decay.
    """
    if config.step_s is not None and abs(config.step_s - dt_s) > 1e-9 * dt_s:
        raise InputError(f"{config.name} computes in steps of {config.step_s:g} s, not {dt_s:g}. Use that dt_s.")
    check_filter(config, time_unit_s)
    if gaps := decay_gaps("time_unit_s", time_unit_s, config, dt_s):
        raise InputError(str(gaps[0]))
    relay = relay_for(config.decode_neurons, radius_of(config.decode_neurons, latents)[None], dt_s)
    return Device(config, relay, time_unit_s, dt_s)


def device_of(network: SpikingNetwork, config: HardwareConfig, dt_s: float) -> Device:
    """Device for a network, with a radius from the states that it starts from."""
    found = device_for(config, to_internal(network, network.initial_latent), network.time_unit_s, dt_s)
    groups = layout_of(network.neurons, network.rank, config).groups
    if len(groups) == 1:
        return found
    radius = shared_radius(network, [group.neurons for group in groups], config.decode_neurons, found.radius, dt_s)
    return replace(found, relay=relay_for(config.decode_neurons, radius, dt_s))


@dataclass(frozen=True, eq=False)
class Machine:
    """A network in a device's registers.

    Parameters
    ----------
    device
        Where it is.
    blocks, population
        The neurons in parts, before and after discretisation.
    relay_blocks, relay
        The decode neurons in parts, before and after discretisation.
    amplitude
        Input of one spike, internal units, shape (rank,); None where there is no input.
    """

    device: Device
    blocks: tuple[Block, ...]
    population: tuple[Registers, ...]
    relay_blocks: tuple[Block, ...]
    relay: tuple[Registers, ...]
    amplitude: Float[np.ndarray, " rank"] | None

    @property
    def per_latent(self) -> Float[np.ndarray, "group rank"]:
        """Register units of the first on neuron's current for one internal unit of a latent, in each group."""
        return (self.device.relay.gain * per_compartment(self.relay, "per_current"))[self.device.relay.heads]

    @property
    def first_decode_neuron(self) -> Int[np.ndarray, " neuron"]:
        """First decode neuron of each neuron's group."""
        return np.repeat(self.device.relay.heads[:, 0], [len(weights) for weights in relay_weights(self)])


def machine_of(
    network: SpikingNetwork,
    device: Device,
    amplitude: Float[np.ndarray, " rank"] | None = None,
    *,
    rounding: Rounding = "deterministic",
    rng: np.random.Generator | None = None,
) -> Machine:
    """Put a network into registers, with room for input where there is an amplitude of it."""
    config = device.config
    blocks = population_blocks(network.encoders, network.bias, network.neuron, device.relay, config, device.dt_s)
    relay = relay_blocks(network, device.relay, config, device.dt_s, amplitude)
    return Machine(
        device=device,
        blocks=tuple(blocks),
        population=tuple(registers_of(block, config.precision, rounding, rng) for block in blocks),
        relay_blocks=tuple(relay),
        relay=tuple(registers_of(block, config.precision, rounding, rng) for block in relay),
        amplitude=amplitude,
    )


def per_compartment(parts: tuple[Registers, ...], name: str) -> Float[np.ndarray, " compartment"]:
    """A number that parts have one of each, for every compartment."""
    return np.concatenate([np.full(len(part.bias), getattr(part, name)) for part in parts])


def relay_weights(machine: Machine) -> list[Float[np.ndarray, "neuron decode"]]:
    """Weights of the neurons of each group to that group's decode neurons."""
    starts = [int(head[0]) for head in machine.device.relay.heads]
    found: list[list[np.ndarray]] = [[] for _ in starts]
    place = 0
    for part in machine.relay:
        found[int(np.searchsorted(starts, place, side="right")) - 1].append(part.weights[0])
        place += len(part.bias)
    return [np.concatenate(weights, axis=1) for weights in found]


def population_arrays(parts: tuple[Registers, ...]) -> tuple[Any, ...]:
    """Neurons as the compiled steps take them: weights of all decode neurons, biases, thresholds and constants."""
    return _arrays(parts, np.concatenate([np.concatenate(part.weights) for part in parts], axis=1))


def relay_arrays(machine: Machine) -> tuple[Any, ...]:
    """Decode neurons as the compiled steps take them; neurons have weights to those of their group only."""
    return _arrays(machine.relay, np.concatenate(relay_weights(machine)))


def _arrays(parts: tuple[Registers, ...], weights: np.ndarray) -> tuple[Any, ...]:
    bias = np.concatenate([part.bias for part in parts])
    return np.ascontiguousarray(weights), bias, per_compartment(parts, "threshold"), constants_of(parts[0])


def constants_of(registers: Registers) -> tuple[float, float, float, float, float, float, bool]:
    """Constants of a compiled step, the same for every compartment of a kind."""
    return (
        registers.current_kept, registers.voltage_kept, float(registers.refractory_steps), registers.input_limit,
        registers.state_limit, registers.voltage_limit, registers.whole,
    )  # fmt: skip


def state_at(current: np.ndarray, voltage: np.ndarray) -> State:
    """State of compartments that have not fired yet, shapes (trial, compartment)."""
    trials = len(voltage)
    fired = np.zeros(voltage.shape, dtype=np.int64)
    return current.copy(), voltage.copy(), np.zeros_like(voltage), fired, np.zeros(trials, dtype=np.int64)


class DeviceDrive:
    """Neurons of a device driven along given latents, its decode neurons and their delay included, block by block.

    The decode neurons get their currents in floating point: how latents are rounded depends on decoders, which are
    only found by this.

    Parameters
    ----------
    machine_parts
        The population in registers.
    device
        Where they are.
    voltage
        Membrane voltages at the start between 0 and 1, shape (trial, neuron).
    relay_voltage
        The same of the decode neurons, shape (trial, decode neuron).
    pool
        Column of the output to which each neuron's filtered spike train is added.
    """

    def __init__(
        self,
        machine_parts: tuple[Registers, ...],
        device: Device,
        voltage: Float[np.ndarray, "trial neuron"],
        relay_voltage: Float[np.ndarray, "trial neuron"],
        pool: Int[np.ndarray, " neuron"],
    ) -> None:
        self.columns, self._pool = int(pool.max()) + 1, pool
        self._population = population_arrays(machine_parts)
        relay, kept = device.relay, device.kept
        threshold = np.full(relay.neurons, 1.0 / device.dt_s)
        constants = (0.0, 1.0, 0.0, np.inf, np.inf, np.inf, False)
        self._gain, self._relay = (relay.gain * relay.share, relay.latent), (relay.bias_hz, threshold, constants)
        start = voltage * self._population[2]
        start = np.floor(start) if machine_parts[0].whole else start
        self._state = state_at(np.zeros_like(voltage), start)
        self._relay_state = state_at(np.zeros_like(relay_voltage), relay_voltage * threshold)
        self._filter = (kept, (1.0 - kept) / device.dt_s)
        self._filtered = np.zeros_like(voltage)

    def advance(
        self, path: Float[np.ndarray, "trial step rank"], stride: int
    ) -> Float[np.ndarray, "trial sample column"]:
        """Filtered spike trains in Hz, pooled, after every `stride` steps along the internal latents `path`."""
        from ddm2snn.hardware.arithmetic import open_loop

        out = np.zeros((len(path), path.shape[1] // stride, self.columns))
        open_loop(
            path, self._population, *self._gain, self._relay, *self._filter, stride, self._pool, self._state,
            self._relay_state, self._filtered, out,
        )  # fmt: skip
        return out
