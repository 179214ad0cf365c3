"""Trained read-out: W_s as trained, each of its columns spread over the neurons of its unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.base.least_squares import fit_with_constant
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.decoders.protocol import (
    Decoders,
    Problem,
    Solution,
    curve_error,
    injecting,
    noise_diagnostics,
    refuse_device,
    refuse_diffusion_by_state,
)
from ddm2snn.conversion.noise_budget import measure_budget
from ddm2snn.conversion.population import Population, encode
from ddm2snn.conversion.trajectories import flow, regression_target
from ddm2snn.conversion.tuning import around
from ddm2snn.errors import InputError
from ddm2snn.neuron.activation import activate

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.base.progress import Progress
    from ddm2snn.conversion.clock import Clock
    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.network import RateNetwork

_PLACES = 200  # quantiles of a unit's input [choice]
_TRIES, _FIRST_REACH = 400, 0.3  # random steps, and their size in logarithms of gains and in standard deviations [cost]
# of gains and thresholds, as in `ddm2snn.conversion.tuning` [derived]
_MOST_GROWTH, _MOST_SHIFT = float(np.log(3.0)), 1.5


@dataclass(frozen=True)
class TrainedReadout(Decoders):
    r"""The trained read-out itself: each unit's neurons decode that unit's activation, and nothing else.

    .. math:: c_i + \sum_{j \in i} d_j F(J_j) \approx \phi(x_i), \qquad D_j = d_j\, W_{s,i}

    Every column of D is the column of :math:`W_s` of its unit times a number, as every row of E is the row of
    :math:`\Gamma` times a number. A block of the recurrent matrix E D between two units is hence the entry
    :math:`W_{ij}` times a matrix of rank one. The price is that units cannot make up for each other's errors. Constants
    cost no spikes: :math:`W_s c` moves the origin of the latents, and with it biases, exactly. Where the population
    is tuned, gains and thresholds are moved for the activations, unit by unit (`tune_units`), not for the drift.

    Parameters
    ----------
    ridge
        Regularisation as a share of the highest rate, as in `ddm2snn.conversion.decoders.static.Static`.
    compensate_lag
        Whether to regress against the rates that neurons have while the latent moves along the flow.

    Examples
    --------
    >>> from ddm2snn import Training, convert, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> network = convert(rate, decoders=TrainedReadout(), time_unit_s=0.1).network
    >>> columns = rate.right_vectors[network.unit].T
    >>> factor = (network.decoders * columns).sum(axis=0) / (columns**2).sum(axis=0)
    >>> bool(np.allclose(network.decoders, factor * columns))
    True
    """

    name: ClassVar[str] = "trained"

    ridge: float = 0.01
    compensate_lag: bool = True

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        check_positive("TrainedReadout", ridge=self.ridge)

    def check(self, rate: RateNetwork, population: Population | None, *, in_loop: bool) -> Population:
        """Any neurons, constant diffusion, no device."""
        if in_loop:
            refuse_device(self, "Trained read-outs are solved")
        refuse_diffusion_by_state(rate, self)
        return population or Population()

    def place(
        self,
        rate: RateNetwork,
        population: Population,
        clock: Clock,
        states: Float[np.ndarray, "sample rank"],
        seed: int,
    ) -> tuple[Ensemble, Mapping[str, float]]:
        """Place neurons around stationary states; tune them unit by unit."""
        z = around(states, seed)
        ensemble = encode(rate, population, clock, z, stream(seed, "conversion", "encoders"))
        if population.tuned:
            ensemble = tune_units(rate, ensemble, z, self.ridge, stream(seed, "conversion", "units"))
        return ensemble, {}

    def solve(self, problem: Problem, progress: Progress) -> Solution:
        """Solve around the stationary states; report errors from curves, and the noise along trajectories."""
        rate, ensemble, states, velocity = problem.rate, problem.ensemble, problem.states, problem.velocity
        scale, constants = self.scales(rate, ensemble, around(states, problem.seed))
        decoders = rate.right_vectors[ensemble.unit].T * scale
        constant = constants @ rate.right_vectors
        rates_hz = ensemble.rates_hz(states, velocity if self.compensate_lag else None)
        belongs = np.equal.outer(ensemble.unit, np.arange(rate.units)) * scale[:, None]
        errors = constants + rates_hz @ belongs - activation_target(rate, states, ensemble.clock)
        decoded, target = rates_hz @ decoders.T + constant, regression_target(rate, states, ensemble.clock)
        budget = measure_budget(rate, ensemble, decoders, problem.visited, problem.rng("noise budget"))
        diagnostics = {
            "drift_error": curve_error(decoded, target, velocity),
            "activation_error": np.sqrt((errors**2).mean(axis=0)).tolist(),
            "noise": noise_diagnostics(budget),
        }
        return injecting(budget, decoders, diagnostics, ensemble, constant)

    def scales(
        self, rate: RateNetwork, ensemble: Ensemble, z: Float[np.ndarray, "sample rank"]
    ) -> tuple[Float[np.ndarray, " neuron"], Float[np.ndarray, " unit"]]:
        r"""Solve :math:`\min_{c, d} \langle(c_i + \sum_{j\in i} d_j r_j - h_i)^2\rangle + \rho^2 |d|^2` unit by unit.

        Here :math:`\rho` is the ridge times the highest rate, and h is `activation_target` at the internal latents z.
        The scales d, activation per Hz, come before the constants c.

        Raises
        ------
        InputError
            Where a unit has no neuron: nothing could stand for its column of W_s.
        """
        count = np.bincount(ensemble.unit, minlength=rate.units)
        if not count.all():
            raise InputError(
                f"TrainedReadout needs at least one neuron for each unit; {int((count == 0).sum())} of {rate.units} "
                "units have none. Use neurons_per_unit of 1 or more, or calibrated decoders, which share the work."
            )
        rates_hz = ensemble.rates_hz(z, rate.internal_readout(z) - z if self.compensate_lag else None)
        target = activation_target(rate, z, ensemble.clock)
        penalty = (self.ridge * max(float(rates_hz.max()), 1e-12)) ** 2
        scale, constant = np.empty(ensemble.neurons), np.empty(rate.units)
        for unit in range(rate.units):
            own = np.flatnonzero(ensemble.unit == unit)
            scale[own], constant[unit], _ = fit_with_constant(rates_hz[:, own], target[:, unit], penalty)
        return scale, constant


def activation_target(
    rate: RateNetwork, z: Float[np.ndarray, "sample rank"], clock: Clock
) -> Float[np.ndarray, "sample unit"]:
    r"""What a unit's neurons must decode during a step for the latent to follow the flow exactly.

    .. math:: h(z) = \frac{1}{1 - e^{-\epsilon}} \int_0^{\epsilon} e^{s - \epsilon}\,
        \phi\big(\Gamma \varphi_s(z) + b\big)\, ds, \qquad \epsilon = dt / T,

    with :math:`\varphi` the noise-free flow, by Simpson's rule; :math:`W_s h` is
    `ddm2snn.conversion.trajectories.regression_target`. Shape (sample, unit).
    """
    step = clock.step
    weights = np.array([1.0, 4.0, 1.0]) * np.exp(np.array([-step, -step / 2.0, 0.0]))
    places = (z, flow(rate, z, step / 2.0), flow(rate, z, step))
    total = sum(weight * rate.hidden(place) for weight, place in zip(weights, places, strict=True))
    return total / weights.sum()


def tune_units(
    rate: RateNetwork,
    ensemble: Ensemble,
    z: Float[np.ndarray, "sample rank"],
    ridge: float,
    rng: np.random.Generator,
) -> Ensemble:
    r"""Move gains and thresholds of each unit's neurons so that their curves can add up to its activation.

    The search takes random steps along the distribution of each unit's input :math:`x_i` over `z`, in all units at
    once. A unit keeps a step that lowers the loss of `TrainedReadout.scales`, and longer steps follow. Gains stay
    within a factor of three, thresholds within 1.5 standard deviations of x, so encoders stay rows of Gamma times a
    factor of the sign they had. The search is ours; it needs nothing of a neuron model but its curve.
    """
    neuron = ensemble.neuron
    gamma, unit = rate.left_vectors, ensemble.unit
    x = z @ gamma.T + rate.bias
    middle, spread = x.mean(axis=0)[unit], np.maximum(x.std(axis=0), 1e-9 * (1.0 + np.abs(x).max(axis=0)))[unit]
    place = np.quantile(x, (np.arange(_PLACES) + 0.5) / _PLACES, axis=0)
    wanted = activate(rate.activation, place)
    square = np.maximum((gamma[unit] ** 2).sum(axis=1), np.finfo(float).tiny)
    gain = (ensemble.encoders * gamma[unit]).sum(axis=1) / square
    at_middle = ensemble.bias + gain * (middle - rate.bias[unit])
    groups = [np.flatnonzero(unit == u) for u in range(rate.units)]

    def loss(grown: Float[np.ndarray, " neuron"], shifted: Float[np.ndarray, " neuron"]) -> list[float]:
        current = gain * np.exp(grown) * (place[:, unit] - middle - shifted * spread) + at_middle
        rates_hz = neuron.rate_hz(current)
        return [fit_with_constant(rates_hz[:, own], wanted[:, u], penalty)[2] for u, own in enumerate(groups)]

    best = np.zeros((2, len(unit)))
    penalty = (ridge * float(neuron.rate_hz(gain * (place[:, unit] - middle) + at_middle).max())) ** 2
    least, reach = np.array(loss(*best)), np.full(rate.units, _FIRST_REACH)
    for _ in range(_TRIES):
        tried = best + reach[unit] * rng.standard_normal(best.shape)
        tried = np.clip(tried, [[-_MOST_GROWTH], [-_MOST_SHIFT]], [[_MOST_GROWTH], [_MOST_SHIFT]])
        losses = np.array(loss(*tried))
        better = losses < least
        best, least = np.where(better[unit], tried, best), np.where(better, losses, least)
        reach = np.where(better, 1.5 * reach, 0.9 * reach).clip(1e-3, 1.0)
    moved = gain * np.exp(best[0])
    bias = at_middle - moved * (middle + best[1] * spread - rate.bias[unit])
    return replace(ensemble, encoders=moved[:, None] * gamma[unit], bias=bias)
