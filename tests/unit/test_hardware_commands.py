"""`ddm2snn hardware fit` and `ddm2snn convert --hardware` on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ddm2snn.cli.main import main
from ddm2snn.load import load_as
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import LIF


def called(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    out, err = capsys.readouterr()
    return caught.value.code, out, err


def test_fit_prints_cores_bits_and_energy(tmp_path, capsys, make_spiking):
    path = str(tmp_path / "net.safetensors")
    make_spiking(neurons=20).save(path)
    code, out, _ = called(capsys, "hardware", "fit", path, "--hardware", "loihi1-kapoho-bay")
    assert code == 0
    for words in (
        "decode neurons 0 to 39",
        "2 cores on 1 chip(s)",
        "compartment configs 1 (3.2%), thresholds 1 (14.3%)",
        "bits left",
        "energy (estimate)",
    ):
        assert words in out
    code, out, _ = called(capsys, "hardware", "fit", path, "--hardware", "loihi2-like", "--json")
    assert code == 0
    assert set(json.loads(out)) == {"placement", "quantisation"}  # no energies are known
    code, _, err = called(capsys, "hardware", "fit", path, "--hardware", "loihi9")
    assert (code, err.count("\n")) == (2, 1)
    assert "known are" in err


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_fit_draws_the_placement(kind, tmp_path, capsys, make_spiking):
    path, figure = str(tmp_path / "net.safetensors"), tmp_path / f"placement.{kind}"
    make_spiking(neurons=20).save(path)
    given = ["hardware", "fit", path, "--hardware", "loihi1-emulator", "--figure"]
    code, out, _ = called(capsys, *given, str(figure))
    assert code == 0
    assert str(figure) in out
    assert figure.stat().st_size > 5000
    code, _, err = called(capsys, *given, str(tmp_path / "placement.gif"))
    assert code == 2
    assert "Figures are written as .png, .pdf, .svg" in err


def test_fit_refuses_what_registers_cannot_count(tmp_path, capsys, make_spiking):
    path = str(tmp_path / "net.safetensors")
    for refractory_s, expected in ((0.062, 0), (0.063, 2)):
        make_spiking(neuron=LIF(refractory_s=refractory_s)).save(path)
        code, _, err = called(capsys, "hardware", "fit", path, "--hardware", "loihi1-emulator")
        assert code == expected
        assert ("register counts 62 steps of 0.001 s" in err) is (expected == 2)


def test_convert_takes_a_device(tmp_path, capsys, make_rate):
    rate, output = str(tmp_path / "rate.safetensors"), tmp_path / "snn.safetensors"
    make_rate(diffusion_factor=0.5 * np.eye(2)).save(rate)
    given = ["convert", rate, "-o", str(output), "--time-unit-s", "0.1", "--hardware", "loihi2-like"]
    code, _, err = called(capsys, *given)
    assert code == 0, err
    network = load_as(output, SpikingNetwork)
    assert network.backend == "quantised"
    assert network.hardware is not None
    assert network.hardware.name == "loihi2-like"
