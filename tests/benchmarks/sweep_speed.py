"""A sweep on two workers against one, and one killed twice: `python tests/benchmarks/sweep_speed.py -o FOLDER`.

24 small runs: six numbers of neurons per unit, four seeds, on the reference simulator. Each sweep is a command of its
own with a folder of its own.

- `speed`, of the van der Pol oscillator: the wall time of ``ddm2snn sweep --workers 2`` over that of ``--workers 1``,
  which does the same steps one after another. Both times hold the start of the workers and the page. On a machine with
  other work, whose processor time stands beside it, the wall times say little. So the processor times of the command
  and of its busiest worker are added as well: the wall time on cores that do nothing else, but for what workers wait
  for each other. The seconds of both are processor time, so the ratio is a prediction.
- `kills`, of an Ornstein-Uhlenbeck process: the command is killed (SIGKILL) when a third and when two thirds of its
  steps are done, repeated each time, and the bytes of its table are compared with those of one that was not killed.

Exits 1 where both ratios are above 0.55, or where the tables differ.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

MOST_RATIO = 0.55
RECIPES = {
    "speed": """
system = "vanderpol"
seed = [0, 1, 2, 3]
backends = ["reference"]
reference_runs = 2
[training]
units = 16
error = 0.1
[conversion]
neurons_per_unit = [1, 2, 3, 4, 6, 8]
[simulation]
duration = 20.0
burn_in = 2.0
trials = 16
""",
    "kills": """
system = "ornsteinuhlenbeck"
seed = [0, 1, 2, 3]
backends = ["reference"]
reference_runs = 2
[training]
units = 4
error = 0.5
[conversion]
neurons_per_unit = [1, 2, 3, 4, 6, 8]
decoders = "static"
time_unit_s = 0.1
[simulation]
duration = 7.0
burn_in = 0.5
trials = 4
every = 0.1
""",
}
RUNS, TABLES = 24, ("table.csv", "table.nc")
_POLL_S = 0.2


@dataclass(frozen=True)
class Times:
    """Wall time of a command, processor time of it and its busiest worker, and of all other work on the machine."""

    wall_s: float
    own_s: float
    others_s: float


def sweep(recipe: Path, folder: Path, workers: int, until: int | None = None) -> Times:
    """Run the command, killed when a number of steps is done."""
    command = [sys.executable, "-m", "ddm2snn.cli", "-q", "sweep", str(recipe), "-o", str(folder)]
    began, busy, used = time.perf_counter(), _busy(), {}
    with subprocess.Popen([*command, "--workers", str(workers)], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(_POLL_S)
            with contextlib.suppress(psutil.Error):  # that have ended
                main = psutil.Process(process.pid)
                for each in (main, *main.children(recursive=True)):
                    times = each.cpu_times()
                    used[each.pid] = times.user + times.system
            if until is not None and steps(folder) >= until:
                process.send_signal(signal.SIGKILL)  # its workers end by themselves
                until = None
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the sweep in {folder} ended with {process.returncode}")
    of_command = used.pop(process.pid)
    others = _busy() - busy - of_command - sum(used.values())
    return Times(time.perf_counter() - began, of_command + max(used.values(), default=0.0), others)


def _busy() -> float:
    """Seconds that the processors of this machine were at work."""
    times = psutil.cpu_times()
    return times.user + times.system + getattr(times, "nice", 0.0)


def table(folder: Path) -> list[str]:
    """Digests of the tables of a sweep."""
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12] for name in TABLES]


def steps(folder: Path) -> int:
    """Steps of a sweep that are done."""
    return len(list(folder.glob("steps/*/seconds.txt")))


def speed(folder: Path) -> bool:
    """Two workers over one; whether a ratio is as small as it must be, and the tables are equal."""
    times = {workers: sweep(folder / "speed.toml", folder / f"workers-{workers}", workers) for workers in (2, 1)}
    print("| workers | wall (s) | command and busiest worker (s) | other work (s) | steps |\n|---|---|---|---|---|")
    for workers, each in times.items():
        done = steps(folder / f"workers-{workers}")
        print(f"| {workers} | {each.wall_s:.0f} | {each.own_s:.0f} | {each.others_s:.0f} | {done} |")
    wall, own = times[2].wall_s / times[1].wall_s, times[2].own_s / times[1].own_s
    same = table(folder / "workers-2") == table(folder / "workers-1")
    print(f"two workers over one: {wall:.2f} in wall time, {own:.2f} in processor time (to be {MOST_RATIO} or less)")
    print(f"tables: {'equal, byte for byte' if same else 'DIFFERENT'}", flush=True)
    return same and min(wall, own) <= MOST_RATIO


def kills(folder: Path) -> bool:
    """Whether a sweep that was killed twice ends in the table of one that was not."""
    recipe, killed = folder / "kills.toml", folder / "killed"
    sweep(recipe, folder / "whole", 2)
    every = steps(folder / "whole")
    for share in (1 / 3, 2 / 3):
        before = steps(killed)
        sweep(recipe, killed, 2, round(share * every))
        print(f"killed with {steps(killed)} of {every} steps done, {before} of them before", flush=True)
        if (killed / TABLES[0]).exists():
            raise RuntimeError("the sweep came to its end before it was killed")
    sweep(recipe, killed, 2)
    same = table(killed) == table(folder / "whole")
    print(f"killed twice and resumed: {'the same table, byte for byte' if same else 'ANOTHER TABLE'}", flush=True)
    return same


def main() -> None:
    """Run the parts and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parts = {"kills": kills, "speed": speed}
    parser.add_argument("--parts", nargs="+", default=list(parts), choices=list(parts))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    print(f"{RUNS} runs; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    for part in given.parts:
        (given.output / f"{part}.toml").write_text(RECIPES[part], encoding="utf-8")
    good = [parts[part](given.output) for part in given.parts]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
