"""State-space divergence D_stsp: Kullback-Leibler divergence between occupations of cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.fidelity.grid import Box, Grid
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BINS = 30
"""Cells per dimension."""
LAPLACE = 1e-5
"""Count added to every cell."""
INFORMATIVE = 0.15
"""Largest divergence expected of a process from itself at which a comparison still says something."""


@dataclass(frozen=True, eq=False)
class StateCounts:
    """Samples per trial and cell: all that D_stsp needs of a recording, so that trials can be resampled.

    Parameters
    ----------
    counts
        Sparse matrix, shape (trial, cell), over the cells that any of the recordings visits.
    cells
        Number of all cells of the grid, visited or not.
    """

    counts: Any
    cells: int

    def histograms(self, weights: Float[np.ndarray, "draw trial"] | None = None) -> Float[np.ndarray, "draw cell"]:
        """Counts of the pooled trials for each draw of trials and their weights; by default each trial once."""
        trials = self.counts.shape[0]
        return np.asarray((np.ones((1, trials)) if weights is None else weights) @ self.counts)


def state_counts(
    *recordings: Float[np.ndarray, "trial time rank"],
    reference: Float[np.ndarray, "trial time rank"],
    box: Box = "two_sd",
    bins: int = BINS,
) -> list[StateCounts]:
    """Count recordings on the cells of the reference's box; only visited cells take memory, in any rank.

    Parameters
    ----------
    recordings
        Samples in system units.
    reference
        Samples whose box is used.
    box
        ``two_sd``: mean +- 2 standard deviations, samples outside left out (pinned, as the judge has it);
        ``min_max``: from minimum - 0.1 to maximum + 0.1 standard deviations.
    bins
        Cells per dimension.

    Raises
    ------
    InputError
        For samples that are no (trial, time, rank), not finite, or of unequal rank; for a constant latent.
    """
    named = {f"recording {i + 1}": samples for i, samples in enumerate(recordings)}
    check_samples("D_stsp", {"reference": reference, **named})
    grid = Grid.around(reference, bins, box)
    found = [grid.cells(samples) for samples in recordings]
    visited = np.unique(np.concatenate([cells.ravel() for cells in found])) if found else np.zeros(0, np.int64)
    visited = visited[visited >= 0]
    return [StateCounts(_count(cells, visited), grid.size) for cells in found]


def _count(cells: Int[np.ndarray, "trial time"], visited: Int[np.ndarray, " cell"]) -> Any:  # noqa: ANN401 - sparse
    from scipy.sparse import csr_array

    inside = cells >= 0
    trial = np.broadcast_to(np.arange(len(cells))[:, None], cells.shape)[inside]
    order = np.argsort(visited, kind="stable")
    column = order[np.searchsorted(visited, cells[inside], sorter=order)]
    return csr_array((np.ones(len(trial)), (trial, column)), shape=(len(cells), len(visited)))


@dataclass(frozen=True, eq=False)
class CellCounts:
    """Samples per trial and cell, on cells of a vocabulary and, behind them, those that it does not hold.

    Parameters
    ----------
    counts
        Sparse matrix, shape (trial, cell).
    """

    counts: Any


def count_cells(cells: Int[np.ndarray, "trial time"], vocabulary: Int[np.ndarray, " cell"]) -> CellCounts:
    """Count the cells that `Grid.cells` found, so that recordings counted apart can be compared.

    Parameters
    ----------
    cells
        Cell of each sample, -1 outside the grid.
    vocabulary
        Sorted cells that take the first columns; others follow in ascending order.
    """
    new = np.setdiff1d(cells, vocabulary)
    return CellCounts(_count(cells, np.concatenate([vocabulary, new[new >= 0]])))


def state_divergence(test: Float[np.ndarray, " cell"], reference: Float[np.ndarray, " cell"], cells: int) -> float:
    r"""D_stsp, from histograms of the visited cells.

    .. math:: D = \sum_c p_c \log \frac{p_c}{q_c}, \qquad
        p_c = \frac{h_c + \alpha}{\sum_c h_c + \alpha C}

    in nats, with p the reference, q the test, :math:`\alpha = 10^{-5}` and C cells in all; cells that neither
    visits are counted in closed form. Source: Koppe, Toutounji, Kirsch, Lis, Durstewitz, PLoS Comput. Biol. 15
    (2019); Mikhaeil, Monfared, Durstewitz, NeurIPS 2022; variant: 30 bins, +- 2 standard deviations.

    Parameters
    ----------
    test, reference
        Rows of `StateCounts.histograms`, shape (cell,).
    cells
        Number of all cells.
    """
    of_p, of_q = reference.sum() + LAPLACE * cells, test.sum() + LAPLACE * cells
    p, q = (reference + LAPLACE) / of_p, (test + LAPLACE) / of_q
    empty = (cells - len(p)) * LAPLACE / of_p * np.log(of_q / of_p)
    return float((p * np.log(p / q)).sum() + empty)


def expected_self_divergence(counts: StateCounts) -> float:
    r"""Divergence to expect of a second, independent recording of the same process and size.

    .. math:: \sum_{c:\,v_c = 1} \frac{h_c}{n} \log\frac{h_c}{\alpha}
        + \sum_{c:\,v_c > 1} \frac{\operatorname{var} h_c}{n\,h_c}

    with h_c samples of cell c by v_c trials, n in all. The first sum is Good and Turing's estimate of what the
    other recording will not visit, with trials in place of samples because neighbouring samples are no
    independent ones; the second is the expansion for small deviations, with the variance found between trials.
    On Lorenz, 50 trials, it falls from 0.7 at 1e4 samples to 0.05 at 1e5. NaN for a single trial, which cannot
    tell. Source: Good, Biometrika 40 (1953); the sum of the two is ours.
    """
    trials = counts.counts.shape[0]
    total = counts.histograms()[0]
    if trials < 2 or not total.sum():
        return float("nan")
    visits = np.bincount(counts.counts.indices, minlength=len(total))
    squares = np.asarray(counts.counts.power(2).sum(axis=0))
    variance = (squares - total**2 / trials) * trials / (trials - 1)
    single, shared = visits == 1, visits > 1
    missed = total[single] * np.log(total[single] / LAPLACE)
    return float((missed.sum() + (variance[shared] / total[shared]).sum()) / total.sum())


def is_informative(counts: StateCounts) -> bool:
    """Whether a recording is long enough for D_stsp: expected self-divergence below `INFORMATIVE` (False for NaN)."""
    return expected_self_divergence(counts) < INFORMATIVE
