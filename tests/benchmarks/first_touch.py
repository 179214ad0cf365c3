"""What the first touch costs: `python tests/benchmarks/first_touch.py` prints the steps of the main job, and `plan`.

python tests/benchmarks/first_touch.py                     the main job into a new folder, with the caches there are
python tests/benchmarks/first_touch.py --cold              the same with empty caches of Numba, Brian2 and Matplotlib
python tests/benchmarks/first_touch.py --plan lorenz       plan over the conversion on which it advises

Processor time is that of all processes of a run. Side by side are the time that passed and, from the same run, what
the steps would have taken one after another; on a busy machine the latter alone says something.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CACHES = {"NUMBA_CACHE_DIR": "numba", "DDM2SNN_CACHE": "programs", "MPLCONFIGDIR": "matplotlib"}


def processor_s() -> float:
    """Processor time of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main_job(system: str, threads: int, *, cold: bool) -> tuple[float, float, dict[str, float]]:
    """Time that passes, processor time, and seconds of each step of a run into a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        caches = {name: str(Path(folder) / place) for name, place in CACHES.items()} if cold else {}
        before, began = processor_s(), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "ddm2snn.cli", "run", system, "-o", str(Path(folder) / "out")],
            env={**os.environ, **caches, "OMP_NUM_THREADS": str(threads)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        passed_s = time.perf_counter() - began
    steps = {name: float(s) for name, s in re.findall(r"^(.+): done in ([\d.]+) s$", done.stderr, re.MULTILINE)}
    return passed_s, processor_s() - before, steps


def plan_ratio(system: str) -> tuple[float, float]:
    """Processor time of `plan`, and of the conversion on which it advises, in this process and behind its imports."""
    import ddm2snn

    rate = ddm2snn.train(system)
    ddm2snn.convert(rate, population=1, decoders="static", time_unit_s=0.5)  # imports and compiles
    times = [time.process_time()]
    advice = ddm2snn.plan(rate)
    times.append(time.process_time())
    print(advice)
    ddm2snn.convert(rate, population=advice.population, time_unit_s=advice.chosen.time_unit_s)
    times.append(time.process_time())
    return times[1] - times[0], times[2] - times[1]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", default="vanderpol")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--plan", metavar="SYSTEM")
    given = parser.parse_args()
    if given.plan:
        planned_s, converted_s = plan_ratio(given.plan)
        print(
            f"plan {planned_s:.1f} s, conversion {converted_s:.1f} s of processor time: {planned_s / converted_s:.2f}"
        )
        return
    passed_s, used_s, steps = main_job(given.system, given.threads, cold=given.cold)
    for name, seconds in steps.items():
        print(f"{name:30} {seconds:7.1f} s")
    print(f"passed {passed_s:.1f} s, processor time {used_s:.1f} s, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
