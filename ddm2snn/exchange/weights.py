"""Weights of units in the words of the low-rank literature, and the latent network and outputs that they make."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.exchange.published_network import PublishedNetwork

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.exchange.weight_file import WeightFile

_INSIDE = 1e-9  # share of a vector outside a subspace that rounding leaves
_QUICK = np.exp(-2.0)  # left of an input latent after a step, where inputs reach the units at once
_ASYMMETRY = 1e-6  # of a covariance, relative
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


@dataclass(frozen=True, eq=False)
class Weights:
    r"""Units with :math:`\dot x = -x + W\phi(x + b) + W_{in}u` or :math:`\dot r = -r + \phi(W r + b + W_{in}u)`.

    Parameters
    ----------
    left, right
        :math:`W = LR^\top`, both of shape (unit, rank).
    bias
        b, shape (unit,).
    vectors
        Rows of :math:`W_{in}^\top`, shape (input, unit).
    activation
        tanh, relu, clipped relu (:math:`\max(0, x + b) - \max(0, x)`) or logistic.
    filtered
        What the leak acts on: currents or rates.
    step
        Time step in units of tau; None for continuous time.
    start_bias
        Whether the units' state holds the bias: x + b in the words above.
    noise_on_units
        Whether a square noise matrix is that of units even where there are as many latents.
    facts
        What the file says about its form.
    """

    left: Float[np.ndarray, "unit rank"]
    right: Float[np.ndarray, "unit rank"]
    bias: Float[np.ndarray, " unit"]
    vectors: Float[np.ndarray, "input unit"]
    activation: str
    filtered: str
    step: float | None
    start_bias: bool = False
    noise_on_units: bool = False
    facts: dict[str, Any] = field(default_factory=dict)

    def latent_network(self, file: WeightFile) -> PublishedNetwork:
        r"""The network of latents, by exact identities.

        - Filtered currents: :math:`x = Lz + W_{in}v` with one more latent :math:`\dot v = -v + u` for each input; where
          the input vectors lie in the span of L, inputs push the latents instead.
        - Filtered rates: :math:`z = R^\top r`. Inputs reach the units without the leak; in steps of discrete time their
          latents are made to follow within half a step.
        - The logistic function is :math:`(1 + \tanh(x/2))/2`, whose constant moves into the bias; clipped relus are two
          relus.
        - Noise of units that lies outside the span of L is left out but for that along `file.noise_vectors`, which
          become latents that nothing drives but noise.
        """
        if file.noise_vectors is not None:
            left, right = np.hstack([self.left, file.noise_vectors]), np.hstack([self.right, 0.0 * file.noise_vectors])
            self = replace(self, left=left, right=right)
        rank, count = self.left.shape[1], len(self.vectors)
        rates = self.filtered == "rates"
        if rates and count and self.step is None:
            raise InputError(
                f"{file.path}: where rates are filtered, inputs reach the units without the leak, which dz = -z + W_s "
                "phi(Gamma z + b) + u cannot express. Give step, so that they follow within half a step, or filter "
                "currents."
            )
        inside = np.linalg.lstsq(self.left, self.vectors.T, rcond=None)[0]
        missed = np.linalg.norm(self.left @ inside - self.vectors.T) > _INSIDE * np.linalg.norm(self.vectors)
        if count and (rates or missed):
            left, right = (
                np.hstack([self.left, self.vectors.T]),
                np.hstack([self.right, np.zeros((len(self.left), count))]),
            )
            input_map = np.eye(rank + count)[:, rank:]
        else:
            left, right, input_map = self.left, self.right, inside
        linear = None
        if rates and count:
            linear = np.repeat([1.0 - (self.step or 0.0), _QUICK], [rank, count])
            input_map = input_map * (1.0 - _QUICK) / (self.step or 1.0)
        noise, noise_facts, outside = self._noise(file, left, rank)
        start, start_facts = self._start(file, left)
        network = PublishedNetwork(
            left=left, right=right, bias=self.bias, input_map=input_map, noise=noise, step=self.step, linear=linear,
            direct_inputs=rates and count > 0, start=start, unit_variance=outside / (2.0 - (self.step or 0.0)),
            facts=self.facts | {"filtered": self.filtered, "file_units": len(left)} | noise_facts | start_facts,
        )  # fmt: skip
        return with_activation(network, self.activation, file)

    def _start(self, file: WeightFile, left: np.ndarray) -> tuple[np.ndarray | None, dict[str, Any]]:
        """Latents at which trials begin, and the share of the units' state that is none of them and decays."""
        name = file.name_of("start")
        if name is None or file.arrays[name].size not in (len(left), self.left.shape[1]):
            return None, {}
        state = file.array(name).reshape(-1)
        if len(state) != len(left):
            latents, outside = np.append(state, np.zeros(left.shape[1] - len(state))), 0.0
        elif self.filtered == "rates":
            latents, outside = np.append(self.right.T @ state, np.zeros(left.shape[1] - self.left.shape[1])), 0.0
        else:
            state = state - self.bias if self.start_bias else state
            latents = np.linalg.lstsq(left, state, rcond=None)[0]
            size = np.linalg.norm(state)
            outside = float(np.linalg.norm(state - left @ latents) / size) if size > 0 else 0.0
        return latents, {"initial_state": latents.tolist(), "initial_outside": outside}

    def _noise(
        self, file: WeightFile, left: np.ndarray, rank: int
    ) -> tuple[np.ndarray, dict[str, Any], np.ndarray | float]:
        """Covariance of the latents' noise per time unit; of what lies outside their subspace size, and by unit."""
        covariance = np.zeros((left.shape[1], left.shape[1]))
        given, units = noise_covariance(file, self.step), len(left)
        if file.mapping.unit_noise:
            if given is not None:
                raise InputError(f"{file.path} has noise of its own. Leave unit_noise out, or map no array of noise.")
            given = np.full(units, file.mapping.unit_noise**2)
        if given is None:
            covariance[:rank, :rank] = file.mapping.noise**2 * np.eye(rank)
            return covariance, {}, 0.0
        if given.shape == (rank, rank) and not self.noise_on_units:
            covariance[:rank, :rank] = given
            return covariance, {}, 0.0
        full = np.diag(given) if given.ndim == 1 else given
        if full.shape != (units, units):
            raise InputError(
                f"{file.path}: the noise factor must be ({rank}, {rank}), or have a row for each of {units} units; "
                f"found noise of {len(given)}. Name another."
            )
        if self.filtered == "rates":
            covariance[:rank, :rank] = self.right.T @ full @ self.right
            return covariance, {}, 0.0
        back = np.linalg.pinv(left)
        covariance = back @ full @ back.T
        outside = np.eye(units) - left @ back
        by_unit = np.maximum(np.diag(outside @ full @ outside.T), 0.0)
        left_out, all_of_it = by_unit.sum(), np.trace(full)
        facts = {
            "noise_outside": float(left_out / all_of_it) if all_of_it > 0 else 0.0,
            "noise_outside_per_unit": float(np.sqrt(left_out / units)),
        }
        return covariance, facts, by_unit


def noise_covariance(file: WeightFile, step: float | None) -> np.ndarray | None:
    """Covariance of the file's noise per time unit, from a factor or as it stands; None where it has none."""
    names = {part: file.name_of(part) for part in ("diffusion", "covariance")}
    if None not in names.values():
        raise InputError(f"{file.path} has noise as {names['diffusion']!r} and as {names['covariance']!r}. Map one.")
    per_unit = 1.0
    if file.mapping.noise_per == "step":
        if step is None:
            raise InputError(f"{file.path}: noise per step needs the length of a step. Give step.")
        per_unit = 1.0 / step
    if names["diffusion"] is not None:
        factor = file.array(names["diffusion"])
        return per_unit * (factor**2 if factor.ndim == 1 and len(factor) > 1 else factor @ np.atleast_2d(factor).T)
    if names["covariance"] is None:
        return None
    covariance = np.atleast_2d(file.array(names["covariance"]))
    square = covariance.shape[0] == covariance.shape[1]
    size = np.abs(covariance).max(initial=0.0)
    if not square or np.abs(covariance - covariance.T).max() > _ASYMMETRY * size:
        raise InputError(
            f"{file.path}: {names['covariance']!r} is no covariance: it is not symmetric. Map a factor as diffusion."
        )
    if np.linalg.eigvalsh(covariance).min() < -_ASYMMETRY * size:
        raise InputError(
            f"{file.path}: {names['covariance']!r} is no covariance: it has a negative variance. Repair it."
        )
    return per_unit * covariance


def with_activation(network: PublishedNetwork, activation: str, file: WeightFile) -> PublishedNetwork:
    """A network of tanh or relu units with outputs, from one of any activation; constants move into its offset."""
    network = with_readout(network, activation, file)
    left, right, bias, constant = network.left, network.right, network.bias, network.constant
    vectors, outputs = network.output_vectors, network.output_bias
    variance = np.broadcast_to(network.unit_variance, bias.shape)
    if activation == "clipped relu":
        if not bias.any():
            raise InputError(f"{file.path}: clipped relu units are zero without a bias. Map bias, or give relu.")
        left, right = np.vstack([left, left]), np.vstack([right, -right])
        bias, variance, activation = np.append(bias, np.zeros_like(bias)), np.tile(variance, 2), "relu"
        vectors = None if vectors is None else np.vstack([vectors, -vectors])
    elif activation == "logistic":
        constant = constant + 0.5 * right.sum(axis=0)
        left, right, bias, variance, activation = 0.5 * left, 0.5 * right, 0.5 * bias, 0.25 * variance, "tanh"
        if vectors is not None and outputs is not None:
            vectors, outputs = 0.5 * vectors, outputs + 0.5 * vectors.sum(axis=0)
    network = replace(
        network, left=left, right=right, bias=bias, constant=constant, output_vectors=vectors, output_bias=outputs,
        unit_variance=variance,
    )  # fmt: skip
    return replace(network, activation="relu" if activation == "relu" else "tanh").with_origin_moved()


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
        unit_variance=np.pad(np.broadcast_to(network.unit_variance, len(network.left)), (0, len(rows))),
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
