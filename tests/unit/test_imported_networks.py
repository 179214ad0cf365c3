"""Networks from elsewhere: every form integrates as its own formula says."""

# pyright: reportArgumentType=false
# arrays by name, which np.savez takes and its stubs do not

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from scipy.io import savemat

import ddm2snn
from ddm2snn import ArrayMapping, InputError, RateNetwork, import_network
from ddm2snn.exchange.rate_arrays import factored

UNITS, RANK = 40, 2
STEP = 1e-3


@pytest.fixture
def weights() -> dict[str, np.ndarray]:
    """An oscillator of rank two, far from rest."""
    rng = np.random.default_rng(5)
    m = rng.standard_normal((UNITS, RANK))
    n = 2.2 * m @ np.array([[1.0, 0.6], [-0.6, 1.0]]) + 0.2 * rng.standard_normal((UNITS, RANK))
    return {"m": m, "n": n, "wi": rng.standard_normal((1, UNITS)), "b": 0.1 * rng.standard_normal(UNITS)}


def imported(path: Path, mapping: ArrayMapping | None = None) -> RateNetwork:
    network = import_network(path, mapping)
    assert isinstance(network, RateNetwork)
    return network


def euler(field, state: np.ndarray, time: float) -> np.ndarray:
    """Small Euler steps, which are no code of ours."""
    for _ in range(round(time / STEP)):
        state = state + STEP * field(state)
    return state


def run(network: RateNetwork, z: np.ndarray, time: float, u: np.ndarray | None = None) -> np.ndarray:
    """Latents of an imported network in the units of its file, by the same steps."""
    push = 0.0 if u is None else network.input_map @ u
    drift = lambda y: network.internal_readout(y) - y + push  # noqa: E731
    return network.latent_scale * euler(drift, z / network.latent_scale, time)


def test_state_of_the_public_low_rank_module(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    """h + alpha (-h + r n m^T / N + u wi), r = tanh(h + b): names and shapes as its state has them."""
    gains = np.array([0.7])
    state = {name: torch.tensor(weights[name]) for name in ("m", "n", "wi")}
    state |= {"si": torch.tensor(gains), "b": torch.tensor(weights["b"])[:, None], "h0": torch.zeros(UNITS)}
    state |= {"wo": torch.ones(UNITS, 1), "so": torch.ones(1)}
    torch.save(state, tmp_path / "model.pt")
    network = imported(tmp_path / "model.pt")
    assert network.rank == RANK + 1
    u, z = np.array([0.4]), np.array([0.5, -0.3])
    drive = gains @ weights["wi"] * u

    def field(h: np.ndarray) -> np.ndarray:
        return -h + np.tanh(h + weights["b"]) @ weights["n"] @ weights["m"].T / UNITS + drive

    h = euler(field, weights["m"] @ z, 3.0)
    latents = run(network, np.array([*z, 0.0]), 3.0, u)
    rebuilt = np.hstack([weights["m"], (gains @ weights["wi"])[:, None]]) @ latents
    np.testing.assert_allclose(rebuilt, h, atol=1e-10)
    assert np.abs(h - weights["m"] @ z).max() > 0.1, "nothing moved, so nothing was compared"


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".mat", ".h5"])
def test_every_kind_of_file_gives_the_same_network(tmp_path: Path, weights: dict[str, np.ndarray], suffix: str) -> None:
    arrays = {"Gamma": weights["m"], "W_s": np.ascontiguousarray(weights["n"].T) / UNITS, "b": weights["b"]}
    path = tmp_path / f"net{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    elif suffix == ".safetensors":
        save_file(arrays, path)
    elif suffix == ".mat":
        savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    mapping = ArrayMapping(activation="tanh", filtered="currents")
    network = imported(path, mapping)
    np.savez(tmp_path / "same.npz", **arrays)
    assert network.fingerprint == imported(tmp_path / "same.npz", mapping).fingerprint


def test_filtered_rates(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    """z = W_s r of dr = -r + phi(W r + b)."""
    m, n, b = weights["m"], weights["n"] / UNITS, weights["b"]
    np.savez(tmp_path / "net.npz", m=m, n=n, b=b)
    network = imported(tmp_path / "net.npz", ArrayMapping(factor=1.0, activation="tanh", filtered="rates"))
    r = np.random.default_rng(1).uniform(-1, 1, UNITS)
    end = euler(lambda rate: -rate + np.tanh(m @ (n.T @ rate) + b), r, 3.0)
    np.testing.assert_allclose(run(network, n.T @ r, 3.0), n.T @ end, atol=1e-10)


def test_logistic_units(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    """The latents but for the constant that moved into the bias."""
    m, n, b = weights["m"], 4 * weights["n"] / UNITS, weights["b"]
    np.savez(tmp_path / "net.npz", m=m, n=n, b=b)
    network = imported(tmp_path / "net.npz", ArrayMapping(factor=1.0, activation="logistic", filtered="currents"))
    z, constant = np.array([0.3, -0.8]), 0.5 * n.sum(axis=0)
    end = euler(lambda y: -y + n.T @ (1 / (1 + np.exp(-(m @ y + b)))), z, 3.0)
    np.testing.assert_allclose(run(network, z - constant, 3.0) + constant, end, atol=1e-10)


def test_dense_matrix_is_factored_to_its_rank(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    dense = weights["m"] @ weights["n"].T / UNITS
    np.savez(tmp_path / "net.npz", W=dense)
    network = imported(tmp_path / "net.npz", ArrayMapping(activation="tanh", filtered="currents"))
    assert network.rank == RANK
    np.testing.assert_allclose(network.left_vectors @ network.right_vectors.T, dense, atol=1e-12)
    assert network.provenance["imported"]["factorisation_error"] < 1e-12


def test_lower_rank_leaves_what_the_singular_values_say() -> None:
    dense = np.diag([4.0, 2.0, 1.0, 0.0])
    left, right, error = factored(dense, rank=2)
    assert error == pytest.approx(np.linalg.norm(dense - left @ right.T) / np.linalg.norm(dense), rel=1e-12)
    assert error == pytest.approx(1 / np.sqrt(21), rel=1e-12)


@pytest.mark.parametrize("step", [0.1, 0.2, 0.28])
def test_flow_over_a_coarse_step_is_the_published_map(
    tmp_path: Path, weights: dict[str, np.ndarray], step: float
) -> None:
    """The flow of the imported network, in small steps, against the map itself, over ten time units."""
    np.savez(tmp_path / "net.npz", m=weights["m"], n=weights["n"], b=weights["b"])
    said = {"factor": "1/N", "activation": "tanh", "filtered": "currents"}
    matched, unmatched = (imported(tmp_path / "net.npz", ArrayMapping(**said, step=a)) for a in (step, None))
    facts = matched.provenance["imported"]
    assert facts["step_error"] < 0.3 * facts["unmatched_step_error"]
    z = matched.initial_latent[:50]
    ends = z
    for _ in range(round(10.0 / step)):
        ends = (1 - step) * ends + step * np.tanh(ends @ weights["m"].T + weights["b"]) @ weights["n"] / UNITS
    missed, control = (
        np.sqrt(((run(network, z, round(10.0 / step) * step) - ends) ** 2).mean()) for network in (matched, unmatched)
    )
    assert missed < 0.35 * control, "the match leaves less than a third of what the published weights miss"


def test_a_map_that_no_flow_has_is_refused(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    """Latents that change their signs in every step: no flow goes through zero without stopping there."""
    np.savez(tmp_path / "net.npz", m=weights["m"], n=-10 * weights["m"])
    said = {"factor": "1/N", "activation": "tanh", "filtered": "currents"}
    with pytest.raises(InputError, match=r"differs by \d+% of a step's length, more than 10%"):
        imported(tmp_path / "net.npz", ArrayMapping(**said, step=0.5))


@pytest.mark.parametrize(
    ("arrays", "said", "words"),
    [
        ({"m": (5, 1), "n": (5, 1)}, {"activation": "tanh", "filtered": "currents"}, "which factor"),
        ({"m": (5, 1), "n": (5, 1)}, {"factor": 1.0, "filtered": "currents"}, "which activation"),
        ({"m": (5, 1), "n": (5, 1)}, {"factor": 1.0, "activation": "tanh"}, "which filtered"),
        ({"U": (5, 1)}, {"activation": "tanh", "filtered": "currents"}, "neither Gamma"),
        ({"U": (5, 1)}, {"left": "V"}, "no array 'V'"),
        ({"m": (5, 1), "n": (4, 1)}, {"factor": 1.0, "filtered": "currents", "activation": "tanh"}, "left and right"),
        ({"W": (5, 4)}, {"filtered": "currents", "activation": "tanh"}, "square"),
        (
            {"m": (5, 1), "n": (5, 1), "wi": (1, 5)},
            {"factor": 1.0, "filtered": "rates", "activation": "tanh"},
            "cannot express",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    tmp_path: Path, arrays: dict[str, tuple[int, ...]], said: dict[str, object], words: str
) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "net.npz", **{name: rng.standard_normal(shape) for name, shape in arrays.items()})
    with pytest.raises(InputError, match=words):
        imported(tmp_path / "net.npz", ArrayMapping.model_validate(said))


def test_growth_without_bound_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", m=np.ones((5, 1)), n=np.ones((5, 1)))
    with pytest.raises(InputError, match="grow without bound"):
        imported(tmp_path / "net.npz", ArrayMapping(factor=2.0, activation="relu", filtered="currents"))


def test_imported_network_converts_and_keeps_its_period(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "net.npz", m=weights["m"], n=weights["n"], b=weights["b"])
    said = ArrayMapping(factor="1/N", activation="tanh", filtered="currents", noise=0.1)
    network = imported(tmp_path / "net.npz", said)
    assert not network.provenance["imported"]["rests_without_input"]
    network.save(tmp_path / "rate.safetensors")
    assert ddm2snn.load(tmp_path / "rate.safetensors").fingerprint == network.fingerprint
    spiking = ddm2snn.convert(network, decoders=ddm2snn.Static(), backend="reference").network
    weaker = dataclasses.replace(network, right_vectors=0.9 * network.right_vectors)
    rated, ours, control = (
        _spread_and_correlation(ddm2snn.simulate(net, duration=60.0, trials=8, seed=3, every=0.1).samples[:, 100:])
        for net in (network, spiking, weaker)
    )
    # 8 trials of 50 time units leave some 5 % of a spread, and correlations that lie within 0.2
    assert np.abs(ours[0] / rated[0] - 1).max() < 0.1
    assert np.abs(ours[1] - rated[1]).max() < 0.2
    assert np.abs(control[0] / rated[0] - 1).max() > 0.1, "the control: a tenth off every weight"
    assert min(rated[1]) < -0.3, "the network does not oscillate, so the comparison is blind to its period"


def _spread_and_correlation(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return samples.std(axis=(0, 1)), _autocorrelation(samples[..., 0])


def _autocorrelation(x: np.ndarray) -> np.ndarray:
    x = x - x.mean()
    return np.array([(x[:, lag:] * x[:, : x.shape[1] - lag]).mean() for lag in range(0, 60, 5)]) / (x**2).mean()
