"""Numbers and files of yesterday: made by make_golden.py, read and made again today."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import ddm2snn
from ddm2snn.base.stored import provenance_digest, read_safetensors
from ddm2snn.errors import FileRefusedError

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

import make_golden  # noqa: E402
import make_version_1  # noqa: E402

# exp and tanh differ between processors in the last bit; two time units amplify that by far less than 1e6
ROUNDING = 1e-9


@pytest.fixture(scope="module")
def yesterday():
    return json.loads((FOLDER / "numbers.json").read_text())


@pytest.fixture(scope="module")
def today():
    return make_golden.numbers()


def test_fingerprints_stay(yesterday, today):
    for name in ("rate_fingerprint", "spiking_fingerprint", "on_device_fingerprint"):
        assert today[name] == yesterday[name]


def test_runs_stay(yesterday, today):
    np.testing.assert_allclose(today["rate_latent"], yesterday["rate_latent"], rtol=ROUNDING)
    np.testing.assert_allclose(today["spiking_latent"], yesterday["spiking_latent"], rtol=ROUNDING)
    assert today["spikes"] == yesterday["spikes"]


@pytest.mark.parametrize("version", ["version_1", "version_2"])
def test_files_of_every_format_version_are_read(version):
    folder = FOLDER / version
    assert ddm2snn.load(folder / "rate.safetensors").fingerprint == make_golden.tiny_rate().fingerprint
    spiking = ddm2snn.load(folder / "spiking.safetensors")
    assert isinstance(spiking, ddm2snn.SpikingNetwork)
    assert spiking.fingerprint == make_golden.tiny_spiking().fingerprint
    assert spiking.provenance["made_by"] == "tests/golden/make_golden.py"
    recording = ddm2snn.load(folder / "recording.nc")
    assert isinstance(recording, ddm2snn.Recording)
    assert recording.provenance["network"] == spiking.fingerprint
    assert recording.spikes is not None
    np.testing.assert_allclose(recording.samples, make_golden.tiny_recording().samples, rtol=ROUNDING)


@pytest.mark.parametrize("name", make_golden.networks())
def test_bytes_stay(name, tmp_path):
    make_golden.networks()[name].save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == (FOLDER / "version_2" / f"{name}.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["rate_by_state", "spiking_by_state"])
def test_content_of_version_1_without_a_device_keeps_its_fingerprint(name):
    path = FOLDER / "version_1" / f"{name}.safetensors"
    network = ddm2snn.load(path)
    assert network.fingerprint == read_safetensors(path)[0]["fingerprint"]
    assert network.fingerprint == getattr(make_version_1, name)().fingerprint


def test_a_neuron_model_that_only_version_1_has_becomes_an_array_of_time_constants(tmp_path):
    path = FOLDER / "version_1" / "spiking_heterogeneous.safetensors"
    network = ddm2snn.load(path)
    assert isinstance(network, ddm2snn.SpikingNetwork)
    neuron = ddm2snn.LIF(ddm2snn.LogNormal(0.02, 0.5).quantiles(6, first=3))
    assert network.neuron == neuron
    # the fingerprint in the file is that of its own form, which has no array
    made = dataclasses.replace(make_golden.tiny_spiking(), neuron=neuron)
    assert network.fingerprint == made.fingerprint != read_safetensors(path)[0]["fingerprint"]
    run = ddm2snn.simulate(network, backend="reference", duration=2.0, trials=2, seed=7, every=0.1, spikes=True)
    yesterday = json.loads((FOLDER / "version_1" / "run_heterogeneous.json").read_text())
    assert run.spikes is not None
    assert len(run.spikes.time_s) == yesterday["spikes"]
    np.testing.assert_allclose(run.samples[:, -1], yesterday["latent"], rtol=ROUNDING)
    network.save(tmp_path / "again.safetensors")
    assert ddm2snn.load(tmp_path / "again.safetensors").fingerprint == network.fingerprint


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tau_spread": 0.25}, "its content does not match its fingerprint"),
        ({"tau_spread": -0.25}, "LogNormal.spread must be a finite number above zero"),
        ({"first_neuron": "3"}, "first must be a whole number, zero or above, got '3'"),
        ({"spread": 0.5}, "Neuron model heterogeneous-lif has the parameters tau_membrane_s, refractory_s, tau_spread"),
    ],
)
def test_time_constants_of_version_1_are_checked(tmp_path, change, words):
    header, arrays = read_safetensors(FOLDER / "version_1" / "spiking_heterogeneous.safetensors")
    header["settings"]["neuron"] |= change
    path = tmp_path / "forged.safetensors"
    save_file(arrays, path, metadata={"ddm2snn": json.dumps(header)})
    with pytest.raises(FileRefusedError, match=words):
        ddm2snn.load(path)


def test_a_stimulus_of_version_1_is_read():
    stimulus = ddm2snn.load(FOLDER / "version_1" / "stimulus.safetensors")
    assert isinstance(stimulus, ddm2snn.Stimulus)
    assert stimulus.values.tolist() == [[0.5, -0.25], [0.0, 0.0]]


def test_a_device_in_the_provenance_of_version_1_becomes_content():
    network = ddm2snn.load(FOLDER / "version_1" / "spiking_on_device.safetensors")
    assert isinstance(network, ddm2snn.SpikingNetwork)
    assert network.hardware == ddm2snn.find_hardware("loihi2-like")
    assert network.provenance == {"seed": 1}
    assert network.fingerprint == make_golden.on_device().fingerprint
    run = ddm2snn.simulate(network, backend="quantised", duration=2.0, trials=2, seed=7, every=0.1, spikes=True)
    yesterday = json.loads((FOLDER / "version_1" / "run_on_device.json").read_text())
    assert run.spikes is not None
    assert len(run.spikes.time_s) == yesterday["spikes"]
    np.testing.assert_allclose(run.samples[:, -1], yesterday["latent"], rtol=ROUNDING)


def test_a_device_of_version_1_that_is_none_is_refused_by_the_name_of_the_file(tmp_path):
    header, arrays = read_safetensors(FOLDER / "version_1" / "spiking_on_device.safetensors")
    header["settings"]["provenance"]["hardware"] = {"name": "mine"}
    header["provenance_fingerprint"] = provenance_digest(header)
    path = tmp_path / "forged.safetensors"
    save_file(arrays, path, metadata={"ddm2snn": json.dumps(header)})
    with pytest.raises(FileRefusedError, match=r"forged.safetensors cannot be used: .* key summary is missing"):
        ddm2snn.load(path)
