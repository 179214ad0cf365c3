"""Calibration of a comparison: independent runs of one process, for eight processes, sizes and references.

    python tests/benchmarks/calibration.py [-o calibration.json --trials 8 16 64 --references 1 2 4 --pairs 40 --jobs 2]

A cell of the table is a process, a number of trials and a number of recordings of the reference. In each cell the same
number of pairs of reference and test is compared; the two tests of one reference count as two pairs. All recordings
are runs of the same stochastic differential equation from its stationary states, so any difference is a false alarm.

Of each cell the table gives the share of comparisons in which any measure differs ("wolf"), the share of
intervals of the excess that cover one, and the share of distances that cannot tell. Exits 1 where a cell cries wolf in
more than 5 % of its comparisons, or covers one in fewer than 90 % or more than 99 % of its intervals, by more
than its pairs can tell.

The constants of intervals and verdicts were set on pairs of the Ornstein-Uhlenbeck process with other seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import binom

import ddm2snn
from ddm2snn.base.randomness import stream
from ddm2snn.fidelity.compare import compare_each
from ddm2snn.systems import System, find_system
from ddm2snn.systems.integration import integrate

LOWEST, HIGHEST, WOLVES = 0.90, 0.99, 0.05
CHANCE = 0.01  # that a cell at a limit is called beyond it
TESTS = 2  # of each reference
SAMPLES = 500


@dataclass(frozen=True)
class Process:
    """A stochastic differential equation, how it is sampled, and the wells that `compare` is told of."""

    system: System
    every: float
    settling: float = 20.0
    wells: bool = False
    forcing: Callable[[np.ndarray], np.ndarray] | None = None

    def runs(self, count: int, trials: int, rng: np.random.Generator) -> list[ddm2snn.Recording]:
        """Independent recordings of 500 samples; time zero of the forcing is the first sample."""
        dt = self.every / max(1, round(self.every / 0.01))
        stride, before = round(self.every / dt), round(self.settling / self.every)
        steps = (before + SAMPLES) * stride
        times = dt * np.arange(steps) - before * self.every
        forcing = None if self.forcing is None else self.forcing(times).__getitem__
        path = integrate(
            self.system.drift, self.system.noise, self.system.starts(rng, count * trials), dt=dt, steps=steps,
            stride=stride, rng=rng, forcing=forcing,
        )[:, before:]  # fmt: skip
        return [
            ddm2snn.Recording.from_arrays(path[i * trials : (i + 1) * trials], every=self.every, time_unit_s=0.1)
            for i in range(count)
        ]

    @property
    def places(self) -> np.ndarray | None:
        """Centres of the wells."""
        return self.system.known["memories"] if self.wells else None


def ring_attractor(z: np.ndarray) -> np.ndarray:
    """A ring of fixed points, along which noise alone moves the state."""
    return (1.0 - (z**2).sum(axis=-1, keepdims=True)) * z


def decision(z: np.ndarray) -> np.ndarray:
    """A choice between two wells of the first latent, which the input tilts, and a leaky trace of it in the second."""
    choice, trace = z[..., 0], z[..., 1]
    return np.stack([choice - choice**3, choice - trace], axis=-1)


def evidence(time: np.ndarray) -> np.ndarray:
    """Pulses of two time units every five, for one choice and the other in turn."""
    on = (time % 5.0 < 2.0) * np.where(time % 10.0 < 5.0, 0.6, -0.6)
    return np.stack([on, np.zeros_like(on)], axis=-1)


PROCESSES = {
    "ornsteinuhlenbeck": Process(find_system("ornsteinuhlenbeck"), 0.05),
    "vanderpol": Process(find_system("vanderpol"), 0.05, settling=40.0),
    "lorenz": Process(find_system("lorenz"), 0.02),
    "doublewell": Process(find_system("doublewell"), 0.1, settling=60.0, wells=True),
    "fourwell": Process(find_system("fourwell"), 0.1, settling=60.0, wells=True),
    "anisotropic": Process(find_system("anisotropic"), 0.05),
    "ring": Process(System(name="ring", rank=2, drift=ring_attractor, diffusion=0.3), 0.05),
    "decision": Process(System(name="decision", rank=2, drift=decision, diffusion=0.5), 0.05, forcing=evidence),
}
"""Linear, limit cycle, chaos, wells of one and two latents, noise by state, ring attractor, driven decision."""


@dataclass(frozen=True)
class Cell:
    """What the comparisons of one process, number of trials and number of references found."""

    process: str
    trials: int
    references: int
    comparisons: int
    wolves: int
    intervals: int
    covered: int
    distances: int
    cannot_tell: int
    not_measured: int
    alarms: dict[str, int]

    @property
    def fair(self) -> bool:
        """Whether wolves and coverage are within the limits, as far as the comparisons can tell."""
        few_wolves = binom.sf(self.wolves - 1, self.comparisons, WOLVES) > CHANCE
        # the intervals of one comparison depend on each other, so that they count as one
        share = self.covered / max(self.intervals, 1)
        low, high = (binom.isf(p, self.comparisons, limit) / self.comparisons
                     for p, limit in ((1 - CHANCE, LOWEST), (CHANCE, HIGHEST)))  # fmt: skip
        return bool(few_wolves and (not self.intervals or low <= share <= high))

    @property
    def row(self) -> str:
        """A line of the table."""
        wolf, tell = self.wolves / self.comparisons, self.cannot_tell / max(self.distances, 1)
        cover = f"{self.covered / self.intervals:8.1%}" if self.intervals else f"{'-':>8}"
        named = ", ".join(f"{name} {count}" for name, count in sorted(self.alarms.items(), key=lambda x: -x[1]))
        return (f"{self.process:18}{self.trials:7}{self.references:11}{self.comparisons:7}{wolf:8.1%}{cover}"
                f"{tell:13.1%}  {'' if self.fair else 'BEYOND  '}{named}")  # fmt: skip


HEADER = (
    f"{'process':18}{'trials':>7}{'references':>11}{'pairs':>7}{'wolf':>8}{'covers':>8}{'cannot tell':>13}  differs"
)


def cells(process: str, trials: int, references: Iterable[int], pairs: int) -> list[Cell]:
    """Cells of one process and number of trials, with the same runs for each number of references."""
    made, wanted = PROCESSES[process], list(references)
    found: dict[int, list[ddm2snn.FidelityReport]] = {count: [] for count in wanted}
    for group in range(-(-pairs // TESTS)):
        rng = stream(group, "calibration", process, str(trials))
        runs = made.runs(max(wanted) + TESTS, trials, rng)
        tests, pool = {f"test {i}": run for i, run in enumerate(runs[:TESTS])}, runs[TESTS:]
        for count in wanted:
            found[count] += compare_each(
                pool[0], tests, floor=pool[1:count], burn_in=0, seed=group, wells=made.places
            )  # fmt: skip
    return [counted(process, trials, count, reports) for count, reports in found.items()]


def counted(process: str, trials: int, references: int, reports: list[ddm2snn.FidelityReport]) -> Cell:
    """Sums over comparisons."""
    distances = [distance for report in reports for distance in report.measures]
    intervals = [d.excess_interval for d in distances if d.excess_interval]
    return Cell(
        process, trials, references, len(reports),
        wolves=sum(any(d.differs for d in report.measures) for report in reports),
        intervals=len(intervals), covered=sum(low <= 1 <= high for low, high in intervals),
        distances=len(distances), cannot_tell=sum(not d.informative for d in distances),
        not_measured=sum("Not measured" in note for report in reports for note in report.notes),
        alarms=dict(Counter(d.name for d in distances if d.differs)),
    )  # fmt: skip


def _cells(arguments: tuple[str, int, list[int], int]) -> list[Cell]:
    return cells(*arguments)


def main() -> None:
    """Run the cells and judge them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", nargs="+", default=list(PROCESSES), choices=list(PROCESSES))
    parser.add_argument("--trials", nargs="+", type=int, default=[8, 16, 64])
    parser.add_argument("--references", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    tasks = [(*pair, given.references, given.pairs) for pair in product(given.processes, given.trials)]
    done: list[Cell] = []
    print(HEADER)
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool:
        for some in pool.imap(_cells, tasks):
            print("\n".join(cell.row for cell in some), flush=True)
            done += some
            if given.output:
                table = [dataclasses.asdict(cell) | {"fair": cell.fair} for cell in done]
                given.output.write_text(json.dumps(table, indent=1) + "\n")
    total = sum(cell.comparisons for cell in done)
    print(f"all: wolf cried in {sum(cell.wolves for cell in done) / total:.1%} of {total} comparisons, "
          f"{sum(cell.covered for cell in done) / sum(cell.intervals for cell in done):.1%} of intervals cover one, "
          f"{sum(cell.cannot_tell for cell in done) / sum(cell.distances for cell in done):.1%} of distances "
          "cannot tell")  # fmt: skip
    sys.exit(0 if all(cell.fair for cell in done) else 1)


if __name__ == "__main__":
    main()
