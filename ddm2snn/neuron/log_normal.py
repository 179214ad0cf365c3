"""Log-normal parameters of a population, spread evenly over its neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

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
    >>> from ddm2snn.neuron import LogNormal
    >>> LogNormal(median_s=0.02, spread=0.25).quantiles(4).round(4)
    array([0.02  , 0.0149, 0.0234, 0.0182])
    """

    median_s: float = 0.02
    spread: float = 0.25

    def __post_init__(self) -> None:
        check_positive("LogNormal", median_s=self.median_s, spread=self.spread)

    def quantiles(self, count: int, first: int = 0) -> Float[np.ndarray, " neuron"]:
        """Time constants of `count` neurons in seconds, the first of which has the number `first`."""
        from scipy.special import ndtri

        if isinstance(first, bool) or not isinstance(first, int | np.integer) or first < 0:
            raise InputError(f"LogNormal.quantiles: first must be a whole number, zero or above, got {first!r}.")
        place = (0.5 + _GOLDEN * (first + np.arange(count))) % 1.0
        return self.median_s * np.exp(self.spread * ndtri(np.maximum(place, 1e-12)))
