"""The layout of a network on cores: parts of a population and of its decode neurons, and what each core holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.errors import InputError

_WEIGHTS_PER_GROUP, _HEAD_BITS, _WORD_BITS = 64, 10, 64
_FLOATING_BITS = 8  # of a weight where a device has no bits, for the tables


def axon_bits(weights: int, weight_bits: int) -> int:
    """Synapse memory of one axon in bits: groups of 64 weights with a head, in words of 64 bits.

    The format of nengo_loihi.block.SynapseConfig.bits_per_axon without compression of indices.

    >>> axon_bits(weights=64, weight_bits=8)
    576
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
    group: int = 0
    decodes: bool = False


@dataclass(frozen=True)
class Group:
    """Neurons that share decode neurons, and consecutive parts of both that are a core each."""

    neurons: slice
    neuron_parts: tuple[slice, ...]
    decode_parts: tuple[slice, ...]


@dataclass(frozen=True)
class Layout:
    """A population and its decode neurons in parts that are a core each.

    Every decode neuron is an axon into every part of the population, every neuron one into every part of its group's
    decode neurons, and a pair of axons for each latent and group brings input from the host.

    Examples
    --------
    >>> from ddm2snn import find_hardware
    >>> layout = layout_of(neurons=256, rank=2, config=find_hardware("loihi1-emulator"))
    >>> layout.decode_neurons, layout.neuron_parts, layout.decode_parts
    (40, (slice(0, 256, None),), (slice(0, 40, None),))
    """

    rank: int
    decode_neurons: int
    weight_bits: int
    groups: tuple[Group, ...]

    @property
    def neuron_parts(self) -> tuple[slice, ...]:
        """Parts of the population."""
        return tuple(part for group in self.groups for part in group.neuron_parts)

    @property
    def decode_parts(self) -> tuple[slice, ...]:
        """Parts of the decode neurons."""
        return tuple(part for group in self.groups for part in group.decode_parts)

    def cores(self) -> list[Core]:
        """What each core holds, decode neurons first."""
        cores = []
        for number, group in enumerate(self.groups):
            arriving = _length(group.neurons) + 2 * self.rank
            for kind, parts, axons, targets in (
                ("decode neurons", group.decode_parts, arriving, self.neuron_parts),
                ("neurons", group.neuron_parts, self.decode_neurons, group.decode_parts),
            ):
                cores += [
                    Core(
                        f"{kind} {part.start} to {part.stop - 1}", _length(part), axons, _length(part) * len(targets),
                        axons * axon_bits(_length(part), self.weight_bits), group=number,
                        decodes=kind == "decode neurons",
                    )
                    for part in parts
                ]  # fmt: skip
        return sorted(cores, key=lambda core: not core.decodes)


def layout_of(neurons: int, rank: int, config: HardwareConfig) -> Layout:
    """Lay neurons out in as few groups as one core of decode neurons has axons for, in the largest parts that fit.

    A refusal says what one core cannot hold: the limit, the need, and the smallest change that would fit.
    """
    limits, per_group = config.capacity, 2 * config.decode_neurons.pairs_per_latent * rank
    weight_bits = config.precision.weight_bits or _FLOATING_BITS
    most = _most_neurons(neurons, rank, weight_bits, config)
    groups = -(-neurons // most)
    decode_neurons, most_axons = groups * per_group, limits.input_axons_per_core
    if most_axons is not None and decode_neurons > most_axons:
        fewer = f", or at most {most_axons // per_group * most} neurons" if per_group <= most_axons else ""
        raise InputError(
            f"{config.name} has {most_axons} input axons per core; the neurons need {decode_neurons} (one for each "
            f"decode neuron, of which {groups} group(s) of neurons have {per_group} each). Use "
            f"decode_neurons.pairs_per_latent <= {most_axons // (2 * rank * groups)}{fewer}."
        )
    bounds = [neurons * group // groups for group in range(groups + 1)]
    parts = [slice(first, last) for first, last in pairwise(bounds)]
    decode_parts = [
        _parts(
            slice(group * per_group, (group + 1) * per_group), _length(part) + 2 * rank, weight_bits, config,
            limits.compartments_per_core, "fewer latents",
        )
        for group, part in enumerate(parts)
    ]  # fmt: skip
    cores, most_sent = max(map(len, decode_parts)), limits.output_axons_per_core
    if most_sent is not None and cores > most_sent:
        raise InputError(
            f"{config.name} has {most_sent} output axons per core; one neuron needs {cores} "
            f"(one for each core of decode neurons). Use fewer decode_neurons.pairs_per_latent."
        )
    part_limits = (limits.compartments_per_core, config.placement.block_compartments, most_sent and most_sent // cores)
    neuron_parts = [
        _parts(
            part, decode_neurons, weight_bits, config, min(filter(None, part_limits), default=None),
            f"decode_neurons.pairs_per_latent <= {(_most_axons(config, weight_bits) or 0) // (2 * rank * groups)}",
        )
        for part in parts
    ]  # fmt: skip
    layout = Layout(rank, decode_neurons, weight_bits, tuple(map(Group, parts, neuron_parts, decode_parts)))
    size, cores = _length(layout.decode_parts[0]), len(layout.neuron_parts)
    if most_sent is not None and size * cores > most_sent:
        raise InputError(
            f"{config.name} has {most_sent} output axons per core; {size} decode neurons need {size * cores} (one for "
            f"each of {cores} cores of neurons). Use decode_neurons.pairs_per_latent <= "
            f"{most_sent // cores // (2 * rank)}."
        )
    return layout


def _most_neurons(neurons: int, rank: int, weight_bits: int, config: HardwareConfig) -> int:
    """Neurons of a group: those whose axons one core of decode neurons takes, besides two for each latent."""
    limits, most = config.capacity, neurons
    for limit, words in (
        (limits.input_axons_per_core, "input axons"),
        (_most_axons(config, weight_bits), f"axons' worth of {limits.synapse_bits_per_core} synapse bits"),
    ):
        if limit is not None and limit <= 2 * rank:
            raise InputError(
                f"{config.name} has {limit} {words} per core; decode neurons need {2 * rank + 1} at least, two for "
                f"each latent and one for a neuron. Use at most {(limit - 1) // 2} latents."
            )
        most = most if limit is None else min(most, limit - 2 * rank)
    return most


def _length(part: slice) -> int:
    return part.stop - part.start


def _parts(
    whole: slice, axons: int, weight_bits: int, config: HardwareConfig, most: int | None, remedy: str
) -> tuple[slice, ...]:
    """Equal consecutive parts of compartments, as few as compartments and synapse memory of a core allow."""
    memory, compartments = config.capacity.synapse_bits_per_core, _length(whole)
    size = compartments if most is None else min(compartments, most)
    while memory is not None and size > 0 and axons * axon_bits(size, weight_bits) > memory:
        size -= 1
    if size == 0:
        raise InputError(
            f"{config.name} has {memory} bits of synapse memory per core; one compartment with {axons} axons needs "
            f"{axons * axon_bits(1, weight_bits)}. Use {remedy}."
        )
    size = -(-compartments // -(-compartments // size))
    return tuple(slice(first, min(first + size, whole.stop)) for first in range(whole.start, whole.stop, size))


def _most_axons(config: HardwareConfig, weight_bits: int) -> int | None:
    """Axons of one weight each that fill the synapse memory of a core."""
    memory = config.capacity.synapse_bits_per_core
    return memory and memory // axon_bits(1, weight_bits)
