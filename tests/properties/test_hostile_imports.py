"""Damaged and hostile files: refused in one line, nothing executed, nothing huge allocated."""

# pyright: reportArgumentType=false
# arrays by name, which np.savez takes and its stubs do not

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save
from scipy.io import savemat

from ddm2snn import ArrayMapping, InputError, RateNetwork, export, import_network
from ddm2snn.errors import FileRefusedError
from ddm2snn.exchange.foreign_arrays import read_arrays

MEANING = ArrayMapping(factor=1.0, activation="tanh", filtered="currents")
RNG = np.random.default_rng(2)
ARRAYS = {"m": RNG.standard_normal((6, 2)), "n": RNG.standard_normal((6, 2)), "b": RNG.standard_normal(6)}


def contents(suffix: str) -> bytes:
    """A sound file."""
    buffer = io.BytesIO()
    if suffix == ".npz":
        np.savez(buffer, **ARRAYS)
    elif suffix == ".safetensors":
        return save(ARRAYS)
    elif suffix == ".mat":
        savemat(buffer, ARRAYS)
    elif suffix == ".pt":
        torch.save({name: torch.tensor(array) for name, array in ARRAYS.items()}, buffer)
    else:
        with h5py.File(buffer, "w") as file:
            for name, array in ARRAYS.items():
                file[name] = array
    return buffer.getvalue()


SOUND = {suffix: contents(suffix) for suffix in (".npz", ".safetensors", ".mat", ".pt", ".h5")}


@pytest.mark.parametrize("suffix", SOUND)
def test_sound_files_are_read(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"net{suffix}").write_bytes(SOUND[suffix])
    network = import_network(tmp_path / f"net{suffix}", MEANING)
    assert isinstance(network, RateNetwork)
    assert network.units == 6


def refusal(path: Path) -> str:
    """Words of the refusal, empty where the file could be read; any other error passes through."""
    try:
        import_network(path, MEANING)
    except InputError as error:
        return str(error)
    return ""


NAMES = [*(f"net{suffix}" for suffix in SOUND), "schema.h5"]


@pytest.fixture(scope="module")
def sound(make_spiking, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of sound files of each kind, and of our own schema; each is read once, so that no example imports."""
    folder = tmp_path_factory.mktemp("sound")
    export(make_spiking(rank=2, neurons=6), folder / "schema.h5", format="hdf5")
    for suffix, content in SOUND.items():
        (folder / f"net{suffix}").write_bytes(content)
    for name in NAMES:
        import_network(folder / name, MEANING)
    return folder


@settings(max_examples=80, deadline=10_000)  # ms: a damaged file may not be chewed on for ever
@given(name=st.sampled_from(NAMES), cut=st.floats(0, 1), flips=st.lists(st.floats(0, 0.999), max_size=6))
def test_damage_is_refused_or_harmless(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, name: str, cut: float, flips: list[float]
) -> None:
    """Whatever a reader raises comes out as one line, or the arrays could be read after all."""
    content = bytearray((sound / name).read_bytes())
    for flip in flips:
        content[int(flip * len(content))] ^= 0x55
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(bytes(content[: round(cut * len(content))]) if not flips else bytes(content))
    assert "\n" not in refusal(path)


@pytest.mark.parametrize("suffix", SOUND)
def test_truncated_files_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    path.write_bytes(SOUND[suffix][: len(SOUND[suffix]) // 2])
    with pytest.raises(FileRefusedError, match="net"):
        import_network(path, MEANING)


class Dropper:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_pickles_are_not_executed(tmp_path: Path, suffix: str) -> None:
    trap, path = tmp_path / "executed", tmp_path / f"net{suffix}"
    if suffix == ".pt":
        path.write_bytes(pickle.dumps({"m": Dropper(trap)}))
    else:
        np.savez(path, m=np.array([Dropper(trap)], dtype=object))
    with pytest.raises(FileRefusedError):
        read_arrays(path)
    assert not trap.exists()


def test_huge_shape_in_a_small_archive(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000, 100000), }"
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    with zipfile.ZipFile(tmp_path / "net.npz", "w") as archive:
        archive.writestr("m.npy", member)
    with pytest.raises(FileRefusedError, match="more than 4 GiB"):
        read_arrays(tmp_path / "net.npz")


def test_huge_shape_in_a_small_hdf5_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset("m", shape=(10**8, 10**5), dtype="f8", chunks=(1000, 1000))
    with pytest.raises(FileRefusedError, match="more than 4 GiB"):
        read_arrays(tmp_path / "net.h5")


def test_links_out_of_a_file_and_cycles_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["m"] = np.ones((6, 2))
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["inner/W"] = np.eye(3)
        file["inner/again"] = h5py.SoftLink("/")
        for loop in range(40):
            file[f"inner/loop{loop}"] = file["inner"]
            file[f"inner/top{loop}"] = file["/"]
        file["m"] = h5py.ExternalLink("secret.h5", "m")
    assert "m" not in read_arrays(tmp_path / "net.h5")


def test_arrays_stored_in_another_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(np.ones(12).tobytes())
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset("m", shape=(6, 2), dtype="f8", external=[(str(tmp_path / "raw"), 0, 96)])
    with pytest.raises(FileRefusedError, match="in another file"):
        read_arrays(tmp_path / "net.h5")


def test_other_kinds_of_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"x")
    with pytest.raises(FileRefusedError, match="no known kind"):
        read_arrays(tmp_path / "net.onnx")


@pytest.mark.parametrize(("place", "value"), [(145, 0x08), (176, 0x5C)])  # complex without imaginary part; no such type
def test_matlab_elements_on_which_scipy_crashes_are_refused(tmp_path: Path, place: int, value: int) -> None:
    content = bytearray(SOUND[".mat"])
    content[place] = value
    (tmp_path / "net.mat").write_bytes(content)
    assert "is damaged: an array has elements of types" in refusal(tmp_path / "net.mat")


def test_a_weight_whose_square_is_no_number_is_refused(tmp_path: Path) -> None:
    arrays = dict(np.load(io.BytesIO(SOUND[".npz"])))
    largest = next(array for array in arrays.values() if array.ndim == 2)
    largest[0, 0] = 1e211
    np.savez(tmp_path / "net.npz", **arrays)
    assert "holds a weight of 1.0e+211" in refusal(tmp_path / "net.npz")
