"""The commands plan, convert --figure and restructure: what they print, write and refuse."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

import ddm2snn
from ddm2snn.conversion.convert import noisy_spikes


@pytest.fixture
def rate_file(quick_rate, tmp_path):
    quick_rate.save(tmp_path / "rate.safetensors")
    return tmp_path / "rate.safetensors"


@pytest.fixture
def spiking_file(quick_spiking, tmp_path):
    quick_spiking.save(tmp_path / "snn.safetensors")
    return tmp_path / "snn.safetensors"


def refused(result, *words):
    """One line on stderr that holds all words, nothing on stdout, exit code 2."""
    code, out, err = result
    last = err.strip().splitlines()[-1]
    assert (code, out) == (2, ""), err
    assert last.startswith("Error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in last, last


@pytest.mark.slow
def test_a_plan_names_the_command_that_makes_what_it_predicts(cli, rate_file, tmp_path):
    asked = ("plan", rate_file, "--noise", 3, "--time-unit-s", 0.2, "--backend", "reference", "--seed", 5)
    code, out, err = cli(*asked)
    assert (code, err.splitlines()[0]) == (0, "plan for reference ...")
    *_, settings, predicted, command = out.splitlines()
    planned = json.loads(cli(*asked, "--json")[1])
    chosen = planned["chosen"]
    assert f"({chosen['neurons']} in all), time_unit_s = 0.2" in settings
    assert f"{chosen['spikes_per_time_unit']:.4g} spikes per rate time unit" in predicted
    assert f"spike noise {chosen['spikes_over_target']:.2g} of the target's" in predicted
    assert chosen["spikes_over_target"] <= 3
    assert planned["command"] == command
    name, *arguments = shlex.split(command)
    assert name == "ddm2snn"
    found = json.loads(cli(*arguments, "--json")[1])
    assert found["neurons"] == chosen["neurons"]
    assert found["spikes_per_time_unit"] == pytest.approx(chosen["spikes_per_time_unit"], rel=0.1)
    made = ddm2snn.load(tmp_path / "snn.safetensors")
    assert isinstance(made, ddm2snn.SpikingNetwork)
    assert (made.backend, made.time_unit_s, made.provenance["seed"]) == ("reference", 0.2, 5)


def test_a_bound_on_the_drift_alone_leaves_noise_free(cli, rate_file):
    asked = ("plan", rate_file, "--drift-error", 0.5, "--time-unit-s", 0.1, "--backend", "reference", "--json")
    assert json.loads(cli(*asked)[1])["chosen"]["spikes_over_target"] > 0.25


def test_the_impossible_is_refused_with_what_it_would_take(cli, rate_file):
    asked = ("plan", rate_file, "--noise", 1e-7, "--time-unit-s", 0.2, "--backend", "reference")
    refused(cli(*asked), "No conversion looked at meets noise <= 1e-07", "It would take some", "neurons per unit")
    refused(cli("plan", rate_file, "--noise", 0), "plan.noise must be a finite number above zero")
    refused(cli("plan", rate_file, "--neuron", "hodgkin"), "There is no neuron model 'hodgkin'", "lif")
    refused(cli("plan", "none.safetensors"), "none.safetensors does not exist")


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_figure_is_written_beside_the_same_network(cli, rate_file, tmp_path, kind):
    command = ("convert", rate_file, "--backend", "reference", "--time-unit-s", 0.1, "--decoders", "static")
    plain = json.loads(cli(*command, "-o", "a.safetensors", "--json")[1])
    code, out, _ = cli(*command, "-o", "b.safetensors", "--figure", f"b.{kind}")
    assert code == 0
    assert out.splitlines()[-1] == f"b.{kind}"
    assert (tmp_path / f"b.{kind}").read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml"}[kind])
    again = ddm2snn.load(tmp_path / "b.safetensors")
    assert isinstance(again, ddm2snn.SpikingNetwork)
    assert again.fingerprint == plain["fingerprint"]
    assert np.shape(plain["lag"]["lag_s"]) == (2,)


def test_figures_of_no_kind_or_place_are_refused_before_the_work(cli, rate_file, tmp_path):
    command = ("convert", rate_file, "-o", "a.safetensors", "--figure")
    refused(cli(*command, "a.gif"), "Figures are written as .png, .pdf, .svg", "a.gif")
    refused(cli(*command, "nowhere/a.png"), "the folder nowhere does not exist")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rate.safetensors"]


def test_decoders_are_made_sparse_and_the_price_is_printed(cli, rate_file, spiking_file, tmp_path):
    command = ("restructure", spiking_file, "--rate", rate_file, "-o", "sparse.safetensors", "--sparse", 0.5)
    code, out, err = cli(*command)
    assert (code, err.splitlines()[0]) == (0, f"restructure {spiking_file} ...")
    head, before, after = out.splitlines()
    assert head.startswith("sparse.safetensors: 32 neurons, rank 2, 50 % of the decoders zero")
    found = json.loads(cli(*command, "--json")[1])
    for line, name in ((before, "before"), (after, "after")):
        first, second = found[name]["drift_error"]
        assert line.startswith(f"{name}: relative drift error per latent {first:.2g}, {second:.2g}, spike noise")
    made = ddm2snn.load(tmp_path / "sparse.safetensors")
    assert isinstance(made, ddm2snn.SpikingNetwork)
    assert made.fingerprint == found["fingerprint"]
    assert ((made.decoders != 0).sum(axis=1) == 16).all()


@pytest.mark.parametrize(("option", "kind"), [(("--bounded", 1.5), "bounded"), (("--one-sign",), "onesign")])
def test_other_structures_have_their_options(cli, rate_file, spiking_file, option, kind):
    command = ("restructure", spiking_file, "--rate", rate_file, "-o", "s.safetensors", *option, "--json")
    assert json.loads(cli(*command)[1])["structure"]["kind"] == kind


def test_structures_that_make_no_sense_are_refused(cli, rate_file, spiking_file, tmp_path):
    command = ("restructure", spiking_file, "--rate", rate_file, "-o", "s.safetensors")
    refused(cli(*command), "restructure needs one structure, found none", "Give --sparse, --bounded or --one-sign")
    refused(cli(*command, "--sparse", 0.5, "--one-sign"), "found Sparse(kept=0.5), OneSign()")
    refused(cli(*command, "--sparse", 1.5), "Sparse.kept is a share above 0 and up to 1")
    swapped = ("restructure", rate_file, "--rate", spiking_file, "-o", "s.safetensors", "--one-sign")
    refused(cli(*swapped), "RateNetwork", "SpikingNetwork")
    assert not (tmp_path / "s.safetensors").exists()


@pytest.mark.parametrize(
    ("longest_s", "per_unit", "said"),
    [
        (np.inf, 2, "about neurons_per_unit = 4 or time_unit_s = 8 would meet it."),
        (8.0, None, "time_unit_s = 8 would meet it."),
        (7.9, 2, "1.63 times as noisy as the rate network; about neurons_per_unit = 4 would meet it."),
        (7.9, None, "the device has no room for the time unit that it takes."),
    ],
)
def test_the_warning_of_noisy_spikes_names_no_time_unit_that_the_device_refuses(longest_s, per_unit, said):
    warning = noisy_spikes(1.63, 4.0, longest_s, per_unit)
    assert warning.endswith(said)
    assert ("time_unit_s" in warning) == (longest_s >= 8.0)
