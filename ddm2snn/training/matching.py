"""Drift-diffusion matching by variable projection: the read-out is solved for inside the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import stream
from ddm2snn.base.version import package_version
from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork
from ddm2snn.training.accuracy import diffusion_error, drift_error
from ddm2snn.training.options import Training
from ddm2snn.training.robustness import check_return, strays
from ddm2snn.training.sampling import Cloud, stationary_cloud, training_points
from ddm2snn.training.variable_projection import Device, VariableProjection

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.neuron.activation import Activation
    from ddm2snn.systems.system import System

_POOL = 32  # stationary states to choose each training point from
_LARGEST_POOL = 400_000
_LENIENCE = 4.0  # the misfit also counts points beside the stationary states, where errors are larger
_HELD, _REACHES, _ROUNDS = 0.2, (0.6, 1.0, 1.6), 8  # weight and places of points against strays, and attempts
_PRICE = 1.5  # factor on the drift error, where it is above the one asked for, that is not paid for them
_GAINS = (0.2, 0.4, 0.8, 1.25)


@dataclass(frozen=True)
class Task:
    """What is regressed, in standardised coordinates.

    Parameters
    ----------
    cloud
        Stationary states that fix origin and unit of the coordinates.
    points, target, weight
        Regressors z (sample, rank), outputs (sample, output) and weights (sample,).
    unit
        What one unit of each output stands for: latents of z + f(z), then entries of the factor G.
    factor
        Constant part of G, shape (rank, rank).
    """

    cloud: Cloud
    points: Float[np.ndarray, "sample rank"]
    target: Float[np.ndarray, "sample output"]
    weight: Float[np.ndarray, " sample"]
    unit: Float[np.ndarray, " output"]
    factor: Float[np.ndarray, "rank rank"]


def match(
    system: System,
    *,
    units: int,
    seed: int,
    training: Training,
    device: Device = "cpu",
    progress: Progress = lambda share: None,
) -> RateNetwork:
    r"""Fit :math:`W_s\phi(\Gamma z + b) \approx f(z) + z`, and G from the same units, by variable projection.

    Latents are standardised by the stationary cloud; each dimension of the drift is weighted by its own
    root mean square, so that the loss is the relative error that is reported. A factor G(z) that depends
    on the state is a further output: the system's own where it is lower triangular, else the Cholesky
    factor of its tensor.
    """
    progress(0.0)
    task = _task(system, training.points_for(units), stream(seed, "training", "points"))
    projection = _start(task, units, training, stream(seed, "training", "start"), device)
    held_out = stationary_cloud(system, 2 * training.holdout, stream(seed, "training", "holdout")).points
    judged_by, fresh = held_out[: training.holdout], held_out[training.holdout :]
    stages: list[dict[str, float]] = []
    candidates: list[RateNetwork] = []
    share = 1.0 / len(training.ridges)
    # a larger ridge at which the error is out of reach only prepares the next one
    goal = 0.0 if training.sweep else _LENIENCE * task.target.shape[1] * training.error**2
    for begun, ridge in enumerate(training.ridges):
        projection.descend(
            ridge,
            training.iterations_for(units),
            lambda done, begun=begun: progress(share * (begun + done)),
            goal if ridge > training.ridges[-1] else 0.0,
        )
        network = _network(projection, ridge, task, training.activation)
        candidates.append(network)
        stages.append(_stage(ridge, network, system, judged_by))
        if _reached(stages[-1], training) and not training.sweep:
            break
    progress(1.0)
    chosen = _choice(stages, training)
    limit = max(training.error, _PRICE * stages[chosen]["drift_error"])
    network, held, strayed = _brought_back(
        candidates[chosen], system, task, stages[chosen]["ridge"], stream(seed, "training", "strays"),
        lambda network: float(drift_error(network, system, judged_by).max()) <= limit,
    )  # fmt: skip
    provenance = {
        **_provenance(system, units, seed, training, device),
        "drift_error": drift_error(network, system, fresh).tolist(),
        "diffusion_error": diffusion_error(network, system, fresh),
        "readout_norm": float(np.abs(network.right_vectors).sum()),
        "ridge": stages[chosen]["ridge"],
        "stages": stages,
        "points_held": held,
        "places_of_strays": strayed,
        "loss": projection.history[:: max(1, len(projection.history) // 200)] + projection.history[-1:],
        "integration_step": task.cloud.dt,
        "robustness": dataclasses.asdict(check_return(network, system, fresh, stream(seed, "training", "return"))),
    }
    return dataclasses.replace(network, provenance=provenance)


def _task(system: System, count: int, rng: np.random.Generator) -> Task:
    """Sample the system and put together what is regressed."""
    pool = stationary_cloud(system, min(_POOL * count, max(count, _LARGEST_POOL)), rng)
    cloud = Cloud(pool.points[:count], pool.dt)
    offset, scale = cloud.mean, cloud.scale
    z = training_points((pool.points - offset) / scale, count, rng)
    states = z * scale + offset
    velocity = system.checked_drift(states) / scale
    if not np.isfinite(velocity).all():
        raise InputError(f"System {system.name}: the drift is NaN or infinite near its stationary cloud. Check it.")
    stationary = velocity[: count - count // 2]
    if (_rms(velocity) == 0).any() or (_rms(stationary) == 0).any():
        raise InputError(f"System {system.name}: the drift of a latent is zero everywhere; there is nothing to match.")
    # outside the cloud a drift can be huge: what is out there may be wrong in proportion to its size
    speed = np.linalg.norm(velocity / _rms(stationary), axis=1) / np.sqrt(system.rank)
    weight = 1.0 / np.maximum(1.0, speed / np.quantile(speed[: len(stationary)], 0.999))
    unit, target = _rms(stationary), (z + velocity) / _rms(stationary)
    if system.constant_factor is not None:
        return Task(cloud, z, target, weight, unit, system.constant_factor / scale[:, None])
    factor = _triangular(system, states) / scale[:, None]
    centre = factor[: len(stationary)].mean(axis=0)
    size = np.full(system.rank**2, np.sqrt((factor[: len(stationary)] ** 2).mean() * system.rank))
    entries = (factor - centre).reshape(len(z), -1) / size
    return Task(cloud, z, np.hstack([target, entries]), weight, np.hstack([unit, size]), centre)


def _triangular(system: System, states: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample rank rank"]:
    """Lower-triangular factors with the system's tensor: its own where it has one, else by Cholesky."""
    factor = system.factor(states)
    if not np.isfinite(factor).all():
        raise InputError(f"System {system.name}: the diffusion is NaN or infinite near its stationary cloud. Check it.")
    if not np.triu(factor, 1).any():
        return factor
    tensor = factor @ np.swapaxes(factor, -1, -2)
    trace = np.trace(tensor, axis1=-2, axis2=-1)[:, None, None]
    try:
        return np.linalg.cholesky(tensor + 1e-12 * trace * np.eye(system.rank))
    except np.linalg.LinAlgError as error:
        raise InputError(
            f"System {system.name}: its diffusion tensor vanishes somewhere near its stationary cloud, where no smooth "
            "factor can be read off it. Give diffusion as a lower-triangular matrix G(z)."
        ) from error


def _start(task: Task, units: int, training: Training, rng: np.random.Generator, device: Device) -> VariableProjection:
    """Place hidden units on the points, in random directions, with the gain that starts at the lowest loss."""
    rank = task.points.shape[1]
    directions = rng.standard_normal((units, rank))
    directions *= rng.uniform(0.4, 1.6, (units, 1)) / np.linalg.norm(directions, axis=1, keepdims=True)
    centres = task.points[rng.integers(len(task.points), size=units)]
    threshold = 1.0 if training.activation == "lif" else 0.0

    def begun(gain: float, every: int) -> VariableProjection:
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
    losses = [begun(gain, few).loss(training.ridges[0]) for gain in _GAINS]
    return begun(_GAINS[int(np.argmin(losses))], 1)


def _brought_back(
    network: RateNetwork,
    system: System,
    task: Task,
    ridge: float,
    rng: np.random.Generator,
    good: Callable[[RateNetwork], bool] = lambda network: True,
) -> tuple[RateNetwork, int, int]:
    """Solve for the read-out again with a drift of -z wherever trajectories from far outside stay for good.

    Units that have saturated leave a constant output in each direction, and where that points outwards lies a
    fixed point which no training point sees. One point more per stray costs the fit next to nothing as a rule; where
    it costs more than is `good`, the network before is the last. Returns it with the number of points that hold it
    and of places where strays are left.
    """
    held = np.empty((0, network.rank))
    found = strays(network, system, rng)
    for _ in range(_ROUNDS):
        if not len(found):
            break
        more = np.concatenate([held, *(reach * found for reach in _REACHES)])
        projection = VariableProjection(
            points=np.concatenate([task.points, more]),
            target=np.concatenate([task.target, np.zeros((len(more), task.target.shape[1]))]),
            weight=np.concatenate([task.weight, _HELD / np.linalg.norm(more / task.unit[: network.rank], axis=1)]),
            left_vectors=network.left_vectors.copy(),
            bias=network.bias.copy(),
            activation=network.activation,
        )
        tried = _network(projection, ridge, task, network.activation)
        if not good(tried):
            break
        network, held, found = tried, more, strays(tried, system, rng)
    return network, len(held), len(found)


def _network(projection: VariableProjection, ridge: float, task: Task, activation: Activation) -> RateNetwork:
    """Rate network of the projection as it stands."""
    gamma, bias = projection.hidden_weights()
    readout, rank = projection.readout(ridge) * task.unit, gamma.shape[1]
    cloud, entries = task.cloud, readout[:, rank:]
    return RateNetwork(
        left_vectors=gamma,
        right_vectors=readout[:, :rank],
        bias=bias,
        diffusion_factor=task.factor,
        input_map=np.diag(1.0 / cloud.scale),
        latent_offset=cloud.mean,
        latent_scale=cloud.scale,
        initial_latent=cloud.points[:1024],
        activation=activation,
        diffusion_readout=entries.reshape(-1, rank, rank) if entries.size else None,
    )


def _stage(
    ridge: float, network: RateNetwork, system: System, points: Float[np.ndarray, "sample rank"]
) -> dict[str, float]:
    return {
        "ridge": ridge,
        "drift_error": float(drift_error(network, system, points).max()),
        "diffusion_error": diffusion_error(network, system, points),
        "readout_norm": float(np.abs(network.right_vectors).sum()),
    }


def _reached(stage: dict[str, float], training: Training) -> bool:
    return stage["drift_error"] <= training.error and stage["diffusion_error"] <= training.diffusion_error


def _choice(stages: list[dict[str, float]], training: Training) -> int:
    """Index of the smallest read-out that reaches the asked errors, or of the smallest drift error if none does."""
    good = [i for i, stage in enumerate(stages) if _reached(stage, training)]
    if good:
        return min(good, key=lambda i: stages[i]["readout_norm"])
    return min(range(len(stages)), key=lambda i: stages[i]["drift_error"])


def _rms(values: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, " rank"]:
    return np.sqrt((values**2).mean(axis=0))


def _provenance(system: System, units: int, seed: int, training: Training, device: Device) -> dict[str, object]:
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
