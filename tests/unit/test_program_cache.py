"""Compiled programs are found again, checked, shared, bounded and cleared; what a killed build left is no program."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ddm2snn.base import program_cache
from ddm2snn.cli.main import main
from ddm2snn.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DDM2SNN_CACHE", str(tmp_path / "programs"))
    return tmp_path / "programs"


class Builder:
    """Writes `content`, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.built, self.content = 0, b"a program"

    def __call__(self, work: Path) -> Path:
        self.built += 1
        (work / "main").write_bytes(self.content)
        (work / "main").chmod(0o755)
        (work / "source.cpp").write_text("left behind")
        return work / "main"


@pytest.fixture
def build():
    return Builder()


def test_a_program_is_built_once(build):
    first = program_cache.fetch({"shape": 1}, build)
    assert program_cache.fetch({"shape": 1}, build) == first
    assert build.built == 1
    assert first.read_bytes() == b"a program"
    assert os.access(first, os.X_OK)


def test_another_shape_is_another_program(build):
    assert program_cache.fetch({"shape": 1}, build) != program_cache.fetch({"shape": 2}, build)
    assert build.built == 2


def test_only_program_and_manifest_are_kept(build, folder):
    program = program_cache.fetch({"shape": 1}, build)
    assert sorted(path.name for path in program.parent.iterdir()) == ["main", "manifest.json"]
    assert [path for path in folder.iterdir() if path.name.startswith("build-")] == []


@pytest.mark.parametrize("part", ["main", "manifest.json"])
@pytest.mark.parametrize("damage", [b"", b"a progra", b'{"about": 1}', None])
def test_what_is_damaged_is_built_again(build, part, damage):
    program = program_cache.fetch({"shape": 1}, build)
    if damage is None:
        (program.parent / part).unlink()
    else:
        (program.parent / part).write_bytes(damage)
    assert program_cache.fetch({"shape": 1}, build).read_bytes() == b"a program"
    assert build.built == 2


def test_a_build_that_fails_leaves_nothing(folder):
    def fail(work: Path) -> Path:
        (work / "main").write_text("half")
        raise RuntimeError("the compiler was killed")

    with pytest.raises(RuntimeError, match="the compiler was killed"):
        program_cache.fetch({"shape": 1}, fail)
    assert program_cache.entries() == []
    assert [path.name for path in folder.iterdir() if path.is_dir()] == []


def _kill_oneself(folder: str) -> None:
    os.environ["DDM2SNN_CACHE"] = folder

    def die(work: Path) -> Path:
        (work / "main").write_text("half")
        os.kill(os.getpid(), 9)
        return work / "main"

    program_cache.fetch({"shape": 1}, die)


def test_a_process_that_is_killed_while_it_builds_blocks_nobody(build, folder):
    process = multiprocessing.get_context("spawn").Process(target=_kill_oneself, args=(str(folder),))
    process.start()
    process.join()
    assert process.exitcode == -9
    left = list(folder.glob("build-*"))
    assert len(left) == 1  # so that the rest of this test means something
    assert program_cache.entries() == []
    assert program_cache.fetch({"shape": 1}, build).read_bytes() == b"a program"
    old = time.time() - 2 * 3600
    os.utime(left[0], (old, old))
    program_cache.fetch({"shape": 2}, build)
    assert list(folder.glob("build-*")) == []


def _fetch_slowly(folder: str, counter: str) -> None:
    os.environ["DDM2SNN_CACHE"] = folder

    def build(work: Path) -> Path:
        with Path(counter).open("a") as file:
            file.write("built\n")
        time.sleep(0.5)
        (work / "main").write_bytes(b"a program")
        (work / "main").chmod(0o755)
        return work / "main"

    assert program_cache.fetch({"shape": 1}, build).read_bytes() == b"a program"


def test_processes_that_want_the_same_program_build_it_once(folder, tmp_path):
    context, counter = multiprocessing.get_context("spawn"), tmp_path / "counter"
    processes = [context.Process(target=_fetch_slowly, args=(str(folder), str(counter))) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert counter.read_text() == "built\n"


def test_the_size_is_bounded_and_the_longest_unused_go_first(build, monkeypatch):
    build.content = bytes(2**20)
    monkeypatch.setenv("DDM2SNN_CACHE_MIB", "2.5")
    paths = [program_cache.fetch({"shape": number}, build) for number in range(2)]
    now = time.time()
    for age, path in zip((10, 20), paths, strict=True):  # the first was used last
        os.utime(path.parent, (now - age, now - age))
    program_cache.fetch({"shape": 2}, build)
    assert [path.exists() for path in paths] == [True, False]


def test_a_program_larger_than_the_bound_is_kept_for_its_run(build, monkeypatch):
    monkeypatch.setenv("DDM2SNN_CACHE_MIB", "0")
    assert program_cache.fetch({"shape": 1}, build).exists()


@pytest.mark.parametrize("bad", ["much", "-1", "nan"])
def test_a_bound_that_is_none_is_refused(bad, monkeypatch):
    monkeypatch.setenv("DDM2SNN_CACHE_MIB", bad)
    with pytest.raises(InputError, match=r"DDM2SNN_CACHE_MIB must be a size in MiB, got '.*'\. Set a number"):
        program_cache.limit_bytes()


def test_a_folder_that_cannot_be_written_is_refused_with_a_way_out(build, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DDM2SNN_CACHE", str(tmp_path / "file" / "programs"))
    with pytest.raises(InputError, match=r"cannot be kept in .*Set DDM2SNN_CACHE to a folder of yours"):
        program_cache.fetch({"shape": 1}, build)


WITHOUT_FCNTL = """
import importlib, pkgutil, sys
from pathlib import Path
sys.modules["fcntl"] = None  # importing it raises ImportError, as on Windows
import ddm2snn
for module in pkgutil.walk_packages(ddm2snn.__path__, "ddm2snn."):
    if not module.name.endswith(".__main__"):
        importlib.import_module(module.name)
from ddm2snn.base import program_cache

def build(work):
    (work / "main").write_bytes(b"a program")
    (work / "main").chmod(0o755)
    return work / "main"

assert program_cache.fetch({"shape": 1}, build).read_bytes() == b"a program"
print(len(sys.modules))
"""


def test_the_core_needs_no_fcntl(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FCNTL], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 500


def test_the_folder_is_that_of_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("DDM2SNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert program_cache.cache_folder().parts[-2:] == ("ddm2snn", "programs")
    if sys.platform == "linux":
        assert program_cache.cache_folder() == tmp_path / "cache" / "ddm2snn" / "programs"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert program_cache.cache_folder() == Path.home() / ".cache" / "ddm2snn" / "programs"


def test_the_command_lists_and_clears(build, capsys):
    program_cache.fetch({"shape": {"neurons": 12, "rank": 2, "membrane": "leaky", "precision": "single"}}, build)
    for arguments, words in (
        (["cache"], "12 neurons, rank 2, leaky, single"),
        (["cache", "clear"], "1 programs removed"),
    ):
        with pytest.raises(SystemExit) as status:
            main(arguments)
        assert status.value.code == 0
        assert words in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["cache", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["programs"] == []
    assert found["limit_bytes"] == 256 * 2**20
