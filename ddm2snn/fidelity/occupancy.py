"""Where the states are: Wasserstein distances, state-space divergence, maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.discrepancy import embed
from ddm2snn.fidelity.family import Entry, Number
from ddm2snn.fidelity.grid import Box, Grid
from ddm2snn.fidelity.samples import thinned
from ddm2snn.fidelity.state_divergence import (
    BINS,
    INFORMATIVE,
    CellCounts,
    count_cells,
    state_divergence,
)
from ddm2snn.fidelity.transport import assignment_distance
from ddm2snn.fidelity.wasserstein import Slicer, Slices, sliced_wasserstein

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.fidelity.family import Samples, Weights

_DIRECTIONS = 40
_EMBEDDED = 8000  # samples per recording
_MATCHED = 300  # states per recording; a matching costs the third power of their number
_DRAWS, _AGAINST = 10, 2  # resampled sets of trials, and recordings of the reference they are matched with


@dataclass(frozen=True, eq=False)
class Transport:
    """Sliced Wasserstein distance in standard deviations of the reference."""

    slicer: Slicer
    entries: tuple[Entry, ...] = (Entry("sliced_wasserstein", "sliced Wasserstein", "reference sd", 0.5),)
    costly = False

    @classmethod
    def of(cls, reference: Samples) -> Transport:
        """Directions and bins about the reference."""
        return cls(Slicer.around(reference, _DIRECTIONS))

    def summarise(self, samples: Samples) -> Slices:
        """Histograms of projections per trial."""
        return self.slicer(samples)

    def values(self, summary: Slices, weights: Weights) -> Float[np.ndarray, "run direction level"]:
        """Quantiles of the projections."""
        return summary.quantiles(weights)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Root-mean-square difference of quantiles."""
        return (sliced_wasserstein(test, reference),)

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Number]:
        """None: a distance of distributions compares no two numbers."""
        return (None,)


@dataclass(frozen=True, eq=False)
class Matching:
    """Exact 2-Wasserstein distance of 300 states of each recording, in standard deviations of the reference.

    Two sets of states of **one** process are this far apart because they are few, so the floor is high and small
    differences drown in it; but no choice of directions or bins enters.
    """

    points: int
    times: Int[np.ndarray, " column"]
    scale: Float[np.ndarray, " rank"]
    costly = True

    @classmethod
    def of(cls, reference: Samples, trials: int) -> Matching:
        """Evenly spaced times, in a random order, enough for a quarter of the trials to give all states."""
        length = reference.shape[1]
        points = max(2, min(_MATCHED, trials * length // 4))
        times = thinned(length, 1, -(-4 * points // trials))
        return cls(points, np.random.default_rng(0).permutation(times), reference.std(axis=(0, 1)))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The distance, with the number of states in its name."""
        return (Entry("wasserstein", f"exact Wasserstein of {self.points} states", "reference sd", 1.0),)

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial column rank"]:
        """States at the times."""
        return samples[:, self.times] / self.scale

    def values(self, summary: np.ndarray, weights: Weights) -> Sequence[np.ndarray]:
        """Equally many states of each chosen trial, as often as it counts."""
        found = []
        for weight in weights:
            chosen = np.repeat(np.arange(len(weight)), weight.astype(np.int64))
            columns = -(-self.points // len(chosen))
            found.append(np.swapaxes(summary[chosen, :columns], 0, 1).reshape(-1, summary.shape[2])[: self.points])
        return found

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Root of the mean square over matched pairs."""
        return (assignment_distance(test, reference),)

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Number]:
        """None."""
        return (None,)

    def resampled(
        self, summary: np.ndarray, value: np.ndarray, references: Sequence[np.ndarray], draws: Weights
    ) -> Float[np.ndarray, " draw"]:
        """Distances of the first few resampled sets of trials."""
        again = self.values(summary, draws[:_DRAWS])
        return np.array([np.mean([self.distances(other, r) for r in references[:_AGAINST]]) for other in again])


@dataclass(frozen=True, eq=False)
class States:
    """State-space divergence D_stsp on a box around the reference; cells are remembered in order of first sight."""

    reference: Samples
    box: Box
    entries: tuple[Entry, ...]
    costly = False

    @classmethod
    def of(cls, reference: Samples, box: Box) -> States:
        """For one of the two boxes in use."""
        name, words = ("d_stsp", "+- 2 sd") if box == "two_sd" else ("d_stsp_min_max", "min to max")
        return cls(reference, box, (Entry(name, f"state-space divergence D_stsp ({words})", "nats", INFORMATIVE),))

    @cached_property
    def grid(self) -> Grid:
        """Cells of the box."""
        return Grid.around(self.reference, BINS, self.box)

    @cached_property
    def known(self) -> np.ndarray:
        """Cells that the reference visits, sorted."""
        found = np.unique(self.grid.cells(self.reference))
        return found[found >= 0]

    def summarise(self, samples: Samples) -> CellCounts:
        """Samples per trial and cell: the cells of the reference first, those new to it behind them."""
        return count_cells(self.grid.cells(samples), self.known)

    def values(self, summary: CellCounts, weights: Weights) -> Float[np.ndarray, "run cell"]:
        """Histograms."""
        return np.asarray(weights @ summary.counts)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Divergence in nats."""
        if len(test) > len(reference):
            reference = np.pad(reference, (0, len(test) - len(reference)))
        return (state_divergence(test, reference, self.grid.size),)

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Number]:
        """None."""
        return (None,)


@dataclass(frozen=True, eq=False)
class Discrepancy:
    """Maximum mean discrepancy: distance of mean embeddings, with pairs of samples of one trial counted in.

    (The biased estimate: its floor is known here, and unlike the unbiased one it is a distance.)
    """

    reference: Samples
    entries: tuple[Entry, ...] = (Entry("mmd", "maximum mean discrepancy MMD", "", 0.3),)
    costly = False

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial feature"]:
        """Mean embedding per trial."""
        return embed(samples, reference=self.reference, most=_EMBEDDED)[0].means

    def values(self, summary: np.ndarray, weights: Weights) -> Float[np.ndarray, "run feature"]:
        """Mean embeddings."""
        return weights @ summary / weights.sum(axis=1, keepdims=True)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Their Euclidean distance."""
        return (float(np.linalg.norm(test - reference)),)

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Number]:
        """None."""
        return (None,)
