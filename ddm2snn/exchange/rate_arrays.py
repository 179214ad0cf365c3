"""Rate networks from arrays of other tools: factors, m and n, or a dense matrix, brought to dz = -z + W_s phi."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.files import digest_of
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.exchange.foreign_arrays import Arrays, read_arrays
from ddm2snn.network import RateNetwork
from ddm2snn.systems.integration import integrate

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.exchange.import_network import ArrayMapping

_USUAL_NAMES = {
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
_MOST_UNITS = 2**20
_LARGEST_WEIGHT = 1e100  # its square is a number
_TIME, _STEP, _EVERY = 40.0, 2.0**-5, 0.5  # time units: of a run, of its steps, between samples
_MOST_TRIALS, _FEWEST_TRIALS = 256, 8
_MOST_CELLS = 2**22  # trials times units times sixteens of latents: at most minutes for all steps
_STATES = 1024  # that a network is left at
_LARGEST_STEP_ERROR = 0.1


def import_rate_network(path: Path | str, mapping: ArrayMapping, *, seed: int = 0) -> RateNetwork:
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
    file = _File(path, read_arrays(path), mapping)
    left, right, bias, inputs, facts = _weights(file)
    activation: Any = file.stated("activation", "tanh", "tanh, relu or logistic")
    largest = max(np.abs(array).max(initial=0.0) for array in (left, right, bias))
    if largest >= _LARGEST_WEIGHT:
        raise InputError(
            f"{path} holds a weight of {largest:.1e}, which no network has. Repair it, or map other arrays."
        )
    if activation == "logistic":  # latents differ by a constant
        constant, activation = 0.5 * right.sum(axis=0), "tanh"
        left, right, bias = 0.5 * left, 0.5 * right, 0.5 * (bias + left @ constant)
    rank = left.shape[1]
    factor = np.zeros((rank, rank))
    factor[: rank - inputs, : rank - inputs] = _noise_factor(file, rank - inputs)
    input_map = np.eye(rank)[:, rank - inputs :]
    unscaled = RateNetwork(
        left_vectors=left, right_vectors=right, bias=bias, activation=activation, diffusion_factor=factor,
        input_map=input_map, latent_offset=np.zeros(rank), latent_scale=np.ones(rank),
        initial_latent=np.zeros((1, rank)),
    )  # fmt: skip
    rng = stream(seed, "import", "states")
    scale, states, rests = _visited_states(unscaled, rng, inputs)
    network = dataclasses.replace(
        unscaled, left_vectors=left * scale, right_vectors=right / scale, diffusion_factor=factor / scale[:, None],
        input_map=input_map / scale[:, None], latent_scale=scale, initial_latent=states,
    )  # fmt: skip
    if mapping.step is not None:
        facts["step_error"] = _step_error(path, network, mapping.step)
    facts |= {"rests_without_input": rests, "step": mapping.step, "arrays": sorted(file.arrays)}
    origin = {"file": Path(path).name, "sha256": digest_of(path)}
    return dataclasses.replace(network, provenance={"imported": {**origin, **facts}, "seed": seed})


@dataclass(frozen=True, eq=False)
class _File:
    """Arrays of a file, and the mapping that says what they are."""

    path: Path | str
    arrays: Arrays
    mapping: ArrayMapping

    @cached_property
    def names(self) -> dict[str, str]:
        """Name in the file of each part of the network that it has."""
        names = {}
        for part, usual in _USUAL_NAMES.items():
            mapped = getattr(self.mapping, part)
            if mapped is not None and mapped not in self.arrays:
                present = ", ".join(sorted(self.arrays))
                raise InputError(f"{self.path} has no array {mapped!r} for {part}; it has {present}. Name one.")
            name = mapped or next((name for name in usual if name in self.arrays), None)
            if name is not None:
                names[part] = name
        return names

    def array(self, part: str) -> np.ndarray:
        """Array of a part that the file has: finite numbers of a usual size."""
        name = self.names[part]
        array = np.atleast_1d(self.arrays[name])
        if array.ndim > 2:
            raise InputError(
                f"{self.path}: {name!r} has shape {array.shape}; vectors and matrices are read. Name another array."
            )
        bad = array.size - int(np.isfinite(array).sum())
        if bad:
            raise InputError(f"{self.path}: {name!r} holds {bad} value(s) that are NaN or infinite. Repair them.")
        largest = np.abs(array.astype(np.float64)).max(initial=0.0)
        if largest >= _LARGEST_WEIGHT:
            raise InputError(
                f"{self.path}: {name!r} holds a weight of {largest:.1e}, which no network has. Repair it, or map "
                "other arrays."
            )
        return array

    @property
    def is_low_rank_module(self) -> bool:
        """Whether this is the state of the public LowRankRNN module, which needs no mapping."""
        return set(self.arrays) >= _LOW_RANK_MODULE

    def stated(self, field: str, of_module: str, choices: str) -> str:
        """Value of a field of the mapping; `of_module` for the public module where the mapping has none."""
        value = getattr(self.mapping, field) or (of_module if self.is_low_rank_module else None)
        if value is None:
            raise InputError(f"{self.path} does not say which {field} its network has. Give {field}: {choices}.")
        return value


def _weights(file: _File) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, dict[str, Any]]:
    """Left and right vectors with a latent more for each input, biases, number of inputs, and facts on their form."""
    left, right, facts = _factors(file)
    if left.ndim != 2 or left.shape != right.shape:
        raise InputError(
            f"{file.path}: left and right vectors must be (unit, rank) both, W_s (rank, unit); found "
            f"{left.shape} and {right.shape}. Transpose what is the other way round."
        )
    if not left.size:
        raise InputError(f"{file.path}: left and right vectors are empty, of shape {left.shape}. Name other arrays.")
    units = len(left)
    bias = file.array("bias").reshape(-1) if "bias" in file.names else np.zeros(units)
    if units > _MOST_UNITS:
        raise InputError(
            f"{file.path} has {units} units; {_MOST_UNITS} are the most that are imported. Take a part of them."
        )
    if len(bias) != units:
        raise InputError(
            f"{file.path}: the bias has {len(bias)} entries, the network {units} units. Name another array."
        )
    facts["filtered"] = file.stated("filtered", "currents", "currents or rates")
    vectors = _input_vectors(file, units)
    count = len(vectors)
    if facts["filtered"] == "rates" and count:
        raise InputError(
            f"{file.path}: where rates are filtered, inputs reach the units without the leak, which dz = -z + W_s "
            "phi(Gamma z + b) + u cannot express. Leave inputs out, or filter currents."
        )
    return np.hstack([left, vectors.T]), np.hstack([right, np.zeros((units, count))]), bias, count, facts


def _factors(file: _File) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Left and right vectors from the form that the file has, and facts for the provenance."""
    names = file.names
    if {"left", "right"} <= set(names):
        return file.array("left"), file.array("right").T, {"form": "factors"}
    if {"m", "n"} <= set(names):
        factor = file.mapping.factor
        if factor is None and file.is_low_rank_module:
            factor = "1/N"
        if factor is None:
            raise InputError(
                f"{file.path} does not say which factor m n^T has. Give factor: 1/N, or a number such as 1."
            )
        n = file.array("n")
        right = n / len(n) if factor == "1/N" else float(factor) * n
        return file.array("m"), right, {"form": "low-rank module" if file.is_low_rank_module else "m and n"}
    if "weights" in names:
        dense = file.array("weights").astype(float)
        left, right, error = factored(dense, file.mapping.rank, file.mapping.tolerance)
        return left, right, {"form": "dense", "factorisation_error": error}
    raise InputError(
        f"{file.path} has the arrays {', '.join(sorted(file.arrays))}: neither Gamma and W_s, nor m and n, nor W. "
        "Name them in a mapping, such as left = 'U'."
    )


def factored(
    weights: Float[np.ndarray, "unit unit"], rank: int | None = None, tolerance: float = 1e-6
) -> tuple[Float[np.ndarray, "unit rank"], Float[np.ndarray, "unit rank"], float]:
    r"""Left and right vectors of :math:`W \approx \Gamma W_s`, the best of their rank (Eckart, Young, 1936).

    Parameters
    ----------
    weights
        W; row i holds what unit i receives.
    rank
        Rank of the factors; None for the smallest whose relative Frobenius error is within `tolerance`.
    tolerance
        See `rank`.

    Returns
    -------
    left_vectors, right_vectors
        :math:`\Gamma = U_k\sqrt n`, :math:`W_s^\top = V_k S_k/\sqrt n`: entries of the left vectors are of order one.
    error
        :math:`|W - \Gamma W_s|_F / |W|_F`.

    Examples
    --------
    >>> left, right, error = factored(np.diag([2.0, 1.0, 0.0]))
    >>> left.shape, bool(np.allclose(left @ right.T, np.diag([2.0, 1.0, 0.0])))
    ((3, 2), True)
    """
    units = len(weights)
    if weights.ndim != 2 or weights.shape[1] != units or not units:
        raise InputError(f"A recurrent matrix must be square, got shape {weights.shape}. Name another array.")
    u, s, vt = np.linalg.svd(weights)
    if not s[0] > 0:
        raise InputError("The recurrent matrix is zero: there is nothing to factor. Name another array.")
    errors = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1], 0.0) / np.sum(s**2))  # of rank 0, 1, ...
    if rank is None:
        rank = int(np.argmax(errors <= tolerance))
    if not 1 <= rank <= units:
        raise InputError(
            f"A matrix of {units} units has factors of rank 1 to {units}, not {rank}. Ask for one of these."
        )
    return u[:, :rank] * np.sqrt(units), vt[:rank].T * s[:rank] / np.sqrt(units), float(errors[rank])


def _input_vectors(file: _File, units: int) -> Float[np.ndarray, "input unit"]:
    """Input vectors times their gains."""
    if "inputs" not in file.names:
        return np.zeros((0, units))
    vectors = np.atleast_2d(file.array("inputs"))
    if vectors.shape[1] != units:
        raise InputError(
            f"{file.path}: input vectors must be (input, unit) with {units} units; found {vectors.shape}. "
            "Transpose them."
        )
    if "input_gains" not in file.names:
        return vectors
    gains = file.array("input_gains").reshape(-1)
    if len(gains) != len(vectors):
        raise InputError(f"{file.path}: there are {len(gains)} input gains for {len(vectors)} inputs. Name others.")
    return vectors * gains[:, None]


def _noise_factor(file: _File, rank: int) -> Float[np.ndarray, "rank rank"]:
    """Factor of the latent noise; latents of inputs have none."""
    factor = file.array("diffusion") if "diffusion" in file.names else file.mapping.noise * np.eye(rank)
    if factor.shape != (rank, rank):
        raise InputError(f"{file.path}: the noise factor must be ({rank}, {rank}), found {factor.shape}. Name another.")
    return factor


def _visited_states(
    network: RateNetwork, rng: np.random.Generator, inputs: int
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, "sample rank"], bool]:
    """Run a network from random starts, at which the units' inputs are of order one; its last latents follow inputs.

    Returns the standard deviation of each latent (1 where it does not move), up to 1,024 of the states behind it, and
    whether the network comes to rest without input. The states are those of the last quarter of the time, or of all of
    it where the network rests by then or has inputs.
    """
    rank, units = network.rank, network.units
    size = np.sqrt((network.left_vectors**2).mean(axis=0))
    if not (size > 0).all():
        raise InputError("A latent reaches no unit: its left vector is zero. Leave it out.")
    trials = min(_MOST_TRIALS, max(_FEWEST_TRIALS, _MOST_CELLS // (units * -(-rank // 16))))
    start = rng.standard_normal((trials, rank)) / size
    path = integrate(
        network.drift, network.diffusion_factor, start, dt=_STEP, steps=round(_TIME / _STEP),
        stride=round(_EVERY / _STEP), rng=rng,
    )  # fmt: skip
    if np.abs(path[:, -1]).max() > 1e6 * (1.0 + np.abs(start).max()):
        raise InputError("The network's latents grow without bound. Check the factor of m n^T and the activation.")
    by_time = np.swapaxes(path, 0, 1)
    every, late = by_time.reshape(-1, rank), by_time[-len(by_time) // 4 :].reshape(-1, rank)
    recurrent = slice(0, rank - inputs)
    rests = bool((late[:, recurrent].std(axis=0) < 1e-3 * every[:, recurrent].std(axis=0)).all())
    cloud = every if rests or inputs else late
    spread = cloud.std(axis=0)
    return np.where(spread > 0, spread, 1.0), cloud[rng.permutation(len(cloud))[:_STATES]], rests


def _step_error(path: Path | str, network: RateNetwork, step: float) -> float:
    """Largest relative difference, over latents, between a step in discrete time and the flow of the same network.

    More than a tenth of the step's length is refused.
    """
    z = network.initial_latent
    drift, pieces = network.drift, max(1, round(step / _STEP))
    no_noise, rng = np.zeros((network.rank, network.rank)), np.random.default_rng(0)  # multiplied by zero
    flow = integrate(drift, no_noise, z, dt=step / pieces, steps=pieces + 1, stride=pieces, rng=rng)[:, -1]
    length = np.sqrt(((flow - z) ** 2).mean(axis=0))
    difference = np.sqrt(((z + step * drift(z) - flow) ** 2).mean(axis=0))
    error = float((difference / np.where(length > 0, length, 1.0)).max())
    if error > _LARGEST_STEP_ERROR:
        raise InputError(
            f"{path}: at step a = {step:g} a step in discrete time differs by {error:.0%} of its length from the flow "
            "of dz = -z + W_s phi(Gamma z + b), so that the network has no such form. Train with a <= "
            f"{0.5 * step * _LARGEST_STEP_ERROR / error:.1g}, or leave step out to have the flow."
        )
    return error
