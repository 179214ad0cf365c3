"""The pipeline: what it leaves, what it does not do twice, and how it goes on."""

import contextlib
import json
import shutil

import numpy as np
import pytest
import tomli_w

import ddm2snn
from ddm2snn.errors import InputError
from ddm2snn.hardware import find_hardware
from ddm2snn.workflow.pipeline import _Pipeline
from ddm2snn.workflow.recipe import device_stages
from ddm2snn.workflow.source import Source
from ddm2snn.workflow.steps import Announce, step_graph


class Log(Announce):
    """Remembers which steps were done and which were found done."""

    def __init__(self):
        self.done, self.skipped = [], []

    def finish(self, name, *, done_before):
        (self.skipped if done_before else self.done).append(name)


class UntilReport(Log):
    """Interrupts a run where it begins the report, which takes most of its time."""

    def start(self, name):
        if name == "report":
            self.done.append(name)
            raise KeyboardInterrupt
        return super().start(name)


def small(**changes):
    content = {
        "seed": 2,
        "reference_runs": 2,
        "training": {"units": 12},
        "conversion": {"neurons_per_unit": 2},
        "simulation": {"duration": 8.0, "burn_in": 1.0, "trials": 3},
        **changes,
    }
    return ddm2snn.Recipe.model_validate({"system": "vanderpol", **content})


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    folder, log = tmp_path_factory.mktemp("finished"), Log()
    return folder, ddm2snn.run(small(), folder, progress=log), log


@pytest.fixture
def finished(once, tmp_path):
    """A copy of one finished run, to change at will."""
    shutil.copytree(once[0], tmp_path, dirs_exist_ok=True)
    return tmp_path, once[1], once[2]


def again(folder, recipe=None):
    log = Log()
    ddm2snn.run(recipe or small(), folder, progress=log)
    return log


def begun(folder, recipe=None):
    """What a further run does, the report being begun only."""
    log = UntilReport()
    with contextlib.suppress(KeyboardInterrupt):
        ddm2snn.run(recipe or small(), folder, progress=log)
    return log


@pytest.mark.slow
def test_leaves_report_summary_and_every_file(finished):
    folder, summary, log = finished
    assert not log.skipped
    names = {path.name for path in folder.iterdir()}
    assert {"report.html", "summary.json", "rate.safetensors", "rate-1.nc", "rate-2.nc"} <= names
    assert {"spiking-brian2.safetensors", "spiking-nengo.safetensors", "brian2.nc", "nengo.nc"} <= names
    assert set(summary["reports"]) == {"brian2", "nengo"}
    assert summary == json.loads((folder / "summary.json").read_text())
    for report in summary["reports"].values():
        assert report["measures"]["sliced_wasserstein"]["floor"] > 0
        assert report["measures"]["sliced_wasserstein"]["samples"] == 3 * 400
    rate = ddm2snn.load(folder / "rate.safetensors")
    assert summary["training"]["fingerprint"] == rate.fingerprint
    assert summary["conversions"]["nengo"]["diagnostics"]["rank_audit"]["rank"] == 2


def test_the_ladder_goes_from_the_target_to_each_backend(finished):
    folder, summary, _ = finished
    assert [rung["rung"] for rung in summary["ladder"]] == ["target SDE", "rate network", "brian2", "nengo"]
    assert [rung["previous"] for rung in summary["ladder"]] == ["", "target SDE", "rate network", "rate network"]
    first, rate, brian2, _ = summary["ladder"]
    assert first["against_first"] is None
    assert rate["against_first"] == rate["against_previous"]
    assert brian2["against_previous"]["d_h"]["distance"] == summary["reports"]["brian2"]["measures"]["d_h"]["distance"]
    assert brian2["against_first"]["d_h"] != brian2["against_previous"]["d_h"]
    assert len({ddm2snn.Recording.load(folder / f"{n}-1.nc").samples.shape for n in ("target", "rate")}) == 1
    assert (folder / "figures" / "ladder.pdf").exists()
    assert (folder / "figures" / "spikes-brian2.png").exists()
    missed = summary["missed"]  # twelve units do
    assert "the drift error of latent" in missed[0]
    assert summary["findings"][: len(missed)] == missed
    assert summary["findings"][len(missed)].startswith("brian2: ")


def test_does_nothing_twice(finished):
    folder, _, first = finished
    before = (folder / "report.html").stat().st_mtime_ns
    second = again(folder)
    assert second.done == []
    assert sorted(second.skipped) == sorted(first.done)  # side by side they end in any order
    assert (folder / "report.html").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_changed_setting_redoes_what_depends_on_it_alone(finished):
    folder, _, _ = finished
    log = begun(folder, small(conversion={"neurons_per_unit": 3}))
    assert sorted(log.done[:-1]) == [
        "convert brian2", "convert nengo", "simulate brian2", "simulate nengo", "simulate spikes of brian2",
    ]  # fmt: skip
    assert log.done[-1] == "report"
    assert begun(folder, small(conversion={"neurons_per_unit": 3})).done == ["report"]


def test_a_lost_or_damaged_file_is_made_again(finished):
    folder, _, _ = finished
    original = (folder / "nengo.nc").read_bytes()
    (folder / "nengo.nc").write_bytes(original[:1000])
    assert again(folder).done == ["simulate nengo"]  # the report depends on its content, which is as before
    assert (folder / "nengo.nc").read_bytes() == original
    (folder / "summary.json").unlink()
    assert again(folder).done == ["report"]


@pytest.mark.slow
def test_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # side by side it depends on the machine what is done by then

    class Interrupt(Log):
        def start(self, name):
            if name == "simulate reference":
                raise KeyboardInterrupt
            return super().start(name)

    first, recipe = Interrupt(), small(backends=["reference"])
    with pytest.raises(KeyboardInterrupt):
        ddm2snn.run(recipe, tmp_path, progress=first)
    second = begun(tmp_path, recipe)
    assert second.skipped == first.done
    assert second.done == ["simulate reference", "simulate spikes of reference", "report"]
    assert not list(tmp_path.glob(".*part"))


@pytest.mark.slow
def test_a_damaged_record_means_doing_it_again(finished):
    folder, _, first = finished
    (folder / "steps.json").write_text("{ no json")
    assert sorted(begun(folder).done) == sorted(first.done)


def test_steps_are_an_acyclic_graph_that_ends_in_the_report(tmp_path):
    import networkx as nx

    graph = step_graph(_Pipeline(small(), Source.of(small()), tmp_path).steps())
    assert nx.is_directed_acyclic_graph(graph)
    assert [name for name, degree in graph.out_degree() if degree == 0] == ["report"]
    assert [name for name, degree in graph.in_degree() if degree == 0] == ["train"]
    assert nx.ancestors(graph, "simulate brian2") == {"train", "convert brian2"}


@pytest.mark.slow
def test_takes_a_system_of_the_users_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\nfrom ddm2snn import System\n"
        "spiral = System('spiral', 2, lambda z: z @ np.array([[-0.5, 1.0], [-1.0, -0.5]]), diffusion=0.5)\n"
    )
    (tmp_path / "recipe.toml").write_text(
        "system = 'mine.py:spiral'\nbackends = ['reference']\nreference_runs = 2\n[training]\nunits = 16\n"
        "[conversion]\nneurons_per_unit = 2\n[simulation]\ntrials = 3\nduration = 8.0\n"
    )
    recipe = ddm2snn.Recipe.read(tmp_path / "recipe.toml")
    assert begun(tmp_path / "out", recipe).done[-1] == "report"
    training = ddm2snn.RateNetwork.load(tmp_path / "out" / "rate.safetensors").provenance
    assert training["system"] == "spiral"
    assert max(training["drift_error"]) < 0.05
    # the file changes under the same name: what depends on it is done again
    file.write_text(file.read_text().replace("-0.5, 1.0", "-0.6, 1.0"))
    assert "train" in begun(tmp_path / "out", recipe).done


def on_devices(**changes):
    return small(backends=["reference"], hardware=["loihi1-emulator", "loihi2-like"], **changes)


@pytest.fixture(scope="module")
def devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    return folder, ddm2snn.run(on_devices(), folder)


@pytest.mark.slow
def test_devices_are_rungs_of_the_ladder(devices):
    folder, summary = devices
    rungs = {rung["rung"]: rung for rung in summary["ladder"]}
    previous = {name: rung["previous"] for name, rung in rungs.items()}
    assert previous == {
        "target SDE": "", "rate network": "target SDE", "reference": "rate network",
        "loihi1-emulator-simreal": "reference", "loihi1-emulator-sim": "loihi1-emulator-simreal",
        "loihi2-like-quantised": "reference",
    }  # fmt: skip
    sim = rungs["loihi1-emulator-sim"]
    assert sim["against_previous"]["d_h"]["distance"] != sim["against_first"]["d_h"]["distance"]
    assert set(summary["reports"]) == set(rungs) - {"target SDE", "rate network"}
    assert "Loihi1-emulator-simreal to loihi1-emulator-sim: " in summary["findings"][-1]
    network = ddm2snn.load(folder / "spiking-loihi1-emulator-sim.safetensors")
    assert summary["conversions"]["loihi1-emulator-sim"]["fingerprint"] == network.fingerprint


@pytest.mark.slow
def test_the_report_has_neurobenchs_names_for_each_device(devices):
    folder, summary = devices
    assert set(summary["neurobench"]) == {"loihi1-emulator-simreal", "loihi1-emulator-sim", "loihi2-like-quantised"}
    for numbers in summary["neurobench"].values():
        operations = numbers["SynapticOperations"]
        assert 0 < operations["Effective_ACs"] < operations["Dense"]
    assert "On the device" in (folder / "report.html").read_text()


def test_a_rung_s_recording_names_what_ran(devices):
    folder, _ = devices
    real, sim, other = (
        ddm2snn.Recording.load(folder / f"{name}.nc").provenance
        for name in ("loihi1-emulator-simreal", "loihi1-emulator-sim", "loihi2-like-quantised")
    )
    assert len({p["network"] for p in (real, sim, other)}) == 3  # each solved in its own loop
    networks = [
        ddm2snn.SpikingNetwork.load(folder / f"spiking-loihi1-emulator-{t}.safetensors") for t in ("simreal", "sim")
    ]
    assert np.array_equal(networks[0].encoders, networks[1].encoders)  # on the same neurons
    assert not np.array_equal(networks[0].decoders, networks[1].decoders)
    bits = [p["options"]["hardware"]["precision"]["weight_bits"] for p in (real, sim, other)]
    assert bits == [None, 8, 8]
    assert {p["backend"] for p in (real, sim, other)} == {"quantised"}


@pytest.mark.slow
def test_a_changed_device_redoes_its_own_rungs_alone(devices, tmp_path):
    folder = shutil.copytree(devices[0], tmp_path / "copy")
    assert again(folder, on_devices()).done == []
    text = find_hardware("loihi2-like").model_dump(mode="json", exclude_none=True)
    text["precision"]["weight_bits"] = 6
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(text))
    log = begun(folder, small(backends=["reference"], hardware=["loihi1-emulator", str(tmp_path / "mine.toml")]))
    assert log.done == ["convert loihi2-like-quantised", "simulate loihi2-like-quantised", "report"]


def test_nengo_loihi_itself_runs_a_rung_where_it_is_asked_to():
    pytest.importorskip("nengo_loihi")
    stages = device_stages(["loihi1-emulator", "loihi2-like"], "brian2")
    assert [stage.backend(emulator=True).name for stage in stages] == ["nengo-loihi", "nengo-loihi", "quantised"]
    assert [getattr(stage.backend(emulator=True), "target", None) for stage in stages] == ["simreal", "sim", None]
    assert {stage.backend(emulator=False).name for stage in stages} == {"quantised"}


def test_an_unknown_device_is_refused_before_anything_is_done(tmp_path):
    with pytest.raises(InputError, match="no hardware configuration 'loihi9'"):
        ddm2snn.run(small(hardware=["loihi9"]), tmp_path)
    assert not (tmp_path / "rate.safetensors").exists()
