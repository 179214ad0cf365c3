"""Spiking neurons for each rate unit: encoders, biases and where their thresholds lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.conversion.allotment import allot, importance
from ddm2snn.errors import InputError
from ddm2snn.neuron import LIF, NEURON_MODELS, NeuronModel

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.network import RateNetwork

_PART_BYTES = 2**23  # curves are some three times as fast where their temporaries stay in the cache
_MARGIN = 0.1  # share of the input's range kept between a threshold and the input of the largest rate


@dataclass(frozen=True)
class Population:
    """How a rate unit becomes spiking neurons.

    Parameters
    ----------
    neurons_per_unit
        M, the number of neurons of each unit; on and off polarity alternate. With a fraction such as 1.5 or 0.75 there
        are round(M n) neurons for n units, and units that contribute more to the drift get more of them, with M
        below 1 some none; see `ddm2snn.conversion.allotment.allot`. Decoders then take over their part.
    max_rates_hz
        Range from which each neuron's largest rate is drawn, before it is tuned.
    neuron
        Neuron model.
    tuned
        Whether gains (within a factor of three) and thresholds are moved so that the neurons' curves can add up to
        the drift; see `ddm2snn.conversion.tuning.tune`. Populations above 1,024 neurons stay as drawn.
    """

    neurons_per_unit: float = 4
    max_rates_hz: tuple[float, float] = (100.0, 200.0)
    neuron: NeuronModel = LIF()
    tuned: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "neurons_per_unit", _as_multiple(self.neurons_per_unit))
        try:
            low, high = self.max_rates_hz
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Population.max_rates_hz must be (lowest, highest), got {self.max_rates_hz!r}."
            ) from error
        check_positive("Population", max_rates_hz=low)
        if high < low:
            raise InputError(f"Population.max_rates_hz must be (lowest, highest), got {self.max_rates_hz}.")
        if type(self.neuron) not in NEURON_MODELS.values():
            known = ", ".join(model.__name__ for model in NEURON_MODELS.values())
            raise InputError(f"Population.neuron must be one of {known}, got {self.neuron!r}.")
        self.neuron.check_rates(np.array([low, high], dtype=np.float64))

    def counts(self, rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> Int[np.ndarray, " unit"]:
        """Neurons of each unit, shape (unit,).

        Raises
        ------
        InputError
            Where there would be fewer neurons than latents.
        """
        if isinstance(self.neurons_per_unit, int):
            return np.full(rate.units, self.neurons_per_unit)
        total = round(self.neurons_per_unit * rate.units)
        if total < rate.rank:
            raise InputError(
                f"neurons_per_unit = {self.neurons_per_unit:g} gives {total} neurons for {rate.units} units, but "
                f"{rate.rank} latents need as many at least. Use {rate.rank / rate.units:g} or more."
            )
        return allot(total, importance(rate, z))


def _as_multiple(value: object) -> float:
    """Neurons per unit as an int where they are whole, as a float where they are not, or say why they are neither."""
    if isinstance(value, float | np.floating) and np.isfinite(value) and value > 0:
        return int(value) if value == int(value) else float(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value > 0:
        return int(value)
    raise InputError(f"neurons_per_unit must be a finite number above zero, such as 4 or 1.5, got {value!r}.")


@dataclass(frozen=True)
class Encoding:
    """Encoders E (neuron, rank), biases beta (neuron,) and the unit of each neuron."""

    encoders: Float[np.ndarray, "neuron rank"]
    bias: Float[np.ndarray, " neuron"]
    unit: Int[np.ndarray, " neuron"]

    def currents(self, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample neuron"]:
        """Input currents E z + beta at internal latents."""
        return z @ self.encoders.T + self.bias

    def parts(self, samples: int) -> Iterator[tuple[slice, Encoding]]:
        """Consecutive neurons, each part so few that one number for each neuron and sample takes 8 MiB at most."""
        most = max(1, _PART_BYTES // (8 * samples))
        for first in range(0, len(self.bias), most):
            part = slice(first, first + most)
            yield part, Encoding(self.encoders[part], self.bias[part], self.unit[part])


def encode(
    rate: RateNetwork, population: Population, z: Float[np.ndarray, "sample rank"], rng: np.random.Generator
) -> Encoding:
    r"""Place neurons so that each covers its unit's input :math:`x_i = \Gamma_i z + b_i` over the points `z`.

    With polarity :math:`p = \pm 1`, threshold :math:`\theta` and gain :math:`g`,

    .. math:: J = J_0 + g\,p\,(x_i - \theta) \quad\Rightarrow\quad E = g\,p\,\Gamma_i,\qquad
        \beta = J_0 + g\,p\,(b_i - \theta),

    where :math:`J_0` is the neuron model's threshold current and g puts the largest rate, by the inverse of its
    curve, at the end of the input's range that the neuron prefers. Thresholds are
    uniform over that range, stratified within each unit.
    """
    count = population.counts(rate, z)
    neuron = population.neuron.for_neurons(int(count.sum()))
    m, units = int(count.max()), rate.units
    x = z @ rate.left_vectors.T + rate.bias
    low, high = x.min(axis=0), x.max(axis=0)
    span = np.maximum(high - low, 1e-9 * (1.0 + np.abs(high)))[:, None]
    index = np.arange(m)
    # alternate, and start with the other polarity in every second unit, so that odd M stays balanced
    used = np.cumsum(count > 0)[:, None] - 1
    polarity = np.where((used + index) % 2 == 0, 1.0, -1.0)
    strata = (index // 2 + rng.random((units, m))) / np.maximum(1, (count[:, None] + 1) // 2)
    depth = np.minimum(strata, 1.0) * (1.0 - _MARGIN)  # how far into the range the threshold lies
    real = index < count[:, None]  # the rest is drawn for nobody
    top = np.ones((units, m))
    top[real] = neuron.current_at_rate(rng.uniform(*population.max_rates_hz, (units, m))[real])
    silent = neuron.threshold_current
    gain = (top - silent) / ((1.0 - depth) * span)
    threshold = np.where(polarity > 0, low[:, None] + depth * span, high[:, None] - depth * span)
    unit = np.repeat(np.arange(units), count)
    factor = (gain * polarity)[real]
    return Encoding(
        encoders=factor[:, None] * rate.left_vectors[unit],
        bias=(silent + gain * polarity * (rate.bias[:, None] - threshold))[real],
        unit=unit,
    )
