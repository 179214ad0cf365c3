"""What is saved comes back bit for bit, and equal content gives equal bytes."""

# Lists stand for arrays here, and wrong types are given on purpose; `load` returns one of several types,
# and the test knows which:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

import ddm2snn
from ddm2snn import RateNetwork, Recording, Spikes, SpikingNetwork, Stimulus, find_hardware
from ddm2snn.base.arrays import array_fields
from ddm2snn.base.files import write_text
from ddm2snn.base.stored import fingerprint_of, read_safetensors, rebuild, save_arrays, settings_of
from ddm2snn.errors import FileRefusedError

AWKWARD = np.array([-0.0, 5e-324, 1.7976931348623157e308, 0.1, -1.0 / 3.0])  # what a printed number would lose


def assert_same(loaded, saved):
    assert type(loaded) is type(saved)
    arrays = array_fields(type(saved))
    for field in dataclasses.fields(saved):
        ours, theirs = getattr(saved, field.name), getattr(loaded, field.name)
        if field.name in arrays and ours is not None:
            assert theirs.dtype == ours.dtype, field.name
            assert theirs.shape == ours.shape, field.name
            assert theirs.tobytes() == ours.tobytes(), field.name
            assert not theirs.flags.writeable, field.name
        else:
            assert theirs == ours, field.name


def test_a_rate_network_comes_back(rate_of, tmp_path):
    network = rate_of(bias=AWKWARD)
    network.save(tmp_path / "rate.safetensors")
    loaded = ddm2snn.load(tmp_path / "rate.safetensors")
    assert_same(loaded, network)
    assert loaded.provenance == {"system": "by hand", "seed": 17}


def test_a_diffusion_readout_comes_back(rate_of, tmp_path):
    network = rate_of(diffusion_readout=np.arange(20.0).reshape(5, 2, 2))
    network.save(tmp_path / "rate.safetensors")
    assert_same(ddm2snn.load(tmp_path / "rate.safetensors"), network)


def test_decoders_of_a_diffusion_factor_come_back(spiking_of, tmp_path):
    network = spiking_of(diffusion_decoders=np.arange(80.0).reshape(2, 2, 20), diffusion_filter_s=0.01)
    network.save(tmp_path / "snn.safetensors")
    loaded = ddm2snn.load(tmp_path / "snn.safetensors")
    assert_same(loaded, network)
    assert loaded.diffusion_filter_s == 0.01


def test_a_spiking_network_comes_back_with_its_neuron_model(spiking_of, tmp_path):
    network = spiking_of()
    network.save(tmp_path / "snn.safetensors")
    loaded = ddm2snn.load(tmp_path / "snn.safetensors")
    assert_same(loaded, network)
    assert loaded.neuron.tau_membrane_s == 0.03
    assert loaded.provenance["nested"] == {"list": [1, 2.5, None, True]}


def test_a_device_comes_back(spiking_of, tmp_path):
    network = spiking_of(hardware=find_hardware("loihi1-emulator"))
    network.save(tmp_path / "snn.safetensors")
    assert_same(ddm2snn.load(tmp_path / "snn.safetensors"), network)


@dataclasses.dataclass(frozen=True, eq=False)
class Membrane:
    tau_s: float | np.ndarray
    refractory_s: float = 0.002


@dataclasses.dataclass(frozen=True, eq=False)
class Population:
    membrane: Membrane
    name: str = "population"


def test_an_array_in_a_nested_dataclass_is_stored_under_a_dotted_name(tmp_path):
    population, path = Population(Membrane(tau_s=AWKWARD)), tmp_path / "population"
    save_arrays(population, path)
    header, arrays = read_safetensors(path)
    assert list(arrays) == ["membrane.tau_s"]
    assert header["settings"]["membrane"] == {"model": "Membrane", "refractory_s": 0.002}

    def membrane(settings):
        return Membrane(**{name: value for name, value in settings.items() if name != "model"})

    loaded = rebuild(Population, header, arrays, path, membrane=membrane)
    assert loaded.membrane.tau_s.tobytes() == AWKWARD.tobytes()
    assert fingerprint_of(loaded) == fingerprint_of(population)
    changed = {"membrane.tau_s": np.nextafter(AWKWARD, 1.0)}
    with pytest.raises(FileRefusedError, match="does not match its fingerprint"):
        rebuild(Population, header, changed, path, membrane=membrane)
    with pytest.raises(FileRefusedError, match="no group of settings"):
        rebuild(Population, header, {**arrays, "name.tau_s": AWKWARD}, path, membrane=membrane)


def test_a_nested_dataclass_of_numbers_is_a_setting(tmp_path):
    assert settings_of(Population(Membrane(0.02)))["membrane"] == {
        "model": "Membrane", "tau_s": 0.02, "refractory_s": 0.002
    }  # fmt: skip


@pytest.mark.parametrize(
    "stimulus",
    [
        Stimulus(),
        Stimulus(times=[0.1], values=[[]]),
        Stimulus(times=[-1.0, 0.1, 1e9], values=[[1.0, 2.0], [-0.0, 5e-324], [0.0, 0.1]]),
    ],
    ids=["empty", "no inputs", "two inputs"],
)
def test_a_stimulus_comes_back(stimulus, tmp_path):
    stimulus.save(tmp_path / "u.safetensors")
    assert_same(ddm2snn.load(tmp_path / "u.safetensors"), stimulus)
    assert_same(Stimulus.load(tmp_path / "u.safetensors"), stimulus)


@pytest.mark.parametrize("spikes", [False, True])
def test_a_recording_comes_back(recording_of, tmp_path, spikes):
    recording = recording_of(spikes=spikes)
    recording.save(tmp_path / "run.nc")
    for loaded in (ddm2snn.load(tmp_path / "run.nc"), Recording.load(tmp_path / "run.nc")):
        assert loaded.samples.tobytes() == recording.samples.tobytes()
        assert loaded.samples.dtype == np.float64
        assert loaded.latent.identical(recording.latent)
        assert loaded.provenance == {"backend": "reference", "seed": 3}
        if spikes:
            assert_same(loaded.spikes, recording.spikes)
        else:
            assert loaded.spikes is None


def test_a_recording_without_a_single_spike_keeps_its_empty_table(recording_of, tmp_path):
    recording = dataclasses.replace(
        recording_of(), spikes=Spikes(np.zeros(0), np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    )
    recording.save(tmp_path / "run.nc")
    loaded = ddm2snn.load(tmp_path / "run.nc")
    assert loaded.spikes is not None
    assert loaded.spikes.time_s.shape == (0,)
    assert loaded.spikes.neuron.dtype == np.int64


def test_a_recording_of_one_sample_comes_back(recording_of, tmp_path):
    first = Recording.from_arrays(recording_of().samples[:1, :1], every=0.1, time_unit_s=0.2)
    first.save(tmp_path / "run.nc")
    loaded = ddm2snn.load(tmp_path / "run.nc")
    assert loaded.latent.identical(first.latent)
    assert loaded.every == 0.0


def test_the_netcdf_variable_has_the_promised_name_and_dims(recording_of, tmp_path):
    recording_of().save(tmp_path / "run.nc")
    with xr.open_dataset(tmp_path / "run.nc", engine="h5netcdf") as dataset:
        assert dataset["latent"].dims == ("trial", "time", "rank")
        assert np.allclose(dataset["time"], np.arange(6) * 0.1)
        assert np.allclose(dataset["time_s"], np.arange(6) * 0.02)


def test_equal_content_gives_equal_bytes(rate_of, spiking_of, recording_of, tmp_path):
    builders = (rate_of, spiking_of, recording_of, lambda: recording_of(spikes=True), Stimulus)
    for index, build in enumerate(builders):
        first, second, third = (tmp_path / f"{index}-{copy}" for copy in "abc")
        build().save(first)
        build().save(second)
        ddm2snn.load(first).save(third)
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes() == third.read_bytes()


def test_saving_replaces_what_was_there(rate_of, spiking_of, tmp_path):
    path = tmp_path / "net.safetensors"
    rate_of().save(path)
    spiking_of().save(path)
    assert isinstance(ddm2snn.load(path), SpikingNetwork)
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_the_suffix_does_not_matter(rate_of, recording_of, tmp_path):
    rate_of().save(tmp_path / "a.nc")
    recording_of().save(tmp_path / "b.safetensors")
    assert isinstance(ddm2snn.load(tmp_path / "a.nc"), RateNetwork)
    assert isinstance(ddm2snn.load(tmp_path / "b.safetensors"), Recording)


def test_paths_may_be_strings_with_blanks_and_accents(rate_of, tmp_path):
    path = f"{tmp_path}/réseau à taux.safetensors"
    rate_of().save(path)
    assert ddm2snn.load(path).fingerprint == rate_of().fingerprint


def test_the_load_of_a_type_returns_it(rate_of, tmp_path):
    rate_of().save(tmp_path / "rate.safetensors")
    assert RateNetwork.load(tmp_path / "rate.safetensors").units == 5


def test_text_is_written_as_utf8(tmp_path):
    write_text(tmp_path / "a.txt", "Γ z + b\n")
    assert (tmp_path / "a.txt").read_bytes() == "Γ z + b\n".encode()
