"""Direct conversion: one neuron for each unit, everything as trained, other activations refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend

import ddm2snn
from ddm2snn import Direct, InputError, Population
from ddm2snn.cli.main import main
from ddm2snn.neuron.activation import LIF_UNIT


@pytest.fixture(scope="module")
def lif_rate(quick):
    """Van der Pol in 32 units that respond as LIF neurons do."""
    return ddm2snn.train(
        "vanderpol", units=32, seed=5, training=dataclasses.replace(quick, activation="lif", points=800)
    )


@pytest.fixture(scope="module")
def converted(lif_rate):
    return ddm2snn.convert(lif_rate, decoders=Direct(), backend=ReferenceBackend("interpolated"), seed=1)


def test_everything_trained_is_kept(converted, lif_rate):
    network = converted.network
    assert np.array_equal(network.encoders, lif_rate.left_vectors)
    assert np.array_equal(network.bias, lif_rate.bias)
    assert network.unit.tolist() == list(range(lif_rate.units))
    scale = converted.diagnostics.activation_per_hz
    assert np.allclose(network.decoders, scale * lif_rate.right_vectors.T, rtol=1e-14)
    assert network.neuron == LIF_UNIT
    assert network.latent_offset.tolist() == lif_rate.latent_offset.tolist()
    assert converted.diagnostics.rank_audit.row_residual < 1e-12
    assert max(converted.diagnostics.rank_audit.principal_angles_rad) < 1e-7


def test_the_scale_is_the_refractory_period_where_spikes_are_not_rounded(converted):
    # phi = t_ref F; what is left is the lag of neurons, a few milliseconds of a time unit of a second
    assert converted.diagnostics.activation_per_hz == pytest.approx(LIF_UNIT.refractory_s, rel=0.01)
    assert max(converted.diagnostics.drift_error_of_curves) < 0.03
    assert max(converted.diagnostics.activation_error) < 0.01


def test_a_coarse_grid_is_told_apart_and_a_fine_one_helps(lif_rate):
    coarse, fine = (
        ddm2snn.convert(lif_rate, decoders=Direct(), backend="reference", dt_s=dt_s, time_unit_s=0.5).diagnostics
        for dt_s in (2e-3, 5e-4)
    )
    # intervals are longer by half a step: at rates of 100 Hz by a tenth and by a fortieth
    assert coarse.activation_per_hz > 1.05 * LIF_UNIT.refractory_s
    assert fine.activation_per_hz is not None
    assert LIF_UNIT.refractory_s < fine.activation_per_hz < 1.05 * LIF_UNIT.refractory_s
    assert max(fine.drift_error) < 0.5 * max(coarse.drift_error)


def test_the_loop_does_what_the_rate_network_does(converted, lif_rate):
    backend = ReferenceBackend("interpolated")
    reference = ddm2snn.simulate(lif_rate, duration=20.0, trials=16, seed=1).samples[:, 250:]
    spiking = ddm2snn.simulate(converted.network, backend=backend, duration=20.0, trials=16, seed=1).samples[:, 250:]
    assert np.allclose(spiking.std(axis=(0, 1)), reference.std(axis=(0, 1)), rtol=0.1)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_other_activations_are_refused(refuses, rate_of, activation):
    text = f"Direct turns units of activation 'lif' into LIF neurons, one each, but this network's is '{activation}'."
    with refuses(InputError, text, "Train with activation 'lif'"):
        ddm2snn.convert(rate_of(activation=activation), decoders=Direct(), backend="reference")


def test_a_population_is_refused(refuses, lif_rate):
    with refuses(InputError, "Direct makes one neuron of each unit", "Leave the population out"):
        ddm2snn.convert(lif_rate, decoders=Direct(), population=Population(2), backend="reference")


def test_a_step_longer_than_the_refractory_period_is_refused(refuses, lif_rate):
    with refuses(InputError, "dt_s = 0.01 is longer than the refractory period"):
        ddm2snn.convert(lif_rate, decoders=Direct(), backend="reference", dt_s=0.01)


def test_the_provenance_tells_the_way(converted):
    assert converted.network.provenance["decoders"] == {"kind": "direct"}
    assert converted.network.provenance["neurons_per_unit"] == 1


def test_the_command_line_converts_directly_or_refuses(lif_rate, rate_of, tmp_path, capsys):
    lif_rate.save(tmp_path / "lif.safetensors")
    rate_of().save(tmp_path / "tanh.safetensors")

    def status(*arguments):
        with pytest.raises(SystemExit) as left:
            main(["convert", *arguments, "-o", str(tmp_path / "out.safetensors"), "--backend", "reference"])
        return left.value.code

    assert status(str(tmp_path / "tanh.safetensors"), "--decoders", "direct") == 2
    assert "activation 'lif'" in capsys.readouterr().err
    assert status(str(tmp_path / "lif.safetensors"), "--decoders", "direct", "--neurons-per-unit", "2") == 2
    assert "Leave the population out" in capsys.readouterr().err
    assert status(str(tmp_path / "lif.safetensors"), "--decoders", "direct") == 0
    assert ddm2snn.load(tmp_path / "out.safetensors").neurons == lif_rate.units  # pyright: ignore[reportAttributeAccessIssue]
