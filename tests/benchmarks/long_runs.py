"""Trained rate networks against their target SDEs themselves, over long runs.

    python tests/benchmarks/long_runs.py [--parts compare survival ...] [--systems ...] [--seeds 10] -o FOLDER

Takes the networks of `systems_table.py` from FOLDER/networks, or trains them into it. Each part writes
FOLDER/PART.md and FOLDER/PART.json:

compare
    Every distance of `ddm2snn.compare` between network and target, 64 trials of 40 time units sampled each 0.02 at
    the same step, beside the floor of four target runs; a fifth target run goes through the same as a control.
lyapunov
    Largest Lyapunov exponent of the trained Lorenz system.
dwell
    Dwell times of wells and order of visits, with standard errors from resampling trials.
entropy
    Entropy production rate against its known value.
survival
    Networks of several seeds over 10,000 time units each: 200 parallel trials of 50 time units, half from
    stationary states, half from two to six standard deviations away (after 10 time units to come back). A
    hazard without memory cares for the total only, so this equals one long run; a failure that takes
    longer than 50 time units to build up would be missed. The target itself goes through the same from the same
    starts: what it loses by this definition is its nature, such as a heavy tail.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from systems_table import SAMPLE_SEED, cpu_seconds, independent_sample, limit_of, load_or_train

import ddm2snn
from ddm2snn.analysis import lyapunov_spectrum, network_jacobian, split_drift, stationary_paths
from ddm2snn.base.randomness import stream
from ddm2snn.fidelity.compare import compare_each
from ddm2snn.fidelity.report import JudgedDistance
from ddm2snn.fidelity.wells import Visits, mean_dwell, transition_matrix, visits
from ddm2snn.recording import Recording
from ddm2snn.systems import BUILT_IN, System
from ddm2snn.systems.integration import integrate, stable_step
from ddm2snn.training.robustness import far_starts, watch

if TYPE_CHECKING:
    from jaxtyping import Float

    Rows = list[dict[str, Any]]

TRIALS, DURATION, EVERY = 64, 40.0, 0.02
FLOORS = 3
LONGEST_STEP = 0.01
WELL_TRIALS, WELL_EVERY = 256, 0.05
WELL_DURATIONS = {"doublewell": 200.0, "fourwell": 200.0, "sequence": 100.0}
DRAWS = 400
LYAPUNOV_TRIALS, LYAPUNOV_DURATION = 64, 100.0
SURVIVAL_TRIALS, SURVIVAL_DURATION, SURVIVAL_RELAXATION = 200, 50.0, 10.0
DEFAULTS = {
    "compare": sorted(BUILT_IN),
    "lyapunov": ["lorenz"],
    "dwell": sorted(WELL_DURATIONS),
    "entropy": ["ornsteinuhlenbeck", "sequence"],
    "survival": sorted(BUILT_IN),
}


def network_of(name: str, folder: Path, seed: int = 0) -> ddm2snn.RateNetwork:
    """Network from the folder, or trained into it."""
    return load_or_train(name, seed, folder / "networks", min(1e-3, limit_of(name).error))[0]


def common_step(system: System, network: ddm2snn.RateNetwork, every: float) -> float:
    """Step that resolves both drifts and divides the sampling interval."""
    states = network.initial_latent
    longest = min(LONGEST_STEP, stable_step(system.checked_drift, states), stable_step(network.drift, states))
    return every / np.ceil(every / longest - 1e-9)


def target_run(
    system: System,
    starts: Float[np.ndarray, "trial rank"],
    rng: np.random.Generator,
    *,
    duration: float,
    every: float,
    dt: float,
) -> Recording:
    """Recording of the target SDE itself."""
    path = integrate(
        system.checked_drift, system.noise, starts, dt=dt, steps=round(duration / dt), stride=round(every / dt), rng=rng
    )
    return Recording.from_arrays(path, every=every, time_unit_s=1.0, provenance={"backend": "target SDE", "dt_s": dt})


def compare(name: str, folder: Path, seeds: int) -> Rows:
    """Distances of network and of a further target run from four target runs."""
    system, network = ddm2snn.find_system(name), network_of(name, folder)
    points, dt = independent_sample(system), common_step(system, network, EVERY)
    rng = stream(SAMPLE_SEED, "benchmark", "compare", name)
    pick = [rng.choice(len(points), TRIALS, replace=False) for _ in range(FLOORS + 3)]
    targets = [
        target_run(system, points[chosen], rng, duration=DURATION, every=EVERY, dt=dt) for chosen in pick[: FLOORS + 2]
    ]
    test = ddm2snn.simulate(
        network, duration=DURATION, trials=TRIALS, seed=1, every=EVERY, dt_s=dt, initial_latent=points[pick[-1]]
    )
    reference, control, *floors = targets
    ours, again = compare_each(
        reference, {"network": test, "target": control}, floor=floors, wells=system.known.get("memories")
    )
    print(f"{name}: {ours.verdict}\n{name}: {again.verdict}", file=sys.stderr, flush=True)
    rows = []
    for measure in ours.measures:
        beside = again[measure.name]
        rows.append(
            {
                "system": name,
                "measure": measure.name,
                "distance": measure.distance,
                "floor": measure.floor,
                "excess": measure.excess,
                "95 % interval": list(measure.excess_interval or ()),
                "excess of a target run": beside.excess,
                "differs": measure.differs,
                "target run differs": beside.differs,
                "at the floor": _at_floor(measure),
                "target run at the floor": _at_floor(beside),
            }
        )
    return rows


def _at_floor(measure: JudgedDistance) -> bool:
    """Whether the interval of the excess reaches one."""
    return measure.excess_interval is None or measure.excess_interval[0] <= 1.0


def lyapunov(name: str, folder: Path, seeds: int) -> Rows:
    """Largest exponent of the network and of the target, by the same method."""
    system, network = ddm2snn.find_system(name), network_of(name, folder)
    starts = independent_sample(system)[:LYAPUNOV_TRIALS]
    dt = stable_step(network.drift, network.initial_latent, tolerance=1e-3)
    ours, truth = (
        lyapunov_spectrum(drift, starts, dt=dt, duration=LYAPUNOV_DURATION, burn_in=10.0, jacobian=jacobian)
        for drift, jacobian in ((network.drift, network_jacobian(network)), (system.checked_drift, None))
    )
    literature = system.known["lyapunov"][0]
    return [
        {
            "system": name,
            "network": float(ours.exponents[0]),
            "standard error": float(ours.standard_error[0]),
            "target": float(truth.exponents[0]),
            "target standard error": float(truth.standard_error[0]),
            "literature": literature,
            "relative deviation": float(ours.exponents[0] / literature - 1.0),
        }
    ]


def resampled(found: Visits, value: Callable[[np.ndarray, np.ndarray], np.ndarray], rng: np.random.Generator) -> Any:
    """Value of all trials, and its standard error by resampling them."""
    trials = len(found.time_in)
    whole = value(found.time_in.sum(axis=0), found.transitions.sum(axis=0))
    weights = rng.multinomial(trials, np.full(trials, 1 / trials), size=DRAWS).astype(float)
    drawn = value(weights @ found.time_in, np.tensordot(weights, found.transitions, axes=1))
    return whole, drawn.std(axis=0, ddof=1)


def dwell(name: str, folder: Path, seeds: int) -> Rows:
    """Mean dwell time of each well, and probability of each transition that is not rare."""
    system, network = ddm2snn.find_system(name), network_of(name, folder)
    points, dt = independent_sample(system), common_step(system, network, WELL_EVERY)
    rng = stream(SAMPLE_SEED, "benchmark", "dwell", name)
    duration = WELL_DURATIONS[name]
    starts = [points[rng.choice(len(points), WELL_TRIALS, replace=False)] for _ in range(2)]
    truth = target_run(system, starts[0], rng, duration=duration, every=WELL_EVERY, dt=dt)
    ours = ddm2snn.simulate(
        network, duration=duration, trials=WELL_TRIALS, seed=2, every=WELL_EVERY, dt_s=dt, initial_latent=starts[1]
    )
    memories = system.known["memories"]
    mine, its = (visits(run.samples, memories, WELL_EVERY) for run in (ours, truth))
    rows = []

    def add(label: str, here: float, error: float, there: float, its_error: float) -> None:
        rows.append(
            {
                "system": name,
                "what": label,
                "network": float(here),
                "standard error": float(error),
                "target": float(there),
                "target standard error": float(its_error),
                "deviation in standard errors": float((here - there) / np.hypot(error, its_error)),
            }
        )

    (here, error), (there, its_error) = (resampled(found, mean_dwell, rng) for found in (mine, its))
    for well in range(len(memories)):
        add(f"dwell time of well {well}", here[well], error[well], there[well], its_error[well])
    if len(memories) > 2:  # with two wells there is one way to go
        (here, error), (there, its_error) = (
            resampled(found, lambda time_in, moves: transition_matrix(moves), rng) for found in (mine, its)
        )
        for i, j in zip(*np.nonzero(there > 0.05), strict=True):
            add(f"share of {i} to {j}", here[i, j], error[i, j], there[i, j], its_error[i, j])
    return rows


def known_entropy_production(system: System) -> float:
    """Entropy production in closed form, or from the stationary density that the energy gives, on a grid."""
    if "entropy_production" in system.known:
        return float(system.known["entropy_production"])
    axis, step = np.linspace(-2.5, 2.5, 201), 1e-4
    z = np.stack(np.meshgrid(*[axis] * system.rank, indexing="ij"), axis=-1)
    variance, energy = float(system.factor(z)[..., 0, 0].flat[0]) ** 2, system.known["energy"]
    share = np.exp(-2 * energy(z) / variance)
    slopes = [(energy(z + step * e) - energy(z - step * e)) / (2 * step) for e in np.eye(system.rank)]
    irreversible = system.checked_drift(z) + np.stack(slopes, axis=-1)
    return float((share * (irreversible**2).sum(axis=-1)).sum() / share.sum() / (variance / 2))


def entropy(name: str, folder: Path, seeds: int) -> Rows:
    """Entropy production of the network, from its drift and samples."""
    system, network = ddm2snn.find_system(name), network_of(name, folder)
    truth, rng = known_entropy_production(system), stream(SAMPLE_SEED, "benchmark", "entropy", name)
    path = stationary_paths(network, trials=256, duration=40.0, every=0.05, burn_in=5.0, rng=rng)
    split = split_drift(network.drift, network.diffusion, path[:, ::4], rng=rng).entropy_production
    return [
        {
            "system": name,
            "known": truth,
            "from drift and samples": split.value,
            "interval": [split.low, split.high],
            "relative deviation": split.value / truth - 1.0,
        }
    ]


def survival(name: str, folder: Path, seeds: int) -> Rows:
    """Counts of trajectories that were lost, for each seed."""
    system = ddm2snn.find_system(name)
    points = independent_sample(system)
    rows = []
    for seed in range(seeds):
        network = network_of(name, folder, seed)
        rng = stream(SAMPLE_SEED + seed, "benchmark", "survival", name)
        half = SURVIVAL_TRIALS // 2
        far = far_starts(network, SURVIVAL_TRIALS - half, rng)
        starts = np.concatenate([points[rng.choice(len(points), half, replace=False)], far])
        began, used = time.perf_counter(), cpu_seconds()
        ends, own = (
            watch(network, system, points, starts, rng, duration=SURVIVAL_DURATION, relaxation=SURVIVAL_RELAXATION,
                  target=target)
            for target in (False, True)
        )  # fmt: skip
        rows.append(
            {
                "system": name,
                "seed": seed,
                "time units": SURVIVAL_TRIALS * SURVIVAL_DURATION,
                "escaped": int(ends.escaped.sum()),
                "astray": int(ends.astray.sum()),
                "still": int(ends.still.sum()),
                "target lost": int((own.escaped | own.astray | own.still).sum()),
                "seconds": time.perf_counter() - began,
                "cpu seconds": cpu_seconds() - used,
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


PARTS: dict[str, Callable[[str, Path, int], Rows]] = {
    "compare": compare,
    "lyapunov": lyapunov,
    "dwell": dwell,
    "entropy": entropy,
    "survival": survival,
}


def markdown(rows: Rows) -> str:
    """Rows of equal keys as a Markdown table."""
    lines = [f"| {' | '.join(rows[0])} |", "|" + "---|" * len(rows[0])]
    lines += [f"| {' | '.join(_cell(value) for value in row.values())} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, list):
        return " to ".join(_cell(each) for each in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def summary(part: str, rows: Rows) -> str:
    """One line with what a part comes down to."""
    if part == "compare":
        off = [f"{row['system']} {row['measure']}" for row in rows if not row["at the floor"]]
        control = sum(not row["target run at the floor"] for row in rows)
        certain, both = (sum(row[key] for row in rows) for key in ("differs", "target run differs"))
        return (
            f"Of {len(rows)} distances {certain} differ by more than chance allows for all of a system together (of a "
            f"target run {both}); {len(off)} have an interval above the floor (of a target run {control}; 5 % would "
            f"be chance): {', '.join(off) or 'none'}."
        )
    if part == "dwell":
        largest = max(abs(row["deviation in standard errors"]) for row in rows)
        return f"Largest of {len(rows)} deviations: {largest:.2f} standard errors."
    if part == "survival":
        total = sum(row["time units"] for row in rows)
        lost = sum(row["escaped"] + row["astray"] + row["still"] for row in rows)
        target = sum(row["target lost"] for row in rows)
        return f"{lost} trajectories lost in {total:g} time units of {len(rows)} networks; {target} of the target."
    return ", ".join(f"{row['system']}: {row['relative deviation']:+.2%}" for row in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts, write their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=sorted(PARTS), default=list(PARTS))
    parser.add_argument("--systems", nargs="*", help="names; by default all that a part applies to")
    parser.add_argument("--seeds", type=int, default=10, help="networks per system, for survival")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    given = parser.parse_args(arguments)
    given.output.mkdir(parents=True, exist_ok=True)
    for part in given.parts:
        rows: Rows = []
        for name in given.systems or DEFAULTS[part]:
            if name not in DEFAULTS[part]:
                print(f"{part} does not apply to {name}", file=sys.stderr)
                continue
            rows += PARTS[part](name, given.output, given.seeds)
            print(f"{part} {name}: {summary(part, rows)}", file=sys.stderr, flush=True)
            (given.output / f"{part}.json").write_text(json.dumps(rows, indent=1) + "\n")
            (given.output / f"{part}.md").write_text(f"{markdown(rows)}\n{summary(part, rows)}\n")
        if rows:
            print(f"## {part}\n\n{markdown(rows)}\n{summary(part, rows)}\n")


if __name__ == "__main__":
    main()
