"""Rate networks that were trained elsewhere, as `RateNetwork`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.base.settings import Settings
from ddm2snn.errors import InputError
from ddm2snn.exchange.arrays import Arrays, read_arrays
from ddm2snn.exchange.factors import TOLERANCE, factored
from ddm2snn.exchange.nir_incoming import import_nir
from ddm2snn.exchange.plain_hdf5 import is_plain, read_hdf5
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.systems.integration import integrate

if TYPE_CHECKING:
    from jaxtyping import Float

_NAMES = {
    "left": ("Gamma", "left_vectors"),
    "right": ("W_s", "right_vectors"),
    "m": ("m",),
    "n": ("n",),
    "weights": ("W", "W_rec", "weight_hh_l0", "J"),
    "bias": ("b", "bias"),
    "inputs": ("wi", "W_in"),
    "input_gains": ("si",),
    "diffusion": ("diffusion_factor", "G"),
}
_LOW_RANK_MODULE = {"m", "n", "wi", "wo"}  # names in the state of the public LowRankRNN module
_TIME, _TRIALS, _KEPT = 40.0, 256, 1024
_FEWEST_TRIALS, _MOST_UNITS, _MOST_CELLS = (
    8,
    2**20,
    2**22,
)  # trials, units and sixteens of latents: minutes for all steps
_STEP = 2.0**-5
_LARGEST_MISS = 0.1


def _number_or_share(value: object) -> object:
    """A factor as it stands in a file or on a command line."""
    if value is None or str(value).upper() == "1/N":
        return value and "1/N"
    try:
        return float(value)  # pyright: ignore[reportArgumentType] - that is the question
    except (TypeError, ValueError):
        raise ValueError("must be a number or 1/N") from None


class Mapping(Settings):
    """What a file of arrays does not say by itself: names of arrays, and what the numbers mean.

    Parameters
    ----------
    left, right
        Names of Gamma (unit, rank) and W_s (rank, unit) of ``W = Gamma W_s``.
    m, n
        Names of the vectors (unit, rank) of ``W = factor m n^T``.
    weights
        Name of a dense W (unit, unit), whose row i holds what unit i receives.
    bias, inputs, input_gains, diffusion
        Names of b (unit), of input vectors (input, unit), of their gains (input), and of the latent noise factor
        (rank, rank), if there are any.
    factor
        Factor of ``m n^T``: a number, or "1/N" with N the number of units.
    rank, tolerance
        Rank of a dense W, or the relative error within which its rank is found.
    activation
        tanh, relu or logistic.
    filtered
        What the leak acts on: "currents" for ``tau dx/dt = -x + W phi(x + b)``, "rates" for
        ``tau dr/dt = -r + phi(W r + b)``. One rate time unit is tau.
    step
        a of a network in discrete time, ``x' = (1 - a) x + a (...)``: its time step in units of tau.
    noise
        Latent noise: a number that stands for itself times the identity, where the file has no `diffusion`.
    spikes, dt_s
        Of a NIR file alone: what a spike counts, and the time step; see `ddm2snn.exchange.nir_incoming.import_nir`.
    """

    left: str | None = None
    right: str | None = None
    m: str | None = None
    n: str | None = None
    weights: str | None = None
    bias: str | None = None
    inputs: str | None = None
    input_gains: str | None = None
    diffusion: str | None = None
    factor: Annotated[float | Literal["1/N"] | None, BeforeValidator(_number_or_share)] = None
    rank: int | None = Field(default=None, ge=1)
    tolerance: float = Field(default=TOLERANCE, gt=0, lt=1)
    activation: Literal["tanh", "relu", "logistic"] | None = None
    filtered: Literal["currents", "rates"] | None = None
    step: float | None = Field(default=None, gt=0, le=1)
    noise: float = Field(default=0.0, ge=0)
    spikes: Literal["per second", "per step"] | None = None
    dt_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)


_LARGEST_WEIGHT = 1e100  # its square is a number


@dataclass(frozen=True, eq=False)
class _Parts:
    """``dz = -z + right^T phi(left z + bias) + input_map u``, before latents have a scale."""

    left: Float[np.ndarray, "unit rank"]
    right: Float[np.ndarray, "unit rank"]
    bias: Float[np.ndarray, " unit"]
    input_map: Float[np.ndarray, "rank input"]


def import_network(path: Path | str, mapping: Mapping | None = None, *, seed: int = 0) -> RateNetwork | SpikingNetwork:
    """Read a network that was made elsewhere.

    A NIR file (.nir) is a spiking network, read by `ddm2snn.exchange.nir_incoming.import_nir`, and so is an HDF5 file
    that says it has the schema of `ddm2snn.exchange.plain_hdf5`; any other file is a rate network, read by
    `import_rate_network`.

    Parameters
    ----------
    path
        A .nir, .npz, .safetensors, .mat, .h5, .pt or .pth file.
    mapping
        What the file does not say.
    seed
        Seed of the states that a rate network is left at, from which its runs start.

    Raises
    ------
    InputError
        Where the file is refused, does not say something that is not given, or its network has no such form.
    """
    given = mapping or Mapping()
    of_nir = {"spikes", "dt_s"}
    foreign = given.model_fields_set - of_nir if _is_nir(path) else given.model_fields_set & of_nir
    if foreign:
        kind = "a NIR file says itself" if _is_nir(path) else "belong to NIR files"
        raise InputError(f"{path}: {', '.join(sorted(foreign))} {kind}. Leave out what does not apply.")
    if _is_nir(path):
        return import_nir(path, spikes=given.spikes, dt_s=given.dt_s)
    if Path(path).suffix.lower() in (".h5", ".hdf5") and is_plain(path):
        return read_hdf5(path)
    return import_rate_network(path, given, seed=seed)


def _is_nir(path: Path | str) -> bool:
    return Path(path).suffix.lower() == ".nir"


def import_rate_network(path: Path | str, given: Mapping, *, seed: int = 0) -> RateNetwork:
    r"""Read a low-rank rate network that was trained elsewhere.

    Forms, by the names of the arrays: factors ``W = Gamma W_s``; ``W = m n^T / N`` of the low-rank literature
    (Mastrogiuseppe, Ostojic, Neuron 2018), the state of its public PyTorch module ``LowRankRNN`` among them; a dense W,
    factored. Exact identities bring each to :math:`\dot z = -z + W_s\phi(\Gamma z + b) + u`:

    - Filtered currents, :math:`\dot x = -x + W\phi(x + b) + W_{in}u`: :math:`x = \Gamma z + W_{in}v` with one more
      latent :math:`\dot v = -v + u` for each input.
    - Filtered rates, :math:`\dot r = -r + \phi(Wr + b)`: :math:`z = W_s r`. Inputs would reach the units without the
      leak, which the form cannot express: refused.
    - The logistic function is :math:`(1 + \tanh(x/2))/2`; its constant moves into the bias.

    Parameters
    ----------
    path
        A .npz, .safetensors, .mat, .h5, .pt or .pth file.
    given
        What the file does not say.
    seed
        Seed of the states that the network is left at, from which its runs start.

    Raises
    ------
    InputError
        Where something that the file does not say is missing, or the network cannot be brought to the form; the
        message says which.
    """
    arrays = read_arrays(path)
    names = _names(path, arrays, given)
    known_module = set(arrays) >= _LOW_RANK_MODULE
    parts, found = _parts(path, arrays, names, given, known_module=known_module)
    activation = _asked(
        path, "activation", given.activation or ("tanh" if known_module else None), "tanh, relu or logistic"
    )
    largest = max(np.abs(array).max(initial=0.0) for array in dataclasses.astuple(parts))
    if largest >= _LARGEST_WEIGHT:
        raise InputError(
            f"{path} holds a weight of {largest:.1e}, which no network has. Repair it, or map other arrays."
        )
    if activation == "logistic":
        parts, activation = _by_tanh(parts), "tanh"
    factor = _noise_factor(path, arrays, names, given, parts)
    network, rests = _at_home(parts, activation, factor, check_seed(seed))
    if given.step is not None:
        found["step_error"] = _step_error(path, network, given.step)
    found |= {"rests_without_input": rests, "step": given.step, "arrays": sorted(arrays)}
    provenance = {"imported": {"file": Path(path).name, **found}, "seed": seed}
    return dataclasses.replace(network, provenance=provenance)


def _names(path: Path | str, arrays: Arrays, given: Mapping) -> dict[str, str]:
    """Name in the file of each part that it has."""
    names = {}
    for part, usual in _NAMES.items():
        asked = getattr(given, part)
        if asked is not None and asked not in arrays:
            raise InputError(f"{path} has no array {asked!r} for {part}; it has {', '.join(sorted(arrays))}. Name one.")
        found = asked or next((name for name in usual if name in arrays), None)
        if found is not None:
            names[part] = found
    return names


def _asked(path: Path | str, what: str, value: str | None, choices: str) -> str:
    """What the file does not say, or a request for it."""
    if value is None:
        raise InputError(f"{path} does not say which {what} its network has. Give {what}: {choices}.")
    return value


def _parts(
    path: Path | str, arrays: Arrays, names: dict[str, str], given: Mapping, *, known_module: bool
) -> tuple[_Parts, dict[str, Any]]:
    """Factors, bias and inputs, and what was found."""
    found: dict[str, Any] = {}
    if {"left", "right"} <= set(names):
        left, right = arrays[names["left"]], arrays[names["right"]].T
        found["form"] = "factors"
    elif {"m", "n"} <= set(names):
        factor = given.factor if given.factor is not None else ("1/N" if known_module else None)
        if factor is None:
            raise InputError(f"{path} does not say which factor m n^T has. Give factor: 1/N, or a number such as 1.")
        left, right = arrays[names["m"]], arrays[names["n"]]
        right = right / len(right) if factor == "1/N" else float(factor) * right
        found["form"] = "low-rank module" if known_module else "m and n"
    elif "weights" in names:
        left, right, error = factored(arrays[names["weights"]].astype(float), given.rank, given.tolerance)
        found |= {"form": "dense", "factorisation_error": error}
    else:
        raise InputError(
            f"{path} has the arrays {', '.join(sorted(arrays))}: neither Gamma and W_s, nor m and n, nor W. "
            "Name them in a mapping, such as left = 'U'."
        )
    if left.ndim != 2 or left.shape != right.shape:
        raise InputError(
            f"{path}: left and right vectors must be (unit, rank) both, W_s (rank, unit); found "
            f"{left.shape} and {right.shape}. Transpose what is the other way round."
        )
    units = len(left)
    bias = arrays[names["bias"]].reshape(-1) if "bias" in names else np.zeros(units)
    if units > _MOST_UNITS:
        raise InputError(
            f"{path} has {units} units; {_MOST_UNITS} are the most that are imported. Take a part of them."
        )
    if len(bias) != units:
        raise InputError(f"{path}: the bias has {len(bias)} entries, the network {units} units. Name another array.")
    filtered = _asked(path, "filtered", given.filtered or ("currents" if known_module else None), "currents or rates")
    inputs = _inputs(path, arrays, names, units)
    if filtered == "rates" and len(inputs):
        raise InputError(
            f"{path}: where rates are filtered, inputs reach the units without the leak, which dz = -z + W_s phi(Gamma "
            "z + b) + u cannot express. Leave inputs out, or filter currents."
        )
    found["filtered"] = filtered
    count, rank = len(inputs), left.shape[1]
    return (
        _Parts(
            np.hstack([left, inputs.T]),
            np.hstack([right, np.zeros((units, count))]),
            bias,
            np.vstack([np.zeros((rank, count)), np.eye(count)]),
        ),
        found,
    )


def _inputs(path: Path | str, arrays: Arrays, names: dict[str, str], units: int) -> Float[np.ndarray, "input unit"]:
    """Input vectors times their gains."""
    if "inputs" not in names:
        return np.zeros((0, units))
    vectors = np.atleast_2d(arrays[names["inputs"]])
    if vectors.shape[1] != units:
        raise InputError(
            f"{path}: input vectors must be (input, unit) with {units} units; found {vectors.shape}. Transpose them."
        )
    if "input_gains" in names:
        gains = arrays[names["input_gains"]].reshape(-1)
        if len(gains) != len(vectors):
            raise InputError(f"{path}: there are {len(gains)} input gains for {len(vectors)} inputs. Name others.")
        vectors = vectors * gains[:, None]
    return vectors


def _by_tanh(parts: _Parts) -> _Parts:
    """The same latents, but for a constant, by units with the hyperbolic tangent."""
    constant = 0.5 * parts.right.sum(axis=0)
    return _Parts(0.5 * parts.left, 0.5 * parts.right, 0.5 * (parts.bias + parts.left @ constant), parts.input_map)


def _noise_factor(
    path: Path | str, arrays: Arrays, names: dict[str, str], given: Mapping, parts: _Parts
) -> Float[np.ndarray, "rank rank"]:
    """Latent noise: none on the latents of inputs."""
    whole, count = parts.left.shape[1], parts.input_map.shape[1]
    factor = np.zeros((whole, whole))
    rank = whole - count
    own = arrays[names["diffusion"]] if "diffusion" in names else given.noise * np.eye(rank)
    if own.shape != (rank, rank):
        raise InputError(f"{path}: the noise factor must be ({rank}, {rank}), found {own.shape}. Name another.")
    factor[:rank, :rank] = own
    return factor


def _at_home(
    parts: _Parts, activation: str, factor: Float[np.ndarray, "rank rank"], seed: int
) -> tuple[RateNetwork, bool]:
    """The network with latents scaled to the spread of its states, and whether it comes to rest without input.

    States are what it visits from random starts, at which the units' inputs are of order one; those of the last
    quarter of the time alone, unless it rests by then.
    """
    rank = parts.left.shape[1]
    rng = stream(seed, "import", "states")
    size = np.sqrt((parts.left**2).mean(axis=0))
    if not (size > 0).all():
        raise InputError("A latent reaches no unit: its left vector is zero. Leave it out.")
    trials = min(_TRIALS, max(_FEWEST_TRIALS, _MOST_CELLS // (len(parts.left) * -(-rank // 16))))
    plain = _network(parts, activation, factor, np.ones(rank), np.zeros((1, rank)))
    states = _visited(plain, rng.standard_normal((trials, rank)) / size, rng)
    late = states[-len(states) // 4 :].reshape(-1, rank)
    own = slice(0, rank - parts.input_map.shape[1])
    rests = bool((late[:, own].std(axis=0) < 1e-3 * states.reshape(-1, rank)[:, own].std(axis=0)).all())
    kept = states.reshape(-1, rank) if rests or parts.input_map.shape[1] else late
    scale = np.where(kept.std(axis=0) > 0, kept.std(axis=0), 1.0)
    chosen = kept[rng.permutation(len(kept))[:_KEPT]]
    return _network(parts, activation, factor, scale, chosen), rests


def _network(
    parts: _Parts,
    activation: str,
    factor: Float[np.ndarray, "rank rank"],
    scale: Float[np.ndarray, " rank"],
    states: Float[np.ndarray, "sample rank"],
) -> RateNetwork:
    return RateNetwork(
        left_vectors=parts.left * scale,
        right_vectors=parts.right / scale,
        bias=parts.bias,
        activation=activation,  # pyright: ignore[reportArgumentType] - checked by the mapping
        diffusion_factor=factor / scale[:, None],
        input_map=parts.input_map / scale[:, None],
        latent_offset=np.zeros(len(scale)),
        latent_scale=scale,
        initial_latent=states,
    )


def _visited(
    network: RateNetwork, start: Float[np.ndarray, "trial rank"], rng: np.random.Generator
) -> Float[np.ndarray, "time trial rank"]:
    """States each half a time unit."""
    found = integrate(
        network.drift, network.diffusion_factor, start, dt=_STEP, steps=round(_TIME / _STEP),
        stride=round(0.5 / _STEP), rng=rng,
    )  # fmt: skip
    if np.abs(found[:, -1]).max() > 1e6 * (1.0 + np.abs(start).max()):
        raise InputError("The network's latents grow without bound. Check the factor of m n^T and the activation.")
    return np.swapaxes(found, 0, 1)


def _step_error(path: Path | str, network: RateNetwork, step: float) -> float:
    """Largest relative difference, over latents, between a step in discrete time and the flow of the same network."""
    z = network.initial_latent
    drift, pieces = network.drift, max(1, round(step / _STEP))
    still = np.zeros((network.rank, network.rank))
    rng = np.random.default_rng(0)  # of no consequence: there is no noise
    flow = integrate(drift, still, z, dt=step / pieces, steps=pieces + 1, stride=pieces, rng=rng)[:, -1]
    moved = np.sqrt(((flow - z) ** 2).mean(axis=0))
    miss = np.sqrt(((z + step * drift(z) - flow) ** 2).mean(axis=0))
    error = float((miss / np.where(moved > 0, moved, 1.0)).max())
    if error > _LARGEST_MISS:
        raise InputError(
            f"{path}: at step a = {step:g} a step in discrete time differs by {error:.0%} of its length from the flow "
            "of dz = -z + W_s phi(Gamma z + b), so that the network has no such form. Train with a <= "
            f"{0.5 * step * _LARGEST_MISS / error:.1g}, or leave step out to have the flow."
        )
    return error
