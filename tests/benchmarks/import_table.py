"""Published families of weight files: what comes in, and whether it runs as the family's own equation does.

    python tests/benchmarks/import_table.py [--families low-rank ...] [--seed 0] [-o FOLDER]

A file of each family is made as the family's own code writes it: names, shapes and suffix. It is imported, and the
imported network is integrated beside the family's equation, which is written out here in the units' own states and in
its own steps. Both are compared in the inputs of the units, along the first principal components of the equation's own
runs: a divergence of the density over states, the sliced Wasserstein distance, and the distance of the mean responses
to noisy inputs, by condition. Each is a multiple of the floor, which is the distance of two runs of the equation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from weight_families import Arrays, Family, families

from ddm2snn import ArrayMapping, InputError, RateNetwork, import_network

TRIALS, TIME, SETTLE = 128, 60.0, 15.0  # trials, and time units: of a run, and before it counts
CONDITIONS, SIZES = 4, (1.0, -1.0, 0.4, -0.4)  # of inputs
INPUT_NOISE, LASTING = 0.5, 1.0  # size of their noise, and the time units for which a value of it lasts on average
ON, OFF = 20.0, 35.0  # time units, of an input
COMPONENTS, BINS, DIRECTIONS = 3, 10, 48
RUNS = 4  # of the equation, whose distances from each other are the floor
PIECES = 6  # of a step, of the flow
LARGEST_EXCESS = 1.5


# ----- runs


def inputs_of(family: Family, steps: int, trials: int, rng: np.random.Generator) -> np.ndarray:
    """Noisy pulses in one input for each condition, of another size; shape (step, trial, input)."""
    u = np.zeros((steps, trials, family.inputs))
    if family.inputs:
        noise = np.zeros((trials, family.inputs))
        for step in range(steps):
            new = (rng.random(trials) < family.pace / LASTING) | (step == 0)
            noise = np.where(new[:, None], INPUT_NOISE * rng.standard_normal(noise.shape), noise)
            u[step] = noise
        pulsed = np.flatnonzero(np.abs(family.pace * np.arange(steps) - 0.5 * (ON + OFF)) < 0.5 * (OFF - ON))
        for condition, size in enumerate(SIZES):
            u[pulsed, condition::CONDITIONS, condition % family.inputs] += size
    return u


def run_equation(
    family: Family, arrays: Arrays, rng: np.random.Generator, course: np.ndarray, start: np.ndarray | None = None
) -> np.ndarray:
    """Inputs of units along runs of the family's own equation, shape (step, trial, unit)."""
    trials = course.shape[1]
    state = family.start * rng.standard_normal((trials, family.size)) if start is None else start
    path = []
    for u in course:
        path.append(family.seen(arrays, state, u))
        state = family.step(arrays, state, u, rng)
    return np.array(path)


def unit_inputs(family: Family, network: RateNetwork, z: np.ndarray, units: int) -> np.ndarray:
    """Inputs of the file's units at internal latents of the imported network."""
    if family.by_latents:
        return (z * network.latent_scale + network.latent_offset)[:, :units]
    return family.gain * (z @ network.left_vectors[:units].T + network.bias[:units])


def run_network(
    family: Family, network: RateNetwork, rng: np.random.Generator, course: np.ndarray, units: int,
    start: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """The same of the imported network, by Heun's method in a sixth of a step."""
    trials, h = course.shape[1], family.pace / PIECES
    if start is None:
        start = network.initial_latent[rng.integers(len(network.initial_latent), size=trials)]
    z, path = (start - network.latent_offset) / network.latent_scale, []
    for u in course:
        path.append(unit_inputs(family, network, z, units))
        push = u @ network.input_map.T
        for _ in range(PIECES):
            noise = np.sqrt(h) * rng.standard_normal(z.shape) @ network.diffusion_factor.T
            slope = network.internal_readout(z) - z + push
            ahead = z + h * slope + noise
            z = z + 0.5 * h * (slope + network.internal_readout(ahead) - ahead + push) + noise
    return np.array(path)


# ----- distances


def axes_of(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and the first principal components divided by their spread."""
    flat = path.reshape(-1, path.shape[-1])
    mean = flat.mean(axis=0)
    _, size, axes = np.linalg.svd((flat - mean)[:: max(1, len(flat) // 5000)], full_matrices=False)
    count = min(COMPONENTS, int((size > 1e-3 * size[0]).sum()))
    return mean, axes[:count].T / (flat - mean).std(axis=0).max() if count == 0 else axes[:count].T


def divergence(test: np.ndarray, reference: np.ndarray) -> float:
    """Kullback-Leibler divergence of the density over cells of the reference's range, as D_stsp."""
    span = np.quantile(reference, [0.001, 0.999], axis=0)
    edges = [np.linspace(low, high, BINS + 1)[1:-1] for low, high in span.T]

    def density(points: np.ndarray) -> np.ndarray:
        cell = [np.digitize(points[:, axis], edges[axis]) for axis in range(points.shape[1])]
        counts = np.bincount(np.ravel_multi_index(cell, [BINS] * len(cell)), minlength=BINS ** len(cell))
        return (counts + 1e-1) / (counts + 1e-1).sum()

    p, q = density(reference), density(test)
    return float((p * np.log(p / q)).sum())


def sliced(test: np.ndarray, reference: np.ndarray) -> float:
    """Sliced Wasserstein distance: mean over directions of that between sorted projections."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((reference.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    levels = np.linspace(0.002, 0.998, 250)
    ours, theirs = (np.quantile(points @ directions, levels, axis=0) for points in (test, reference))
    return float(np.abs(ours - theirs).mean())


def response(test: np.ndarray, reference: np.ndarray) -> float:
    """Root mean squared distance of the mean trajectories of each condition."""
    means = [np.stack([x[:, start::CONDITIONS].mean(axis=1) for start in range(CONDITIONS)]) for x in (test, reference)]
    return float(np.sqrt(((means[0] - means[1]) ** 2).mean()))


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "states": lambda test, reference: divergence(*(x.reshape(-1, x.shape[-1]) for x in (test, reference))),
    "Wasserstein": lambda test, reference: sliced(*(x.reshape(-1, x.shape[-1]) for x in (test, reference))),
    "mean": response,
}


def agreement(family: Family, network: RateNetwork, arrays: Arrays, seed: int = 0) -> dict[str, float]:
    """Each distance of the network from the equation, as a multiple of the floor."""
    rngs = [np.random.default_rng([seed, run]) for run in range(RUNS + 1)]
    steps, settled = round(TIME / family.pace), round(SETTLE / family.pace)
    runs = [run_equation(family, arrays, rng, inputs_of(family, steps, TRIALS, rng)) for rng in rngs[:-1]]
    units = runs[0].shape[-1]
    ours = run_network(family, network, rngs[-1], inputs_of(family, steps, TRIALS, rngs[-1]), units)
    mean, axes = axes_of(np.concatenate([run[settled:] for run in runs], axis=1))
    *theirs, ours = ((run[settled:] - mean) @ axes for run in [*runs, ours])
    excess = {}
    for name, measure in MEASURES.items():
        if name == "mean" and not family.inputs:
            continue  # without conditions there is nothing to be the mean of
        floor = np.mean([measure(one, other) for one in theirs for other in theirs if one is not other])
        excess[name] = float(np.mean([measure(ours, other) for other in theirs]) / floor)
    return excess


def row_of(family: Family, folder: Path, arrays: Arrays) -> dict[str, Any]:
    """Import a file and compare it."""
    begin = time.process_time()
    path = folder / family.file
    try:
        network = import_network(path, ArrayMapping(**family.mapping))
    except InputError as error:
        return {"family": family.name, "comes in": f"refused: {error}"}
    if not isinstance(network, RateNetwork):
        raise SystemExit(f"{path} is no rate network")
    facts = network.provenance["imported"]
    comes = f"{network.units} units, rank {network.rank}, {network.input_map.shape[1]} inputs"
    if network.diffusion_factor.any():
        comes += ", noise"
    return {
        "family": family.name, "comes in": comes, "step": facts["step"], "step error": facts.get("step_error"),
        "seconds": time.process_time() - begin, **agreement(family, network, arrays),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    columns = ["family", "comes in", "step", "step error", "seconds", *MEASURES]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [row.get(column) for column in columns]
        lines.append("| " + " | ".join(f"{c:.3g}" if isinstance(c, float) else str(c or "") for c in cells) + " |")
    good = sum(all(row.get(name, 0.0) <= LARGEST_EXCESS for name in MEASURES) and "seconds" in row for row in rows)
    return "\n".join([*lines, "", f"{good} of {len(rows)} families at an excess of at most {LARGEST_EXCESS}."])


def main() -> None:
    """Print the table, and write it with -o."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", help="those whose name holds one of these words")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", type=Path)
    asked = parser.parse_args()
    chosen = [f for f in families(asked.seed) if not asked.families or any(word in f.name for word in asked.families)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for family in chosen:
            family.write(Path(folder))
            rows.append(row_of(family, Path(folder), family.arrays))
            print(rows[-1], file=sys.stderr, flush=True)
    print(table(rows))
    if asked.o is not None:
        asked.o.mkdir(parents=True, exist_ok=True)
        (asked.o / "import_table.md").write_text(table(rows) + "\n", encoding="utf-8")
        (asked.o / "import_table.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
