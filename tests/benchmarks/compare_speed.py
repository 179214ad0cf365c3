"""Time and memory of `compare` with all figures on two recordings of 64 trials x 2,000 samples x 3 latents.

    python tests/benchmarks/compare_speed.py

Then how the cost of each measure grows with the number of samples: what it keeps of every trial is made
from 2,000 and from 8,000 samples per trial, and the ratio of the times, over the four-fold samples, is one where the
cost is linear. (All that follows, splits and resampling, works on what was kept, whose size does not depend on the
samples but for spectra, so that a comparison costs a constant and a part in proportion.) Exits 1 beyond 60 s, 2 GiB or
a ratio of 2, where a quadratic cost would give 4: caches leave no exact one, and Welch's windows begin to overlap by
half, which doubles their number once, when trials are longer than one window of 4,096.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import ddm2snn
from ddm2snn.fidelity.measures import Measure, ReferenceSamples, measures_of
from ddm2snn.workflow.report import Page
from ddm2snn.workflow.source import record_system

TRIALS, EVERY = 64, 0.02
SHORT, LONG = 2000, 8000
MOST_SECONDS, MOST_GIB, MOST_RATIO = 60.0, 2.0, 2.0
REPEATS = 5


def recorded(samples: int, seed: int) -> ddm2snn.Recording:
    """Lorenz, 64 trials."""
    system = ddm2snn.find_system("lorenz")
    starts = system.starts(np.random.default_rng(0), TRIALS)
    return record_system(system, starts, duration=EVERY * samples, every=EVERY, trials=TRIALS, seed=seed)


def whole(samples: int) -> float:
    """Seconds for one comparison with its page."""
    reference, test = (recorded(samples, seed) for seed in (1, 2))
    begun = time.perf_counter()
    report = ddm2snn.compare(reference, test, burn_in=0.0)
    with tempfile.TemporaryDirectory() as folder:
        Page("speed", "", {"reference": reference, report.label: test}, [report], "").write(Path(folder))
    return time.perf_counter() - begun


def summarised(measure: Measure, samples: np.ndarray) -> float:
    """Least seconds of several repeats, after one that loads what it needs."""
    measure.summarise(samples)
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        measure.summarise(samples)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def main() -> None:
    """Print and judge."""
    seconds = whole(2000)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"64 trials x 2,000 samples x 3 latents: {seconds:.1f} s, peak {peak:.2f} GiB")
    long = recorded(LONG, 1).samples
    steepest = 0.0
    print(f"{'':24}{SHORT:>8,}{LONG:>10,}   samples per trial")
    of_short, of_long = (measures_of(ReferenceSamples(long[:, :n], TRIALS, EVERY)) for n in (SHORT, LONG))
    for measure, longer in zip(of_short, of_long, strict=True):
        with threadpool_limits(1):  # as in compare
            few, many = summarised(measure, np.ascontiguousarray(long[:, :SHORT])), summarised(longer, long)
        ratio = many / few / (LONG / SHORT)
        steepest = max(steepest, ratio)
        print(f"{measure.entries[0].name:24}{few:7.3f} s{many:8.3f} s   {ratio:.2f} x linear")
    sys.exit(0 if seconds <= MOST_SECONDS and peak < MOST_GIB and steepest <= MOST_RATIO else 1)


if __name__ == "__main__":
    main()
