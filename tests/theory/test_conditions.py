"""Trials of a task: named conditions from file to recording, and comparison condition by condition."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn import InputError, Recording, Stimulus, compare_conditions
from ddm2snn.exchange import read_stimulus

TIMES = np.arange(40) * 0.2


def steps(*values, repeats=1, **more):
    values = np.array(values)[:, None, None]
    names = tuple(f"{v:+g}" for v in values.ravel())
    return Stimulus(times=np.zeros(1), values=values, conditions=names, repeats=repeats, duration=8.0, **more)


def recording(rng, drift, trials=40, spread=1.0):
    """Random walks to both sides, read as they are."""
    ends = np.repeat([-1.0, 1.0], trials)[:, None] * drift * TIMES
    walks = spread * np.cumsum(rng.standard_normal((2 * trials, len(TIMES))), axis=1) * np.sqrt(0.2) + ends
    latent = walks[..., None]
    return Recording.from_arrays(
        latent, every=0.2, time_unit_s=0.1, output=np.tanh(latent), provenance={"conditions": ["left", "right"]}
    )


def test_each_condition_runs_as_often_as_asked_from_its_own_start(make_rate):
    rate = make_rate(rank=1, units=4)
    stimulus = steps(-0.5, 0.5, repeats=3, initial_latent=np.array([[0.1], [0.2]]))
    run = ddm2snn.simulate(rate, stimulus=stimulus, every=0.2, seed=0)
    assert run.trials == 6
    assert {name: rows.tolist() for name, rows in run.conditions.items()} == {"-0.5": [0, 1, 2], "+0.5": [3, 4, 5]}
    assert np.allclose(run.samples[:, 0, 0], np.repeat([0.1, 0.2], 3), rtol=1e-12)
    single = ddm2snn.simulate(rate, stimulus=steps(0.5, initial_latent=np.array([[0.2]])), every=0.2, seed=0)
    assert np.allclose(run.samples[3], single.samples[0])  # without noise


def test_trials_of_one_condition_may_have_inputs_of_their_own(make_rate):
    values = np.random.default_rng(0).standard_normal((4, 1, 1))
    stimulus = Stimulus(times=np.zeros(1), values=values, conditions=("a", "b", "a", "b"), duration=2.0)
    run = ddm2snn.simulate(make_rate(rank=1, units=4), stimulus=stimulus, every=0.2)
    assert {name: rows.tolist() for name, rows in run.conditions.items()} == {"a": [0, 2], "b": [1, 3]}


@pytest.mark.parametrize("kind", ["npz", "safetensors", "folder"])
def test_conditions_come_from_files(tmp_path, kind):
    made = steps(-0.5, 0.5)
    path = tmp_path / f"trials.{kind}"
    if kind == "npz":
        np.savez(path, times=made.times, values=made.values, conditions=made.conditions, duration=8.0)
    elif kind == "safetensors":
        made.save(path)
    else:
        path.mkdir()
        for name, value in zip(made.conditions, (-0.5, 0.5), strict=True):
            (path / f"{name}.csv").write_text(f"0, {value}\n")
        made = dataclasses.replace(made, duration=None, conditions=made.conditions[::-1], values=made.values[::-1])
    assert read_stimulus(path).fingerprint == made.fingerprint


def test_files_without_what_is_needed_are_refused_by_name(tmp_path):
    np.savez(tmp_path / "trials.npz", values=np.zeros((2, 1, 1)))
    with pytest.raises(InputError, match=r"trials\.npz lacks times; it has values"):
        read_stimulus(tmp_path / "trials.npz")


def test_runs_of_one_process_seldom_differ():
    """All distances of a report together cry wolf in five of a hundred comparisons; 100 know it to 2.2."""
    rng = np.random.default_rng(1)
    reports = [compare_conditions(recording(rng, 0.3, 20), recording(rng, 0.3, 20), seed=s) for s in range(100)]
    assert np.mean([any(m.differs for m in report.measures) for report in reports]) < 0.05 + 2 * 0.022
    excess = np.mean([[m.excess for m in report.measures] for report in reports], axis=0)
    # the floor is what is expected; the size of a normal number scatters by 0.75 of its mean, a tenth of that for 100
    assert (np.abs(excess - 1.0) < 4 * 0.075).all()


@pytest.mark.parametrize(
    ("own", "other", "name"),
    [
        ((0.3, 1.0), (0.9, 1.0), "choice_0 in right"),
        ((0.3, 1.0), (0.9, 1.0), "course in left"),
        ((0.3, 1.0), (0.9, 1.0), "output_0 in left"),
        ((0.3, 0.2), (0.9, 0.2), "reaction_time_0 in right"),
        ((0.3, 1.0), (0.3, 0.5), "covariance in left"),
    ],
)
def test_a_planted_difference_is_found(own, other, name):
    """Drift and spread are another's."""
    rng = np.random.default_rng(2)
    first, second = (recording(rng, drift, 200, spread) for drift, spread in (own, other))
    report = compare_conditions(first, second, label="other")
    assert report[name].differs
    assert name.partition(" in ")[0] in report.verdict


def test_a_reference_without_noise_allows_for_the_noise_of_the_test():
    """Spikes scatter where a rate network does not; their means may still be the same."""
    rng = np.random.default_rng(3)
    still = recording(rng, 0.5, spread=0.0)
    report = compare_conditions(still, recording(rng, 0.5, 60, spread=0.3))
    assert not report["course in left"].differs
    assert report["covariance in left"].differs


def test_recordings_that_do_not_belong_together_are_refused():
    rng = np.random.default_rng(4)
    run = recording(rng, 0.3)
    stranger = dataclasses.replace(run, provenance={"conditions": ["up", "down"]})
    with pytest.raises(InputError, match="A test recording has the conditions up, down, and the reference left, right"):
        compare_conditions(run, stranger)
    with pytest.raises(InputError, match="The reference has no conditions"):
        compare_conditions(dataclasses.replace(run, provenance={}), run)
    with pytest.raises(InputError, match="A condition has 3 trial"):
        compare_conditions(run, recording(rng, 0.3, trials=3))


def test_the_command_line_compares_by_condition(tmp_path, make_rate):
    from typer.testing import CliRunner

    from ddm2snn.cli.main import app

    rate = make_rate(rank=1, units=8)
    rate = dataclasses.replace(
        rate, diffusion_factor=np.full((1, 1), 0.1), output_vectors=rate.left_vectors / 8, output_bias=np.zeros(1)
    )
    for seed in (0, 1):
        ddm2snn.simulate(rate, stimulus=steps(-0.5, 0.5, repeats=20), every=0.2, seed=seed).save(
            tmp_path / f"{seed}.nc"
        )
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["compare", str(tmp_path / "0.nc"), str(tmp_path / "1.nc"), "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "no difference found in 8 distances over 2 conditions" in done.output
    figures = {path.stem for path in (out / "figures").glob("*.png")}
    assert figures == {"choices-rate", "outputs", "trajectories"}
    rate.save(tmp_path / "rate.safetensors")
    steps(-0.5, 0.5, repeats=20).save(tmp_path / "trials.safetensors")
    words = ["compare", str(tmp_path / "0.nc"), str(tmp_path / "1.nc"), "-o", str(out)]
    words += ["--rate", str(tmp_path / "rate.safetensors")]
    with pytest.raises(InputError, match="needs --rate and --stimulus"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    steps(-0.5, 0.5, repeats=3).save(tmp_path / "few.safetensors")
    with pytest.raises(InputError, match="The stimulus has 6 trials, and the recordings have 40"):
        CliRunner().invoke(app, [*words, "--stimulus", str(tmp_path / "few.safetensors")], catch_exceptions=False)
    done = CliRunner().invoke(app, [*words, "--stimulus", str(tmp_path / "trials.safetensors")])
    assert done.exit_code == 0, done.output
    assert (out / "figures" / "vector-fields.png").exists()


@pytest.mark.slow
def test_memories_are_switched_by_inputs_in_spikes_as_in_rates():
    """The paper's associative memory: every input leads from one well to another, where the state then stays."""
    system = ddm2snn.find_system("fourwell")
    rate = ddm2snn.train(system, units=64, seed=0, training=ddm2snn.Training(error=1e-2))
    wells = system.known["memories"]
    switches = Stimulus.towards(wells, repeats=24)
    network = ddm2snn.convert(
        rate, population=2, decoders=ddm2snn.Calibrated(stimulus=switches), backend="reference", seed=1
    ).network
    runs = [
        ddm2snn.simulate(each, stimulus=switches, every=0.1, seed=s) for each, s in ((rate, 1), (rate, 2), (network, 3))
    ]
    for run in runs:
        for well, rows in zip(wells, run.conditions.values(), strict=True):
            assert not (np.sign(run.samples[rows, 0]) == well).all(axis=1).any()
            assert (np.sign(run.samples[rows, 50]) == well).all(axis=1).mean() > 0.9  # at the end of the input
            assert (np.sign(run.samples[rows, -1]) == well).all(axis=1).mean() > 0.5  # noise may lead on
    report = compare_conditions(runs[0], runs[2], floor=runs[1])
    assert not any(m.differs for m in report.measures if m.name.startswith("choice"))
