"""Placement of a network: cores on chips as a graph of axons, what each core uses, and what does not fit."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ddm2snn.backend import Unsupported, step_gaps
from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.errors import InputError
from ddm2snn.hardware.device import decay_gaps, device_of, machine_of
from ddm2snn.hardware.layout import Core, axon_bits, layout_of
from ddm2snn.network import SpikingNetwork

if TYPE_CHECKING:
    import networkx

PER_CORE = {
    "compartments": "compartments_per_core",
    "input_axons": "input_axons_per_core",
    "output_axons": "output_axons_per_core",
    "synapse_bits": "synapse_bits_per_core",
    "compartment_configs": "compartment_configs_per_core",
    "thresholds": "thresholds_per_core",
}
"""What a core uses, and the limit of it."""
BOARD_ONLY = ("compartment_configs", "thresholds")
"""Those that an emulator does not check."""


@dataclass(frozen=True)
class Placement:
    """Cores of a network, and the chip of each.

    With a dense recurrent matrix the same neurons would take `dense_cores`, by their synapse memory alone.

    Examples
    --------
    >>> from ddm2snn import find_hardware
    >>> placement = place_sizes(neurons=2048, rank=2, config=find_hardware("loihi1-emulator"))
    >>> placement
    Placement(3 cores on 1 chip(s) of loihi1-emulator)
    >>> [(core.name, core.compartments) for core in placement.cores]
    [('decode neurons 0 to 39', 40), ('neurons 0 to 1023', 1024), ('neurons 1024 to 2047', 1024)]
    """

    config: HardwareConfig
    cores: tuple[Core, ...]
    chip: tuple[int, ...]
    dense_cores: float | None

    def __repr__(self) -> str:
        return f"Placement({len(self.cores)} cores on {self.chips} chip(s) of {self.config.name})"

    @property
    def chips(self) -> int:
        """Number of chips in use."""
        return max(self.chip) + 1

    def share(self, core: Core, resource: str) -> float | None:
        """Share of one resource of a core that is used; None where there is no limit."""
        limit = getattr(self.config.capacity, PER_CORE[resource])
        return None if limit is None else getattr(core, resource) / limit

    @property
    def synapse_cores(self) -> float | None:
        """Cores' worth of synapse memory in use."""
        limit = self.config.capacity.synapse_bits_per_core
        return None if limit is None else sum(core.synapse_bits / limit for core in self.cores)

    def graph(self) -> networkx.DiGraph:
        """Cores as nodes, with their chip; edges carry the number of axons from one to the other."""
        import networkx

        graph = networkx.DiGraph()
        for core, chip in zip(self.cores, self.chip, strict=True):
            graph.add_node(core.name, chip=chip)
        for decode in (core for core in self.cores if core.decodes):
            for core in (core for core in self.cores if not core.decodes):
                graph.add_edge(decode.name, core.name, axons=decode.compartments)
                if core.group == decode.group:
                    graph.add_edge(core.name, decode.name, axons=core.compartments)
        return graph

    @property
    def axons_between_chips(self) -> int:
        """Axons that leave their chip."""
        graph = self.graph()
        chip = graph.nodes(data="chip")
        return sum(axons for pre, post, axons in graph.edges(data="axons") if chip[pre] != chip[post])

    def as_json(self) -> dict[str, Any]:
        """Every number, as JSON values."""
        return {
            "hardware": self.config.name,
            "chips": self.chips,
            "axons_between_chips": self.axons_between_chips,
            "synapse_cores": self.synapse_cores,
            "dense_synapse_cores": self.dense_cores,
            "cores": [
                {"name": core.name, "chip": chip}
                | {name: {"used": getattr(core, name), "share": self.share(core, name)} for name in PER_CORE}
                for core, chip in zip(self.cores, self.chip, strict=True)
            ],
        }

    def lines(self) -> list[str]:
        """Table of what each core uses."""
        shown = [name for name in PER_CORE if name not in BOARD_ONLY]
        head = f"{'core':30} chip" + "".join(f" {name.replace('_', ' '):>20}" for name in shown)
        rows = [head]
        for core, chip in zip(self.cores, self.chip, strict=True):
            cells = [self._cell(core, name) for name in shown]
            rows.append(f"{core.name:30} {chip:4}" + "".join(f" {cell:>20}" for cell in cells))
        rows.append(f"{len(self.cores)} cores on {self.chips} chip(s), {self.axons_between_chips} axons between chips")
        most = {name: max(self.cores, key=attrgetter(name)) for name in BOARD_ONLY}
        cells = [f"{name.replace('_', ' ')} {self._cell(core, name)}" for name, core in most.items()]
        rows.append(f"at most on one core, checked by a board only: {', '.join(cells)}")
        if self.synapse_cores is not None and self.dense_cores is not None:
            rows.append(
                f"synapse memory of {self.synapse_cores:.2f} cores; a dense recurrent matrix would take that of "
                f"{self.dense_cores:.2f}"
            )
        return rows

    def _cell(self, core: Core, resource: str) -> str:
        used, share = getattr(core, resource), self.share(core, resource)
        return str(used) if share is None else f"{used} ({share:.1%})"


def place(network: SpikingNetwork, config: HardwareConfig) -> Placement:
    """Place a network by its size; see `place_sizes`."""
    return place_sizes(network.neurons, network.rank, config)


def place_sizes(neurons: int, rank: int, config: HardwareConfig) -> Placement:
    """Place a population of some neurons and latents on the cores of a device.

    Each core is full before the next is begun; cores go to chips one after the other, decode neurons first, or take
    turns. A refusal says what does not fit: the limit, the need, and the smallest change that would fit.
    """
    layout, limits = layout_of(neurons, rank, config), config.capacity
    cores = tuple(layout.cores())
    for core in cores:
        check_core(core, config)
    per_chip, chips = limits.cores_per_chip, limits.chips
    if per_chip is not None and chips is not None and len(cores) > per_chip * chips:
        fitting = bisect(
            range(1, neurons), per_chip * chips, key=lambda count: len(layout_of(count, rank, config).cores())
        )
        raise InputError(
            f"{config.name} has {per_chip * chips} cores; {neurons} neurons and {layout.decode_neurons} decode neurons "
            f"need {len(cores)}. Use at most {fitting} neurons, or a board with "
            f"{-(-len(cores) // per_chip)} chips."
        )
    turns = config.placement.allocator == "round-robin" and chips is not None
    chip = [index % chips if turns and chips else index // (per_chip or len(cores)) for index in range(len(cores))]
    memory = limits.synapse_bits_per_core
    size = min(neurons, limits.compartments_per_core or neurons)
    dense = -(-neurons // size) * neurons * axon_bits(size, layout.weight_bits)
    return Placement(config, cores, tuple(chip), None if memory is None else dense / memory)


def check_core(core: Core, config: HardwareConfig) -> None:
    """Refuse a core that holds more than the device has room for."""
    for resource, name in PER_CORE.items():
        limit, need = getattr(config.capacity, name), getattr(core, resource)
        if limit is not None and need > limit:
            raise InputError(
                f"{config.name} has {limit} {resource.replace('_', ' ')} per core; {core.name} need {need}. "
                f"Spread them over {-(-need // limit)} cores, or use a device with capacity.{name} >= {need}."
            )


def device_gaps(network: SpikingNetwork, config: HardwareConfig, dt_s: float) -> list[Unsupported]:
    """Gaps of every device: neuron models, diffusion that depends on the state, registers and limits."""
    if gaps := model_gaps(network, config, dt_s):
        return gaps
    try:
        machine_of(network, device_of(network, config, dt_s))
        place(network, config)
    except InputError as error:
        return [Unsupported("hardware", f"{config.name} cannot hold it", str(error).rstrip("."))]
    return []


def model_gaps(network: SpikingNetwork, config: HardwareConfig, dt_s: float) -> list[Unsupported]:
    """Gaps that no placement mends: neuron models, diffusion that depends on the state, and ranges of registers."""
    if not network.neuron.runs_on_loihi:
        reason = f"{config.name} has LIF or LoihiLIF with one membrane time constant"
        return [Unsupported(f"{network.neuron.name} neurons", reason, "Convert LIF neurons")]
    if network.diffusion_decoders is not None:
        reason = "spikes would have to multiply noise, which no synapse does"
        return [Unsupported("diffusion_decoders", reason, 'Use backend="brian2" or "nengo"')]
    for name, used in (("rise_s", network.rise_s > 0), ("noise_colour", network.noise_colour is not None)):
        if used:
            reason = f"{config.name} has synapses that rise at once, and a host that sends white noise"
            return [Unsupported(name, reason, f"Convert with hardware={config.name}")]
    refractory_s, longest, gaps = network.neuron.refractory_s, config.precision.longest_refractory_steps, []
    if longest is not None and round(refractory_s / dt_s) + 1 > longest:
        gaps.append(Unsupported(
            "refractory_s", f"its register counts {longest - 1} steps of {dt_s:g} s, {refractory_s:g} s are "
            f"{round(refractory_s / dt_s)}", f"Use refractory_s <= {(longest - 1) * dt_s:g}"
        ))  # fmt: skip
    for name, tau_s in (("time_unit_s", network.time_unit_s), ("tau_membrane_s", network.neuron.single_tau_s)):
        gaps += decay_gaps(name, tau_s, config, dt_s)
    return gaps


def placement_of(network: SpikingNetwork, config: HardwareConfig) -> Placement:
    """Placement of a network; one with a gap in neuron model, diffusion, registers or cores is refused."""
    refuse_gaps(network, config, device_gaps)
    return place(network, config)


def refuse_gaps(
    network: SpikingNetwork, config: HardwareConfig, gaps_of: Callable[..., list[Unsupported]] = model_gaps
) -> None:
    """Refuse a network that a device cannot compute, by default wherever it is placed."""
    if gaps := step_gaps(network, network.dt_s, "grid") or gaps_of(network, config, network.dt_s):
        raise InputError(" ".join(map(str, gaps)))
