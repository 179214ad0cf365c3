"""Families of weight files: names, shapes and suffix as the code of each writes them, and its equation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch

Arrays = dict[str, np.ndarray]
Step = Callable[[Arrays, np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
Seen = Callable[[Arrays, np.ndarray, np.ndarray], np.ndarray]
Outputs = Callable[[Arrays, np.ndarray], np.ndarray]


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


@dataclass(frozen=True)
class Family:
    """A family of files: what its code writes, and its equation.

    `step` takes a state of the units, or of the latents where those are its variables, to the next one; `seen` are the
    inputs of the units at a state; `pace` is the length of a step in units of tau, and `gain` what inputs of the
    imported units are to be multiplied by. With `by_latents` the first latents are seen instead: where noise or inputs
    reach the units that the latents do not hold. `outputs` are what the file's read-out gives at a state.
    """

    name: str
    file: str
    arrays: Arrays
    step: Step
    seen: Seen
    size: int
    pace: float
    mapping: dict[str, Any] = field(default_factory=dict)
    inputs: int = 0
    gain: float = 1.0
    start: float = 1.0
    by_latents: bool = False
    outputs: Outputs | None = None

    def write(self, folder: Path, arrays: Arrays | None = None) -> Path:
        """Write the file, with its own arrays or others."""
        path, arrays = folder / self.file, arrays or self.arrays
        if path.suffix == ".npz":
            np.savez(path, **arrays)  # pyright: ignore[reportArgumentType] - arrays by name
        elif path.suffix == ".mat":
            scipy.io.savemat(path, arrays)
        else:
            torch.save({name: torch.tensor(array) for name, array in arrays.items()}, path)
        return path


# ----- the equations


def _low_rank(arrays: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """W, W_in and b of modules with m, n and input vectors, by the last part of their names."""
    short = {name.split(".")[-1]: array for name, array in arrays.items()}
    m, n = short["m"], short["n"]
    n = n if n.shape == m.shape else n.T
    vectors = short.get("wi", short.get("w_inp"))
    gains = short.get("si", short.get("w_inp_scale"))
    return m @ n.T / len(m), (vectors.T * gains).T, short.get("b", np.zeros(len(m))).reshape(-1)


def low_rank(a: float) -> tuple[Step, Seen]:
    """h' = h + a (-h + m n^T tanh(h + b) / N + (u si) wi)."""

    def step(arrays: Arrays, h: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        weights, vectors, bias = _low_rank(arrays)
        return h + a * (-h + np.tanh(h + bias) @ weights.T + u @ vectors)

    return step, lambda arrays, h, u: h + _low_rank(arrays)[2]


def stochastic(phi: Callable[[np.ndarray, np.ndarray], np.ndarray], sign: float) -> tuple[Step, Seen]:
    """z' = d z + n phi(m z, h) + L xi, d = exp(-exp(AW)), L of the logarithms of its squared diagonal."""

    def step(arrays: Arrays, z: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        decay = np.exp(-np.exp(arrays["transition.AW"].item()))
        raw = arrays["R_z"]
        factor = np.tril(raw, -1) + np.diag(np.exp(np.diag(raw) / 2))
        rates = phi(z @ arrays["transition.m"].T, arrays["transition.h"])
        return decay * z + rates @ arrays["transition.n"].T + rng.standard_normal(z.shape) @ factor.T

    return step, lambda arrays, z, u: z @ arrays["transition.m"].T + sign * arrays["transition.h"]


def factors(a: float) -> tuple[Step, Seen]:
    """z' = z + a (-z + W_s relu(Gamma z + b)) + sqrt(a) G xi."""

    def step(arrays: Arrays, z: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        rates = relu(z @ arrays["Gamma"].T + arrays["b"])
        noise = rng.standard_normal(z.shape) @ arrays["diffusion_factor"].T
        return z + a * (-z + rates @ arrays["W_s"].T) + np.sqrt(a) * noise

    return step, lambda arrays, z, u: z @ arrays["Gamma"].T + arrays["b"]


def thresholds(a: float) -> tuple[Step, Seen]:
    """z' = z + a (-z + n^T tanh(m z - theta)) + noise of covariance a Sigma."""

    def step(arrays: Arrays, z: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        rates = np.tanh(z @ arrays["net/m"].T - arrays["net/theta"])
        noise = rng.standard_normal(z.shape) @ np.linalg.cholesky(arrays["net/noise_covariance"]).T
        return z + a * (-z + rates @ arrays["net/n"]) + np.sqrt(a) * noise

    return step, lambda arrays, z, u: z @ arrays["net/m"].T - arrays["net/theta"]


def almost_linear(rectified: int) -> tuple[Step, Seen]:
    """z' = A z + W Phi(z) + h, Phi = relu on the last latents."""

    def step(arrays: Arrays, z: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        kept = z.shape[1] - rectified
        rates = np.concatenate([z[:, :kept], relu(z[:, kept:])], axis=1)
        return z * arrays["A"] + rates @ arrays["W"].T + arrays["h"]

    return step, lambda arrays, z, u: z


def shallow() -> tuple[Step, Seen]:
    """z' = A z + W1 relu(W2 z + h2) + h1."""

    def step(arrays: Arrays, z: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return z * arrays["A"] + relu(z @ arrays["W2"].T + arrays["h2"]) @ arrays["W1"].T + arrays["h1"]

    return step, lambda arrays, z, u: z @ arrays["W2"].T + arrays["h2"]


def psych_rnn(a: float) -> tuple[Step, Seen]:
    """x' = (1 - a) x + a (W relu(x) + W_in u + b), W = |W_rec * mask| D, W_in = |W_in|."""

    def step(arrays: Arrays, x: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        dale = arrays["dale_ratio"].dtype != object
        weights = arrays["W_rec"] * arrays["rec_connectivity"]
        weights = np.abs(weights) @ arrays["Dale_rec"] if dale else weights
        vectors = np.abs(arrays["W_in"]) if dale else arrays["W_in"]
        return (1 - a) * x + a * (relu(x) @ weights.T + u @ vectors.T + arrays["b_rec"])

    return step, lambda arrays, x, u: x


def spike_rnn() -> tuple[Step, Seen]:
    """x' = (1 - 1 / tau) x + (W sigma(x) + W_in u) / tau, W = (relu(w) m) * som_m, tau by unit."""

    def step(arrays: Arrays, x: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        low, high = arrays["taus"].reshape(-1)[[0, -1]]
        tau = low + (high - low) * logistic(arrays["taus_gaus"].reshape(-1))
        weights = (relu(arrays["w"]) @ arrays["m"]) * arrays["som_m"]
        return (1 - 1 / tau) * x + (logistic(x) @ weights.T + u @ arrays["w_in"].T) / tau

    return step, lambda arrays, x, u: x


def circuit(a: float) -> tuple[Step, Seen]:
    """r' = (1 - a) r + a relu(w r + w_in u + b)."""

    def seen(arrays: Arrays, r: np.ndarray, u: np.ndarray) -> np.ndarray:
        bias = arrays["recurrent_layer.bias"]
        return r @ arrays["recurrent_layer.weight"].T + u @ arrays["input_layer.weight"].T + bias

    def step(arrays: Arrays, r: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return (1 - a) * r + a * relu(seen(arrays, r, u))

    return step, lambda arrays, r, u: r


def embedded(a: float) -> tuple[Step, Seen]:
    """x' = x + a (-x + Q w Q^T tanh(x + b)) + sqrt(a) of noise on units, diagonal."""

    def step(arrays: Arrays, x: np.ndarray, u: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        q = arrays["Q"]
        noise = rng.standard_normal(x.shape) * np.sqrt(np.diag(arrays["covariance"]))
        return x + a * (-x + np.tanh(x + arrays["b"]) @ (q @ arrays["w"] @ q.T).T) + np.sqrt(a) * noise

    return step, lambda arrays, x, u: x @ arrays["Q"]


def dense_rates(a: float) -> tuple[Step, Seen]:
    """r' = r + a (-r + sigma(W r + b))."""

    def seen(arrays: Arrays, r: np.ndarray, u: np.ndarray) -> np.ndarray:
        return r @ arrays["arr_0"].T + arrays["arr_1"]

    return (lambda arrays, r, u, rng: r + a * (-r + logistic(seen(arrays, r, u)))), seen


# ----- the read-outs


def of_module(arrays: Arrays, h: np.ndarray) -> np.ndarray:
    """(wo so)^T tanh(h) / N, without b."""
    return np.tanh(h) @ arrays["wo"] * arrays["so"] / len(arrays["m"])


def of_cell(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    """Output scale times w_out^T tanh(x) / N."""
    return arrays["rnn.w_out_scale"] * (np.tanh(x) @ arrays["rnn.w_out"]) / len(arrays["rnn.m"])


def of_stochastic(phi: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Outputs:
    """B^T phi(m z, h)."""
    return lambda arrays, z: phi(z @ arrays["transition.m"].T, arrays["transition.h"]) @ arrays["observation.B"]


def of_factors(arrays: Arrays, z: np.ndarray) -> np.ndarray:
    """C relu(Gamma z + b) + d."""
    return relu(z @ arrays["Gamma"].T + arrays["b"]) @ arrays["output_vectors"] + arrays["output_bias"]


def of_thresholds(arrays: Arrays, z: np.ndarray) -> np.ndarray:
    """C tanh(m z - theta) + d."""
    return np.tanh(z @ arrays["net/m"].T - arrays["net/theta"]) @ arrays["net/C"].T + arrays["net/d"]


def of_latents(arrays: Arrays, z: np.ndarray) -> np.ndarray:
    """B z."""
    return z @ arrays["B"].T


def of_psych_rnn(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    """|W_out| D_out relu(x) + b_out, with excitatory units alone in D_out."""
    dale = arrays["dale_ratio"].dtype != object
    weights = arrays["W_out"] * arrays.get("output_connectivity", 1.0)
    weights = np.abs(weights) @ arrays["Dale_out"] if dale else weights
    return relu(x) @ weights.T + arrays["b_out"]


def of_spike_rnn(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    """w_out sigma(x) + b_out."""
    return logistic(x) @ arrays["w_out"].T + arrays["b_out"]


def of_circuit(arrays: Arrays, r: np.ndarray) -> np.ndarray:
    """W_out r."""
    return r @ arrays["output_layer.weight"].T


def of_embedded(arrays: Arrays, x: np.ndarray) -> np.ndarray:
    """C tanh(x + b)."""
    return np.tanh(x + arrays["b"]) @ arrays["w_out"]


# ----- the files


def oscillator(rng: np.random.Generator, units: int, gain: float = 2.2) -> tuple[np.ndarray, np.ndarray]:
    """Vectors m and n of a rank-2 network that oscillates."""
    m = rng.standard_normal((units, 2))
    return m, gain * m @ np.array([[1.0, 0.6], [-0.6, 1.0]]) + 0.2 * rng.standard_normal((units, 2))


def families(seed: int = 0) -> list[Family]:
    """One made file of each family."""
    return [make(np.random.default_rng([seed, place])) for place, make in enumerate(MAKERS)]


def _module(rng: np.random.Generator) -> Family:
    m = rng.standard_normal((128, 1))
    arrays = {
        "m": m, "n": 1.3 * m + 0.3 * rng.standard_normal((128, 1)), "wi": rng.standard_normal((1, 128)) + m.T,
        "si": np.array([0.8]), "b": 0.2 * rng.standard_normal(128), "wo": rng.standard_normal((128, 1)),
        "so": np.array([0.6]), "h0": np.zeros(128),
    }  # fmt: skip
    return Family("low-rank module", "module.pt", arrays, *low_rank(0.2), 128, 0.2, {"step": 0.2}, 1, outputs=of_module)


def _cell(rng: np.random.Generator) -> Family:
    m, n = oscillator(rng, 128)
    arrays = {
        "x0": 0.1 * rng.standard_normal((1, 128)), "rnn.m": m, "rnn.n": np.ascontiguousarray(n.T),
        "rnn.w_inp": rng.standard_normal((2, 128)), "rnn.w_inp_scale": np.array([0.5]),
        "rnn.w_out": rng.standard_normal((128, 1)), "rnn.w_out_scale": np.full((1, 1), 4.0),
    }  # fmt: skip
    said = {"step": 0.28, "outputs": "w_out"}
    return Family("low-rank cell, coarse", "cell.pkl", arrays, *low_rank(0.28), 128, 0.28, said, 2, outputs=of_cell)


def _stochastic(rng: np.random.Generator, phi: Callable, sign: float, name: str, activation: str) -> Family:
    m, n = oscillator(rng, 40)
    if activation == "relu":
        n = n * np.where(np.arange(40) % 2, 1.0, 1.5)[:, None]
    arrays = {
        "R_z": np.array([[-4.0, 0.0], [0.05, -3.5]]), "initial_state": np.zeros(2),
        "transition.AW": np.full((1, 1, 1, 1), np.log(-np.log(0.9))), "transition.m": m,
        "transition.n": 0.1 * n.T / 40, "transition.h": (0.5 + rng.random(40)) * (-1) ** np.arange(40),
        "observation.B": rng.standard_normal((40, 3)),
    }  # fmt: skip
    step, seen = stochastic(phi, sign)
    said, file = {"activation": activation, "outputs": "observation.B"}, name.replace(" ", "_")
    return Family(name, file, arrays, step, seen, 2, 0.1, said, outputs=of_stochastic(phi))


def _relus(rng: np.random.Generator) -> Family:
    family = _stochastic(rng, lambda x, h: relu(x - h), -1.0, "stochastic relu", "relu")
    arrays = family.arrays | {"transition.n": 0.4 * family.arrays["transition.n"]}
    return Family(**{**vars(family), "arrays": arrays})


def _clipped(rng: np.random.Generator) -> Family:
    return _stochastic(rng, lambda x, h: relu(x + h) - relu(x), 1.0, "stochastic clipped relu", "clipped relu")


def _factors(rng: np.random.Generator) -> Family:
    m, n = oscillator(rng, 40, 0.9)
    arrays = {
        "Gamma": m, "W_s": np.ascontiguousarray(n.T) / 40, "b": 0.5 * rng.standard_normal(40) + 0.3,
        "diffusion_factor": np.array([[0.3, 0.0], [0.1, 0.2]]), "output_vectors": rng.standard_normal((40, 2)),
        "output_bias": np.array([0.4, -0.2]),
    }  # fmt: skip
    said = {"activation": "relu", "filtered": "currents", "step": 0.1}
    return Family("factors", "factors.npz", arrays, *factors(0.1), 2, 0.1, said, outputs=of_factors)


def _thresholds(rng: np.random.Generator) -> Family:
    m, n = oscillator(rng, 60)
    arrays = {
        "net/m": m, "net/n": n / 60, "net/theta": 0.3 * rng.standard_normal(60), "net/alpha": np.array(0.2),
        "net/noise_covariance": np.array([[0.05, 0.02], [0.02, 0.04]]), "net/C": rng.standard_normal((2, 60)),
        "net/d": np.array([0.3, 0.0]),
    }  # fmt: skip
    said = {"activation": "tanh", "filtered": "currents", "factor": 1.0, "outputs": "C", "output_bias": "d"}
    file = "thresholds.npz"
    return Family("covariance, threshold", file, arrays, *thresholds(0.2), 2, 0.2, said, outputs=of_thresholds)


def _almost_linear(rng: np.random.Generator) -> Family:
    """A rotation that grows, and two rectified latents that follow its first coordinate and hold it."""
    weights = np.array([[0.55, -0.2, -0.3, 0.3], [0.2, 0.55, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [-0.5, 0.0, 0.0, 0.0]])
    arrays = {
        "A": np.array([0.5, 0.5, 0.4, 0.4]), "W": weights, "h": np.array([0.02, 0.0, -0.5, -0.5]),
        "B": rng.standard_normal((3, 4)),
    }  # fmt: skip
    return Family(
        "AL-RNN", "alrnn", arrays, *almost_linear(2), 4, 0.55, {"rectified": 2}, start=0.5, outputs=of_latents
    )


def _shallow(rng: np.random.Generator) -> Family:
    """A step of a van der Pol oscillator, regressed on random relus."""
    z = 3.0 * rng.uniform(-1, 1, (4000, 2))
    ends = z + 0.1 * np.stack([z[:, 1], 1.5 * (1 - z[:, 0] ** 2) * z[:, 1] - z[:, 0]], axis=1)
    into, bias, linear = rng.standard_normal((80, 2)), rng.uniform(-3, 3, 80), np.array([0.9, 0.85])
    columns = np.hstack([relu(z @ into.T + bias), np.ones((4000, 1))])
    out = np.linalg.lstsq(columns, ends - linear * z, rcond=1e-2)[0]
    arrays = {"A": linear, "W1": np.ascontiguousarray(out[:-1].T), "W2": into, "h1": out[-1], "h2": bias}
    arrays["B"] = rng.standard_normal((3, 2))
    return Family("shallow PLRNN", "shallow.npz", arrays, *shallow(), 2, 0.125, outputs=of_latents)


def _psych_rnn(rng: np.random.Generator) -> Family:
    signs = np.where(np.arange(40) < 32, 1.0, -1.0)
    weights = rng.standard_normal((40, 40)) * np.where(signs > 0, 0.25, 1.0) * 1.2 / np.sqrt(40)
    arrays = {
        "W_rec": weights, "W_in": 0.5 * rng.standard_normal((40, 2)), "b_rec": 0.2 * rng.standard_normal(40),
        "W_out": rng.standard_normal((1, 40)), "b_out": np.array([0.3]), "Dale_rec": np.diag(signs), "Dale_out":
        np.diag(np.maximum(signs, 0.0)), "rec_connectivity":
        (rng.random((40, 40)) < 0.7).astype(float), "input_connectivity": np.ones((40, 2)),
        "init_state": 0.1 * np.ones((1, 40)), "dale_ratio": np.array(0.8), "b_rec/Adam": np.zeros(40),
    }  # fmt: skip
    return Family("PsychRNN", "psych.npz", arrays, *psych_rnn(0.1), 40, 0.1, {"step": 0.1}, 2, outputs=of_psych_rnn)


def _spike_rnn(rng: np.random.Generator) -> Family:
    signs = np.where(rng.random(40) < 0.2, -1.0, 1.0)
    mask = np.ones((40, 40))
    mask[:3, signs < 0] = 0.0
    arrays = {
        "w": 1.5 * np.abs(rng.standard_normal((40, 40))) / np.sqrt(40) * (rng.random((40, 40)) < 0.4),
        "m": np.diag(signs), "som_m": mask, "w_in": rng.standard_normal((40, 2)), "w_out": rng.standard_normal((1, 40)),
        "b_out": np.array([-0.5]), "N": np.array(40), "taus": np.array([5.0, 25.0]),
        "taus_gaus": rng.standard_normal((40, 1)), "x0": np.zeros((10, 40, 1)),
    }  # fmt: skip
    tau = 5 + 20 * logistic(arrays["taus_gaus"])
    pace, said = float((1 / tau).mean()), {"activation": "logistic"}
    return Family("spikeRNN", "spike.mat", arrays, *spike_rnn(), 40, pace, said, 2, 2.0, outputs=of_spike_rnn)


def _circuit(rng: np.random.Generator) -> Family:
    arrays = {
        "a": rng.random((30, 30)), "recurrent_layer.weight": 0.3 * rng.standard_normal((8, 8)),
        "recurrent_layer.bias": 0.2 * np.ones(8), "input_layer.weight": np.eye(8)[:, :4].copy(),
        "output_layer.weight": rng.standard_normal((2, 8)),
    }  # fmt: skip
    step, seen = circuit(0.2)
    return Family(
        "latent circuit", "circuit.pth", arrays, step, seen, 8, 0.2, inputs=4, by_latents=True, outputs=of_circuit
    )


def _embedded(rng: np.random.Generator) -> Family:
    embedding = np.linalg.qr(rng.standard_normal((60, 2)))[0]
    arrays = {
        "Q": embedding, "w": 2.2 * np.array([[1.0, -0.6], [0.6, 1.0]]), "covariance": 0.01 * np.eye(60),
        "b": 6.0 * embedding[:, 0] + 0.2 * rng.standard_normal(60), "w_out": rng.standard_normal((60, 1)),
    }  # fmt: skip
    said = {"activation": "tanh", "filtered": "currents", "step": 0.2, "outputs": "w_out"}
    step, seen = embedded(0.2)
    return Family(
        "Q w Q^T, noise on units", "embedded.npz", arrays, step, seen, 60, 0.2, said, by_latents=True,
        outputs=of_embedded,
    )  # fmt: skip


def _dense(rng: np.random.Generator) -> Family:
    m, n = oscillator(rng, 50)
    weights = 4 * m @ n.T / 50
    arrays = {"arr_0": weights, "arr_1": -0.5 * weights.sum(axis=1) + 0.3 * rng.standard_normal(50)}
    said = {"weights": "arr_0", "bias": "arr_1", "activation": "logistic", "filtered": "rates", "step": 0.1}
    return Family("dense rates, arr_0", "dense.npz", arrays, *dense_rates(0.1), 50, 0.1, said, gain=2.0)


MAKERS = (
    _module, _cell, _relus, _clipped, _factors, _thresholds, _almost_linear, _shallow, _psych_rnn, _spike_rnn, _circuit,
    _embedded, _dense,
)  # fmt: skip


def family_of(path: Path, said: dict[str, Any]) -> Family | None:
    """Family of a file by the names of its arrays, with what a mapping says; None where its equation is not here."""
    if path.suffix == ".npz":
        with np.load(path) as content:
            arrays = {name: content[name] for name in content.files if name != "dale_ratio"}
    else:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        arrays = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    step, mapped = said.get("step", 0.2), "outputs" in said
    inputs = next((len(arrays[name]) for name in ("wi", "rnn.w_inp") if name in arrays), 0)

    def family(
        equation: tuple[Step, Seen], size: int, outputs: Outputs | None, pace: float = step, count: int = inputs
    ) -> Family:
        return Family(path.name, path.name, arrays, *equation, size, pace, said, count, outputs=outputs)

    if "wo" in arrays:
        return family(low_rank(step), len(arrays["m"]), of_module)
    if "rnn.m" in arrays:
        return family(low_rank(step), len(arrays["rnn.m"]), of_cell if mapped else None)
    if "transition.m" in arrays and said.get("activation") == "relu":
        pace = 1.0 - float(np.exp(-np.exp(arrays["transition.AW"].item())))

        def phi(x: np.ndarray, h: np.ndarray) -> np.ndarray:
            return relu(x - h)

        return family(stochastic(phi, -1.0), len(arrays["R_z"]), of_stochastic(phi) if mapped else None, pace)
    if "Gamma" in arrays and said.get("activation") == "relu":
        return family(factors(step), arrays["Gamma"].shape[1], of_factors if "output_vectors" in arrays else None)
    if {"A", "W", "h", "B"} <= arrays.keys():
        pace = float(np.clip(1.0 - arrays["A"].mean(), 0.05, 1.0))
        return family(almost_linear(said["rectified"]), len(arrays["A"]), of_latents, pace)
    if "Dale_rec" in arrays:
        arrays["dale_ratio"] = np.array(0.8 if (arrays["Dale_rec"] < 0).any() else None)
        return family(psych_rnn(step), len(arrays["b_rec"]), of_psych_rnn, count=arrays["W_in"].shape[1])
    return None
