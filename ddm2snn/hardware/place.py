"""Placement: cores on chips as a graph of axons, what each core uses, and refusal of what does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ddm2snn.errors import InputError
from ddm2snn.hardware.layout import Core, axon_bits, layout_of
from ddm2snn.hardware.limits import BOARD_ONLY, PER_CORE, check_core

if TYPE_CHECKING:
    import networkx

    from ddm2snn.base.hardware_config import HardwareConfig
    from ddm2snn.network import SpikingNetwork


@dataclass(frozen=True)
class Placement:
    """Cores of a network, and the chip of each.

    Parameters
    ----------
    config
        The device.
    cores
        What each core holds.
    chip
        Chip of each core.
    dense_cores
        Cores that the same neurons would take with a dense recurrent matrix, by their synapse memory alone.
    """

    config: HardwareConfig
    cores: tuple[Core, ...]
    chip: tuple[int, ...]
    dense_cores: float | None

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
        shares = [self.share(core, "synapse_bits") for core in self.cores]
        known = [share for share in shares if share is not None]
        return sum(known) if known else None

    def graph(self) -> networkx.DiGraph:
        """Cores as nodes, with their chip; edges carry the number of axons from one to the other."""
        import networkx

        graph = networkx.DiGraph()
        for core, chip in zip(self.cores, self.chip, strict=True):
            graph.add_node(core.name, chip=chip)
        for relay in (core for core in self.cores if core.decodes):
            for core in (core for core in self.cores if not core.decodes):
                graph.add_edge(relay.name, core.name, axons=relay.compartments)
                if core.group == relay.group:
                    graph.add_edge(core.name, relay.name, axons=core.compartments)
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
            cells = [_cell(getattr(core, name), self.share(core, name)) for name in shown]
            rows.append(f"{core.name:30} {chip:4}" + "".join(f" {cell:>20}" for cell in cells))
        rows.append(f"{len(self.cores)} cores on {self.chips} chip(s), {self.axons_between_chips} axons between chips")
        most = (max(self.cores, key=lambda core, name=name: getattr(core, name)) for name in BOARD_ONLY)
        cells = [
            f"{name.replace('_', ' ')} {_cell(getattr(core, name), self.share(core, name))}"
            for name, core in zip(BOARD_ONLY, most, strict=True)
        ]
        rows.append(f"at most on one core, checked by a board only: {', '.join(cells)}")
        if self.synapse_cores is not None and self.dense_cores is not None:
            rows.append(
                f"synapse memory of {self.synapse_cores:.2f} cores; a dense recurrent matrix would take that of "
                f"{self.dense_cores:.2f}"
            )
        return rows


def _cell(used: int, share: float | None) -> str:
    return str(used) if share is None else f"{used} ({share:.1%})"


def place(network: SpikingNetwork, config: HardwareConfig) -> Placement:
    """Place a network; see `place_sizes`."""
    return place_sizes(network.neurons, network.rank, config)


def place_sizes(neurons: int, rank: int, config: HardwareConfig) -> Placement:
    """Place a population of some neurons and latents on the cores of a device.

    Each core is full before the next is begun; cores go to chips one after the other, decode neurons first, or take
    turns.

    Raises
    ------
    InputError
        Where it does not fit: the limit, the need, and the smallest change that would fit.
    """
    layout, limits = layout_of(neurons, rank, config), config.capacity
    cores = tuple(layout.cores())
    for core in cores:
        check_core(core, config)
    per_chip, chips = limits.cores_per_chip, limits.chips
    if per_chip is not None and chips is not None and len(cores) > per_chip * chips:
        raise InputError(
            f"{config.name} has {per_chip * chips} cores; {neurons} neurons and {layout.relay_neurons} decode neurons "
            f"need {len(cores)}. Use at most {_most_neurons(neurons, rank, config)} neurons, or a board with "
            f"{-(-len(cores) // per_chip)} chips."
        )
    turns = config.placement.allocator == "round-robin" and chips is not None
    chip = [index % chips if turns and chips else index // (per_chip or len(cores)) for index in range(len(cores))]
    memory = limits.synapse_bits_per_core
    size = min(neurons, limits.compartments_per_core or neurons)
    dense = -(-neurons // size) * neurons * axon_bits(size, layout.weight_bits)
    return Placement(config, cores, tuple(chip), None if memory is None else dense / memory)


def _most_neurons(neurons: int, rank: int, config: HardwareConfig) -> int:
    """Largest number of neurons below one that needs too many cores, by halves."""
    room = (config.capacity.cores_per_chip or 0) * (config.capacity.chips or 0)
    fits, past = 0, neurons
    while past - fits > 1:
        middle = (fits + past) // 2
        layout = layout_of(middle, rank, config)
        fits, past = (middle, past) if len(layout.relay) + len(layout.population) <= room else (fits, middle)
    return fits
