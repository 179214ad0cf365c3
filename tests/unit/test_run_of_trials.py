"""The verb run with the trials of a task: from a network that there is, and from a system with memories."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

import ddm2snn
from ddm2snn import InputError, Recipe, Recording, Stimulus
from ddm2snn.base.progress import Announce, no_progress
from ddm2snn.cli.main import app
from ddm2snn.plots import recordings
from ddm2snn.workflow.source import Source, record_system

SETTINGS = {
    "backends": ["reference"],
    "reference_runs": 2,
    "conversion": {"neurons_per_unit": 2, "decoders": "static", "time_unit_s": 0.1},
    "simulation": {"every": 0.1, "trials": 12, "duration": 4.0},
}


class Log(Announce):
    """Remembers which steps were done."""

    def __init__(self):
        self.done = []

    def finish(self, name, *, done_before):
        if not done_before:
            self.done.append(name)


@pytest.fixture(scope="module")
def decision(tmp_path_factory):
    """Weights of a decision by rank one, z' = -z + 0.9 tanh(z) + u, as another tool has them, and tables of inputs."""
    folder = tmp_path_factory.mktemp("decision")
    m = np.random.default_rng(0).choice([-1.0, 1.0], 16)[:, None]
    np.savez(folder / "net.npz", m=m, n=0.9 * m, wi=m.T, wo=m, cholesky=np.array([[0.05]]))
    (folder / "trials").mkdir()
    for name, u in (("left", -1.0), ("right", 1.0)):
        (folder / "trials" / f"{name}.csv").write_text(f"0,{u}\n2,0\n")
    return folder


@pytest.fixture(scope="module")
def recipe(decision):
    content = {
        **SETTINGS,
        "network": str(decision / "net.npz"),
        "mapping": {"factor": "1/N", "activation": "tanh", "filtered": "currents"},
        "trials": {"stimulus": str(decision / "trials")},
    }
    return Recipe.model_validate(content)


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory):
    folder, log = tmp_path_factory.mktemp("out") / "out", Log()
    return folder, ddm2snn.run(recipe, folder, progress=log), log.done


def test_a_network_goes_through_without_training(finished):
    folder, summary, done = finished
    assert done == [
        "network", "simulate rate-1", "simulate rate-2", "convert reference", "simulate reference",
        "simulate spikes of reference", "report",
    ]  # fmt: skip
    assert summary["training"]["imported"]["form"] == "low-rank module"
    assert [stage["rung"] for stage in summary["ladder"]] == ["rate network", "reference"]
    runs = {name: Recording.load(folder / f"{name}.nc") for name in ("rate-1", "reference")}
    for run in runs.values():
        assert {name: len(rows) for name, rows in run.conditions.items()} == {"left": 12, "right": 12}
        assert run.output.shape == (24, 40, 1)
        assert run.output.values[:, 30:].mean(axis=(1, 2))[:12].mean() < -0.3
        assert run.output.values[:, 30:].mean(axis=(1, 2))[12:].mean() > 0.3
    assert runs["rate-1"].origin.network == ddm2snn.RateNetwork.load(folder / "rate.safetensors").fingerprint


def test_the_report_is_by_condition(finished):
    folder, summary, _ = finished
    measures = summary["reports"]["reference"]["measures"]
    kinds = {name.partition(" in ")[0] for name in measures}
    assert kinds == {"course", "covariance", "output_0", "choice_0", "reaction_time_0"}
    assert {name.partition(" in ")[2] for name in measures} == {"left", "right"}
    assert measures["choice_0 in left"]["reference"] == 0.0
    assert measures["choice_0 in right"]["reference"] == 1.0
    page = (folder / "report.html").read_text()
    assert "ddm2snn run recipe.toml" in page
    assert "stimulus = &#34;trials&#34;" in page
    for figure in ("choices-reference", "outputs", "trajectories", "vector-fields", "spikes-reference"):
        assert (folder / "figures" / f"{figure}.png").exists()
        assert f'id="{figure}"' in page


def test_only_what_depends_on_the_trials_is_done_again(finished, recipe):
    folder, _, _ = finished
    log = Log()
    ddm2snn.run(recipe, folder, progress=log)
    assert log.done == []
    changed = recipe.model_copy(update={"trials": recipe.trials.model_copy(update={"boundary": 0.1})})
    ddm2snn.run(changed, folder, progress=log)
    assert log.done == ["report"]


def test_a_file_of_a_network_and_a_file_of_trials_are_enough(decision, tmp_path):
    """`ddm2snn run net.safetensors --stimulus trials.safetensors`, here until the conversion begins."""
    mapping = ddm2snn.ArrayMapping(factor="1/N", activation="tanh", filtered="currents")
    ddm2snn.import_network(decision / "net.npz", mapping).save(tmp_path / "net.safetensors")
    Stimulus.load(decision / "trials").save(tmp_path / "trials.safetensors")
    seen = []

    def stopped(recipe, folder, **_):
        seen.append(recipe)
        raise InputError("stopped here")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ddm2snn.run", stopped)
        words = ["run", str(tmp_path / "net.safetensors"), "--stimulus", str(tmp_path / "trials.safetensors")]
        done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    source = Source.of(seen[0])
    assert (source.name, source.step, source.rank, source.units) == ("net", "network", 1, 16)
    assert source.trials.trials == 2 * 64  # as often as [simulation] says


@pytest.mark.slow
def test_the_built_in_memories_are_switched_in_target_and_networks(tmp_path):
    """Each input leads to its well, in the target SDE, in the rate network and in spikes."""
    recipe = Recipe.model_validate(
        {
            **SETTINGS, "system": "doublewell", "training": {"units": 16, "error": 0.03},
            "trials": {"stimulus": "memories", "repeats": 12, "hold": 4.0, "rest": 1.0},
        }
    )  # fmt: skip
    summary = ddm2snn.run(recipe, tmp_path / "out")
    assert [stage["rung"] for stage in summary["ladder"]] == ["target SDE", "rate network", "reference"]
    for name in ("target-1", "rate-1", "reference"):
        run = Recording.load(tmp_path / "out" / f"{name}.nc")
        for well, rows in zip((-1.0, 1.0), run.conditions.values(), strict=True):
            assert (np.sign(run.samples[rows, 0, 0]) == -well).all()
            assert (np.sign(run.samples[rows, 40, 0]) == well).mean() > 0.9  # at the end of the input
    assert "latent 0" in json.dumps(summary["reports"])
    assert not any("reaction_time" in name for name in summary["reports"]["reference"]["measures"])  # decided before


def test_the_target_under_inputs_has_their_mean():
    """dz = (-z + u) dt + G dw with u = 0.8 from time 2 on: the mean follows 0.8 (1 - exp(-(t - 2)))."""
    system = ddm2snn.System(name="leak", rank=1, drift=lambda z: -z, diffusion=0.1, time_scale=2.0)
    pulse = dataclasses.replace(
        Stimulus.of_trials({"on": Stimulus(times=np.array([2.0]), values=np.array([[0.8]]))}, repeats=400),
        initial_latent=np.zeros((1, 1)),
    )
    run = record_system(
        system, np.linspace(-1.0, 1.0, 9)[:, None], duration=5.0, every=0.5, trials=400, seed=1, stimulus=pulse
    )
    time = run.latent["time"].values
    expected = 0.8 * (1.0 - np.exp(-np.maximum(time - 2.0, 0.0)))
    assert np.abs(run.samples[..., 0].mean(axis=0) - expected).max() < 4 * 0.1 / np.sqrt(2 * 400) + 0.005
    assert list(run.conditions) == ["on"]


def test_inputs_in_a_systems_own_time(make_rate, tmp_path):
    """Trials in system time last `time_scale` times fewer rate time units, and push as much more."""
    dataclasses.replace(make_rate(rank=1, units=8), time_scale=10.0).save(tmp_path / "net.safetensors")
    Stimulus(times=np.array([0.0, 20.0]), values=np.array([[0.1], [0.0]]), duration=40.0).save(
        tmp_path / "pulse.safetensors"
    )
    trials = {"stimulus": str(tmp_path / "pulse.safetensors"), "system_time": True}
    source = Source.of(Recipe.model_validate({"network": str(tmp_path / "net.safetensors"), "trials": trials}))
    given = source.trials_for(source.rate_network(no_progress))
    assert (given.times.tolist(), given.duration, given.conditions) == ([0.0, 2.0], 4.0, ("pulse",))
    assert given.values.ravel().tolist() == [1.0, 0.0]


def _arrows(figure, panel):
    """Places and directions of the arrows of a panel."""
    (quiver,) = (c for c in figure.axes[panel].collections if hasattr(c, "U"))
    return np.column_stack([quiver.X, quiver.Y]), np.column_stack([quiver.U, quiver.V])


def test_arrows_are_the_drift_under_the_strongest_lasting_input(make_rate):
    """In a plane: the drift of the equation plus the input that is on longest, at every place of the panel."""
    rate = make_rate(rank=2, units=12)
    steps = {"up": [[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]], "down": [[0.0, 0.0], [0.0, -1.0], [0.1, 0.0]]}
    times = np.array([0.0, 0.5, 3.0])
    trials = Stimulus.of_trials({n: Stimulus(times=times, values=np.array(u)) for n, u in steps.items()}, repeats=2)
    run = ddm2snn.simulate(rate, stimulus=trials, duration=4.0, every=0.1)
    figure = recordings.condition_fields({"rate network": run}, rate, trials)
    assert [axis.get_title() for axis in figure.axes[:2]] == ["up\ninput 0, 2", "down\ninput 0, -1"]
    for panel, u in enumerate(([0.0, 2.0], [0.0, -1.0])):
        places, arrows = _arrows(figure, panel)
        z = (places - rate.latent_offset) / rate.latent_scale
        expected = np.tanh(z @ rate.left_vectors.T + rate.bias) @ rate.right_vectors - z + rate.input_map @ u
        expected = expected * rate.latent_scale
        across = expected[:, 0] * arrows[:, 1] - expected[:, 1] * arrows[:, 0]
        sizes = np.linalg.norm(expected, axis=1) * np.linalg.norm(arrows, axis=1)
        assert np.abs(across).max() < 1e-9 * sizes.max()
        assert ((expected * arrows).sum(axis=1) > 0).all()


def test_one_latent_has_the_input_of_each_moment(make_rate):
    """Of a latent that is pushed for two time units and then decays, at rest: the slope is u, and then zero."""
    rate = make_rate(rank=1, units=6, right_vectors=np.zeros((6, 1)))
    trials = Stimulus.of_trials(
        {"on": Stimulus(times=np.array([0.0, 2.0]), values=np.array([[0.7], [0.0]]))}, repeats=2
    )
    run = ddm2snn.simulate(rate, stimulus=trials, duration=4.0, every=0.1)
    places, arrows = _arrows(recordings.condition_fields({"rate network": run}, rate, trials), 0)
    z = (places[:, 1] - rate.latent_offset[0]) / rate.latent_scale[0]
    pushed = np.where(places[:, 0] < 2.0 - 1e-9, 0.7 * rate.input_map[0, 0], 0.0)
    assert np.allclose(arrows[:, 1] / arrows[:, 0], (pushed - z) * rate.latent_scale[0])


REFUSED = {
    "no source": ({"system": None}, "key system is missing and must be set, or network in its place"),
    "two sources": ({"network": "a.safetensors"}, "system and network both say what to start from"),
    "training": ({"system": None, "network": "a.safetensors", "training": {"units": 8}}, "is not trained again"),
    "mapping": ({"mapping": {"factor": 1.0}}, "[mapping] says what a file of weights leaves open"),
    "memories": ({"trials": {"stimulus": "memories"}}, "vanderpol has none that are known"),
    "unknown key": ({"trials": {"stimuls": "x"}}, "unknown key trials.stimuls; known here are stimulus, conditions"),
    "no file": ({"trials": {"stimulus": "none.csv"}}, "none.csv"),
    "inputs": ({"trials": {"stimulus": "one.csv"}}, "has 1 along `input`, but the network takes 2"),
    "few": ({"trials": {"stimulus": "two.csv", "repeats": 3}}, "Condition 'two' of two.csv is run 3 time(s), and 8"),
    "unnamed": ({"trials": {"stimulus": "trials.npz"}}, "have no names of their conditions"),
    "start": ({"trials": {"stimulus": "start.npz", "conditions": ["a", "b"]}}, "start at 3 latents, and vanderpol has"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_before_any_step(case, tmp_path, monkeypatch):
    changes, words = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.csv").write_text("0,1\n")
    (tmp_path / "two.csv").write_text("0,1,2\n")
    np.savez(tmp_path / "trials.npz", times=[0.0], values=np.zeros((2, 1, 2)))
    np.savez(tmp_path / "start.npz", times=[0.0], values=np.zeros((2, 1, 2)), initial_latent=np.zeros((2, 3)))
    with pytest.raises(InputError, match=re.escape(words)):
        ddm2snn.run(Recipe(**{"system": "vanderpol", **changes}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_paths_of_a_recipe_are_relative_to_it(tmp_path, monkeypatch):
    (tmp_path / "recipe.toml").write_text('network = "net.pt"\n[trials]\nstimulus = "trials"\n')
    recipe = Recipe.of(str(tmp_path / "recipe.toml"))
    assert recipe.network == str(tmp_path / "net.pt")
    assert recipe.trials.stimulus == str(tmp_path / "trials")
    assert recipe.without_folders.network == "net.pt"
    assert str(tmp_path) not in recipe.without_folders.as_toml()
    memories = Recipe.model_validate({"system": "fourwell", "trials": {"stimulus": "memories"}})
    assert memories.without_folders.trials.stimulus == "memories"
