"""A device at one time step: its decode neurons, and a network in its registers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.errors import InputError
from ddm2snn.hardware.decode_neurons import DecodeNeurons, radius_of, shared_radius
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.registers import Block, Registers, Rounding, latent_decay, loss_of, registers_of
from ddm2snn.network import SpikingNetwork, to_internal
from ddm2snn.neuron import NeuronModel

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Device:
    """A target device at one time step, with the decode neurons that a network needs on it.

    `time_unit_s` is the synaptic time constant before its decay is rounded.
    """

    config: HardwareConfig
    decode_neurons: DecodeNeurons
    time_unit_s: float
    dt_s: float

    @property
    def decay(self) -> float:
        """exp(-dt/T) as the device rounds it: the share of a latent that is left after one step."""
        return latent_decay(self.config.precision, loss_of(self.time_unit_s, self.dt_s))

    def with_groups(self, groups: int) -> Device:
        """The same with decode neurons in groups that share latents equally, for neurons without decoders."""
        if groups == self.decode_neurons.groups:
            return self
        radius = np.tile(self.decode_neurons.total_radius / groups, (groups, 1))
        decode_neurons = DecodeNeurons.of_radius(self.config.decode_neurons, radius, self.dt_s)
        return replace(self, decode_neurons=decode_neurons)


def device_for(
    config: HardwareConfig, latents: Float[np.ndarray, "sample rank"], time_unit_s: float, dt_s: float
) -> Device:
    """Device with decode neurons whose radius follows from internal latents.

    Refused are another time step than the device's, a filter slower than the latents, and latents slower than its
    slowest decay.
    """
    if config.step_s is not None and abs(config.step_s - dt_s) > 1e-9 * dt_s:
        raise InputError(f"{config.name} computes in steps of {config.step_s:g} s, not {dt_s:g}. Use that dt_s.")
    filter_s = config.decode_neurons.filter_s
    if filter_s >= time_unit_s:
        raise InputError(
            f"decode_neurons.filter_s = {filter_s:g} of {config.name} is no shorter than the time unit of "
            f"{time_unit_s:g} s, which it would replace. Use a longer time unit or a shorter filter."
        )
    if gaps := decay_gaps("time_unit_s", time_unit_s, config, dt_s):
        raise InputError(str(gaps[0]))
    radius = radius_of(config.decode_neurons, latents)[None]
    return Device(config, DecodeNeurons.of_radius(config.decode_neurons, radius, dt_s), time_unit_s, dt_s)


def device_of(network: SpikingNetwork, config: HardwareConfig, dt_s: float) -> Device:
    """Device for a network, with a radius from the states that it starts from."""
    device = device_for(config, to_internal(network, network.initial_latent), network.time_unit_s, dt_s)
    groups = layout_of(network.neurons, network.rank, config).groups
    if len(groups) == 1:
        return device
    whole = device.decode_neurons.total_radius
    radius = shared_radius(network, [group.neurons for group in groups], config.decode_neurons, whole, dt_s)
    return replace(device, decode_neurons=DecodeNeurons.of_radius(config.decode_neurons, radius, dt_s))


def decay_gaps(name: str, tau_s: float, config: HardwareConfig, dt_s: float) -> list[Unsupported]:
    """A time constant whose decay in one step is less than the least that its register holds."""
    bits = config.precision.decay_bits
    if bits is None or -np.expm1(-dt_s / tau_s) >= 2.0**-bits * (1 - 1e-9):
        return []
    longest_s, lost = longest_decay_s(config, dt_s), -np.expm1(-dt_s / tau_s) * 2**bits
    return [Unsupported(
        name, f"{tau_s:g} s lose {lost:.3g} of 2^{bits} in a step of {dt_s:g} s, and a register of {bits} bits holds "
        "no less than one", f"Use {name} <= {longest_s:.10g}, or a longer dt_s",
    )]  # fmt: skip


def longest_decay_s(config: HardwareConfig, dt_s: float) -> float:
    """Longest time constant in seconds that the decay register holds; infinite where there is none.

    >>> from ddm2snn import find_hardware
    >>> round(longest_decay_s(find_hardware("loihi1-emulator"), dt_s=0.001), 4)
    4.0955
    """
    bits = config.precision.decay_bits
    return np.inf if bits is None else float(-dt_s / np.log1p(-(2.0**-bits)))


@dataclass(frozen=True, eq=False)
class Machine:
    """A network in a device's registers: those of the neurons and of the decode neurons, in parts that are a core each.

    `amplitude` is the input of one spike in internal units; None where there is no input.
    """

    device: Device
    population: tuple[Registers, ...]
    decode_neurons: tuple[Registers, ...]
    amplitude: Float[np.ndarray, " rank"] | None

    def __repr__(self) -> str:
        parts = f"{len(self.population)} part(s) of neurons, {len(self.decode_neurons)} of decode neurons"
        return f"Machine({parts}, on {self.device.config.name})"

    @property
    def per_latent(self) -> Float[np.ndarray, "group rank"]:
        """Register units of the first on neuron's current for one internal unit of a latent, in each group."""
        decode = self.device.decode_neurons
        return (decode.gain * per_compartment(self.decode_neurons, "per_current"))[decode.first_on]

    @property
    def decode_weights(self) -> list[Float[np.ndarray, "neuron decode"]]:
        """Weights of the neurons of each group to that group's decode neurons."""
        neurons, rank = sum(len(part.bias) for part in self.population), self.device.decode_neurons.rank
        groups, parts = layout_of(neurons, rank, self.device.config).groups, iter(self.decode_neurons)
        return [np.concatenate([next(parts).weights[0] for _ in group.decode_parts], axis=1) for group in groups]

    @property
    def first_decode_neuron(self) -> Int[np.ndarray, " neuron"]:
        """First decode neuron of each neuron's group."""
        return np.repeat(self.device.decode_neurons.first_on[:, 0], [len(weights) for weights in self.decode_weights])


def machine_of(
    network: SpikingNetwork,
    device: Device,
    amplitude: Float[np.ndarray, " rank"] | None = None,
    *,
    rounding: Rounding = "deterministic",
    rng: np.random.Generator | None = None,
) -> Machine:
    """Put a network into registers, with room for input where there is an amplitude of it."""
    blocks = [population_blocks(network.encoders, network.bias, network.neuron, device)]
    blocks.append(decode_blocks(network, device, amplitude))
    population, decode_neurons = (
        tuple(registers_of(block, device.config.precision, rounding, rng) for block in kind) for kind in blocks
    )
    return Machine(device, population, decode_neurons, amplitude)


def population_blocks(
    encoders: Float[np.ndarray, "neuron rank"],
    bias: Float[np.ndarray, " neuron"],
    neuron: NeuronModel,
    device: Device,
) -> list[Block]:
    """The neurons of a network, driven by decode neurons: weights are their output times encoders."""
    decode, config, dt_s = device.decode_neurons, device.config, device.dt_s
    weights = (encoders[:, decode.latent] * decode.output / dt_s).T
    groups = np.split(weights, decode.groups)
    return [
        Block(
            name=f"neurons {part.start} to {part.stop - 1}",
            synapses=tuple(np.ascontiguousarray(group[:, part], dtype=np.float32) for group in groups),
            bias=bias[part].astype(np.float32),
            threshold=1.0,
            current_loss=loss_of(config.decode_neurons.filter_s, dt_s),
            voltage_loss=loss_of(neuron.single_tau_s, dt_s),
            refractory_steps=round(neuron.refractory_s / dt_s),
            leaky=True,
        )
        for part in layout_of(len(bias), encoders.shape[1], config).neuron_parts
    ]


def decode_blocks(network: SpikingNetwork, device: Device, amplitude: Float[np.ndarray, " rank"] | None) -> list[Block]:
    """The decode neurons: weights are decoders, and where there is input, its amplitude, times their gain.

    Input comes as one spike of a pair of axons for each latent and step: plus or minus `amplitude`, of which each group
    of decode neurons takes its share.
    """
    decode, dt_s = device.decode_neurons, device.dt_s
    transform = network.decoders.T[:, decode.latent] * (decode.side / decode.own_radius)
    decoded, inputs = (transform / dt_s) * decode.swing_hz, []
    if amplitude is not None:
        size = decode.side * amplitude[decode.latent] / decode.total_radius[decode.latent]
        positive = np.equal.outer(np.arange(network.rank), decode.latent) * size
        inputs = [np.vstack([positive, -positive]) * decode.swing_hz]
    return [
        Block(
            name=f"decode neurons {part.start} to {part.stop - 1}",
            synapses=tuple(
                np.ascontiguousarray(weights[:, part], dtype=np.float32)
                for weights in (decoded[group.neurons], *inputs)
            ),
            bias=decode.bias_hz[part].astype(np.float32),
            threshold=float(np.float32(1.0 / dt_s)),
            current_loss=loss_of(network.time_unit_s, dt_s),
            voltage_loss=0.0,
            refractory_steps=0,
            leaky=False,
        )
        for group in layout_of(network.neurons, network.rank, device.config).groups
        for part in group.decode_parts
    ]


def per_compartment(parts: tuple[Registers, ...], name: str) -> Float[np.ndarray, " compartment"]:
    """A number that parts have one of each, for every compartment."""
    return np.concatenate([np.full(len(part.bias), getattr(part, name)) for part in parts])
