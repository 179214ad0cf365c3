"""A spiking network as a NIR graph, and the arrays of such a graph as those of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.exchange.nir_form import Form
    from ddm2snn.network import SpikingNetwork

FACTORED_EDGES = (
    ("input", "input_map"), ("input_map", "encode"), ("decode", "encode"), ("encode", "neurons"),
    ("neurons", "decode"), ("neurons", "output"),
)  # fmt: skip
LATENT_EDGES = (
    ("input", "input_map"), ("input_map", "latent"), ("decode", "latent"), ("latent", "encode"),
    ("encode", "neurons"), ("neurons", "decode"), ("neurons", "output"),
)  # fmt: skip
DENSE_EDGES = (
    ("input", "input_map"), ("input_map", "neurons"), ("recurrent", "neurons"), ("neurons", "recurrent"),
    ("neurons", "output"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Node:
    """A NIR primitive by its name, with its parameters; that of inputs and outputs is their `shape`."""

    kind: str
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Graph:
    """A NIR graph without any library: nodes by name, edges, and what its writer says of it."""

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, str | float] = field(default_factory=dict)


@np.errstate(over="ignore", invalid="ignore")  # checked at the end
def graph_of(network: SpikingNetwork, form: Form) -> Graph:
    r"""Write a network as a NIR graph.

    The synaptic filter of the latents commutes with the encoders:
    :math:`T\dot I = -I + E(D s + u) + \beta` gives :math:`I = E z + \beta`, so that "factored" needs no node for the
    latents: spikes, Affine (rank, neuron), Affine (neuron, rank) with :math:`\beta`, CubaLIF with
    :math:`\tau_{syn} = T`. "latent" has a leaky integrator in between, which NIR's definition allows and most readers
    misread; "dense" multiplies the factors out. :math:`\beta` passes through the filter in all but "latent", so that
    neurons are silent for the first part of T. Nothing keeps voltages from falling below reset, which matters where
    latents move within a few membrane time constants; see `ddm2snn.exchange.consequences.floor_loss`.
    """
    _check(network)
    neuron, n = network.neuron, network.neurons
    decode = network.decoders if form.step_s is None else network.decoders / form.dt_s
    inputs = network.input_map if network.input_map.shape[1] else np.zeros((network.rank, 1))
    synapse, membrane = form.gain(network.time_unit_s), form.gain(neuron.single_tau_s)
    tau_mem, tau_syn = form.tau_s(neuron.single_tau_s), form.tau_s(network.time_unit_s)
    spiking = {"v_leak": np.zeros(n), "v_reset": np.zeros(n), "r": np.full(n, membrane)}
    cuba = {
        **spiking, "tau_syn": np.full(n, tau_syn), "tau_mem": np.full(n, tau_mem), "w_in": np.full(n, synapse),
        "v_threshold": np.full(n, synapse * membrane),
    }  # fmt: skip
    nodes = {"input": Node("Input", {"shape": np.array([inputs.shape[1]])})}
    if form.dialect == "dense":
        nodes["input_map"] = _affine(network.encoders @ inputs)
        nodes["recurrent"] = _affine(network.encoders @ decode, network.bias)
        nodes["neurons"] = Node("CubaLIF", cuba)
        edges = DENSE_EDGES
    else:
        nodes["input_map"] = _affine(inputs)
        nodes["decode"] = _affine(decode)
        nodes["encode"] = _affine(network.encoders, network.bias)
        if form.dialect == "factored":
            nodes["neurons"] = Node("CubaLIF", cuba)
            edges = FACTORED_EDGES
        else:
            k = network.rank
            latent = {"tau": np.full(k, tau_syn), "r": np.ones(k), "v_leak": np.zeros(k)}
            threshold = {"tau": np.full(n, tau_mem), "v_threshold": np.full(n, membrane)}
            nodes |= {"latent": Node("LI", latent), "neurons": Node("LIF", {**spiking, **threshold})}
            edges = LATENT_EDGES
    nodes["output"] = Node("Output", {"shape": np.array([n])})
    said: dict[str, str | float] = {"spikes": form.spikes, "dialect": form.dialect, "dt_s": float(network.dt_s)}
    if form.step_s is not None:
        said |= {"reader": str(form.reader), "step_s": float(form.step_s)}
    if not all(np.isfinite(array).all() for node in nodes.values() for array in node.arrays.values()):
        raise InputError(
            "This network's numbers leave the range of 64 bits where the file needs their products. Scale its latents."
        )
    return Graph(nodes, edges, said)


def _affine(weight: np.ndarray, bias: np.ndarray | None = None) -> Node:
    return Node("Affine", {"weight": weight, "bias": np.zeros(len(weight)) if bias is None else bias})


def _check(network: SpikingNetwork) -> None:
    """Refuse what no NIR node is."""
    if not network.neuron.plain_lif:
        raise InputError(
            f"NIR export is of LIF neurons with one time constant, a fixed threshold and a reset to a value, got "
            f"{type(network.neuron).__name__}. Convert with LIF neurons."
        )


def same_content(graph: Graph, other: Graph) -> bool:
    """Whether two graphs have the same nodes and edges, with the same numbers to the last bit."""
    if set(graph.edges) != set(other.edges) or set(graph.nodes) != set(other.nodes):
        return False
    for name, node in graph.nodes.items():
        held, found = node.arrays, other.nodes[name].arrays
        if node.kind != other.nodes[name].kind or set(held) != set(found):
            return False
        if any(held[key].shape != found[key].shape or held[key].tobytes() != found[key].tobytes() for key in held):
            return False
    return True
