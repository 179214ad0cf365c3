"""What every measure has, and the samples of a reference by which it is fixed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ddm2snn.fidelity.samples import autocorrelation, lagged_products, mean_of_finite

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples, Weights

_SEGMENT_TRIALS = 64  # trials over which the time of a segment is found [cost]
# a sixtieth of a period, fine against the motion; shorter ones make drifts less certain [choice]
_LAGS_PER_SEGMENT = 20
_FINE_LAGS_PER_SEGMENT = 100  # for what needs a short lag [choice]

Numbers = tuple[float, float] | None
"""The compared numbers of test and reference; None where a distance does not compare two numbers."""

Kind = Literal["states", "course", "period", "pace", "timing", "deviation", "mean", "drift", "lag", "change"]
"""What a distance is about. A verdict chooses its words by it:

- `states`: where the states lie, such as a distance of densities: "its states lie elsewhere".
- `course`: how they go on in time, such as a distance of spectra: "its course in time differs".
- `period`: a duration of the whole motion: "2 % slower".
- `pace`: a size of the drift: "2 % slower", provided that no distance of kind `states` differs.
- `timing`: another number with a time in it, such as dwell times: "dwell times 10 % larger".
- `deviation`, `mean`: of one latent: "latent 0 10 % wider", "latent 0 0.2 sd higher".
- `drift`: the drift field: "its mean velocity (drift) differs by 2 %, ...".
- `lag`: a number at one of several lags, told together: "noise at lags 0.02 and 0.1 8 to 86 % larger". The name ends
  with the lag.
- `change`: any other number, by its ratio to the reference's: "diffusion 10 % larger". A signed number near zero takes
  it with None as `numbers`, since its ratio says nothing: the verdict then gives the distance, "ripple 0.02 time
  units off".
"""

_ASPECTS: Mapping[Kind, str] = MappingProxyType({
    "states": "shape", "deviation": "shape", "mean": "shape", "course": "timing", "timing": "timing",
    "period": "period", "pace": "drift", "drift": "drift",
})  # fmt: skip

FloorLaw = Literal["means if near", "means", "observed"]
"""How the distance between two recordings of the reference falls with their number of trials T.

It is needed where the reference has one recording only, whose halves and quarters are compared instead.

- `means if near`: as halves and quarters show, or as 1 / sqrt(T) where that is as near as they can tell.
- `means`: as 1 / sqrt(T), the law of means; for a measure that works differently on few trials.
- `observed`: as halves and quarters show; for a measure whose law is another one.
"""


@dataclass(frozen=True)
class Entry:
    """One distance of a measure: what tables, figures and verdicts say about it.

    The name is stable, the label is for tables. A `coarse` difference is one that nobody would call small: where chance
    alone makes larger distances, the distance is not informative. A verdict calls the distance by its `short` name, by
    default the label, and what has changed by its `subject`, by default the short name. What it is `about` is its
    `aspect`, by default one that follows from its kind, such as shape or timing. Verdicts name distances of
    larger `prominence` first; the figure of the ladder shows those above zero. Its `sources` are keys of
    `ddm2snn.exchange.citations.references`.

    Examples
    --------
    >>> entry = Entry("d_h", "power-spectrum Hellinger D_H", "", coarse=0.5, kind="course", short="D_H", prominence=3)
    >>> entry.leading
    True
    """

    name: str
    label: str
    unit: str
    coarse: float
    kind: Kind
    short: str = ""
    subject: str = ""
    prominence: int = 0
    aspect: str = ""
    sources: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """Aspect of the process, in a plain word; several distances have one."""
        return self.aspect or _ASPECTS.get(self.kind) or self.subject or self.short or self.label

    @property
    def leading(self) -> bool:
        """Whether every verdict and the head of a report's page name it: prominent, and about states or course."""
        return self.prominence > 0 and self.kind in ("states", "course")


class Measure(ABC):
    """One way to compare a test with a reference, by one distance or several that share a summary.

    A value is made from a summary and not from samples, because chance is judged by hundreds of random selections of
    trials. What test and reference have in common is fixed in fields, of which several measures have `every` (sampling
    interval in rate time units), `lag` (samples between those that an estimate uses), `centre` and `scale` (mean and
    standard deviation of the reference, by latent), and `grid` with the `cells` of it that are compared.
    """

    costly: ClassVar[bool] = False
    """Whether a distance is so slow that its chance distribution comes from few selections."""

    floor_law: ClassVar[FloorLaw] = "means if near"
    """How distances between recordings of the reference fall with the number of trials."""

    @property
    @abstractmethod
    def entries(self) -> tuple[Entry, ...]:
        """The distances, in the order in which `distances` returns them."""

    @abstractmethod
    def summarise(self, samples: Samples) -> Any:  # noqa: ANN401 - each measure its own
        """Statistics of each trial, from which the value of any selection of trials follows."""

    def values(self, summary: Any, weights: Weights) -> Sequence[Any] | np.ndarray:  # noqa: ANN401
        """Value of each selection of trials, whose `weights` say how often each counts; by default the mean summary."""
        total = np.tensordot(weights, summary, axes=1)
        return total / weights.sum(axis=1).reshape(-1, *(1 for _ in total.shape[1:]))

    @abstractmethod
    def distances(self, test: Any, reference: Any) -> tuple[float, ...]:  # noqa: ANN401
        """Distances of a test's value from a reference's; NaN where there is none."""

    def numbers(self, test: Any, reference: Any) -> tuple[Numbers, ...]:  # noqa: ANN401
        """Compared numbers of test and reference, one pair for each entry."""
        return (None,) * len(self.entries)

    def resampled(
        self,
        summary: Any,  # noqa: ANN401
        value: Any,  # noqa: ANN401
        references: Sequence[Any],
        draws: Weights,
    ) -> Float[np.ndarray, "draw entry"]:
        """Mean distances from the references of a test whose trials are drawn anew; `value` is that of all trials."""
        again = self.values(summary, draws)
        return np.array([mean_of_finite(np.array([self.distances(v, of) for of in references])) for v in again])


@dataclass(frozen=True, eq=False)
class ReferenceSamples:
    """Trials of all recordings of a reference, one recording after the other: finite, with no constant latent.

    One recording has `trials` trials. The sampling interval `every` is in rate time units. The centres of `wells` are
    two or more, if there are any.

    Examples
    --------
    >>> wave = np.sin(0.1 * np.arange(1000))[None, :, None]
    >>> reference = ReferenceSamples.of([wave, -wave], every=0.1)
    >>> reference
    ReferenceSamples(runs=2, trials=1, time=1000, rank=1, every=0.1)
    >>> reference.segment, reference.lag  # a period is 63 samples
    (22, 1)
    """

    samples: Samples
    trials: int
    every: float
    wells: Float[np.ndarray, "well rank"] | None = None

    @classmethod
    def of(
        cls, recordings: Sequence[Samples], every: float, wells: Float[np.ndarray, "well rank"] | None = None
    ) -> ReferenceSamples:
        """From recordings of equal shape."""
        return cls(np.concatenate(list(recordings)), len(recordings[0]), every, wells)

    def __repr__(self) -> str:
        _, time, rank = self.samples.shape
        return (
            f"ReferenceSamples(runs={self.runs}, trials={self.trials}, time={time}, rank={rank}, every={self.every:g})"
        )

    @property
    def runs(self) -> int:
        """Number of recordings."""
        return len(self.samples) // self.trials

    @cached_property
    def segment(self) -> int:
        """Samples of a third of a period, or of about one correlation time where nothing oscillates.

        Twice the samples after which the mean autocorrelation of the latents first falls below a half, at most a
        quarter of a trial.
        """
        length = self.samples.shape[1]
        some = self.samples[:: -(-len(self.samples) // _SEGMENT_TRIALS)]
        correlation = autocorrelation(lagged_products(some, max(2, length // 4)))[0].mean(axis=1)
        below = np.flatnonzero(correlation < 0.5)
        return min(2 * int(below[0]) if len(below) else length // 4, length // 4)

    @property
    def lag(self) -> int:
        """Samples over which drift, currents and the fields of figures are measured."""
        return max(1, self.segment // _LAGS_PER_SEGMENT)

    @property
    def fine_lag(self) -> int:
        """Samples of a lag so short against the motion that noise prevails over drift."""
        return max(1, self.segment // _FINE_LAGS_PER_SEGMENT)
