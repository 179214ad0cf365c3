"""Small runs that are ended at random times and started again; `python tests/fuzz/kills.py` prints what came of it.

python tests/fuzz/kills.py --count 100                  SIGKILL: every run ends in the bytes of one that was not killed
python tests/fuzz/kills.py --count 100 --signal TERM    one line, exit code 143, nothing left in TMPDIR, and equal bytes
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

RECIPE = """
system = "vanderpol"
backends = ["{backend}"]
reference_runs = 2
[training]
units = 8
error = 0.2
[conversion]
neurons_per_unit = 2
decoders = "static"
time_unit_s = 0.1
[simulation]
duration = 4.0
burn_in = 1.0
trials = 2
"""
MOST_S = 900.0  # of a run on a busy machine
EARLIEST_S, MORE_S = 0.5, 1.1
OWN_LOCK = ".run.lock"


@dataclass
class Outcome:
    """What came of the kills: their number, folders that ended in other bytes, and words on what was left or said."""

    kills: int = 0
    runs: int = 0
    faults: list[str] = field(default_factory=list)


def contents(folder: Path) -> dict[str, str]:
    """Digest of each file of a run."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != OWN_LOCK)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def run(recipe: Path, folder: Path, settings: Mapping[str, str], after_s: float, number: int) -> tuple[int, str, float]:
    """Run a recipe, ended by a signal after a time; return exit code, what it said last, and its time."""
    command = [sys.executable, "-m", "ddm2snn.cli", "run", str(recipe), "-o", str(folder)]
    begin = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **settings}
    ) as process:
        try:
            _, said = process.communicate(timeout=after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(number)
            _, said = process.communicate(timeout=MOST_S)
    return process.returncode, (said.strip().splitlines() or [""])[-1], time.monotonic() - begin


def kill_runs(work: Path, count: int, number: signal.Signals, seed: int, backend: str = "reference") -> Outcome:
    """End runs `count` times at random times, each started again until it comes to its end."""
    recipe, temporary, rng, outcome = work / "recipe.toml", work / "tmp", random.Random(seed), Outcome()
    recipe.write_text(RECIPE.format(backend=backend), encoding="utf-8")
    temporary.mkdir()
    settings = {"TMPDIR": str(temporary), "DDM2SNN_CACHE": str(work / "programs")}
    for name, threads in (("warm", "1"), ("whole", "2")):  # the first compiles, one step after another
        asked = {**settings, "OMP_NUM_THREADS": threads}
        code, said, lasted_s = run(recipe, work / name, asked, MOST_S, number)
        if code:
            raise RuntimeError(f"a run without a kill failed: {said}")
    expected = contents(work / "whole")
    usual = {path.name for path in temporary.iterdir()}  # PyTorch leaves torchinductor_USER, ended or not
    if contents(work / "warm") != expected:
        outcome.faults.append("two runs without a kill differ")
    while outcome.kills < count:
        folder, longest_s = work / f"run-{outcome.runs}", lasted_s
        outcome.runs += 1
        while True:
            last = outcome.kills >= count
            limit_s = MOST_S if last else rng.uniform(min(EARLIEST_S, longest_s), longest_s)
            code, said, _ = run(recipe, folder, settings, limit_s, number)
            if code == 0:
                break
            outcome.kills += 1
            longest_s *= MORE_S  # a run on a machine that has become busy comes to an end as well
            if number == signal.SIGKILL:
                if code != -number:
                    outcome.faults.append(f"kill {outcome.kills}: exit code {code}: {said}")
                continue
            left = sorted({path.name for path in temporary.iterdir()} - usual)
            if left or code not in (128 + number, -number) or (code > 0 and "Stopped by signal" not in said):
                outcome.faults.append(f"signal {outcome.kills}: exit code {code}: {said!r}; left in TMPDIR: {left}")
        if contents(folder) != expected:
            found = contents(folder)
            other = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            outcome.faults.append(f"{folder.name} ended with other content: {', '.join(other)}")
    return outcome


def main() -> None:
    """Print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--signal", choices=("KILL", "TERM", "INT", "HUP"), default="KILL")
    parser.add_argument("--backend", default="reference")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as work:
        outcome = kill_runs(Path(work), given.count, signal.Signals[f"SIG{given.signal}"], given.seed, given.backend)
    print(f"{outcome.kills} times SIG{given.signal} in {outcome.runs} runs: {len(outcome.faults)} faults")
    print(*outcome.faults, sep="\n")
    sys.exit(1 if outcome.faults else 0)


if __name__ == "__main__":
    main()
