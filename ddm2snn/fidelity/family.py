"""A family of measures: what it keeps of each trial, the value of a set of trials, distances between two values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    Samples = Float[np.ndarray, "trial time rank"]
    Weights = Float[np.ndarray, "run trial"]

Number = tuple[float, float] | None
"""The compared numbers of test and reference, where a distance is a difference of two numbers."""


@dataclass(frozen=True)
class Entry:
    """One measure of a family.

    Parameters
    ----------
    name, label, unit
        Stable name, words for a table, unit of the distance.
    coarse
        Largest distance by chance at which the measure still tells something; above it is not informative.
    """

    name: str
    label: str
    unit: str
    coarse: float


class Family(Protocol):
    """Measures that share a summary. Everything that is common to test and reference is fixed at construction."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The measures, in the order of the distances."""
        ...

    @property
    def costly(self) -> bool:
        """Whether a distance is so slow that its chance distribution comes from few splits."""
        ...

    def summarise(self, samples: Samples) -> Any:  # noqa: ANN401 - each family its own
        """Statistics per trial, from which the value of any selection of trials follows."""
        ...

    def values(self, summary: Any, weights: Weights) -> Sequence[Any] | np.ndarray:  # noqa: ANN401
        """Value of each weighted selection of trials."""
        ...

    def distances(self, test: Any, reference: Any) -> tuple[float, ...]:  # noqa: ANN401
        """Distance of a test's value from a reference's, per measure; NaN where there is none."""
        ...

    def numbers(self, test: Any, reference: Any) -> tuple[Number, ...]:  # noqa: ANN401
        """Compared numbers per measure."""
        ...
