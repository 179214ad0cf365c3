"""Rate networks from arrays of other tools: factors, m and n, or a dense matrix, brought to dz = -z + W_s phi."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.files import digest_of
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.exchange.dialects import BY_NAME, low_rank
from ddm2snn.exchange.flow_matching import Matched, matched
from ddm2snn.exchange.foreign_arrays import read_arrays
from ddm2snn.exchange.published_network import PublishedNetwork, Visits, noise_vectors, root_of, visits_of
from ddm2snn.exchange.weight_file import LARGEST_WEIGHT, WeightFile, factors_of
from ddm2snn.exchange.weight_file import factored as factored
from ddm2snn.network import RateNetwork

if TYPE_CHECKING:
    from ddm2snn.exchange.import_network import ArrayMapping

_MOST_UNITS = 2**20
_LARGEST_STEP_ERROR = 0.1
_MOST_STATES = 4096  # at which the mean effect of units' noise is fitted


@dataclass(frozen=True)
class ImportFacts:
    """What the command line says about the import of a rate network, from the network's provenance.

    `filtered` is what the leak acts on, and the `step` that of discrete time in units of tau. Nothing was made of the
    arrays `not_used`, and what the file does not say was `assumed`. The errors of factors and step are relative.
    `initial_outside` and `noise_outside` are shares of initial state and units' noise outside the latents; the network
    has the mean effect of the latter. What does not apply is None.
    """

    form: str
    filtered: str
    step: float | None = None
    not_used: Sequence[str] = ()
    assumed: Mapping[str, str] = field(default_factory=dict)
    rests_without_input: bool = False
    factorisation_error: float | None = None
    step_error: float | None = None
    initial_outside: float = 0.0
    noise_outside: float | None = None
    noise_outside_per_unit: float = 0.0
    readout: str | None = None
    readout_left_out: str | None = None


def import_rate_network(path: Path | str, mapping: ArrayMapping, *, seed: int = 0) -> RateNetwork:
    r"""Read a low-rank rate network that was trained elsewhere.

    Forms, by the names of the arrays, behind any prefix: factors ``W = Gamma W_s``; ``W = m n^T / N`` of the low-rank
    literature (Mastrogiuseppe, Ostojic, Neuron 2018), the state of its public PyTorch module ``LowRankRNN`` among them;
    a dense W, factored; and the families of `ddm2snn.exchange.dialects`. Exact identities bring each to
    :math:`\dot z = -z + W_s\phi(\Gamma z + b) + u`, see `ddm2snn.exchange.weights.Weights`. The drift of a network in
    discrete time is matched so that its flow over one step is the published map
    (`ddm2snn.exchange.flow_matching.matched`), with the error as the fact `step_error`.

    Parameters
    ----------
    path
        A .npz, .safetensors, .mat, .h5, .pt, .pth or .pkl file, or a PyTorch file without suffix.
    mapping
        What the file does not say.
    seed
        Seed of the states that the network is left at, from which its runs start.

    Raises
    ------
    InputError
        Where neither file nor mapping says what is needed, or the network cannot be brought to the form; the message
        says which.
    """
    file = WeightFile(path, read_arrays(path), mapping)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what is no number is refused by its size
        return _imported(file, seed)


def _imported(file: WeightFile, seed: int) -> RateNetwork:
    """Rate network of a file, with the facts of its import as provenance."""
    path, published = file.path, _published(file)
    outputs = [array for array in (published.output_vectors, published.output_bias) if array is not None]
    largest = max(np.abs(array).max(initial=0.0) for array in (*published.parts, *outputs))
    if not largest < LARGEST_WEIGHT:
        raise InputError(
            f"{path} holds a weight of {largest:.1e}, which no network has. Repair it, or map other arrays."
        )
    if count := file.mapping.noise_latents:
        if not published.facts.get("noise_outside"):
            raise InputError(f"{path}: no noise of units lies outside the latents. Leave noise_latents out.")
        vectors = noise_vectors(published, published.facts["file_units"], count, stream(seed, "import", "noise"))
        file = replace(file, used=set(), noise_vectors=vectors)
        published = _published(file)
    facts = published.facts | file.facts()
    rng = stream(seed, "import", "states")
    visits = visits_of(published, rng)
    published = published.under_noise(visits.states[:: -(-len(visits.states) // _MOST_STATES)])
    facts |= {"rests_without_input": visits.rests, "step": published.step}
    if visits.inputs.shape[1]:
        facts["states"] = "under random inputs of size 1, and under none"
    parts = published.parts
    if published.step is not None:
        match = _matched(published, visits, rng)
        if not (match.error <= _LARGEST_STEP_ERROR and np.isfinite(match.noise).all()):
            raise InputError(
                f"{path}: at a step of {published.step:.3g} no drift of the form dz = -z + W_s phi(Gamma z + b) was "
                f"found whose flow ends where a step ends: the best differs by {match.error:.0%} of a step's length, "
                f"more than {_LARGEST_STEP_ERROR:.0%}, so that the network has no such form. Train in shorter steps, "
                "or leave step out to have the flow."
            )
        parts = (match.left, match.right, match.bias, match.input_map, match.noise)
        facts |= {"step_error": match.error, "unmatched_step_error": match.euler_error}
        facts["added_units"] = len(match.left) - len(published.left)
        if visits.inputs.shape[1]:
            facts["input_step_error"] = match.input_error
    origin = {"file": Path(path).name, "sha256": digest_of(path)}
    return _rate_network(published, visits, parts, {"imported": {**origin, **facts}, "seed": seed})


def _matched(published: PublishedNetwork, visits: Visits, rng: np.random.Generator) -> Matched:
    """A match by the units that feed back; those that outputs alone read stay as they are."""
    feeding, units = (published.right != 0.0).any(axis=1), len(published.left)
    if not feeding.any():
        return matched(published, visits, rng)
    match, own = matched(published.of_units(feeding), visits, rng), int(feeding.sum())
    left, bias = np.vstack([published.left, match.left[own:]]), np.append(published.bias, match.bias[own:])
    right = np.zeros_like(left)
    right[:units][feeding], right[units:] = match.right[:own], match.right[own:]
    return replace(match, left=left, right=right, bias=bias)


def _rate_network(
    published: PublishedNetwork, visits: Visits, parts: tuple[np.ndarray, ...], provenance: dict[str, Any]
) -> RateNetwork:
    """Rate network of left and right vectors, biases, input map and noise in the units of the file."""
    left, right, bias, input_map, noise = parts
    outputs = published.output_vectors
    if outputs is not None:  # the match has added units, which none reads
        outputs = np.pad(outputs, ((0, len(left) - len(outputs)), (0, 0)))
    scale, offset = visits.scale, np.broadcast_to(published.offset, visits.scale.shape).astype(np.float64)
    return RateNetwork(
        left_vectors=left * scale, right_vectors=right / scale, bias=bias, activation=published.activation,
        diffusion_factor=root_of(noise) / scale[:, None], input_map=input_map / scale[:, None], latent_offset=offset,
        latent_scale=scale, initial_latent=visits.kept + offset, provenance=provenance,
        output_vectors=outputs, output_bias=published.output_bias,
    )  # fmt: skip


def _published(file: WeightFile) -> PublishedNetwork:
    """The network as its file states it."""
    mapping, dialect = file.mapping, file.dialect
    dense, vectors = _parts(file)
    if mapping.factor is not None and not {"m", "n"} <= vectors.keys():
        raise InputError(
            f"{file.path}: factor is that of m n^T, but the network comes from {dialect or ', '.join(vectors) or 'W'}. "
            "Leave factor out, or map m and n."
        )
    if (mapping.rank is not None or mapping.tolerance is not None) and not dense:
        raise InputError(
            f"{file.path}: rank and tolerance are of a dense W, but the network comes from "
            f"{dialect or ', '.join(vectors)}. Leave them out, or map weights."
        )
    if mapping.rectified is not None and dialect != "piecewise linear":
        raise InputError(f"{file.path}: rectified is of networks with A, W and h. Leave it out.")
    if dialect in BY_NAME:
        return BY_NAME[dialect](file)
    if dense:
        left, right, facts = factors_of(file, file.array(vectors["weights"]))
        return low_rank(file, left, right, {"form": "dense"} | facts)
    left, right, form = _vectors(file, vectors)
    return low_rank(file, left, right, {"form": form})


def _parts(file: WeightFile) -> tuple[bool, dict[str, str]]:
    """Whether W is dense, and the names of the arrays that it is made of."""
    if file.dialect in BY_NAME:
        return file.dialect in ("spikeRNN", "PsychRNN", "torch RNN"), {}
    forms = (("left", "right"), ("m", "n"), ("weights",))
    names = {part: file.name_of(part) for form in forms for part in form}
    mapped = [form for form in forms if any(getattr(file.mapping, part) is not None for part in form)]
    for form in (*mapped, *forms):
        arrays = {part: name for part in form if (name := names[part]) is not None}
        if len(arrays) == len(form):
            return form == ("weights",), arrays
    raise InputError(
        f"{file.path} has the arrays {file.listed()}: neither Gamma and W_s, nor m and n, nor W. "
        "Name them in a mapping, such as left = 'U'."
    )


def _vectors(file: WeightFile, names: dict[str, str]) -> tuple[np.ndarray, np.ndarray, str]:
    """Left and right vectors, both (unit, rank), and the form that they come from."""
    one, other = (file.array(name) for name in names.values())
    if "left" in names:
        left, right, form = (
            one,
            other.T if other.shape != one.shape or one.shape[0] == one.shape[1] else other,
            "factors",
        )
    else:
        of_module = file.dialect in ("low-rank module", "low-rank cell")
        factor = file.mapping.factor or ("1/N" if of_module else None)
        if factor is None:
            raise InputError(
                f"{file.path} does not say which factor m n^T has. Give factor: 1/N, or a number such as 1."
            )
        other = other.T if other.shape == one.shape[::-1] != one.shape else other
        right = other / len(one) if factor == "1/N" else float(factor) * other
        left, form = one, "low-rank module" if of_module else "m and n"
    if left.ndim != 2 or left.shape != right.shape:
        raise InputError(
            f"{file.path}: left and right vectors must be (unit, rank) both, W_s (rank, unit); found "
            f"{left.shape} and {right.shape}. Transpose what is the other way round."
        )
    if not left.size or len(left) > _MOST_UNITS:
        raise InputError(
            f"{file.path}: left and right vectors are of shape {left.shape}; 1 to {_MOST_UNITS} units are imported. "
            "Name other arrays."
        )
    return left, right, form
