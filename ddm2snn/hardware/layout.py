"""Which neurons share a core: parts of a population and of its decode neurons, and what each core holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.hardware.config import HardwareConfig

_WEIGHTS_PER_GROUP, _HEAD_BITS, _WORD_BITS = 64, 10, 64
_FLOATING_BITS = 8  # of a weight where a device has no bits, for the tables


def axon_bits(weights: int, weight_bits: int) -> int:
    """Synapse memory of one axon in bits: groups of 64 weights with a head, in words of 64 bits.

    The format of nengo_loihi.block.SynapseConfig.bits_per_axon without compression of indices.
    """
    whole, rest = divmod(weights, _WEIGHTS_PER_GROUP)
    sizes = [_WEIGHTS_PER_GROUP] * whole + [rest] * (rest > 0)
    return sum(-(-(size * weight_bits + _HEAD_BITS) // _WORD_BITS) * _WORD_BITS for size in sizes)


@dataclass(frozen=True)
class Core:
    """What one core holds.

    Its compartments are of one kind, which share decays, refractory period and threshold: one compartment
    configuration, and one threshold.
    """

    name: str
    compartments: int
    input_axons: int
    output_axons: int
    synapse_bits: int
    compartment_configs: int = 1
    thresholds: int = 1


@dataclass(frozen=True)
class Layout:
    """Parts of a population and of its decode neurons, each a core.

    Every decode neuron is an axon into every part of the population, every neuron one into every part of the decode
    neurons, and a pair of axons for each latent brings input from the host.
    """

    neurons: int
    rank: int
    relay_neurons: int
    weight_bits: int
    population: tuple[slice, ...]
    relay: tuple[slice, ...]

    def cores(self) -> list[Core]:
        """What each core holds, decode neurons first."""
        arriving = self.neurons + 2 * self.rank
        decode = [
            Core(
                f"decode neurons {part.start} to {part.stop - 1}", part.stop - part.start, arriving,
                (part.stop - part.start) * len(self.population),
                arriving * axon_bits(part.stop - part.start, self.weight_bits),
            )
            for part in self.relay
        ]  # fmt: skip
        return decode + [
            Core(
                f"neurons {part.start} to {part.stop - 1}", part.stop - part.start, self.relay_neurons,
                (part.stop - part.start) * len(self.relay),
                self.relay_neurons * axon_bits(part.stop - part.start, self.weight_bits),
            )
            for part in self.population
        ]  # fmt: skip


def layout_of(neurons: int, rank: int, config: HardwareConfig) -> Layout:
    """Largest parts that fit their cores.

    Raises
    ------
    InputError
        Where one core cannot hold what it must: the limit, the need, and the smallest change that would fit.
    """
    limits, pairs = config.capacity, config.decode_neurons.pairs_per_latent
    relay_neurons, arriving = 2 * pairs * rank, neurons + 2 * rank
    weight_bits = config.precision.weight_bits or _FLOATING_BITS
    most_axons = limits.input_axons_per_core
    if most_axons is not None and arriving > most_axons:
        raise InputError(
            f"{config.name} has {most_axons} input axons per core; the decode neurons need {arriving} (one for each "
            f"neuron and two for each latent). Use at most {most_axons - 2 * rank} neurons."
        )
    if most_axons is not None and relay_neurons > most_axons:
        raise InputError(
            f"{config.name} has {most_axons} input axons per core; the neurons need {relay_neurons} (one for each "
            f"decode neuron). Use decode_neurons.pairs_per_latent <= {most_axons // (2 * rank)}."
        )
    relay = _parts(
        relay_neurons, arriving, weight_bits, config, limits.compartments_per_core,
        f"neurons <= {_most_axons(config, weight_bits) - 2 * rank}",
    )  # fmt: skip
    most = [limits.compartments_per_core, config.placement.block_compartments]
    if limits.output_axons_per_core is not None:
        most.append(limits.output_axons_per_core // len(relay))
    known = [limit for limit in most if limit is not None]
    population = _parts(
        neurons, relay_neurons, weight_bits, config, min(known, default=None),
        f"decode_neurons.pairs_per_latent <= {_most_axons(config, weight_bits) // (2 * rank)}",
    )  # fmt: skip
    size = relay[0].stop
    if limits.output_axons_per_core is not None and size * len(population) > limits.output_axons_per_core:
        raise InputError(
            f"{config.name} has {limits.output_axons_per_core} output axons per core; {size} decode neurons need "
            f"{size * len(population)} (one for each of {len(population)} cores of neurons). Use "
            f"decode_neurons.pairs_per_latent <= {limits.output_axons_per_core // len(population) // (2 * rank)}."
        )
    return Layout(neurons, rank, relay_neurons, weight_bits, tuple(population), tuple(relay))


def _parts(
    compartments: int, axons: int, weight_bits: int, config: HardwareConfig, most: int | None, remedy: str
) -> list[slice]:
    """Equal consecutive parts, as few as compartments and synapse memory of a core allow."""
    memory = config.capacity.synapse_bits_per_core
    size = compartments if most is None else min(compartments, most)
    while memory is not None and size > 0 and axons * axon_bits(size, weight_bits) > memory:
        size -= 1
    if size == 0:
        raise InputError(
            f"{config.name} has {memory} bits of synapse memory per core; one compartment with {axons} axons needs "
            f"{axons * axon_bits(1, weight_bits)}. Use {remedy}."
        )
    size = -(-compartments // -(-compartments // size))
    return [slice(first, min(first + size, compartments)) for first in range(0, compartments, size)]


def _most_axons(config: HardwareConfig, weight_bits: int) -> int:
    """Axons of one weight each that fill the synapse memory of a core."""
    memory = config.capacity.synapse_bits_per_core
    return 0 if memory is None else memory // axon_bits(1, weight_bits)
