"""SANA-FE beside our own arithmetic and prices; skipped where it is not installed."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.base.progress import no_progress
from ddm2snn.cli.main import main
from ddm2snn.errors import InputError
from ddm2snn.hardware import find_hardware, hardware_file
from ddm2snn.hardware.chip import prepare, run_device
from ddm2snn.hardware.energy import estimate_energy
from ddm2snn.hardware.sana_fe import architecture_yaml, run_sana_fe
from ddm2snn.hardware.second_opinion import second_opinion
from ddm2snn.hardware.workload import workload_of_spikes
from ddm2snn.schedule import Run, Schedule, SpikeSelection

LOIHI = find_hardware("loihi1-emulator")
needs_sana_fe = pytest.mark.usefixtures("sanafe")


@pytest.fixture
def sanafe():
    return pytest.importorskip("sanafe")


@pytest.fixture
def network(make_spiking):
    return make_spiking(neurons=20, seed=2, diffusion_factor=0.3 * np.eye(2))


def small(**capacity):
    return LOIHI.model_copy(update={"capacity": LOIHI.capacity.model_copy(update=capacity)})


def without_taps(config, cores, compartments):
    """An architecture as SANA-FE ships them: the soma filters currents."""
    text = architecture_yaml(config, cores, compartments)
    text = text.replace("buffer_position: dendrite, buffer_inside_unit: true", "buffer_position: soma")
    return text.replace(f"current[0..{compartments - 1}]", "sum").replace("model: taps", "model: accumulator")


def resting(network, config, steps, **changes):
    """A run from rest, its parts with changed registers, and what our arithmetic makes of it."""
    run = Run(network, duration=steps * network.dt_s / network.time_unit_s, trials=1, seed=0, spikes=SpikeSelection())
    schedule = Schedule.of(run)
    ready = prepare(schedule, config)
    machine = ready.machine
    parts = {
        name: tuple(replace(part, **changes) for part in getattr(machine, name))
        for name in ("population", "decode_neurons")
    }
    zero = {name: np.zeros_like(getattr(ready, name)) for name in ("voltage", "decode_current", "decode_voltage")}
    ready = replace(ready, machine=replace(machine, **parts), **zero)
    _, spikes, counts = run_device(schedule, ready, no_progress)
    assert spikes is not None
    fired = np.round(spikes.time_s / schedule.dt_s).astype(int) - 1
    return ready, {*zip(fired.tolist(), spikes.neuron.tolist(), strict=True)}, counts[0]


@needs_sana_fe
@pytest.mark.parametrize("capacity", [{}, {"input_axons_per_core": 90, "compartments_per_core": 12}])
def test_spikes_are_the_same_where_currents_need_no_rounding(capacity, network, tmp_path):
    # SANA-FE rounds no currents; those that are gone after a step need none
    config = small(**capacity)
    ready, ours, counts = resting(network, config, 500, current_decay=0.0)
    architecture = tmp_path / "mine.yaml"
    architecture.write_text(without_taps(config, 12, 44))
    found = run_sana_fe(ready, config, 500, architecture=architecture)
    assert len(ours) > 200
    assert {*map(tuple, found.spikes.tolist())} == ours
    assert (len(found.spikes), len(found.decode_spikes)) == (counts[0], counts[1])
    work = workload_of_spikes(ready.machine, 500, counts[0], counts[1], int(np.abs(np.asarray(ready.signs)).sum()))
    assert (found.messages, found.synaptic_operations) == (work.messages, work.synaptic_operations)
    assert found.hops == (work.hops_x or 0.0) + (work.hops_y or 0.0)
    priced = estimate_energy(work, config, 1.0).microjoule
    assert found.picojoule["synapse"] == pytest.approx(1e6 * priced["synaptic_operations"], rel=1e-9)
    soma = priced["active_updates"] + priced["inactive_updates"]
    assert found.picojoule["soma"] == pytest.approx(1e6 * soma, rel=1e-9)
    within_tile = 1.7 * work.messages  # which SANA-FE does not count
    assert found.picojoule["network"] == pytest.approx(1e6 * (priced["messages"] + priced["hops"]) - within_tile)


@needs_sana_fe
def test_rounded_currents_are_all_that_differs(network):
    found = second_opinion(network, LOIHI, steps=500)
    assert found.first_difference is None or found.first_difference > 10
    # a spike more or less for every neuron
    assert abs(found.spikes - len(found.theirs.spikes)) <= network.neurons
    assert found.ours.microsecond_per_step == pytest.approx(found.theirs.microsecond_per_step, rel=0.15)


@needs_sana_fe
def test_without_bits_both_run_alike_at_first(network, tmp_path):
    floating = LOIHI.unrounded
    ready, ours, _ = resting(network, floating, 200)
    theirs = run_sana_fe(ready, floating, 200, folder=tmp_path)
    early = {tuple(spike) for spike in theirs.spikes.tolist() if spike[0] < 40}
    assert early == {spike for spike in ours if spike[0] < 40}
    assert len(early) > 10


def called(capsys, *arguments):
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    out, err = capsys.readouterr()
    return caught.value.code, out, err


@needs_sana_fe
def test_the_command_prints_both_and_keeps_the_files(network, tmp_path, capsys):
    path, folder = str(tmp_path / "net.safetensors"), tmp_path / "kept"
    network.save(path)
    given = ["hardware", "fit", path, "--hardware", "loihi1-emulator", "--with", "sana-fe"]
    code, out, _ = called(capsys, *given, "--files", str(folder))
    assert code == 0
    for words in ("second opinion on 2000 steps", "time of a step (us)", "pJ per message", "fits: yes"):
        assert words in out
    assert {file.name for file in folder.iterdir()} == {"architecture.yaml", "network.yaml"}
    code, out, _ = called(capsys, *given, "--architecture", str(folder / "architecture.yaml"), "--json")
    assert json.loads(out)["sana_fe"]["theirs"]["messages"] > 0


@needs_sana_fe
def test_what_sana_fe_refuses_is_one_line(network, tmp_path, capsys):
    path, architecture = str(tmp_path / "net.safetensors"), tmp_path / "mine.yaml"
    network.save(path)
    given = ["hardware", "fit", path, "--hardware", "loihi1-emulator", "--with", "sana-fe"]
    given += ["--architecture", str(architecture)]
    one_compartment = architecture_yaml(LOIHI, 1, 10).replace("columns: 8", "columns: 1")
    for text, words in (
        ("architecture: [", "SANA-FE cannot read the architecture"),
        (architecture_yaml(LOIHI, 1, 44).replace("model: input", "model: current_based"), "has no unit of model input"),
        (one_compartment, "has taps for 10 compartments"),
        (without_taps(LOIHI, 1, 10), "SANA-FE refuses the network"),
    ):
        architecture.write_text(text)
        code, _, err = called(capsys, *given)
        assert (code, err.count("\n")) == (2, 1), err
        assert words in err


def test_a_missing_figure_is_named_in_one_line():
    energy = LOIHI.energy.model_copy(update={"message_pj": None})
    for config, words in (
        (find_hardware("ideal"), "energy, time, mesh"),
        (LOIHI.model_copy(update={"energy": energy}), r"energy\.message_pj"),
    ):
        with pytest.raises(InputError, match=f"has no figure for {words}, which SANA-FE needs"):
            architecture_yaml(config, 2, 100)
    assert isinstance(LOIHI, HardwareConfig)


@needs_sana_fe
def test_the_command_names_a_missing_figure_in_one_line(network, tmp_path, capsys):
    path, device = str(tmp_path / "net.safetensors"), tmp_path / "mine.toml"
    network.save(path)
    text = hardware_file("loihi1-emulator").read_text()
    device.write_text("\n".join(line for line in text.splitlines() if not line.startswith("message_pj")))
    code, _, err = called(capsys, "hardware", "fit", path, "--hardware", str(device), "--with", "sana-fe")
    assert (code, err.count("\n")) == (2, 1), err
    assert "has no figure for energy.message_pj, which SANA-FE needs" in err


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--with", "lava"], "--with is sana-fe, got 'lava'"),
        (["--architecture", "chip.yaml"], "are for SANA-FE. Add --with sana-fe"),
    ],
)
def test_options_that_make_no_sense_are_refused(given, words, network, tmp_path, capsys):
    path = str(tmp_path / "net.safetensors")
    network.save(path)
    code, _, err = called(capsys, "hardware", "fit", path, "--hardware", "loihi1-emulator", *given)
    assert (code, err.count("\n")) == (2, 1)
    assert words in err


def test_sana_fe_that_is_missing_is_named(network, tmp_path, capsys, monkeypatch):
    path = str(tmp_path / "net.safetensors")
    network.save(path)
    monkeypatch.setattr("ddm2snn.hardware.sana_fe.find_spec", lambda _: None)
    code, _, err = called(capsys, "hardware", "fit", path, "--hardware", "loihi1-emulator", "--with", "sana-fe")
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'ddm2snn[sana-fe]'" in err
