"""Files of unknown origin are read in a child process that may hang or crash; own ones are checked before opening."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

import ddm2snn
from ddm2snn import ArrayMapping, InputError, Recording
from ddm2snn.base import foreign
from ddm2snn.base.files import digest_of
from ddm2snn.base.foreign import read_apart
from ddm2snn.errors import FileRefusedError
from ddm2snn.exchange.foreign_arrays import read_arrays
from ddm2snn.exchange.nir_files import sidecar_of

MEANING = ArrayMapping(activation="tanh", filtered="currents", factor=1.0)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="bounds of POSIX")


def endless(path) -> Any:
    """A reader that does not end."""
    while True:
        pass


def greedy(path):
    """A reader that takes more memory than a file of this size may."""
    return None, {"x": np.ones(2**30)}


def crashes(path) -> Any:
    """A reader that crashes as C code does."""
    import ctypes

    ctypes.string_at(0)


def fails(path) -> Any:
    """A reader that exits by itself."""
    raise SystemExit("no reader")


def echoes(path):
    """A reader that gives arrays of many types."""
    arrays = {
        "f": np.arange(6.0).reshape(2, 3).T, "b": np.array([True, False]), "big": np.array([1, 2], dtype=">i4"),
        "half": np.array(0.5, dtype=np.float16), "none": np.zeros((0, 3)), "ä/b": np.ones(1),
    }  # fmt: skip
    return {"text": "äöü", "list": [1, None]}, arrays


def export_nir(network, path):
    """Export without the warnings of what NIR leaves out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ddm2snn.export(network, path)


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (tmp_path / "x.h5").write_bytes(b"x")
    return tmp_path / "x.h5"


def test_numbers_come_back_as_they_are(small):
    content, arrays = read_apart(echoes, small)
    assert content == {"text": "äöü", "list": [1, None]}
    _, sent = echoes(small)
    assert arrays.keys() == sent.keys()
    for name, array in sent.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


@POSIX
@pytest.mark.parametrize(
    ("reader", "words"),
    [
        (endless, "does not end"),
        (greedy, "does not fit into memory"),
        (crashes, "crashed"),
        (fails, "failed (no reader)"),
    ],
)
def test_a_reader_that_goes_wrong_is_a_refusal(small, refuses, reader, words):
    begin = time.monotonic()
    with refuses(FileRefusedError, str(small), words):
        read_apart(reader, small)
    assert time.monotonic() - begin < 60


def test_a_reader_that_only_a_clock_can_end(small, refuses, monkeypatch):
    monkeypatch.setattr(foreign, "_WALL", 1.0)
    monkeypatch.setattr(foreign, "_SPARE_S", 2.5)
    with refuses(FileRefusedError, "does not end"):
        read_apart(time_passes, small)


def time_passes(path) -> Any:
    """A reader that waits, which takes no processor time."""
    time.sleep(120)


def test_no_module_is_taken_from_the_folder_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "h5py.py").write_text("raise SystemExit('executed')")
    np.savez("w.npz", W=np.eye(2))
    with h5py.File("w.h5", "w") as file:
        file["W"] = np.eye(2)
    assert list(read_arrays("w.h5")) == ["W"]


@pytest.fixture
def opened(monkeypatch):
    """Names of readers that ran in processes of their own."""
    names, run = [], foreign._run
    monkeypatch.setattr(foreign, "_run", lambda name, *rest: (names.append(name.split(":")[1]), run(name, *rest))[1])
    return names


def test_own_files_are_read_in_this_process(spiking_of, recording_of, tmp_path, opened):
    network = spiking_of()
    recording_of(spikes=True).save(tmp_path / "run.nc")
    ddm2snn.load(tmp_path / "run.nc")
    export_nir(network, tmp_path / "net.nir")
    ddm2snn.export(network, tmp_path / "net.h5", format="hdf5")
    for name in ("net.nir", "net.h5"):
        assert ddm2snn.import_network(tmp_path / name).fingerprint == network.fingerprint
    assert opened == []


def test_a_right_checksum_opens_no_file(spiking_of, tmp_path, monkeypatch):
    """Who wants HDF5 to loop for ever can write the checksum of the file into its sidecar."""
    network = spiking_of()
    export_nir(network, tmp_path / "net.nir")
    (tmp_path / "net.nir").write_bytes(b"\x89HDF\r\n\x1a\n of somebody else")
    sidecar = json.loads(sidecar_of(tmp_path / "net.nir").read_text())
    sidecar["file_sha256"] = digest_of(tmp_path / "net.nir")
    sidecar_of(tmp_path / "net.nir").write_text(json.dumps(sidecar))
    monkeypatch.setattr(h5py, "File", lambda *_, **__: pytest.fail("the file was opened"))
    assert ddm2snn.import_network(tmp_path / "net.nir").fingerprint == network.fingerprint


def test_an_index_cannot_announce_more_than_the_file_holds(recording_of, tmp_path):
    """One piece of the file under many names: a few bytes each."""
    recording_of().save(tmp_path / "run.nc")
    content = (tmp_path / "run.nc").read_bytes()
    body = content[: content.rfind(b"\nddm2snn index ")]
    arrays = {f"x{number}": ["<f8", [len(body) // 16], 0] for number in range(3)}
    body += b"\nddm2snn index " + json.dumps({"about": "", "arrays": arrays}).encode()
    (tmp_path / "run.nc").write_bytes(body + b"\nddm2snn sha256 " + hashlib.sha256(body).hexdigest().encode())
    with pytest.raises(FileRefusedError, match="names what it does not hold"):
        ddm2snn.load(tmp_path / "run.nc")


def test_files_without_a_checksum_are_read_apart_with_the_same_result(spiking_of, recording_of, tmp_path, opened):
    network, recording = spiking_of(), recording_of(spikes=True)
    ddm2snn.export(network, tmp_path / "net.h5", format="hdf5")
    export_nir(network, tmp_path / "net.nir")
    recording.save(tmp_path / "run.nc")
    for name in ("net.h5", "run.nc"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: content.rfind(b"\nddm2snn sha256")])
    sidecar_of(tmp_path / "net.nir").unlink()
    assert ddm2snn.import_network(tmp_path / "net.h5").fingerprint == network.fingerprint
    loaded = ddm2snn.load(tmp_path / "run.nc")
    assert isinstance(loaded, Recording)
    assert loaded.fingerprint == recording.fingerprint
    assert loaded.provenance == recording.provenance
    ddm2snn.import_network(tmp_path / "net.nir")
    assert opened == ["plain_content", "netcdf_content", "graph_content"]


def test_foreign_weights_are_read_apart(tmp_path, opened):
    scipy.io.savemat(tmp_path / "w.mat", {"W": np.diag([0.5, 0.0])})
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["W"] = np.diag([0.5, 0.0])
    for name in ("w.mat", "w.h5"):
        ddm2snn.import_network(tmp_path / name, MEANING.model_copy(update={"factor": None}))
    assert opened == ["matlab_content", "hdf5_content"]


@pytest.mark.parametrize("name", ["net.h5", "net.nir", "run.nc"])
def test_each_flipped_bit_of_an_own_file_is_found_before_it_is_opened(
    name, spiking_of, recording_of, tmp_path, monkeypatch
):
    network = spiking_of()
    if name == "run.nc":
        recording_of(spikes=True).save(tmp_path / name)
    elif name == "net.nir":
        export_nir(network, tmp_path / name)
    else:
        ddm2snn.export(network, tmp_path / name, format="hdf5")
    content = (tmp_path / name).read_bytes()
    end = content.rfind(b"\nddm2snn sha256") if name != "net.nir" else len(content)
    monkeypatch.setattr(h5py, "File", lambda *_, **__: pytest.fail("the file was opened"))
    rng = np.random.default_rng(5)
    for place in rng.integers(8, end, 100):  # the first 8 bytes say which kind of file it is
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        (tmp_path / name).write_bytes(bytes(damaged))
        with pytest.raises(InputError, match=r"is damaged|holds no array|cannot be read"):
            ddm2snn.load(tmp_path / name) if name == "run.nc" else ddm2snn.import_network(tmp_path / name)


@POSIX
@pytest.mark.parametrize("kind", [4, 5])
@pytest.mark.parametrize("element", [0, 8, 10, 11, 14, 15])
def test_a_logical_flag_on_a_class_that_is_not_numeric(tmp_path, kind, element):
    scipy.io.savemat(tmp_path / "x.mat", {"W": np.eye(8)})
    content = bytearray((tmp_path / "x.mat").read_bytes())
    content[144], content[145], content[176] = kind, 2, element
    (tmp_path / "x.mat").write_bytes(bytes(content))
    with pytest.raises(FileRefusedError, match="cannot be logical"):
        foreign_in_process(tmp_path / "x.mat")


def foreign_in_process(path):
    """The reader of MATLAB files by itself: its checks come before SciPy opens the file."""
    from ddm2snn.exchange.foreign_arrays import matlab_content

    return matlab_content(path)


def test_a_small_recording_that_announces_much(tmp_path):
    """Constant arrays without bytes, for which the netCDF reader would take the memory that they announce."""
    with h5py.File(tmp_path / "run.nc", "w") as file:
        for axis, length in (("trial", 100), ("time", 10**6), ("rank", 2)):
            file[axis] = np.zeros(1)
            del file[axis]
            file.create_dataset(axis, shape=(length,), dtype="f8").make_scale(axis)
        latent = file.create_dataset("latent", shape=(100, 10**6, 2), dtype="f8", chunks=(1, 1000, 2))
        for number, axis in enumerate(("trial", "time", "rank")):
            latent.dims[number].attach_scale(file[axis])
    with pytest.raises(FileRefusedError, match="announces more numbers"):
        ddm2snn.load(tmp_path / "run.nc")


def test_the_command_line_says_nothing_of_the_child(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["W"] = np.diag([0.5, 0.0])
    command = [sys.executable, "-m", "ddm2snn.cli", "import", "w.h5", "-o", "n.safetensors", "--activation", "tanh"]
    done = subprocess.run(
        [*command, "--filtered", "currents"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
