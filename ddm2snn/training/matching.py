"""Drift-diffusion matching by variable projection: the read-out is solved for inside the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import stream
from ddm2snn.base.version import package_version
from ddm2snn.training.accuracy import diffusion_error, drift_error
from ddm2snn.training.robustness import check_return
from ddm2snn.training.sampling import stationary_cloud
from ddm2snn.training.spurious_attractors import without_spurious_attractors
from ddm2snn.training.task import Task, task_of
from ddm2snn.training.variable_projection import Device, VariableProjection

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import System
    from ddm2snn.training.options import Training

_MISFIT_ALLOWED = 4.0  # times the squared error asked for: training points beside the stationary states fit less well
_WORSE_DRIFT = 1.5  # factor that the drift error may grow by, above the one asked for, to remove spurious attractors
_GAINS = (0.2, 0.4, 0.8, 1.25)  # of the hidden units to start from


@dataclass(frozen=True, eq=False)
class _Stage:
    """A network fitted at one ridge, with its errors on stationary states that it was not fitted to."""

    network: RateNetwork
    ridge: float
    drift_error: float
    diffusion_error: float

    @property
    def readout_norm(self) -> float:
        return float(np.abs(self.network.right_vectors).sum())

    def reaches(self, training: Training) -> bool:
        """Whether both errors are as small as asked."""
        return self.drift_error <= training.error and self.diffusion_error <= training.diffusion_error

    def as_json(self) -> dict[str, float]:
        numbers = {name: getattr(self, name) for name in ("ridge", "drift_error", "diffusion_error")}
        return numbers | {"readout_norm": self.readout_norm}


def match(
    system: System,
    *,
    units: int,
    seed: int,
    training: Training,
    device: Device = "cpu",
    progress: Progress = no_progress,
) -> RateNetwork:
    r"""Fit :math:`W_s\phi(\Gamma z + b) \approx f(z) + z`, and G from the same units, by variable projection.

    Latents are standardised by the mean and standard deviation of stationary states; each dimension of the drift is
    weighted by its own root mean square, so that the loss is the relative error that is reported. A factor G(z) that
    depends on the state is a further output: the system's own where it is lower triangular, else the Cholesky factor of
    its tensor. The ridge is lowered from stage to stage until the errors asked for are reached.

    Takes what `ddm2snn.train` takes, checked.
    """
    progress(0.0)
    task = task_of(system, training.points_for(units), stream(seed, "training", "points"))
    projection = starting_projection(task, units, training, stream(seed, "training", "start"), device)
    held_out = stationary_cloud(system, 2 * training.holdout, stream(seed, "training", "holdout")).points
    validation, test = held_out[: training.holdout], held_out[training.holdout :]
    stages: list[_Stage] = []
    share = 1.0 / len(training.ridges)
    # a larger ridge at which the error is out of reach only prepares the next one
    goal = 0.0 if training.sweep else _MISFIT_ALLOWED * task.target.shape[1] * training.error**2
    for number, ridge in enumerate(training.ridges):
        projection.descend(
            ridge,
            training.iterations_for(units),
            lambda done, number=number: progress(share * (number + done)),
            goal if ridge > training.ridges[-1] else 0.0,
        )
        stages.append(_judged(task.network(projection, ridge), ridge, system, validation))
        if stages[-1].reaches(training) and not training.sweep:
            break
    progress(1.0)
    chosen = _choice(stages, training)
    limit = max(training.error, _WORSE_DRIFT * chosen.drift_error)
    # the name of a stream decides its numbers, so "strays" stays
    network, points_added, attractors_left = without_spurious_attractors(
        chosen.network, system, task, chosen.ridge, stream(seed, "training", "strays"),
        lambda network: float(drift_error(network, system, validation).max()) <= limit,
    )  # fmt: skip
    provenance = {
        **_provenance(system, units, seed, training, device),
        "drift_error": drift_error(network, system, test).tolist(),
        "diffusion_error": diffusion_error(network, system, test),
        "readout_norm": float(np.abs(network.right_vectors).sum()),
        "ridge": chosen.ridge,
        "stages": [stage.as_json() for stage in stages],
        "points_added": points_added,
        "spurious_attractors": attractors_left,
        "loss": projection.history[:: max(1, len(projection.history) // 200)] + projection.history[-1:],
        "integration_step": task.cloud.dt,
        "robustness": dataclasses.asdict(check_return(network, system, test, stream(seed, "training", "return"))),
    }
    return dataclasses.replace(network, provenance=provenance)


def starting_projection(
    task: Task, units: int, training: Training, rng: np.random.Generator, device: Device
) -> VariableProjection:
    """Place hidden units on the points, in random directions, with the gain that starts at the lowest loss."""
    directions = rng.standard_normal((units, task.rank))
    directions *= rng.uniform(0.4, 1.6, (units, 1)) / np.linalg.norm(directions, axis=1, keepdims=True)
    centres = task.points[rng.integers(len(task.points), size=units)]
    threshold = 1.0 if training.activation == "lif" else 0.0

    def with_gain(gain: float, every: int) -> VariableProjection:
        return VariableProjection(
            points=task.points[::every],
            target=task.target[::every],
            weight=task.weight[::every],
            left_vectors=gain * directions,
            bias=threshold - gain * (directions * centres).sum(axis=1),
            activation=training.activation,
            device=device,
        )

    few = max(1, len(task.points) // max(4 * units, 1000))
    losses = [with_gain(gain, few).loss(training.ridges[0]) for gain in _GAINS]
    return with_gain(_GAINS[int(np.argmin(losses))], 1)


def _judged(network: RateNetwork, ridge: float, system: System, states: Float[np.ndarray, "sample rank"]) -> _Stage:
    """Measure the errors of a network on states."""
    error = float(drift_error(network, system, states).max())
    return _Stage(network, ridge, error, diffusion_error(network, system, states))


def _choice(stages: Sequence[_Stage], training: Training) -> _Stage:
    """Stage with the smallest read-out among those that reach the errors, or with the smallest drift error if none."""
    good = [stage for stage in stages if stage.reaches(training)]
    if good:
        return min(good, key=lambda stage: stage.readout_norm)
    return min(stages, key=lambda stage: stage.drift_error)


def _provenance(system: System, units: int, seed: int, training: Training, device: Device) -> dict[str, Any]:
    import torch

    return {
        "system": system.name,
        "units": units,
        "seed": seed,
        "training": dataclasses.asdict(training),
        "device": device,
        "versions": {
            "ddm2snn": package_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
    }
