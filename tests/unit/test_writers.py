"""Every output goes through one gate: whole or not at all, on the disk, and never over what it must not replace."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ddm2snn
from ddm2snn.base.files import inputs_kept, make_folder, require_file, whole_file, write_text
from ddm2snn.errors import FileRefusedError, InputError

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="files of POSIX")
FORMATS = {"nir": "net.nir", "hdf5": "net.h5", "brian2": "b.py", "nengo": "n.py", "pynn": "p.py"}


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refused(result, *words):
    code, out, err = result
    assert code == 2, err
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    for word in words:
        assert word in last


@POSIX
@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "link to a device", "loop", "folder behind a link"])
def test_what_is_no_regular_file_stays_as_it_is(tmp_path, refuses, kind):
    target = tmp_path / "out"
    if kind == "fifo":
        os.mkfifo(target)
    elif kind == "socket":
        import socket

        with contextlib.closing(socket.socket(socket.AF_UNIX)) as made:
            made.bind(str(target))
    elif kind == "device":
        target = Path("/dev/null")
    elif kind == "link to a device":
        target.symlink_to("/dev/null")
    elif kind == "loop":
        target.symlink_to(target)
    else:
        (tmp_path / "folder").mkdir()
        target.symlink_to(tmp_path / "folder")
    before = os.lstat(target).st_mode
    with refuses(FileRefusedError, f"Cannot write {target}"):
        write_text(target, "x")
    assert os.lstat(target).st_mode == before
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@POSIX
def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    for target in ("real/there", "real/new"):
        link = tmp_path / Path(target).name
        link.symlink_to(target)
        if link.name == "there":
            link.write_text("old")
        write_text(link, "x")
        assert link.is_symlink()
        assert (tmp_path / target).read_text() == "x"
    assert names(tmp_path) == ["new", "real", "real/new", "real/there", "there"]


@POSIX
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o400])
def test_a_file_that_is_replaced_passes_its_permissions_on(tmp_path, mode):
    path = tmp_path / "a"
    write_text(path, "old")
    path.chmod(mode)
    with whole_file(path) as temporary:
        temporary.write_text("secret")
        assert stat.S_IMODE(temporary.stat().st_mode) & 0o077 == 0  # at no time is it others' to read
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_content_is_on_the_disk_before_it_is_moved(tmp_path, monkeypatch):
    order, replace, fsync = [], Path.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda *paths: (order.append("replace"), replace(*paths))[1])
    write_text(tmp_path / "a", "x")
    assert order[:2] == ["fsync", "replace"]


def test_temporary_files_of_killed_processes_are_removed(tmp_path):
    old, young, other = tmp_path / f".{'a' * 12}.part", tmp_path / f".{'b' * 12}.part", tmp_path / ".mine.part"
    for path in (old, young, other):
        path.write_text("x")
    for path in (old, other):
        os.utime(path, (0, time.time() - 4000))
    write_text(tmp_path / "out", "x")
    assert names(tmp_path) == sorted([young.name, other.name, "out"])


def test_an_input_is_not_written_over(tmp_path, refuses):
    (tmp_path / "in").write_text("x")
    with inputs_kept():
        require_file(tmp_path / "in")
        with refuses(FileRefusedError, "it is an input of the same command"):
            write_text(tmp_path / "in", "y")
        write_text(tmp_path / "own", "y")
        require_file(tmp_path / "own")
        write_text(tmp_path / "out", "z")
    write_text(tmp_path / "in", "y")


@pytest.fixture
def files(spiking_of, rate_of, tmp_path, monkeypatch):
    """A folder of inputs."""
    monkeypatch.chdir(tmp_path)
    spiking_of().save("snn.safetensors")
    rate_of().save("rate.safetensors")
    np.savez("w.npz", W=np.diag([0.5, 0.2]))
    (tmp_path / "map.toml").write_text('activation = "tanh"\nfiltered = "currents"\n')
    (tmp_path / "in.csv").write_text("0,1,1,1\n")
    (tmp_path / "sys.py").write_text("import ddm2snn\nsystem = ddm2snn.systems.find_system('vanderpol')\n")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "over"),
    [
        ("simulate rate.safetensors --duration 1", "rate.safetensors"),
        ("simulate rate.safetensors --stimulus in.csv", "in.csv"),
        ("convert rate.safetensors", "rate.safetensors"),
        ("convert rate.safetensors", "./../{folder}/rate.safetensors"),
        ("restructure snn.safetensors --rate rate.safetensors --one-sign", "rate.safetensors"),
        ("restructure snn.safetensors --rate rate.safetensors --one-sign", "snn.safetensors"),
        ("import w.npz --mapping map.toml", "map.toml"),
        ("import w.npz --mapping map.toml", "w.npz"),
        ("export snn.safetensors --format hdf5", "snn.safetensors"),
        ("train sys.py:system", "sys.py"),
    ],
)
def test_commands_refuse_their_inputs_as_outputs(cli, files, command, over):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    over = over.format(folder=files.name)
    refused(cli(*command.split(), "-o", over), Path(over).name, "it is an input of the same command")
    assert {path.name: path.read_bytes() for path in files.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(("form", "neighbour"), [("brian2", "x.npz"), ("nengo", "x.npz"), ("pynn", "x.npz")])
@pytest.mark.parametrize("content", ["weights", "text", "link"])
def test_a_neighbour_that_the_user_made_is_kept(cli, files, form, neighbour, content):
    if content == "weights":
        np.savez(neighbour, W=np.eye(2))
    elif content == "text":
        Path(neighbour).write_text("notes")
    else:
        Path(neighbour).symlink_to("nowhere")
    before = Path(neighbour).readlink() if content == "link" else Path(neighbour).read_bytes()
    refused(cli("export", "snn.safetensors", "-o", "x.py", "--format", form), neighbour, "no file of an export")
    assert (Path(neighbour).readlink() if content == "link" else Path(neighbour).read_bytes()) == before
    assert not Path("x.py").exists()


def test_a_sidecar_that_the_user_made_is_kept(cli, files):
    Path("x.nir.json").write_text('{"mine": 1}')
    refused(cli("export", "snn.safetensors", "-o", "x.nir"), "x.nir.json", "no file of an export")
    assert Path("x.nir.json").read_text() == '{"mine": 1}'


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_replaces_itself(cli, files, form):
    for _ in range(2):
        assert cli("export", "snn.safetensors", "-o", FORMATS[form], "--format", form)[0] == 0


def test_the_name_of_a_script_does_not_become_code(cli, files, tmp_path):
    name = """a"+str(__import__("os").mkdir("executed"))+".py"""
    assert cli("export", "snn.safetensors", "-o", name, "--format", "nengo")[0] == 0
    code = compile(Path(name).read_text(), "script", "exec")
    with contextlib.suppress(Exception, SystemExit):
        exec(code, {"__file__": str(tmp_path / name), "__name__": "script"})
    assert not Path("executed").exists()


def test_two_processes_may_make_one_folder(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: make_folder(tmp_path / "out"), range(400)))
    assert len(made) == 400
    assert names(tmp_path) == ["out"]


def test_the_probe_of_a_folder_follows_no_link(tmp_path):
    (tmp_path / ".ddm2snn-probe").symlink_to(tmp_path / "elsewhere")
    make_folder(tmp_path)
    assert names(tmp_path) == [".ddm2snn-probe"]


def test_files_that_belong_together_appear_together(spiking_of, tmp_path):
    """A sidecar that cannot be written leaves no NIR file."""
    (tmp_path / "net.nir.json").mkdir()
    with pytest.raises(InputError, match=r"net\.nir\.json"):
        ddm2snn.export(spiking_of(), tmp_path / "net.nir")
    assert names(tmp_path) == ["net.nir.json"]
