"""Steps of a run that is killed at random times and started again end in the bytes of one that was not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import kills
import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
KILLS = 12
STEPS = """
import hashlib, sys, time
from pathlib import Path
from ddm2snn.base.files import whole_file
from ddm2snn.base.progress import Announce
from ddm2snn.workflow.steps import Step, perform

folder = Path(sys.argv[1])

def work(number):
    def action(progress):
        before = (folder / f"{number - 1}.bin").read_bytes() if number else b"start"
        with whole_file(folder / f"{number}.bin") as temporary, temporary.open("wb") as file:
            for part in range(20):
                file.write(hashlib.sha512(before + bytes([part])).digest() * 500)
                file.flush()
                time.sleep(0.005)
    return action

print("begun", flush=True)
steps = [
    Step(f"step {n}", (f"step {n - 1}",) if n else (), {"n": n}, (f"{n}.bin",), work(n)) for n in range(12)
]
perform(steps, folder, Announce())
print("done", flush=True)
"""


def run(script, folder, seconds):
    """Run the steps, killed after a time; whether they came to their end."""
    with subprocess.Popen([sys.executable, script, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.stdout.read() == "done\n"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".part"}


@pytest.mark.slow
def test_steps_that_are_killed_and_resumed(tmp_path):
    (tmp_path / "steps.py").write_text(STEPS)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    assert run(tmp_path / "steps.py", tmp_path / "whole", 300)
    rng, halves = random.Random(4), 0
    for _ in range(KILLS):
        if run(tmp_path / "steps.py", tmp_path / "killed", rng.uniform(0.02, 0.6)):
            break
        whole = contents(tmp_path / "whole")
        for name, content in contents(tmp_path / "killed").items():
            assert name == "steps.json" or content == whole[name]
        halves += 1
    assert halves >= 2
    assert run(tmp_path / "steps.py", tmp_path / "killed", 300)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_a_small_run_that_is_ended_and_resumed(tmp_path, name):
    """A handful; `kills.py --count 100` makes as many as one likes."""
    outcome = kills.kill_runs(tmp_path, 3, signal.Signals[f"SIG{name}"], seed=0)
    assert outcome.faults == []
    assert outcome.kills == 3
