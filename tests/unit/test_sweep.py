"""The verb sweep: a grid of runs, each step once, resumed, on workers that may be lost."""

from __future__ import annotations

import csv
import errno
import itertools
import json
import os
import shutil
import signal
from dataclasses import replace

import numpy as np
import psutil
import pytest
import tomli_w
import xarray as xr
from filelock import FileLock

import ddm2snn
from ddm2snn.errors import FileRefusedError, InputError, UnsupportedError
from ddm2snn.plots.sweep import draw_sweep, over_seeds
from ddm2snn.workflow import sweep as verb
from ddm2snn.workflow import sweep_steps
from ddm2snn.workflow.sweep_grid import Grid
from ddm2snn.workflow.sweep_steps import LOCK, Order, UnfitWorkerError, comparisons
from ddm2snn.workflow.sweep_table import rows_of

distributed = pytest.importorskip("distributed")

TABLES = ("table.csv", "table.nc")


def content(**changes):
    """A grid of two numbers of neurons: two runs with one training and one reference."""
    return {
        "system": "ornsteinuhlenbeck",
        "seed": [3],
        "backends": ["reference"],
        "reference_runs": 2,
        "training": {"units": 4, "error": 0.5},
        "conversion": {"neurons_per_unit": [2, 3], "decoders": "static", "time_unit_s": 0.1},
        "simulation": {"duration": 7.0, "burn_in": 0.5, "trials": 4, "every": 0.1},
        **changes,
    }


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """A cluster that exists: one worker, which is a thread of this process."""
    scratch = {"local_directory": str(tmp_path_factory.mktemp("dask")), "dashboard_address": None}
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, silence_logs=60, **scratch
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def finished(scheduler, tmp_path_factory):
    """Folder and table of one finished sweep; read them only."""
    folder = tmp_path_factory.mktemp("sweep")
    return folder, ddm2snn.sweep(content(), folder, scheduler=scheduler)


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished sweep, with its links and times."""
    return shutil.copytree(finished[0], tmp_path / "copied", symlinks=True)


@pytest.fixture
def no_figures(monkeypatch):
    """Pages with figures that take no time."""
    monkeypatch.setattr("ddm2snn.workflow.sweep_table.save_figure", lambda figure, path: path.write_bytes(b"figure"))
    monkeypatch.setattr("ddm2snn.workflow.sweep_table.draw_sweep", lambda *_: None)


def steps_in(folder):
    return {path.name for path in (folder / "steps").iterdir()}


def tables(folder):
    return [(folder / name).read_bytes() for name in TABLES]


def test_each_run_is_what_compare_says_of_its_files(finished):
    folder, table = finished
    assert list(table.groupby("folder", sort=False)["neurons_per_unit"].first()) == [2, 3]
    assert list(table.groupby("folder", sort=False)["neurons"].first()) == [8, 12]
    name, rows = next(iter(table.groupby("folder")))
    first, again, test = (folder / str(name) / f"{run}.nc" for run in ("rate-1", "rate-2", "reference"))
    report = ddm2snn.compare(first, test, floor=again, burn_in=0.5, seed=3)
    assert list(rows["measure"]) == report.keys()
    assert list(rows["excess"]) == [measure.excess for measure in report.measures]
    assert list(rows["differs"]) == [measure.differs for measure in report.measures]


def test_what_runs_share_is_done_once(finished):
    folder, _ = finished
    kinds = sorted(name.rsplit("-", 1)[0] for name in steps_in(folder))
    assert kinds == [
        "compare-reference", "compare-reference", "convert-reference", "convert-reference", "simulate-rate-1",
        "simulate-rate-2", "simulate-reference", "simulate-reference", "train",
    ]  # fmt: skip


def test_files_of_a_sweep(finished):
    folder, table = finished
    with (folder / "table.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["excess"]) for row in rows] == list(table["excess"])
    with xr.open_dataset(folder / "table.nc", engine="h5netcdf") as dataset:
        assert dict(dataset.sizes) == {"run": 2, "measure": len(table) // 2}
        assert list(dataset["neurons_per_unit"].values) == [2, 3]
        assert list(dataset["excess"].values.ravel()) == list(table["excess"])
        assert list(dataset["measure"].values) == list(table["measure"][: len(table) // 2])
    with (folder / "times.csv").open(encoding="utf-8") as file:
        times = {row["step"]: float(row["seconds"]) for row in csv.DictReader(file)}
    assert times.keys() == steps_in(folder)
    page = (folder / "sweep.html").read_text(encoding="utf-8")
    assert "Excess by neurons per unit" in page
    assert page.count("data:image/png") == 1
    assert (folder / "figures/excess-neurons_per_unit.png").stat().st_size > 10_000


def test_nothing_is_done_twice(copied, finished, no_figures):
    before = {path: path.stat().st_mtime_ns for path in (copied / "steps").rglob("*")}
    table = ddm2snn.sweep(content(), copied, scheduler="tcp://127.0.0.1:1")  # nobody is asked
    assert {path: path.stat().st_mtime_ns for path in (copied / "steps").rglob("*")} == before
    assert table.equals(finished[1])


def test_a_further_value_and_a_damaged_file_are_all_that_is_computed(copied, finished, scheduler, no_figures):
    before = steps_in(copied)
    damaged = next(copied.glob("steps/compare-*/comparison.json"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    kept = {path: path.stat().st_mtime_ns for path in copied.glob("steps/*/*.nc") if not path.is_symlink()}
    more = content(conversion={**content()["conversion"], "neurons_per_unit": [2, 3, 4]})
    table = ddm2snn.sweep(more, copied, scheduler=scheduler)
    assert sorted(name.rsplit("-", 1)[0] for name in steps_in(copied) - before) == [
        "compare-reference", "convert-reference", "simulate-reference",
    ]  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert table[table["neurons_per_unit"] < 4].equals(finished[1])


def test_a_sweep_that_is_stopped_goes_on_to_the_same_table(finished, scheduler, tmp_path, no_figures):
    for last in (0.2, 0.6):

        def stop(share, last=last):
            if share > last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            ddm2snn.sweep(content(), tmp_path, scheduler=scheduler, progress=stop)
        assert not (tmp_path / "table.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "steps").glob("train*/rate.safetensors")}
    ddm2snn.sweep(content(), tmp_path, scheduler=scheduler)
    assert tables(tmp_path) == tables(finished[0])
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_networks_and_trials_of_a_task(scheduler, quick_rate, tmp_path, no_figures):
    """Two files of one network, one without noise; its trials are compared by condition."""
    quick_rate.save(tmp_path / "noisy.safetensors")
    replace(quick_rate, diffusion_factor=0.5 * quick_rate.diffusion_factor).save(tmp_path / "calm.safetensors")
    values = np.zeros((2, 2, quick_rate.input_map.shape[1]))
    values[1] += 0.5
    ddm2snn.Stimulus(times=np.array([0.0, 1.0]), values=values, conditions=("left", "right")).save(
        tmp_path / "task.safetensors"
    )
    conversion = {**content()["conversion"], "neurons_per_unit": 2}
    asked = content(
        conversion=conversion,
        trials={"stimulus": "task.safetensors", "repeats": 8},
        network=["noisy.safetensors", "calm.safetensors"],
    )
    for left_out in ("system", "training"):
        asked.pop(left_out)
    asked["simulation"] = {"duration": 2.0, "burn_in": 0.0, "every": 0.1}
    (tmp_path / "r.toml").write_text(tomli_w.dumps(asked))
    table = ddm2snn.sweep(tmp_path / "r.toml", tmp_path / "out", scheduler=scheduler)
    assert list(dict.fromkeys(table["system"])) == ["noisy.safetensors", "calm.safetensors"]
    assert list(dict.fromkeys(table["problem"])) == [""]
    assert any("left" in name for name in table["measure"]) or any("left" in name for name in table["label"])
    assert not [name for name in steps_in(tmp_path / "out") if name.startswith("train")]


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(finished, tmp_path, no_figures):
    """The one worker is killed when the first step is done; another one does the rest, to the same bytes."""
    killed = []

    def kill(share):
        if not killed:
            workers = [p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]
            killed.extend(p.pid for p in workers)
            for worker in workers:
                worker.send_signal(signal.SIGKILL)

    ddm2snn.sweep(content(), tmp_path, workers=1, progress=kill)
    assert len(killed) == 1
    assert tables(tmp_path) == tables(finished[0])


def test_a_second_sweep_in_a_folder_says_so(tmp_path, refuses):
    with FileLock(tmp_path / LOCK), refuses(InputError, f"Another sweep works in {tmp_path}"):
        ddm2snn.sweep(content(), tmp_path)


def test_a_full_disk_ends_in_one_line_and_whole_files(scheduler, tmp_path, monkeypatch, refuses):
    written, fsync = itertools.count(), os.fsync

    def full(descriptor):
        if next(written) >= 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with refuses(FileRefusedError, "No space left on device"):
        ddm2snn.sweep(content(), tmp_path, scheduler=scheduler)
    assert next(written) > 4
    assert list(tmp_path.glob("steps/*/steps.json")), "the first steps had room"
    assert not list(tmp_path.rglob(".*.part"))


def test_a_refused_run_has_a_row_and_the_others_go_on(copied, scheduler, no_figures):
    refused = content(conversion={**content()["conversion"], "neurons_per_unit": [2, 3], "dt_s": [1e-3, 0.05]})
    table = ddm2snn.sweep(refused, copied, scheduler=scheduler)
    rows = rows_of(table)
    problems = [row for row in rows if row["problem"]]
    assert [row["dt_s"] for row in problems] == [0.05, 0.05]
    assert {row["excess"] for row in problems} == {None}
    assert all("\n" not in row["problem"] and row["problem"].endswith(".") for row in problems)
    assert len({row["folder"] for row in rows if not row["problem"]}) == 2
    assert "Runs without a result" in (copied / "sweep.html").read_text(encoding="utf-8")
    assert (copied / "table.nc").stat().st_size


def test_other_versions_and_an_unseen_folder_are_refused(tmp_path, refuses):
    _, task = comparisons(Grid.of(content()).points())[0]
    order = Order.of(task, tmp_path)
    with refuses(UnfitWorkerError, "does not see the folder"):
        order.do(None)
    (tmp_path / LOCK).touch()
    with refuses(UnfitWorkerError, "another version of ddm2snn"):
        replace(order, key="0" * 64).do(None)
    with pytest.raises(UnfitWorkerError, match="Install the same"):
        verb._words(UnfitWorkerError("Install the same on both."), {})


def test_words_on_what_a_worker_met():
    killed = distributed.KilledWorker("compare-x", None, 3)
    _, task = comparisons(Grid.of(content()).points())[0]
    assert "again and again at the step 'compare reference'" in verb._words(killed, {"compare-x": task})
    assert verb._words(UnsupportedError("No such neurons."), {}) == "No such neurons."
    with pytest.raises(OSError, match="full"):
        verb._words(OSError("full"), {})
    with pytest.raises(InputError, match=r"lacks the package nengo"):
        verb._words(ModuleNotFoundError("no", name="nengo"), {})


def test_what_is_asked_wrongly_is_refused_before_any_work(tmp_path, refuses, monkeypatch):
    monkeypatch.setattr(verb, "_CONNECT_S", 0.3)
    out = tmp_path / "out"
    with refuses(InputError, "No Dask scheduler answers at tcp://127.0.0.1:1"):
        ddm2snn.sweep(content(), out, scheduler="tcp://127.0.0.1:1")
    with refuses(InputError, "not both"):
        ddm2snn.sweep(content(), out, scheduler="tcp://127.0.0.1:1", workers=2)
    with refuses(InputError, "workers"):
        ddm2snn.sweep(content(), out, workers=0)
    assert not out.exists()


def test_the_command(cli, copied, finished, tmp_path, no_figures):
    (tmp_path / "r.toml").write_text(tomli_w.dumps(content()))
    command = ("sweep", "r.toml", "-o", copied.name, "--workers", 1)
    code, out, err = cli(*command)
    assert code == 0, err
    head, first, second, page = out.splitlines()
    assert head.split()[:4] == ["system", "neurons_per_unit", "network", "seeds"]
    assert [line.split()[1] for line in (first, second)] == ["2", "3"]
    assert page == "copied/sweep.html"
    assert tables(copied) == tables(finished[0])
    code, out, _ = cli(*command, "--json")
    assert code == 0
    assert [row["excess"] for row in json.loads(out)["rows"]] == list(finished[1]["excess"])


@pytest.mark.parametrize(
    ("changes", "columns", "count"),
    [
        ({"seed": [0, 1]}, ("system", "seed", "neurons_per_unit"), 4),
        ({"system": ["lorenz", "vanderpol"], "seed": 1}, ("system", "seed", "neurons_per_unit"), 4),
        (
            {
                "conversion": {"max_rates_hz": [[100, 200], [200, 400]], "ridge": [0.1, 0.2]},
                "training": {"ridge": [1, 2]},
            },
            ("system", "seed", "max_rates_hz", "conversion_ridge", "training_ridge"),
            8,
        ),
        ({"conversion": {"max_rates_hz": [100, 200]}}, ("system", "seed"), 1),
        ({"backends": ["brian2", "nengo"], "conversion": {}}, ("system", "seed"), 1),
    ],
)
def test_lists_span_a_grid(changes, columns, count):
    grid = Grid.of(content(**changes))
    points = grid.points()
    assert set(grid.columns) == set(columns)
    assert len(points) == len({tuple(point.values.items()) for point in points}) == count


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": []}, "seed = [] must name one value or more"),
        ({"seed": [1, 1]}, "seed = [1, 1] must name one value or more, each once"),
        ({"sed": [1]}, "unknown key sed"),
        ({"conversion": {"neurons": [1]}}, "unknown key conversion.neurons"),
        ({"conversion": [1]}, "conversion"),
        ({"seed": list(range(400)), "simulation": {"trials": list(range(1, 400))}}, "319,200 points"),
    ],
)
def test_a_wrong_grid_is_refused(changes, words, refuses):
    with refuses(InputError, words):
        Grid.of(content(**changes)).points()


def test_bits_make_runs_of_devices_alone():
    """Two numbers of bits: the backend and the device without rounding have one run each, the rounded one two."""
    grid = Grid.of(content(seed=0, hardware=["loihi1-emulator"], weight_bits=[4, 8], conversion={}))
    runs = [(task.network, task.rounds, point.values["weight_bits"]) for point, task in comparisons(grid.points())]
    assert runs == [
        ("reference", False, 4),
        ("loihi1-emulator-simreal", False, 4),
        ("loihi1-emulator-sim", True, 4),
        ("loihi1-emulator-sim", True, 8),
    ]
    tasks = [task for _, task in comparisons(grid.points()) if task.rounds]
    assert [t.conversion.step.settings["hardware"]["precision"]["weight_bits"] for t in tasks] == [4, 8]
    assert len({task.shared_key for task in tasks}) == 1


def test_bits_of_a_device_without_any_are_refused(refuses):
    ideal = content(hardware=["ideal"], weight_bits=4)
    with refuses(InputError, "ideal has weights in floating point, but weight_bits is 4"):
        comparisons(Grid.of(ideal).points())


def rows_like(axis, values, excess):
    """Rows of two seeds at each value of an axis, of two measures, one of which cannot tell."""
    return [
        {
            "system": "lorenz", "seed": seed, axis: value, "network": "brian2", "folder": f"{value} {seed}",
            "measure": measure, "label": measure, "prominence": 1, "informative": measure == "d_h",
            "excess": excess * (1 + seed) * (1 if measure == "d_h" else 9),
        }
        for value in values
        for seed in (0, 1)
        for measure in ("d_h", "mmd")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "ticks", "scale"),
    [((1, 2, 8), [1, 2, 8], "log"), ((6, 8), [6, 8], "linear"), (("100 200", "200 400"), [0, 1], "linear")],
)
def test_the_figure_has_means_over_seeds_at_each_value(values, ticks, scale):
    figure = draw_sweep(rows_like("size", values, 2.0), "size", ["network"])
    top, d_h, mmd = figure.axes
    assert [axis.get_xscale() for axis in figure.axes] == [scale] * 3
    assert list(top.get_xticks()) == ticks
    for axis, middle in ((top, 2.0), (d_h, 2.0), (mmd, 18.0)):
        curve = next(line for line in axis.lines if line.get_label() == "brian2")
        assert list(np.asarray(curve.get_ydata())) == pytest.approx([middle * 2**0.5] * len(values))
    figure.canvas.draw()


def test_rows_without_a_value_are_not_drawn():
    rows = rows_like("weight_bits", (4, 8), 1.0) + rows_like("weight_bits", (None,), 5.0)
    curve = next(line for line in draw_sweep(rows, "weight_bits", []).axes[0].lines if line.get_marker() == "o")
    assert list(np.asarray(curve.get_xdata())) == [4, 8]


def test_the_interval_over_seeds_holds_the_mean_of_logarithms():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(400):
        _, low, high = over_seeds(np.exp(rng.normal(0.3, 0.2, 4)).tolist())
        inside += low < np.exp(0.3) < high
    assert abs(inside / 400 - 0.95) < 3 * (0.95 * 0.05 / 400) ** 0.5
    assert np.isnan(over_seeds([2.0])[1:]).all()


def test_the_key_of_a_run_holds_all_that_it_depends_on():
    def keys(**changes):
        return {task.key for _, task in comparisons(Grid.of(content(**changes)).points())}

    assert keys() == keys()
    simulation = content()["simulation"]
    for changes in ({"seed": 4}, {"reference_runs": 3}, {"simulation": {**simulation, "burn_in": 1.0}}):
        assert keys().isdisjoint(keys(**changes))
    runs = comparisons(Grid.of(content()).points())[0][1].references
    assert len({task.key for task in runs}) == 2, "runs of one reference differ by their names alone"
    assert sweep_steps.LOCK == LOCK
