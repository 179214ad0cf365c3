"""Direct conversion: units trained with a spiking neuron's own response become such neurons, one each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.base.html import fields_table
from ddm2snn.conversion.decoders.protocol import (
    Decoders,
    Problem,
    Solution,
    curve_error,
    drift_diagnostics,
    injecting,
    noise_diagnostics,
    refuse_device,
    refuse_diffusion_by_state,
)
from ddm2snn.conversion.decoders.trained import activation_target
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.conversion.noise_budget import measure_budget
from ddm2snn.conversion.population import Population
from ddm2snn.conversion.trajectories import regression_target
from ddm2snn.errors import InputError
from ddm2snn.neuron.activation import LIF_UNIT

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.base.progress import Progress
    from ddm2snn.conversion.clock import Clock
    from ddm2snn.network import RateNetwork


@dataclass(frozen=True)
class Direct(Decoders):
    r"""One neuron for each unit, with :math:`\Gamma`, b and :math:`W_s` as they were trained.

    A unit with activation "lif" is :math:`\phi(x) = t_\text{ref} F(x)`, the rate F of
    `ddm2snn.neuron.activation.LIF_UNIT` in units of its limit (`ddm2snn.neuron.activation.activate`). With

    .. math:: E = \Gamma, \qquad \beta = b, \qquad D = s\,W_s, \qquad s \approx t_\text{ref},

    the spikes decode the trained read-out itself. The one number s, which turns Hz into activation, is fitted: it
    takes up that a simulator's grid lengthens every interval by half a step, as far as one number can: where spikes are
    rounded to the grid (Brian2), a step of 0.1 ms leaves a tenth of the drift error of 1 ms. There is no population
    to choose; spike noise falls with `time_unit_s` only.

    Examples
    --------
    >>> from ddm2snn import Training, convert, train
    >>> training = Training(activation="lif", ridge=1e-6, points=400, holdout=200)
    >>> rate = train("ornsteinuhlenbeck", units=8, training=training)
    >>> made = convert(rate, decoders=Direct(), time_unit_s=0.1)
    >>> made.network.neurons, bool((made.network.encoders == rate.left_vectors).all())
    (8, True)
    >>> round(made.diagnostics.activation_per_hz, 3), LIF_UNIT.refractory_s
    (0.002, 0.002)
    """

    name: ClassVar[str] = "direct"

    _repr_html_ = fields_table

    def check(self, rate: RateNetwork, population: Population | None, *, in_loop: bool) -> Population:
        """One neuron per unit, of the model that the units were trained as; no device, constant diffusion."""
        if in_loop:
            refuse_device(self, "Direct conversion is fitted")
        refuse_diffusion_by_state(rate, self)
        if population is not None:
            raise InputError(
                f"Direct makes one neuron of each unit by itself, but a population was given: {population!r}. "
                "Leave the population out, or choose other decoders."
            )
        if rate.activation != "lif":
            raise InputError(
                f"Direct turns units of activation 'lif' into LIF neurons, one each, but this network's is "
                f"{rate.activation!r}. Train with activation 'lif', or convert with TrainedReadout or Calibrated "
                "decoders."
            )
        return Population(neurons_per_unit=1, neuron=LIF_UNIT, tuned=False)

    def place(
        self,
        rate: RateNetwork,
        population: Population,
        clock: Clock,
        states: Float[np.ndarray, "sample rank"],
        seed: int,
    ) -> tuple[Ensemble, Mapping[str, float]]:
        r"""Place neurons by :math:`\Gamma` and b themselves: the unit's state is the neuron's current."""
        return Ensemble(rate.left_vectors, rate.bias, np.arange(rate.units), population.neuron, clock), {}

    def solve(self, problem: Problem, progress: Progress) -> Solution:
        r"""Fit s, and report errors of drift (measured) and activations (from curves), and the noise.

        .. math:: s = \arg\min_s \Big\langle \sum_c \frac{(s\,W_s F - y)_c^2}{\langle v_c^2 \rangle} \Big\rangle

        with y from `ddm2snn.conversion.trajectories.regression_target`, v the drift of latent c, and F the rates that
        neurons have while the latent moves.
        """
        rate, ensemble, states, velocity = problem.rate, problem.ensemble, problem.states, problem.velocity
        rates_hz = ensemble.rates_hz(states, velocity)
        target = regression_target(rate, states, ensemble.clock)
        size = np.maximum(np.sqrt((velocity**2).mean(axis=0)), np.finfo(float).tiny)
        unscaled, wanted = rates_hz @ rate.right_vectors / size, target / size
        power = float((unscaled**2).sum())
        scale = float((unscaled * wanted).sum()) / power if power > 0 else LIF_UNIT.refractory_s
        decoders = scale * rate.right_vectors.T
        budget = measure_budget(rate, ensemble, decoders, problem.visited, problem.rng("noise budget"))
        errors = scale * rates_hz - activation_target(rate, states, ensemble.clock)
        diagnostics = {
            **drift_diagnostics(budget.drift),
            "drift_error_of_curves": curve_error(rates_hz @ decoders.T, target, velocity),
            "activation_error": np.sqrt((errors**2).mean(axis=0)).tolist(),
            "activation_per_hz": scale,
            "noise": noise_diagnostics(budget),
        }
        return injecting(budget, decoders, diagnostics, ensemble)
