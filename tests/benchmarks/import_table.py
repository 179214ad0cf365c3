"""Published families of weight files: what comes in, and whether it runs as the family's own equation does.

    python tests/benchmarks/import_table.py [--families low-rank ...] [--folder FILES] [--seed 0] [-o FOLDER]

A file of each family is made as the family's own code writes it: names, shapes and suffix. It is imported, and the
imported network is integrated beside the family's equation, which is written out here in the units' own states and in
its own steps. Both are compared in the inputs of the units, along the first principal components of the equation's own
runs: a divergence of the density over states (D_stsp), the Hellinger distance of spectra (D_H), the sliced Wasserstein
distance, and the distances of the mean trajectory and of the mean output, by condition of noisy inputs where there are
inputs. Each is a multiple of the floor, which is the distance of two runs of the equation. The control puts other runs
of the equation in the place of the network: 95 % of splits of its runs into two halves have a smaller largest multiple.

Trials without noise and inputs visit all of an attractor, so that two runs hardly differ, and a floor of whole paths
would ask for more than any sample of states can tell. Of these families the state measures take one state of each
trial, at one time: independent states, whose only chance is that of the initial states.

With --folder, files of these families are compared that have a mapping beside them: NAME.toml for NAME.pt.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from weight_families import Arrays, Family, families, family_of

from ddm2snn import ArrayMapping, InputError, RateNetwork, import_network

TRIALS, TIME, SETTLE = 128, 60.0, 15.0  # trials, and time units: of a run, and before it counts
CONDITIONS, SIZES = 4, (1.0, -1.0, 0.4, -0.4)  # of inputs
INPUT_NOISE, LASTING = 0.5, 1.0  # size of their noise, and the time units for which a value of it lasts on average
ON, OFF = 20.0, 35.0  # time units, of an input
COMPONENTS, BINS, DIRECTIONS = 3, 10, 48
STILL_TRIALS = 1024  # of families without noise and inputs
RUNS, SPLITS = (
    8,
    200,
)  # of the equation, whose distances from each other are the floor, and of the network; splits of the control
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


def settled(family: Family, arrays: Arrays, rng: np.random.Generator, state: np.ndarray, duration: float) -> np.ndarray:
    """States that the family's own equation leads to without inputs."""
    for _ in range(round(duration / family.pace)):
        state = family.step(arrays, state, np.zeros((len(state), family.inputs)), rng)
    return state


def latents_at(family: Family, network: RateNetwork, arrays: Arrays, state: np.ndarray) -> np.ndarray:
    """Internal latents of the imported network at states of the equation without inputs."""
    seen = family.seen(arrays, state, np.zeros((len(state), family.inputs)))
    units = seen.shape[-1]
    if family.by_latents:
        z = np.zeros((len(state), network.rank))
        z[:, :units] = (seen - network.latent_offset[:units]) / network.latent_scale[:units]
        return z
    return np.linalg.lstsq(network.left_vectors[:units], (seen / family.gain - network.bias[:units]).T, rcond=None)[0].T


def run_equation(
    family: Family, arrays: Arrays, rng: np.random.Generator, course: np.ndarray, state: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of units and outputs along runs of the family's own equation, shapes (step, trial, unit or output)."""
    trials = course.shape[1]
    path, outputs = [], []
    for u in course:
        path.append(family.seen(arrays, state, u))
        outputs.append(np.zeros((trials, 0)) if family.outputs is None else family.outputs(arrays, state))
        state = family.step(arrays, state, u, rng)
    return np.array(path), np.array(outputs)


def unit_inputs(family: Family, network: RateNetwork, z: np.ndarray, units: int) -> np.ndarray:
    """Inputs of the file's units at internal latents of the imported network."""
    if family.by_latents:
        return (z * network.latent_scale + network.latent_offset)[:, :units]
    return family.gain * (z @ network.left_vectors[:units].T + network.bias[:units])


def run_network(
    family: Family, network: RateNetwork, rng: np.random.Generator, course: np.ndarray, units: int, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same of the imported network from internal latents, by Heun's method in a sixth of a step."""
    h, path, outputs = family.pace / PIECES, [], []
    for u in course:
        path.append(unit_inputs(family, network, z, units))
        outputs.append(network.output(network.latent_offset + network.latent_scale * z))
        push = u @ network.input_map.T
        for _ in range(PIECES):
            noise = np.sqrt(h) * rng.standard_normal(z.shape) @ network.diffusion_factor.T
            slope = network.internal_readout(z) - z + push
            ahead = z + h * slope + noise
            z = z + 0.5 * h * (slope + network.internal_readout(ahead) - ahead + push) + noise
    return np.array(path), np.array(outputs)


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


def spectral(test: np.ndarray, reference: np.ndarray) -> float:
    """Hellinger distance of normalised power spectra, averaged over components, as D_H."""
    spectra = [(np.abs(np.fft.rfft(x - x.mean(axis=0), axis=0)) ** 2).mean(axis=1) for x in (test, reference)]
    one, other = (x / x.sum(axis=0) for x in spectra)
    return float(np.sqrt(np.maximum(1.0 - np.sqrt(one * other).sum(axis=0), 0.0)).mean())


def response(test: np.ndarray, reference: np.ndarray) -> float:
    """Root mean squared distance of the mean trajectories of each condition."""
    means = [np.stack([x[:, start::CONDITIONS].mean(axis=1) for start in range(CONDITIONS)]) for x in (test, reference)]
    return float(np.sqrt(((means[0] - means[1]) ** 2).mean()))


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "D_stsp": lambda test, reference: divergence(*(x.reshape(-1, x.shape[-1]) for x in (test, reference))),
    "D_H": spectral,
    "Wasserstein": lambda test, reference: sliced(*(x.reshape(-1, x.shape[-1]) for x in (test, reference))),
    "mean": response,
}
OF_STATES = ("D_stsp", "Wasserstein")


def agreement(family: Family, network: RateNetwork, arrays: Arrays, seed: int = 0) -> dict[str, float]:
    """Each distance of the network from the equation, as a multiple of the floor, and the control.

    All runs start alike, from states of their own.
    """
    rngs = [np.random.default_rng([seed, run]) for run in range(2 * RUNS)]
    steps, late = round(TIME / family.pace), round(SETTLE / family.pace)
    still = not family.inputs and not network.diffusion_factor.any()
    trials, runs = STILL_TRIALS if still else TRIALS, []
    for run, rng in enumerate(rngs):
        course = inputs_of(family, steps, trials, rng)
        state = settled(family, arrays, rng, family.start * rng.standard_normal((trials, family.size)), SETTLE)
        if run < RUNS:
            path = run_equation(family, arrays, rng, course, state)
        else:
            z = latents_at(family, network, arrays, state)
            path = run_network(family, network, rng, course, runs[0][0].shape[-1], z)
        runs.append([*(part[late:, :TRIALS] for part in path), path[0][-1:]])
    states, outputs, last = ([run[part] for run in runs] for part in (0, 1, 2))
    mean, axes = axes_of(np.concatenate(states[:RUNS], axis=1))
    states, last = ([(path - mean) @ axes for path in paths] for paths in (states, last))
    tables = {
        name: distances(measure, last if still and name in OF_STATES else states) for name, measure in MEASURES.items()
    }
    if outputs[0].size:
        tables["output"] = distances(response, outputs)
    theirs, ours = np.arange(RUNS), np.arange(RUNS, 2 * RUNS)
    return {name: excess(table, theirs, ours) for name, table in tables.items()} | {"control": control(tables, seed)}


def distances(measure: Callable[[np.ndarray, np.ndarray], float], paths: list[np.ndarray]) -> np.ndarray:
    """Distance of each run from each run of the equation."""
    return np.array([[measure(one, other) for other in paths[:RUNS]] for one in paths])


def excess(table: np.ndarray, theirs: np.ndarray, ours: np.ndarray) -> float:
    """Mean distance between two sets of runs over that within the first."""
    within = table[np.ix_(theirs, theirs)][~np.eye(len(theirs), dtype=bool)]
    return float(table[np.ix_(ours, theirs)].mean() / within.mean())


def control(tables: dict[str, np.ndarray], seed: int) -> float:
    """Largest excess that 95 % of splits of the equation's own runs into two halves stay below."""
    rng = np.random.default_rng([seed, 99])
    halves = [np.split(rng.permutation(RUNS), 2) for _ in range(SPLITS)]
    return float(np.quantile([max(excess(table, *half) for table in tables.values()) for half in halves], 0.95))


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
    comes = (
        f"{network.units} units, rank {network.rank}, {network.input_map.shape[1]} inputs, {network.outputs} outputs"
    )
    if network.diffusion_factor.any():
        comes += ", noise"
    return {
        "family": family.name, "comes in": comes, "step": facts["step"], "step error": facts.get("step_error"),
        "seconds": time.process_time() - begin, **agreement(family, network, arrays),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown."""
    columns = ["family", "comes in", "step", "step error", "seconds", *MEASURES, "output", "control"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [row.get(column) for column in columns]
        lines.append("| " + " | ".join(f"{c:.3g}" if isinstance(c, float) else str(c or "") for c in cells) + " |")
    good = sum(
        all(row.get(name, 0.0) <= LARGEST_EXCESS for name in (*MEASURES, "output")) and "seconds" in row for row in rows
    )
    return "\n".join([*lines, "", f"{good} of {len(rows)} families at an excess of at most {LARGEST_EXCESS}."])


def _of_folder(folder: Path) -> Iterator[Family]:
    """Families of the files that have a mapping beside them."""
    for said in sorted(folder.glob("*.toml")):
        for path in sorted(p for p in folder.iterdir() if p.stem == said.stem and p != said):
            family = family_of(path, tomllib.loads(said.read_text(encoding="utf-8")))
            if family is None:
                raise SystemExit(f"{path}: its equation is not among those of weight_families.py")
            yield family


def main() -> None:
    """Print the table, and write it with -o."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", help="those whose name holds one of these words")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", type=Path)
    parser.add_argument("--folder", type=Path, help="files to compare instead of made ones, each with its mapping")
    asked = parser.parse_args()
    known = families(asked.seed) if asked.folder is None else list(_of_folder(asked.folder))
    chosen = [f for f in known if not asked.families or any(word in f.name for word in asked.families)]
    rows = []
    with tempfile.TemporaryDirectory() as made:
        for family in chosen:
            folder = Path(made) if asked.folder is None else asked.folder
            if asked.folder is None:
                family.write(folder)
            rows.append(row_of(family, folder, family.arrays))
            print(rows[-1], file=sys.stderr, flush=True)
    print(table(rows))
    if asked.o is not None:
        asked.o.mkdir(parents=True, exist_ok=True)
        (asked.o / "import_table.md").write_text(table(rows) + "\n", encoding="utf-8")
        (asked.o / "import_table.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
