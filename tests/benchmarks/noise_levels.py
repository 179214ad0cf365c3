"""Noise level as an axis: how far converted van der Pol networks are from the sampling floor, by sigma and neurons.

    python tests/benchmarks/noise_levels.py [--sigmas 0.03 0.1 0.3 0.7] [--neurons 2 4 8] [--backend brian2]
        [--seeds 5 3] [--trials 64 --duration 44] -o FOLDER

A cell is a sigma and a number of neurons per unit. Its networks are trained on van der Pol with that noise, converted
with seeds of conversion and simulated with seeds of simulation, at the size of the fidelity table; each run has four
fresh runs of the rate network as its references. The first cell of a sigma is the control, one more run of the rate
network in the place of the spiking one. Of each measure the excess over the floor is the median over runs; the table
has the largest, and the largest among those of the fields of the equation, with what the conversion says of itself.

Spikes are as noisy at any sigma, and so are a smaller share of a larger target. A floor falls with sigma where the
motion hardly scatters, and what the drift misses is then seen better.

A sigma that training refuses (the target is integrated in explicit steps, which strong noise can throw out) is said and
left out. Each run is kept in FOLDER, so that a table goes on where it was cut off.
Writes FOLDER/noise_levels.md, .json and .png.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fidelity_table import BURN_IN, DURATION, EVERY, FIELDS, REFERENCES, TRIALS, dead_share, interval, simulator

import ddm2snn
from ddm2snn.conversion import Diagnostics
from ddm2snn.errors import InputError, MissedWarning
from ddm2snn.plots.style import COLOURS, MARKERS, STYLES, legend, plain, save_figure, subplots
from ddm2snn.systems.oscillators import van_der_pol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIGMAS = (0.03, 0.07, 0.1, 0.2, 0.4, 0.7)
NEURONS = (2, 4, 8)


@dataclass(frozen=True)
class Cell:
    """One sigma and number of neurons per unit, 0 for the control; `interval` is that of the largest excess."""

    sigma: float
    neurons_per_unit: float
    runs: int
    excess: dict[str, float]
    interval: list[float]
    dead: float
    drift_error: float | None = None
    spikes_over_target: float | None = None
    time_unit_s: float | None = None

    def worst(self, *, of_fields: bool) -> tuple[str, float]:
        """Measure with the largest excess among those of fields or the others."""
        some = {name: value for name, value in self.excess.items() if name.startswith(FIELDS) == of_fields}
        name = max(some, key=lambda each: some[each])
        return name, some[name]

    def line(self) -> str:
        """Row of the table."""
        (state, of_states), (field, of_fields) = (self.worst(of_fields=fields) for fields in (False, True))
        known = [self.drift_error, self.spikes_over_target, self.time_unit_s]
        cells = [
            f"{self.sigma:g}", f"{self.neurons_per_unit:g}" if self.neurons_per_unit else "rate network", self.runs,
            f"{state} {of_states:.2f}", f"{field} {of_fields:.2f}",
            f"{self.interval[0]:.2f} to {self.interval[1]:.2f}", f"{self.dead:.0%}",
            *("-" if value is None else f"{value:.3g}" for value in known),
        ]  # fmt: skip
        return f"| {' | '.join(map(str, cells))} |"


HEAD = ["sigma", "neurons per unit", "runs", "worst of states and time", "worst of fields", "95 % of the largest",
        "dead", "drift error", "spikes / target", "time unit (s)"]  # fmt: skip


def run(network: Any, seed: int, given: argparse.Namespace, backend: Any = None) -> ddm2snn.Recording:
    """One run of some network."""
    size = {"duration": given.duration, "trials": given.trials, "every": EVERY}
    return ddm2snn.simulate(network, backend=backend, seed=seed, **size)


def judged(test: ddm2snn.Recording, references: list[ddm2snn.Recording]) -> dict[str, Any]:
    """Excess of each measure, and the share of dead trials."""
    report = ddm2snn.compare(references[0], test, floor=references[1:], burn_in=BURN_IN)
    excess = {measure.name: measure.excess for measure in report.measures}
    return {"excess": excess, "dead": dead_share(test, references)}


def cell(sigma: float, neurons: float, rate: ddm2snn.RateNetwork, given: argparse.Namespace) -> Cell:
    """Convert, run and judge, but for what the folder holds."""
    found: list[dict[str, Any]] = []
    for seed in range(given.seeds[0]):
        network = None
        for number in range(given.seeds[1]):
            name = f"{sigma:g}-{neurons:g}-{given.backend}-{given.trials}x{given.duration:g}-{seed}-{number}.json"
            path = given.output / name
            if not path.exists():
                first = 10_000 + 10 * (100 * number + seed)
                references = [run(rate, first + n, given) for n in range(REFERENCES)]
                said: dict[str, Any] = {}
                if neurons and network is None:
                    network = ddm2snn.convert(
                        rate, population=ddm2snn.Population(neurons), backend=given.backend, seed=seed
                    ).network
                if network is None:
                    test = run(rate, first + REFERENCES, given)
                else:
                    backend = simulator(given.backend, network, "double")
                    test = run(network, 1000 + 100 * seed + number, given, backend)
                    diagnostics = Diagnostics.of(network)
                    if diagnostics is not None and diagnostics.noise is not None:
                        said = {"drift_error": max(diagnostics.drift_error), "time_unit_s": network.time_unit_s,
                                "spikes_over_target": diagnostics.noise.spikes_over_target}  # fmt: skip
                path.write_text(json.dumps({**judged(test, references), "said": said}), encoding="utf-8")
            found.append(json.loads(path.read_text(encoding="utf-8")))
    by_measure: dict[str, list[float]] = defaultdict(list)
    for each in found:
        for name, value in each["excess"].items():
            by_measure[name].append(value)
    excess = {name: float(np.median(some)) for name, some in by_measure.items()}
    largest = max(excess, key=lambda name: excess[name])
    said = {key: float(np.median([each["said"][key] for each in found])) for key in found[0]["said"]}
    dead = float(np.mean([each["dead"] for each in found]))
    return Cell(sigma, neurons, len(found), excess, interval(by_measure[largest]), dead, **said)


def draw(cells: list[Cell]) -> Figure:
    """Largest excess over sigma, a line for each number of neurons: states and time, and fields."""
    figure, axes = subplots(9.0, 3.6, 1, 2, sharey=True)
    for axis, of_fields, title in zip(axes, (False, True), ("States and time", "Fields of the equation"), strict=True):
        for index, neurons in enumerate(sorted({each.neurons_per_unit for each in cells})):
            some = sorted((each for each in cells if each.neurons_per_unit == neurons), key=lambda each: each.sigma)
            axis.plot(
                [each.sigma for each in some], [each.worst(of_fields=of_fields)[1] for each in some], lw=1.3, ms=4,
                color=COLOURS[index % len(COLOURS)], marker=MARKERS[index % len(MARKERS)],
                ls=STYLES[index % len(STYLES)], label=f"{neurons:g} per unit" if neurons else "rate network",
            )  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="$\\sigma$ of van der Pol")
        axis.set_title(title, pad=24)
        axis.axhline(1.0, color=COLOURS[0], lw=0.8, ls=STYLES[3])
        legend(axis, 4)
    axes[0].set_ylabel("largest excess over the floor")
    plain(*axes)
    return figure


def main() -> None:
    """Fill the table cell by cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sigmas", type=float, nargs="*", default=list(SIGMAS))
    parser.add_argument("--neurons", type=float, nargs="*", default=list(NEURONS), help="neurons per unit")
    parser.add_argument("--backend", default="brian2")
    parser.add_argument("--seeds", type=int, nargs=2, default=(5, 3), metavar=("CONVERSION", "SIMULATION"))
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--duration", type=float, default=DURATION)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", MissedWarning)  # loud spikes are what the table is about
    cells: list[Cell] = []
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for sigma in given.sigmas:
        kept = given.output / f"rate-{sigma:g}.safetensors"
        if not kept.exists():
            try:
                ddm2snn.train(van_der_pol(noise=sigma), seed=11).save(kept)
            except InputError as error:  # a noise too strong for the step in which the target is integrated
                print(f"sigma {sigma:g} was refused: {error}", flush=True)
                continue
        rate = ddm2snn.RateNetwork.load(kept)
        for neurons in (0.0, *given.neurons):
            cells.append(cell(sigma, neurons, rate, given))
            print(cells[-1].line(), flush=True)
            lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}", *(each.line() for each in cells)]
            file = given.output / "noise_levels.md"
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            file.with_suffix(".json").write_text(json.dumps([asdict(c) for c in cells], indent=1), encoding="utf-8")
            save_figure(draw(cells), file.with_suffix(".png"))


if __name__ == "__main__":
    main()
