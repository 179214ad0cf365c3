"""The verb and the command stress: points, table, figure and refusals."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest

import ddm2snn
from ddm2snn import InputError, compare, damaged, find_hardware, simulate, stress
from ddm2snn.base.randomness import child_seed
from ddm2snn.plots.comparison import draw_stress

SETTINGS = {"duration": 20.0, "trials": 4, "seeds": (0, 1)}


@pytest.fixture(scope="module")
def stressed(quick_rate, quick_spiking):
    return stress(quick_spiking, quick_rate, levels={"neurons": [0.25], "spikes": [0.3]}, **SETTINGS)


def test_level_zero_is_the_undamaged_network(stressed, quick_rate, quick_spiking):
    runs = {"duration": 20.0, "trials": 4}
    references = [simulate(quick_rate, seed=child_seed(0, "stress", f"reference {i}"), **runs) for i in range(3)]
    tests = [simulate(quick_spiking, seed=child_seed(seed, "stress", "run"), **runs) for seed in (0, 1)]
    expected = compare(references[0], tests, floor=references[1:])
    zeros = [point for point in stressed.points if not point.level]
    assert [point.damage for point in zeros] == ["neurons", "spikes"]
    for point in zeros:
        measures = point.report.as_json()["measures"]
        for name, measure in expected.as_json()["measures"].items():
            assert measures[name]["distance"] == measure["distance"]


def test_damage_is_seen_and_mended(stressed):
    whole, broken = stressed.curve("neurons", solved_again=False)
    first, again = stressed.curve("neurons", solved_again=True)
    assert first is whole
    assert (broken.solved_again, again.solved_again) == (False, True)
    excess = [point.report["sliced_wasserstein"].excess for point in (whole, again, broken)]
    assert excess[2] > 2 * max(excess[:2])


def test_every_point_has_a_row_of_each_measure(stressed, tmp_path):
    assert len(stressed.points) == 2 * (1 + 2)
    rows = stressed.rows()
    assert len(rows) == sum(len(point.report.measures) for point in stressed.points)
    for name in ("table.csv", "table.json"):
        stressed.save(tmp_path / name)
    with (tmp_path / "table.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))["rows"] == rows
    assert [float(row["excess"]) for row in table] == [row["excess"] for row in rows]
    with pytest.raises(InputError, match=r"are \.json or \.csv, but .*\.txt"):
        stressed.save(tmp_path / "table.txt")


def test_the_figure_has_a_column_for_each_damage(stressed):
    figure = draw_stress(stressed)
    labels = [axis.get_xlabel() for axis in figure.axes if axis.get_xlabel()]
    assert labels == ["neurons lost", "spikes lost"]
    shares = [line for line in figure.axes[-1].lines if line.get_label() == "decoders as they were"]
    assert np.array_equal(shares[0].get_xdata(), [0.0, 0.3])


def test_the_command_writes_table_and_figure(cli, quick_rate, quick_spiking, tmp_path):
    quick_rate.save(tmp_path / "rate.safetensors")
    quick_spiking.save(tmp_path / "snn.safetensors")
    command = ("stress", "snn.safetensors", "--rate", "rate.safetensors", "-o", "stress.csv")
    short = ("--levels", "thresholds=0.1", "--seeds", 1, "--trials", 4, "--duration", 20)
    code, out, err = cli(*command, *short, "--figure", "stress.png")
    assert code == 0, err
    assert out.splitlines()[-2:] == ["stress.csv", "stress.png"]
    assert (tmp_path / "stress.png").stat().st_size > 10_000
    head, whole, broken, again = out.splitlines()[:4]
    assert head.split()[:3] == ["damage", "level", "decoders"]
    assert [line.split()[1] for line in (whole, broken, again)] == ["0", "0.1", "0.1"]
    code, out, err = cli(*command, "--levels", "thresholds=much")
    assert (code, out) == (2, "")
    assert "--levels 'thresholds=much' must be a damage and its levels, such as neurons=0.1,0.2." in err


def test_what_cannot_be_is_refused_before_any_work(refuses, quick_rate, quick_spiking):
    with refuses(InputError, "There is no damage 'axons'", "neurons, spikes, decoders, encoders, thresholds"):
        damaged(quick_spiking, "axons", 0.1)  # pyright: ignore[reportArgumentType]
    with refuses(InputError, "damage to spikes must be a share from 0 to below 1, got 1.0"):
        stress(quick_spiking, quick_rate, levels={"spikes": [1.0]})
    with refuses(InputError, "damage to decoders must be a spread, zero or above, got -0.1"):
        damaged(quick_spiking, "decoders", -0.1)
    with refuses(InputError, "leaves none of 32 neurons"):
        damaged(quick_spiking, "neurons", 0.99)
    with refuses(InputError, "stress needs levels above zero"):
        stress(quick_spiking, quick_rate, levels={"neurons": [0.0]})
    with refuses(InputError, "stress needs one seed or more"):
        stress(quick_spiking, quick_rate, seeds=())
    with refuses(InputError, "Backend nengo", "spike_loss"):
        stress(quick_spiking, quick_rate, levels={"spikes": [0.1]}, backend="nengo")
    other = dataclasses.replace(quick_rate, bias=quick_rate.bias + 0.1)
    with refuses(InputError, "comes from the rate network"):
        stress(quick_spiking, other)
    on_device = dataclasses.replace(quick_spiking, hardware=find_hardware())
    with refuses(InputError, "in whose loop decoders are not solved again", "Convert without hardware"):
        stress(on_device, quick_rate)
    with refuses(InputError, "spike_loss must be a share from 0 to below 1, got 1"):
        ddm2snn.find_backend("reference", spike_loss=1)
    with refuses(InputError, "Calibrated.spike_loss = 0.1 was asked for", "Leave it out"):
        ddm2snn.convert(quick_rate, decoders=ddm2snn.Calibrated(spike_loss=0.1), hardware="loihi1-emulator")
