"""Read-outs of weight files as outputs of the units."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.exchange.published_network import PublishedNetwork
    from ddm2snn.exchange.weight_file import WeightFile

_READS: dict[str | None, Literal["rates", "rates without bias", "state"]] = {
    "low-rank module": "rates without bias",  # phi(h), where the recurrent weights have phi(h + b)
    "full-rank module": "rates without bias",
    "low-rank cell": "rates without bias",
    "PsychRNN": "rates",
    "spikeRNN": "rates",
    "latent circuit": "state",
    "piecewise linear": "state",
    "shallow piecewise linear": "state",
    "factors": "rates",
}
_BY_OUTPUT = ("PsychRNN", "spikeRNN", "latent circuit", "piecewise linear", "shallow piecewise linear")
_PER_UNIT = ("low-rank module", "low-rank cell")
_OF_LATENTS = ("piecewise linear", "shallow piecewise linear")
_INSIDE = 1e-9  # share of a vector outside a subspace that rounding leaves


def with_readout(network: PublishedNetwork, activation: str, file: WeightFile) -> PublishedNetwork:
    r"""A network with the outputs of its file, by exact identities; its facts say why a read-out is left out.

    Outputs are :math:`C\phi(Ly + b) + d`. A read-out of :math:`\phi(Ly)` gets units without bias; a read-out Ky of the
    latents gets relus, :math:`Ky = [Ky]_+ - [-Ky]_+`. Nothing in the network depends on these units.
    """
    name = file.name_of("outputs")
    if name is None or name in file.used:
        return network
    mapped = file.mapping.outputs is not None
    reads = _READS.get(file.dialect, "rates" if mapped else None)
    if not mapped and (
        (file.dialect == "low-rank cell" and file.full_name("b_rec") is None)  # phi(x) or x, as its training had it
        or (file.dialect == "factors" and not name.endswith("output_vectors"))
    ):
        reads = None
    if network.facts["filtered"] == "rates" and reads is not None:
        reads = "state"
    facts = network.facts | {"readout": name}
    if reads is None:
        file.used.add(name)
        reason = "the file does not say what it reads. Map outputs if it reads phi(x)."
        return replace(network, facts=facts | {"readout_left_out": reason})
    if reads == "state":
        return _reading_state(replace(network, facts=facts), activation, file, name)
    vectors, bias = _vectors(file, name, len(network.left))
    network = replace(network, facts=facts, output_bias=bias)
    if reads == "rates" or not network.bias.any():
        return replace(network, output_vectors=vectors)
    return _with_units(network, network.left, vectors)


def _reading_state(network: PublishedNetwork, activation: str, file: WeightFile, name: str) -> PublishedNetwork:
    """A network of relus with a read-out of its latents, or of rates that the latents hold."""
    of_latents = file.dialect in _OF_LATENTS
    vectors, bias = _vectors(file, name, network.rank if of_latents else len(network.left))
    of_rates = "it reads the rates that the leak acts on, not phi(x)"
    reason = None if activation == "relu" else f"{of_rates}, which {activation} units do not express."
    if not of_latents:
        rates, vectors = vectors, np.linalg.lstsq(network.right, vectors, rcond=None)[0]
        if np.linalg.norm(network.right @ vectors - rates) > _INSIDE * np.linalg.norm(rates):
            reason = f"{of_rates}, and the latents do not hold them."
    if reason is not None:
        return replace(network, facts=network.facts | {"readout_left_out": reason})
    signs = np.eye(vectors.shape[1])
    rows = np.vstack([vectors.T, -vectors.T])
    return _with_units(replace(network, output_bias=bias), rows, np.vstack([signs, -signs]))


def _with_units(
    network: PublishedNetwork, rows: Float[np.ndarray, "unit rank"], vectors: Float[np.ndarray, "unit output"]
) -> PublishedNetwork:
    """A network with units that outputs alone read, without bias."""
    return replace(
        network, left=np.vstack([network.left, rows]), right=np.vstack([network.right, np.zeros(rows.shape)]),
        bias=np.append(network.bias, np.zeros(len(rows))),
        output_vectors=np.vstack([np.zeros((len(network.left), vectors.shape[1])), vectors]),
    )  # fmt: skip


def _vectors(
    file: WeightFile, name: str, length: int
) -> tuple[Float[np.ndarray, "unit output"], Float[np.ndarray, " output"]]:
    """C^T with its gains, and d."""
    vectors = np.atleast_2d(file.array(name))
    if file.dialect == "PsychRNN":
        vectors = _by_dale(file, file.own("W_out", None, length))
    if file.dialect in _BY_OUTPUT or len(vectors) != length:
        vectors = vectors.T
    if len(vectors) != length:
        raise InputError(
            f"{file.path}: the read-out {name!r} has shape {file.arrays[name].shape}, which fits no {length} units. "
            "Map outputs."
        )
    outputs = vectors.shape[1]
    parts = {}
    for part, default in (("output_gains", 1.0), ("output_bias", 0.0)):
        other = file.name_of(part)
        values = np.array([default]) if other is None else file.array(other).reshape(-1)
        if len(values) not in (1, outputs):
            raise InputError(
                f"{file.path}: {other!r} has {len(values)} entries for {outputs} outputs. Map {part}: another array."
            )
        parts[part] = np.broadcast_to(values, outputs)
    gains = parts["output_gains"] / (length if file.dialect in _PER_UNIT else 1)
    return vectors * gains, parts["output_bias"].copy()


def _by_dale(file: WeightFile, vectors: Float[np.ndarray, "output unit"]) -> Float[np.ndarray, "output unit"]:
    """Read-out of PsychRNN: within its mask, and under Dale's law of excitatory units alone."""
    if file.full_name("output_connectivity"):
        vectors = vectors * file.own("output_connectivity", *vectors.shape)
    signs = file.own("Dale_rec")
    if file.number("dale_ratio") is None and not (signs < 0).any():
        return vectors
    units = vectors.shape[1]
    known = file.full_name("Dale_out")
    return np.abs(vectors) @ (file.own("Dale_out", units, units) if known else np.maximum(signs, 0.0))
