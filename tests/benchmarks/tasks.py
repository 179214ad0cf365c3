"""Networks of four tasks, trained by backpropagation in PyTorch at a step of 0.2, imported and converted.

    python tests/benchmarks/tasks.py [--tasks decision ...] [--per-unit 2 4] [--backends brian2 nengo] -o FOLDER

Every row: a task, neurons per unit, decoders, a backend and a conversion seed, over eight conditions of 500 trials
each, against the rate network's trials of other seeds. *Choices*: conditions whose share of trials that end above the
boundary lies outside the corrected 95 % interval of the rate network's. *Outputs*: largest difference of mean outputs
over time and conditions, as a share of their range. *Reaction*: mean reaction times that differ after correction, and
the largest difference in time units. *Right*: share of trials whose outputs end with the signs that the task asks for,
spiking and rate. Files of networks are kept in the folder, and a row that is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

import ddm2snn
from ddm2snn import ArrayMapping, Population, Recording, Stimulus
from ddm2snn.fidelity import compare_conditions

STEP, UNITS, NOISE = 0.2, 256, 0.06  # of time constants; per square root of one
SEED = 7
TRAINING_SEED, REFERENCE_SEEDS, TEST_SEED = 1, (101, 102), 201
DEVICES = ("loihi1-emulator",)  # that stand in the place of a backend
ITERATIONS, BATCH, LEARNING_RATE = 1200, 96, 3e-3

Pieces = Sequence[tuple[float, Sequence[float]]]  # time from which an input lasts, and the input


@dataclass(frozen=True)
class Task:
    """Inputs from some times on, and the signs that outputs must have from the time `decided` on."""

    name: str
    rank: int
    inputs: int
    outputs: int
    duration: float
    decided: float
    draw: Callable[[np.random.Generator], tuple[Pieces, Sequence[float]]]
    conditions: Mapping[str, tuple[Pieces, Sequence[float]]]

    def stimulus(self, repeats: int) -> Stimulus:
        """The conditions, each with its trials."""
        pieces = {name: _stimulus(pieces, self.duration) for name, (pieces, _) in self.conditions.items()}
        return Stimulus.of_trials(pieces, repeats=repeats)


def _stimulus(pieces: Pieces, duration: float) -> Stimulus:
    times, values = zip(*pieces, strict=True)
    return Stimulus(times=np.array(times), values=np.array(values, dtype=float), duration=duration)


def _decision() -> Task:
    def trial(strength: float) -> tuple[Pieces, Sequence[float]]:
        return [(0.0, [0.0]), (1.0, [strength]), (9.0, [0.0])], [np.sign(strength)]

    strengths = [-0.2, -0.1, -0.05, -0.02, 0.02, 0.05, 0.1, 0.2]
    return Task(
        "decision", 1, 1, 1, 15.0, 11.0,
        lambda rng: trial(float(rng.choice([-1, 1]) * rng.uniform(0.01, 0.25))),
        {f"{s:+g}": trial(s) for s in strengths},
    )  # fmt: skip


def _memory() -> Task:
    def trial(first: float, second: float) -> tuple[Pieces, Sequence[float]]:
        pieces = [(0.0, [0.0]), (1.0, [first]), (3.0, [0.0]), (7.0, [second]), (9.0, [0.0])]
        return pieces, [np.sign(first - second)]

    def draw(rng: np.random.Generator) -> tuple[Pieces, Sequence[float]]:
        first, second = rng.uniform(-0.6, 0.6, 2)
        return trial(float(first), float(second))

    pairs = [(-0.4, -0.6), (-0.4, -0.2), (0.0, -0.2), (0.0, 0.2), (0.2, 0.0), (0.2, 0.4), (0.5, 0.3), (0.4, 0.6)]
    conditions = {f"{a:g} then {b:g}": trial(a, b) for a, b in pairs}
    return Task("working memory", 2, 1, 1, 14.0, 11.0, draw, conditions)


def _flip_flop() -> Task:
    def trial(pulses: Sequence[tuple[float, int, float]]) -> tuple[Pieces, Sequence[float]]:
        pieces, last = [(0.0, [0.0, 0.0, 0.0])], [0.0, 0.0, 0.0]
        for time_, channel, sign in pulses:
            value = [0.0, 0.0, 0.0]
            value[channel], last[channel] = sign, sign
            pieces += [(time_, value), (time_ + 1.0, [0.0, 0.0, 0.0])]
        return pieces, last

    def sequence(rng: np.random.Generator) -> list[tuple[float, int, float]]:
        channels = [*rng.permutation(3), *rng.integers(3, size=3)]
        times = 0.6 + 2.8 * np.arange(6) + 0.2 * rng.integers(0, 5, 6)
        return [(float(t), int(c), float(rng.choice([-1, 1]))) for t, c in zip(times, channels, strict=True)]

    rng = np.random.default_rng(SEED)
    conditions = {f"sequence {i}": trial(sequence(rng)) for i in range(8)}
    return Task("flip-flop", 3, 3, 3, 21.0, 18.0, lambda rng: trial(sequence(rng)), conditions)


def _context() -> Task:
    def trial(context: int, motion: float, colour: float) -> tuple[Pieces, Sequence[float]]:
        cue = [float(context == 0), float(context == 1)]
        pieces = [(0.0, [*cue, 0.0, 0.0]), (2.0, [*cue, motion, colour]), (10.0, [*cue, 0.0, 0.0])]
        return pieces, [np.sign(motion if context == 0 else colour)]

    def draw(rng: np.random.Generator) -> tuple[Pieces, Sequence[float]]:
        motion, colour = rng.choice([-1, 1], 2) * rng.uniform(0.03, 0.25, 2)
        return trial(int(rng.integers(2)), float(motion), float(colour))

    strengths = [(-0.1, 0.1), (0.1, -0.1), (-0.05, -0.1), (0.05, 0.1)]
    conditions = {
        f"{name} {m:+g} {c:+g}": trial(i, m, c) for i, name in enumerate(("motion", "colour")) for m, c in strengths
    }
    return Task("context", 2, 4, 1, 15.0, 12.0, draw, conditions)


TASKS = {task.name: task for task in (_decision(), _memory(), _flip_flop(), _context())}


def train_weights(task: Task, path: Path, units: int = UNITS, iterations: int = ITERATIONS) -> float:
    """Train a low-rank network h' = h + a (-h + m n' tanh(h) / N + u wi) on random trials; return its share right."""
    torch.manual_seed(TRAINING_SEED)
    rng, steps = np.random.default_rng(TRAINING_SEED), round(task.duration / STEP)
    shapes = {"m": (units, task.rank), "n": (units, task.rank), "wi": (task.inputs, units), "wo": (units, task.outputs)}
    weights = {name: torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}
    with torch.no_grad():
        weights["n"] += weights["m"]  # near the edge of its own feedback
        weights["wo"] += weights["m"][:, : task.outputs] if task.outputs <= task.rank else 0.0
    for weight in weights.values():
        weight.requires_grad_(True)
    optimiser = torch.optim.Adam(weights.values(), lr=LEARNING_RATE)
    times = np.arange(steps) * STEP
    decided = torch.tensor(times >= task.decided)
    right = 0.0
    for iteration in range(iterations):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (0.1 if iteration > 0.8 * iterations else 1.0)
        drawn = [task.draw(rng) for _ in range(BATCH)]
        given = np.stack([_stimulus(pieces, task.duration).at(times, task.inputs) for pieces, _ in drawn])
        target = torch.tensor(np.array([signs for _, signs in drawn]))
        outputs = _outputs(weights, torch.tensor(given), units)[:, decided]
        loss = ((outputs - target[:, None]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimiser.step()
        right = 0.95 * right + 0.05 * float((torch.sign(outputs[:, -1]) == target).all(dim=1).double().mean())
    weights |= {"si": torch.ones(task.inputs), "so": torch.ones(task.outputs), "h0": torch.zeros(units)}
    torch.save({name: weight.detach() for name, weight in weights.items()}, path)
    return right


def _outputs(weights: Mapping[str, torch.Tensor], given: torch.Tensor, units: int) -> torch.Tensor:
    """Outputs over time; noise of each latent and input latent."""
    batch, steps, inputs = given.shape
    z, v = given.new_zeros(batch, weights["m"].shape[1]), given.new_zeros(batch, inputs)
    size, read = NOISE * STEP**0.5, []
    for step in range(steps):
        active = torch.tanh(z @ weights["m"].T + v @ weights["wi"])
        read.append(active @ weights["wo"] / units)
        z = z + STEP * (active @ weights["n"] / units - z) + size * torch.randn_like(z)
        v = v + STEP * (given[:, step] - v) + size * torch.randn_like(v)
    return torch.stack(read, dim=1)


def imported(path: Path) -> ddm2snn.RateNetwork:
    """The network of a file, with noise of its latents."""
    network = ddm2snn.import_network(path, ArrayMapping(step=STEP, noise=NOISE, activation="tanh"))
    if not isinstance(network, ddm2snn.RateNetwork):
        raise TypeError(f"{path} holds no rate network")
    return network


def trials_of(network: ddm2snn.RateNetwork | ddm2snn.SpikingNetwork, stimulus: Stimulus, seed: int) -> Recording:
    """Trials from rest, sampled every fifth of a time constant."""
    start = np.zeros((stimulus.trials or 1, network.rank))
    return ddm2snn.simulate(network, stimulus=stimulus, initial_latent=start, seed=seed, every=0.2)


def share_right(task: Task, recording: Recording) -> float:
    """Share of trials whose outputs end with the right signs; channels that nothing was said of do not count."""
    if recording.output is None:
        raise ValueError("the network has no outputs")
    right = []
    for name, (_, signs) in task.conditions.items():
        ends = recording.output.values[recording.conditions[name]][:, -5:].mean(axis=1)
        said = np.array(signs) != 0
        right.append((np.sign(ends[:, said]) == np.array(signs)[said]).all(axis=1))
    return float(np.concatenate(right).mean())


def judged(task: Task, references: Sequence[Recording], run: Recording) -> dict[str, Any]:
    """Choices outside the rate network's interval, and the largest differences of outputs and reaction times."""
    report = compare_conditions(references[0], run, floor=references[1:])
    choices = [m for m in report.measures if m.name.startswith("choice_")]
    level = 1.0 - 0.05 / len(choices)
    outside = 0
    for measure in choices:
        trials = measure.trials
        pooled = trials * len(references)
        low, high = _prediction(measure.reference or 0.0, pooled, trials, level)
        outside += not low <= (measure.test or 0.0) <= high
    outputs = [m for m in report.measures if m.name.startswith("output_")]
    times = [m for m in report.measures if m.name.startswith("reaction_time_")]
    return {
        "choices_outside": outside,
        "choices": len(choices),
        "output_error": max(m.distance for m in outputs),
        "output_differs": sum(m.differs for m in outputs),
        "reaction_differs": sum(m.differs for m in times),
        "reaction_largest": max(m.distance for m in times),
        "reaction_excess": max(m.excess for m in times),
        "right": share_right(task, run),
        "right_rate": float(np.mean([share_right(task, each) for each in references])),
        "verdict": report.verdict,
    }


def _prediction(share: float, pooled: int, trials: int, level: float) -> tuple[float, float]:
    """Interval for the share of `trials` further trials, where `share` of `pooled` were seen (beta-binomial)."""
    seen = round(share * pooled)
    predicted = stats.betabinom(trials, seen + 0.5, pooled - seen + 0.5)
    return predicted.ppf((1 - level) / 2) / trials, predicted.ppf((1 + level) / 2) / trials


def rows_of(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Run what the folder lacks."""
    found = folder / "tasks.json"
    rows = json.loads(found.read_text()) if found.exists() else []
    for name in arguments.tasks:
        task, path = TASKS[name], folder / f"{name.replace(' ', '-')}.pt"
        if not path.exists():
            print(f"{name}: {train_weights(task, path):.3f} right in training", flush=True)
        rate = imported(path)
        stimulus = task.stimulus(arguments.trials)
        references: list[Recording] = []
        for decoders in arguments.decoders:
            for per_unit in arguments.per_unit:
                for backend in arguments.backends:
                    for seed in range(arguments.seeds):
                        key = {
                            "task": name,
                            "decoders": decoders,
                            "per_unit": per_unit,
                            "backend": backend,
                            "seed": seed,
                        }
                        if any(key.items() <= row.items() for row in rows):
                            continue
                        references = references or [trials_of(rate, stimulus, s) for s in REFERENCE_SEEDS]
                        rows.append(key | _row(task, rate, stimulus, references, key, arguments))
                        found.write_text(json.dumps(rows, indent=1))
                        print(json.dumps(rows[-1]), flush=True)
    return rows


def _row(
    task: Task,
    rate: ddm2snn.RateNetwork,
    stimulus: Stimulus,
    references: Sequence[Recording],
    key: Mapping[str, Any],
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    made = {"calibrated": ddm2snn.Calibrated, "static": ddm2snn.Static}[key["decoders"]]
    start = time.perf_counter()
    network = ddm2snn.convert(
        rate, population=Population(key["per_unit"]), decoders=made(stimulus=task.stimulus(1)),
        backend=None if key["backend"] in DEVICES else key["backend"],
        hardware=key["backend"] if key["backend"] in DEVICES else None,
        seed=key["seed"], time_unit_s=arguments.time_unit_s,
    ).network  # fmt: skip
    convert_s = time.perf_counter() - start
    run = trials_of(network, stimulus, TEST_SEED + key["seed"])
    return {
        "neurons": network.neurons, "time_unit_s": network.time_unit_s, "convert_s": round(convert_s, 1),
        **judged(task, references, run),
    }  # fmt: skip


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| task | decoders | per unit | on | seed | choices outside | outputs | reaction differs | right | rate |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['task']} | {r['decoders']} | {r['per_unit']:g} | {r['backend']} | {r['seed']} | "
        f"{r['choices_outside']} of {r['choices']} | {100 * r['output_error']:.2g} % | "
        f"{r['reaction_differs']} ({r['reaction_largest']:.2g}) | "
        f"{r['right']:.3f} | {r['right_rate']:.3f} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--per-unit", nargs="*", type=float, default=[2.0, 4.0])
    parser.add_argument("--backends", nargs="*", default=["brian2", "nengo"])
    parser.add_argument("--decoders", nargs="*", default=["calibrated"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=500, help="of each condition")
    parser.add_argument("--time-unit-s", type=float, help="by default what convert finds")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args(argv)
    arguments.output.mkdir(parents=True, exist_ok=True)
    text = table(rows_of(arguments, arguments.output))
    (arguments.output / "tasks.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
