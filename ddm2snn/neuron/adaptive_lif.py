"""The leaky integrate-and-fire neuron whose threshold rises with every spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.neuron.model import SpikingModel

if TYPE_CHECKING:
    from jaxtyping import Float

_MOST_NEWTON_STEPS, _NEWTON_TOLERANCE = 200, 1e-13  # steps square the error: after the last it is rounding
_NOTHING = 1e-200
_INTERVALS = 256  # on a grid, over which the mean is taken
_BLOCK = 4096  # currents at a time, so that they stay in the cache


@dataclass(frozen=True)
class AdaptiveLIF(SpikingModel):
    r"""Leaky integrate-and-fire neuron with adaptive threshold :math:`1 + \theta` and reset 0.

    .. math:: \tau_m \dot v = -v + J, \qquad \tau_\theta \dot\theta = -\theta, \qquad
        v \ge 1 + \theta \Rightarrow \text{spike},\; v \leftarrow 0 \text{ for } t_\text{ref},\;
        \theta \leftarrow \theta + \Delta

    (the adaptive neuron of Bellec et al., NeurIPS 2018, with reset to 0 as in `LIF`). The voltage is rectified
    (v >= 0); theta starts at 0 and decays in the refractory period as well. Nengo's `AdaptiveLIF` lowers the
    current instead and is another model.

    Parameters
    ----------
    tau_membrane_s, refractory_s
        As in `LIF`.
    threshold_jump
        Delta, by which a spike raises the threshold, in units of the threshold at rest.
    tau_threshold_s
        Time constant in seconds with which the threshold returns to rest.

    Examples
    --------
    Adaptation lowers the rate of `LIF`, the more the larger the jump:

    >>> from ddm2snn import AdaptiveLIF, LIF
    >>> LIF().rate_hz([1.0, 2.0, 4.0]).round(1)
    array([  0.,  63., 129.])
    >>> AdaptiveLIF(threshold_jump=0.05).rate_hz([1.0, 2.0, 4.0]).round(1)
    array([ 0. , 48.2, 91.9])
    >>> AdaptiveLIF(threshold_jump=0.2).rate_hz([1.0, 2.0, 4.0]).round(1)
    array([ 0. , 31.8, 59.5])

    The interval at rate r ends where the voltage meets the threshold:

    >>> neuron = AdaptiveLIF()
    >>> neuron.rate_hz(neuron.current_at_rate([20.0, 100.0])).round(6)
    array([ 20., 100.])
    """

    name: ClassVar[str] = "adaptive-lif"
    sources: ClassVar[tuple[str, ...]] = ("bellec2018",)

    tau_membrane_s: float = 0.02
    refractory_s: float = 0.002
    threshold_jump: float = 0.05
    tau_threshold_s: float = 0.1

    @property
    def longest_lead_s(self) -> float:
        """Bound on `lead_s`: that of a LIF, and the time in which the threshold forgets."""
        return 0.004 + self.tau_threshold_s

    def decay_factor(self, dt_s: float) -> float:
        """Factor by which the distance of a voltage from its current shrinks in one step."""
        return float(np.exp(-dt_s / self.tau_membrane_s))

    def threshold_factor(self, dt_s: float) -> float:
        """Factor by which what the threshold has above rest shrinks in one step."""
        return float(np.exp(-dt_s / self.tau_threshold_s))

    def _rate_hz(self, current: Float[np.ndarray, ...], step_s: float | None) -> Float[np.ndarray, ...]:
        r"""Rate at constant current: in continuous time :math:`1/P` with P the root of

        .. math:: g(P) = J\big(1 - e^{-(P - t_\text{ref})/\tau_m}\big) - 1 - \frac{\Delta}{e^{P/\tau_\theta} - 1},

        which is rising and concave, so that Newton's steps from the interval of a neuron without adaptation
        climb to it. On a grid the threshold after a spike follows :math:`\theta \leftarrow \Delta + \theta a^n`
        with :math:`a = e^{-dt/\tau_\theta}` and n the smallest number of steps after which the voltage is above
        the threshold. In the long run only :math:`\lceil P/dt \rceil` and one less occur; between them the map
        preserves the order on a circle, so that the mean over N intervals is that of infinitely many within
        :math:`dt/N` (N = 256; our derivation). Zero for :math:`J \le 1`.
        """
        above = current > 1.0
        interval_s = current[above]
        for start in range(0, interval_s.size, _BLOCK):
            part = interval_s[start : start + _BLOCK]
            part[:] = self._interval_s(part) if step_s is None else self._grid_interval_s(part, step_s)
        rate = np.zeros(current.shape)
        rate[above] = 1.0 / interval_s
        return rate

    def lead_s(self, current: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        r"""Time by which an asynchronous population runs ahead of a slowly moving current.

        With :math:`m = e^{-(P - t_\text{ref})/\tau_m}`, :math:`a = e^{-P/\tau_\theta}`, the threshold
        :math:`\theta = \Delta/(1-a)` after a spike, :math:`\partial_\theta P = a / (J m/\tau_m + \theta a/\tau_\theta)`
        and :math:`\lambda = a\,(1 - \theta\,\partial_\theta P/\tau_\theta)`, what is left of a deviation of
        theta after one interval,

        .. math:: \ell = \frac{P}{2} - \frac{\tau_m - (P - t_\text{ref} + \tau_m)\,m}{1 - m}
            + \frac{P\,\theta a\,\partial_\theta P}{\tau_\theta (1-a)(1-\lambda)}:

        half an interval, the membrane's memory of a ramp, and the threshold that lags behind the rate. Without
        adaptation it is that of `LIF`. (Our derivation, to first order in the slope.)
        """
        current = np.asarray(current, dtype=np.float64)
        above = current > 1.0
        j = current[above]
        interval_s = self._interval_s(j)
        climb_s = interval_s - self.refractory_s
        m, a = np.exp(-climb_s / self.tau_membrane_s), np.exp(-interval_s / self.tau_threshold_s)
        theta = self.threshold_jump / (1.0 - a)
        slope = a / (j * m / self.tau_membrane_s + theta * a / self.tau_threshold_s)
        rest = a * (1.0 - theta * slope / self.tau_threshold_s)
        lead = np.zeros(current.shape)
        lead[above] = (
            0.5 * interval_s
            - (self.tau_membrane_s - (climb_s + self.tau_membrane_s) * m) / (1.0 - m)
            + interval_s * theta * a * slope / (self.tau_threshold_s * (1.0 - a) * (1.0 - rest))
        )
        return lead

    def current_at_rate(self, rate_hz: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Current at which the neuron fires steadily at `rate_hz` in continuous time (below 1 / refractory_s)."""
        interval_s = 1.0 / self.check_rates(rate_hz)
        a = np.exp(-interval_s / self.tau_threshold_s)
        threshold = 1.0 + self.threshold_jump * a / -np.expm1(-interval_s / self.tau_threshold_s)
        return threshold / -np.expm1((self.refractory_s - interval_s) / self.tau_membrane_s)

    def _interval_s(self, current: Float[np.ndarray, " current"]) -> Float[np.ndarray, " current"]:
        """Steady interval in continuous time at currents above 1: the root of g."""
        tau_s, tau_threshold_s, jump = self.tau_membrane_s, self.tau_threshold_s, self.threshold_jump
        interval_s = self.refractory_s - tau_s * np.log1p(-1.0 / current)
        for _ in range(_MOST_NEWTON_STEPS):
            m, a = np.exp((self.refractory_s - interval_s) / tau_s), np.exp(-interval_s / tau_threshold_s)
            forgotten = -np.expm1(-interval_s / tau_threshold_s)
            miss = current * (1.0 - m) - 1.0 - jump * a / forgotten
            slope = current * m / tau_s + jump * a / (tau_threshold_s * forgotten**2)
            step_s = miss / slope
            interval_s = interval_s - step_s
            if (np.abs(step_s) <= _NEWTON_TOLERANCE * interval_s).all():
                break
        return interval_s

    def _grid_interval_s(self, current: Float[np.ndarray, " current"], dt_s: float) -> Float[np.ndarray, " current"]:
        """Mean interval on a grid at currents above 1."""
        refractory = self.refractory_steps(dt_s)
        most = np.ceil(self._interval_s(current) / dt_s)
        climbed = -np.expm1(-np.maximum(most - 1.0 - refractory, 0.0) * dt_s / self.tau_membrane_s)
        long = np.exp(-most * dt_s / self.tau_threshold_s)
        short = np.exp(-(most - 1.0) * dt_s / self.tau_threshold_s)
        limit = current * climbed - 1.0  # threshold below which the shorter interval ends in a spike
        theta, shorter = self.threshold_jump / (1.0 - long), np.zeros(current.shape)
        # elsewhere the longer interval keeps its own threshold; one that has decayed to nothing has no say
        mixed = (theta * short < limit) & (short > _NOTHING)
        limit, long, short = limit[mixed], long[mixed], short[mixed]
        theta, count = np.minimum(limit / short, self.threshold_jump / (1.0 - short)), np.zeros(limit.shape)
        for _ in range(_INTERVALS):
            early = theta * short < limit
            theta = self.threshold_jump + theta * np.where(early, short, long)
            count += early
        shorter[mixed] = count / _INTERVALS
        return dt_s * (most - shorter)
