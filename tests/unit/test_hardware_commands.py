"""`ddm2snn hardware fit` and `ddm2snn convert --hardware` on the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from ddm2snn.cli.main import main
from ddm2snn.hardware import find_hardware, map_file
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
        " uJ per time unit of ",
        "NeuroBench, for each time unit of ",
        "time (estimate)",
    ):
        assert words in out
    assert out.splitlines()[-2:] == ["fits: yes", "not converted for this device: convert --hardware loihi1-kapoho-bay"]
    code, out, _ = called(capsys, "hardware", "fit", path, "--hardware", "loihi2-like", "--json")
    assert code == 0
    content = json.loads(out)
    assert "energy" not in content  # none is known
    assert content["fits"] is True
    assert content["converted_for_this_device"] is False
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


def test_fit_says_yes_or_no_and_for_whom_a_network_was_converted(tmp_path, capsys, make_spiking):
    path = str(tmp_path / "net.safetensors")
    make_spiking(neurons=20, hardware=find_hardware("loihi1-emulator")).save(path)
    for name in ("loihi1-emulator", "loihi1-nahuku32"):  # boards compute as the emulator does
        _, out, _ = called(capsys, "hardware", "fit", path, "--hardware", name)
        assert out.endswith("fits: yes\n")
    make_spiking(neuron=LIF(refractory_s=0.063)).save(path)
    code, out, err = called(capsys, "hardware", "fit", path, "--hardware", "loihi1-emulator")
    assert (code, out, err.count("\n")) == (2, "fits: no\n", 1)
    code, out, err = called(capsys, "hardware", "fit", path, "--hardware", "loihi1-emulator", "--json")
    assert code == 2
    assert json.loads(out)["fits"] is False
    assert json.loads(out)["reason"] in err


def test_a_configuration_is_shown_as_a_template(tmp_path, capsys):
    code, out, _ = called(capsys, "hardware", "show", "loihi1-emulator", "--toml")
    assert code == 0
    mine = tmp_path / "mine.toml"
    mine.write_text(out)
    assert find_hardware(str(mine)) == find_hardware("loihi1-emulator")
    assert called(capsys, "hardware", "show", str(mine), "--toml")[1] == out
    code, _, err = called(capsys, "hardware", "show", "ideal", "--toml", "--json")
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.parametrize("neurons", [20, 5000])
def test_maps_follow_their_schema_and_hold_every_neuron_once(neurons, tmp_path, capsys, make_spiking):
    jsonschema = pytest.importorskip("jsonschema")
    path = str(tmp_path / "net.safetensors")
    schema = json.loads(Path(map_file.__file__).with_name("map.schema.json").read_text())
    make_spiking(neurons=neurons).save(path)
    given = ["hardware", "fit", path, "--hardware", "loihi1-emulator", "--map"]
    for kind in ("json", "csv"):
        assert called(capsys, *given, str(tmp_path / f"map.{kind}"))[0] == 0
    content = json.loads((tmp_path / "map.json").read_text())
    jsonschema.validate(content, schema)
    cores = content["cores"]
    assert [core["core"] for core in cores] == list(range(len(cores)))
    found = {(each["kind"], each["index"]) for each in content["neurons"]}
    decode = 40 * (2 if neurons == 5000 else 1)  # 5,000 neurons have more axons than one core of decode neurons takes
    assert found == {("neuron", i) for i in range(neurons)} | {("decode neuron", i) for i in range(decode)}
    assert len(content["neurons"]) == len(found)
    for core in cores:
        held = [each["compartment"] for each in content["neurons"] if each["core"] == core["core"]]
        assert held == list(range(core["compartments"]))
    rows = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    row_schema = {"$ref": "#/$defs/row", "$defs": schema["$defs"]}
    for row, neuron in zip(rows, content["neurons"], strict=True):
        typed = {key: value if key == "kind" else int(value) for key, value in row.items()}
        if neuron["compartment"] == 0:
            jsonschema.validate(typed, row_schema)
        assert typed.items() >= neuron.items()
        assert all(typed[name] == cores[neuron["core"]][name] for name in ("chip", "input_axons", "synapse_bits"))
    code, _, err = called(capsys, *given, str(tmp_path / "map.txt"))
    assert (code, err.count("\n")) == (2, 1)
    assert "Maps are written as .json or .csv" in err


def test_convert_takes_a_device(tmp_path, capsys, make_rate):
    rate, output = str(tmp_path / "rate.safetensors"), tmp_path / "snn.safetensors"
    make_rate(diffusion_factor=0.5 * np.eye(2)).save(rate)
    given = ["convert", rate, "-o", str(output), "--time-unit-s", "0.1", "--hardware", "loihi2-like"]
    code, _, err = called(capsys, *given)
    assert code == 0, err
    network = SpikingNetwork.load(output)
    assert network.backend == "quantised"
    assert network.hardware is not None
    assert network.hardware.name == "loihi2-like"
