"""Diffusion factor: noise that depends on the state, its factor decoded from the spikes of the same neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.diffusion_tensor import symmetric_factor
from ddm2snn.base.least_squares import NormalEquations, fit_ridge
from ddm2snn.conversion.driving import driven
from ddm2snn.conversion.noise_budget import diffusion_by_state, drift_errors, injected_by_state, smooth_features
from ddm2snn.conversion.trajectories import Visited, latents_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.decoders.calibrated import Calibrated
    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.network import RateNetwork

FILTER = 0.05  # rate time units; see `DiffusionFactor` [measured: anisotropic, stuartlandau]
_TRAJECTORIES, _DURATION = 64, 50.0  # that correct and judge the factor [cost]
_SPIKES_DURATION = 100.0  # a tensor as a function of the state takes more data than its mean [cost]
_RIDGES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # of which the one with the least held-out error is taken [choice]
# value of the constant regressor: of the size of filtered spikes, so that no ridge weighs on it [choice]
_ONE_HZ = 100.0
_ROUNDS = 8  # of corrections [cost]
_CHANGE_RIDGE = 1e-5  # of a correction, relative to the mean square of its features [choice]
_SHOWN = 16  # states in the diagnostics [code]
Tensor = Callable[["Float[np.ndarray, 'sample rank']"], "Float[np.ndarray, 'sample rank rank']"]


@dataclass(frozen=True, eq=False)
class DiffusionFactor:
    r"""What spikes decode of the injected noise: :math:`\hat G = G_0 + H r`, r filtered spikes in Hz.

    The factor that is decoded has noise of its own, e, so that :math:`\langle\hat G\hat G^\top\rangle =
    \bar G\bar G^\top + \langle e e^\top\rangle` at a state. Decoders are solved for a mean :math:`\bar G` that makes
    this the tensor to inject. Filters shorter than `FILTER` rate time units hand on more of the spikes' noise, longer
    ones lag behind the state: with 512 neurons and a time unit of 0.2 s, filters of 0.01, 0.02, 0.05, 0.1 and 0.2 rate
    time units left held-out errors of 16, 12, 8.8, 8.9 and 11 % of the factor for the system ``anisotropic``.

    :math:`G_0` (`constant`) and H (`decoders`) are in internal units and internal units per Hz. The diagnostics are
    JSON values as `ddm2snn.conversion.diagnostics.Diffusion` holds them.
    """

    constant: Float[np.ndarray, "rank rank"]
    decoders: Float[np.ndarray, "rank rank neuron"]
    filter_s: float
    diagnostics: Mapping[str, Any]


def spikes_by_state(
    rate: RateNetwork,
    ensemble: Ensemble,
    decoders: Float[np.ndarray, "rank neuron"],
    states: Float[np.ndarray, "sample rank"] | Visited,
    rng: np.random.Generator,
) -> Tensor:
    """Diffusion tensor that the spikes bring along, as a function of the state, measured open loop."""
    error, z = drift_errors(rate, ensemble, decoders, states, rng, _SPIKES_DURATION)
    weights = diffusion_by_state(rate, error, z, _SPIKES_DURATION / error.shape[1])
    return lambda state: np.tensordot(smooth_features(rate, state), weights, axes=1)


def calibrate_factor(
    rate: RateNetwork,
    ensemble: Ensemble,
    states: Float[np.ndarray, "sample rank"] | Visited,
    spikes: Tensor,
    settings: Calibrated,
    rng: np.random.Generator,
) -> DiffusionFactor:
    """Regress the factor on filtered spikes along trajectories, with the ridge that is best on held-out ones.

    The tensor of `rate` is the target, less what `spikes` bring along.
    """
    aim = _Aim(rate, spikes)
    columns_of, columns = ensemble.shared_columns(settings.most_decoders)
    duration = settings.duration_for(ensemble.neurons) / settings.trajectories
    held_out, entries = settings.trajectories // 4, rate.rank**2
    width = entries + smooth_features(rate, latents_of(states)[:1]).shape[1]
    training, judged = (NormalEquations.empty(columns + 1, width) for _ in range(2))
    drive = _ShortFilter(ensemble, columns_of)
    for regressors, z in drive.along(rate, states, settings.trajectories, duration, rng, settings.perturbed):
        for equations, part in ((judged, slice(0, held_out)), (training, slice(held_out, None))):
            state = z[part].reshape(-1, rate.rank)
            equations.add(regressors[part].reshape(-1, columns + 1), aim.columns(state))
    errors = {ridge: float(judged.error(training.solve(ridge))[:entries].sum()) for ridge in _RIDGES}
    ridge = min(errors, key=errors.__getitem__)
    power = max(float(judged.square[:entries].sum()) / judged.samples, np.finfo(float).tiny)
    curve = {f"{r:g}": float(np.sqrt(e / power)) for r, e in errors.items()}
    weights, quality = _corrected(aim, drive, (training + judged).solve(ridge), states, rng)
    return drive.factor(weights, rate.rank, {"ridge": ridge, "held_out_error": curve, **quality})


def static_factor(
    rate: RateNetwork,
    ensemble: Ensemble,
    z: Float[np.ndarray, "sample rank"],
    states: Float[np.ndarray, "sample rank"] | Visited,
    ridge: float,
    rng: np.random.Generator,
) -> DiffusionFactor:
    r"""Regress the factor on f-I curves; all of the target is injected, less the factor's own noise.

    The ridge allows for filtered spikes as noisy as those of a Poisson process, of variance
    :math:`\bar r / (2\tau)`, where that is more than the ridge of the other decoders.
    """
    aim = _Aim(rate, lambda state: np.zeros((len(state), rate.rank, rate.rank)))
    drive = _ShortFilter(ensemble, np.arange(ensemble.neurons))
    rates_hz = ensemble.rates_hz(z)
    noise = rates_hz.mean() / (2.0 * drive.filter_s)
    variance = max(float(noise), (ridge * float(rates_hz.max())) ** 2)
    equations = NormalEquations.empty(ensemble.neurons + 1, rate.rank**2 + smooth_features(rate, z[:1]).shape[1])
    equations.add(np.hstack([rates_hz, np.full((len(z), 1), _ONE_HZ)]), aim.columns(z))
    relative = variance * equations.samples / float(np.diag(equations.gram).mean())
    weights, quality = _corrected(aim, drive, equations.solve(relative), states, rng)
    return drive.factor(weights, rate.rank, {"ridge": relative, **quality})


@dataclass(frozen=True)
class _Aim:
    """What is to be injected at each state."""

    rate: RateNetwork
    spikes: Tensor

    def target(self, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample rank rank"]:
        factor = self.rate.internal_factor(z)
        return factor @ np.swapaxes(factor, -1, -2)

    def tensor(self, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample rank rank"]:
        return injected_by_state(self.target(z), self.spikes(z))

    def columns(self, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample column"]:
        """Symmetric factor, and the features that corrections of it are made of."""
        return np.hstack([symmetric_factor(self.tensor(z)).reshape(len(z), -1), smooth_features(self.rate, z)])


@dataclass(frozen=True)
class _ShortFilter:
    """Neurons behind the short filter."""

    ensemble: Ensemble
    columns: Int[np.ndarray, " neuron"]

    @property
    def filter_s(self) -> float:
        """Time constant of the filter: no shorter than a step."""
        return max(FILTER * self.ensemble.clock.time_unit_s, self.ensemble.clock.dt_s)

    def along(
        self,
        rate: RateNetwork,
        states: Float[np.ndarray, "sample rank"] | Visited,
        trajectories: int,
        duration: float,
        rng: np.random.Generator,
        perturbed: float = 0.0,
    ) -> Iterator[tuple[Float[np.ndarray, "trial sample column"], Float[np.ndarray, "trial sample rank"]]]:
        """Blocks of filtered spikes, a constant behind them, and the states at which they are the factor's."""
        settings = trajectories, duration, rng, perturbed, self.filter_s
        for block in driven(rate, self.ensemble, states, self.columns, *settings):
            constant = np.full((*block.spikes_hz.shape[:2], 1), _ONE_HZ)
            yield np.concatenate([block.spikes_hz, constant], axis=-1), block.states

    def factor(
        self, weights: Float[np.ndarray, "column entry"], rank: int, diagnostics: Mapping[str, Any]
    ) -> DiffusionFactor:
        """Decoders of every neuron from those of the columns; the last is the constant's."""
        constant = _ONE_HZ * weights[-1].reshape(rank, rank)
        decoders = weights[:-1].T.reshape(rank, rank, -1)[..., self.columns]
        return DiffusionFactor(constant, decoders, self.filter_s, diagnostics)


def _corrected(
    aim: _Aim,
    drive: _ShortFilter,
    weights: Float[np.ndarray, "column column"],
    states: Float[np.ndarray, "sample rank"] | Visited,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "column entry"], dict[str, Any]]:
    r"""Weights of the factor, changed until the mean of :math:`\hat G\hat G^\top` at a state is what to inject there.

    In each round the factor that is asked for grows by the smooth function of the state :math:`\delta` with
    :math:`S\delta + \delta S = \langle R - \hat G\hat G^\top\rangle`, S the symmetric root of R. The round that leaves
    least is taken, and judged on trajectories of its own.
    """
    rank, entries = aim.rate.rank, aim.rate.rank**2

    def sample() -> tuple[np.ndarray, np.ndarray]:
        decoded, reached = [], []
        for regressors, z in drive.along(aim.rate, states, _TRAJECTORIES, _DURATION, rng):
            decoded.append((regressors @ weights).reshape(-1, weights.shape[1]))
            reached.append(z.reshape(-1, rank))
        return np.concatenate(decoded), np.concatenate(reached)

    decoded, z = sample()
    features, wanted = smooth_features(aim.rate, z), aim.tensor(z)
    change = best = np.zeros((features.shape[1], entries))
    least = np.inf
    for _ in range(_ROUNDS):
        factor = (decoded[:, :entries] + decoded[:, entries:] @ change).reshape(-1, rank, rank)
        missing = wanted - factor @ np.swapaxes(factor, -1, -2)
        left = float(((features @ fit_ridge(features, missing.reshape(-1, entries))) ** 2).mean())
        if left < least:
            best, least = change, left
        change = change + fit_ridge(features, _halved(wanted, missing).reshape(-1, entries), _CHANGE_RIDGE)
    solved = weights[:, :entries] + weights[:, entries:] @ best
    decoded, z = sample()
    factor = (decoded[:, :entries] + decoded[:, entries:] @ best).reshape(-1, rank, rank)
    return solved, _quality(aim, factor, z)


def _halved(
    wanted: Float[np.ndarray, "sample rank rank"], missing: Float[np.ndarray, "sample rank rank"]
) -> Float[np.ndarray, "sample rank rank"]:
    """Solution of S x + x S = missing with S the symmetric root of `wanted`; zero where S has no noise."""
    values, vectors = np.linalg.eigh(wanted)
    size = np.sqrt(np.maximum(values, 0.0))
    both = size[:, :, None] + size[:, None]
    turned = np.swapaxes(vectors, -1, -2) @ missing @ vectors
    used = both > 1e-6 * np.maximum(both.max(axis=(1, 2), keepdims=True), 1e-300)
    return vectors @ np.where(used, turned / np.where(used, both, 1.0), 0.0) @ np.swapaxes(vectors, -1, -2)


def _quality(
    aim: _Aim, factor: Float[np.ndarray, "sample rank rank"], z: Float[np.ndarray, "sample rank"]
) -> dict[str, Any]:
    """How well the factor is decoded on given samples, and the budget by state."""
    features, wanted = smooth_features(aim.rate, z), aim.tensor(z)
    flat = (len(z), -1)

    def smooth(values: np.ndarray) -> np.ndarray:
        return (features @ fit_ridge(features, values.reshape(flat))).reshape(values.shape)

    missing = smooth(wanted - factor @ np.swapaxes(factor, -1, -2))
    root = symmetric_factor(wanted)
    mean = root + smooth(factor - root)
    power = max(float((wanted**2).mean()), np.finfo(float).tiny)
    trace = max(float(np.trace(wanted, axis1=1, axis2=2).mean()), np.finfo(float).tiny)
    few = np.linspace(0, len(z) - 1, _SHOWN).round().astype(int)
    target, spikes = aim.target(z), aim.spikes(z)
    ratio = np.trace(spikes, axis1=1, axis2=2) / np.maximum(np.trace(target, axis1=1, axis2=2), np.finfo(float).tiny)
    return {
        "tensor_error": float(np.sqrt((missing**2).mean() / power)),
        "factor_noise": float(((factor - mean) ** 2).sum(axis=(1, 2)).mean() / trace),
        "spikes_over_target": {
            name: float(np.quantile(ratio, q)) for name, q in (("lowest", 0.05), ("median", 0.5), ("highest", 0.95))
        },
        "by_state": {
            "state": z[few].tolist(),
            "target": target[few].tolist(),
            "spikes": spikes[few].tolist(),
            "injected": (wanted - missing)[few].tolist(),
        },
    }
