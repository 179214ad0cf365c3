"""The leaky integrate-and-fire neuron with its rate response in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.neuron.timing import Refractory, SpikeTiming, check_reachable, step_of_grid

if TYPE_CHECKING:
    from jaxtyping import Float


class LeakyRates(Refractory):
    """Rate, lead and inverse rate of a leaky membrane in closed form."""

    longest_lead_s: ClassVar[float] = 0.004
    """Beyond, the slow-current expansion behind `lead_s` no longer holds."""

    def taus_s(self, current: Float[np.ndarray, ...]) -> float | Float[np.ndarray, " neuron"]:
        """Membrane time constants of the neurons that a current is for."""
        return self.tau_membrane_s

    def rate_hz(
        self,
        current: Float[np.ndarray, ...],
        *,
        timing: SpikeTiming = "interpolated",
        dt_s: float | None = None,
    ) -> Float[np.ndarray, ...]:
        r"""Firing rate at constant current.

        In continuous time :math:`1/(t_\text{ref} + q)` with
        :math:`q = \tau_m \ln\frac{J}{J-1}`; on a grid a spike waits for the end of its step and the
        next integration starts on the grid, so :math:`1/(dt\,(R + \lceil q/dt \rceil))` with
        :math:`R = t_\text{ref}/dt` steps. Zero for :math:`J \le 1`.

        Raises
        ------
        InputError
            Where `timing` is "grid" and `dt_s` is missing, not positive or longer than the refractory period.
        """
        current = np.asarray(current, dtype=np.float64)
        above = current > 1.0
        climb_s = self._climb_s(np.where(above, current, 2.0))
        step_s = step_of_grid(type(self).__name__, timing, dt_s)
        if step_s is not None:
            interval_s = step_s * (self.refractory_steps(step_s) + np.ceil(climb_s / step_s))
        else:
            interval_s = self.refractory_s + climb_s
        return np.where(above, 1.0 / interval_s, 0.0)

    def lead_s(self, current: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        r"""Time by which an asynchronous population runs ahead of a slowly moving current.

        With :math:`\theta(v, J)` the phase in the inter-spike interval :math:`P(J)`, a step
        :math:`dJ` adds :math:`dJ\,\langle\partial_J\theta|_v\rangle` spikes beyond
        :math:`F(J+dJ)\,t`, so that to first order :math:`r(t) = F(J) + c\,\dot J = F(J + \ell\dot J)` with

        .. math:: c = \frac{\tau_m}{J P}\Big[\frac{q - \tau_m/(J-1)}{P} + \frac{1}{2(J-1)}\Big],
            \qquad \ell = \frac{c}{F'(J)} = (J-1)\,q - \tau_m + \frac{P}{2}.

        (Our derivation, by averaging over the uniform phase.) Zero below threshold; meaningful where the
        current changes little within one interval, so callers bound it.
        """
        current = np.asarray(current, dtype=np.float64)
        above = current > 1.0
        j = np.where(above, current, 2.0)
        climb_s = self._climb_s(j)
        interval_s = self.refractory_s + climb_s
        lead = (j - 1.0) * climb_s - self.taus_s(current) + 0.5 * interval_s
        return np.where(above, lead, 0.0)

    def current_at_rate(self, rate_hz: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Current at which the neuron fires at `rate_hz` in continuous time (rates below 1 / refractory_s)."""
        rate = np.asarray(rate_hz, dtype=np.float64)
        check_reachable(type(self).__name__, rate, self.refractory_s)
        return 1.0 / -np.expm1((self.refractory_s - 1.0 / rate) / self.taus_s(rate))

    def _climb_s(self, current: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        return -self.taus_s(current) * np.log1p(-1.0 / current)


@dataclass(frozen=True)
class LIF(LeakyRates):
    r"""Leaky integrate-and-fire neuron with threshold 1, reset 0 and an absolute refractory period.

    .. math:: \tau_m \dot v = -v + J, \qquad v \ge 1 \Rightarrow \text{spike},\; v \leftarrow 0
        \text{ for } t_\text{ref}

    The voltage is rectified at reset (v >= 0), as in Nengo and on Loihi: a neuron that was inhibited
    answers as soon as its current turns positive. The rate at constant current does not depend on it.

    Parameters
    ----------
    tau_membrane_s
        Membrane time constant in seconds.
    refractory_s
        Absolute refractory period in seconds; 0 for none, as in NIR and the simulators that read it.
    """

    tau_membrane_s: float = 0.02
    refractory_s: float = 0.002

    def __post_init__(self) -> None:
        check_positive("LIF", tau_membrane_s=self.tau_membrane_s)
        known = isinstance(self.refractory_s, int | float | np.number) and not isinstance(self.refractory_s, bool)
        if not (known and np.isfinite(self.refractory_s) and self.refractory_s >= 0):
            raise InputError(f"LIF.refractory_s must be a finite number, zero or above, got {self.refractory_s!r}.")

    @property
    def name(self) -> str:
        """Name under which the model is stored and chosen on the command line."""
        return "lif"
