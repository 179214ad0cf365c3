"""A sweep on two workers against one, and one killed twice: `python tests/benchmarks/sweep_speed.py -o FOLDER`.

24 small runs: the van der Pol oscillator in 16 rate units at six numbers of neurons per unit and four seeds, on the
reference simulator. Each sweep is a command of its own with a folder of its own.

- `speed`: the wall time of ``ddm2snn sweep --workers 2`` over that of ``--workers 1``, which does the same steps one
  after another. Both times hold the start of the workers and the page. The processor time that the machine spent on
  others in the meantime is given beside it: with two cores and no other work the ratio can be what it should be.
- `kills`: the command is killed (SIGKILL) after a third and after two thirds of the time that the sweep took, repeated
  each time, and the bytes of its table are compared with those of one that was not killed.

Exits 1 where the ratio is above 0.55, or where the tables differ.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

MOST_RATIO = 0.55
RECIPE = """
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
duration = 12.0
burn_in = 2.0
trials = 8
"""
RUNS, TABLES = 24, ("table.csv", "table.nc")


def sweep(recipe: Path, folder: Path, workers: int, limit_s: float | None = None) -> tuple[float, float]:
    """Run the command, killed after a time; return its wall time and the seconds that others had of the processor."""
    command = [
        sys.executable,
        "-m",
        "ddm2snn.cli",
        "-q",
        "sweep",
        str(recipe),
        "-o",
        str(folder),
        "--workers",
        str(workers),
    ]
    began, busy, own = time.perf_counter(), _busy(), _children()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)  # its workers end by themselves
    if limit_s is None and process.returncode:
        raise RuntimeError(f"the sweep in {folder} ended with {process.returncode}")
    return time.perf_counter() - began, _busy() - busy - (_children() - own)


def _busy() -> float:
    """Seconds that the processors of this machine were at work."""
    times = psutil.cpu_times()
    return times.user + times.system + getattr(times, "nice", 0.0)


def _children() -> float:
    """Processor time of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(folder: Path) -> list[str]:
    """Digests of the tables of a sweep."""
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest()[:12] for name in TABLES]


def steps(folder: Path) -> int:
    """Steps of a sweep that are done."""
    return len(list(folder.glob("steps/*/seconds.txt")))


def main() -> None:
    """Run the parts and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", default=["speed", "kills"], choices=["speed", "kills"])
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    recipe = given.output / "recipe.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    print(f"{RUNS} runs; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    print("| part | workers | wall (s) | processor time of others (s) | steps | table |\n|---|---|---|---|---|---|")
    walls, good = {}, True
    for workers in (2, 1) if "speed" in given.parts else (2,):
        folder = given.output / f"workers-{workers}"
        walls[workers], others = sweep(recipe, folder, workers)
        cells = (walls[workers], others, steps(folder), " ".join(table(folder)))
        print("| whole | {} | {:.0f} | {:.0f} | {} | {} |".format(workers, *cells), flush=True)
    if "kills" in given.parts:
        folder = given.output / "killed"
        for share in (1 / 3, 2 / 3, None):
            wall, others = sweep(recipe, folder, 2, None if share is None else share * walls[2])
            digests = "" if share is not None else " ".join(table(folder))
            part = "killed" if share is not None else "resumed"
            print(f"| {part} | 2 | {wall:.0f} | {others:.0f} | {steps(folder)} | {digests} |", flush=True)
        good = table(folder) == table(given.output / "workers-2")
        print(f"\nkilled twice and resumed: {'the same table, byte for byte' if good else 'ANOTHER TABLE'}")
    if "speed" in given.parts:
        good &= table(given.output / "workers-1") == table(given.output / "workers-2")
        ratio = walls[2] / walls[1]
        print(f"two workers over one: {ratio:.2f} of the wall time (to be {MOST_RATIO} or less)")
        good &= ratio <= MOST_RATIO
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
