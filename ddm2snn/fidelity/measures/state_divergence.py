"""State-space divergence D_stsp: Kullback-Leibler divergence between occupations of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.fidelity.measures.measure import Entry, Measure, ReferenceSamples
from ddm2snn.fidelity.samples import Box, Grid

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.fidelity.samples import Samples, Weights

BINS = 30  # [literature: range and bins of D_stsp in use]
"""Cells per dimension."""
LAPLACE = 1e-5  # [literature: smoothing of D_stsp in use]
"""Count added to every cell."""
_COARSE = 0.15  # divergence that is coarse [choice]


def state_divergence(test: Float[np.ndarray, " cell"], reference: Float[np.ndarray, " cell"], cells: int) -> float:
    r"""D_stsp, from histograms over the cells that test or reference visit.

    .. math:: D = \sum_c p_c \log \frac{p_c}{q_c}, \qquad
        p_c = \frac{h_c + \alpha}{\sum_c h_c + \alpha C}

    in nats, with p the reference, q the test, h the samples in a cell, :math:`\alpha = 10^{-5}` and C = `cells` in all.
    Cells that neither visits are counted in closed form. Source: Koppe, Toutounji, Kirsch, Lis, Durstewitz, PLoS
    Comput. Biol. 15 (2019); Mikhaeil, Monfared, Durstewitz, NeurIPS 2022; variant: 30 bins, +- 2 standard deviations.

    Examples
    --------
    >>> divergence = state_divergence(np.array([1.0, 3.0]), np.array([2.0, 2.0]), cells=2)
    >>> f"{divergence:.4f}"  # log(2) / 2 + log(2 / 3) / 2
    '0.1438'
    """
    of_p, of_q = reference.sum() + LAPLACE * cells, test.sum() + LAPLACE * cells
    p, q = (reference + LAPLACE) / of_p, (test + LAPLACE) / of_q
    empty = (cells - len(p)) * LAPLACE / of_p * np.log(of_q / of_p)
    return float((p * np.log(p / q)).sum() + empty)


def count_cells(cells: Int[np.ndarray, "trial time"], vocabulary: Int[np.ndarray, " cell"]) -> Any:  # noqa: ANN401
    """Samples per trial and cell, as a sparse array of shape (trial, cell).

    A cell of -1 lies outside the grid. The first columns are the cells of the sorted `vocabulary`, so that histograms
    of recordings that were counted apart agree in them; others follow in ascending order.

    Examples
    --------
    >>> count_cells(np.array([[7, 7, 5, -1]]), np.array([2, 5])).toarray()
    array([[0., 1., 2.]])
    """
    from scipy.sparse import csr_array

    others = np.setdiff1d(cells, vocabulary)
    visited = np.concatenate([vocabulary, others[others >= 0]])
    inside = cells >= 0
    trial = np.broadcast_to(np.arange(len(cells))[:, None], cells.shape)[inside]
    order = np.argsort(visited, kind="stable")
    column = order[np.searchsorted(visited, cells[inside], sorter=order)]
    return csr_array((np.ones(len(trial)), (trial, column)), shape=(len(cells), len(visited)))


@dataclass(frozen=True, eq=False)
class StateDivergence(Measure):
    """State-space divergence D_stsp on a grid of 30 cells per dimension around the reference.

    Cells that the reference visits are `visited`, sorted; `box` is the extent of the grid.
    """

    grid: Grid
    visited: Int[np.ndarray, " cell"]
    box: Box

    @classmethod
    def of(cls, reference: ReferenceSamples, box: Box = "two_sd", bins: int = BINS) -> StateDivergence:
        """On `bins` cells per dimension of a box around the reference; samples outside the box are left out."""
        grid = Grid.around(reference.samples, bins, box)
        visited = np.unique(grid.cells(reference.samples))
        return cls(grid, visited[visited >= 0], box)

    @classmethod
    def of_whole_range(cls, reference: ReferenceSamples) -> StateDivergence:
        """From the minimum to the maximum of the reference."""
        return cls.of(reference, "min_max")

    @property
    def entries(self) -> tuple[Entry]:
        """The divergence; one of the two boxes is prominent."""
        if self.box == "two_sd":
            name, words, short, prominence = "d_stsp", "+- 2 sd", "D_stsp", 2
        else:
            name, words, short, prominence = "d_stsp_min_max", "min to max", "D_stsp (min to max)", 0
        label = f"state-space divergence D_stsp ({words})"
        return (Entry(name, label, "nats", coarse=_COARSE, kind="states", short=short, prominence=prominence,
                      sources=("koppe2019", "mikhaeil2022")),)  # fmt: skip

    def summarise(self, samples: Samples) -> Any:  # noqa: ANN401 - sparse
        """Samples per trial and cell, the cells of the reference first."""
        return count_cells(self.grid.cells(samples), self.visited)

    def values(self, summary: Any, weights: Weights) -> Float[np.ndarray, "selection cell"]:  # noqa: ANN401 - sparse
        """Histograms."""
        return np.asarray(weights @ summary)

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Divergence in nats."""
        if len(test) > len(reference):
            reference = np.pad(reference, (0, len(test) - len(reference)))
        return (state_divergence(test, reference, self.grid.size),)
