"""Drift-diffusion matching by variable projection: the read-out is solved for inside the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.frozen import as_count, check_positive
from ddm2snn.network import RateNetwork
from ddm2snn.randomness import stream
from ddm2snn.training.projection import Device, VariableProjection
from ddm2snn.training.sampling import Cloud, stationary_cloud, widened

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import System

_RIDGES = (1e-6, 1e-7, 1e-8)
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Training:
    """How a rate network is fitted.

    Parameters
    ----------
    error
        Relative drift error to reach in every latent. The ridge is lowered step by step until it is, so
        that the read-out is the smallest that will do: small read-outs make quiet spiking networks.
    ridge
        Penalty on the squared read-out, relative to the mean squared target. Given, it is the only one
        that is tried, and `error` is not looked at.
    points
        Training points; by default 16 for each unit, and 4,000 at least: fewer are learnt by heart.
    iterations
        Largest number of L-BFGS iterations at each ridge; by default 300, fewer above 128 units.
    holdout
        Points of each fresh stationary sample: one on which the ridge is chosen, one on which the drift
        error is reported.
    """

    error: float = 1e-3
    ridge: float | None = None
    points: int | None = None
    iterations: int | None = None
    holdout: int = 4000

    def __post_init__(self) -> None:
        check_positive("Training", error=self.error)
        if self.ridge is not None:
            check_positive("Training", ridge=self.ridge)
        for name in ("points", "iterations", "holdout"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, as_count(f"Training.{name}", getattr(self, name)))

    @property
    def ridges(self) -> tuple[float, ...]:
        """Ridges in the order in which they are tried."""
        return _RIDGES if self.ridge is None else (self.ridge,)

    def points_for(self, units: int) -> int:
        """Training points for a number of units."""
        return self.points or max(4000, 16 * units)

    def iterations_for(self, units: int) -> int:
        """Largest number of iterations at each ridge for a number of units."""
        return self.iterations or max(50, min(300, 300 * 128 // units))


def drift_error(
    network: RateNetwork, system: System, points: Float[np.ndarray, "sample rank"]
) -> Float[np.ndarray, " rank"]:
    """Relative root-mean-square error of the drift per latent: |f_net - f| / |f| over `points`."""
    truth = system.checked_drift(points)
    return np.sqrt(((network.drift(points) - truth) ** 2).mean(axis=0) / (truth**2).mean(axis=0))


def match(
    system: System,
    *,
    units: int,
    seed: int,
    training: Training,
    device: Device = "cpu",
    progress: Progress = lambda share: None,
) -> RateNetwork:
    r"""Fit :math:`W_s\tanh(\Gamma z + b) \approx f(z) + z` by variable projection and set G from the system.

    Latents are standardised by the stationary cloud; each dimension of the drift is weighted by its own
    root mean square, so that the loss is the relative error that is reported.
    """
    rng = stream(seed, "training", "points")
    progress(0.0)
    cloud = stationary_cloud(system, training.points_for(units), rng)
    offset, scale = cloud.mean, cloud.scale
    z = widened((cloud.points - offset) / scale, rng)
    velocity = system.checked_drift(z * scale + offset) / scale
    if not np.isfinite(velocity).all():
        raise InputError(f"System {system.name}: the drift is NaN or infinite near its stationary cloud. Check it.")
    if (_rms(velocity) == 0).any():
        raise InputError(f"System {system.name}: the drift of a latent is zero everywhere; there is nothing to match.")
    projection = _start(z, velocity, units, stream(seed, "training", "start"), device)
    judged_by = stationary_cloud(system, training.holdout, stream(seed, "training", "selection")).points
    stages: list[dict[str, float]] = []
    share = 1.0 / len(training.ridges)
    while True:
        ridge = training.ridges[len(stages)]
        begun = share * len(stages)
        projection.descend(
            ridge, training.iterations_for(units), lambda done, begun=begun: progress(begun + share * done)
        )
        network = _network(projection, ridge, _rms(velocity), system, cloud)
        worst = float(drift_error(network, system, judged_by).max())
        stages.append({"ridge": ridge, "drift_error": worst, "readout_norm": _size(network)})
        if worst <= training.error or len(stages) == len(training.ridges):
            break
    progress(1.0)
    return _with_provenance(network, system, cloud, seed, training, device, stages, projection.history)


def _start(
    z: Float[np.ndarray, "sample rank"],
    velocity: Float[np.ndarray, "sample rank"],
    units: int,
    rng: np.random.Generator,
    device: Device,
) -> VariableProjection:
    """Place hidden units on the cloud, in random directions, and weigh the points."""
    rank = z.shape[1]
    # outside the cloud a drift can be huge: what is out there may be wrong in proportion to its size
    speed = np.linalg.norm(velocity / _rms(velocity), axis=1) / np.sqrt(rank)
    typical = np.quantile(speed[: len(speed) // 2], 0.999)  # the first half of the points are stationary
    directions = rng.standard_normal((units, rank))
    directions *= rng.uniform(0.5, 2.0, (units, 1)) / np.linalg.norm(directions, axis=1, keepdims=True)
    centres = z[rng.integers(len(z), size=units)]
    return VariableProjection(
        points=z,
        target=(z + velocity) / _rms(velocity),
        weight=1.0 / np.maximum(1.0, speed / typical),
        left_vectors=directions,
        bias=-(directions * centres).sum(axis=1),
        device=device,
    )


def _network(
    projection: VariableProjection, ridge: float, unit: Float[np.ndarray, " rank"], system: System, cloud: Cloud
) -> RateNetwork:
    """Rate network of the projection as it stands; `unit` undoes the scaling of its target."""
    gamma, bias = projection.hidden_weights()
    return RateNetwork(
        left_vectors=gamma,
        right_vectors=projection.readout(ridge) * unit,
        bias=bias,
        diffusion_factor=system.diffusion_factor / cloud.scale[:, None],
        input_map=np.diag(1.0 / cloud.scale),
        latent_offset=cloud.mean,
        latent_scale=cloud.scale,
        initial_latent=cloud.points[:1024],
    )


def _size(network: RateNetwork) -> float:
    return float(np.abs(network.right_vectors).sum())


def _rms(values: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, " rank"]:
    return np.sqrt((values**2).mean(axis=0))


def _with_provenance(
    network: RateNetwork,
    system: System,
    cloud: Cloud,
    seed: int,
    training: Training,
    device: Device,
    stages: list[dict[str, float]],
    history: list[float],
) -> RateNetwork:
    import dataclasses

    import torch

    from ddm2snn import __version__

    fresh = stationary_cloud(system, training.holdout, stream(seed, "training", "holdout"))
    provenance = {
        "system": system.name,
        "units": network.units,
        "seed": seed,
        "training": dataclasses.asdict(training),
        "device": device,
        "versions": {"ddm2snn": __version__, "torch": str(torch.__version__), "numpy": np.__version__},
        "drift_error": drift_error(network, system, fresh.points).tolist(),
        "readout_norm": _size(network),
        "ridge": stages[-1]["ridge"],
        "stages": stages,
        "loss": history[:: max(1, len(history) // 200)] + history[-1:],
        "integration_step": cloud.dt,
    }
    return dataclasses.replace(network, provenance=provenance)
