"""Trains every system and says how far the networks are from their targets, and what the training cost.

    python tests/benchmarks/systems_table.py [--systems lorenz dadras] [--seeds 3] [--dysts] -o FOLDER

Writes FOLDER/systems.md, FOLDER/systems.json and the networks into FOLDER/networks. Errors are taken on samples that
the training has not seen: stationary states of the target from a generator of their own, and states of its
noise-free flow, where that does not come to rest.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import ddm2snn
from ddm2snn.base.randomness import stream
from ddm2snn.systems import BUILT_IN, System
from ddm2snn.systems.integration import heun_step, stable_step
from ddm2snn.training import Training, diffusion_error, drift_error
from ddm2snn.training.robustness import far_starts, watch
from ddm2snn.training.sampling import stationary_cloud

if TYPE_CHECKING:
    from jaxtyping import Float

SAMPLE_SEED = 20_261_122  # of the independent samples; training takes its seed from the command line
SAMPLES = 20_000
FAR_STARTS = 64
QUIET_TIME, QUIET_TRIALS, QUIET_SAMPLES = 40.0, 200, 20  # of the noise-free flow: time to settle, states kept
FLOWS = (
    "Aizawa", "Chen", "Chua", "Finance", "Hadley", "Halvorsen", "HindmarshRose", "Rossler", "Rucklidge", "Thomas",
)  # fmt: skip


@dataclass(frozen=True)
class Limit:
    """Largest drift error that is asked for, and seconds on two cores."""

    error: float
    seconds: float


LIMITS = {
    "vanderpol": Limit(1e-3, 5), "lorenz": Limit(1.5e-3, 60), "dadras": Limit(5e-3, 180), "doublewell": Limit(2e-3, 10),
    "fourwell": Limit(2e-3, 10), "sequence": Limit(2e-3, 10),
}  # fmt: skip
FLOW_LIMIT = Limit(1e-2, 60)
DIFFUSION_LIMIT = 1e-2


@dataclass(frozen=True)
class Trained:
    """One network and what it cost.

    Parameters
    ----------
    system, units, seed, ridge
        What was trained; the ridge is the one that was chosen.
    drift_error, noise_free_error
        Relative root-mean-square error of the worst latent on stationary states of the target, and on states of
        its noise-free flow (None where that comes to rest).
    diffusion_error
        Relative error of the diffusion tensor.
    lost, target_lost
        Of 64 trajectories from two to six standard deviations away per latent, those that did not come back, and
        of the target's own from the same places (None where the network loses none).
    seconds, cpu_seconds
        Wall time, and processor time of this process: the former grows where others use the machine.
    """

    system: str
    units: int
    seed: int
    ridge: float
    drift_error: float
    noise_free_error: float | None
    diffusion_error: float
    constant_diffusion: bool
    lost: int
    target_lost: int | None
    seconds: float
    cpu_seconds: float


def cpu_seconds() -> float:
    """Processor time of this process so far, all threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def independent_sample(system: System) -> Float[np.ndarray, "sample rank"]:
    """Stationary states from a generator that training has never used."""
    return stationary_cloud(system, SAMPLES, stream(SAMPLE_SEED, "benchmark", system.name)).points


def noise_free_sample(system: System) -> Float[np.ndarray, "sample rank"] | None:
    """States of the noise-free flow after a long time; None where it comes to rest in some trial."""
    state = stationary_cloud(system, QUIET_TRIALS, stream(SAMPLE_SEED, "benchmark", "quiet", system.name)).points
    scale = state.std(axis=0)
    dt = stable_step(system.checked_drift, state) / 2
    kept = []
    for step in range(round(QUIET_TIME / dt) + 1):
        state = heun_step(system.checked_drift, state, dt, np.zeros_like(state))
        if step >= QUIET_TIME / dt / 2 and step % max(1, round(QUIET_TIME / dt / 2 / QUIET_SAMPLES)) == 0:
            kept.append(state)
    speed = np.abs(system.checked_drift(state) / scale).max(axis=1)
    return None if (speed < 1e-3).any() else np.concatenate(kept)


def load_or_train(name: str, seed: int, folder: Path, error: float) -> tuple[ddm2snn.RateNetwork, float, float]:
    """Network of this system and seed from `folder`, else trained and kept there; wall and processor seconds."""
    path = folder / f"{name.replace(':', '-')}-{seed}.safetensors"
    cost = path.with_suffix(".cost.json")
    if path.exists() and cost.exists():
        network = ddm2snn.load(path)
        if not isinstance(network, ddm2snn.RateNetwork):
            raise SystemExit(f"{path} holds a {type(network).__name__}, not a RateNetwork. Remove it.")
        known = json.loads(cost.read_text())
        return network, known["seconds"], known["cpu_seconds"]
    began, used = time.perf_counter(), cpu_seconds()
    network = ddm2snn.train(name, seed=seed, training=Training(error=error))
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - used
    folder.mkdir(parents=True, exist_ok=True)
    network.save(path)
    cost.write_text(json.dumps({"seconds": seconds, "cpu_seconds": cpu}))
    return network, seconds, cpu


def measure(name: str, seeds: int, folder: Path, error: float | None = None) -> list[Trained]:
    """Train a system with several seeds and measure each network."""
    system = ddm2snn.find_system(name)
    points, quiet = independent_sample(system), noise_free_sample(system)
    asked = min(1e-3, limit_of(name).error) if error is None else error
    rows = []
    for seed in range(seeds):
        network, seconds, cpu = load_or_train(name, seed, folder, asked)
        lost, target_lost = lost_from_far(network, system, points, seed)
        rows.append(
            Trained(
                system=name,
                units=network.units,
                seed=seed,
                ridge=network.provenance["ridge"],
                drift_error=float(drift_error(network, system, points).max()),
                noise_free_error=None if quiet is None else float(drift_error(network, system, quiet).max()),
                diffusion_error=diffusion_error(network, system, points),
                constant_diffusion=system.constant_factor is not None,
                lost=lost,
                target_lost=target_lost,
                seconds=seconds,
                cpu_seconds=cpu,
            )
        )
        print(json.dumps(asdict(rows[-1])), file=sys.stderr, flush=True)
    return rows


def lost_from_far(
    network: ddm2snn.RateNetwork, system: System, points: Float[np.ndarray, "sample rank"], seed: int
) -> tuple[int, int | None]:
    """Trajectories that do not come back from far outside, and the target's own from the same places."""
    starts = far_starts(network, FAR_STARTS, stream(SAMPLE_SEED + seed, "benchmark", "far", system.name))

    def lost(*, target: bool) -> int:
        rng = stream(SAMPLE_SEED + seed, "benchmark", "far noise", system.name)
        ends = watch(network, system, points, starts, rng, duration=10.0, relaxation=10.0, target=target)
        return int((ends.escaped | ends.astray | ends.still).sum())

    ours = lost(target=False)
    return ours, lost(target=True) if ours else None


def limit_of(name: str) -> Limit:
    """What is asked of a system; where nothing is, what is asked of the strictest."""
    return FLOW_LIMIT if name.startswith("dysts:") else LIMITS.get(name, Limit(5e-3, 60))


def table(rows: Sequence[Trained]) -> str:
    """Markdown table, one line per system: the worst over seeds, times as their median."""
    lines = [
        "| system | units | drift error | noise-free flow | limit | diffusion error | lost, of 64 | time | limit |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row.system for row in rows):
        of = [row for row in rows if row.system == name]
        quiet = [row.noise_free_error for row in of if row.noise_free_error is not None]
        limit = limit_of(name)
        asked = f"{limit.error:.1e}" if name in LIMITS or name.startswith("dysts:") else "-"
        within = f"{limit.seconds:.0f} s" if asked != "-" else "-"
        diffusion = max(row.diffusion_error for row in of)
        exact = of[0].constant_diffusion and diffusion < 1e-12
        lines.append(
            f"| {name} | {of[0].units} | {max(row.drift_error for row in of):.1e} "
            f"| {f'{max(quiet):.1e}' if quiet else 'at rest'} | {asked} | {'exact' if exact else f'{diffusion:.1e}'} "
            f"| {_lost(of)} | {statistics.median(row.seconds for row in of):.1f} s "
            f"({statistics.median(row.cpu_seconds for row in of):.1f} s CPU) | {within} |"
        )
    return "\n".join(lines) + "\n"


def _lost(rows: Sequence[Trained]) -> str:
    worst = max(rows, key=lambda row: row.lost)
    return str(worst.lost) if worst.target_lost is None else f"{worst.lost} (the target {worst.target_lost})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="*", default=sorted(BUILT_IN), help="names; by default all built in")
    parser.add_argument("--seeds", type=int, default=1, help="networks per system, of the seeds 0, 1, ...")
    parser.add_argument("--dysts", action="store_true", help="add ten flows of the collection dysts")
    parser.add_argument("--error", type=float, help="drift error that training is asked for; by default 1e-3")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    given = parser.parse_args(arguments)
    names = list(given.systems)
    if given.dysts:
        if importlib.util.find_spec("dysts") is None:
            parser.error("--dysts needs the package dysts: pip install '.[dysts]'")
        names += [f"dysts:{name}" for name in FLOWS]
    given.output.mkdir(parents=True, exist_ok=True)
    # the first network of a process pays for loading torch
    ddm2snn.train("vanderpol", units=4, training=Training(points=400, iterations=5, holdout=300))
    rows: list[Trained] = []
    for name in names:
        rows += measure(name, given.seeds, given.output / "networks", given.error)
        (given.output / "systems.md").write_text(table(rows))
        (given.output / "systems.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    print(table(rows), end="")


if __name__ == "__main__":
    main()
