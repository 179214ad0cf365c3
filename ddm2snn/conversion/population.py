"""How many spiking neurons each rate unit gets, and where their thresholds lie."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.errors import InputError
from ddm2snn.neuron import LIF, NEURON_MODELS, NeuronModel

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.clock import Clock
    from ddm2snn.network import RateNetwork

_MARGIN = 0.1  # share of the input's range kept between a threshold and the input of the largest rate [choice]


@dataclass(frozen=True)
class Population:
    """How a rate unit becomes spiking neurons.

    Parameters
    ----------
    neurons_per_unit
        M, the number of neurons of each unit; on and off polarity alternate. With a fraction such as 1.5 or 0.75 there
        are round(M n) neurons for n units, and units that contribute more to the drift get more of them, with M
        below 1 some none; see `allocate`. Decoders then take over their part.
    max_rates_hz
        Range from which each neuron's largest rate is drawn, before it is tuned.
    neuron
        Neuron model.
    tuned
        Whether gains (within a factor of three) and thresholds are moved so that the neurons' curves can add up to
        the drift; see `ddm2snn.conversion.tuning.tune`. Populations above 1,024 neurons stay as drawn.

    Examples
    --------
    >>> Population(4.0) == Population()
    True
    >>> from ddm2snn import Training, train
    >>> from ddm2snn.network import to_internal
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> int(Population(1.5).counts(rate, to_internal(rate, rate.initial_latent)).sum())
    12
    """

    neurons_per_unit: float = 4
    max_rates_hz: tuple[float, float] = (100.0, 200.0)
    neuron: NeuronModel = LIF()
    tuned: bool = True

    _repr_html_ = fields_table

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
        return allocate(total, importance(rate, z))


def _as_multiple(value: object) -> float:
    """Neurons per unit as an int where they are whole, as a float where they are not, or say why they are neither."""
    if isinstance(value, float | np.floating) and np.isfinite(value) and value > 0:
        return int(value) if value == int(value) else float(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value > 0:
        return int(value)
    raise InputError(f"neurons_per_unit must be a finite number above zero, such as 4 or 1.5, got {value!r}.")


def importance(rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, " unit"]:
    r"""How a unit moves the drift: :math:`|W_{s,i}|` times the deviation of :math:`\phi(x_i)` over `z`; (unit,)."""
    return np.linalg.norm(rate.right_vectors, axis=1) * rate.hidden(z).std(axis=0)


def allocate(total: int, weight: Float[np.ndarray, " unit"]) -> Int[np.ndarray, " unit"]:
    r"""Neurons of each unit, `total` in all, shape (unit,).

    Minimises :math:`\sum_i w_i^2 / n_i`, the error of units whose own errors are independent and fall with the
    number of their neurons: each next neuron goes where :math:`w_i / \sqrt{n_i (n_i + 1)}` is largest, which
    is Neyman's allocation in whole numbers, and the method of equal proportions (Wright, Am. Stat. 66, 2012). A
    unit without a neuron comes before any second neuron, so that with fewer neurons than units the heaviest
    units get one each.

    Examples
    --------
    >>> allocate(6, np.array([3.0, 1.0, 1.0]))
    array([4, 1, 1])
    >>> allocate(2, np.array([3.0, 1.0, 2.0]))
    array([1, 0, 1])
    """
    count = np.zeros(len(weight), dtype=np.int64)
    # negative priorities, since the heap gives the smallest; ties by the order of units
    first = sorted(range(len(weight)), key=lambda unit: (-weight[unit], unit))[:total]
    count[first] = 1
    heap = [(-float(weight[unit]) / np.sqrt(2.0), unit) for unit in first]
    heapq.heapify(heap)
    for _ in range(total - len(first)):
        _, unit = heap[0]
        count[unit] += 1
        heapq.heapreplace(heap, (-float(weight[unit]) / np.sqrt(count[unit] * (count[unit] + 1.0)), unit))
    return count


def encode(
    rate: RateNetwork,
    population: Population,
    clock: Clock,
    z: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
) -> Ensemble:
    r"""Place neurons so that each covers its unit's input :math:`x_i = \Gamma_i z + b_i` over the points `z`.

    With polarity :math:`p = \pm 1`, threshold :math:`\theta` and gain :math:`g`,

    .. math:: J = J_0 + g\,p\,(x_i - \theta) \quad\Rightarrow\quad E = g\,p\,\Gamma_i,\qquad
        \beta = J_0 + g\,p\,(b_i - \theta),

    where :math:`J_0` is the neuron model's threshold current and g puts the largest rate, by the inverse of its
    curve, at the end of the input's range that the neuron prefers. Thresholds are
    uniform over that range, stratified within each unit.

    Examples
    --------
    >>> from ddm2snn import Training, train
    >>> from ddm2snn.conversion.clock import Clock
    >>> from ddm2snn.network import to_internal
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> z = to_internal(rate, rate.initial_latent)
    >>> clock = Clock(time_unit_s=0.1, dt_s=0.001, spike_timing="interpolated")
    >>> ensemble = encode(rate, Population(2, max_rates_hz=(50.0, 80.0)), clock, z, np.random.default_rng(0))
    >>> ensemble.unit
    array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7])
    >>> highest_hz = ensemble.rates_hz(z).max(axis=0)
    >>> bool((highest_hz > 49.9).all() and (highest_hz < 80.1).all())
    True
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
    real = index < count[:, None]  # numbers are drawn for the largest count, and used up to each unit's own
    top = np.ones((units, m))
    top[real] = neuron.current_at_rate(rng.uniform(*population.max_rates_hz, (units, m))[real])
    silent = neuron.threshold_current
    gain = (top - silent) / ((1.0 - depth) * span)
    threshold = np.where(polarity > 0, low[:, None] + depth * span, high[:, None] - depth * span)
    unit = np.repeat(np.arange(units), count)
    factor = (gain * polarity)[real]
    return Ensemble(
        encoders=factor[:, None] * rate.left_vectors[unit],
        bias=(silent + gain * polarity * (rate.bias[:, None] - threshold))[real],
        unit=unit,
        neuron=neuron,
        clock=clock,
    )
