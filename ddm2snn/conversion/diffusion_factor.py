"""Diffusion factor: noise that depends on the state, its factor decoded from the spikes of the same neurons."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.conversion.calibration import EVERY, Calibrated, NormalEquations, in_blocks, pooled
from ddm2snn.conversion.decoders import rates_along_flow
from ddm2snn.conversion.noise_budget import (
    diffusion_by_state,
    drift_errors,
    factor_of,
    regressed,
    rest_by_state,
    smooth_features,
)
from ddm2snn.conversion.open_loop import Drive
from ddm2snn.conversion.trajectories import Trajectories

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.decoders import Clockwork, Static
    from ddm2snn.conversion.population import Encoding
    from ddm2snn.network import RateNetwork
    from ddm2snn.neuron import NeuronModel

FILTER = 0.05  # rate time units; see `DiffusionFactor`
_TRAJECTORIES, _DURATION = 64, 50.0
_SPIKES_DURATION = 100.0  # a tensor as a function of the state takes more data than its mean
_RIDGES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
_ONE_HZ = 100.0  # value of the constant regressor: of the size of filtered spikes, so that no ridge weighs on it
_ROUNDS = 8
_CHANGE_RIDGE = 1e-5
_SHOWN = 16  # states in the diagnostics
Tensor = Callable[["Float[np.ndarray, 'sample rank']"], "Float[np.ndarray, 'sample rank rank']"]


@dataclass(frozen=True, eq=False)
class DiffusionFactor:
    r"""What spikes decode of the injected noise: :math:`\hat G = G_0 + H r`, r filtered spikes in Hz.

    The factor that is decoded has noise of its own, e, so that :math:`\langle\hat G\hat G^\top\rangle =
    \bar G\bar G^\top + \langle e e^\top\rangle` at a state. Decoders are solved for a mean :math:`\bar G` that makes
    this the tensor to inject. The filter of `FILTER` rate time units follows from what it costs: shorter ones hand
    on more of the spikes' noise, longer ones lag behind the state. With 512 neurons and a time unit of 0.2 s, filters
    of 0.01, 0.02, 0.05, 0.1 and 0.2 rate time units left held-out errors of 16, 12, 8.8, 8.9 and 11 % of the factor
    for the system ``anisotropic``; those of 0.01, 0.02 and 0.05 left 4.0, 2.9 and 2.4 % for ``stuartlandau``.

    Parameters
    ----------
    constant
        :math:`G_0`, shape (rank, rank), internal units.
    decoders
        H, shape (rank, rank, neuron), internal units per Hz.
    filter_s
        Time constant of the filter.
    found
        Diagnostics: JSON values, internal units.
    """

    constant: Float[np.ndarray, "rank rank"]
    decoders: Float[np.ndarray, "rank rank neuron"]
    filter_s: float
    found: Mapping[str, Any]


def spikes_by_state(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    decoders: Float[np.ndarray, "rank neuron"],
    states: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
) -> Tensor:
    """Diffusion tensor that the spikes bring along, as a function of the state, measured open loop."""
    error, z = drift_errors(rate, encoding, neuron, clockwork, decoders, states, rng, _SPIKES_DURATION)
    weights = diffusion_by_state(rate, error, z, _SPIKES_DURATION / error.shape[1])
    return lambda state: np.tensordot(smooth_features(rate, state), weights, axes=1)


def calibrate_factor(
    rate: RateNetwork,
    noisy: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    states: Float[np.ndarray, "sample rank"],
    spikes: Tensor,
    settings: Calibrated,
    rng: np.random.Generator,
) -> DiffusionFactor:
    """Regress the factor on filtered spikes along trajectories, with the ridge that is best on held-out ones.

    Parameters
    ----------
    rate
        The rate network, whose tensor is the target.
    noisy
        The one whose trajectories drive the neurons.
    encoding, neuron, clockwork, states, settings, rng
        As in `ddm2snn.conversion.calibration.calibrate`.
    spikes
        Tensor that the spikes bring along.
    """
    aim = _Aim(rate, spikes)
    pool, columns = pooled(encoding, settings.most_decoders, neuron.threshold_current)
    duration = settings.duration_for(len(pool)) / settings.trajectories
    held_out, entries = settings.trajectories // 4, rate.rank**2
    width = entries + smooth_features(rate, states[:1]).shape[1]
    kept, judged = (NormalEquations.empty(columns + 1, width) for _ in range(2))
    drive = _Population(encoding, neuron, clockwork, pool)
    for regressors, z in drive.along(noisy, states, settings.trajectories, duration, rng, settings.kicked):
        for equations, part in ((judged, slice(0, held_out)), (kept, slice(held_out, None))):
            state = z[part].reshape(-1, rate.rank)
            equations.add(regressors[part].reshape(-1, columns + 1), aim.columns(state))
    errors = {ridge: float(judged.error(kept.solve(ridge))[:entries].sum()) for ridge in _RIDGES}
    ridge = min(errors, key=errors.__getitem__)
    power = max(float(judged.square[:entries].sum()) / judged.samples, np.finfo(float).tiny)
    curve = {f"{r:g}": float(np.sqrt(e / power)) for r, e in errors.items()}
    weights, found = _corrected(aim, drive, (kept + judged).solve(ridge), states, rng)
    return drive.factor(weights, rate.rank, {"ridge": ridge, "held_out_error": curve, **found})


def static_factor(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    z: Float[np.ndarray, "sample rank"],
    states: Float[np.ndarray, "sample rank"],
    settings: Static,
    rng: np.random.Generator,
) -> DiffusionFactor:
    r"""Regress the factor on f-I curves; all of the target is injected, less the factor's own noise.

    The ridge allows for filtered spikes as noisy as those of a Poisson process, of variance
    :math:`\bar r / (2\tau)`, where that is more than the ridge of the other decoders.
    """
    aim = _Aim(rate, lambda state: np.zeros((len(state), rate.rank, rate.rank)))
    drive = _Population(encoding, neuron, clockwork, np.arange(len(encoding.bias)))
    rates_hz = rates_along_flow(rate, encoding, neuron, z, clockwork, compensate_lag=False)
    noise = rates_hz.mean() / (2.0 * drive.filter_s)
    variance = max(float(noise), (settings.ridge * float(rates_hz.max())) ** 2)
    equations = NormalEquations.empty(len(encoding.bias) + 1, rate.rank**2 + smooth_features(rate, z[:1]).shape[1])
    equations.add(np.hstack([rates_hz, np.full((len(z), 1), _ONE_HZ)]), aim.columns(z))
    ridge = variance * equations.samples / float(np.diag(equations.gram).mean())
    weights, found = _corrected(aim, drive, equations.solve(ridge), states, rng)
    return drive.factor(weights, rate.rank, {"ridge": ridge, **found})


@dataclass(frozen=True)
class _Aim:
    """What is to be injected at each state."""

    rate: RateNetwork
    spikes: Tensor

    def target(self, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample rank rank"]:
        factor = self.rate.internal_factor(z)
        return factor @ np.swapaxes(factor, -1, -2)

    def tensor(self, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample rank rank"]:
        return rest_by_state(self.target(z), self.spikes(z))

    def columns(self, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample column"]:
        """Symmetric factor, and the features that corrections of it are made of."""
        return np.hstack([factor_of(self.tensor(z)).reshape(len(z), -1), smooth_features(self.rate, z)])


@dataclass(frozen=True)
class _Population:
    """Neurons behind the short filter."""

    encoding: Encoding
    neuron: NeuronModel
    clockwork: Clockwork
    pool: Int[np.ndarray, " neuron"]

    @property
    def filter_s(self) -> float:
        """Time constant of the filter: no shorter than a step."""
        return max(FILTER * self.clockwork.time_unit_s, self.clockwork.dt_s)

    def along(
        self,
        rate: RateNetwork,
        states: Float[np.ndarray, "sample rank"],
        trajectories: int,
        duration: float,
        rng: np.random.Generator,
        kicked: float = 0.0,
    ) -> Iterator[tuple[Float[np.ndarray, "trial sample column"], Float[np.ndarray, "trial sample rank"]]]:
        """Blocks of filtered spikes, a constant behind them, and the states at which they are the factor's."""
        start = states[rng.integers(len(states), size=trajectories)]
        paths = Trajectories(rate, self.clockwork, start, EVERY, rng, kicked)
        short = dataclasses.replace(self.clockwork, time_unit_s=self.filter_s)
        drive = Drive(self.encoding, self.neuron, short, rng.random((trajectories, len(self.pool))), self.pool)

        def advance(samples: int) -> tuple[np.ndarray, np.ndarray]:
            path, _, reached = paths.advance(samples)
            filtered = drive.advance(path, paths.stride)
            return np.concatenate([filtered, np.full((*filtered.shape[:2], 1), _ONE_HZ)], axis=-1), reached

        bytes_each = 8 * trajectories * max(drive.columns, paths.stride * rate.rank)
        for _, filtered, reached in in_blocks(advance, paths.every, duration, bytes_each):
            yield filtered, reached

    def factor(
        self, weights: Float[np.ndarray, "column entry"], rank: int, found: Mapping[str, Any]
    ) -> DiffusionFactor:
        """Decoders of every neuron from those of the columns; the last is the constant's."""
        constant = _ONE_HZ * weights[-1].reshape(rank, rank)
        decoders = weights[:-1].T.reshape(rank, rank, -1)[..., self.pool]
        return DiffusionFactor(constant, decoders, self.filter_s, found)


def _corrected(
    aim: _Aim,
    drive: _Population,
    weights: Float[np.ndarray, "column column"],
    states: Float[np.ndarray, "sample rank"],
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
        left = float(((features @ regressed(features, missing.reshape(-1, entries))) ** 2).mean())
        if left < least:
            best, least = change, left
        change = change + regressed(features, _halved(wanted, missing).reshape(-1, entries), _CHANGE_RIDGE)
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
        return (features @ regressed(features, values.reshape(flat))).reshape(values.shape)

    missing = smooth(wanted - factor @ np.swapaxes(factor, -1, -2))
    root = factor_of(wanted)
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
