"""Drift-diffusion matching by variable projection: the read-out is solved for inside the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base import package_version
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import stream
from ddm2snn.errors import InputError
from ddm2snn.training.robustness import Return
from ddm2snn.training.sampling import Task, stationary_cloud, task_of
from ddm2snn.training.spurious_attractors import returning
from ddm2snn.training.variable_projection import Device, VariableProjection

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import States, System
    from ddm2snn.training.train import Training

_MISFIT_ALLOWED = 4.0  # times the squared error asked for: training points beside the stationary states fit less well
_WORSE_DRIFT = 1.5  # factor that the drift error may grow by, above the one asked for, to remove spurious attractors
_IN_DOMAIN = 4000  # places in a domain at which the drift is judged [cost]
_GAINS = (0.2, 0.4, 0.8, 1.25)  # of the hidden units to start from


@dataclass(frozen=True)
class Stage:
    """Errors of the network that was fitted at a ridge, the largest over latents, and the sum of |W_s|."""

    ridge: float
    drift_error: float
    diffusion_error: float
    readout_norm: float


@dataclass(frozen=True)
class TrainingReport:
    """What a training found out about its network, which has it in its provenance.

    Parameters
    ----------
    drift_error, diffusion_error
        Relative errors on fresh stationary states, that of the drift per latent.
    readout_norm
        Sum of |W_s| in internal units.
    stages
        The network of each ridge that was tried.
    robustness
        Whether trajectories come back.
    domain_error
        Drift error per latent within the system's domain; None without one.
    """

    drift_error: Sequence[float]
    diffusion_error: float
    readout_norm: float
    stages: Sequence[Stage] = ()
    robustness: Return | None = None
    domain_error: Sequence[float] | None = None

    @classmethod
    def of(cls, network: RateNetwork) -> TrainingReport:
        """Read the report that a trained network has; raises InputError where it has none."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(dict(network.provenance))
        except ValidationError as error:
            raise InputError("This network's provenance has no report of a training. Give one that train made.") from (
                error
            )

    def as_json(self) -> dict[str, Any]:
        """JSON values, without those that are None."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


def match(
    system: System,
    *,
    units: int,
    seed: int,
    training: Training,
    device: Device = "cpu",
    rounded: bool = False,
    progress: Progress = no_progress,
) -> RateNetwork:
    r"""Fit :math:`W_s\phi(\Gamma z + b) \approx f(z) + z`, and G from the same units, by variable projection.

    Latents are standardised by the mean and standard deviation of stationary states; each dimension of the drift is
    weighted by its own root mean square, so that the loss is the relative error that is reported. A factor G(z) that
    depends on the state is a further output: the system's own where it is lower triangular, else the Cholesky factor of
    its tensor. The ridge is lowered from stage to stage until the errors asked for are reached.

    Takes what `ddm2snn.train` takes, checked.
    """
    import torch

    progress(0.0)
    task = task_of(system, training.points_for(units), stream(seed, "training", "points"), rounded=rounded)
    projection = starting_projection(task, units, training, stream(seed, "training", "start"), device)
    held_out = stationary_cloud(system, 2 * training.holdout, stream(seed, "training", "holdout")).points
    validation, test = held_out[: training.holdout], held_out[training.holdout :]
    inside = None  # the domain: places to choose the ridge at, and to report errors at
    if system.domain is not None:
        inside = stream(seed, "training", "domain").uniform(*system.domain, (2, _IN_DOMAIN, system.rank))
    networks, stages = [], []
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
        networks.append(task.network(projection, ridge))
        stages.append(_judged(networks[-1], ridge, system, validation, inside))
        if _reaches(stages[-1], training) and not training.sweep:
            break
    progress(1.0)
    chosen = _choice(stages, training)
    limit = max(training.error, _WORSE_DRIFT * stages[chosen].drift_error)
    network, back, points_added, attractors_left = returning(
        networks[chosen], system, task, stages[chosen].ridge, (validation, test), seed,
        lambda network: float(drift_error(network, system, validation).max()) <= limit,
    )  # fmt: skip
    report = TrainingReport(
        drift_error=drift_error(network, system, test).tolist(),
        diffusion_error=diffusion_error(network, system, test),
        readout_norm=float(np.abs(network.right_vectors).sum()),
        stages=stages,
        robustness=back,
        domain_error=None if inside is None else drift_error(network, system, inside[1]).tolist(),
    )
    provenance = {
        "system": system.name,
        **({"latent_names": list(system.latent_names)} if system.latent_names else {}),
        "units": units,
        "seed": seed,
        "training": dataclasses.asdict(training),
        "device": device,
        "versions": {"ddm2snn": package_version(), "torch": str(torch.__version__), "numpy": np.__version__},
        **report.as_json(),
        "ridge": stages[chosen].ridge,
        "points_added": points_added,
        "spurious_attractors": attractors_left,
        "loss": projection.history[:: max(1, len(projection.history) // 200)] + projection.history[-1:],
        "integration_step": task.cloud.dt,
    }
    return dataclasses.replace(network, provenance=provenance)


def starting_projection(
    task: Task, units: int, training: Training, rng: np.random.Generator, device: Device
) -> VariableProjection:
    """Place hidden units on the points, in random directions, with the gain that starts at the lowest loss."""
    directions = rng.standard_normal((units, task.points.shape[1]))
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


def _judged(network: RateNetwork, ridge: float, system: System, states: States, inside: np.ndarray | None) -> Stage:
    """Measure the errors of a network, fitted at a ridge, on states and in a domain that it was not fitted to."""
    places = [states] if inside is None else [states, inside[0]]
    return Stage(
        ridge=ridge,
        drift_error=float(max(drift_error(network, system, some).max() for some in places)),
        diffusion_error=diffusion_error(network, system, states),
        readout_norm=float(np.abs(network.right_vectors).sum()),
    )


def _reaches(stage: Stage, training: Training) -> bool:
    """Whether both errors are as small as asked."""
    return stage.drift_error <= training.error and stage.diffusion_error <= training.diffusion_error


def _choice(stages: Sequence[Stage], training: Training) -> int:
    """Stage with the smallest read-out among those that reach the errors, or with the smallest drift error if none."""
    good = [number for number, stage in enumerate(stages) if _reaches(stage, training)]
    if good:
        return min(good, key=lambda number: stages[number].readout_norm)
    return min(range(len(stages)), key=lambda number: stages[number].drift_error)


def drift_error(network: RateNetwork, system: System, points: States) -> Float[np.ndarray, " rank"]:
    """Relative root-mean-square error of the drift per latent: |f_net - f| / |f| over `points`.

    Examples
    --------
    >>> from ddm2snn.network import RateNetwork
    >>> from ddm2snn.systems import System
    >>> network = RateNetwork(
    ...     left_vectors=[[1.0]], right_vectors=[[0.0]], bias=[0.0], diffusion_factor=[[0.5]], input_map=[[1.0]],
    ...     latent_offset=[0.0], latent_scale=[1.0], initial_latent=[[0.0]],
    ... )
    >>> system, points = System(name="decay", rank=1, drift=lambda z: -2.0 * z, diffusion=1.0), np.ones((5, 1))
    >>> drift_error(network, system, points)  # the network decays at half the rate
    array([0.5])
    >>> diffusion_error(network, system, points)  # and has a quarter of the tensor
    0.75
    """
    truth = system.checked_drift(points)
    return np.sqrt(((network.drift(points) - truth) ** 2).mean(axis=0) / (truth**2).mean(axis=0))


def diffusion_error(network: RateNetwork, system: System, points: States) -> float:
    """Relative root-mean-square error of the tensor G G^T over `points`, in Frobenius norm.

    Latents are in units of the network's scale, so that none outweighs the others. Zero where the system has no noise.
    """
    unit = np.multiply.outer(network.latent_scale, network.latent_scale)
    factor = system.factor(points)
    truth = factor @ np.swapaxes(factor, -1, -2) / unit
    size = float((truth**2).sum())
    return float(np.sqrt(((network.diffusion(points) / unit - truth) ** 2).sum() / size)) if size else 0.0
