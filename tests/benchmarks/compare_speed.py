"""Time and memory of `compare` with all figures on two recordings of 64 trials x 2,000 samples x 3 latents.

python tests/benchmarks/compare_speed.py
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import ddm2snn
from ddm2snn.page import Page
from ddm2snn.systems.trajectories import record_system


def timed(samples: int) -> float:
    """Seconds for one comparison with its page."""
    system = ddm2snn.find_system("lorenz")
    starts = system.starts(np.random.default_rng(0), 64)
    runs = [record_system(system, starts, duration=0.02 * samples, every=0.02, trials=64, seed=s) for s in (1, 2)]
    begun = time.perf_counter()
    report = ddm2snn.compare(runs[0], runs[1], burn_in=0.0)
    with tempfile.TemporaryDirectory() as folder:
        Page("speed", "", {"reference": runs[0], report.label: runs[1]}, [report], "").write(Path(folder))
    return time.perf_counter() - begun


def main() -> None:
    """Print times at two lengths, and the peak of memory."""
    once, twice = timed(2000), timed(4000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"2,000 samples: {once:.1f} s; 4,000 samples: {twice:.1f} s; peak {peak:.2f} GiB")
    sys.exit(0 if once <= 60 and twice <= 2.5 * once and peak < 2 else 1)


if __name__ == "__main__":
    main()
