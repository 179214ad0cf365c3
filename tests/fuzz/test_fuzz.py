"""Some mutants of every reader, and that the fuzzer sees each fault; `fuzz.py` makes as many as one likes."""

# pyright: reportAttributeAccessIssue=false
# the folder has the name of the module

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

if not hasattr(os, "fork"):
    pytest.skip("every mutant is read in a fork", allow_module_level=True)

import audit
import forked_reader
import fuzz
import numpy as np
import readers

from ddm2snn.base import foreign
from ddm2snn.errors import FileRefusedError
from ddm2snn.exchange import published_network

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of forks beside threads
COUNT = 10


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(foreign, "_run", forked_reader.run)
    monkeypatch.setattr(published_network, "_TIME", 20.0)
    monkeypatch.setattr(published_network, "_MOST_TRIALS", 8)
    monkeypatch.setattr(published_network, "_FEWEST_STEPS", 200)


@pytest.mark.parametrize("name", readers.READERS)
def test_no_mutant_hangs_crashes_or_passes_unseen(name):
    faults = []
    seen = fuzz.table(name, COUNT, 0, faults)
    assert faults == []
    assert sum(seen.values()) == COUNT


def test_flipped_bits_are_found_in_files_of_ours():
    rows = list(audit.flips(3))
    assert len(rows) == len(audit.OWN) + len(audit.FOREIGN)
    assert all(row.right for row in rows), rows


def _planted(fault):
    """Reader that goes wrong at every second file."""

    def read(path: Path) -> object:
        if path.stat().st_size % 2:
            return None
        if fault == "other":
            raise KeyError("x")
        if fault == "long line":
            raise type("Raw", (FileRefusedError,), {"__str__": lambda self: "x" * 10_000})("x")
        if fault == "crash":
            os.kill(os.getpid(), 9)
        while fault == "hang":
            pass
        if fault == "memory":
            np.ones(2**25 + 2**22)
        return type("Found", (), {"fingerprint": "another"})()

    return read


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("other", "other"), ("long line", "other"), ("crash", "crash"), ("memory", "memory"), ("changed", "changed")],
)
def test_planted_faults_are_counted(monkeypatch, fault, kind):
    if fault == "memory" and not fuzz._peak():
        pytest.skip("this system does not tell the peak of memory")
    _plant(monkeypatch, fault)
    faults = []
    seen = fuzz.table("planted", 4, 0, faults)
    assert (seen[kind], seen["accepted"]) == (2, 2)
    assert len(faults) == 2


def test_a_planted_hang_is_ended(monkeypatch):
    monkeypatch.setattr(fuzz, "MOST_WALL_S", 1.0)
    _plant(monkeypatch, "hang")
    begin = time.monotonic()
    assert fuzz.table("planted", 3, 0, [])["hang"] == 1
    assert time.monotonic() - begin < 30


def _plant(monkeypatch, fault):
    """A reader whose mutants have sizes that alternate with their seed."""

    def make(folder):
        (folder / "a").write_text("sound" * 3)
        return folder / "a"

    def mutate(rng, path):
        sizes.append(0)
        path.write_text("x" * (1000 + len(sizes)))
        return False

    sizes: list[int] = []
    reader = readers.Reader(make, _planted(fault), mutate, own=True)
    monkeypatch.setitem(readers.READERS, "planted", reader)
    monkeypatch.setitem(fuzz._sound, "planted", "")
    monkeypatch.setattr(readers, "sound_folder", readers.sound_folder.__wrapped__)
