"""Prediction of a population's spike noise, drift error and cost from its curves, without a single spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.least_squares import fit_penalised
from ddm2snn.conversion.drift_error import drift_error_of
from ddm2snn.conversion.driving import one_loop
from ddm2snn.conversion.noise_budget import WINDOW, NoiseBudget, diffusion_of, target_diffusion
from ddm2snn.conversion.trajectories import Trajectories

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.conversion.clock import Clock
    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.network import RateNetwork

# rate time units: pieces of constant rates, forgetting the start, judged; pieces of which one is a sample [cost]
_PIECE, _WARM_UP, _DURATION, _SAMPLED = 0.02, 4.0, 10.0, 5
_TRAJECTORIES, _PARTS = 32, 4  # each part is judged by what the others are fitted to [cost]
_FEW_TRAJECTORIES = 8  # of the optimistic prediction [cost]
_PERTURBED = 0.25  # as calibrated decoders have it [derived]
# beside a noise that is zero where a neuron is silent, relative to the largest [choice]
_LEAST_NOISE = 1e-6


@dataclass(frozen=True, eq=False)
class Prediction(NoiseBudget):
    """The noise budget that a population would have, with the spikes of all neurons in one rate time unit."""

    spikes_per_time_unit: float
    mean_rate_hz: float


@dataclass(frozen=True, eq=False)
class Motion:
    """Trajectories along which populations of one rate network are compared, whatever the number of their neurons.

    Parameters
    ----------
    places, drift
        Mean latents of each piece of a trajectory and the drift there, internal units, shape (piece, trial, rank).
    target, states
        What decoded spikes must be at the end of each piece, and the latents there, shape (piece, trial, rank).
    calm
        Trajectories that were not perturbed, by which populations are judged, shape (trial,).
    length
        Of a piece in rate time units.
    """

    places: Float[np.ndarray, "piece trial rank"]
    drift: Float[np.ndarray, "piece trial rank"]
    target: Float[np.ndarray, "piece trial rank"]
    states: Float[np.ndarray, "piece trial rank"]
    calm: Bool[np.ndarray, " trial"]
    length: float

    @property
    def every(self) -> float:
        """Rate time units between two samples."""
        return _SAMPLED * self.length

    @classmethod
    def of(
        cls, rate: RateNetwork, clock: Clock, states: Float[np.ndarray, "sample rank"], rng: np.random.Generator
    ) -> Motion:
        """Trajectories from stationary `states`, in internal units, a quarter of them perturbed."""
        start = states[rng.integers(len(states), size=_TRAJECTORIES)]
        paths = Trajectories(rate, clock, start, _PIECE, rng, _PERTURBED)
        places, targets, reached = [], [], []
        with one_loop():
            for _ in range(round((_WARM_UP + _DURATION) / paths.every)):
                path, target, state = paths.advance(1)
                places.append(path.mean(axis=1))
                targets.append(target[:, 0])
                reached.append(state[:, 0])
        place = np.stack(places)
        drift = rate.internal_readout(place) - place
        return cls(place, drift, np.stack(targets), np.stack(reached), ~paths.perturbed, paths.every)

    def some(self, trials: int) -> Motion:
        """The first trajectories that were not perturbed."""
        chosen = np.flatnonzero(self.calm)[:trials]
        places, drift, target, states = (a[:, chosen] for a in (self.places, self.drift, self.target, self.states))
        return Motion(places, drift, target, states, self.calm[chosen], self.length)


def predict(
    rate: RateNetwork,
    ensemble: Ensemble,
    states: Float[np.ndarray, "sample rank"],
    motion: Motion,
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
    ripple, :math:`p_j / (12 T^2)`, on the diagonal of the Gram matrix. They are judged on
    trajectories that they were not fitted to. (Our derivation; it holds where neurons fire several spikes in a
    time unit, and knows nothing of spikes that lock to each other, nor of the rise of synapses, which hands on less.)

    The motion starts from the stationary `states`, in internal units.
    """
    rates, target, reached, activity = _filtered(ensemble, motion)
    zeta, tensor, part = np.empty_like(target), np.zeros((rate.rank, rate.rank)), np.arange(len(target)) % _PARTS
    for held_out in range(_PARTS):
        decoders = _decoders(rates[part != held_out], target[part != held_out], activity, ensemble.clock)
        zeta[part == held_out] = rates[part == held_out] @ decoders.T - target[part == held_out]
        tensor += _regular(decoders, activity, ensemble.clock) / _PARTS
    errors = zeta[motion.calm], reached[motion.calm], motion.every
    return _prediction(rate, ensemble.clock, states, tensor, activity, errors)


def optimistic(
    rate: RateNetwork,
    ensemble: Ensemble,
    states: Float[np.ndarray, "sample rank"],
    motion: Motion,
) -> Prediction:
    r"""Predict as `predict` does, but less noise and error than there is, in a fraction of its time.

    Decoders are those of least squares on a few trajectories, and are judged on the same ones: what they fit by
    chance makes noise and error look smaller. Takes what `predict` takes.
    """
    rates, target, reached, activity = _filtered(ensemble, motion.some(_FEW_TRAJECTORIES))
    decoders = _decoders(rates, target, activity, ensemble.clock)
    errors = rates @ decoders.T - target, reached, motion.every
    return _prediction(rate, ensemble.clock, states, _regular(decoders, activity, ensemble.clock), activity, errors)


def _decoders(
    rates: Float[np.ndarray, "trial sample neuron"],
    target: Float[np.ndarray, "trial sample rank"],
    activity: _Activity,
    clock: Clock,
) -> Float[np.ndarray, "rank neuron"]:
    """Decoders of least squares, each neuron in units of its ripple's deviation."""
    deviation = np.sqrt(activity.active / activity.time / 12.0) / clock.time_unit_s
    deviation = np.maximum(deviation, _LEAST_NOISE * deviation.max(initial=np.finfo(float).tiny))
    regressors = (rates / deviation).reshape(-1, len(deviation))
    weights = fit_penalised(regressors, target.reshape(len(regressors), -1), penalty=float(len(regressors)))
    return (weights / deviation[:, None]).T


def _regular(
    decoders: Float[np.ndarray, "rank neuron"], activity: _Activity, clock: Clock
) -> Float[np.ndarray, "rank rank"]:
    """Diffusion tensor of regular spikes."""
    share, silenced = activity.active / activity.time, activity.silenced / activity.time
    variance = (2.0 * share + silenced * WINDOW) / (12.0 * WINDOW * clock.time_unit_s**2)
    return (decoders * variance) @ decoders.T


def _prediction(
    rate: RateNetwork,
    clock: Clock,
    states: Float[np.ndarray, "sample rank"],
    regular: Float[np.ndarray, "rank rank"],
    activity: _Activity,
    errors: tuple[np.ndarray, np.ndarray, float],
) -> Prediction:
    """Add the diffusion of regular spikes to that of the curves, and count spikes.

    `errors` are those of the filtered curves, the states there, and their spacing in time.
    """
    mean_hz = activity.spikes / activity.time
    return Prediction(
        target=target_diffusion(rate, states),
        spikes=diffusion_of(rate, *errors) + regular,
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


def _filtered(
    ensemble: Ensemble, motion: Motion
) -> tuple[
    Float[np.ndarray, "trial sample neuron"],
    Float[np.ndarray, "trial sample rank"],
    Float[np.ndarray, "trial sample rank"],
    _Activity,
]:
    """Filtered rates, targets and states of a motion behind its warm-up, and the activity where it was calm."""
    trials, neurons, warm = motion.places.shape[1], ensemble.neurons, round(_WARM_UP / motion.length)
    activity = _Activity(np.zeros(neurons), np.zeros(neurons), np.zeros(neurons))
    passed, filtered, before = 1.0 - np.exp(-motion.length), np.zeros((trials, neurons)), None
    chosen = range(warm, len(motion.places), _SAMPLED)
    rows = np.empty((trials, len(chosen), neurons))
    for piece, (place, drift) in enumerate(zip(motion.places, motion.drift, strict=True)):
        rates_hz = ensemble.rates_hz(place, drift)
        filtered += passed * (rates_hz - filtered)
        if piece < warm:
            continue
        if piece in chosen:
            rows[:, chosen.index(piece)] = filtered
        rates_hz = rates_hz[motion.calm]
        active = rates_hz > 0
        activity.active += motion.length * active.mean(axis=0)
        activity.spikes += motion.length * rates_hz.mean(axis=0)
        activity.time += motion.length
        if before is not None:
            activity.silenced += (before & ~active).mean(axis=0)
        before = active
    target, states = (np.moveaxis(array[chosen], 0, 1) for array in (motion.target, motion.states))
    return rows, target, states, activity
