"""Families of weight files: what the arrays of each mean, by the code that wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.exchange.published_network import PublishedNetwork
from ddm2snn.exchange.weight_file import factors_of
from ddm2snn.exchange.weights import Weights, noise_covariance, with_activation

if TYPE_CHECKING:
    from ddm2snn.exchange.weight_file import WeightFile

ACTIVATIONS = "tanh, relu, clipped relu or logistic"


def spike_rnn(file: WeightFile) -> PublishedNetwork:
    r"""Networks of spikeRNN (Kim, Li, Sejnowski, PNAS 2019): :math:`x' = (1 - a)x + a(W\phi(x) + W_{in}u)`.

    W is w, rectified where the signs in m hold Dale's law, times m and the mask som_m; a = 1 / tau by unit, tau between
    the limits `taus` by the logistic function of `taus_gaus`, in steps.
    """
    w, signs, mask = (file.own(name, None, None) for name in ("w", "m", "som_m"))
    if not w.shape == signs.shape == mask.shape or w.shape[0] != w.shape[1]:
        raise InputError(
            f"{file.path}: w, m and som_m must be (unit, unit), found {w.shape}, {signs.shape} and {mask.shape}. "
            "Repair them."
        )
    weights = ((np.maximum(w, 0.0) if (signs < 0).any() else w) @ signs) * mask
    units = len(weights)
    vectors = input_vectors(file, units, file.own("w_in").T)
    activation = file.stated("activation", ACTIVATIONS)
    facts = {"form": "spikeRNN", "dale": bool((signs < 0).any())}
    limits = file.own("taus").reshape(-1) if file.full_name("taus") else np.zeros(0)
    if len(limits) == 2 and limits[0] != limits[1]:
        tau = limits[0] + (limits[1] - limits[0]) / (1.0 + np.exp(-file.own("taus_gaus").reshape(-1)))
        if len(tau) != units or not (tau >= 1.0).all():
            raise InputError(f"{file.path}: taus_gaus must hold a time constant of a step or more for each unit.")
        share = (1.0 / tau) / (step := float((1.0 / tau).mean()))
        network = PublishedNetwork(
            left=np.eye(units), right=(share[:, None] * weights).T, bias=np.zeros(units),
            input_map=(share * vectors).T, noise=_noise_of_units(file, units), step=step, linear=1.0 - 1.0 / tau,
            facts=facts | {"filtered": "currents", "time_constants": [float(tau.min()), float(tau.max())]},
        )  # fmt: skip
        return with_activation(network, activation, file)
    step = file.step if not len(limits) else 1.0 / float(limits[0])
    left, right, more = factors_of(file, weights)
    return Weights(
        left, right, np.zeros(units), vectors, activation, "currents", step, noise_on_units=True, facts=facts | more
    ).latent_network(file)


def _noise_of_units(file: WeightFile, units: int) -> np.ndarray:
    """Covariance of noise where latents are the states of units."""
    given = noise_covariance(file, file.step)
    if given is None:
        return (file.mapping.unit_noise**2 + file.mapping.noise**2) * np.eye(units)
    full = np.diag(given) if given.ndim == 1 else given
    if full.shape != (units, units):
        raise InputError(f"{file.path}: noise must have a row for each of {units} units, found {given.shape}. Name it.")
    return full


def psych_rnn(file: WeightFile) -> PublishedNetwork:
    r"""PsychRNN (Ehrlich and others, eNeuro 2021): :math:`x' = (1 - a)x + a(W\phi(x) + W_{in}u + b)`.

    W is W_rec times its mask, and with a `dale_ratio` its size times the signs in Dale_rec; W_in likewise.
    """
    weights, bias = file.own("W_rec"), file.own("b_rec").reshape(-1)
    vectors, signs = file.own("W_in"), file.own("Dale_rec")
    units = len(bias)
    if file.full_name("rec_connectivity"):
        weights = weights * file.own("rec_connectivity", *weights.shape)
    if file.full_name("input_connectivity"):
        vectors = vectors * file.own("input_connectivity", *vectors.shape)
    dale = file.number("dale_ratio") is not None or (signs < 0).any()  # an object where there is none
    if weights.shape != (units, units) or signs.shape != (units, units):
        raise InputError(
            f"{file.path}: W_rec and Dale_rec must be ({units}, {units}), as b_rec has {units} entries; found "
            f"{weights.shape} and {signs.shape}. Repair them."
        )
    if dale:
        weights, vectors = np.abs(weights) @ signs, np.abs(vectors)
    left, right, facts = factors_of(file, weights)
    return Weights(
        left, right, bias, input_vectors(file, units, vectors.T),
        file.stated("activation", ACTIVATIONS, "relu"), file.stated("filtered", "currents or rates", "currents"),
        file.step, start_bias=True, noise_on_units=True, facts={"form": "PsychRNN", "dale": bool(dale)} | facts,
    ).latent_network(file)  # fmt: skip


def latent_circuit(file: WeightFile) -> PublishedNetwork:
    r"""Latent circuits (Langdon, Engel, Nature Neuroscience 2025): :math:`r' = (1 - a)r + a[wr + w_{in}u + b]_+`.

    The latents are the nodes r. A matrix `a` places them in a network of more units, :math:`W = QwQ^\top` with Q its
    Cayley transform, which adds nothing to their dynamics.
    """
    units = len(file.own("recurrent_layer.weight"))
    weights, vectors = file.own("recurrent_layer.weight", units, units), file.own("input_layer.weight")
    bias = np.zeros(units)
    for name in ("recurrent_layer.bias", "input_layer.bias"):
        bias = bias + (file.own(name, units) if file.full_name(name) else 0.0)
    if file.full_name("a"):
        file.own("a")  # read, so that it is not told as left over
    if (step := file.step) is None:
        step = file.assumed["step"] = 0.2
    return Weights(
        weights, np.eye(units), bias.reshape(-1), input_vectors(file, units, vectors.T),
        file.stated("activation", ACTIVATIONS, "relu"), file.stated("filtered", "currents or rates", "rates"), step,
        facts={"form": "latent circuit"},
    ).latent_network(file)  # fmt: skip


def torch_rnn(file: WeightFile) -> PublishedNetwork:
    r"""Layer of torch.nn.RNN: :math:`r' = \phi(W r + W_{in}u + b)`, a step that leaves nothing of the rates before."""
    weights, units = file.own("weight_hh_l0"), len(file.own("weight_hh_l0"))
    biases = [file.own(name, units) for name in ("bias_ih_l0", "bias_hh_l0") if file.full_name(name)]
    left, right, facts = factors_of(file, weights)
    return Weights(
        left, right, np.sum([np.zeros(units), *biases], axis=0),
        input_vectors(file, units, file.own("weight_ih_l0").T), file.stated("activation", ACTIVATIONS, "tanh"),
        "rates", 1.0, facts={"form": "torch RNN"} | facts,
    ).latent_network(file)  # fmt: skip


def stochastic_low_rank(file: WeightFile) -> PublishedNetwork:
    r"""Low-rank network fitted to data (Pals and others, NeurIPS 2024): :math:`z' = dz + n\phi(mz - h) + L\xi`.

    :math:`d = e^{-e^{AW}}` = 1 - a. Clipped relus add h: :math:`\max(0, x + h) - \max(0, x)`. `R_z` holds L: its
    entries below the diagonal, and the logarithms of the squares of the diagonal.
    """
    activation = file.stated("activation", ACTIVATIONS)
    m, n, h = file.own("m", None, None), file.own("n"), file.own("h").reshape(-1)
    rank, units = m.shape[1], len(m)
    if n.shape != (rank, units) or len(h) != units:
        raise InputError(
            f"{file.path}: m must be (unit, rank), n (rank, unit) and h (unit,); found {m.shape}, {n.shape} and "
            f"{h.shape}. Transpose what is the other way round."
        )
    if file.full_name("hz") and file.own("hz").any():
        raise InputError(f"{file.path} has a bias of the latents, hz, which is not read. Train without it.")
    raw = file.number("AW" if file.full_name("AW") else "decay_param")
    decay = 0.0 if raw is None else np.exp(-np.exp(raw))
    if not 0 < decay < 1:
        raise InputError(
            f"{file.path}: AW, or decay_param, must hold one number, of the decay exp(-exp(AW)) of all latents; it "
            f"gives {'more than one' if raw is None else format(decay, 'g')}. Repair it."
        )
    step = 1.0 - float(decay)
    vectors = file.own("Wu").T if file.full_name("Wu") else np.zeros((0, units))
    weights = Weights(
        m, n.T / step, h if activation == "clipped relu" else -h, vectors, activation, "currents", step,
        facts={"form": "stochastic low-rank"},
    )  # fmt: skip
    network = weights.latent_network(file)
    if file.full_name("R_z"):
        network.noise[:rank, :rank] = _cholesky_of(file, rank) / step
    return network


def _cholesky_of(file: WeightFile, rank: int) -> np.ndarray:
    """Covariance per step that `R_z` parametrises."""
    raw = file.own("R_z")
    if raw.shape in ((rank,), (1,)):
        return np.diag(np.exp(np.broadcast_to(raw, (rank,))))
    if raw.shape != (rank, rank):
        raise InputError(f"{file.path}: R_z must be ({rank}, {rank}) or ({rank},), found {raw.shape}. Repair it.")
    factor = np.tril(raw, -1) + np.diag(np.exp(0.5 * np.diag(raw)))
    return factor @ factor.T


def piecewise_linear(file: WeightFile) -> PublishedNetwork:
    r"""Piecewise-linear networks: :math:`z' = Az + W\Phi(z) + h`, or :math:`z' = Az + W_1[W_2z + h_2]_+ + h_1`.

    A is diagonal and not the leak, so that units express it. :math:`\Phi` rectifies the last `rectified` latents and
    leaves the others, which are two relus each (AL-RNN: Brenner and others, NeurIPS 2024).
    """
    linear = file.own("A")
    linear = np.diag(linear) if linear.ndim == 2 and np.array_equal(linear, np.diag(np.diag(linear))) else linear
    rank = len(linear)
    shallow = file.dialect == "shallow piecewise linear"
    names = ("W1", "W2", "h1", "h2") if shallow else ("W", "W", "h", "h")
    out, into, constant, bias = (file.own(name) for name in names)
    if (
        linear.shape != (rank,)
        or out.shape[0] != rank
        or constant.size != rank
        or (into.shape != out.shape[::-1] or bias.size != len(into))
    ):
        raise InputError(
            f"{file.path}: A must be (latent,) or diagonal, found {file.own('A').shape}, and {', '.join(names)} fit "
            f"it; found {out.shape}, {into.shape}, {constant.shape} and {bias.shape}. Repair them."
        )
    step = file.mapping.step or float(np.clip(1.0 - linear.mean(), 0.05, 1.0))
    if shallow:
        left, right, biases = into, out.T, bias.reshape(-1)
        activation = file.stated("activation", "relu or clipped relu", "relu")
    else:
        kept = rank - _rectified(file, rank)
        axes = np.eye(rank)
        left, right = np.vstack([axes, -axes[:kept]]), np.vstack([out.T, -out.T[:kept]])
        biases, activation = np.zeros(len(left)), "relu"
    start = file.name_of("start")
    same = bool(np.ptp(linear) == 0 and linear[0] == 1.0 - step)
    network = PublishedNetwork(
        left=left, right=right / step, bias=biases, constant=constant.reshape(-1) / step,
        input_map=np.zeros((rank, 0)), noise=_noise_of_units(file, rank), step=step, linear=None if same else linear,
        start=None if start is None or file.arrays[start].size != rank else file.array(start).reshape(-1),
        facts={"form": file.dialect, "filtered": "currents", "decay": [float(linear.min()), float(linear.max())]},
    )  # fmt: skip
    return with_activation(network, activation, file)


def _rectified(file: WeightFile, rank: int) -> int:
    """Number of latents that are rectified, the last ones."""
    count = file.mapping.rectified
    if count is None:
        raise InputError(
            f"{file.path} has A, W and h of z' = A z + W Phi(z) + h, and does not say how many of its {rank} latents, "
            "the last ones, are rectified. Give rectified: 2 for an AL-RNN of P = 2."
        )
    if count > rank:
        raise InputError(f"{file.path} has {rank} latents, of which {count} cannot be rectified. Give fewer.")
    return count


def embedded_circuit(file: WeightFile) -> PublishedNetwork:
    r"""Circuit w in a network of more units: :math:`W = QwQ^\top`, Q of shape (unit, node) or (node, unit)."""
    embedding, circuit = file.own("Q", None, None), file.own("w")
    if embedding.shape[0] < embedding.shape[1]:
        embedding = embedding.T
    if circuit.shape != (embedding.shape[1],) * 2:
        raise InputError(
            f"{file.path}: w must be (node, node) for Q of shape {embedding.shape}, found {circuit.shape}. Repair it."
        )
    return low_rank(file, embedding, embedding @ circuit.T, {"form": "embedded circuit"})


def low_rank(file: WeightFile, left: np.ndarray, right: np.ndarray, facts: dict[str, Any]) -> PublishedNetwork:
    """Left and right vectors with the biases, inputs, noise and start that stand beside them."""
    of_module = file.dialect in ("low-rank module", "full-rank module", "low-rank cell")
    units = len(left)
    bias, threshold = file.vector("bias", units), file.vector("threshold", units)
    bias = np.zeros(units) if bias is None else bias
    bare = file.dialect != "low-rank cell" or file.full_name("b_rec") is None  # its later version has any activation
    name = file.name_of("inputs")
    return Weights(
        left, right, bias if threshold is None else bias - threshold,
        np.zeros((0, units)) if name is None else input_vectors(file, units, file.array(name)),
        file.stated("activation", ACTIVATIONS, "tanh" if of_module and bare else None),
        file.stated("filtered", "currents or rates", "currents" if of_module else None), file.step,
        noise_on_units="factorisation_error" in facts, facts=facts,
    ).latent_network(file)  # fmt: skip


def input_vectors(file: WeightFile, units: int, vectors: np.ndarray) -> np.ndarray:
    """Input vectors (input, unit) times their gains, of which there is one for each, or one for all."""
    vectors = np.atleast_2d(vectors)
    if vectors.shape[1] != units and vectors.shape[0] == units:
        vectors = vectors.T
    if vectors.shape[1] != units:
        raise InputError(
            f"{file.path}: input vectors must be (input, unit) with {units} units; found {vectors.shape}. Transpose "
            "them."
        )
    name = file.name_of("input_gains")
    if name is None:
        return vectors
    gains = file.array(name).reshape(-1)
    if len(gains) not in (1, len(vectors)):
        raise InputError(f"{file.path}: there are {len(gains)} input gains for {len(vectors)} inputs. Name others.")
    return vectors * gains[:, None]


BY_NAME = {
    "spikeRNN": spike_rnn,
    "PsychRNN": psych_rnn,
    "latent circuit": latent_circuit,
    "piecewise linear": piecewise_linear,
    "shallow piecewise linear": piecewise_linear,
    "stochastic low-rank": stochastic_low_rank,
    "stochastic low-rank, later": stochastic_low_rank,
    "torch RNN": torch_rnn,
    "embedded circuit": embedded_circuit,
}
"""Readers of the families that are more than left and right vectors by other names."""
