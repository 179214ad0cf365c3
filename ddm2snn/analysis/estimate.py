"""A number estimated from samples, with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

_RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A value with the limits of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of_blocks(
        cls, values: Float[np.ndarray, " block"], weights: Float[np.ndarray, " block"], rng: np.random.Generator
    ) -> Estimate:
        """Weighted mean over blocks; the interval is from drawing blocks with replacement.

        Source: Efron, Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
        """
        drawn = rng.integers(len(values), size=(_RESAMPLES, len(values)))
        means = (values * weights)[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
        low, high = np.quantile(means, [0.025, 0.975])
        return cls(float((values * weights).sum() / weights.sum()), float(low), float(high))

    def as_json(self) -> dict[str, float]:
        """Value and limits."""
        return {"value": self.value, "low": self.low, "high": self.high}
