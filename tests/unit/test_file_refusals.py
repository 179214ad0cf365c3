"""Network and stimulus files that cannot be trusted are refused by name, in one line."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

import ddm2snn
from ddm2snn import RateNetwork, Recording, Stimulus
from ddm2snn.base.arrays import arrays_of
from ddm2snn.base.stored import FORMAT_VERSION, make_header, settings_of
from ddm2snn.errors import FileRefusedError


@pytest.fixture
def forged(spiking_of, tmp_path):
    """Writer of a spiking network's file with parts of its header, settings or arrays replaced or dropped."""

    def write(header=None, settings=None, arrays=None, raw=None):
        network = spiking_of()
        content = arrays_of(network) | (arrays or {})
        values = settings_of(network) | (settings or {})
        given = {name: value for name, value in values.items() if value is not Ellipsis}
        full = make_header("SpikingNetwork", network.fingerprint, settings=given) | (header or {})
        full = {name: value for name, value in full.items() if value is not Ellipsis}
        path = tmp_path / "forged.safetensors"
        kept = {name: np.ascontiguousarray(value) for name, value in content.items() if value is not Ellipsis}
        save_file(kept, path, metadata={"ddm2snn": json.dumps(full) if raw is None else raw})
        return path

    return write


def test_the_forgery_without_changes_is_accepted(forged, spiking_of):
    # otherwise every refusal below could have another cause
    assert ddm2snn.load(forged()).fingerprint == spiking_of().fingerprint


def test_a_missing_file(refuses, tmp_path):
    with refuses(FileRefusedError, str(tmp_path / "none.nc"), "does not exist", "Check the path"):
        ddm2snn.load(tmp_path / "none.nc")


def test_a_folder(refuses, tmp_path):
    with refuses(FileRefusedError, str(tmp_path), "is a folder, not a file", "Name a file in it"):
        ddm2snn.load(tmp_path)


def test_a_file_that_may_not_be_read(refuses, rate_of, tmp_path, monkeypatch):
    rate_of().save(tmp_path / "rate")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read whatever its mode says
    with refuses(FileRefusedError, str(tmp_path / "rate"), "cannot be read: permission denied"):
        ddm2snn.load(tmp_path / "rate")


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs a device file")  # noqa: PTH110
def test_a_device_is_not_called_a_folder():
    with pytest.raises(FileRefusedError) as caught:
        ddm2snn.load("/dev/null")
    assert "is a folder" not in str(caught.value)


def test_a_name_that_is_too_long(refuses, tmp_path):
    with refuses(FileRefusedError, "xxx"):
        ddm2snn.load(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"units = 64\n", b"t,x,y\n0,1,2\n" * 50, bytes(range(256)), b"\x80\x04\x95", b"CDF\x01" + b"\0" * 60],
    ids=["empty", "newline", "short text", "table", "all bytes", "pickle", "netCDF-3"],
)
def test_a_foreign_file(refuses, tmp_path, content):
    path = tmp_path / "network.safetensors"
    path.write_bytes(content)
    with refuses(FileRefusedError, str(path), "is no ddm2snn file, or it is damaged or cut short"):
        ddm2snn.load(path)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_network(refuses, rate_of, tmp_path, share):
    path = tmp_path / "rate.safetensors"
    rate_of().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with refuses(FileRefusedError, str(path), "damaged or cut short"):
        ddm2snn.load(path)


def test_a_network_that_lacks_its_last_byte_or_has_one_too_many(refuses, rate_of, tmp_path):
    path = tmp_path / "rate.safetensors"
    rate_of().save(path)
    content = path.read_bytes()
    for damaged in (content[:-1], content + b"\0"):
        path.write_bytes(damaged)
        with refuses(FileRefusedError, str(path), "damaged or cut short"):
            ddm2snn.load(path)


def test_one_flipped_bit_in_the_weights(refuses, rate_of, tmp_path):
    path = tmp_path / "rate.safetensors"
    network = rate_of()
    network.save(path)
    content = bytearray(path.read_bytes())
    content[content.index(network.right_vectors.tobytes())] ^= 1  # the last place of one number
    path.write_bytes(content)
    with refuses(FileRefusedError, str(path), "damaged: its content does not match its fingerprint"):
        ddm2snn.load(path)


def test_nan_in_the_weights(refuses, forged):
    path = forged(arrays={"decoders": np.full((2, 20), np.nan)})
    with refuses(FileRefusedError, str(path), "SpikingNetwork.decoders holds 40 value(s) that are NaN"):
        ddm2snn.load(path)


def test_shapes_that_disagree(refuses, forged):
    path = forged(arrays={"bias": np.zeros(19)})
    with refuses(FileRefusedError, str(path), "SpikingNetwork.bias has 19 along `neuron`, but encoders has 20"):
        ddm2snn.load(path)


def test_a_missing_array(refuses, forged):
    path = forged(arrays={"bias": ...})
    with refuses(FileRefusedError, str(path), "missing or unknown field(s) bias"):
        ddm2snn.load(path)


def test_arrays_and_settings_too_many(refuses, forged):
    path = forged(arrays={"surplus": np.zeros(2)}, settings={"another": 1})
    with refuses(FileRefusedError, str(path), "missing or unknown field(s) another, surplus"):
        ddm2snn.load(path)


def test_a_missing_setting(refuses, forged):
    path = forged(settings={"time_unit_s": ...})
    with refuses(FileRefusedError, str(path), "missing or unknown field(s) time_unit_s"):
        ddm2snn.load(path)


@pytest.mark.parametrize("settings", [None, [], "all", 3])
def test_settings_that_are_no_table(refuses, forged, settings):
    path = forged(header={"settings": settings})
    with refuses(FileRefusedError, str(path), "damaged"):
        ddm2snn.load(path)


def test_a_setting_that_its_type_refuses(refuses, forged):
    path = forged(settings={"time_unit_s": -1.0})
    with refuses(FileRefusedError, str(path), "SpikingNetwork.time_unit_s must be a finite number above zero"):
        ddm2snn.load(path)


def test_a_setting_that_was_changed(refuses, forged):
    path = forged(settings={"time_unit_s": 0.2})
    with refuses(FileRefusedError, str(path), "does not match its fingerprint"):
        ddm2snn.load(path)


def test_metadata_of_somebody_else(refuses, tmp_path):
    path = tmp_path / "theirs.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": np.zeros((2, 2))}, path, metadata=metadata)
        with refuses(FileRefusedError, str(path), "was not written by ddm2snn", "no 'ddm2snn' entry"):
            ddm2snn.load(path)


@pytest.mark.parametrize("raw", ["", "{", "{'type': 1}", "\x00"])
def test_a_header_that_is_no_json(refuses, forged, raw):
    path = forged(raw=raw)
    with refuses(FileRefusedError, str(path), "damaged: its metadata is no JSON"):
        ddm2snn.load(path)


def test_a_header_of_a_hundred_thousand_brackets(refuses, forged):
    path = forged(raw="[" * 100_000)
    with refuses(FileRefusedError, str(path)):
        ddm2snn.load(path)


@pytest.mark.parametrize("raw", ["[]", "null", "3", '"SpikingNetwork"', "{}", '{"type": "RateNetwork"}'])
def test_a_header_without_type_or_version(refuses, forged, raw):
    path = forged(raw=raw)
    with refuses(FileRefusedError, str(path), "was not written by ddm2snn", "lacks type and format version"):
        ddm2snn.load(path)


def test_a_newer_format(refuses, forged):
    newer = FORMAT_VERSION + 1
    path = forged(header={"format_version": newer})
    with refuses(
        FileRefusedError, str(path), f"has format version {newer}", f"reads up to {FORMAT_VERSION}", "Install a newer"
    ):
        ddm2snn.load(path)


@pytest.mark.parametrize("version", ["1", 1.5, None, [1]])
def test_a_format_version_that_is_no_whole_number(refuses, forged, version):
    path = forged(header={"format_version": version})
    with refuses(FileRefusedError, str(path), f"format version {version}"):
        ddm2snn.load(path)


@pytest.mark.parametrize("version", [0, -3])
def test_a_format_version_that_never_was(refuses, forged, version):
    path = forged(header={"format_version": version})
    with refuses(FileRefusedError, str(path), f"format version {version}"):
        ddm2snn.load(path)


def test_an_unknown_type(refuses, forged):
    path = forged(header={"type": "PopulationNetwork"})
    with refuses(FileRefusedError, str(path), "'PopulationNetwork'", "knows RateNetwork, SpikingNetwork, Stimulus"):
        ddm2snn.load(path)


def test_a_type_that_is_no_name(refuses, forged):
    path = forged(header={"type": ["SpikingNetwork"]})
    with refuses(FileRefusedError, str(path)):
        ddm2snn.load(path)


def test_another_type_than_the_content(refuses, forged):
    path = forged(header={"type": "RateNetwork"})
    with refuses(FileRefusedError, str(path), "missing or unknown field(s)", "encoders", "left_vectors"):
        ddm2snn.load(path)


@pytest.mark.parametrize("neuron", ["lif", None, ["lif"], 3])
def test_a_neuron_that_is_no_description(refuses, forged, neuron):
    path = forged(settings={"neuron": neuron})
    with refuses(FileRefusedError, str(path), "known models are lif"):
        ddm2snn.load(path)


def test_a_neuron_model_that_refuses_its_arguments(refuses, forged):
    path = forged(settings={"neuron": {"model": "lif", "tau_membrane_s": -0.02}})
    with refuses(FileRefusedError, str(path), "LIF.tau_membrane_s must be a finite number above zero"):
        ddm2snn.load(path)


@pytest.mark.parametrize("model", ["adex", None, ["lif"]])
def test_an_unknown_neuron_model_lists_the_known(refuses, forged, model):
    path = forged(settings={"neuron": {"model": model, "tau_membrane_s": 0.02}})
    with refuses(FileRefusedError, str(path), "neuron", "known models are lif"):
        ddm2snn.load(path)


def test_an_unknown_parameter_of_a_neuron_model(refuses, forged):
    path = forged(settings={"neuron": {"model": "lif", "tau_membrane_s": 0.02, "v_reset": 0.0}})
    with refuses(FileRefusedError, str(path), "v_reset"):
        ddm2snn.load(path)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
def test_a_number_format_that_numpy_lacks(refuses, tmp_path, dtype):
    size = {"BF16": 2, "F8_E4M3": 1}[dtype]
    header = json.dumps({"times": {"dtype": dtype, "shape": [1], "data_offsets": [0, size]}}).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * size)
    with refuses(FileRefusedError, str(path)):
        ddm2snn.load(path)


@pytest.mark.parametrize("wanted", [RateNetwork, Recording, Stimulus])
def test_load_names_both_types(refuses, spiking_of, tmp_path, wanted):
    path = tmp_path / "net.safetensors"
    spiking_of().save(path)
    with refuses(FileRefusedError, str(path), "holds a SpikingNetwork", f"a {wanted.__name__} is needed here"):
        wanted.load(path)
