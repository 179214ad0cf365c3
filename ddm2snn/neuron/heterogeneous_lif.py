"""Leaky integrate-and-fire neurons with membrane time constants of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.neuron.lif import LeakyRates

if TYPE_CHECKING:
    from jaxtyping import Float

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class HeterogeneousLIF(LeakyRates):
    r"""`LIF` neurons whose membrane time constants differ, log-normally.

    .. math:: \tau_j = \tau_m \exp\big(\sigma\,\Phi^{-1}(u_j)\big), \qquad u_j = \tfrac12 + 0.618\ldots\,j
        \bmod 1

    for neuron j from 0 on, with :math:`\Phi^{-1}` the quantiles of the normal distribution: neighbours differ, and
    every stretch of a population covers the distribution evenly, with nothing to store.

    Parameters
    ----------
    tau_membrane_s
        Median of the membrane time constants in seconds.
    refractory_s
        Absolute refractory period in seconds.
    tau_spread
        :math:`\sigma`, standard deviation of their logarithms.
    first_neuron
        Number of the first neuron, where this is a part of a population.
    """

    tau_membrane_s: float = 0.02
    refractory_s: float = 0.002
    tau_spread: float = 0.25
    first_neuron: int = 0

    def __post_init__(self) -> None:
        check_positive(
            "HeterogeneousLIF", tau_membrane_s=self.tau_membrane_s, refractory_s=self.refractory_s,
            tau_spread=self.tau_spread,
        )  # fmt: skip
        first = self.first_neuron
        if isinstance(first, bool) or not isinstance(first, int | np.integer) or first < 0:
            raise InputError(f"HeterogeneousLIF.first_neuron must be a whole number, zero or above, got {first!r}.")

    @property
    def name(self) -> str:
        """Name under which the model is stored and chosen on the command line."""
        return "heterogeneous-lif"

    def taus_s(self, current: Float[np.ndarray, ...]) -> Float[np.ndarray, " neuron"]:
        """Membrane time constants of the neurons along the last axis of an array; of one where it has none."""
        from scipy.special import ndtri

        count = np.shape(current)[-1] if np.ndim(current) else 1
        place = (0.5 + _GOLDEN * (self.first_neuron + np.arange(count))) % 1.0
        taus = self.tau_membrane_s * np.exp(self.tau_spread * ndtri(np.maximum(place, 1e-12)))
        return taus if np.ndim(current) else taus[0]

    def part(self, some: slice) -> HeterogeneousLIF:
        """The neurons of a slice of the population."""
        return replace(self, first_neuron=self.first_neuron + (some.start or 0))
