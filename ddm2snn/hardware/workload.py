"""Work of a network on a device in one rate time unit, core by core, and its numbers under NeuroBench's names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from ddm2snn.base.hardware_config import HardwareConfig, Precision
from ddm2snn.base.progress import no_progress
from ddm2snn.hardware.chip import prepare, run_device
from ddm2snn.hardware.device import Machine
from ddm2snn.hardware.layout import Layout, layout_of
from ddm2snn.hardware.place import refuse_gaps
from ddm2snn.network import SpikingNetwork
from ddm2snn.schedule import Run, Schedule

_TRIALS, _DURATION = 4, 10.0  # of the run that is counted [choice]
_FLOAT_BITS = 32  # of a number where a device has no bits, as NeuroBench counts those of PyTorch [choice]
_NEURON_OPERATIONS = 8  # of an update with current and voltage, reset to zero: NeuroBench 2, "Synaptic", "zero"


@dataclass(frozen=True)
class CoreLoad:
    """Work of one core in one rate time unit, from the mean rates of its kind of compartments.

    A spike is one message to each core that it goes to, and one synaptic operation for each weight of its axon there,
    zeros included.
    """

    name: str
    updates: float
    spikes: float
    messages_out: float
    messages_in: float
    synaptic_operations: float


@dataclass(frozen=True)
class Workload:
    """Work of a network on a device in one rate time unit.

    Parameters
    ----------
    steps, cores
        Time steps, and the work of each core in the order of a placement.
    input_messages
        Messages from the host, one for each input spike and core that it goes to.
    hops_x, hops_y
        Tiles that messages pass along rows and along columns; None where the device states no mesh. Chips lie side by
        side, and input comes in at the first tile.
    footprint_bytes
        Weights as they lie in synapse memory, biases, currents and voltages.
    connection_sparsity
        Share of stored weights that are zero.
    effective_operations
        Synaptic operations without those on zeros, all rows of a kind taken as equally frequent.
    dense_operations
        Weights times steps: operations if every axon spiked in every step.
    """

    steps: float
    cores: tuple[CoreLoad, ...]
    input_messages: float
    hops_x: float | None
    hops_y: float | None
    footprint_bytes: float
    connection_sparsity: float
    effective_operations: float
    dense_operations: float

    @property
    def synaptic_operations(self) -> float:
        """Weights that are read and added."""
        return sum(core.synaptic_operations for core in self.cores)

    @property
    def updates(self) -> float:
        """Updates of compartments: of each in every step."""
        return sum(core.updates for core in self.cores)

    @property
    def spikes(self) -> float:
        """Spikes of neurons and decode neurons."""
        return sum(core.spikes for core in self.cores)

    @property
    def messages(self) -> float:
        """Messages to cores, those from the host included."""
        return sum(core.messages_in for core in self.cores)

    def neurobench(self) -> dict[str, Any]:
        """The numbers under NeuroBench's names (version 2), with one rate time unit as the sample.

        A device updates every compartment in every step, so that effective and dense neuron operations are the same.
        """
        operations = _NEURON_OPERATIONS * self.updates
        return {
            "Footprint": self.footprint_bytes,
            "ConnectionSparsity": self.connection_sparsity,
            "ActivationSparsity": 1.0 - self.spikes / self.updates,
            "SynapticOperations": {
                "Effective_MACs": 0.0,
                "Effective_ACs": self.effective_operations,
                "Dense": self.dense_operations,
            },
            "MembraneUpdates": self.updates,
            "NeuronOperations": {"Effective Neuron Ops": operations, "Neuron Dense Ops": operations},
        }


def workload_of_run(network: SpikingNetwork, config: HardwareConfig, seed: int = 0) -> Workload:
    """Work by the mean rates of a short run on the device: four trials of ten rate time units.

    Raises
    ------
    InputError
        Where the device cannot run the network.
    """
    refuse_gaps(network, config)
    run = Run(network, duration=_DURATION, trials=_TRIALS, seed=seed)
    schedule = Schedule.of(run)
    ready = prepare(schedule, config)
    counts = run_device(schedule, ready, no_progress)[2].sum(axis=0) / (_TRIALS * _DURATION)
    return workload_of_spikes(ready.machine, network.time_unit_s / network.dt_s, *counts.tolist())


def workload_of_spikes(machine: Machine, steps: float, spikes: float, decode_spikes: float, inputs: float) -> Workload:
    """Work in so many steps with so many spikes of neurons, of decode neurons and of the host."""
    config, rank = machine.device.config, machine.device.decode_neurons.rank
    neurons = sum(len(part.bias) for part in machine.population)
    layout = layout_of(neurons, rank, config)
    cores = _core_loads(layout, steps, spikes, decode_spikes, inputs)
    kinds = [np.concatenate(part.weights) for part in machine.population]
    decoding = [part.weights[0] for part in machine.decode_neurons]
    hosted = [part.weights[1] for part in machine.decode_neurons if len(part.weights) > 1]
    stored = sum(weights.size for weights in chain(kinds, decoding, hosted))
    zeros = sum(weights.size - np.count_nonzero(weights) for weights in chain(kinds, decoding, hosted))
    hops_x, hops_y = _hops(layout, cores, inputs, config) or (None, None)
    decode = machine.device.decode_neurons.neurons
    group_decode = decode / len(layout.groups)
    effective = (
        decode_spikes * neurons * _filled(kinds) + spikes * group_decode * _filled(decoding)
        + inputs * decode * _filled(hosted)
    )  # fmt: skip
    return Workload(
        steps=steps,
        cores=tuple(cores),
        input_messages=inputs * len(layout.decode_parts),
        hops_x=hops_x,
        hops_y=hops_y,
        footprint_bytes=_footprint_bytes(layout, neurons + decode, config.precision),
        connection_sparsity=zeros / stored,
        effective_operations=effective,
        dense_operations=stored * steps,
    )


def _core_loads(
    layout: Layout, steps: float, spikes: float, decode_spikes: float, inputs: float
) -> list[CoreLoad]:  # fmt: skip
    """Work of each core in the order of `Layout.cores`."""
    neurons = layout.groups[-1].neurons.stop
    loads = []
    for core in layout.cores():
        group, size = layout.groups[core.group], core.compartments
        if core.decodes:
            own, targets = decode_spikes * size / layout.decode_neurons, len(layout.neuron_parts)
            arriving = spikes * (group.neurons.stop - group.neurons.start) / neurons + inputs
        else:
            own, targets, arriving = spikes * size / neurons, len(group.decode_parts), decode_spikes
        loads.append(CoreLoad(core.name, size * steps, own, own * targets, arriving, arriving * size))
    return loads


def _hops(
    layout: Layout, loads: list[CoreLoad], inputs: float, config: HardwareConfig
) -> tuple[float, float] | None:  # fmt: skip
    """Tiles that all messages pass along rows and along columns; None without a mesh."""
    if config.mesh is None:
        return None
    cores = layout.cores()
    tile = np.arange(len(cores)) // config.mesh.cores_per_tile
    place = np.stack([tile // config.mesh.rows, tile % config.mesh.rows], axis=1)
    decodes, group = np.array([core.decodes for core in cores]), np.array([core.group for core in cores])
    total = inputs * np.abs(place[decodes] - place[0]).sum(axis=0)
    for at, core, load in zip(place, cores, loads, strict=True):
        reached = ~decodes if core.decodes else decodes & (group == core.group)
        total = total + load.spikes * np.abs(place[reached] - at).sum(axis=0)
    return float(total[0]), float(total[1])


def _filled(parts: Iterable[np.ndarray]) -> float:
    """Share of weights that are not zero; 0 without any."""
    parts = list(parts)
    size = sum(weights.size for weights in parts)
    return sum(int(np.count_nonzero(weights)) for weights in parts) / size if size else 0.0


def _footprint_bytes(layout: Layout, compartments: int, precision: Precision) -> float:
    """Bytes of weights, biases and states: packed as the device packs them, or 32-bit floats."""
    cores = layout.cores()
    if precision.state_bits is None or precision.bias_bits is None:
        return _FLOAT_BITS * (sum(core.input_axons * core.compartments for core in cores) + 3 * compartments) / 8
    bias_bits = precision.bias_bits + 1 + (precision.bias_exponent_bits or 0)
    each = bias_bits + 2 * (precision.state_bits + 1)
    return (sum(core.synapse_bits for core in cores) + compartments * each) / 8
