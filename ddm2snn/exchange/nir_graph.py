"""Spiking networks as NIR graphs: nodes and edges, units and steps that a reader takes, and what NIR leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ddm2snn.base.html import fields_table
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork, to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

Dialect = Literal["factored", "latent", "dense"]
"""Where the filter stands: in each neuron's synapse behind the encoders, in k latents, or behind a dense matrix."""
SpikeUnit = Literal["per second", "per step"]
"""What a spike counts: 1/h in a step h, so that filters give Hz, or 1."""
_TIME_UNITS, _TRIALS = 6.0, 4  # of the run that counts spikes
_MOST_WORK, _STEP_WORK = 1e8, 5000  # of it, in updates of a neuron: a second or two; work of a step without neurons
_FEWEST_SPIKES, _NOTICEABLE = 100, 0.01  # a change of 1 % is a spike of 100


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
    within a few membrane time constants; see `floor_loss`.
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


@np.errstate(all="ignore")  # the numbers go into a sentence; a network may hold any finite number
def refractory_loss(network: SpikingNetwork) -> tuple[float, float, float] | None:
    r"""What changes without the refractory period, by the neurons' curves; None where the network has none.

    The mean rates in Hz over neurons and over the states that the network carries, with and without it, and the root
    mean square of :math:`D (F_0(J) - F(J))` over that of the drift :math:`D F(J) - z`: the relative error of the
    dynamics with the same decoders.
    """
    neuron = network.neuron
    if not neuron.plain_lif or not neuron.refractory_s:
        return None
    z = to_internal(network, network.initial_latent)
    current = z @ network.encoders.T + network.bias
    free = replace(neuron, refractory_s=0.0)
    try:
        neuron.check_step(network.dt_s, network.spike_timing)
        timing, free_timing = network.spike_timing, "grid"
    except InputError:  # no simulator takes this step: curves in continuous time
        timing, free_timing = "interpolated", "interpolated"
    before_hz = neuron.rate_hz(current, timing=timing, dt_s=network.dt_s)
    after_hz = free.rate_hz(current, timing=free_timing, dt_s=network.dt_s)
    drift = before_hz @ network.decoders.T - z
    change = (after_hz - before_hz) @ network.decoders.T
    size = float(np.sqrt((drift**2).mean()))
    readout_error = float(np.sqrt((change**2).mean())) / size if size > 0 else float("inf")
    return float(before_hz.mean()), float(after_hz.mean()), readout_error


@np.errstate(all="ignore")
def floor_loss(network: SpikingNetwork) -> tuple[float, float] | None:
    """What changes where voltages may fall below reset, so that neurons fire late after inhibition.

    Spikes of the same currents are counted with and without the floor. The currents are those of a short run of the
    network without a refractory period; where the noise depends on the state, the run has noise of the mean factor.

    Returned are the largest relative change of the number of spikes over neurons with 100 spikes or more, and the share
    of these that change by more than 1 %; None for neurons other than LIF, and where no neuron fires 100 times.
    """
    if not network.neuron.plain_lif:
        return None
    work_of_step = _TRIALS * network.neurons + _STEP_WORK
    steps = int(min(_TIME_UNITS * network.time_unit_s / network.dt_s, _MOST_WORK / work_of_step))
    z = to_internal(network, network.initial_latent[:_TRIALS])
    decay = float(np.exp(-network.dt_s / network.time_unit_s))
    membrane_decay = float(np.exp(-network.dt_s / network.neuron.single_tau_s))
    bounded = np.zeros((len(z), network.neurons))
    free, with_floor, without = bounded, np.zeros(network.neurons), np.zeros(network.neurons)
    factor = _diffusion_factors(network).mean(axis=0)
    rng, noise = np.random.default_rng(0), factor.T * np.sqrt((1.0 - decay**2) / 2.0)
    for _ in range(steps):
        current = z @ network.encoders.T + network.bias
        bounded, free = (current + (voltage - current) * membrane_decay for voltage in (np.maximum(bounded, 0.0), free))
        fired, other = bounded > 1.0, free > 1.0
        bounded, free = np.where(fired, 0.0, bounded), np.where(other, 0.0, free)
        with_floor, without = with_floor + fired.sum(axis=0), without + other.sum(axis=0)
        z = decay * z + (1.0 - decay) / network.dt_s * (fired @ network.decoders.T)
        z = z + rng.standard_normal(z.shape) @ noise
    busy = with_floor >= _FEWEST_SPIKES
    if not busy.any():
        return None
    change = np.abs(without[busy] - with_floor[busy]) / with_floor[busy]
    return float(change.max()), float((change > _NOTICEABLE).mean())


def _diffusion_factors(network: SpikingNetwork) -> Float[np.ndarray, "sample rank rank"]:
    """Diffusion factor at the initial latents, in continuous time where no simulator takes the network's step."""
    z, decoders = to_internal(network, network.initial_latent), network.diffusion_decoders
    try:
        return network.internal_factor(z)
    except InputError:
        if decoders is None:
            raise
        rates_hz = network.neuron.rate_hz(z @ network.encoders.T + network.bias)
        return network.diffusion_factor + np.einsum("sj,rcj->src", rates_hz, decoders)


@np.errstate(all="ignore")
def losses(network: SpikingNetwork) -> list[str]:
    """Sentences on what NIR leaves out of a network, each with its numbers; none where it leaves out nothing."""
    sentences = []
    loss = refractory_loss(network)
    if loss is not None:
        before_hz, after_hz, readout_error = loss
        more = f" ({after_hz / before_hz - 1:+.0%})" if before_hz > 0 else ""
        sentences.append(
            f"NIR has no refractory period: without its {1e3 * network.neuron.refractory_s:g} ms the mean rate goes "
            f"from {before_hz:.3g} to {after_hz:.3g} Hz{more}, which changes the drift by "
            f"{readout_error:.2g} of its size. Solve the decoders for that with without_refractory."
        )
    floor = floor_loss(network)
    if floor is not None and floor[0] > _NOTICEABLE:
        worst, share = floor
        sentences.append(
            f"NIR's voltages have no floor at reset: a share of {share:.2g} of the neurons change their rate by "
            f"more than 1 %, at most by {worst:.0%}, since they answer late after inhibition. Convert with a "
            "longer time unit."
        )
    # size of the injected noise, root of the diagonal of G G^T, over the states that the network carries
    sizes = np.sqrt((_diffusion_factors(network) ** 2).sum(axis=-1)) * network.latent_scale
    return [*sentences, _noise_sentence(network, sizes)] if sizes.any() else sentences


def _noise_sentence(network: SpikingNetwork, sizes: Float[np.ndarray, "sample rank"]) -> str:
    ranges = zip(sizes.min(axis=0), sizes.max(axis=0), strict=True)
    words = ", ".join(f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}" for low, high in ranges)
    remedy = "the sidecar has the factor, which the input node can be fed with."
    if network.diffusion_decoders is not None:
        remedy = (
            "it depends on the state, and the sidecar has the decoders that make its factor out of spikes: feed the "
            "input node with that, or use format hdf5, brian2 or pynn."
        )
    unit = "in system units per square root of the time unit"
    return f"NIR has no noise: {words} per latent, {unit}, stay out; {remedy}"
