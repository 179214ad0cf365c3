"""Prediction of a population's spike noise, drift error and cost from its curves, without a single spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.least_squares import NormalEquations, solve_penalised
from ddm2snn.conversion.drift_error import drift_error_of
from ddm2snn.conversion.noise_budget import WINDOW, NoiseBudget, diffusion_of, target_diffusion
from ddm2snn.conversion.trajectories import Trajectories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float

    from ddm2snn.conversion.clock import Clock
    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.network import RateNetwork

# rate time units: samples, pieces of constant rates, forgetting the start [choice]
_EVERY, _PIECE, _WARM_UP = 0.1, 0.02, 6.0
_TRAJECTORIES, _DURATION = 64, 20.0  # as the budget has them [cost]
_FEW_TRAJECTORIES = 8  # of the optimistic prediction [cost]
_PERTURBED = 0.25  # as calibrated decoders have it [derived]
_RIDGE = 1e-6  # relative to the mean square of the rates [choice]


@dataclass(frozen=True, eq=False)
class Prediction(NoiseBudget):
    """The noise budget that a population would have, with the spikes of all neurons in one rate time unit."""

    spikes_per_time_unit: float
    mean_rate_hz: float


def predict(
    rate: RateNetwork,
    ensemble: Ensemble,
    states: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
) -> Prediction:
    r"""Predict what `ddm2snn.conversion.noise_budget.measure_budget` would measure with calibrated decoders.

    A neuron that fires regularly emits, in a window, the integral of its rate but for the phases
    :math:`u \in [0, 1)` of its intervals at both ends, and but for the phase that it loses each time it falls
    silent; phases are independent and uniform, of variance 1/12. With decoders :math:`D_j` in latent units per Hz,
    time unit T, share of time active :math:`p_j`, silencings :math:`\nu_j` per time unit and window :math:`\ell`
    (0.5 time units) the error of the decoded spikes is a diffusion of

    .. math:: \sum_j D_j D_j^\top \frac{2 p_j + \nu_j \ell}{12\, \ell\, T^2} \;+\; \text{(curves)},

    where the second part is what the curves themselves, filtered along the same paths, leave beside a smooth function
    of the state. Decoders are those of least squares on filtered rates with the variance of the filtered spikes'
    ripple, :math:`p_j / (12 T^2)`, on the diagonal of the Gram matrix. (Our derivation; it holds where neurons fire
    several spikes in a time unit, and knows nothing of spikes that lock to each other, nor of the rise of synapses,
    which hands on less.)

    Trajectories start from the stationary `states`, in internal units.
    """
    equations, activity = NormalEquations.empty(ensemble.neurons, rate.rank), _Activity.empty(ensemble.neurons)
    for rates, target, _, _ in _filtered(rate, ensemble, states, _TRAJECTORIES, rng, activity, _PERTURBED):
        equations.add(rates, target)
    ripple = activity.active / activity.time / (12.0 * ensemble.clock.time_unit_s**2)
    decoders = equations.with_noise(ripple).solve(_RIDGE).T
    zeta, reached, every = [], [], _PIECE
    activity = _Activity.empty(ensemble.neurons)
    for rates, target, state, spacing in _filtered(rate, ensemble, states, _TRAJECTORIES, rng, activity, every=_PIECE):
        zeta.append(rates @ decoders.T - target)
        reached.append(state)
        every = spacing
    errors = np.stack(zeta, axis=1), np.stack(reached, axis=1), every
    return _prediction(rate, ensemble.clock, states, decoders, activity, errors)


def optimistic(
    rate: RateNetwork,
    ensemble: Ensemble,
    states: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
) -> Prediction:
    r"""Predict as `predict` does, but less noise and error than there is, in a tenth of its time.

    Decoders are those of least squares on a few trajectories, and are judged on the same ones: what they fit by
    chance makes noise and error look smaller. With regressors A in units of the ripple's deviation they are

    .. math:: A^\top (A A^\top + S)^{-1} y

    for S samples, which does not grow with the square of the number of neurons. Takes what `predict` takes.
    """
    activity = _Activity.empty(ensemble.neurons)
    filtered = list(_filtered(rate, ensemble, states, _FEW_TRAJECTORIES, rng, activity))
    rates, target, reached = (np.stack([sample[part] for sample in filtered], axis=1) for part in range(3))
    deviation = np.sqrt(activity.active / activity.time / 12.0) / ensemble.clock.time_unit_s
    # a neuron that is active nowhere here has nothing to decode
    regressors = (rates / np.where(deviation > 0, deviation, np.inf)).reshape(-1, len(deviation))
    samples = len(regressors)
    weights = regressors.T @ solve_penalised(regressors @ regressors.T, target.reshape(samples, -1), samples)
    decoders = (weights / np.where(deviation > 0, deviation, np.inf)[:, None]).T
    errors = rates @ decoders.T - target, reached, filtered[0][3]
    return _prediction(rate, ensemble.clock, states, decoders, activity, errors)


def _prediction(
    rate: RateNetwork,
    clock: Clock,
    states: Float[np.ndarray, "sample rank"],
    decoders: Float[np.ndarray, "rank neuron"],
    activity: _Activity,
    errors: tuple[np.ndarray, np.ndarray, float],
) -> Prediction:
    """Add the diffusion of regular spikes to that of the curves, and count spikes.

    `errors` are those of the filtered curves, the states there, and their spacing in time.
    """
    share, silenced = activity.active / activity.time, activity.silenced / activity.time
    variance = (2.0 * share + silenced * WINDOW) / (12.0 * WINDOW * clock.time_unit_s**2)
    mean_hz = activity.spikes / activity.time
    return Prediction(
        target=target_diffusion(rate, states),
        spikes=diffusion_of(rate, *errors) + (decoders * variance) @ decoders.T,
        drift=drift_error_of(rate, *errors),
        spikes_per_time_unit=float(mean_hz.sum() * clock.time_unit_s),
        mean_rate_hz=float(mean_hz.mean()),
    )


@dataclass
class _Activity:
    """Sums over time, means over trajectories: time active, silencings and rates of each neuron."""

    active: Float[np.ndarray, " neuron"]
    silenced: Float[np.ndarray, " neuron"]
    spikes: Float[np.ndarray, " neuron"]
    time: float = 0.0

    @classmethod
    def empty(cls, neurons: int) -> _Activity:
        return cls(np.zeros(neurons), np.zeros(neurons), np.zeros(neurons))


def _filtered(
    rate: RateNetwork,
    ensemble: Ensemble,
    states: Float[np.ndarray, "sample rank"],
    trajectories: int,
    rng: np.random.Generator,
    activity: _Activity,
    perturbed: float = 0.0,
    every: float = _EVERY,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, float]]:
    """Yield filtered rates, targets, states and their spacing in time along trajectories; count activity."""
    start = states[rng.integers(len(states), size=trajectories)]
    paths = Trajectories(rate, ensemble.clock, start, every, rng, perturbed)
    step = ensemble.clock.step
    steps = max(1, round(_PIECE / step))
    filtered, before = np.zeros((trajectories, ensemble.neurons)), None
    warm = round(_WARM_UP / paths.every)
    for sample in range(warm + round(_DURATION / paths.every)):
        path, target, reached = paths.advance(1)
        for first in range(0, path.shape[1], steps):
            piece = path[:, first : first + steps]
            place = piece.mean(axis=1)
            rates_hz = ensemble.rates_hz(place, rate.internal_readout(place) - place)
            length = piece.shape[1] * step
            filtered += (1.0 - np.exp(-length)) * (rates_hz - filtered)
            if sample >= warm:
                active = rates_hz > 0
                activity.active += length * active.mean(axis=0)
                activity.spikes += length * rates_hz.mean(axis=0)
                activity.time += length
                if before is not None:
                    activity.silenced += (before & ~active).mean(axis=0)
                before = active
        if sample >= warm:
            yield filtered.copy(), target[:, 0], reached[:, 0], paths.every
