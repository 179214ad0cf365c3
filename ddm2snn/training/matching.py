"""Drift-diffusion matching by variable projection: the read-out is solved for inside the loss."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.frozen import as_count, check_positive
from ddm2snn.network import RateNetwork
from ddm2snn.randomness import stream
from ddm2snn.training.sampling import Cloud, stationary_cloud, widened

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float

    from ddm2snn.systems.system import System

_FEATURES_WORTH_THREADS = 1_000_000
Device = Literal["cpu", "cuda"]
Progress = Callable[[float], None]


@dataclass(frozen=True)
class Training:
    """How a rate network is fitted.

    Parameters
    ----------
    ridge
        Penalty on the squared read-out, relative to the mean squared target. Small read-outs make quiet
        spiking networks: at equal drift error, 1e-9 leaves a ten times larger one than 1e-6.
    points
        Training points.
    iterations
        Largest number of L-BFGS iterations.
    holdout
        Points of the fresh stationary sample on which the drift error is reported.
    """

    ridge: float = 1e-6
    points: int = 4000
    iterations: int = 300
    holdout: int = 4000

    def __post_init__(self) -> None:
        check_positive("Training", ridge=self.ridge)
        for name in ("points", "iterations", "holdout"):
            object.__setattr__(self, name, as_count(f"Training.{name}", getattr(self, name)))


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
    r"""Fit :math:`W_s\tanh(\Gamma z + b) \approx f(z) + z` and set G from the system.

    With features :math:`\Phi = \tanh(z\Gamma^\top + b)` the loss after solving for the read-out is
    :math:`\min_{W_s} \langle|\Phi W_s^\top - y|^2\rangle + \lambda |W_s|^2`, minimised over
    :math:`(\Gamma, b)` by L-BFGS in float64 (variable projection: Golub, Pereyra, SIAM J. Numer. Anal.
    10, 1973). Latents are standardised by the stationary cloud; each dimension of the drift is weighted
    by its own root mean square, so that the loss is the relative error that is reported.
    """
    rng = stream(seed, "training", "points")
    progress(0.0)
    cloud = stationary_cloud(system, training.points, rng)
    offset, scale = cloud.mean, cloud.scale
    z = widened((cloud.points - offset) / scale, rng)
    velocity = system.checked_drift(z * scale + offset) / scale
    if not np.isfinite(velocity).all():
        raise InputError(f"System {system.name}: the drift is NaN or infinite near its stationary cloud. Check it.")
    if (_rms(velocity) == 0).any():
        raise InputError(f"System {system.name}: the drift of a latent is zero everywhere; there is nothing to match.")
    gamma, bias, w_s, history = _fit(z, velocity, units, stream(seed, "training", "start"), training, device, progress)
    factor = system.diffusion_factor / scale[:, None]
    network = RateNetwork(
        left_vectors=gamma,
        right_vectors=w_s,
        bias=bias,
        diffusion_factor=factor,
        input_map=np.diag(1.0 / scale),
        latent_offset=offset,
        latent_scale=scale,
        initial_latent=cloud.points[:1024],
    )
    return _with_provenance(network, system, cloud, seed, training, device, history)


def _fit(
    z: Float[np.ndarray, "sample rank"],
    velocity: Float[np.ndarray, "sample rank"],
    units: int,
    rng: np.random.Generator,
    training: Training,
    device: Device,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[float]]:
    """Return Gamma (unit, rank), b (unit,), W_s^T (unit, rank) and the loss per iteration."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda was asked for, but torch finds no CUDA device. Use --device cpu.")
    rank = z.shape[1]
    put = {"dtype": torch.float64, "device": torch.device(device)}
    points = torch.as_tensor(z, **put)
    # far from the cloud a drift can be huge: what is out there may be wrong in proportion to its size
    speed = np.linalg.norm(velocity / _rms(velocity), axis=1) / np.sqrt(rank)
    weight = torch.as_tensor(1.0 / np.maximum(1.0, speed / 2.0), **put)[:, None]
    unit = torch.as_tensor(_rms(velocity), **put)
    target = torch.as_tensor(z + velocity, **put) / unit * weight
    directions = rng.standard_normal((units, rank))
    directions *= rng.uniform(0.5, 2.0, (units, 1)) / np.linalg.norm(directions, axis=1, keepdims=True)
    centres = z[rng.integers(len(z), size=units)]
    gamma = torch.as_tensor(directions, **put).requires_grad_()
    bias = torch.as_tensor(-(directions * centres).sum(axis=1), **put).requires_grad_()
    ridge = training.ridge * torch.eye(units, **put)
    optimiser = torch.optim.LBFGS(
        [gamma, bias], max_iter=training.iterations, history_size=50, line_search_fn="strong_wolfe",
        tolerance_grad=1e-10, tolerance_change=1e-13,
    )  # fmt: skip
    history: list[float] = []

    def solve(features: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            gram = features.T @ features / len(features) + ridge
            return torch.cholesky_solve(features.T @ target / len(features), torch.linalg.cholesky(gram))

    def hidden() -> torch.Tensor:
        return torch.tanh(points @ gamma.T + bias) * weight

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        features = hidden()
        # the read-out minimises this very loss, ridge included, so its own derivative does not count
        readout = solve(features)
        loss = ((features @ readout - target) ** 2).sum(dim=1).mean() + training.ridge * (readout**2).sum()
        loss.backward()
        history.append(float(loss.detach()))
        progress(min(1.0, len(history) / (1.25 * training.iterations)))
        return loss

    try:
        with _few_threads(len(z) * units):
            optimiser.step(closure)
            readout = solve(hidden()) * unit
    except torch.linalg.LinAlgError as error:  # pyright: ignore[reportPrivateImportUsage]
        raise InputError("Training broke down: its features are not finite or repeat. Use a larger ridge.") from error
    if not np.isfinite(history[-1]):
        raise InputError("Training diverged: the loss is not finite. Use a larger ridge or fewer units.")
    gamma, bias = gamma.detach(), bias.detach()
    return gamma.cpu().numpy(), bias.cpu().numpy(), readout.cpu().numpy(), history


@contextlib.contextmanager
def _few_threads(features: int) -> Iterator[None]:
    """Keep torch to one thread where threads would wait for each other longer than they compute."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if features < _FEATURES_WORTH_THREADS else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rms(values: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, " rank"]:
    return np.sqrt((values**2).mean(axis=0))


def _with_provenance(
    network: RateNetwork,
    system: System,
    cloud: Cloud,
    seed: int,
    training: Training,
    device: Device,
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
        "readout_norm": float(np.abs(network.right_vectors).sum()),
        "loss": history[:: max(1, len(history) // 200)] + history[-1:],
        "integration_step": cloud.dt,
    }
    return dataclasses.replace(network, provenance=provenance)
