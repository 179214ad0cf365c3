"""Drift and diffusion fields on cells, by Kramers-Moyal regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures.measure import Entry, Measure, Numbers, ReferenceSamples
from ddm2snn.fidelity.samples import Grid, check_samples

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ddm2snn.fidelity.samples import Samples, Weights

_SOURCES = ("friedrich2011",)
_BINS = {1: 40, 2: 16, 3: 8, 4: 6}  # by rank; beyond it, samples do not fill cells [choice]
_PER_CELL = 200  # samples of one recording that a cell should hold in the mean [choice]
_FEWEST = 50  # samples that a cell must hold of one recording of the reference in the mean [choice]


def field_grid(reference: Samples, bins: int | None = None) -> Grid:
    """Grid over mean +- 2 standard deviations of the reference; by default 40, 16, 8 or 6 cells per dimension.

    Raises
    ------
    InputError
        Above rank 4, where cells are too many for the samples to fill.

    Examples
    --------
    >>> field_grid(np.array([-1.0, 1.0]).reshape(1, 2, 1), bins=4).centres.ravel()
    array([-1.5, -0.5,  0.5,  1.5])
    """
    check_samples("field_grid", {"reference": reference})
    rank = reference.shape[2]
    if rank not in _BINS:
        raise InputError(f"Fields on cells need a rank of {max(_BINS)} or less, got {rank}. Project to fewer latents.")
    return Grid.around(reference, bins or _BINS[rank])


def filled_cells(reference: ReferenceSamples) -> tuple[Grid, Int[np.ndarray, " filled"]] | None:
    """Grid that one recording of the reference fills, and the cells with 50 samples of a recording in the mean.

    None above rank 4, and where there are fewer than two cells per dimension or none with so many samples.
    """
    samples, trials = reference.samples, reference.trials
    _, length, rank = samples.shape
    bins = int((trials * length / _PER_CELL) ** (1 / rank)) if rank in _BINS else 0
    if bins < 2:
        return None
    grid = field_grid(samples, min(bins, _BINS[rank]))
    cells = grid.cells(samples)
    count = np.bincount(cells[cells >= 0], minlength=grid.size)
    filled = np.flatnonzero(count >= _FEWEST * len(samples) / trials)
    return (grid, filled) if len(filled) else None


@dataclass(frozen=True, eq=False)
class FieldSums:
    """Sums over the samples of each trial and cell.

    Parameters
    ----------
    count
        Samples, shape (trial, cell).
    position
        Distance from the cell's middle, shape (trial, cell, rank).
    drift
        Drift estimates, shape (trial, cell, rank).
    diffusion
        Diffusion estimates, shape (trial, cell, rank, rank).
    spread, slope
        Products of position with itself and with the drift, shape (trial, cell, rank, rank).
    grid
        The cells.
    """

    count: Float[np.ndarray, "trial cell"]
    position: Float[np.ndarray, "trial cell rank"]
    drift: Float[np.ndarray, "trial cell rank"]
    diffusion: Float[np.ndarray, "trial cell rank rank"]
    spread: Float[np.ndarray, "trial cell rank rank"]
    slope: Float[np.ndarray, "trial cell rank rank"]
    grid: Grid


def field_sums(samples: Samples, every: float, grid: Grid, lag: int = 1) -> FieldSums:
    r"""Estimate drift and diffusion at each sample, from two samples that follow it, and sum them per cell.

    .. math:: \hat f_t = \frac{-3 z_t + 4 z_{t+\tau} - z_{t+2\tau}}{2\tau}, \qquad
        \hat D_t = \frac{d_t d_t^\top}{2\tau}, \quad d_t = z_t - 2 z_{t+\tau} + z_{t+2\tau}

    with :math:`\tau` = `lag` samples. As conditional means given :math:`z_t`, they estimate f and the tensor
    :math:`D = G G^\top` of :math:`dz = f\,dt + G\,dw`. The classical estimate by :math:`z_{t+\tau} - z_t` has an error
    of order :math:`\tau` (the mean of its :math:`d d^\top / \tau` even contains :math:`\tau f f^\top`). This one
    cancels these terms of the Ito-Taylor expansion, for the price of 2.5 times the variance of the drift. What is left
    in its :math:`d d^\top / 2 \tau` is the bend of the path, :math:`\tau^3 \langle |(f \cdot \nabla) f|^2 \rangle / 2`.

    Units: drift per rate time unit, diffusion in squared system units per rate time unit. Source: Friedrich,
    Peinke, Sahimi, Tabar, Phys. Rep. 506 (2011), section 4; combinations of lags in place of their corrections ours.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank) or too short.

    Examples
    --------
    >>> line = np.linspace(-1.0, 1.0, 9).reshape(1, 9, 1)  # moves by 0.25 in a time unit
    >>> sums = field_sums(line, every=1.0, grid=field_grid(line, bins=2))
    >>> (sums.drift[0] / sums.count[0][:, None]).ravel(), sums.diffusion.ravel()
    (array([0.25, 0.25]), array([0., 0.]))
    """
    parts = [_phase_sums(samples[:, phase::lag], lag * every, grid) for phase in range(lag)]
    names = [f.name for f in fields(FieldSums) if f.name != "grid"]
    return FieldSums(**{name: np.sum([getattr(part, name) for part in parts], axis=0) for name in names}, grid=grid)


def _phase_sums(samples: Samples, every: float, grid: Grid) -> FieldSums:
    """`field_sums` at a lag of one sample."""
    check_samples("Kramers-Moyal", {"samples": samples}, shortest=3)
    check_positive("Kramers-Moyal", every=every)
    trials, _, rank = samples.shape
    if rank != grid.rank:
        raise InputError(f"The grid has rank {grid.rank}, the samples {rank}. Make the grid of this reference.")
    base, first, second = samples[:, :-2], samples[:, 1:-1], samples[:, 2:]
    cell = grid.cells(base)
    inside = cell >= 0
    flat = (cell + np.arange(trials)[:, None] * grid.size)[inside]
    place = (base[inside] - grid.low) / grid.width
    position = (place - np.floor(np.clip(place, 0, grid.bins - 1)) - 0.5) * grid.width
    drift = ((-3 / 2 * base + 2.0 * first + -1 / 2 * second) / every)[inside]
    rough = ((base - 2.0 * first + second) / np.sqrt(2 * every))[inside]

    def summed(values: np.ndarray) -> np.ndarray:
        columns = values.reshape(len(flat), int(np.prod(values.shape[1:]))).T  # there may be no sample at all
        sums = [np.bincount(flat, weights=column, minlength=trials * grid.size) for column in columns]
        return np.stack(sums, axis=-1).reshape(trials, grid.size, *values.shape[1:])

    return FieldSums(
        count=summed(np.ones(len(flat))),
        position=summed(position),
        drift=summed(drift),
        diffusion=summed(rough[:, :, None] * rough[:, None]),
        spread=summed(position[:, :, None] * position[:, None]),
        slope=summed(position[:, :, None] * drift[:, None]),
        grid=grid,
    )


@dataclass(frozen=True, eq=False)
class Field:
    """Drift and diffusion per cell with standard errors; NaN in cells without samples.

    Parameters
    ----------
    count
        Samples per cell.
    position
        Mean position of these samples, at which the drift is the estimated one to second order in the cell's width.
    drift, drift_error
        Drift and its standard error, shape (cell, rank).
    diffusion, diffusion_error
        Tensor G G^T and its standard error, shape (cell, rank, rank).
    """

    count: Float[np.ndarray, " cell"]
    position: Float[np.ndarray, "cell rank"]
    drift: Float[np.ndarray, "cell rank"]
    drift_error: Float[np.ndarray, "cell rank"]
    diffusion: Float[np.ndarray, "cell rank rank"]
    diffusion_error: Float[np.ndarray, "cell rank rank"]

    def settled(self, fewest: int = 100) -> Bool[np.ndarray, " cell"]:
        """Cells with at least so many samples and a standard error, that is, of two trials or more."""
        return (self.count >= fewest) & np.isfinite(self.drift_error).all(axis=-1)


def estimate_field(sums: FieldSums) -> Field:
    """Means per cell, with standard errors from the scatter of the trials' sums: a ratio of two sums over trials.

    Source: Cochran, Sampling Techniques (1977), section 6.4.
    """
    weight = np.ones(len(sums.count))
    count = weight @ sums.count
    visitors = weight @ (sums.count > 0)

    def ratio(total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tail = (1,) * (total.ndim - 2)
        n = count.reshape(-1, *tail)
        mean = np.tensordot(weight, total, axes=1) / n
        residual = total - sums.count.reshape(*sums.count.shape, *tail) * mean
        factor = (visitors / (visitors - 1)).reshape(-1, *tail)
        return mean, np.sqrt(factor * np.tensordot(weight, residual**2, axes=1)) / n

    with np.errstate(divide="ignore", invalid="ignore"):
        drift, drift_error = ratio(sums.drift)
        diffusion, diffusion_error = ratio(sums.diffusion)
        position = sums.grid.centres + np.tensordot(weight, sums.position, axes=1) / count[:, None]
    return Field(count, position, drift, drift_error, diffusion, diffusion_error)


def covariances(
    count: Float[np.ndarray, " cell"],
    position: Float[np.ndarray, "cell rank"],
    drift: Float[np.ndarray, "cell rank"],
    spread: Float[np.ndarray, "cell rank rank"],
    slope: Float[np.ndarray, "cell rank rank"],
) -> tuple[Float[np.ndarray, "cell rank rank"], Float[np.ndarray, "cell rank rank"]]:
    """Covariance of position with itself and with the drift within each cell, from means and sums of products."""
    n, about = count[:, None, None], position[:, :, None]
    return spread / n - about * position[:, None], slope / n - about * drift[:, None]


@dataclass(frozen=True, eq=False)
class CellMeans:
    """Value of `DriftField`: means over the samples of a selection, in units of the reference's deviations.

    `error` is the squared standard error of the drift, `spread` and `slope` are the covariance of the position in the
    cell with itself and with the drift.
    """

    count: Float[np.ndarray, " cell"]
    drift: Float[np.ndarray, "cell rank"]
    error: Float[np.ndarray, "cell rank"]
    position: Float[np.ndarray, "cell rank"]
    spread: Float[np.ndarray, "cell rank rank"]
    slope: Float[np.ndarray, "cell rank rank"]


@dataclass(frozen=True, eq=False)
class DriftField(Measure):
    r"""Drift on cells that the reference fills, by `field_sums`.

    Two distances from sums over the cells that are visited by two trials of test and reference, weighted by the
    reference's samples w_c:

    .. math:: \text{drift}^2 = \frac{\sum_c w_c |\hat f_c - \hat g_c|^2}{S}, \quad
        \text{scale} = \Big|\frac{\sum_c w_c \hat f_c \cdot \hat g_c}{S} - 1\Big|, \quad
        S = \sum_c w_c (|\hat g_c|^2 - \operatorname{se}^2_c)

    The test's drift f is moved to the mean position of the reference's samples along the slope of its drift g, as in
    `field_difference`. The cells are the same ones for a selection of few trials.
    """

    grid: Grid
    cells: Int[np.ndarray, " filled"]
    scale: Float[np.ndarray, " rank"]
    every: float
    lag: int

    @classmethod
    def of(cls, reference: ReferenceSamples) -> DriftField | None:
        """None above rank 4, or where the reference fills no cell."""
        filled = filled_cells(reference)
        return cls(*filled, reference.samples.std(axis=(0, 1)), reference.every, reference.lag) if filled else None

    @property
    def entries(self) -> tuple[Entry, Entry]:
        """Drift, its scale."""
        along = "drift along the reference's"
        return (
            Entry("drift", "drift field (rmse)", "relative", 0.7, "drift", "drift", prominence=1, sources=_SOURCES),
            Entry("drift_scale", along, "relative", 0.3, "pace", subject="drift", sources=_SOURCES),
        )

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial cell column"]:
        """Sums per trial and cell, and the squares that standard errors need, as columns of one array."""
        sums = field_sums(samples, self.every, self.grid, self.lag)
        drift, position = sums.drift / self.scale, sums.position / self.scale
        square = 1 / self.scale[:, None] / self.scale
        count = sums.count[..., None]
        flat = (*sums.count.shape, -1)
        columns = [count, (count > 0) * 1.0, count**2, drift, drift**2, drift * count, position,
                   (sums.spread * square).reshape(flat), (sums.slope * square).reshape(flat)]  # fmt: skip
        return np.concatenate(columns, axis=-1)[:, self.cells]

    def values(self, summary: np.ndarray, weights: Weights) -> Sequence[CellMeans]:
        """Means of each selection."""
        rank = len(self.scale)
        ends = np.cumsum([1, 1, 1, rank, rank, rank, rank, rank**2])
        visited = (weights > 0) @ summary[..., 1]
        selections = []
        for total, visitors in zip(np.tensordot(weights, summary, axes=1), visited, strict=True):
            count, _, squares, drift, of_drift, cross, position, spread, slope = np.split(total, ends, axis=-1)
            n = np.maximum(count, 1.0)
            mean, place = drift / n, position / n
            with np.errstate(divide="ignore", invalid="ignore"):
                # a cell without visitors has no drift, rather than one of zero without error
                factor = np.where(visitors > 1, visitors / (visitors - 1), np.nan)[:, None]
                error = factor * np.maximum(of_drift - 2 * mean * cross + mean**2 * squares, 0.0) / n**2
            shape = (-1, rank, rank)
            about = covariances(n[:, 0], place, mean, spread.reshape(shape), slope.reshape(shape))
            selections.append(CellMeans(count[:, 0], mean, error, place, *about))
        return selections

    def distances(self, test: CellMeans, reference: CellMeans) -> tuple[float, float]:
        """Drift, scale; NaN without a common cell."""
        compared = self._compared(test, reference)
        if compared is None:
            return float("nan"), float("nan")
        square, product = compared
        return float(np.sqrt(square)), abs(product - 1.0)

    def numbers(self, test: CellMeans, reference: CellMeans) -> tuple[Numbers, Numbers]:
        """Scale of the drift beside one."""
        compared = self._compared(test, reference)
        return None, (compared[1], 1.0) if compared else None

    def _compared(self, test: CellMeans, reference: CellMeans) -> tuple[float, float] | None:
        """Squared difference and product of the drifts over S; None without a common cell."""
        common = np.flatnonzero(np.isfinite(test.error[:, 0]) & np.isfinite(reference.error[:, 0]))
        if not len(common):
            return None
        weight = reference.count[common] / reference.count[common].sum()
        least = np.diag(1e-3 * (self.grid.width / self.scale) ** 2 / 12)  # as in `field_difference`
        slope = np.linalg.solve(reference.spread[common] + least, reference.slope[common])
        offset = test.position[common] - reference.position[common]
        moved = test.drift[common] - np.einsum("ci,cij->cj", offset, slope)
        drift = reference.drift[common]
        size = float(weight @ (drift**2 - reference.error[common]).sum(axis=-1))
        size = max(size, 1e-3 * float(weight @ (drift**2).sum(axis=-1)), np.finfo(float).tiny)
        square = float(weight @ ((moved - drift) ** 2).sum(axis=-1)) / size
        product = float(weight @ (moved * drift).sum(axis=-1)) / size
        return square, product
