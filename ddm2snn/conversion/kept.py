"""Kept decoders: W_s as trained, each of its columns spread over the neurons of its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.conversion.decoded import Decoded, curve_error, noise_found
from ddm2snn.conversion.decoders import flow, rates_along_flow, regression_target
from ddm2snn.conversion.noise_budget import measure_budget
from ddm2snn.conversion.population import Encoding
from ddm2snn.errors import InputError
from ddm2snn.neuron.activation import activate

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.network import RateNetwork
    from ddm2snn.neuron import NeuronModel

_PLACES = 200  # quantiles of a unit's input
_TRIES, _FIRST_REACH = 400, 0.3  # random steps, and their size in logarithms of gains and in standard deviations
_MOST_GROWTH, _MOST_SHIFT = float(np.log(3.0)), 1.5


@dataclass(frozen=True)
class Kept:
    r"""The trained read-out itself: each unit's neurons decode that unit's activation, and nothing else.

    .. math:: c_i + \sum_{j \in i} d_j F(J_j) \approx \phi(x_i), \qquad D_j = d_j\, W_{s,i}

    so that every column of D is the column of :math:`W_s` of its unit times a number, as every row of E is the row
    of :math:`\Gamma` times a number: a block of the recurrent matrix E D between two units is the entry
    :math:`W_{ij}` times a matrix of rank one. The price is that units cannot make up for each other's errors. Constants
    cost no spikes: :math:`W_s c` moves the origin of the latents, and with it biases, exactly. Where the population
    is tuned, gains and thresholds are moved for the activations, unit by unit (`tune_units`), not for the drift.

    Parameters
    ----------
    ridge
        Regularisation as a share of the highest rate, as in `ddm2snn.conversion.decoders.Static`.
    compensate_lag
        Whether to regress against the rates that neurons have while the latent moves along the flow.
    """

    ridge: float = 0.01
    compensate_lag: bool = True

    def __post_init__(self) -> None:
        check_positive("Kept", ridge=self.ridge)


@dataclass(frozen=True, eq=False)
class KeptDecoders:
    r"""Decoders and the numbers behind them.

    Parameters
    ----------
    decoders
        :math:`D_j = d_j W_{s,i}`, shape (rank, neuron), internal latent units per Hz.
    scale
        :math:`d_j`, shape (neuron,), activation per Hz.
    constant
        :math:`c_i`, shape (unit,), activation.
    """

    decoders: Float[np.ndarray, "rank neuron"]
    scale: Float[np.ndarray, " neuron"]
    constant: Float[np.ndarray, " unit"]

    def activations(
        self, rates_hz: Float[np.ndarray, "sample neuron"], unit: Int[np.ndarray, " neuron"]
    ) -> Float[np.ndarray, "sample unit"]:
        """What the neurons of each unit decode at given rates."""
        belongs = np.equal.outer(unit, np.arange(len(self.constant))) * self.scale[:, None]
        return self.constant + rates_hz @ belongs


def activation_target(
    rate: RateNetwork, z: Float[np.ndarray, "sample rank"], clockwork: Clockwork
) -> Float[np.ndarray, "sample unit"]:
    r"""What a unit's neurons must decode during a step for the latent to follow the flow exactly.

    .. math:: h(z) = \frac{1}{1 - e^{-\epsilon}} \int_0^{\epsilon} e^{s - \epsilon}\,
        \phi\big(\Gamma \varphi_s(z) + b\big)\, ds, \qquad \epsilon = dt / T,

    with :math:`\varphi` the noise-free flow, by Simpson's rule; :math:`W_s h` is
    `ddm2snn.conversion.decoders.regression_target`. Shape (sample, unit).
    """
    step = clockwork.dt_s / clockwork.time_unit_s
    weights = np.array([1.0, 4.0, 1.0]) * np.exp(np.array([-step, -step / 2.0, 0.0]))
    places = (z, flow(rate, z, step / 2.0), flow(rate, z, step))
    total = sum(weight * rate.hidden(place) for weight, place in zip(weights, places, strict=True))
    return total / weights.sum()


def solve_kept(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    z: Float[np.ndarray, "sample rank"],
    settings: Kept,
) -> KeptDecoders:
    r"""Solve :math:`\min_{c, d} \langle(c_i + \sum_{j\in i} d_j r_j - h_i)^2\rangle + \rho^2 |d|^2` unit by unit.

    Here :math:`\rho` is the ridge times the highest rate, and h is `activation_target`.

    Parameters
    ----------
    rate, encoding, neuron, clockwork
        The network, its population, and the time scales that decoders are solved for.
    z
        Points to be good at, internal units, shape (sample, rank).
    settings
        Ridge and lag compensation.

    Raises
    ------
    InputError
        Where a unit has no neuron: nothing could stand for its column of W_s.
    """
    count = np.bincount(encoding.unit, minlength=rate.units)
    if not count.all():
        raise InputError(
            f"Kept decoders need at least one neuron for each unit; {int((count == 0).sum())} of {rate.units} units "
            "have none. Use neurons_per_unit of 1 or more, or calibrated decoders, which share the work."
        )
    rates_hz = rates_along_flow(rate, encoding, neuron, z, clockwork, compensate_lag=settings.compensate_lag)
    target = activation_target(rate, z, clockwork)
    penalty = (settings.ridge * max(float(rates_hz.max()), 1e-12)) ** 2
    scale, constant = np.empty(len(encoding.unit)), np.empty(rate.units)
    for unit in range(rate.units):
        own = np.flatnonzero(encoding.unit == unit)
        scale[own], constant[unit], _ = _fit(rates_hz[:, own], target[:, unit], penalty)
    return KeptDecoders(rate.right_vectors[encoding.unit].T * scale, scale, constant)


def decode_kept(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    settings: Kept,
    z: Float[np.ndarray, "sample rank"],
    states: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
) -> Decoded:
    """Solve at the points `z`; report errors of activations and drift (from curves) and noise at stationary states.

    Parameters
    ----------
    rate, encoding, neuron, clockwork, settings, z
        As in `solve_kept`.
    states
        Stationary states, internal units, shape (sample, rank).
    rng
        Source of the trajectories along which noise is measured.
    """
    kept = solve_kept(rate, encoding, neuron, clockwork, z, settings)
    constant = kept.constant @ rate.right_vectors
    rates_hz = rates_along_flow(rate, encoding, neuron, states, clockwork, compensate_lag=settings.compensate_lag)
    miss = kept.activations(rates_hz, encoding.unit) - activation_target(rate, states, clockwork)
    velocity = rate.internal_readout(states) - states
    decoded = rates_hz @ kept.decoders.T + constant
    budget = measure_budget(rate, encoding, neuron, clockwork, kept.decoders, states, rng)
    found = {
        "drift_error": curve_error(decoded, regression_target(rate, states, clockwork), velocity),
        "activation_error": np.sqrt((miss**2).mean(axis=0)).tolist(),
        "noise": noise_found(budget),
    }
    return Decoded(kept.decoders, budget.injected_factor, found, constant)


def tune_units(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    z: Float[np.ndarray, "sample rank"],
    settings: Kept,
    rng: np.random.Generator,
) -> Encoding:
    r"""Move gains and thresholds of each unit's neurons so that their curves can add up to its activation.

    Along the distribution of the unit's input :math:`x_i` over `z`, by random steps that are kept where the least
    squares of `solve_kept` get smaller, in all units at once; a step that helps is followed by longer ones. Gains stay
    within a factor of three, thresholds within 1.5 standard deviations of x, so encoders stay rows of Gamma times a
    factor of the sign they had. The search is ours; it needs nothing of a neuron model but its curve.
    """
    gamma, unit = rate.left_vectors, encoding.unit
    x = z @ gamma.T + rate.bias
    middle, spread = x.mean(axis=0)[unit], np.maximum(x.std(axis=0), 1e-9 * (1.0 + np.abs(x).max(axis=0)))[unit]
    place = np.quantile(x, (np.arange(_PLACES) + 0.5) / _PLACES, axis=0)
    wanted = activate(rate.activation, place)
    square = np.maximum((gamma[unit] ** 2).sum(axis=1), np.finfo(float).tiny)
    gain = (encoding.encoders * gamma[unit]).sum(axis=1) / square
    at_middle = encoding.bias + gain * (middle - rate.bias[unit])
    groups = [np.flatnonzero(unit == u) for u in range(rate.units)]

    def loss(grown: Float[np.ndarray, " neuron"], shifted: Float[np.ndarray, " neuron"]) -> list[float]:
        current = gain * np.exp(grown) * (place[:, unit] - middle - shifted * spread) + at_middle
        rates_hz = neuron.rate_hz(current)
        return [_fit(rates_hz[:, own], wanted[:, u], penalty)[2] for u, own in enumerate(groups)]

    best = np.zeros((2, len(unit)))
    penalty = (settings.ridge * float(neuron.rate_hz(gain * (place[:, unit] - middle) + at_middle).max())) ** 2
    least, reach = np.array(loss(*best)), np.full(rate.units, _FIRST_REACH)
    for _ in range(_TRIES):
        tried = best + reach[unit] * rng.standard_normal(best.shape)
        tried = np.clip(tried, [[-_MOST_GROWTH], [-_MOST_SHIFT]], [[_MOST_GROWTH], [_MOST_SHIFT]])
        found = np.array(loss(*tried))
        better = found < least
        best, least = np.where(better[unit], tried, best), np.where(better, found, least)
        reach = np.where(better, 1.5 * reach, 0.9 * reach).clip(1e-3, 1.0)
    moved = gain * np.exp(best[0])
    bias = at_middle - moved * (middle + best[1] * spread - rate.bias[unit])
    return Encoding(encoders=moved[:, None] * gamma[unit], bias=bias, unit=unit)


def _fit(
    rates_hz: Float[np.ndarray, "sample neuron"], target: Float[np.ndarray, " sample"], penalty: float
) -> tuple[Float[np.ndarray, " neuron"], float, float]:
    """Weights and constant of a ridge regression, and its mean loss; the constant is not penalised."""
    mean, level = rates_hz.mean(axis=0), target.mean()
    centred, wanted = rates_hz - mean, target - level
    moment = centred.T @ wanted / len(wanted)
    gram = centred.T @ centred / len(wanted)
    weights = np.linalg.solve(gram + max(penalty, 1e-300) * np.eye(len(gram)), moment)
    return weights, float(level - mean @ weights), float(wanted @ wanted / len(wanted) - moment @ weights)
