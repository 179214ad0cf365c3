"""NIR graphs that have the factored form, as spiking networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ddm2snn.conversion.convert import with_constant
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.nir_files import read_graph
from ddm2snn.exchange.nir_form import Form
from ddm2snn.exchange.nir_graph import Graph, Node, graph_of, same_content
from ddm2snn.exchange.sidecar import read_sidecar, sidecar_of
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import LIF

if TYPE_CHECKING:
    from jaxtyping import Float

Spikes = Literal["per second", "per step"]
_LINEAR = ("Affine", "Linear")


def import_nir(path: Path | str, *, spikes: Spikes | None = None, dt_s: float | None = None) -> SpikingNetwork:
    r"""Read a NIR file whose graph has the factored form.

    Spiking node, decode (rank, neuron), encode (neuron, rank), and the filter either in the synapse of a CubaLIF or in
    an LI node between the two. With the sidecar that `ddm2snn.export` wrote beside it the network comes back as it was;
    without, what NIR holds: a LIF without refractory period, no noise, latents in their own units from zero, each
    neuron a unit of its own.

    Parameters
    ----------
    path
        The file.
    spikes
        What a spike counts, where the file does not say: "per second" (1/dt in a step, so that filters give Hz) or
        "per step" (1).
    dt_s
        Time step of the network, where the file does not say; that of its forward Euler steps where spikes count 1.

    Raises
    ------
    InputError
        Where the file is refused, its graph has another form, or what it does not say is not given.
    """
    graph = read_graph(path)
    if sidecar_of(path).exists():
        return _with_sidecar(graph, Path(path))
    said = dict(graph.metadata)
    counted = spikes or said.get("spikes")
    if counted not in ("per second", "per step"):
        raise InputError(f"{path} does not say what a spike counts. Give spikes: 'per second' or 'per step'.")
    step = dt_s if dt_s is not None else said.get("dt_s")
    if not isinstance(step, float | int) or not (math.isfinite(step) and step > 0):
        raise InputError(f"{path} does not say its time step. Give dt_s in seconds.")
    own_step = said.get("step_s", step) if dt_s is None else dt_s
    if not isinstance(own_step, float | int) or not (math.isfinite(own_step) and own_step > 0):
        raise FileRefusedError(f"{path} says a step of {own_step!r} s, which is none. Give dt_s.")
    clock = _Clock(float(step), float(own_step) if counted == "per step" else None)
    return _network(Path(path), graph, clock)


@dataclass(frozen=True)
class _Clock:
    """Step of the network, and that of the file's reader; None in continuous time."""

    dt_s: float
    step_s: float | None

    def tau_s(self, tau_s: float) -> float:
        """Time constant of the network for one of the file; inverse of `Form.tau_s`."""
        return tau_s if self.step_s is None else self.dt_s / -math.log1p(-self.step_s / tau_s)


def _with_sidecar(graph: Graph, path: Path) -> SpikingNetwork:
    held = {}
    if "encode" in graph.nodes and {"weight", "bias"} <= set(graph.nodes["encode"].arrays):
        held |= {"encoders": graph.nodes["encode"].arrays["weight"], "bias": graph.nodes["encode"].arrays["bias"]}
    for name, array in (("decode", "decoders"), ("input_map", "input_map")):
        if name in graph.nodes and "weight" in graph.nodes[name].arrays:
            held[array] = graph.nodes[name].arrays["weight"]
    network, said = read_sidecar(sidecar_of(path), held)
    form = Form(said.get("dialect"), said.get("reader"), network.dt_s)  # pyright: ignore[reportArgumentType] - checked
    if not same_content(graph_of(network, form), graph):
        raise FileRefusedError(
            f"{path} was changed after {sidecar_of(path).name} was written. Remove that to import what NIR holds."
        )
    return network


def _network(path: Path, graph: Graph, clock: _Clock) -> SpikingNetwork:
    parts = _parts(path, graph)
    neurons = parts.neurons.arrays
    n = len(neurons["v_threshold"])
    of_filter, of_membrane = parts.tau_names
    tau_syn, tau_mem = _uniform(path, of_filter, parts.filter.arrays), _uniform(path, of_membrane, neurons)
    for tau in (tau_syn, tau_mem):
        if not tau > (clock.step_s or 0.0):
            raise InputError(f"{path} has a time constant of {tau:g} s, which is no more than a step. Check dt_s.")
    span = neurons["v_threshold"] - neurons.get("v_reset", np.zeros(n))
    if not (span > 0).all():
        raise InputError(
            f"{path} has thresholds that do not lie above the reset, so that neurons fire for ever. Raise them."
        )
    gain = neurons["r"] * neurons.get("w_in", np.ones(n)) / span
    rest = (neurons["v_leak"] - neurons.get("v_reset", np.zeros(n))) / span
    encoders, bias = parts.encode.arrays["weight"] * gain[:, None], _bias(parts.encode) * gain
    decoders, inputs = parts.decode.arrays["weight"], parts.input_map
    if parts.filter is not parts.neurons:
        decoders = decoders * parts.filter.arrays["r"][:, None]
        inputs = inputs * parts.filter.arrays["r"][:, None]
    if clock.step_s is not None:
        decoders = decoders * clock.dt_s
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
        neuron=LIF(clock.tau_s(tau_mem), 0.0),
        time_unit_s=clock.tau_s(tau_syn),
        dt_s=clock.dt_s,
        spike_timing="grid",
        backend="reference",
        rate_fingerprint="none: imported from NIR",
        provenance={"imported": {"file": path.name, "form": "NIR", **graph.metadata}},
    )
    return with_constant(network, parts.constant) if parts.constant.any() else network


@dataclass(frozen=True, eq=False)
class _Parts:
    """Nodes of the factored form; `filter` is the neurons' own node where the filter is their synapse."""

    neurons: Node
    encode: Node
    filter: Node
    decode: Node
    input_map: Float[np.ndarray, "rank input"]
    constant: Float[np.ndarray, " rank"]
    tau_names: tuple[str, str]


def _parts(path: Path, graph: Graph) -> _Parts:
    """Find the parts by how they are connected, or say what is missing."""
    feeding: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        feeding[target].append(source)

    def refuse(reason: str) -> InputError:
        return InputError(
            f"{path} is no graph of the factored form: {reason}. The form is spikes, Affine (rank, neuron), Affine "
            "(neuron, rank), CubaLIF, or with an LI node between the two and a LIF."
        )

    def of_kind(names: list[str], *kinds: str) -> list[str]:
        return [name for name in names if graph.nodes[name].kind in kinds]

    spiking = of_kind(list(graph.nodes), "CubaLIF", "LIF")
    if len(spiking) != 1:
        raise refuse(f"it has {len(spiking)} spiking nodes, not one")
    neurons = graph.nodes[spiking[0]]
    before = feeding[spiking[0]]
    if len(before) != 1 or not of_kind(before, *_LINEAR):
        raise refuse("the neurons are not fed by one linear map")
    encode = graph.nodes[before[0]]
    behind = feeding[before[0]]
    if neurons.kind == "LIF":
        if len(behind) != 1 or not of_kind(behind, "LI"):
            raise refuse("a LIF without a synapse needs an LI node before its encoders")
        latent, behind = graph.nodes[behind[0]], feeding[behind[0]]
    else:
        latent = neurons
    decode = [name for name in of_kind(behind, *_LINEAR) if feeding[name] == spiking]
    others = [name for name in behind if name not in decode]
    if len(decode) != 1 or len(others) > 1:
        raise refuse("the latents are not fed by one linear map of the spikes and one input at most")
    source = others[0] if others else None
    rank = _checked_rank(path, neurons, encode, latent, graph.nodes[decode[0]])
    constant = _bias(graph.nodes[decode[0]])
    inputs = np.zeros((rank, 0))
    if source is not None and graph.nodes[source].kind == "Input":
        inputs = np.eye(rank)
    elif source is not None:
        if graph.nodes[source].kind not in _LINEAR or not (
            len(feeding[source]) == 1 and of_kind(feeding[source], "Input")
        ):
            raise refuse("what feeds the latents besides the spikes is no linear map of the input")
        inputs = graph.nodes[source].arrays.get("weight", np.zeros(0))
        if inputs.ndim != 2 or len(inputs) != rank or _bias(graph.nodes[source]).shape != (rank,):
            raise refuse(f"the map of the input has shape {inputs.shape} for {rank} latents")
        constant = constant + _bias(graph.nodes[source])
    names = ("tau_syn", "tau_mem") if latent is neurons else ("tau", "tau")
    return _Parts(neurons, encode, latent, graph.nodes[decode[0]], inputs, constant, names)


def _bias(node: Node) -> Float[np.ndarray, " row"]:
    """Bias of a linear map, zero where it has none."""
    return node.arrays.get("bias", np.zeros(np.shape(node.arrays.get("weight", ()))[:1]))


def _checked_rank(path: Path, neurons: Node, encode: Node, latent: Node, decode: Node) -> int:
    """Check that every array is there in its shape, and return the rank."""
    needed: dict[str, tuple[str, ...]] = {
        "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"),
        "LIF": ("tau", "r", "v_leak", "v_threshold"),
        "LI": ("tau", "r", "v_leak"),
    }
    weight = decode.arrays.get("weight", np.zeros(0))
    if weight.ndim != 2 or 0 in weight.shape:
        raise InputError(f"{path}: the decoders must be (rank, neuron), found shape {weight.shape}. Transpose them.")
    rank, n = weight.shape
    wanted: list[tuple[Any, str, tuple[int, ...]]] = [
        (encode.arrays, "weight", (n, rank)), ({"bias": _bias(encode)}, "bias", (n,)),
        ({"bias": _bias(decode)}, "bias", (rank,)),
    ]  # fmt: skip
    wanted += [(neurons.arrays, name, (n,)) for name in needed[neurons.kind]]
    wanted += [(neurons.arrays, name, (n,)) for name in ("v_reset", "w_in") if name in neurons.arrays]
    if latent is not neurons:
        wanted += [(latent.arrays, name, (rank,)) for name in needed["LI"]]
    for arrays, name, shape in wanted:
        found = np.shape(arrays[name]) if name in arrays else None
        if found != shape:
            raise InputError(f"{path}: {name} must have shape {shape}, found {found or 'none'}.")
    if latent is not neurons and latent.arrays["v_leak"].any():
        raise InputError(f"{path}: the latents leak to other values than zero. Shift them to zero.")
    return rank


def _uniform(path: Path, name: str, arrays: Mapping[str, np.ndarray]) -> float:
    values = arrays[name]
    if not (values == values[0]).all():
        raise InputError(
            f"{path}: {name} differs between neurons ({values.min():g} to {values.max():g}). Set one value."
        )
    return float(values[0])
