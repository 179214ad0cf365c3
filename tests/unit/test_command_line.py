"""The command line: what it prints, what it refuses, and how."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import ddm2snn


@pytest.fixture
def rate_file(rate_network, tmp_path):
    rate_network.save(tmp_path / "rate.safetensors")
    return tmp_path / "rate.safetensors"


@pytest.fixture
def spiking_file(spiking_networks, tmp_path):
    spiking_networks["brian2"].save(tmp_path / "snn.safetensors")
    return tmp_path / "snn.safetensors"


def refused(result, *words):
    """One line on stderr that holds all words, nothing on stdout, exit code 2."""
    code, out, err = result
    last = err.strip().splitlines()[-1]
    assert code == 2, err
    assert out == ""
    assert last.startswith("Error: ")
    assert "Traceback" not in err
    for word in words:
        assert word in last, last
    return last


def rewritten(path, change):
    """Rewrite a safetensors file with changed tensors but its old metadata."""
    with safe_open(str(path), framework="np") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(tensors)
    save_file(tensors, str(path), metadata=metadata)


@pytest.mark.parametrize("command", [("systems",), ("backends",), ("hardware",), ("hardware", "show", "ideal")])
def test_lists_print_one_json_object_and_nothing_else(cli, command):
    code, out, err = cli(*command, "--json")
    assert code == 0
    assert err == ""
    assert isinstance(json.loads(out), dict)
    code, out, _ = cli(*command)
    assert code == 0
    assert out.strip()


def test_lists_name_what_the_issue_promises(cli):
    assert "vanderpol" in json.loads(cli("systems", "--json")[1])["systems"]
    assert {"reference", "rate", "brian2", "nengo"} <= set(json.loads(cli("backends", "--json")[1])["backends"])
    assert json.loads(cli("hardware", "show", "ideal", "--json")[1])["name"] == "ideal"


def test_version_is_the_package_version(cli):
    assert cli("--version")[1].strip() == ddm2snn.__version__


def test_the_whole_way_by_single_commands(cli, tmp_path):
    assert cli("train", "vanderpol", "--units", 16, "--seed", 3, "-o", "r.safetensors")[0] == 0
    code, out, _ = cli("convert", "r.safetensors", "-o", "s.safetensors", "--neurons-per-unit", 2, "--json")
    assert code == 0
    assert json.loads(out)["neurons"] == 32
    for seed in (1, 2):
        assert (
            cli("simulate", "r.safetensors", "-o", f"r{seed}.nc", "--trials", 4, "--duration", 10, "--seed", seed)[0]
            == 0
        )
    code, out, _ = cli("simulate", "s.safetensors", "-o", "s.nc", "--trials", 4, "--duration", 10, "--spikes", "--json")
    assert code == 0
    content = json.loads(out)
    assert content["shape"] == {"trial": 4, "time": 500, "rank": 2}
    assert content["provenance"]["backend"] == "brian2"
    assert content["spikes"] > 0
    code, out, _ = cli("compare", "r1.nc", "s.nc", "--floor", "r2.nc", "-o", "cmp", "--json")
    assert code == 0
    assert json.loads(out)["measures"]["d_h"]["floor"] > 0
    page = (tmp_path / "cmp" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 12  # two of spikes and two for a phone among them
    assert "spikes per rate time unit" in page
    plain, _, numbers = json.loads(out)["verdict"].partition(". ")
    assert plain.replace("a second run", "a second run of the reference", 1) in page
    assert numbers in page
    assert "://" not in page.split("</style>")[1], "the page must not need a network"  # no colon in base64
    assert json.loads((tmp_path / "cmp" / "summary.json").read_text())["reports"]["brian2"]["measures"]


def test_several_tests_give_failure_shares_and_the_verdict_comes_first(cli, rate_file, tmp_path):
    for name, seed in (("a.nc", 1), ("b.nc", 2), ("c.nc", 3), ("d.nc", 4)):
        assert cli("simulate", rate_file, "-o", name, "--trials", 4, "--duration", 10, "--seed", seed)[0] == 0
    still = ddm2snn.Recording.load(tmp_path / "c.nc")
    values = still.samples.copy()
    values[:, 100:] = values[:, 100:101]
    ddm2snn.Recording.from_arrays(values, every=still.every, time_unit_s=1.0).save(tmp_path / "dead.nc")
    arguments = ("compare", "a.nc", "c.nc", "--floor", "b.nc", "--test", "d.nc", "--test", "dead.nc", "-o", "cmp")
    code, out, _ = cli(*arguments)
    assert code == 0
    assert out.startswith("rate: of 3 recordings, 1 died.")
    assert json.loads(cli(*arguments, "--json")[1])["failures"]["died"] == pytest.approx(1 / 3)
    assert "--test d.nc --test dead.nc" in (tmp_path / "cmp" / "report.html").read_text()


def test_wells_give_dwell_times_or_are_refused(cli, tmp_path):
    rng = np.random.default_rng(1)
    for name in ("a.nc", "b.nc"):
        side = np.where(np.cumsum(rng.random((8, 1500)) < 0.02, axis=1) % 2, -1.0, 1.0)
        path = (side + 0.1 * rng.standard_normal(side.shape))[..., None]
        ddm2snn.Recording.from_arrays(path, every=0.1, time_unit_s=1.0).save(tmp_path / name)
    arguments = ("compare", "a.nc", "b.nc", "-o", "cmp", "--wells")
    code, out, _ = cli(*arguments, "doublewell", "--json")
    assert code == 0
    assert json.loads(out)["measures"]["dwell"]["reference"] == pytest.approx(0.1 / 0.02, rel=0.2)
    assert "--wells doublewell" in (tmp_path / "cmp" / "report.html").read_text()
    assert json.loads(cli(*arguments, "[[-1], [1]]", "--json")[1])["measures"] == json.loads(out)["measures"]
    refused(cli(*arguments, "[[-1, 0], [1, 0]]"), "wells must be two or more finite centres of shape (well, 1)")
    refused(cli(*arguments, "wells.csv"), "Cannot read the wells in wells.csv")


def test_equal_seeds_write_equal_bytes(cli, rate_file, tmp_path):
    for name, seed in (("a.nc", 5), ("b.nc", 5), ("c.nc", 6)):
        assert cli("simulate", rate_file, "-o", name, "--trials", 2, "--duration", 2, "--seed", seed)[0] == 0
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.nc", "b.nc", "c.nc"))
    assert a == b
    assert a != c


class TestRefusals:
    def test_unknown_system(self, cli):
        refused(cli("train", "vanderpoll", "-o", "r.safetensors"), "'vanderpoll'", "vanderpol")
        refused(cli("run", "vanderpoll", "-o", "out"), "'vanderpoll'")

    def test_missing_file(self, cli):
        refused(cli("convert", "none.safetensors", "-o", "s.safetensors"), "none.safetensors", "does not exist")
        refused(cli("simulate", "none.safetensors", "-o", "s.nc"), "none.safetensors")
        refused(cli("run", "none.toml", "-o", "out"), "none.toml")
        refused(cli("train", "none.py:system", "-o", "r.safetensors"), "none.py")

    def test_text_given_as_network(self, cli, tmp_path):
        (tmp_path / "text.safetensors").write_text("these are words, not weights\n" * 9)
        refused(cli("convert", "text.safetensors", "-o", "s.safetensors"), "text.safetensors")

    def test_truncated_network(self, cli, rate_file):
        rate_file.write_bytes(rate_file.read_bytes()[: rate_file.stat().st_size // 2])
        refused(cli("convert", rate_file, "-o", "s.safetensors"), str(rate_file), "cut short")

    def test_nan_in_the_weights(self, cli, rate_file):
        rewritten(rate_file, lambda tensors: tensors["bias"].__setitem__(0, np.nan))
        refused(cli("convert", rate_file, "-o", "s.safetensors"), str(rate_file), "RateNetwork.bias", "NaN")

    def test_shapes_that_disagree(self, cli, rate_file):
        rewritten(rate_file, lambda tensors: tensors.update(bias=tensors["bias"][:-1].copy()))
        refused(cli("simulate", rate_file, "-o", "r.nc"), "RateNetwork.bias has 63 along `unit`", "has 64")

    @pytest.mark.parametrize("backend", ["brian2", "nengo", "reference"])
    def test_step_longer_than_the_refractory_period(self, cli, rate_file, spiking_file, backend):
        words = ("dt_s = 0.003", "refractory", "Use dt_s <= 0.002")
        refused(cli("convert", rate_file, "-o", "x.safetensors", "--dt-s", 0.003), "refractory", "Use dt_s <= 0.002")
        refused(cli("simulate", spiking_file, "-o", "x.nc", "--backend", backend, "--dt-s", 0.003), *words)

    @pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
    def test_durations_that_make_no_sense(self, cli, rate_file, spiking_file, value):
        for file in (rate_file, spiking_file):
            refused(cli("simulate", file, "-o", "x.nc", "--duration", value), "duration", "above zero")

    @pytest.mark.parametrize("value", ["0", "-3"])
    def test_trials_that_make_no_sense(self, cli, rate_file, spiking_file, value):
        for file in (rate_file, spiking_file):
            refused(cli("simulate", file, "-o", "x.nc", "--trials", value), "trials", value)

    def test_words_where_numbers_belong(self, cli, rate_file):
        refused(cli("simulate", rate_file, "-o", "x.nc", "--trials", "many"), "--trials", "integer")
        refused(cli("simulate", rate_file, "-o", "x.nc", "--unknown"), "--unknown")
        refused(cli("fly"), "fly")

    def test_output_that_cannot_be_written(self, cli, rate_file, tmp_path):
        (tmp_path / "file").write_text("no folder")
        refused(cli("run", "vanderpol", "-o", "file/out"), "file/out")
        refused(cli("run", "vanderpol", "-o", "/proc/out"), "/proc/out")
        refused(cli("train", "vanderpol", "-o", "nowhere/r.safetensors"), "nowhere")
        refused(cli("simulate", rate_file, "-o", "/proc/x.nc"), "/proc/x.nc")
        refused(cli("simulate", rate_file, "-o", tmp_path), str(tmp_path), "folder")

    def test_unknown_key_in_a_recipe(self, cli, tmp_path):
        (tmp_path / "r.toml").write_text("[conversion]\nneurons = 4\n")
        refused(cli("run", "r.toml", "-o", "out"), "r.toml", "conversion.neurons", "neurons_per_unit, ")
        (tmp_path / "r.toml").write_text("sytem = 'vanderpol'\n")
        refused(cli("run", "r.toml", "-o", "out"), "sytem", "system, seed")
        (tmp_path / "r.toml").write_text("backends = ['brian3']\n")
        refused(cli("run", "r.toml", "-o", "out"), "backends", "brian2")
        (tmp_path / "r.toml").write_text("backends = [")
        refused(cli("run", "r.toml", "-o", "out"), "r.toml", "TOML")

    def test_a_network_of_the_wrong_kind(self, cli, rate_file, spiking_file):
        refused(cli("convert", spiking_file, "-o", "x.safetensors"), "SpikingNetwork", "RateNetwork")
        refused(cli("simulate", rate_file, "-o", "x.nc", "--backend", "brian2"), "RateNetwork", 'Use backend="rate"')
        refused(cli("simulate", spiking_file, "-o", "x.nc", "--backend", "brian3"), "brian3", "nengo")
        refused(cli("compare", rate_file, rate_file, "-o", "cmp"), "Recording")

    def test_nothing_is_left_behind(self, cli, rate_file, tmp_path):
        before = sorted(path.name for path in tmp_path.iterdir())
        refused(cli("simulate", rate_file, "-o", "x.nc", "--duration", "0"))
        refused(cli("train", "vanderpoll", "-o", "r.safetensors"))
        assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_mismatched_step_is_a_warning_not_an_error(cli, spiking_file):
    code, _, err = cli("simulate", spiking_file, "-o", "x.nc", "--dt-s", 5e-4, "--duration", 1, "--trials", 1)
    assert code == 0
    warnings = [line for line in err.splitlines() if line.startswith("Warning: ")]
    assert len(warnings) == 1, "ours, and none of the simulators'"
    assert "The decoders were solved for dt_s = 0.001" in warnings[0]


def test_a_run_larger_than_the_memory_is_one_line(cli, rate_file, tmp_path):
    result = cli("simulate", str(rate_file), "-o", str(tmp_path / "run.nc"), "--trials", "4", "--duration", "1e12")
    refused(result, "numbers takes at least", "shorter duration")
    assert not (tmp_path / "run.nc").exists()


def test_the_installed_command_is_the_same(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ddm2snn.cli", "simulate", "none", "-o", "x.nc"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: File none does not exist")
