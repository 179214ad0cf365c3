"""Diagnostics of a conversion: typed, whole after a file, and refused in words where they are damaged."""

from __future__ import annotations

import dataclasses

import pytest

import ddm2snn
from ddm2snn import Calibrated, InputError, Static, TrainedReadout
from ddm2snn.conversion import Diagnostics

QUICK = {"backend": "reference", "time_unit_s": 0.2, "seed": 3}


@pytest.fixture(scope="module", params=[Calibrated(duration=400.0), Static(), TrainedReadout()], ids=lambda d: d.name)
def conversion(request, quick_rate):
    return ddm2snn.convert(quick_rate, decoders=request.param, **QUICK)


@pytest.fixture(scope="module")
def static(quick_rate):
    return ddm2snn.convert(quick_rate, decoders=Static(), **QUICK)


def told(network, **changes):
    """Network with other diagnostics in its provenance; `...` leaves one out."""
    content = {**network.provenance["diagnostics"], **changes}
    content = {name: value for name, value in content.items() if value is not ...}
    return dataclasses.replace(network, provenance={**network.provenance, "diagnostics": content})


def test_they_come_back_from_a_file(conversion, tmp_path):
    assert Diagnostics.of(conversion.network) == conversion.diagnostics
    conversion.network.save(tmp_path / "snn.safetensors")
    loaded = ddm2snn.SpikingNetwork.load(tmp_path / "snn.safetensors")
    assert Diagnostics.of(loaded) == conversion.diagnostics
    assert loaded.provenance["diagnostics"] == conversion.diagnostics.as_json()


def test_they_come_back_from_a_file_with_noise_by_state(make_rate, tmp_path):
    readout = 0.4 * make_rate().left_vectors[:, :, None] * [[1.0, 0.0]]
    rate = make_rate(diffusion_factor=[[0.8, 0.0], [0.3, 0.7]], diffusion_readout=readout)
    made = ddm2snn.convert(rate, decoders=Static(), **QUICK)
    made.network.save(tmp_path / "snn.safetensors")
    loaded = ddm2snn.SpikingNetwork.load(tmp_path / "snn.safetensors")
    assert made.diagnostics.diffusion is not None
    assert len(made.diagnostics.diffusion.by_state.target) == len(made.diagnostics.diffusion.by_state.state)
    assert Diagnostics.of(loaded) == made.diagnostics


def test_what_was_not_measured_is_left_out(static):
    assert static.diagnostics.noise is static.diagnostics.calibration is static.diagnostics.diffusion is None
    assert not {"noise", "calibration", "diffusion", "time_unit"} & set(static.diagnostics.as_json())


def test_values_of_other_decoders_survive(static, tmp_path):
    network = told(static.network, sparsity=0.25, noise={**conversion_noise(), "per_neuron": [0.1, 0.2]})
    network.save(tmp_path / "snn.safetensors")
    loaded = ddm2snn.SpikingNetwork.load(tmp_path / "snn.safetensors")
    diagnostics = Diagnostics.of(loaded)
    assert diagnostics is not None
    content = diagnostics.as_json()
    assert content == network.provenance["diagnostics"]
    assert content["sparsity"] == 0.25
    assert content["noise"]["per_neuron"] == [0.1, 0.2]


def conversion_noise():
    """Tensors of a noise budget."""
    return {"target": [[0.4, 0.1], [0.1, 0.2]], "spikes": [[0.1, 0.0], [0.0, 0.05]], "spikes_over_target": 0.3}


def test_a_network_without_them_has_none(quick_spiking, spiking_of):
    assert Diagnostics.of(spiking_of()) is None
    assert Diagnostics.of(quick_spiking) is not None


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"drift_error": "small"}, "drift_error"),
        ({"rank_audit": ...}, "rank_audit"),
        ({"lag": {"lag_s": [0.0, 0.0]}}, "lag"),
        ({"mean_rate_hz": None, "drift_error": ...}, "drift_error, mean_rate_hz"),
    ],
)
def test_damaged_ones_are_refused_in_words(refuses, static, changes, names):
    with refuses(InputError, f"The diagnostics in this network's provenance cannot be read: {names}."):
        Diagnostics.of(told(static.network, **changes))


@pytest.mark.parametrize("content", ["none", [1.0], 3])
def test_what_is_no_table_is_refused_in_words(refuses, static, content):
    network = dataclasses.replace(static.network, provenance={"diagnostics": content})
    with refuses(InputError, "The diagnostics in this network's provenance cannot be read"):
        Diagnostics.of(network)


def test_they_are_frozen(static):
    with pytest.raises(ValueError, match="frozen"):
        static.diagnostics.mean_rate_hz = 1.0


def test_their_repr_is_one_line(conversion):
    text = repr(conversion.diagnostics)
    assert str(conversion.diagnostics) == text
    assert "\n" not in text
    assert len(text) < 120
    first, second = conversion.diagnostics.drift_error
    assert text.startswith(f"Diagnostics(rank=2, drift_error=[{first:.2g}, {second:.2g}]")
    noise = conversion.diagnostics.noise
    assert text.endswith(")" if noise is None else f", spikes_over_target={noise.spikes_over_target:.2g})")
