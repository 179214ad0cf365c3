"""The leaky integrate-and-fire neuron with its rate response in closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.base.arrays import as_array, check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.errors import InputError
from ddm2snn.neuron.model import SpikingModel

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class LogNormal:
    r"""Log-normal distribution of a time constant over the neurons of a population.

    Neuron j, counted from 0, has the quantile

    .. math:: \tau_j = \tau \exp\big(\sigma\,\Phi^{-1}(u_j)\big), \qquad u_j = \tfrac12 + 0.618\ldots\,j \bmod 1,

    with :math:`\Phi^{-1}` the quantiles of the normal distribution. Neighbours differ, and every stretch of a
    population covers the distribution evenly. No random numbers are drawn.

    Parameters
    ----------
    median_s
        :math:`\tau`, the median in seconds.
    spread
        :math:`\sigma`, standard deviation of the logarithm.

    Examples
    --------
    >>> LogNormal(median_s=0.02, spread=0.25).quantiles(4).round(4)
    array([0.02  , 0.0149, 0.0234, 0.0182])
    """

    median_s: float = 0.02
    spread: float = 0.25

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        check_positive("LogNormal", median_s=self.median_s, spread=self.spread)

    def quantiles(self, count: int, first: int = 0) -> Float[np.ndarray, " neuron"]:
        """Time constants of `count` neurons in seconds, the first of which has the number `first`."""
        from scipy.special import ndtri

        if isinstance(first, bool) or not isinstance(first, int | np.integer) or first < 0:
            raise InputError(f"LogNormal.quantiles: first must be a whole number, zero or above, got {first!r}.")
        place = (0.5 + _GOLDEN * (first + np.arange(count))) % 1.0
        return self.median_s * np.exp(self.spread * ndtri(np.maximum(place, 1e-12)))


@dataclass(frozen=True, eq=False, repr=False)
class LIF(SpikingModel):
    r"""Leaky integrate-and-fire neuron with threshold 1, reset 0 and an absolute refractory period.

    .. math:: \tau_m \dot v = -v + J, \qquad v \ge 1 \Rightarrow \text{spike},\; v \leftarrow 0
        \text{ for } t_\text{ref}

    The voltage is rectified at reset (v >= 0), as in Nengo and on Loihi: a neuron that was inhibited
    answers as soon as its current turns positive. The rate at constant current does not depend on it.

    Parameters
    ----------
    tau_membrane_s
        Membrane time constant in seconds: a number for all neurons, a read-only array of shape (neuron,), or a
        `LogNormal` distribution, which `for_neurons` turns into an array.
    refractory_s
        Absolute refractory period in seconds; 0 for none, as in NIR and the simulators that read it.

    Examples
    --------
    At twice the threshold current a neuron climbs for 20 ms times ln 2, after 2 ms of rest:

    >>> import numpy as np
    >>> from ddm2snn import LIF
    >>> neuron = LIF(tau_membrane_s=0.02, refractory_s=0.002)
    >>> bool(neuron.rate_hz(2.0) == 1 / (0.002 + 0.02 * np.log(2)))
    True
    >>> neuron.rate_hz([0.9, 1.0, 2.0, 1e9]).round(2)
    array([  0.  ,   0.  ,  63.04, 500.  ])

    On a grid of 1 ms the climb of 13.86 ms ends after 14 steps:

    >>> float(neuron.rate_hz(2.0, timing="grid", dt_s=0.001))
    62.5

    Neurons may have time constants of their own:

    >>> mixed = LIF(tau_membrane_s=[0.01, 0.02, 0.04])
    >>> mixed
    LIF(tau_membrane_s=3 from 0.01 to 0.04, refractory_s=0.002)
    >>> mixed.rate_hz([2.0, 2.0, 2.0]).round(1)
    array([112. ,  63. ,  33.6])
    >>> mixed.part(slice(1, 3)) == LIF(tau_membrane_s=[0.02, 0.04])
    True
    """

    name: ClassVar[str] = "lif"
    tunable: ClassVar[bool] = True

    tau_membrane_s: float | Float[np.ndarray, " neuron"] | LogNormal = 0.02
    refractory_s: float = 0.002

    def __post_init__(self) -> None:
        if np.ndim(self.tau_membrane_s) > 0:  # pyright: ignore[reportArgumentType] - a distribution has no axes
            object.__setattr__(self, "tau_membrane_s", _time_constants(self.tau_membrane_s))
        elif not isinstance(self.tau_membrane_s, LogNormal):
            check_positive("LIF", tau_membrane_s=self.tau_membrane_s)  # pyright: ignore[reportArgumentType]
        number = isinstance(self.refractory_s, int | float | np.number) and not isinstance(self.refractory_s, bool)
        if not (number and 0 <= self.refractory_s < 1e100):
            raise InputError(f"LIF.refractory_s must be a finite number, zero or above, got {self.refractory_s!r}.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LIF) or type(other) is not type(self):
            return NotImplemented
        same_taus = np.array_equal(self.tau_membrane_s, other.tau_membrane_s)  # pyright: ignore[reportArgumentType]
        return same_taus and self.refractory_s == other.refractory_s

    def __hash__(self) -> int:
        taus_s = self.tau_membrane_s
        return hash((taus_s.tobytes() if isinstance(taus_s, np.ndarray) else taus_s, self.refractory_s))

    def __repr__(self) -> str:
        taus_s = self.tau_membrane_s
        if isinstance(taus_s, np.ndarray):
            taus_s = f"{len(taus_s)} from {taus_s.min():.3g} to {taus_s.max():.3g}"
        return f"{type(self).__name__}(tau_membrane_s={taus_s}, refractory_s={self.refractory_s})"

    @property
    def runs_on_loihi(self) -> bool:
        """Whether a compartment of a Loihi-like device computes the model: with one time constant for all neurons."""
        return self.plain_lif

    @property
    def plain_lif(self) -> bool:
        """Whether all neurons have one time constant."""
        return not isinstance(self.tau_membrane_s, np.ndarray | LogNormal)

    def for_neurons(self, count: int) -> LIF:
        """Model of `count` neurons, whose time constants are quantiles where they are a distribution."""
        taus_s = self.tau_membrane_s
        if isinstance(taus_s, LogNormal):
            return replace(self, tau_membrane_s=taus_s.quantiles(count))
        if isinstance(taus_s, np.ndarray) and len(taus_s) != count:
            raise InputError(
                f"LIF.tau_membrane_s has {len(taus_s)} time constants, but there are {count} neurons. "
                "Give one for each, or a number for all."
            )
        return self

    def part(self, some: slice | Int[np.ndarray, " neuron"]) -> LIF:
        """Model of some of the neurons of a population, which have their time constants."""
        taus_s = self._taus_s
        return replace(self, tau_membrane_s=taus_s[some]) if isinstance(taus_s, np.ndarray) else self

    def decay_factor(self, dt_s: float) -> float | Float[np.ndarray, " neuron"]:
        """Factor by which the distance of a voltage from its current shrinks in one step, of all neurons or of each.

        >>> LIF(tau_membrane_s=[0.01, 0.02]).decay_factor(dt_s=0.001).round(4)
        array([0.9048, 0.9512])
        """
        return np.exp(-dt_s / self._taus_s)

    def _rate_hz(self, current: Float[np.ndarray, ...], step_s: float | None) -> Float[np.ndarray, ...]:
        r"""Rate at constant current: in continuous time :math:`1/(t_\text{ref} + q)`, zero for :math:`J \le 1`.

        Here :math:`q = \tau_m \ln\frac{J}{J-1}`. On a grid a spike waits for the end of its step and the next
        integration starts on the grid: :math:`1/(dt\,(R + \lceil q/dt \rceil))` with :math:`R = t_\text{ref}/dt`.
        """
        above = current > 1.0
        return np.where(above, 1.0 / self._interval_s(np.where(above, current, 2.0), step_s), 0.0)

    def lead_s(self, current: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        r"""Time by which an asynchronous population runs ahead of a slowly moving current.

        With :math:`\theta(v, J)` the phase in the inter-spike interval :math:`P(J)`, a step
        :math:`dJ` adds :math:`dJ\,\langle\partial_J\theta|_v\rangle` spikes beyond
        :math:`F(J+dJ)\,t`, so that to first order :math:`r(t) = F(J) + c\,\dot J = F(J + \ell\dot J)` with

        .. math:: c = \frac{\tau_m}{J P}\Big[\frac{q - \tau_m/(J-1)}{P} + \frac{1}{2(J-1)}\Big],
            \qquad \ell = \frac{c}{F'(J)} = (J-1)\,q - \tau_m + \frac{P}{2}.

        (Our derivation, by averaging over the uniform phase.) Zero below threshold; meaningful where the
        current changes little within one interval, so callers bound it.

        >>> LIF().lead_s([0.5, 2.0, 1e6]).round(5)  # far above threshold: half the refractory period
        array([0.     , 0.00179, 0.001  ])
        """
        current = np.asarray(current, dtype=np.float64)
        above = current > 1.0
        j = np.where(above, current, 2.0)
        climb_s = self._climb_s(j)
        lead = (j - 1.0) * climb_s - self._taus_s + 0.5 * (self.refractory_s + climb_s)
        return np.where(above, lead, 0.0)

    def current_at_rate(self, rate_hz: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Current at which the neuron fires at `rate_hz` in continuous time (rates below 1 / refractory_s).

        >>> LIF().rate_hz(LIF().current_at_rate([50.0, 100.0, 200.0])).round(9)
        array([ 50., 100., 200.])
        """
        rate = self.check_rates(rate_hz)
        return 1.0 / -np.expm1((self.refractory_s - 1.0 / rate) / self._taus_s)

    def smooth_rates(
        self, current: Float[np.ndarray, "sample neuron"], width: float
    ) -> tuple[Float[np.ndarray, "sample neuron"], Float[np.ndarray, "sample neuron"]]:
        r"""Rates in continuous time with a smoothed threshold, and their slopes in the current.

        The current above threshold, :math:`J - 1`, becomes :math:`w \ln(1 + e^{(J-1)/w})` with w the `width`. Rates
        are shares of the highest, :math:`1/t_\text{ref}`, or of :math:`1/\tau_m` without a refractory period.
        """
        unit_s = self.refractory_s or float(np.mean(self._taus_s))
        dead, ratio = self.refractory_s / unit_s, self._taus_s / unit_s
        x = (current - 1.0) / width
        small = np.exp(-np.abs(x))
        above = np.maximum(width * (np.maximum(x, 0.0) + np.log1p(small)), 1e-300)
        rate = 1.0 / (dead + ratio * np.log1p(1.0 / above))
        logistic = np.where(x > 0, 1.0, small) / (1.0 + small)
        return rate, rate**2 * ratio / (above * (1.0 + above)) * logistic

    @property
    def _taus_s(self) -> float | Float[np.ndarray, " neuron"]:
        """Time constants that can be computed with."""
        if isinstance(self.tau_membrane_s, LogNormal):
            raise InputError(
                "LIF.tau_membrane_s is a distribution. Use neuron.for_neurons(count), which has an array of `count` "
                "time constants."
            )
        return self.tau_membrane_s

    def _interval_s(self, current: Float[np.ndarray, ...], step_s: float | None) -> Float[np.ndarray, ...]:
        """Interval between spikes at currents above 1, in continuous time where there is no step."""
        climb_s = self._climb_s(current)
        if step_s is None:
            return self.refractory_s + climb_s
        return step_s * (self.refractory_steps(step_s) + np.ceil(climb_s / step_s))

    def _climb_s(self, current: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Time from reset to threshold at currents above 1."""
        return -self._taus_s * np.log1p(-1.0 / current)


def _time_constants(value: object) -> Float[np.ndarray, " neuron"]:
    """Read-only array of a time constant for each neuron."""
    taus_s = as_array(value, np.float64, "LIF.tau_membrane_s")
    if taus_s.ndim != 1 or taus_s.size == 0 or not (taus_s > 0).all():
        raise InputError(
            "LIF.tau_membrane_s must be a number, or an array of shape (neuron,) with numbers above zero, "
            f"got shape {taus_s.shape} with a least of {taus_s.min(initial=np.inf):g}."
        )
    taus_s.setflags(write=False)
    return taus_s
