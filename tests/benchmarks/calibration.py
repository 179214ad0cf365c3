"""Calibration of a comparison: 200 pairs of independent runs of one process, with and without a second reference.

    python tests/benchmarks/calibration.py [--pairs 200 --trials 16 --samples 500]

Prints, per measure, the share of pairs whose 95 % interval of the excess covers one and the mean excess; then the share
of pairs in which any measure cries wolf. Exits 1 beyond 90 to 99 % overall and 5 %.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "theory"))
from planted_changes import EVERY, ornstein_uhlenbeck  # pyright: ignore[reportMissingImports] - of the tests

import ddm2snn


def main() -> None:
    """Run both designs and judge them."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("pairs", 200), ("trials", 16), ("samples", 500)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    sys.exit(0 if sum(calibrated(given, references) for references in (1, 2)) == 2 else 1)


def calibrated(given: argparse.Namespace, references: int) -> bool:
    """Whether intervals and verdicts of one design keep their promise."""
    covered, excess, wolves = defaultdict(list), defaultdict(list), 0
    for pair in range(given.pairs):
        seeds = 1000 * pair + np.arange(references + 1) + 10 * references
        runs = [
            ddm2snn.Recording.from_arrays(
                ornstein_uhlenbeck(int(seed), trials=given.trials, samples=given.samples), every=EVERY, time_unit_s=0.1
            )
            for seed in seeds
        ]
        report = ddm2snn.compare(runs[0], runs[-1], floor=runs[1:-1], burn_in=0, seed=pair)
        wolves += any(measure.differs for measure in report.measures)
        for measure in report.measures:
            low, high = measure.excess_interval or (np.nan, np.nan)
            covered[measure.name].append(low <= 1 <= high)
            excess[measure.name].append(measure.excess)
    print(f"{given.pairs} pairs, {references} recording(s) of the reference")
    for name, found in covered.items():
        print(f"  {name:20} covers one in {np.mean(found):6.1%}, mean excess {np.mean(excess[name]):.2f}")
    overall = float(np.mean([value for found in covered.values() for value in found]))
    print(f"  all measures {overall:.1%}; wolf cried in {wolves / given.pairs:.1%}", flush=True)
    return 0.9 <= overall <= 0.99 and wolves / given.pairs <= 0.05


if __name__ == "__main__":
    main()
