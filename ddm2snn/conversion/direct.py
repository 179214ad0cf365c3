"""Direct conversion: units trained with a spiking neuron's own response become such neurons, one each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.conversion.decoded import Decoded, curve_error, noise_found
from ddm2snn.conversion.decoders import rates_along_flow, regression_target
from ddm2snn.conversion.kept import activation_target
from ddm2snn.conversion.noise_budget import measure_budget
from ddm2snn.conversion.population import Encoding, Population
from ddm2snn.errors import InputError
from ddm2snn.neuron.activation import LIF_UNIT

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.network import RateNetwork


@dataclass(frozen=True)
class Direct:
    r"""One neuron for each unit, with :math:`\Gamma`, b and :math:`W_s` as they were trained.

    A unit with activation "lif" is :math:`\phi(x) = t_\text{ref} F(x)`, the rate F of
    `ddm2snn.neuron.activation.LIF_UNIT` in units of its limit (`ddm2snn.neuron.activation.activate`). With

    .. math:: E = \Gamma, \qquad \beta = b, \qquad D = s\,W_s, \qquad s \approx t_\text{ref},

    the spikes decode the trained read-out itself. The one number s, which turns Hz into activation, is fitted: it
    takes up that a simulator's grid lengthens every interval by half a step, as far as one number can: where spikes are
    rounded to the grid (Brian2), a step of 0.1 ms leaves a tenth of the drift error of 1 ms. There is no population
    to choose; spike noise falls with `time_unit_s` only.
    """


def direct_population(rate: RateNetwork) -> Population:
    """The population that `Direct` stands for: one neuron per unit, of the model that the units were trained as.

    Raises
    ------
    InputError
        Where units were trained with an activation that is no spiking neuron's.
    """
    if rate.activation != "lif":
        raise InputError(
            f"Direct turns units of activation 'lif' into LIF neurons, one each, but this network's is "
            f"{rate.activation!r}. Train with activation 'lif', or convert with Kept or Calibrated decoders."
        )
    return Population(neurons_per_unit=1, neuron=LIF_UNIT, tuned=False)


def direct_encoding(rate: RateNetwork) -> Encoding:
    r""":math:`\Gamma` and b themselves: the unit's state is the neuron's current."""
    return Encoding(encoders=rate.left_vectors, bias=rate.bias, unit=np.arange(rate.units))


def decode_direct(
    rate: RateNetwork, clockwork: Clockwork, states: Float[np.ndarray, "sample rank"], rng: np.random.Generator
) -> Decoded:
    r"""Fit s and report what it leaves: errors of drift (measured) and activations (from curves), and the noise.

    .. math:: s = \arg\min_s \Big\langle \sum_c \frac{(s\,W_s F - y)_c^2}{\langle v_c^2 \rangle} \Big\rangle

    with y from `regression_target`, v the drift of latent c, and F the rates that neurons have while the latent moves.

    Parameters
    ----------
    rate, clockwork
        The network and the time scales it will run in.
    states
        Stationary states, internal units, shape (sample, rank).
    rng
        Source of the trajectories along which noise and bias are measured.
    """
    encoding = direct_encoding(rate)
    rates_hz = rates_along_flow(rate, encoding, LIF_UNIT, states, clockwork, compensate_lag=True)
    target = regression_target(rate, states, clockwork)
    velocity = rate.internal_readout(states) - states
    size = np.maximum(np.sqrt((velocity**2).mean(axis=0)), np.finfo(float).tiny)
    unscaled, wanted = rates_hz @ rate.right_vectors / size, target / size
    power = float((unscaled**2).sum())
    scale = float((unscaled * wanted).sum()) / power if power > 0 else LIF_UNIT.refractory_s
    decoders = scale * rate.right_vectors.T
    budget = measure_budget(rate, encoding, LIF_UNIT, clockwork, decoders, states, rng)
    miss = scale * rates_hz - activation_target(rate, states, clockwork)
    found = {
        "drift_error": budget.drift_bias.tolist(),
        "drift_error_of_curves": curve_error(rates_hz @ decoders.T, target, velocity),
        "activation_error": np.sqrt((miss**2).mean(axis=0)).tolist(),
        "activation_per_hz": scale,
        "noise": noise_found(budget),
    }
    return Decoded(decoders, budget.injected_factor, found)
