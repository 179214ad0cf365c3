"""Spiking networks as NIR graphs: nodes and edges, and the units and steps that a reader of NIR takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from ddm2snn.base.html import fields_table
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork

Dialect = Literal["factored", "latent", "dense"]
"""Where the filter stands: in each neuron's synapse behind the encoders, in k latents, or behind a dense matrix."""
SpikeUnit = Literal["per second", "per step"]
"""What a spike counts: 1/h in a step h, so that filters give Hz, or 1."""


@dataclass(frozen=True)
class Reader:
    r"""How a simulator reads NIR: in forward Euler steps, with a spike counted as 1 in its step.

    `step_s` is the time step that is built in, None where the simulator takes any. `gains` says whether it wants
    :math:`w_{in} = \tau_{syn}/h` and :math:`R = \tau_{mem}/h`, so that nothing is scaled by the step h: the threshold
    is then their product. `note` is for its user.
    """

    step_s: float | None
    gains: bool
    note: str


READERS: dict[str, Reader] = {
    "norse": Reader(None, gains=False, note="Read with norse.torch.from_nir(nir.read(FILE), dt=DT)."),
    "snntorch": Reader(
        1e-4, gains=True, note="snnTorch has steps of 1e-4 s built in: each of its steps stands for one of DT."
    ),
    "spikingjelly": Reader(None, gains=True, note="Read with import_from_nir(FILE, dt=DT)."),
}
"""Simulators whose reading of the files is tested, by name."""


@dataclass(frozen=True)
class Nir:
    r"""How a NIR file is written.

    Without a reader the file is in continuous time: time constants in seconds, a spike train in Hz (a Dirac pulse of
    area 1 for each spike), decoders as they are. For a reader in steps of :math:`dt`, which counts a spike as 1,

    .. math:: \tau' = \frac{h}{1 - e^{-dt/\tau}}, \qquad D' = D / dt,

    with h the reader's own step (dt where it takes any), so that its Euler step, :math:`1 - h/\tau'`, is the exact
    decay :math:`e^{-dt/\tau}` of a step.

    Parameters
    ----------
    dialect
        See `Dialect`.
    reader
        Simulator whose scalings the file gets, one of `READERS`; None for continuous time, which is exact.

    Examples
    --------
    >>> nir = Nir(reader="norse")
    >>> nir
    Nir(dialect='factored', reader='norse')
    >>> f"{1 - nir.step_s(1e-3) / nir.tau_s(0.02, 1e-3):.6f}", f"{np.exp(-1e-3 / 0.02):.6f}"
    ('0.951229', '0.951229')
    """

    dialect: Dialect = "factored"
    reader: str | None = None

    _repr_html_ = fields_table

    def check(self) -> None:
        """Refuse a dialect or a reader that is not known."""
        if self.dialect not in get_args(Dialect):
            raise InputError(
                f"There is no NIR dialect {self.dialect!r}; known are {', '.join(get_args(Dialect))}. Choose one."
            )
        if self.reader is not None and self.reader not in list(READERS):  # a list takes what has no hash
            raise InputError(
                f"There is no NIR reader {self.reader!r}; tested are {', '.join(READERS)}. "
                "Leave it out for a file in continuous time."
            )

    def step_s(self, dt_s: float) -> float | None:
        """Step h that the file of a network in steps of `dt_s` is written for; None in continuous time."""
        return None if self.reader is None else READERS[self.reader].step_s or dt_s

    def tau_s(self, tau_s: float, dt_s: float) -> float:
        """Time constant as the file states it."""
        step_s = self.step_s(dt_s)
        return tau_s if step_s is None else step_s / -float(np.expm1(-dt_s / tau_s))

    def gain(self, tau_s: float, dt_s: float) -> float:
        """Gain of a filter with this time constant: w_in of a synapse, r of a membrane."""
        step_s = self.step_s(dt_s)
        gains = self.reader is not None and READERS[self.reader].gains
        return self.tau_s(tau_s, dt_s) / step_s if gains and step_s is not None else 1.0


@dataclass(frozen=True, eq=False)
class Node:
    """A NIR primitive by its name, with its parameters; inputs and outputs have the parameter `shape`."""

    kind: str
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Graph:
    """A NIR graph without any library: nodes by name, edges, and the metadata of its writer."""

    nodes: Mapping[str, Node]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, str | float] = field(default_factory=dict)


_EDGES: Mapping[Dialect, tuple[tuple[str, str], ...]] = {
    "factored": (
        ("input", "input_map"), ("input_map", "encode"), ("decode", "encode"), ("encode", "neurons"),
        ("neurons", "decode"), ("neurons", "output"),
    ),
    "latent": (
        ("input", "input_map"), ("input_map", "latent"), ("decode", "latent"), ("latent", "encode"),
        ("encode", "neurons"), ("neurons", "decode"), ("neurons", "output"),
    ),
    "dense": (
        ("input", "input_map"), ("input_map", "neurons"), ("recurrent", "neurons"), ("neurons", "recurrent"),
        ("neurons", "output"),
    ),
}  # fmt: skip


@np.errstate(over="ignore", invalid="ignore")  # refused at the end
def graph_of(network: SpikingNetwork, form: Nir) -> Graph:
    r"""Write a network as a NIR graph.

    The synaptic filter of the latents commutes with the encoders:
    :math:`T\dot I = -I + E(D s + u) + \beta` gives :math:`I = E z + \beta`, so that "factored" needs no node for the
    latents: spikes, Affine (rank, neuron), Affine (neuron, rank) with :math:`\beta`, CubaLIF with
    :math:`\tau_{syn} = T`. "latent" has a leaky integrator in between, which NIR's definition allows and most readers
    misread; "dense" multiplies the factors out. :math:`\beta` passes through the filter in all but "latent", so that
    neurons are silent for the first part of T. NIR's voltages may fall below reset, which matters where latents move
    within a few membrane time constants; see `ddm2snn.exchange.nir_losses.floor_loss`.
    """
    form.check()
    neuron, n, dt_s, step_s = network.neuron, network.neurons, network.dt_s, form.step_s(network.dt_s)
    if not neuron.plain_lif:
        raise InputError(
            f"NIR export is of LIF neurons with one time constant, a fixed threshold and a reset to a value, got "
            f"{type(neuron).__name__}. Convert with LIF neurons."
        )
    decode = network.decoders if step_s is None else network.decoders / dt_s
    inputs = network.input_map if network.input_map.shape[1] else np.zeros((network.rank, 1))
    synapse, membrane = form.gain(network.time_unit_s, dt_s), form.gain(neuron.single_tau_s, dt_s)
    tau_mem, tau_syn = form.tau_s(neuron.single_tau_s, dt_s), form.tau_s(network.time_unit_s, dt_s)
    spiking = {"v_leak": 0.0, "v_reset": 0.0, "r": membrane}
    nodes = {"input": Node("Input", {"shape": np.array([inputs.shape[1]])})}
    if form.dialect == "dense":
        nodes["input_map"] = _affine(network.encoders @ inputs)
        nodes["recurrent"] = _affine(network.encoders @ decode, network.bias)
    else:
        nodes["input_map"] = _affine(inputs)
        nodes["decode"] = _affine(decode)
        nodes["encode"] = _affine(network.encoders, network.bias)
    if form.dialect == "latent":
        nodes["latent"] = _uniform("LI", network.rank, tau=tau_syn, r=1.0, v_leak=0.0)
        nodes["neurons"] = _uniform("LIF", n, tau=tau_mem, v_threshold=membrane, **spiking)
    else:
        times = {"tau_syn": tau_syn, "tau_mem": tau_mem}
        nodes["neurons"] = _uniform("CubaLIF", n, w_in=synapse, v_threshold=synapse * membrane, **times, **spiking)
    nodes["output"] = Node("Output", {"shape": np.array([n])})
    edges = _EDGES[form.dialect]
    if network.rise_s:
        edges = _with_rise(edges, nodes, network, form)
    spikes: SpikeUnit = "per second" if step_s is None else "per step"
    metadata: dict[str, str | float] = {"spikes": spikes, "dialect": form.dialect, "dt_s": float(dt_s)}
    if step_s is not None:
        metadata |= {"reader": str(form.reader), "step_s": float(step_s)}
    if not all(np.isfinite(array).all() for node in nodes.values() for array in node.arrays.values()):
        raise InputError(
            "This network's numbers leave the range of 64 bits where the file needs their products. Scale its latents."
        )
    return Graph(nodes, edges, metadata)


def _with_rise(
    edges: tuple[tuple[str, str], ...], nodes: dict[str, Node], network: SpikingNetwork, form: Nir
) -> tuple[tuple[str, str], ...]:
    """Put an LI node "rise" behind what carries spikes to latents or, in "dense", to neurons; return the edges."""
    if form.reader is not None:
        raise InputError(
            f"Synapses rise in rise_s = {network.rise_s:g} s, for which NIR has a node that {form.reader} does not "
            "read as it is meant. Convert with rise_s=0, or leave the reader out."
        )
    sends = "recurrent" if form.dialect == "dense" else "decode"
    if form.dialect == "dense":  # the bias must not pass the rise: it stands with the input
        nodes["recurrent"] = _affine(nodes["recurrent"].arrays["weight"])
        nodes["input_map"] = _affine(nodes["input_map"].arrays["weight"], network.bias)
    nodes["rise"] = _uniform("LI", len(nodes[sends].arrays["weight"]), tau=network.rise_s, r=1.0, v_leak=0.0)
    moved = tuple(("rise", target) if source == sends else (source, target) for source, target in edges)
    return (*moved, (sends, "rise"))


def _affine(weight: np.ndarray, bias: np.ndarray | None = None) -> Node:
    return Node("Affine", {"weight": weight, "bias": np.zeros(len(weight)) if bias is None else bias})


def _uniform(kind: str, width: int, **parameters: float) -> Node:
    return Node(kind, {name: np.full(width, value) for name, value in parameters.items()})
