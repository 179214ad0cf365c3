"""Variable projection beside plain Adam on the same loss, in one run on one machine.

    python tests/benchmarks/adam_comparison.py [--systems vanderpol lorenz] [--steps 3000] -o FOLDER

Both descend on the mean of w^2 |tanh(z Gamma^T + b) W_s^T - y|^2 plus the ridge, over all points at once, in float64:
same points, weights, targets, ridge and starting hidden units. Variable projection solves for W_s inside the loss and
steps (Gamma, b) by L-BFGS; Adam steps (Gamma, b, W_s) together, from the solved W_s on, and its rate falls from one
of three values to a hundredth along a half cosine: the one with the smallest error at the end counts, and only its
own time. Errors are taken on an independent stationary sample. Writes FOLDER/adam.md and FOLDER/adam.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from systems_table import cpu_seconds, independent_sample

import ddm2snn
from ddm2snn.base.randomness import stream
from ddm2snn.training import Training, drift_error
from ddm2snn.training.matching import starting_projection
from ddm2snn.training.sampling import Task, task_of
from ddm2snn.training.variable_projection import VariableProjection

RATES = (1e-2, 3e-3, 1e-3)
LAST_RATE = 1e-2  # of the first
STAGES = {"vanderpol": 1e-6, "lorenz": 1e-5}  # the ridge at which training of these systems ends
LOOK = 50  # Adam steps between two looks at the error


@dataclass(frozen=True)
class Fit:
    """One method on one system.

    Parameters
    ----------
    loss, error
        At the end: the common loss, and the relative drift error of the worst latent.
    error_at_equal_time
        Error after as long as variable projection took; for itself the same as `error`.
    seconds, cpu_seconds
        Wall and processor time of the descent alone.
    steps
        Evaluations of loss and gradient.
    """

    system: str
    units: int
    method: str
    loss: float
    error: float
    error_at_equal_time: float
    seconds: float
    cpu_seconds: float
    steps: int


def projected(name: str, seed: int) -> tuple[Task, VariableProjection, ddm2snn.System, np.ndarray]:
    """Points, and variable projection before its first step: the same for both methods."""
    system, training = ddm2snn.find_system(name), Training()
    task = task_of(system, training.points_for(system.units), stream(seed, "training", "points"))
    begun = starting_projection(task, system.units, training, stream(seed, "training", "start"), "cpu")
    return task, begun, system, independent_sample(system)


def by_projection(name: str, seed: int) -> Fit:
    """Descend as training does, at the ridge at which it ends."""
    task, projection, system, points = projected(name, seed)
    ridge, training = STAGES.get(name, 1e-6), Training()
    began, used = time.perf_counter(), cpu_seconds()
    projection.descend(ridge, training.iterations_for(system.units), lambda share: None)
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - used
    error = float(drift_error(task.network(projection, ridge), system, points).max())
    return Fit(
        system=name,
        units=system.units,
        method="variable projection, L-BFGS",
        loss=projection.loss(ridge),
        error=error,
        error_at_equal_time=error,
        seconds=seconds,
        cpu_seconds=cpu,
        steps=len(projection.history),
    )


def by_adam(name: str, seed: int, rate: float, steps: int, equal_time: float) -> Fit:
    """Step all weights together; looks at the error stand outside the clock."""
    task, projection, system, points = projected(name, seed)
    ridge = STAGES.get(name, 1e-6)
    readout = torch.as_tensor(projection.readout(ridge)).requires_grad_()
    optimiser = torch.optim.Adam([projection.gamma, projection.bias, readout], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, eta_min=LAST_RATE * rate)

    def network_error() -> float:
        network = task.network(projection, ridge)
        weights = readout.detach().numpy()[:, : system.rank] * task.unit[: system.rank]
        changed = ddm2snn.RateNetwork(
            **{field: getattr(network, field) for field in ("left_vectors", "bias", "diffusion_factor", "input_map")},
            right_vectors=weights,
            latent_offset=network.latent_offset,
            latent_scale=network.latent_scale,
            initial_latent=network.initial_latent,
        )
        return float(drift_error(changed, system, points).max())

    def loss_now() -> torch.Tensor:
        features = torch.tanh(projection.points @ projection.gamma.T + projection.bias) * projection.weight
        return ((features @ readout - projection.target) ** 2).sum(dim=1).mean() + ridge * (readout**2).sum()

    seconds = cpu = 0.0
    at_equal_time = float("nan")
    for done in range(0, steps, LOOK):
        began, used = time.perf_counter(), cpu_seconds()
        for _ in range(min(LOOK, steps - done)):
            optimiser.zero_grad()
            loss_now().backward()
            optimiser.step()
            schedule.step()
        seconds, cpu = seconds + time.perf_counter() - began, cpu + cpu_seconds() - used
        if np.isnan(at_equal_time) and cpu >= equal_time:
            at_equal_time = network_error()
    error = network_error()
    with torch.no_grad():
        loss = float(loss_now())
    return Fit(
        system=name,
        units=system.units,
        method=f"Adam, rate {rate:g}",
        loss=loss,
        error=error,
        error_at_equal_time=error if np.isnan(at_equal_time) else at_equal_time,
        seconds=seconds,
        cpu_seconds=cpu,
        steps=steps,
    )


def table(fits: Sequence[Fit]) -> str:
    """Markdown table: variable projection and the best of Adam's runs for each system, then all of Adam's."""
    lines = [
        "| system | units | method | drift error | error at equal time | loss | evaluations | time |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {fit.system} | {fit.units} | {fit.method} | {fit.error:.2e} | {fit.error_at_equal_time:.2e} "
        f"| {fit.loss:.2e} | {fit.steps} | {fit.seconds:.1f} s ({fit.cpu_seconds:.1f} s CPU) |"
        for fit in fits
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both methods, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="*", default=list(STAGES))
    parser.add_argument("--steps", type=int, default=3000, help="steps of Adam")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    given = parser.parse_args(arguments)
    given.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # both alike
    fits: list[Fit] = []
    for name in given.systems:
        ours = by_projection(name, given.seed)
        adam = [by_adam(name, given.seed, rate, given.steps, ours.cpu_seconds) for rate in RATES]
        fits += [ours, *sorted(adam, key=lambda fit: fit.error)]
        print(table(fits), file=sys.stderr, flush=True)
        (given.output / "adam.md").write_text(table(fits))
        (given.output / "adam.json").write_text(json.dumps([asdict(fit) for fit in fits], indent=1) + "\n")
    print(table(fits), end="")


if __name__ == "__main__":
    main()
