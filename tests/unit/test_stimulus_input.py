"""Piecewise-constant input: where it switches, and what a table of it must look like."""

# Lists stand for arrays here, and wrong types are given on purpose; `load` returns one of several types,
# and the test knows which:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import numpy as np
import pytest

import ddm2snn
from ddm2snn import InputError, Stimulus
from ddm2snn.errors import FileRefusedError

STEPS = Stimulus(times=[1.0, 2.0, 4.0], values=[[10.0, -1.0], [20.0, -2.0], [0.0, 0.0]])


def table(folder, text):
    path = folder / "u.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_each_value_lasts_from_its_time_to_the_next():
    times = np.array([1.0, 1.5, 1.999, 2.0, 3.9, 4.0, 100.0])
    assert STEPS.at(times, 2)[:, 0].tolist() == [10.0, 10.0, 10.0, 20.0, 20.0, 0.0, 0.0]
    assert STEPS.at(times, 2)[:, 1].tolist() == [-1.0, -1.0, -1.0, -2.0, -2.0, 0.0, 0.0]


def test_before_the_first_time_there_is_no_input():
    assert STEPS.at(np.array([-5.0, 0.0, 0.999]), 2).tolist() == [[0.0, 0.0]] * 3


def test_the_last_value_stays():
    ramp = Stimulus(times=[0.0], values=[[3.0]])
    assert ramp.at(np.array([0.0, 1e6]), 1).tolist() == [[3.0], [3.0]]


def test_a_switch_on_the_grid_is_not_lost_to_rounding():
    # 3 * 0.1 is a little more than 0.3 and 0.1 * 6 / 2 a little less or more: all mean the same step
    switch = Stimulus(times=[0.1 + 0.2], values=[[1.0]])
    assert switch.at(np.array([0.3]), 1).tolist() == [[1.0]]
    grid = np.arange(20_000) * (0.0005 / 0.1)
    for step in (1, 3, 7, 1001, 19_999):
        on = Stimulus(times=[step * 0.005], values=[[1.0]]).at(grid, 1)[:, 0]
        assert np.flatnonzero(on)[0] == step


def test_the_slack_is_far_below_a_time_step():
    assert STEPS.at(np.array([1.0 - 1e-6]), 2).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("inputs", [0, 1, 5])
def test_an_empty_stimulus_is_zero_for_any_number_of_inputs(inputs):
    assert Stimulus().empty
    assert not STEPS.empty
    out = Stimulus().at(np.array([0.0, 1.0, 2.0]), inputs)
    assert out.shape == (3, inputs)
    assert not out.any()


def test_no_times_give_no_rows():
    assert STEPS.at(np.zeros(0), 2).shape == (0, 2)


@pytest.mark.parametrize("inputs", [1, 3])
def test_a_wrong_number_of_inputs_names_both(refuses, inputs):
    with refuses(InputError, "Stimulus.values has 2 along `input`", f"but the network takes {inputs}"):
        STEPS.at(np.array([0.0]), inputs)


@pytest.mark.parametrize("times", [[0.0, 0.0], [1.0, 0.5], [0.0, 1.0, 1.0]])
def test_times_must_increase(refuses, times):
    with refuses(InputError, "Stimulus.times must increase strictly", "sort them and drop repetitions"):
        Stimulus(times=times, values=np.zeros((len(times), 1)))


def test_times_and_values_must_agree(refuses):
    with refuses(InputError, "Stimulus.values has 3 along `time`, but times has 2"):
        Stimulus(times=[0.0, 1.0], values=np.zeros((3, 1)))


def test_values_need_an_axis_of_inputs(refuses):
    with refuses(
        InputError, "Stimulus.values must have 2 axes (time, input, and trial before them or not), got shape (2,)"
    ):
        Stimulus(times=[0.0, 1.0], values=[1.0, 2.0])


@pytest.mark.parametrize("name", ["u.csv", "u.CSV"])
def test_a_table_is_read(tmp_path, name):
    (tmp_path / name).write_text("# time, x, y\n0, 1.5, -2\n0.5,0,1e-3\n\n2,0,0\n")
    stimulus = Stimulus.load(tmp_path / name)
    assert stimulus.times.tolist() == [0.0, 0.5, 2.0]
    assert stimulus.values.tolist() == [[1.5, -2.0], [0.0, 1e-3], [0.0, 0.0]]


def test_a_table_of_one_row_is_read(tmp_path):
    stimulus = Stimulus.load(table(tmp_path, "0.25,3\n"))
    assert stimulus.times.tolist() == [0.25]
    assert stimulus.values.tolist() == [[3.0]]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("time,x\n0,1\n", "'time'"),
        ("0;1\n1;2\n", "'0;1'"),
        ("0,1\n1,2,3\n", "number of columns changed from 2 to 3"),
        ("0,1,\n", "could not convert string ''"),
        (b"\xff\xfe\x00\x01", "utf-8"),
    ],
)
def test_a_file_that_is_no_table_of_numbers(tmp_path, text, word):
    path = table(tmp_path, text)
    with pytest.raises(FileRefusedError) as caught:
        Stimulus.load(path)
    assert f"{path} is no table of numbers" in str(caught.value)
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["0,1\n1,2,3\n", b"\xff\xfe\x00\x01"])
def test_a_file_that_is_no_table_of_numbers_says_what_to_do(refuses, tmp_path, text):
    path = table(tmp_path, text)
    with refuses(FileRefusedError, str(path), "time in the first column"):
        Stimulus.load(path)


@pytest.mark.parametrize("text", ["", "# time, x\n", "\n\n"])
def test_a_table_without_rows(refuses, tmp_path, text):
    path = table(tmp_path, text)
    with refuses(FileRefusedError, f"{path} holds no rows", "a time and its inputs in each row"):
        Stimulus.load(path)


@pytest.mark.parametrize(
    ("text", "word"),
    [("0,1\n0,2\n", "must increase strictly"), ("1,1\n0,2\n", "must increase strictly"), ("0,nan\n", "NaN")],
)
def test_a_table_of_bad_numbers_is_refused_by_name(refuses, tmp_path, text, word):
    path = table(tmp_path, text)
    with refuses(FileRefusedError, str(path), word):
        Stimulus.load(path)


def test_a_table_of_times_alone(refuses, tmp_path):
    path = table(tmp_path, "0\n1\n")
    with refuses(FileRefusedError, str(path), "a time and its inputs"):
        Stimulus.load(path)


def test_a_missing_table_and_a_folder(refuses, tmp_path):
    with refuses(FileRefusedError, str(tmp_path / "none.csv"), "does not exist"):
        Stimulus.load(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with refuses(FileRefusedError, str(tmp_path / "folder.csv"), "is a folder"):
        Stimulus.load(tmp_path / "folder.csv")


def test_a_network_is_no_stimulus(refuses, rate_of, tmp_path):
    rate_of().save(tmp_path / "rate.safetensors")
    with refuses(FileRefusedError, "rate.safetensors", "holds a RateNetwork", "a Stimulus is needed here"):
        Stimulus.load(tmp_path / "rate.safetensors")


def test_a_table_becomes_a_file_that_load_knows(tmp_path):
    Stimulus.load(table(tmp_path, "0,1\n1,2\n")).save(tmp_path / "u.safetensors")
    assert ddm2snn.load(tmp_path / "u.safetensors").values.tolist() == [[1.0], [2.0]]


class TestTrials:
    def test_a_folder_has_a_table_for_each_trial(self, tmp_path):
        (tmp_path / "b.csv").write_text("0,2\n1,0\n")
        (tmp_path / "a.CSV").write_text("0.5,1\n")
        (tmp_path / "notes.txt").write_text("not a table")
        stimulus = Stimulus.load(tmp_path)
        assert stimulus.trials == 2
        assert stimulus.times.tolist() == [0.0, 0.5, 1.0]
        assert stimulus.values[..., 0].tolist() == [[0.0, 1.0, 1.0], [2.0, 2.0, 0.0]]

    def test_it_is_saved_with_its_trials(self, tmp_path):
        stimulus = Stimulus(times=[0.0], values=[[[1.0]], [[2.0]], [[3.0]]])
        stimulus.save(tmp_path / "u.safetensors")
        loaded = Stimulus.load(tmp_path / "u.safetensors")
        assert loaded.fingerprint == stimulus.fingerprint
        assert loaded.trials == 3

    def test_an_empty_folder_is_refused(self, refuses, tmp_path):
        with refuses(FileRefusedError, str(tmp_path), "is a folder without a .csv file", "one for each trial"):
            Stimulus.load(tmp_path)

    def test_tables_with_other_inputs_are_refused(self, refuses):
        with refuses(InputError, "has 2 along `input`, but the network takes 1"):
            Stimulus.of_trials([Stimulus(times=[0.0], values=[[1.0]]), STEPS])
        with refuses(InputError, "one stimulus for each trial, none of them empty"):
            Stimulus.of_trials([STEPS, Stimulus()])

    def test_they_are_the_trials_of_a_run(self, refuses, make_rate):
        network = make_rate(rank=1, input_map=[[1.0]])
        stimulus = Stimulus(times=[0.0], values=[[[1.0]], [[-1.0]], [[0.0]]])
        assert ddm2snn.simulate(network, duration=1.0, stimulus=stimulus).latent.sizes["trial"] == 3
        with refuses(InputError, "inputs of 3 trials, and 4 are asked for"):
            ddm2snn.simulate(network, duration=1.0, stimulus=stimulus, trials=4)

    def test_a_conversion_follows_them(self, cli, quick_rate, tmp_path):
        quick_rate.save(tmp_path / "rate.safetensors")
        convert = ("convert", "rate.safetensors", "-o", "snn.safetensors", "--decoders", "static", "--time-unit-s", 0.2)
        code, _, err = cli(*convert, "--input-range", -0.5, 0.5, "--seed", 3)
        assert code == 0, err
        asked = Stimulus.within([-0.5] * 2, [0.5] * 2, seed=3)
        made = ddm2snn.load(tmp_path / "snn.safetensors")
        assert made.provenance["decoders"]["stimulus"] == asked.fingerprint
        asked.save(tmp_path / "u.safetensors")
        code, _, err = cli(*convert, "--stimulus", "u.safetensors", "--input-range", -0.5, 0.5)
        assert code == 2
        assert "Give one of them" in err


def test_trials_of_a_condition_share_its_numbers(make_spiking):
    """Eight conditions of 500 trials for 40,000 steps are 8 GB if each trial has its own."""
    network = make_spiking(rank=3, neurons=6, input_map=np.ones((3, 1)))
    pieces = {f"c{n}": Stimulus(times=[0.0, 1.0 + n], values=[[0.0], [1.0 + n]], duration=20.0) for n in range(8)}
    few, many = (Stimulus.of_trials(pieces, repeats=count) for count in (2, 500))
    times = np.arange(40_000) * 5e-4
    given = many.of_each(times, network.input_map)
    assert given.distinct.shape == (40_000, 8, 3)
    assert given[39_999].shape == (4000, 3)
    expected = np.swapaxes(few.at(times, 1) @ network.input_map.T, 0, 1)
    np.testing.assert_array_equal(few.of_each(times, network.input_map)[:], expected)
    assert [given.condition(trial) for trial in (0, 499, 500, 3999)] == [0, 0, 1, 7]


@pytest.mark.parametrize("backend", ["reference", "compiled", "brian2"])
def test_every_trial_gets_the_input_of_its_condition(make_spiking, backend):
    network = make_spiking(rank=2, neurons=6, diffusion_factor=np.zeros((2, 2)), input_map=np.array([[1.0], [0.5]]))
    pieces = {name: Stimulus(times=[0.0], values=[[value]], duration=2.0) for name, value in (("a", 0.0), ("b", 40.0))}
    stimulus = Stimulus.of_trials(pieces, repeats=2)
    start = np.zeros((4, 2))
    run = ddm2snn.simulate(network, backend=backend, stimulus=stimulus, initial_latent=start, seed=1)
    ends = run.samples[:, -1, 0]
    assert np.abs(ends[2:] - ends[:2]).min() > 10.0
    assert np.abs(np.diff(ends.reshape(2, 2), axis=1)).max() < 5.0
