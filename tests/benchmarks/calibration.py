"""Calibration of a comparison: 200 pairs of independent runs of one process, with and without a second reference.

    python tests/benchmarks/calibration.py [--pairs 200 --first 0 --trials 16 --samples 500 --jobs 1]

The constants of intervals and verdicts were set while looking at pairs 0 to 199, so that these flatter them; `--first
200` takes pairs that nothing was set on.

Prints, per measure, the share of pairs whose 95 % interval of the excess covers one, the mean excess and the share that
differs; then the share of pairs in which any measure cries wolf. Exits 1 where a measure covers one in fewer than 90 %
or more than 99 % of the pairs by more than the pairs can tell, or the wolf is cried in more than 5 %.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).parents[1] / "theory"))
from planted_changes import EVERY, ornstein_uhlenbeck  # pyright: ignore[reportMissingImports] - of the tests

import ddm2snn

LOWEST, HIGHEST, WOLVES = 0.90, 0.99, 0.05
CHANCE = 0.01  # that a measure at a limit is called beyond it


def main() -> None:
    """Run both designs and judge them."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("pairs", 200), ("first", 0), ("trials", 16), ("samples", 500), ("jobs", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    sys.exit(0 if sum(calibrated(given, references) for references in (1, 2)) == 2 else 1)


def compared(pair: int, references: int, trials: int, samples: int) -> list[tuple[str, bool, float, bool]]:
    """Name, whether the interval covers one, excess and whether it differs, for each measure of one pair."""
    seeds = 1000 * pair + np.arange(references + 1) + 10 * references
    runs = [
        ddm2snn.Recording.from_arrays(
            ornstein_uhlenbeck(int(seed), trials=trials, samples=samples), every=EVERY, time_unit_s=0.1
        )
        for seed in seeds
    ]
    report = ddm2snn.compare(runs[0], runs[-1], floor=runs[1:-1], burn_in=0, seed=pair)
    found = []
    for measure in report.measures:
        low, high = measure.excess_interval or (np.nan, np.nan)
        found.append((measure.name, low <= 1 <= high, measure.excess, measure.differs))
    return found


def calibrated(given: argparse.Namespace, references: int) -> bool:
    """Whether intervals and verdicts of one design keep their promise."""
    one = partial(compared, references=references, trials=given.trials, samples=given.samples)
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        pairs = pool.map(one, range(given.first, given.first + given.pairs), chunksize=5)
    measures = defaultdict(list)
    for found in pairs:
        for name, *numbers in found:
            measures[name].append(numbers)
    wolves = sum(any(differs for *_, differs in found) for found in pairs)
    print(f"{given.pairs} pairs from {given.first} on, {references} recording(s) of the reference")
    fair = wolves / given.pairs <= WOLVES
    for name, numbers in measures.items():
        covers, excess, differs = np.array(numbers, dtype=np.float64).T
        kept = covered(int(covers.sum()), len(covers))
        fair &= kept
        words = f"covers one in {covers.mean():6.1%}{'' if kept else ' BEYOND'}"
        print(f"  {name:20} {words}, mean excess {excess.mean():.2f}, differs in {differs.mean():.1%}")
    overall = np.mean([covers for numbers in measures.values() for covers, *_ in numbers])
    print(f"  all measures {overall:.1%}; wolf cried in {wolves / given.pairs:.1%}", flush=True)
    return bool(fair and LOWEST <= overall <= HIGHEST)


def covered(count: int, pairs: int) -> bool:
    """Whether a share from 90 to 99 % can give this count: both tails are above 1 %."""
    return bool(binom.cdf(count, pairs, LOWEST) > CHANCE and binom.sf(count - 1, pairs, HIGHEST) > CHANCE)


if __name__ == "__main__":
    main()
