"""Families of weight files: each runs as its own equation does, and no fault in a file passes."""

# pyright: reportArgumentType=false, reportMissingImports=false
# arrays by name, which np.savez takes and its stubs do not; families of the benchmarks

from __future__ import annotations

import contextlib
import dataclasses
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path

import forked_reader
import numpy as np
import pytest
import torch

from ddm2snn import ArrayMapping, InputError, RateNetwork, import_network, simulate
from ddm2snn.base import foreign
from ddm2snn.errors import FileRefusedError
from ddm2snn.exchange import flow_matching, published_network

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import import_table
from import_table import latents_at, run_equation, run_network, settled, unit_inputs
from weight_families import Arrays, Family, families

FAMILIES = {family.name: family for family in families()}
TRIALS, SETTLE, DURATION = 16, (1.0, 8.0), 4.0  # trials, and time units without inputs and with them
LARGEST_MISS = 0.1  # of the length of the way: what the import itself allows of that of a step
PARTS = {  # names of the recurrent weights, and of what moves their units, by family
    "low-rank module": ("n", "b"), "low-rank cell, coarse": ("rnn.n", "rnn.w_inp"),
    "stochastic relu": ("transition.n", "transition.h"), "stochastic clipped relu": ("transition.n", "transition.h"),
    "factors": ("W_s", "b"), "covariance, threshold": ("net/n", "net/theta"), "AL-RNN": ("W", "h"),
    "shallow PLRNN": ("W1", "h2"), "PsychRNN": ("W_rec", "b_rec"), "spikeRNN": ("w", "w_in"),
    "latent circuit": ("recurrent_layer.weight", "recurrent_layer.bias"), "Q w Q^T, noise on units": ("w", "b"),
    "dense rates, arr_0": ("arr_0", "arr_1"),
}  # fmt: skip
SIGNS = {"PsychRNN": "Dale_rec", "spikeRNN": "m"}  # where Dale's law takes the sign of the weights
REFUSED = ("no such form", "without bound", "clipped relu units are zero without a bias")


class Quiet:
    """Random numbers that are zero: runs without noise."""

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape)


@pytest.fixture(autouse=True)
def _fewer_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_matching, "_MOST_SAMPLES", 1024)


def imported(path: Path, **said: object) -> RateNetwork:
    network = import_network(path, ArrayMapping(**said))
    assert isinstance(network, RateNetwork)
    return network


def miss(family: Family, path: Path) -> float:
    """How far the imported network ends from the family's own equation, without noise, over the length of the way.

    Both begin where the equation has led without inputs, and then have the same ones, which last.
    """
    network, rng = imported(path, **family.mapping), np.random.default_rng(1)
    steps = round(DURATION / family.pace)
    u = np.broadcast_to(0.7 * rng.standard_normal((TRIALS, family.inputs)), (steps, TRIALS, family.inputs))
    state = family.start * rng.standard_normal((TRIALS, family.size))
    # without its noise, an equation of latents may rest; one of units must come to the span of its latents
    settles = family.size != network.rank or not network.diffusion_factor.any()
    state = settled(family, family.arrays, Quiet(), state, SETTLE[settles])
    ours, _ = run_equation(family, family.arrays, Quiet(), u, state)
    z = latents_at(family, network, family.arrays, state)
    theirs, _ = run_network(family, network, Quiet(), u, ours.shape[-1], z)
    with np.errstate(over="ignore", invalid="ignore"):
        way = np.sqrt(((ours - ours[0]) ** 2).mean())
        missed = np.sqrt(((theirs - ours) ** 2).mean()) / way
    return float(missed) if np.isfinite(missed) else np.inf


def faulty(family: Family, fault: str) -> Arrays:
    """Arrays of a file with one fault."""
    weights, bias = PARTS[family.name]
    arrays = dict(family.arrays)
    if fault == "sign":
        name = SIGNS.get(family.name, weights)
        arrays[name] = -arrays[name]
    elif fault == "factor":
        arrays[weights] = 2.0 * arrays[weights]
    elif fault == "bias":
        arrays[bias] = np.zeros_like(arrays[bias])
    elif arrays[weights].shape[0] == arrays[weights].shape[1]:
        arrays[weights] = np.ascontiguousarray(arrays[weights].T)
    else:  # left and right vectors in each other's place
        other = {"n": "m", "rnn.n": "rnn.m", "transition.n": "transition.m", "W_s": "Gamma", "net/n": "net/m",
                 "W1": "W2"}[weights]  # fmt: skip
        one, two = arrays[weights], arrays[other]
        scale = np.linalg.norm(one) / np.linalg.norm(two)
        swap = (lambda x: np.ascontiguousarray(x.T)) if one.shape != two.shape else (lambda x: x)
        arrays[weights], arrays[other] = scale * swap(two), swap(one) / scale
    return arrays


@pytest.mark.parametrize("name", FAMILIES)
def test_an_imported_network_runs_as_its_family_does(tmp_path: Path, name: str) -> None:
    family = FAMILIES[name]
    assert miss(family, family.write(tmp_path)) < LARGEST_MISS


@pytest.mark.parametrize("fault", ["sign", "transposition", "factor", "bias"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_fault_of_a_file_is_seen(tmp_path: Path, name: str, fault: str) -> None:
    """The test above fails, or the file is refused, with one array that is not the equation's."""
    family = FAMILIES[name]
    path = family.write(tmp_path, faulty(family, fault))
    try:
        missed = miss(family, path)
    except InputError as error:
        if not any(words in str(error) for words in REFUSED):
            raise
        missed = np.inf
    assert missed > LARGEST_MISS


# ----- outputs

READOUTS = {  # names of read-outs, and of their gains or of what is added to them, by family
    "low-rank module": ("wo", "so"), "low-rank cell, coarse": ("rnn.w_out", "rnn.w_out_scale"),
    "factors": ("output_vectors", "output_bias"), "covariance, threshold": ("net/C", "net/d"),
    "PsychRNN": ("Dale_out", "b_out"), "spikeRNN": ("w_out", "b_out"), "latent circuit": ("output_layer.weight",),
    "Q w Q^T, noise on units": ("w_out",), "stochastic relu": ("observation.B",), "AL-RNN": ("B",),
    "stochastic clipped relu": ("observation.B",), "shallow PLRNN": ("B",),
}  # fmt: skip
ROUNDING = 1e-9  # of latents through two changes of their unit, relative


def output_miss(family: Family, network: RateNetwork, arrays: Arrays) -> float:
    """Largest difference of outputs from those of the file's equation at states of the latents, over their size."""
    z = np.random.default_rng(2).standard_normal((64, network.rank))
    none, without = np.zeros((1, family.size)), np.zeros((1, family.inputs))
    origin = family.seen(family.arrays, none, without)
    directions = np.vstack([family.seen(family.arrays, row[None], without) - origin for row in np.eye(family.size)])
    seen = unit_inputs(family, network, z, directions.shape[1])
    state = np.linalg.lstsq(directions.T, (seen - origin).T, rcond=None)[0].T
    assert family.outputs is not None
    theirs, ours = family.outputs(arrays, state), network.output(network.latent_offset + network.latent_scale * z)
    assert theirs.shape == ours.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("name", READOUTS)
def test_outputs_are_those_of_the_file(tmp_path: Path, name: str) -> None:
    """They are, to rounding, and those of a file with another sign, factor or bias are not."""
    family = FAMILIES[name]
    network = imported(family.write(tmp_path), **family.mapping)
    assert output_miss(family, network, family.arrays) < ROUNDING
    for array in READOUTS[name]:
        for factor in (-1.0, 1.01, 0.0):
            fault = family.arrays | {array: factor * family.arrays[array]}
            with np.errstate(divide="ignore", invalid="ignore"):  # outputs without vectors are zero
                assert not output_miss(family, network, fault) < 1e5 * ROUNDING


@pytest.mark.parametrize(
    ("arrays", "said", "words"),
    [
        ({"m": np.ones((5, 1)), "n": np.eye(5)[:, :1], "w_out": np.ones(5)}, {"factor": 1.0}, "does not say"),
        (
            {"m": np.ones((5, 1)), "n": np.eye(5)[:, :1], "w_inp": np.ones((1, 5)), "w_inp_scale": 1.0,
             "w_out": np.ones((5, 1)), "w_out_scale": 1.0}, {"filtered": "currents"}, "does not say",
        ),
        ({"W": np.eye(5) / 2, "b": np.ones(5), "C": np.ones(5)}, {"filtered": "rates", "outputs": "C"}, "not phi"),
        ({"weight_hh_l0": np.eye(5) / 2, "weight_ih_l0": np.ones((5, 1)), "fc.weight": np.ones((1, 5))},
         {"filtered": None, "outputs": "fc.weight"}, "not phi"),
    ],
)  # fmt: skip
def test_a_readout_of_something_else_is_named(
    tmp_path: Path, arrays: Arrays, said: dict[str, object], words: str
) -> None:
    said = {"filtered": "currents", "activation": "tanh"} | said
    network = imported(saved(tmp_path, **arrays), **said)
    facts = network.provenance["imported"]
    assert (network.outputs, words in facts["readout_left_out"]) == (0, True)


# ----- shapes


SHAPES = [(0,), (0, 3), (3, 0), (2, 3, 4), (3,), (1, 3), (3, 1), (3, 4), (), (1,), (1, 1)]


@pytest.mark.parametrize("name", FAMILIES)
def test_an_array_of_any_shape_is_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Each array of each family in turn: an error that is no refusal passes through."""
    for module, setting, value in (
        (flow_matching, "_MOST_SAMPLES", 64), (flow_matching, "_FEWEST_SAMPLES", 64),
        (flow_matching, "_ENOUGH", np.inf), (published_network, "_TIME", 5.0), (published_network, "_MOST_TRIALS", 8),
        (published_network, "_FEWEST_STEPS", 20), (foreign, "_run", forked_reader.run),
    ):  # fmt: skip
        monkeypatch.setattr(module, setting, value)
    family = FAMILIES[name]
    for each in family.arrays:
        for shape in SHAPES[: 1 if each.endswith(("w_out", "W_out", "wo", "so", "b_out", "Adam", "N", "x0")) else None]:
            path = family.write(tmp_path, family.arrays | {each: np.full(shape, 0.1)})
            with contextlib.suppress(InputError):
                imported(path, **family.mapping)


# ----- noise


def test_noise_of_each_step_becomes_noise_in_time(tmp_path: Path) -> None:
    """Of a leak alone, z' = d z + L xi, whose stationary variance is L L^T / (1 - d^2); the flow's is G G^T / 2."""
    raw = np.array([[-2.0, 0.0], [0.3, -3.0]])
    family = FAMILIES["stochastic relu"]
    arrays = family.arrays | {"transition.n": 1e-9 * family.arrays["transition.n"], "R_z": raw}
    network = imported(family.write(tmp_path, arrays), activation="relu")
    factor = np.tril(raw, -1) + np.diag(np.exp(np.diag(raw) / 2))
    decay = 0.9
    leak = -np.log(decay) / network.provenance["imported"]["step"]  # of a flow that leaves 0.9 in a step
    assert leak == pytest.approx(1.054, abs=1e-3)
    g = network.diffusion_factor * network.latent_scale[:, None]
    np.testing.assert_allclose(g @ g.T / (2 * leak), factor @ factor.T / (1 - decay**2), rtol=0.06)
    assert np.abs(factor @ factor.T / (1 - decay) / (2 * leak) / (factor @ factor.T / (1 - decay**2)) - 1).max() > 0.09


@pytest.mark.parametrize(("name", "is_factor"), [("covariance", False), ("diffusion_factor", True)])
def test_covariance_and_factor_are_the_same_noise(tmp_path: Path, name: str, is_factor: bool) -> None:
    factor = np.array([[0.3, 0.0], [-0.1, 0.2]])
    weights = {"m": np.eye(5)[:, :2], "n": -np.eye(5)[:, :2], name: factor if is_factor else factor @ factor.T}
    np.savez(tmp_path / "net.npz", **weights)
    network = imported(tmp_path / "net.npz", factor=1.0, activation="tanh", filtered="currents")
    g = network.diffusion_factor * network.latent_scale[:, None]
    np.testing.assert_allclose(g, factor, atol=1e-12)
    assert not network.provenance["imported"]["rests_without_input"], "a network with noise does not rest"


def test_noise_of_units_is_split_by_the_subspace(tmp_path: Path) -> None:
    left = np.linalg.qr(np.random.default_rng(0).standard_normal((20, 2)))[0]
    np.savez(tmp_path / "net.npz", Gamma=left, W_s=left.T.copy(), covariance=0.04 * np.eye(20))
    network = imported(tmp_path / "net.npz", activation="tanh", filtered="currents")
    g = network.diffusion_factor * network.latent_scale[:, None]
    np.testing.assert_allclose(g @ g.T, 0.04 * np.eye(2), atol=1e-12)
    facts = network.provenance["imported"]
    assert facts["noise_outside"] == pytest.approx(18 / 20)
    assert facts["noise_outside_per_unit"] == pytest.approx(0.2 * np.sqrt(18 / 20))


def noisy_units(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A network whose units have noise of a standard deviation of 0.5 while the latents rest."""
    rng = np.random.default_rng(3)
    left = np.linalg.qr(rng.standard_normal((40, 2)))[0]
    w = {"Gamma": 3.0 * left, "W_s": 1.2 * left.T @ np.diag(rng.uniform(0.5, 1.5, 40)), "b": rng.standard_normal(40)}
    np.savez(tmp_path / "net.npz", **w, covariance=0.5 * np.eye(40))
    return tmp_path / "net.npz", w


@pytest.mark.parametrize("activation", ["tanh", "relu", "logistic"])
def test_noise_outside_the_latents_has_its_effect_on_the_mean(tmp_path: Path, activation: str) -> None:
    path, w = noisy_units(tmp_path)
    w["W_s"] = w["W_s"] * (0.3 if activation == "relu" else 1.0)
    np.savez(path, **w, covariance=0.5 * np.eye(40))
    network = imported(path, activation=activation, filtered="currents")
    phi = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0), "logistic": lambda x: 1.0 / (1.0 + np.exp(-x))}
    outside = np.eye(40) - w["Gamma"] @ np.linalg.pinv(w["Gamma"])
    z = simulate(network, duration=20.0, trials=20, seed=1).samples[:, ::50].reshape(-1, 2)
    grid = np.linspace(-6.0, 6.0, 601)
    weights = np.exp(-0.5 * grid**2) / np.exp(-0.5 * grid**2).sum()
    noise = 0.5 * grid[:, None] * np.sqrt(np.diag(outside))
    x = z @ w["Gamma"].T + w["b"]
    wanted = np.array([weights @ phi[activation](row + noise) for row in x]) @ w["W_s"].T
    without = phi[activation](x) @ w["W_s"].T
    internal = (z - network.latent_offset) / network.latent_scale
    found = network.internal_readout(internal) * network.latent_scale + network.latent_offset
    error, missed = (np.sqrt(((each - wanted) ** 2).mean()) for each in (found, without))
    assert error < 0.1 * missed, (error, missed)


def test_noise_latents_carry_what_units_hand_on(tmp_path: Path) -> None:
    path, w = noisy_units(tmp_path)
    plain, full = (imported(path, activation="tanh", filtered="currents", noise_latents=n) for n in (0, 6))
    assert (plain.rank, full.rank) == (2, 8)
    facts = full.provenance["imported"]
    assert facts["noise_outside"] == pytest.approx(32 / 40)
    start = full.initial_latent[:1]
    runs = simulate(full, duration=60.0, trials=64, seed=2, initial_latent=np.repeat(start, 64, axis=0))
    tail = runs.samples[:, runs.samples.shape[1] // 4 :]
    np.testing.assert_allclose(tail[..., 2:].var(axis=(0, 1)), 0.25, rtol=0.1)  # of covariance per time, over twice one

    def feeling(noise: np.ndarray) -> np.ndarray:
        """Covariance of what noise of units does to the latents at once, at states of the run."""
        x = tail[:, ::200, :2].reshape(-1, 2) @ w["Gamma"].T + w["b"]
        pushes = ((1.0 - np.tanh(x) ** 2)[:, :, None] * w["W_s"].T).swapaxes(1, 2) @ noise
        return (pushes @ pushes.swapaxes(1, 2)).mean(axis=0)

    within = full.left_vectors[:, 2:] / np.linalg.norm(full.left_vectors[:, 2:], axis=0)
    outside = np.eye(40) - w["Gamma"] @ np.linalg.pinv(w["Gamma"])
    assert np.trace(feeling(within)) > 0.9 * np.trace(feeling(outside))


def test_noise_latents_without_noise_outside_are_refused(tmp_path: Path) -> None:
    path, _ = noisy_units(tmp_path)
    with pytest.raises(InputError, match="Leave noise_latents out"):
        imported(path, activation="tanh", filtered="rates", step=0.2, noise_latents=2)
    np.savez(path, m=np.eye(5)[:, :2], n=-np.eye(5)[:, :2], covariance=np.eye(2))
    with pytest.raises(InputError, match="Leave noise_latents out"):
        imported(path, factor=1.0, activation="tanh", filtered="currents", noise_latents=2)


# ----- what is asked for, and what was silent before


def saved(tmp_path: Path, **arrays: object) -> Path:
    np.savez(tmp_path / "net.npz", **{name: np.asarray(array) for name, array in arrays.items()})
    return tmp_path / "net.npz"


@pytest.mark.parametrize(
    ("arrays", "said", "words"),
    [
        ({"Gamma": np.ones((5, 1)), "W_s": np.ones((1, 5))}, {"factor": 0.5}, r"factor is that of m n\^T"),
        ({"Gamma": np.ones((5, 1)), "W_s": np.ones((1, 5))}, {"rank": 1}, "rank and tolerance are of a dense W"),
        ({"m": np.ones((5, 1)), "n": np.ones((5, 1))}, {"factor": 1.0, "rectified": 2}, "rectified is of networks"),
        ({"A": np.ones(3), "W": np.eye(3), "h": np.ones(3)}, {}, "how many of its 3 latents"),
        ({"arr_0": np.ones((5, 1)), "arr_1": np.ones((5, 1))}, {}, r"arr_0 \(5, 1\), arr_1 \(5, 1\): neither Gamma"),
        (
            {"a.m": np.ones((5, 1)), "a.n": np.ones((5, 1)), "b.m": np.ones((5, 1)), "b.n": np.ones((5, 1))},
            {}, "more than one network, behind 'a.', 'b.'",
        ),
        ({"Gamma": np.ones((5, 1)), "W_s": np.ones((1, 5)), "covariance": -np.eye(1)}, {}, "negative variance"),
        ({"m": np.ones((5, 1)), "n": np.ones((5, 1)), "alpha": 2.0}, {"factor": 1.0}, "time step of 2 tau"),
        (
            {"m": np.ones((5, 1)), "n": np.ones((5, 1)), "decay": np.linspace(0.8, 0.9, 5)}, {"factor": 1.0},
            "differs from unit to unit",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(
    tmp_path: Path, arrays: Arrays, said: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        imported(saved(tmp_path, **arrays), activation="tanh", filtered="currents", **said)


def test_a_rank_that_loses_the_matrix_is_refused_unless_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, W=np.diag([1.0, 0.9, 0.8, 0.7]))
    with pytest.raises(InputError, match=r"rank 1 miss W by 0.81 .* Give rank = 4 or more, or tolerance = 0.81"):
        imported(path, rank=1, activation="tanh", filtered="currents")
    network = imported(path, rank=1, tolerance=0.9, activation="tanh", filtered="currents")
    assert (network.rank, round(network.provenance["imported"]["factorisation_error"], 2)) == (1, 0.81)


def test_one_array_of_objects_leaves_the_others(tmp_path: Path) -> None:
    path = saved(tmp_path, W=0.5 * np.eye(3), dale_ratio=np.array(None, dtype=object))
    assert imported(path, activation="tanh", filtered="currents").rank == 3


def test_threshold_and_bias_have_opposite_signs(tmp_path: Path) -> None:
    said = {"factor": 1.0, "activation": "tanh", "filtered": "currents"}
    m, n, h = np.eye(4)[:, :1], np.eye(4)[:, :1], np.array([0.3, -0.2, 0.1, 0.0])
    one, other = (imported(saved(tmp_path, m=m, n=n, **given), **said) for given in ({"b": -h}, {"threshold": h}))
    assert one.fingerprint == other.fingerprint


def test_one_decay_of_all_units_is_a_step(tmp_path: Path) -> None:
    path = saved(tmp_path, m=np.eye(4)[:, :1], n=np.eye(4)[:, :1], decay=np.full(4, 0.9))
    facts = imported(path, factor=1.0, activation="tanh", filtered="currents").provenance["imported"]
    assert facts["step"] == pytest.approx(0.1)


def test_the_start_of_a_trial_is_kept_with_what_lies_outside(tmp_path: Path) -> None:
    m = np.eye(4)[:, :2]
    path = saved(tmp_path, m=m, n=m, h0=np.array([3.0, 0.0, 4.0, 0.0]))
    facts = imported(path, factor=1.0, activation="tanh", filtered="currents").provenance["imported"]
    assert facts["initial_state"] == pytest.approx([3.0, 0.0])
    assert facts["initial_outside"] == pytest.approx(0.8)


def test_the_readout_and_what_was_not_used_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path, m=np.eye(4)[:, :1], n=np.eye(4)[:, :1], w_out=np.ones((4, 1)), gamma=np.ones(4))
    facts = imported(path, factor=1.0, activation="tanh", filtered="currents").provenance["imported"]
    assert (facts["readout"], facts["not_used"]) == ("w_out", ["gamma"])


# ----- PyTorch files


@pytest.mark.parametrize("name", ["net.pkl", "net", "net.pth"])
def test_torch_files_of_other_names(tmp_path: Path, name: str) -> None:
    family = FAMILIES["low-rank cell, coarse"]
    path = dataclasses.replace(family, file=name).write(tmp_path)
    assert imported(path, step=0.28).fingerprint == imported(family.write(tmp_path), step=0.28).fingerprint


def test_tensors_of_a_gpu_on_a_machine_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        path = FAMILIES["low-rank module"].write(tmp_path)
    assert b"cuda:0" in path.read_bytes()
    assert imported(path).units == 256  # 128 that feed back, and 128 without bias that the output reads


def test_a_pickle_of_more_than_tensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.pkl").write_bytes(pickle.dumps({"m": Path("x")}))
    with pytest.raises(FileRefusedError, match=r"more than tensors.* Nothing in it was executed"):
        imported(tmp_path / "net.pkl")


# ----- time


@pytest.mark.parametrize(("units", "limit_s"), [(512, 2.0), (4096, 5.0)])
@pytest.mark.parametrize("step", [None, 0.2])
def test_an_import_takes_seconds(tmp_path: Path, units: int, limit_s: float, step: float | None) -> None:
    rng: Callable = np.random.default_rng(0).standard_normal
    m = rng((units, 2))
    arrays = {"m": m, "n": m + rng((units, 2)), "wi": rng((4, units)), "si": np.ones(4), "wo": rng((units, 1))}
    torch.save({name: torch.tensor(array) for name, array in arrays.items()}, tmp_path / "net.pt")
    begin = time.process_time()
    imported(tmp_path / "net.pt", step=step)
    assert time.process_time() - begin < limit_s


def test_the_table_says_how_many_families_agree() -> None:
    good = {"family": "a", "seconds": 1.0, "D_stsp": 1.0, "output": 1.2}
    text = import_table.table([good, good | {"output": 2.0}, {"family": "c", "comes in": "refused"}])
    assert text.endswith("1 of 3 families at an excess of at most 1.5.")
