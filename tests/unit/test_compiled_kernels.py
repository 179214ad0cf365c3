"""Compiled functions outlive an upgrade in place: what the cache cannot give is compiled again, never wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KERNEL = """
from typing import NamedTuple
from {decorator}
from called import inner

class Old(NamedTuple):
    x: float

@{name}
def double(state):
    return 2 * inner(state.x)
"""
CALLED = """
from {decorator}

@{name}
def inner(x):
    return x + {added}
"""
OURS = {"decorator": "ddm2snn.base.compiled import compiled", "name": "compiled()"}
NUMBAS = {"decorator": "numba import njit", "name": "njit(cache=True)"}


def result(folder, kind="Old"):
    program = f"import kernel; print(kernel.double(kernel.{kind}(1.0)))"
    # -P lest the folder is looked at; bytecode would be kept where a file changes within a second
    command = [sys.executable, "-B", "-c", f"import sys; sys.path[:0] = [{str(folder)!r}]; {program}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write(folder, words, kind="Old", added=1.0):
    (folder / "kernel.py").write_text(KERNEL.format(**words).replace("Old", kind))
    (folder / "called.py").write_text(CALLED.format(**words, added=added))


def test_a_class_that_is_gone(tmp_path):
    write(tmp_path, OURS)
    assert result(tmp_path).stdout == "4.0\n"
    write(tmp_path, OURS, kind="New")
    for _ in range(2):
        assert result(tmp_path, "New").stdout == "4.0\n"


def test_a_function_of_another_file_that_has_changed(tmp_path):
    write(tmp_path, OURS)
    assert result(tmp_path).stdout == "4.0\n"
    kernel = (tmp_path / "kernel.py").stat()
    (tmp_path / "called.py").write_text(CALLED.format(**OURS, added=10.0))
    assert result(tmp_path).stdout == "22.0\n"
    assert (tmp_path / "kernel.py").stat().st_mtime == kernel.st_mtime


def test_a_result_comes_from_the_cache(tmp_path):
    write(tmp_path, OURS)
    assert result(tmp_path).stdout == "4.0\n"
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
    assert len(before) == 4
    assert result(tmp_path).stdout == "4.0\n"
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")} == before


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"x" * 100, None])
def test_a_damaged_cache(tmp_path, suffix, content):
    write(tmp_path, OURS)
    assert result(tmp_path).stdout == "4.0\n"
    for path in tmp_path.rglob(f"*.{suffix}"):
        path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    for _ in range(2):
        done = result(tmp_path)
        assert (done.stdout, done.stderr) == ("4.0\n", "")


def test_numbas_own_cache_fails_and_is_stale(tmp_path):
    """Why there is one of our own; where this test fails, it may go."""
    write(tmp_path, NUMBAS)
    assert result(tmp_path).stdout == "4.0\n"
    (tmp_path / "called.py").write_text(CALLED.format(**NUMBAS, added=10.0))
    assert result(tmp_path).stdout == "4.0\n"
    write(tmp_path, NUMBAS, kind="New")
    assert "AttributeError" in result(tmp_path, "New").stderr


def test_kernels_of_this_package_have_it():
    root = Path(__file__).parents[2]
    for folder in ("ddm2snn", "backends"):
        for path in (root / folder).rglob("*.py"):
            if path.name != "compiled.py":
                assert "@numba.njit" not in path.read_text(encoding="utf-8"), path
