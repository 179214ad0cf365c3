"""Recording files that cannot be trusted are refused by name, in one line."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr

import ddm2snn
from ddm2snn import RateNetwork, Recording
from ddm2snn.base.stored import FORMAT_VERSION
from ddm2snn.errors import FileRefusedError

# h5netcdf's File.close stumbles over a file that it could not open; Python reports that and goes on
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

HANG_S = 4.0  # imports and loading of a file of this size take half a second together
APART_S = 60.0  # with a process of its own, on a busy machine
INDEX, SEAL = b"\nddm2snn index ", b"\nddm2snn sha256 "
LOAD = """
import sys
import ddm2snn
try:
    ddm2snn.load(sys.argv[1])
except ddm2snn.InputError as error:
    print(type(error).__name__)
"""


@pytest.fixture
def saved(recording_of, tmp_path):
    """Path of a recording with spikes."""
    path = tmp_path / "run.nc"
    recording_of(spikes=True).save(path)
    return path


def rewrite_header(path, change):
    """Apply `change` to the header of the recording at `path`, in place."""
    with h5py.File(path, "r+") as file:
        file.attrs["ddm2snn"] = change(file.attrs["ddm2snn"])


@pytest.mark.parametrize("share", [0.0005, 0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_recording(refuses, saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with refuses(FileRefusedError, str(saved), "damaged or cut short"):
        ddm2snn.load(saved)


def test_a_recording_without_its_last_byte(refuses, saved):
    saved.write_bytes(saved.read_bytes()[:-1])
    with refuses(FileRefusedError, str(saved), "damaged or cut short"):
        ddm2snn.load(saved)


@pytest.mark.parametrize("what", ["latent", "spike times", "spike neurons"])
def test_one_flipped_bit_in_the_data(refuses, saved, recording_of, what):
    recording = recording_of(spikes=True)
    array = {
        "latent": recording.samples,
        "spike times": recording.spikes.time_s,
        "spike neurons": recording.spikes.neuron,
    }[what]
    content = bytearray(saved.read_bytes())
    content[content.index(array.tobytes())] ^= 1
    saved.write_bytes(content)
    with refuses(FileRefusedError, str(saved), "damaged"):
        ddm2snn.load(saved)


def test_one_flipped_bit_in_the_provenance(refuses, saved):
    content = bytearray(saved.read_bytes())
    content[content.index(b'"backend":"reference"') + 12] ^= 1
    saved.write_bytes(content)
    with refuses(FileRefusedError, str(saved), "damaged"):
        ddm2snn.load(saved)


def test_damage_that_hdf5_loops_over_is_refused_in_time(saved):
    content = bytearray(saved.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 + 8] = 0xFF  # the size of the first object in the heap of variable-length values
    saved.write_bytes(content)
    command = [sys.executable, "-c", LOAD, str(saved)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.stdout.strip() == "FileRefusedError"


def test_a_foreign_netcdf_file(refuses, tmp_path):
    path = tmp_path / "theirs.nc"
    xr.Dataset({"latent": (("trial", "time", "rank"), np.zeros((1, 2, 1)))}).to_netcdf(path, engine="h5netcdf")
    with refuses(FileRefusedError, str(path), "was not written by ddm2snn"):
        ddm2snn.load(path)


@pytest.mark.filterwarnings("ignore:The 'phony_dims' kwarg")
def test_a_foreign_hdf5_file(refuses, tmp_path):
    path = tmp_path / "theirs.h5"
    for content in ({}, {"weights": np.zeros((2, 2))}):
        with h5py.File(path, "w") as file:
            for name, value in content.items():
                file[name] = value
        with refuses(FileRefusedError, str(path), "was not written by ddm2snn"):
            ddm2snn.load(path)


@pytest.mark.parametrize("header", ["", "{", "no json"])
def test_a_header_that_is_no_json(refuses, saved, header):
    rewrite_header(saved, lambda old: header)
    with refuses(FileRefusedError, str(saved), "damaged"):
        ddm2snn.load(saved)


def test_a_newer_format(refuses, saved):
    rewrite_header(saved, lambda old: json.dumps(json.loads(old) | {"format_version": FORMAT_VERSION + 1}))
    with refuses(FileRefusedError, str(saved), f"format version {FORMAT_VERSION + 1}", "Install a newer ddm2snn"):
        ddm2snn.load(saved)


def test_another_type(refuses, saved):
    rewrite_header(saved, lambda old: json.dumps(json.loads(old) | {"type": "Report"}))
    with refuses(FileRefusedError, str(saved), "'Report'"):
        ddm2snn.load(saved)


def test_a_recording_without_latents(refuses, saved):
    header = xr.load_dataset(saved, engine="h5netcdf").attrs
    xr.Dataset({"other": (("x",), np.zeros(3))}, attrs=header).to_netcdf(saved, engine="h5netcdf")
    with refuses(FileRefusedError, str(saved), "without latents"):
        ddm2snn.load(saved)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda d: d.transpose("time", "trial", "rank", ...), "must have dims"),
        (lambda d: d.drop_vars("time_s"), "needs the coordinates `time` and `time_s`"),
        (lambda d: d.drop_vars(["spike_time_s", "spike_neuron", "spike_trial"]), "does not match its fingerprint"),
        (lambda d: d.isel(time=slice(1, None)), "does not match its fingerprint"),
        (lambda d: d.assign(latent=d["latent"] + 1e-12), "does not match its fingerprint"),
        (lambda d: d.assign_coords(time=d["time"] * 2), "does not match its fingerprint"),
    ],
    ids=["dims", "no seconds", "no spikes", "a sample less", "other latents", "other times"],
)
def test_content_that_was_edited(refuses, saved, change, word):
    edited = change(xr.load_dataset(saved, engine="h5netcdf"))
    edited.to_netcdf(saved, engine="h5netcdf")
    with refuses(FileRefusedError, str(saved), word):
        ddm2snn.load(saved)


def test_half_a_spike_table(refuses, saved):
    xr.load_dataset(saved, engine="h5netcdf").drop_vars("spike_trial").to_netcdf(saved, engine="h5netcdf")
    with refuses(FileRefusedError, str(saved), "spike_trial"):
        ddm2snn.load(saved)


def test_a_text_file_read_as_a_recording(refuses, tmp_path):
    path = tmp_path / "run.nc"
    path.write_text("trial,time,x\n")
    with refuses(FileRefusedError, str(path), "is no ddm2snn file, or it is damaged"):
        Recording.load(path)


def test_a_network_read_as_a_recording(refuses, rate_of, tmp_path):
    path = tmp_path / "rate.safetensors"
    rate_of().save(path)
    with refuses(FileRefusedError, str(path), "holds a RateNetwork", "a Recording is needed here"):
        Recording.load(path)


def test_a_recording_where_a_network_is_needed(refuses, saved):
    with refuses(FileRefusedError, str(saved), "holds a Recording", "a RateNetwork is needed here"):
        RateNetwork.load(saved)


def test_a_missing_recording(refuses, tmp_path):
    with refuses(FileRefusedError, str(tmp_path / "run.nc"), "does not exist"):
        Recording.load(tmp_path / "run.nc")


def resealed(content):
    """Content of a file with its checksum put right: by one who wants it to be read."""
    body = content[: content.rfind(SEAL)]
    return body + SEAL + hashlib.sha256(body).hexdigest().encode()


def load_in_time(path):
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path)], capture_output=True, text=True, timeout=APART_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("indexed", [True, False])
def test_damage_that_hdf5_loops_over_behind_a_right_checksum(saved, recording_of, indexed):
    """With its index a file is read without HDF5; without one, as older files are, in a process of its own."""
    content = bytearray(saved.read_bytes())
    content[content.index(b"GCOL") + 16 + 8] = 0xFF
    if not indexed:
        end = content.rfind(SEAL)
        content[content.rfind(INDEX) : end] = b""
    saved.write_bytes(resealed(bytes(content)))
    assert load_in_time(saved) == ("" if indexed else "FileRefusedError")
    if indexed:
        assert ddm2snn.load(saved).fingerprint == recording_of(spikes=True).fingerprint


def test_a_file_without_an_index_is_read(saved, recording_of):
    content = saved.read_bytes()
    saved.write_bytes(resealed(content[: content.rfind(INDEX)] + SEAL))
    assert ddm2snn.load(saved).fingerprint == recording_of(spikes=True).fingerprint


@pytest.mark.parametrize(
    "place",
    [
        ["<f8", [2, 6, 2], -8], ["<f8", [2, 6, 2], 10**9], ["<f8", [10**9, 10**9], 0], ["<f8", [-1, 2], 0],
        ["O", [2], 0], ["<f8", 5, 0], ["<f8", [2.5], 0], ["x", [1], 0], [], None, ["<f8", [2, 6, 2], "0"],
        ["<f8", [6, 2, 2], 0], ["<f8", [24], 0],
    ],
)  # fmt: skip
def test_an_index_of_what_is_not_there(refuses, saved, place):
    content = saved.read_bytes()
    start, end = content.rfind(INDEX), content.rfind(SEAL)
    index = json.loads(content[start + len(INDEX) : end])
    index["arrays"]["latent"] = place
    saved.write_bytes(resealed(content[:start] + INDEX + json.dumps(index).encode() + SEAL))
    with refuses(FileRefusedError, str(saved)):
        ddm2snn.load(saved)


@pytest.mark.parametrize("index", [b"", b"{}", b"[1]", b"\xff", b'{"about": 1, "arrays": {}}', b"[" * 100_000])
def test_an_index_that_is_none(refuses, saved, index):
    content = saved.read_bytes()
    saved.write_bytes(resealed(content[: content.rfind(INDEX)] + INDEX + index + SEAL))
    with refuses(FileRefusedError, str(saved)):
        ddm2snn.load(saved)
