"""Steps side by side: the same files as one after another, one error for all, and nothing left of what is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import types

import pytest

from ddm2snn.base import processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
SCRIPT = """
import contextlib, os, sys, tempfile, time, warnings
from pathlib import Path
from ddm2snn.base.files import whole_file, write_text
from ddm2snn.base.progress import Announce
from ddm2snn.base import processes
from ddm2snn.errors import InputError
from ddm2snn.workflow.steps import Step, perform

how, folder, at_once = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])

class Told(Announce):
    def start(self, name):
        print("start", name, flush=True)
        return lambda share: print(name, share)
    def finish(self, name, *, done_before):
        print("finish", name, flush=True)

def writes(name, needs=()):
    def work(progress):
        before = b"".join((folder / need).read_bytes() for need in needs)
        progress(0.5)
        if name == "c":
            warnings.warn("c is odd", UserWarning)
        write_text(folder / name, name + str(len(before)) + os.environ.get("SEED", ""))
        print("pid", os.getpid())
    return Step(name, needs, {}, (name,), work)

def hangs(progress):
    with tempfile.TemporaryDirectory(), whole_file(folder / "slow") as temporary:
        temporary.write_text("half")
        Path(folder / "begun").touch()
        time.sleep(60)

def fails(progress):
    while not (folder / "begun").exists():
        time.sleep(0.01)
    if how == "unforeseen":
        [][0]
    if how == "killed":
        os.kill(os.getpid(), 9)
    raise InputError("step d cannot be done. Try another.")

processes._GRACE_S = 1e5  # each answers by itself
steps = [writes("a"), writes("b", ("a",)), writes("c", ("a",)), writes("d", ("b", "c"))]
if how != "write":
    steps = [writes("a"), Step("slow", ("a",), {}, ("slow",), hangs)]
    steps += [] if how == "hang" else [Step("d", ("a",), {}, ("d",), fails)]
try:
    perform(steps, folder, Told(), at_once)
except (Exception, KeyboardInterrupt) as error:
    print("error", type(error).__name__, error, getattr(error, "raised_in", ("", ""))[0])
"""


@pytest.mark.parametrize("module", ["torch", "numba.np.ufunc.parallel"])
def test_a_process_that_may_have_threads_of_others_is_not_forked(monkeypatch, module):
    """A copy would wait for threads of OpenMP that it does not have."""
    for name in ("torch", "numba.np.ufunc.parallel"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(processes, "workers", lambda: 2)
    assert processes.at_once() == 2
    monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    assert processes.at_once() == 1


@pytest.fixture
def start(tmp_path):
    """Begin the script in a folder, with a TMPDIR of its own."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "tmp").mkdir()

    def act(how, folder, at_once):
        (tmp_path / folder).mkdir()
        return subprocess.Popen(
            [sys.executable, tmp_path / "script.py", how, tmp_path / folder, str(at_once)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": ":".join(sys.path)},
        )  # fmt: skip

    return act


def left(tmp_path):
    return sorted(path.name for path in (tmp_path / "tmp").iterdir())


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_files_and_words_as_one_after_another(start, tmp_path):
    said = {}
    for at_once in (1, 2):
        out, err = start("write", f"by {at_once}", at_once).communicate(timeout=60)
        lines = out.splitlines()
        said[at_once] = sorted(line for line in lines if not line.startswith("pid"))
        assert "UserWarning: c is odd" in err
        pids = {line for line in lines if line.startswith("pid")}
        assert len(pids) == at_once  # two of the four steps may be done at a time
    assert said[1] == said[2]
    assert contents(tmp_path / "by 1") == contents(tmp_path / "by 2")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("fail", "error InputError step d cannot be done. Try another. "),
        ("unforeseen", "error IndexError list index out of range "),
        ("killed", "error InputError The process of d was ended from outside (exit code -9)"),
    ],
)
def test_a_step_that_fails_ends_the_others(start, tmp_path, how, words):
    out, err = start(how, "out", 2).communicate(timeout=60)
    assert err == ""
    assert out.splitlines()[-1].startswith(words)
    if how != "killed":
        assert out.splitlines()[-1].endswith("script.py")  # where it was raised, in the other process
    assert left(tmp_path) == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "begun", "steps.json"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_what_is_stopped(start, tmp_path, number):
    with start("hang", "out", 2) as process:
        for line in process.stdout:
            if line == "start slow\n":
                break
        while not (tmp_path / "out" / "begun").exists():
            pass
        process.send_signal(number)
        out, err = process.communicate(timeout=60)  # ends when no process holds the pipe any more
    assert err == ""
    if number == signal.SIGINT:
        assert out.endswith("error KeyboardInterrupt  \n")
        assert left(tmp_path) == []
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "begun", "steps.json"}
