"""The integrate-and-fire neuron without leak, whose rate is a rectified line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.neuron.model import SpikingModel

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class RectifiedLinear(SpikingModel):
    r"""Integrate-and-fire neuron without leak and without refractory period: its rate is linear in the current.

    .. math:: \tau_m \dot v = \max(J, 0), \qquad v > 1 \Rightarrow \text{spike},\; v \leftarrow v - 1

    in time steps of constant current, with one spike at most in each. What the voltage has above the threshold
    stays, so that no part of the current is lost to the grid; of a current that asks for more than one spike
    a step, no more than one spike is owed. Up to these limits it is `SpikingRectifiedLinear` of Nengo (Bekolay
    et al., Front. Neuroinform. 7:48, 2014) with the current divided by :math:`\tau_m`.

    Parameters
    ----------
    tau_membrane_s
        Time in seconds in which a current of 1 brings the voltage from reset to threshold.

    Examples
    --------
    >>> from ddm2snn import RectifiedLinear
    >>> neuron = RectifiedLinear(tau_membrane_s=0.02)
    >>> neuron.rate_hz([-1.0, 0.5, 2.0])
    array([  0.,  25., 100.])
    >>> neuron.current_at_rate([25.0, 100.0])
    array([0.5, 2. ])
    >>> neuron.refractory_s, neuron.threshold_current
    (0.0, 0.0)
    """

    name: ClassVar[str] = "rectified-linear"
    sources: ClassVar[tuple[str, ...]] = ("bekolay2014",)
    threshold_current: ClassVar[float] = 0.0

    tau_membrane_s: float = 0.02

    @property
    def longest_lead_s(self) -> float:
        """Zero, as `lead_s` is."""
        return 0.0

    def _rate_hz(self, current: Float[np.ndarray, ...], step_s: float | None) -> Float[np.ndarray, ...]:
        r"""Rate at constant current: :math:`\max(J, 0)/\tau_m`, on a grid at most :math:`1/dt`."""
        rate = np.maximum(current, 0.0) / self.tau_membrane_s
        return rate if step_s is None else np.minimum(rate, 1.0 / step_s)

    def lead_s(self, current: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        r"""Time by which an asynchronous population runs ahead of a moving current: none.

        The spikes up to a time are those that :math:`\int \max(J, 0)\,dt/\tau_m` has passed, so that the rate
        over uniform phases is :math:`\max(J, 0)/\tau_m` at every moment.
        """
        return np.zeros(np.shape(current))

    def current_at_rate(self, rate_hz: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Current at which the neuron fires at `rate_hz` in continuous time, tau_membrane_s times the rate."""
        return self.tau_membrane_s * self.check_rates(rate_hz)
