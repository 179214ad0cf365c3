"""Spiking networks from NIR graphs of the factored form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard, get_args

import numpy as np

from ddm2snn.base.files import digest_of
from ddm2snn.conversion.convert import with_constant
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.nir_files import read_graph, read_sidecar, sidecar_of
from ddm2snn.exchange.nir_graph import Graph, Node, SpikeUnit
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import LIF

if TYPE_CHECKING:
    from jaxtyping import Float

_LINEAR = ("Affine", "Linear")


def import_nir(path: Path | str, *, spikes: SpikeUnit | None = None, dt_s: float | None = None) -> SpikingNetwork:
    r"""Read a NIR file whose graph has the factored form.

    The form has a spiking node, a map decode (rank, neuron), a map encode (neuron, rank), and the filter either in the
    synapse of a CubaLIF or in an LI node between the two maps. With the sidecar that `ddm2snn.export` wrote beside the
    file, the network comes back as it was. Without, it has what NIR holds: LIF neurons without refractory period, no
    noise, latents that start at zero in their own units, each neuron a unit of its own.

    Parameters
    ----------
    spikes
        What a spike counts, where the file does not say.
    dt_s
        Time step of the network, where the file does not say; that of its forward Euler steps where spikes count 1.
    """
    if sidecar_of(path).exists():
        return read_sidecar(Path(path))
    graph = read_graph(path)
    unit = spikes or graph.metadata.get("spikes")
    if unit not in get_args(SpikeUnit):
        raise InputError(f"{path} does not say what a spike counts. Give spikes: 'per second' or 'per step'.")
    network_step_s = dt_s if dt_s is not None else graph.metadata.get("dt_s")
    if not _is_step(network_step_s):
        raise InputError(f"{path} does not say its time step. Give dt_s in seconds.")
    reader_step_s = graph.metadata.get("step_s", network_step_s) if dt_s is None else dt_s
    if not _is_step(reader_step_s):
        raise FileRefusedError(f"{path} says a step of {reader_step_s!r} s, which is none. Give dt_s.")
    return _network(Path(path), graph, float(network_step_s), float(reader_step_s) if unit == "per step" else None)


def _is_step(value: object) -> TypeGuard[float]:
    return isinstance(value, float | int) and math.isfinite(value) and value > 0


def _network(path: Path, graph: Graph, dt_s: float, step_s: float | None) -> SpikingNetwork:
    """Network of a graph for its own step, and that of the file's reader; None in continuous time."""
    graph, rise_s = _without_rise(path, graph)
    spiking, encode, latent, decode, inputs, constant = _parts(path, graph)
    neurons = spiking.arrays
    n = len(neurons["v_threshold"])
    of_filter, of_membrane = ("tau_syn", "tau_mem") if latent is spiking else ("tau", "tau")
    tau_syn, tau_mem = _uniform(path, of_filter, latent.arrays), _uniform(path, of_membrane, neurons)
    for tau in (tau_syn, tau_mem):
        if not tau > (step_s or 0.0):
            raise InputError(f"{path} has a time constant of {tau:g} s, which is no more than a step. Check dt_s.")
    reset = neurons.get("v_reset", np.zeros(n))
    span = neurons["v_threshold"] - reset
    if not (span > 0).all():
        raise InputError(
            f"{path} has thresholds that do not lie above the reset, so that neurons fire for ever. Raise them."
        )
    gain = neurons["r"] * neurons.get("w_in", np.ones(n)) / span
    rest = (neurons["v_leak"] - reset) / span
    encoders, bias = encode.arrays["weight"] * gain[:, None], _bias(encode) * gain
    decoders = decode.arrays["weight"]
    if latent is not spiking:
        decoders, inputs = (each * latent.arrays["r"][:, None] for each in (decoders, inputs))
    if step_s is not None:  # the inverse of `Nir.tau_s`
        tau_syn, tau_mem = (dt_s / -math.log1p(-step_s / tau) for tau in (tau_syn, tau_mem))
        decoders = decoders * dt_s
    network = SpikingNetwork(
        encoders=encoders,
        bias=np.where(rest != 0, bias + rest, bias),
        decoders=decoders,
        unit=np.arange(n),
        rate_left_vectors=encoders,
        diffusion_factor=np.zeros((len(decoders), len(decoders))),
        input_map=inputs[:, :0] if inputs.shape[1] == 1 and not inputs.any() else inputs,
        latent_offset=np.zeros(len(decoders)),
        latent_scale=np.ones(len(decoders)),
        initial_latent=np.zeros((1, len(decoders))),
        neuron=LIF(tau_mem, 0.0),
        time_unit_s=tau_syn,
        rise_s=rise_s,
        dt_s=dt_s,
        spike_timing="grid",
        backend="reference",
        rate_fingerprint="none: imported from NIR",
        provenance={"imported": {"file": path.name, "sha256": digest_of(path), "form": "NIR", **graph.metadata}},
    )
    return with_constant(network, constant) if constant.any() else network


def _without_rise(path: Path, graph: Graph) -> tuple[Graph, float]:
    """Graph in which what follows the rise of the synapses follows their decoders, and the time that it takes.

    The rise is an LI node with one source, a linear map, ahead of the filter: of another LI or a CubaLIF's synapse.
    """
    kinds = {name: node.kind for name, node in graph.nodes.items()}
    ahead = {"LI"} if "LIF" in kinds.values() else {"Affine", "Linear"}
    for name, node in graph.nodes.items():
        sources = [source for source, target in graph.edges if target == name]
        targets = [target for source, target in graph.edges if source == name]
        fits = len(sources) == 1 and kinds[sources[0]] in _LINEAR and {kinds[each] for each in targets} <= ahead
        if node.kind != "LI" or not targets or not fits:
            continue
        if not all(name in node.arrays for name in _NEEDED["LI"]) or not (
            (node.arrays["r"] == 1.0).all() and not node.arrays["v_leak"].any()
        ):
            raise _other_form(path, f"its node {name} changes the size of what passes")
        edges = [edge for edge in graph.edges if name not in edge] + [(sources[0], target) for target in targets]
        nodes = {other: each for other, each in graph.nodes.items() if other != name}
        return Graph(nodes, tuple(edges), graph.metadata), _uniform(path, "tau", node.arrays)
    return graph, 0.0


def _parts(path: Path, graph: Graph) -> tuple[Node, Node, Node, Node, np.ndarray, np.ndarray]:
    """Nodes of the factored form by how they are connected, or a refusal that says which is missing.

    They are neurons, encoders, filter (the neurons' own node where it is their synapse) and decoders; after them the
    map of the input and the constant input of the latents.
    """
    nodes = graph.nodes
    sources = {name: [source for source, target in graph.edges if target == name] for name in nodes}

    def of_kind(names: Iterable[str], *kinds: str) -> list[str]:
        return [name for name in names if nodes[name].kind in kinds]

    def single(names: list[str], kinds: tuple[str, ...], reason: str) -> str:
        if len(names) != 1 or not of_kind(names, *kinds):
            raise _other_form(path, reason)
        return names[0]

    spiking = of_kind(nodes, "CubaLIF", "LIF")
    if len(spiking) != 1:
        raise _other_form(path, f"it has {len(spiking)} spiking nodes, not one")
    neurons = nodes[spiking[0]]
    encode = single(sources[spiking[0]], _LINEAR, "the neurons are not fed by one linear map")
    latent, feeding = neurons, sources[encode]
    if neurons.kind == "LIF":
        name = single(feeding, ("LI",), "a LIF without a synapse needs an LI node before its encoders")
        latent, feeding = nodes[name], sources[name]
    decode = [name for name in of_kind(feeding, *_LINEAR) if sources[name] == spiking]
    inputs = [name for name in feeding if name not in decode]
    if len(decode) != 1 or len(inputs) > 1:
        raise _other_form(path, "the latents are not fed by one linear map of the spikes and one input at most")
    rank = _checked_rank(path, neurons, nodes[encode], latent, nodes[decode[0]])
    input_map, constant = np.zeros((rank, 0)), _bias(nodes[decode[0]])
    if of_kind(inputs, "Input"):
        input_map = np.eye(rank)
    elif inputs:
        reason = "what feeds the latents besides the spikes is no linear map of the input"
        node = nodes[single(inputs, _LINEAR, reason)]
        single(sources[inputs[0]], ("Input",), reason)
        input_map = node.arrays.get("weight", np.zeros(0))
        if input_map.ndim != 2 or len(input_map) != rank or _bias(node).shape != (rank,):
            raise _other_form(path, f"the map of the input has shape {input_map.shape} for {rank} latents")
        constant = constant + _bias(node)
    return neurons, nodes[encode], latent, nodes[decode[0]], input_map, constant


def _other_form(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is no graph of the factored form: {reason}. The form is spikes, Affine (rank, neuron), Affine "
        "(neuron, rank), CubaLIF, or with an LI node between the two and a LIF."
    )


def _bias(node: Node) -> Float[np.ndarray, " row"]:
    """Bias of a linear map; zeros where it has none."""
    return node.arrays.get("bias", np.zeros(np.shape(node.arrays.get("weight", ()))[:1]))


_NEEDED = {
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"),
    "LIF": ("tau", "r", "v_leak", "v_threshold"),
    "LI": ("tau", "r", "v_leak"),
}


def _checked_rank(path: Path, neurons: Node, encode: Node, latent: Node, decode: Node) -> int:
    """Rank of the form, once every array is there in its shape."""
    weight = decode.arrays.get("weight", np.zeros(0))
    if weight.ndim != 2 or 0 in weight.shape:
        raise InputError(f"{path}: the decoders must be (rank, neuron), found shape {weight.shape}. Transpose them.")
    rank, n = weight.shape

    def check(arrays: Mapping[str, np.ndarray], names: Iterable[str], *shape: int) -> None:
        for name in names:
            actual = arrays[name].shape if name in arrays else None
            if actual != shape:
                raise InputError(f"{path}: {name} must have shape {shape}, found {actual or 'none'}.")

    check(encode.arrays, ["weight"], n, rank)
    check({"bias": _bias(encode)}, ["bias"], n)
    check({"bias": _bias(decode)}, ["bias"], rank)
    check(neurons.arrays, [*_NEEDED[neurons.kind], *sorted(neurons.arrays.keys() & {"v_reset", "w_in"})], n)
    if latent is not neurons:
        check(latent.arrays, _NEEDED["LI"], rank)
        if latent.arrays["v_leak"].any():
            raise InputError(f"{path}: the latents leak to other values than zero. Shift them to zero.")
    return rank


def _uniform(path: Path, name: str, arrays: Mapping[str, np.ndarray]) -> float:
    values = arrays[name]
    if not (values == values[0]).all():
        raise InputError(
            f"{path}: {name} differs between neurons ({values.min():g} to {values.max():g}). Set one value."
        )
    return float(values[0])
