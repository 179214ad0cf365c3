"""Brian2 leaves no files, hooks or handlers, even where the process is killed."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys

import pytest
from ddm2snn_backends.brian2 import backend

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
IMPORTED = """
import os, signal, sys
before = sys.excepthook, signal.getsignal(signal.SIGINT)
from ddm2snn_backends.brian2.model import brian2
brian2()
print((sys.excepthook, signal.getsignal(signal.SIGINT)) == before, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("ignored", [False, True])
def test_a_killed_process_leaves_no_logs(tmp_path, ignored):
    script = tmp_path / "script.py"
    script.write_text(IMPORTED)
    (tmp_path / "tmp").mkdir()

    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)

    done = subprocess.run(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, check=False, preexec_fn=ignore,
        env=os.environ | {"TMPDIR": str(tmp_path / "tmp")},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "True\n")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_folders_of_killed_processes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(backend.tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = [f"ddm2snn-brian2-{platform.node()}-{os.getpid()}-x", f"ddm2snn-brian2-elsewhere-{dead.pid}-x", "other"]
    for name in (*kept, f"ddm2snn-brian2-{platform.node()}-{dead.pid}-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "samples").write_text("x")
    with backend._work_folder() as folder:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, folder.name])
