"""What cannot end well is refused and what takes long is said before the work; runs stay out of each other's way."""

from __future__ import annotations

import hashlib
import threading
import time
import zipfile
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch

import ddm2snn
from ddm2snn import ArrayMapping, Recipe, Recording, backend
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.foreign_arrays import read_arrays
from ddm2snn.workflow import steps

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
    monkeypatch.setattr("ddm2snn.cli.results._COMPARE_S", 1.0)
    code, _, err = cli("compare", "a.nc", "b.nc", "-o", "cmp")
    assert code == 0
    assert err.startswith("compare 800 numbers (some 13 min) ...")
    monkeypatch.setattr("ddm2snn.cli.results._COMPARE_BYTES", 1e15)
    code, _, err = cli("compare", "a.nc", "b.nc", "-o", "more")
    assert code == 2
    assert "comparison of 800 numbers takes at least" in err
    assert not (tmp_path / "more").exists()


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


def test_steps_depend_on_the_number_of_threads(monkeypatch):
    before = steps.versions()
    assert before["threads"].isdecimal()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert steps.versions() == before  # work changes the number for a while
    steps._threads.cache_clear()
    assert steps.versions() == {**before, "threads": "77"}
    steps._threads.cache_clear()


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
