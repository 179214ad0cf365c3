"""The readers of files: a sound file of each, its mutants, and what reading one comes to."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import mutants
import numpy as np
import scipy.io
import torch
from safetensors.numpy import load_file, save_file

import ddm2snn
from ddm2snn.base.arrays import content_fingerprint
from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.base.settings import read_settings
from ddm2snn.base.stored import make_header, provenance_digest
from ddm2snn.cli.results import read_wells
from ddm2snn.exchange import flow_matching, published_network
from ddm2snn.recording import Recording, Spikes

_SHARED = importlib.util.spec_from_file_location("shared", Path(__file__).parents[1] / "conftest.py")
shared = importlib.util.module_from_spec(_SHARED)  # pyright: ignore[reportArgumentType] - it is there
_SHARED.loader.exec_module(shared)
Mutate = Callable[[random.Random, Path], bool]
"""Change a sound file in place; True where its checksums were put right, so that other content is no silent change."""
MEANING = ddm2snn.ArrayMapping(factor=1.0, activation="tanh", filtered="currents")
SEAL = b"\nddm2snn sha256 "


@dataclass(frozen=True)
class Reader:
    """A reader: its files are made in an empty folder, the first of them is changed and read."""

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    mutate: Mutate
    own: bool = False


@cache
def weights() -> dict[str, np.ndarray]:
    """Weights as other tools leave them."""
    rng = np.random.default_rng(2)
    return {
        "m": rng.standard_normal((6, 2)), "n": 0.3 * rng.standard_normal((6, 2)), "b": rng.standard_normal(6),
        "wi": rng.standard_normal((1, 6)),
    }  # fmt: skip


@cache
def dialects() -> dict[str, tuple[dict[str, np.ndarray], dict[str, Any]]]:
    """Weights in the words of published families, by the names of their files, and what the files do not say."""
    rng = np.random.default_rng(4)
    square, low = 0.3 * rng.standard_normal((5, 5)), rng.standard_normal((5, 2))
    small, vector = 0.1 * rng.standard_normal((5, 2)), rng.standard_normal(5)
    return {
        "cell.pkl": ({"x0": vector, "rnn.m": low, "rnn.n": small.T.copy(), "rnn.w_inp": low.T.copy(),
                      "rnn.w_inp_scale": np.ones(1)}, {"step": 0.2}),
        "stochastic": ({"t.m": low, "t.n": small.T.copy(), "t.h": vector, "t.AW": np.full((1, 1, 1, 1), -2.0),
                        "R_z": -4.0 * np.eye(2)}, {"activation": "clipped relu"}),
        "psych.npz": ({"W_rec": square, "W_in": low, "b_rec": vector, "Dale_rec": np.eye(5),
                       "dale_ratio": np.array(0.8)}, {"step": 0.1}),
        "spike.mat": ({"w": np.abs(square), "m": np.diag([1.0, 1, 1, 1, -1]), "som_m": np.ones((5, 5)), "w_in": low,
                       "taus": np.array([4.0, 20.0]), "taus_gaus": vector}, {"activation": "logistic"}),
        "circuit.pth": ({"recurrent_layer.weight": square, "input_layer.weight": low}, {}),
        "alrnn.pt": ({"A": np.full(5, 0.5), "W": square, "h": vector}, {"rectified": 2}),
        "embedded.h5": ({"Q": np.linalg.qr(low)[0], "w": np.eye(2), "b": vector, "covariance": 0.1 * np.eye(5)},
                        {"activation": "tanh", "filtered": "currents", "step": 0.1}),
        "module.pt": ({"m": low, "n": small, "wi": low.T.copy(), "si": np.ones(2), "wo": low, "so": np.ones(2),
                       "b": vector, "h0": vector}, {"step": 0.2}),
        "dense.pth": ({"wrec": square, "wi": low.T.copy(), "wo": low, "b": vector, "h0": vector}, {"step": 0.2}),
        "later.npz": ({"m": low, "n": small.T.copy(), "h": vector, "decay_param": np.array(-2.0), "R_z": np.zeros(2)},
                      {"activation": "relu"}),
        "shallow.npz": ({"A": np.array([0.9, 0.8]), "W1": small.T.copy(), "W2": low, "h1": np.zeros(2), "h2": vector,
                         "B": low[:3]}, {}),
        "factors.h5": ({"Gamma": low, "W_s": small.T.copy(), "b": vector, "diffusion_factor": 0.2 * np.eye(2),
                        "output_vectors": low, "output_bias": np.zeros(2), "initial_state": np.zeros(2)},
                       {"activation": "tanh", "filtered": "currents"}),
    }  # fmt: skip


def quick_imports() -> None:
    """Run imported networks for a short time and match few of their states: it changes nothing in reading."""
    published_network._TIME, published_network._MOST_TRIALS, published_network._FEWEST_STEPS = 20.0, 8, 200
    flow_matching._MOST_SAMPLES = 512


def recording() -> Recording:
    """A recording with spikes."""
    rng = np.random.default_rng(3)
    spikes = Spikes.sorted(rng.random(40), rng.integers(8, size=40), rng.integers(2, size=40))
    latent = rng.standard_normal((2, 20, 2))
    return Recording.from_arrays(latent, every=0.1, time_unit_s=0.1, spikes=spikes, provenance={"backend": "x"})


def saved(make: Callable[[], Any], name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        make().save(folder / name)
        return folder / name

    return write


def exported(name: str, form: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ddm2snn.export(shared.build_spiking(rank=2, neurons=6), folder / name, format=form)
        return folder / name

    return write


def exported_recording(form: str, suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        return ddm2snn.export(recording(), folder / f"run{suffix}", format=form).files[0]

    return write


def installed(readers: dict[str, Reader], *packages: str) -> dict[str, Reader]:
    """The readers, if what makes their files is installed."""
    return readers if all(importlib.util.find_spec(package) for package in packages) else {}


def edit_hdf5(rng: random.Random, path: Path) -> bool:
    """Bytes or HDF5 content; a file without the header that `export` puts into it is one of another tool."""
    edit_bytes(rng, path) if rng.random() < 0.3 else mutants.edit_hdf5(rng, path)
    return False


def text_file(name: str, content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    return write


def write_arrays(path: Path, arrays: dict[str, np.ndarray], rng: random.Random | None = None) -> None:
    """Write arrays in the format of a suffix, and in one of its variants."""
    variant = 0 if rng is None else rng.randrange(3)
    if path.suffix == ".npz":
        (np.savez if variant else np.savez_compressed)(path, **arrays)  # pyright: ignore[reportArgumentType]
    elif path.suffix == ".mat" and variant < 2:
        scipy.io.savemat(path, arrays, do_compression=bool(variant), format="5")
    elif path.suffix in (".h5", ".mat"):
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    elif path.suffix in (".pt", ".pth", ".pkl", ""):
        tensors = {name: torch.tensor(array) for name, array in arrays.items()}
        torch.save(tensors, path, _use_new_zipfile_serialization=bool(variant))
    else:
        save_file(arrays, path)


def made_of_arrays(suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_arrays(folder / f"net{suffix}", weights())
        return folder / f"net{suffix}"

    return write


def read_dialect(path: Path) -> object:
    return ddm2snn.import_network(path, ddm2snn.ArrayMapping(**dialects()[path.name][1]))


def make_dialect(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_arrays(folder / name, dialects()[name][0])
        return folder / name

    return write


def edit_bytes(rng: random.Random, path: Path) -> bool:
    path.write_bytes(mutants.edit_bytes(rng, path.read_bytes()))
    return False


def edit_weights(rng: random.Random, path: Path) -> bool:
    """Other arrays in half of the cases, other bytes in the rest."""
    if rng.random() < 0.4:
        return edit_bytes(rng, path)
    arrays = dialects()[path.name][0] if path.name in dialects() else weights()
    try:
        write_arrays(path, mutants.edit_arrays(rng, arrays), rng)
    except Exception:  # noqa: BLE001 - a format that has no such arrays
        write_arrays(path, arrays, rng)
    if path.suffix == ".h5" and rng.random() < 0.5:
        mutants.edit_hdf5(rng, path)
    if rng.random() < 0.4:
        edit_bytes(rng, path)
    return True


def edit_own_arrays(rng: random.Random, path: Path) -> bool:
    """Bytes, the table of safetensors, or our header with fingerprints put right."""
    kind = rng.randrange(3)
    if kind == 0:
        return edit_bytes(rng, path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    if kind == 1:
        head = mutants.edit_json(rng, head)
    else:
        head["__metadata__"]["ddm2snn"] = _refitted(rng, json.loads(head["__metadata__"]["ddm2snn"]), load_file(path))
    text = _as_json(head)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    return kind == 2


def _refitted(rng: random.Random, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    edited = mutants.edit_json(rng, header)
    settings = edited.get("settings") if isinstance(edited, dict) else None
    if rng.random() < 0.7 and isinstance(settings, dict):
        try:
            content = {name: value for name, value in settings.items() if name != "provenance"}
            edited["fingerprint"] = content_fingerprint(str(edited.get("type")), arrays, content)
            edited["provenance_fingerprint"] = provenance_digest(edited)
        except (ValueError, TypeError, RecursionError):
            pass
    return _as_json(edited).decode()


def _as_json(value: object) -> bytes:
    return json.dumps(value).replace(f'"{mutants.DEEP}"', "[" * 3000 + "]" * 3000).encode()


def edit_sealed(rng: random.Random, path: Path) -> bool:
    """Bytes of a sealed file, or other HDF5 content without a seal or, where it is no damage, with a new one."""
    if rng.random() < 0.3:
        return edit_bytes(rng, path)
    content = path.read_bytes()
    body = content[: content.rfind(SEAL)]
    path.write_bytes(body)
    sealed = rng.random() < 0.3
    if sealed or rng.random() < 0.5:
        mutants.edit_hdf5(rng, path)
    else:
        edit_bytes(rng, path)
    body = path.read_bytes()
    if sealed:  # by one who wants it to be read: HDF5 made it, so that HDF5 can read it
        path.write_bytes(body + SEAL + hashlib.sha256(body).hexdigest().encode())
    return sealed


def edit_graph(rng: random.Random, path: Path) -> bool:
    """Bytes or HDF5 content, without the sidecar or with its checksum put right."""
    sidecar = path.with_name(path.name + ".json")
    edit_bytes(rng, path) if rng.random() < 0.5 else mutants.edit_hdf5(rng, path)
    if rng.random() < 0.8:
        sidecar.unlink()
    else:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sidecar.write_text(json.dumps(json.loads(sidecar.read_bytes()) | {"file_sha256": digest}), encoding="utf-8")
    return True


def edit_sidecar(rng: random.Random, path: Path) -> bool:
    sidecar = path.with_name(path.name + ".json")
    if rng.random() < 0.4:
        return edit_bytes(rng, sidecar)
    content = mutants.edit_json(rng, json.loads(sidecar.read_bytes()))
    if isinstance(content, dict) and rng.random() < 0.5:
        try:
            made = make_header(content["type"], content["fingerprint"], settings=content["settings"])
            content = {**content, "provenance_fingerprint": made["provenance_fingerprint"]}
        except (KeyError, ValueError, TypeError, RecursionError):
            pass
    sidecar.write_bytes(_as_json(content))
    return True


def edit_toml(rng: random.Random, path: Path) -> bool:
    if rng.random() < 0.3:
        return edit_bytes(rng, path)
    path.write_text(mutants.edit_toml(rng, path.read_text(encoding="utf-8")), encoding="utf-8")
    return True


def edit_json_file(rng: random.Random, path: Path) -> bool:
    if rng.random() < 0.4:
        return edit_bytes(rng, path)
    path.write_bytes(_as_json(mutants.edit_json(rng, json.loads(path.read_bytes()))))
    return True


def _import(path: Path) -> object:
    return ddm2snn.import_network(path, MEANING)


def _toml(model: Any) -> str:  # settings models are typed by their own
    import tomli_w

    return tomli_w.dumps(model.model_dump(mode="json", exclude_none=True))


ARRAY_MAPPING = (
    'left = "U"\nright = "V"\nbias = "b"\nfactor = "1/N"\nactivation = "tanh"\nfiltered = "currents"\nrank = 2\n'
)
RECIPE = ddm2snn.Recipe(  # pyright: ignore[reportCallIssue]
    system="fourwell", conversion={"neurons_per_unit": 2}, training={"units": 8},  # pyright: ignore[reportArgumentType]
    trials={"stimulus": "memories", "conditions": ["a", "b", "c", "d"], "repeats": 9},  # pyright: ignore[reportArgumentType]
)  # fmt: skip
READERS = {
    "rate.safetensors": Reader(saved(shared.build_rate, "r.safetensors"), ddm2snn.load, edit_own_arrays, own=True),
    "spiking.safetensors": Reader(
        saved(shared.build_spiking, "s.safetensors"), ddm2snn.load, edit_own_arrays, own=True
    ),
    "stimulus.safetensors": Reader(
        saved(lambda: ddm2snn.Stimulus(np.array([0.0, 1.0]), np.ones((2, 2))), "u.safetensors"),
        ddm2snn.load, edit_own_arrays, own=True,
    ),
    "recording.nc": Reader(saved(recording, "run.nc"), ddm2snn.load, edit_sealed, own=True),
    "import .npz": Reader(made_of_arrays(".npz"), _import, edit_weights),
    "import .mat": Reader(made_of_arrays(".mat"), _import, edit_weights),
    "import .h5": Reader(made_of_arrays(".h5"), _import, edit_weights),
    "import .h5, own schema": Reader(exported("net.h5", "hdf5"), ddm2snn.import_network, edit_sealed, own=True),
    "import .nir": Reader(exported("net.nir", "nir"), ddm2snn.import_network, edit_graph),
    "recording .nir": Reader(exported_recording("nir", ".nir"), ddm2snn.import_recording, edit_hdf5),
    **installed(
        {"recording .nwb": Reader(exported_recording("nwb", ".nwb"), ddm2snn.import_recording, edit_hdf5)},
        "pynwb",
    ),
    **installed(
        {"recording .nix": Reader(exported_recording("neo", ".nix"), ddm2snn.import_recording, edit_hdf5)},
        "neo", "nixio",
    ),
    "card .zip": Reader(exported("net.zip", "card"), ddm2snn.load, edit_bytes, own=True),
    "sidecar .nir.json": Reader(exported("net.nir", "nir"), ddm2snn.import_network, edit_sidecar, own=True),
    "import .pt": Reader(made_of_arrays(".pt"), _import, edit_weights),
    "import .safetensors": Reader(made_of_arrays(".safetensors"), _import, edit_weights),
    **{f"import {name}": Reader(make_dialect(name), read_dialect, edit_weights) for name in dialects()},
    "recipe .toml": Reader(text_file("recipe.toml", RECIPE.as_toml()), ddm2snn.Recipe.read, edit_toml),
    "mapping .toml": Reader(
        text_file("map.toml", ARRAY_MAPPING), lambda path: read_settings(path, ddm2snn.ArrayMapping), edit_toml
    ),
    "hardware .toml": Reader(
        text_file("mine.toml", _toml(ddm2snn.find_hardware("loihi1-emulator"))),
        lambda path: read_settings(path, HardwareConfig), edit_toml,
    ),
    "stimulus .csv": Reader(
        text_file("u.csv", "# time, x, y\n0, 1.5, -2\n0.5,0,1e-3\n\n2,0,0\n"), ddm2snn.Stimulus.load, edit_bytes
    ),
    "wells .json": Reader(
        text_file("w.json", "[[-1, 0.5], [1, 0]]"), lambda path: read_wells(str(path)), edit_json_file
    ),
}  # fmt: skip


@cache
def sound_folder(name: str) -> Path:
    """Folder with the sound files of a reader, made once."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    READERS[name].make(folder)
    return folder


def fingerprint(value: object) -> str:
    """Fingerprint of what was read; empty where it has none."""
    return str(getattr(value, "fingerprint", ""))


def mutant(name: str, seed: int, folder: Path) -> tuple[Path, bool]:
    """Write the mutant of a seed into a folder; return its path, and whether other content is no silent change."""
    sound = sound_folder(name)
    for file in sound.iterdir():
        shutil.copy(file, folder / file.name)
    path = folder / min((file.name for file in sound.iterdir()), key=len)
    return path, READERS[name].mutate(random.Random(f"{name} {seed}"), path)
