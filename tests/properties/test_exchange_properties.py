"""Random networks through every format and back: equal to the last bit, or refused in words."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_strategies import MODEST, spiking_networks

from ddm2snn import LIF, ArrayMapping, InputError, Nir, SpikingNetwork, export, import_network
from ddm2snn.base.arrays import arrays_of
from ddm2snn.errors import FileRefusedError
from ddm2snn.exchange.nir_files import sidecar_of
from ddm2snn.exchange.nir_graph import READERS


def there(network: SpikingNetwork, path: Path, **asked) -> str:
    """Export without words on losses; the refusal where there was one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            export(network, path, **asked)
        except InputError as error:
            return str(error)
    return ""


def same_arrays(network: SpikingNetwork, back: SpikingNetwork, *names: str) -> bool:
    return all(getattr(network, name).tobytes() == getattr(back, name).tobytes() for name in names)


@MODEST
@given(
    network=spiking_networks(), dialect=st.sampled_from(["factored", "latent", "dense"]),
    reader=st.sampled_from([None, *READERS]),
)  # fmt: skip
def test_nir_with_its_sidecar(folder: Path, network: SpikingNetwork, dialect, reader) -> None:
    refused = there(network, folder / "net.nir", nir=Nir(dialect, reader))
    if refused:
        assert "\n" not in refused
        assert not network.neuron.plain_lif or "leave the range of 64 bits" in refused
        return
    back = import_network(folder / "net.nir")
    assert back.fingerprint == network.fingerprint
    assert dict(back.provenance) == dict(network.provenance)


@MODEST
@given(network=spiking_networks(), dialect=st.sampled_from(["factored", "latent"]))
def test_nir_alone_holds_factors_and_time_constants(folder: Path, network: SpikingNetwork, dialect) -> None:
    if there(network, folder / "alone.nir", nir=Nir(dialect)):
        return
    sidecar_of(folder / "alone.nir").unlink()
    back = import_network(folder / "alone.nir")
    assert isinstance(back, SpikingNetwork)
    assert same_arrays(network, back, "encoders", "bias", "decoders")
    assert back.input_map.any() == network.input_map.any()
    assert (back.time_unit_s, back.dt_s) == (network.time_unit_s, network.dt_s)
    assert back.neuron == LIF(network.neuron.tau_membrane_s, 0.0)


@MODEST
@given(network=spiking_networks())
def test_hdf5_holds_everything(folder: Path, network: SpikingNetwork) -> None:
    assert there(network, folder / "net.h5", format="hdf5") == ""
    back = import_network(folder / "net.h5")
    assert back.fingerprint == network.fingerprint
    assert dict(back.provenance) == dict(network.provenance)


def in_steps(network: SpikingNetwork, dt_s: float, steps: int) -> SpikingNetwork:
    """With neurons and a filter that fit the step."""
    filter_s = None if network.diffusion_decoders is None else 0.05
    return dataclasses.replace(network, neuron=LIF(refractory_s=steps * dt_s), dt_s=dt_s, diffusion_filter_s=filter_s)


def holds(network: SpikingNetwork, script: Path, *names: str) -> bool:
    """Whether a script is Python, and its weights are the network's to the last bit."""
    compile(script.read_text(), script.name, "exec")
    with np.load(script.with_suffix(".npz"), allow_pickle=False) as file:
        return all(file[name].tobytes() == getattr(network, name).tobytes() for name in names)


WEIGHTS = ("encoders", "bias", "decoders", "diffusion_factor", "latent_scale", "latent_offset")
STEPS = {"dt_s": st.sampled_from([1e-4, 1e-3]), "steps": st.integers(1, 5)}


@MODEST
@given(network=spiking_networks(), form=st.sampled_from(["brian2", "pynn"]), **STEPS)
def test_scripts_hold_the_weights(folder: Path, network: SpikingNetwork, form: str, dt_s: float, steps: int) -> None:
    network = in_steps(network, dt_s, steps)
    refused = there(network, folder / f"{form}.py", format=form)
    by_state = network.diffusion_decoders is not None
    if refused:
        assert by_state
        assert "diffusion is infinite" in refused
        return
    assert holds(network, folder / f"{form}.py", *WEIGHTS, "input_map", "initial_latent")
    if by_state:
        assert holds(network, folder / f"{form}.py", "diffusion_decoders")


@MODEST
@given(network=spiking_networks(), **STEPS)
def test_nengo_modules_hold_the_weights(folder: Path, network: SpikingNetwork, dt_s: float, steps: int) -> None:
    """Of networks with numbers that a device's decode neurons can be laid out for."""
    bounded = {name: np.clip(array, -3.0, 3.0) for name, array in arrays_of(network).items()}
    bounded = {name: array for name, array in bounded.items() if name != "unit" and "." not in name}
    bounded["latent_scale"] = np.clip(network.latent_scale, 0.1, 10.0)
    network = in_steps(dataclasses.replace(network, **bounded, time_unit_s=0.1), dt_s, steps)
    assert there(network, folder / "nengo.py", format="nengo") == ""
    by_state = () if network.diffusion_decoders is None else ("diffusion_decoders",)
    assert holds(network, folder / "nengo.py", *WEIGHTS, *by_state)


def test_hdf5_describes_itself(make_spiking, tmp_path: Path) -> None:
    """Read by h5py alone."""
    network = make_spiking()
    export(network, tmp_path / "net.h5", format="hdf5")
    with h5py.File(tmp_path / "net.h5") as file:
        weights = file["decoders"]
        assert isinstance(weights, h5py.Dataset)
        assert (weights.attrs["axes"], weights.attrs["meaning"]) == ("rank, neuron", "latent per Hz")
        assert np.array_equal(weights[()], network.decoders)
        assert "T dz/dt" in str(file.attrs["equations"])


def newer(file: h5py.File) -> None:
    file.attrs["version"] = 2


def no_header(file: h5py.File) -> None:
    del file["header"]


def header_of_numbers(file: h5py.File) -> None:
    del file["header"]
    file["header"] = np.ones(3)


def another_weight(file: h5py.File) -> None:
    file["bias"][0] = 7.0  # pyright: ignore


def huge(file: h5py.File) -> None:
    del file["decoders"]
    file.create_dataset("decoders", shape=(10**7, 10**7), dtype="f8", chunks=(100, 100))


def unwritten(file: h5py.File) -> None:
    del file["bias"]
    file.create_dataset("bias", shape=(8,), dtype="f8", fillvalue=1.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (newer, "reads 1. Install a newer"),
        (no_header, "no header of this schema"),
        (header_of_numbers, "no header of this schema|does not match its checksum"),
        (another_weight, "does not match its fingerprint"),
        (huge, "more than 4 GiB"),
        (unwritten, "has no numbers for it"),
    ],
)
def test_damaged_hdf5(make_spiking, tmp_path: Path, change: Callable[[h5py.File], None], said: str) -> None:
    export(make_spiking(), tmp_path / "net.h5", format="hdf5")
    with h5py.File(tmp_path / "net.h5", "a") as file:
        change(file)
    with pytest.raises(FileRefusedError, match=said):
        import_network(tmp_path / "net.h5")


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_truncated_hdf5(make_spiking, tmp_path: Path, kept: int) -> None:
    export(make_spiking(), tmp_path / "net.h5", format="hdf5")
    whole = (tmp_path / "net.h5").read_bytes()
    (tmp_path / "net.h5").write_bytes(whole[:kept])
    with pytest.raises(FileRefusedError, match="cannot be read"):
        import_network(tmp_path / "net.h5", ArrayMapping(activation="tanh"))
