"""What cannot end well is refused and what takes long is said before the work; runs stay out of each other's way."""

from __future__ import annotations

import hashlib
import re
import threading
import time
import zipfile
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import ddm2snn
from ddm2snn import ArrayMapping, Recipe, Recording, backend
from ddm2snn.base.costs import Cost, memory_bytes
from ddm2snn.cli import costs
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.foreign_arrays import read_arrays

MEANING = ArrayMapping(activation="tanh", filtered="currents")


def test_a_million_units_are_refused_at_once(cli, tmp_path):
    begin = time.process_time()
    code, out, err = cli("train", "vanderpol", "--units", 1_000_000, "-o", "r.safetensors")
    assert (code, out) == (2, "")
    assert "The training of 1,000,000 units takes at least" in err
    assert time.process_time() - begin < 30
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_says_how_long_it_takes_and_what_is_too_large(cli, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("a.nc", "b.nc"):
        Recording.from_arrays(rng.standard_normal((2, 200, 1)), every=0.1, time_unit_s=1.0).save(tmp_path / name)
    monkeypatch.setattr(costs, "_COMPARE_S", 1.0)
    code, _, err = cli("compare", "a.nc", "b.nc", "-o", "cmp")
    assert code == 0
    assert err.startswith("compare 800 numbers (some 13 min) ...")
    monkeypatch.setattr(costs, "_COMPARE_BYTES", 1e15)
    code, _, err = cli("compare", "a.nc", "b.nc", "-o", "more")
    assert code == 2
    assert "comparison of 800 numbers takes at least" in err
    assert not (tmp_path / "more").exists()


RECIPE = "system = 'vanderpol'\nbackends = ['reference']\n[simulation]\n{}\n"
COMMANDS = {
    "train": "train vanderpol -o {}",
    "import": "import w.npz -o {} --activation tanh --filtered currents",
    "analyse": "analyse rate.safetensors -o {}",
    "plan": "plan rate.safetensors",
    "convert": "convert rate.safetensors -o {}",
    "restructure": "restructure snn.safetensors --rate rate.safetensors --one-sign -o {}",
    "simulate": "simulate snn.safetensors -o {} --backend reference",
    "simulate rate": "simulate rate.safetensors -o {}",
    "compare": "compare a.nc a.nc -o {}",
    "export": "export snn.safetensors -o {} --format hdf5",
    "run": "run recipe.toml -o {}",
    "sweep": "sweep recipe.toml -o {} --workers 2",
}


@pytest.fixture
def inputs(rate_of, spiking_of, recording_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rate_of().save("rate.safetensors")
    spiking_of().save("snn.safetensors")
    recording_of().save("a.nc")
    np.savez("w.npz", W=np.diag([0.5, 0.2]))
    (tmp_path / "recipe.toml").write_text(RECIPE.format("trials = 2"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_looks_at_the_memory_before_it_works(cli, inputs, tmp_path, monkeypatch, command):
    monkeypatch.setattr("ddm2snn.base.costs.memory_bytes", lambda: 30)
    before = {path.name for path in tmp_path.iterdir()}
    code, out, err = cli(*COMMANDS[command].format("result").split())
    assert (code, out) == (2, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("Error: The ")
    assert re.search(r" takes at least [1-9][0-9.]* \w+ of memory; this machine has 30 bytes\. ", last)
    assert {path.name for path in tmp_path.iterdir() if path.name != "result" or path.is_file()} == before


@pytest.mark.parametrize("command", ["simulate", "simulate rate", "export", "run", "sweep"])
def test_what_is_written_must_have_room(cli, inputs, tmp_path, monkeypatch, command):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    code, out, err = cli(*COMMANDS[command].format("result").split())
    assert (code, out) == (2, "")
    assert re.search(rf" takes at least [1-9][0-9.]* \w+ in {re.escape(str(tmp_path))}", err)
    assert ", where 10 bytes are free. " in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_takes_long(cli, inputs, monkeypatch, command):
    """The work itself is left out: the next thing that happens is an error of ours."""

    def stop(self, name, words=""):
        raise InputError(f"begins with {name + words!r}.")

    monkeypatch.setattr("ddm2snn.base.costs._WORTH_A_WORD_S", 0.0)
    monkeypatch.setattr("ddm2snn.cli.options.Console.start", stop)
    monkeypatch.setattr(ddm2snn, "import_network", lambda *_, **__: stop(None, ""))
    code, _, err = cli(*COMMANDS[command].format("result").split())
    assert code == 2
    assert "begins with " in err
    assert " (some 0 min" in err


@pytest.mark.parametrize(
    "words",
    [
        "--trials " + "9" * 400, "--duration 1e308 --every 1e-308", "--duration nan", "--every 0", "--dt-s 1e-300",
        "--duration inf", "--trials 1000000000000",
    ],
)  # fmt: skip
def test_sizes_that_no_machine_has_are_refused(cli, inputs, words):
    for name in ("rate", "snn"):
        code, out, err = cli("simulate", f"{name}.safetensors", "-o", "x.nc", *words.split())
        assert (code, out) == (2, ""), err
        assert err.strip().splitlines()[-1].startswith("Error: ")
        assert len(err) < 1000


def test_estimates_are_of_the_right_size():
    """Times of notebooks/results.md, within a factor of five; estimates are of all ridges, and of a quiet machine."""
    measured = {64: 1.9, 512: 13.0, 1024: 77.0}
    for units, seconds in measured.items():
        assert seconds / 5 < costs.of_training(units, ddm2snn.Training()).seconds < 5 * seconds
    assert 360 / 5 < costs.of_conversion(100_032, 2, "calibrated").seconds < 360 * 5
    assert 60 / 5 < costs.of_conversion(100_032, 2, "static").seconds < 60 * 5
    assert 28 / 5 < costs.of_conversion(1024, 2, "static").seconds < 28 * 5
    million = costs.of_simulation(10**6, 3, "brian2", steps=10**4, samples=100, trials=1, folder=None)
    assert 11 / 5 < million.seconds < 11 * 5
    assert million.memory < 0.51 * 2**30
    assert costs.of_conversion(100_032, 2, "calibrated").memory < 2.7 * 2**30
    assert 318 / 5 < costs.of_comparison(10**7).seconds < 318 * 5


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59, ""), (60, " (some 1 min)"), (7300, " (some 2 h)"), (1e40, " (many years)"), (float("nan"), "")],
)
def test_words_on_time(seconds, words):
    assert Cost("work", "Rest", seconds=seconds).checked() == words


def test_the_limit_of_a_process_counts(monkeypatch):
    resource = pytest.importorskip("resource")
    assert memory_bytes() != 10**6
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10**6, 10**6))
    assert memory_bytes() == 10**6


def test_pages_of_a_comparison_are_equal_from_folder_to_folder(cli, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.nc", "b.nc"):
        Recording.from_arrays(rng.standard_normal((2, 200, 1)), every=0.1, time_unit_s=1.0).save(tmp_path / name)
    pages = []
    for folder in ("one", tmp_path / "two"):
        assert cli("compare", tmp_path / "a.nc", "b.nc", "--test", tmp_path / "b.nc", "-o", folder)[0] == 0
        pages.append((tmp_path / folder / "report.html").read_bytes())
    assert pages[0] == pages[1]
    assert str(tmp_path).encode() not in pages[0]


def test_a_recipe_without_folders(tmp_path):
    recipe = Recipe(system=f"{tmp_path}/mine.py:system", hardware=(f"{tmp_path}/chip.toml", "loihi1-emulator"))
    assert str(tmp_path) not in recipe.without_folders.as_toml()
    assert recipe.without_folders.system == "mine.py:system"
    assert recipe.without_folders.hardware == ("chip.toml", "loihi1-emulator")
    assert Recipe(system="dysts:Lorenz").without_folders.system == "dysts:Lorenz"


def test_a_second_run_in_a_folder_says_so(tmp_path, refuses, monkeypatch):
    begun, end = threading.Event(), threading.Event()

    def wait(*_):
        begun.set()
        assert end.wait(60)
        raise InputError("stopped.")

    monkeypatch.setattr("ddm2snn.workflow.pipeline.perform", wait)

    def run():
        with pytest.raises(InputError):
            ddm2snn.run("vanderpol", tmp_path)

    first = threading.Thread(target=run)
    first.start()
    try:
        assert begun.wait(60)
        with refuses(InputError, f"Another run works in {tmp_path}"):
            ddm2snn.run("vanderpol", tmp_path)
    finally:
        end.set()
        first.join()


def test_two_backends_of_one_name_are_refused(monkeypatch, refuses):
    real = backend.entry_points(group=backend.GROUP)
    more = EntryPoint(name="reference", value="theirs:Backend", group=backend.GROUP)
    monkeypatch.setattr(backend, "entry_points", lambda group: [*real, more])
    with refuses(InputError, "have the name 'reference'", "theirs:Backend of no distribution", "Remove one"):
        ddm2snn.find_backend("reference")


def test_backends_name_their_distribution(cli):
    assert "[ddm2snn " in next(line for line in cli("backends")[1].splitlines() if line.startswith("reference"))


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_a_flipped_bit_in_weights_that_have_a_checksum(tmp_path, suffix):
    path = tmp_path / f"w{suffix}"
    weights = np.random.default_rng(0).standard_normal((30, 30))
    np.savez(path, W=weights) if suffix == ".npz" else torch.save({"W": torch.tensor(weights)}, path)
    content = path.read_bytes()
    start = content.index(weights.tobytes()[:64])
    assert zipfile.is_zipfile(path)
    for place in np.random.default_rng(1).integers(start, start + weights.nbytes, 40):
        damaged = bytearray(content)
        damaged[place] ^= 4
        path.write_bytes(bytes(damaged))
        with pytest.raises(FileRefusedError, match=r"checksum|CRC"):
            read_arrays(path)


def test_the_digest_of_the_file_is_in_the_provenance(tmp_path):
    np.savez(tmp_path / "w.npz", W=np.diag([0.5, 0.2]))
    network = ddm2snn.import_network(tmp_path / "w.npz", MEANING)
    digest = hashlib.sha256((tmp_path / "w.npz").read_bytes()).hexdigest()
    assert network.provenance["imported"]["sha256"] == digest
