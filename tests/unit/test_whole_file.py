"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from ddm2snn.base.files import whole_file, write_text
from ddm2snn.errors import FileRefusedError

# Files may grow to 50 kB, like a disk that fills up; the kernel then fails the write with EFBIG
FULL_DISK = """
import resource, sys
import numpy as np
import ddm2snn
from ddm2snn import Recording, Stimulus
folder, kind = sys.argv[1:]
Recording.from_arrays(np.zeros((1, 2, 1)), every=0.1, time_unit_s=1.0).save(f"{folder}/small")
things = {
    "stimulus": Stimulus(times=np.arange(20000.0), values=np.ones((20000, 1))),
    "recording": Recording.from_arrays(np.zeros((1, 20000, 2)), every=0.1, time_unit_s=1.0),
}
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # where it crashes, it leaves no dump behind
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    things[kind].save(f"{folder}/large")
except ddm2snn.InputError as error:
    print(type(error).__name__, error)
"""


class InterruptedBlockError(Exception):
    """What a block may raise that has nothing to do with files."""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half_and_raise(path, error):
    with whole_file(path) as temporary:
        temporary.write_text("half")
        raise error


def test_the_file_appears_when_the_block_ends(tmp_path):
    with whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "a.txt").exists()
        assert temporary.parent == tmp_path  # the same file system, or the move would copy
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "whole"


@pytest.mark.parametrize("error", [InterruptedBlockError, KeyboardInterrupt, ValueError])
def test_an_exception_leaves_neither_target_nor_temporary(tmp_path, error):
    with pytest.raises(error):
        write_half_and_raise(tmp_path / "a.txt", error)
    assert names(tmp_path) == []


def test_an_existing_target_survives_a_failed_write(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(InterruptedBlockError):
        write_half_and_raise(tmp_path / "a.txt", InterruptedBlockError)
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileRefusedError, match="Cannot write"), whole_file(tmp_path / "a.txt"):
        pass
    assert names(tmp_path) == []


def test_a_missing_folder_is_named(refuses, tmp_path):
    target = tmp_path / "none" / "a.txt"
    with refuses(FileRefusedError, f"Cannot write {target}", f"folder {target.parent} does not exist", "Create it"):
        write_text(target, "x")


def test_a_folder_that_is_a_file_is_named(refuses, tmp_path):
    (tmp_path / "file").write_text("x")
    with refuses(FileRefusedError, f"Cannot write {tmp_path / 'file' / 'a.txt'}"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_target_that_is_a_folder_is_named(refuses, tmp_path):
    (tmp_path / "out").mkdir()
    with refuses(FileRefusedError, f"Cannot write {tmp_path / 'out'}", "it is a folder", "Name a file"):
        write_text(tmp_path / "out", "x")
    assert names(tmp_path) == ["out"]


def test_a_full_disk_in_the_middle_of_the_block(refuses, tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with refuses(FileRefusedError, f"Cannot write {tmp_path / 'a.txt'}: No space left on device"):
        write_half_and_raise(tmp_path / "a.txt", OSError(errno.ENOSPC, "No space left on device"))
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_move_that_fails(refuses, tmp_path, monkeypatch):
    def no_move(self, target):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", no_move)
    with refuses(FileRefusedError, f"Cannot write {tmp_path / 'a.txt'}: Permission denied"):
        write_text(tmp_path / "a.txt", "x")
    assert names(tmp_path) == []


def test_an_os_error_without_a_number_still_gives_its_reason(refuses, tmp_path):
    with refuses(FileRefusedError, "Cannot write", "NetCDF: disk quota"):
        write_half_and_raise(tmp_path / "a.nc", OSError("NetCDF: disk quota"))


@pytest.mark.parametrize(
    "kind",
    [
        "stimulus",
        "recording",
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the size of files by a kernel resource")
def test_a_disk_that_really_fills_up(tmp_path, kind):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"FileRefusedError Cannot write {tmp_path / 'large'}: File too large")
    assert names(tmp_path) == ["small"]


def test_a_name_that_is_too_long(refuses, tmp_path):
    with refuses(FileRefusedError, "Cannot write", "name too long"):
        write_text(tmp_path / ("x" * 300), "x")


def test_the_longest_name_can_be_written(tmp_path):
    write_text(tmp_path / ("x" * 255), "x")  # the temporary name must not be longer than the final one
    assert names(tmp_path) == ["x" * 255]
