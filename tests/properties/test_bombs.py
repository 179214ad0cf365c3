"""Small files that would fill the memory: refused in one line, in bounded memory and time, by a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import bombs
import h5py
import numpy as np
import pytest

from ddm2snn import ArrayMapping, RateNetwork, export, import_network
from ddm2snn.base.foreign import SPARE_BYTES

# what a file may announce however small it is, once as an array and once unpacked, and as much for the libraries
MOST_MORE = 3 * SPARE_BYTES
MOST_SECONDS = 10.0
LARGEST_FILE = 2**22  # bytes


@pytest.fixture(scope="module")
def found(make_spiking, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Words, memory and time of each file, by name; sound files come first."""
    folder = tmp_path_factory.mktemp("bombs")
    weights = {"W": np.diag([0.5, 0.0, 0.0])}
    with h5py.File(folder / "sound.h5", "w") as file:
        file.create_dataset("W", data=weights["W"], compression=9)
    np.savez(folder / "sound.npz", **weights)  # pyright: ignore[reportArgumentType] - arrays by name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        export(make_spiking(rank=2, neurons=6), folder / "sound.nir")
    for name, (make, _) in bombs.BOMBS.items():
        if name.endswith(".nir"):
            (folder / name).write_bytes((folder / "sound.nir").read_bytes())
        make(folder / name)
        assert (folder / name).stat().st_size < LARGEST_FILE, name
    (folder / "sound.nir.json").unlink()
    command = [sys.executable, "-W", "error", str(Path(bombs.__file__)), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["file"]: line for line in lines}


@pytest.mark.parametrize("name", bombs.BOMBS)
def test_refused_in_bounded_memory_and_time(found: dict[str, dict[str, Any]], name: str) -> None:
    said = found[name]["said"]
    assert re.search(bombs.BOMBS[name][1], said), said
    assert "\n" not in said
    assert found[name]["more"] < MOST_MORE < bombs.UNPACKED
    assert found[name]["seconds"] < MOST_SECONDS


def test_sound_files_are_not_refused(found: dict[str, dict[str, Any]]) -> None:
    assert {name: line["said"] for name, line in found.items() if name.startswith("sound")} == {
        "sound.h5": "", "sound.nir": "", "sound.npz": "",
    }  # fmt: skip


def test_numbers_that_are_there_are_read_whatever_their_size(tmp_path: Path) -> None:
    """More than a small file may announce, in a file that holds them, and constants that compress well."""
    rows = 2 * SPARE_BYTES // 8 // 2**10
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["unused"] = np.random.default_rng(0).standard_normal((rows, 2**10))
        file.create_dataset("constant", data=np.ones((500, 500)), compression=9)
        file["W"] = np.diag([0.5, 0.0, 0.0])
    network = import_network(tmp_path / "net.h5", ArrayMapping(activation="tanh", filtered="currents"))
    assert isinstance(network, RateNetwork)
    assert network.units == 3
