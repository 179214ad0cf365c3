"""Drift and diffusion fields from trajectories, by Kramers-Moyal regression on cells."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import comb
from typing import TYPE_CHECKING, Literal

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.fidelity.grid import Grid
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

Order = Literal[1, 2, 3, 4]
"""Order of the finite differences: 1 is the classical estimate, with an error of the order of the lag."""

_SLOPES = {  # one-sided derivatives: sum_j c_j z(t + j every) = every z' + O(every^(order + 1))
    1: (-1.0, 1.0),
    2: (-3 / 2, 2.0, -1 / 2),
    3: (-11 / 6, 3.0, -3 / 2, 1 / 3),
    4: (-25 / 12, 4.0, -3.0, 4 / 3, -1 / 4),
}
_BINS = {1: 40, 2: 16, 3: 8, 4: 6}


def field_grid(reference: Float[np.ndarray, "trial time rank"], bins: int | None = None) -> Grid:
    """Grid over mean +- 2 standard deviations of the reference; by default 40, 16, 8 or 6 cells per dimension.

    Raises
    ------
    InputError
        Above rank 4, where cells are too many for the samples to fill; give a projection.
    """
    check_samples("field_grid", {"reference": reference})
    rank = reference.shape[2]
    if rank not in _BINS:
        raise InputError(f"Fields on cells need a rank of {max(_BINS)} or less, got {rank}. Project to fewer latents.")
    return Grid.around(reference, bins or _BINS[rank])


@dataclass(frozen=True, eq=False)
class FieldSums:
    """Sums over the samples of each trial and cell: all that the fields need, so that trials can be resampled.

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


def field_sums(samples: Float[np.ndarray, "trial time rank"], every: float, grid: Grid, order: Order = 2) -> FieldSums:
    r"""Estimate drift and diffusion at each sample, from the samples that follow it, and sum them per cell.

    .. math:: \hat f_t = \frac1\tau \sum_{j=0}^{p} c_j z_{t+j}, \qquad
        \hat D_t = \frac{d_t d_t^\top}{\tau\binom{2p-2}{p-1}}, \quad d_t = \sum_{j=0}^{p} (-1)^{p-j}\binom{p}{j} z_{t+j}

    with lag :math:`\tau` = `every`, order p and the coefficients c of the one-sided derivative of order p. As
    conditional means given :math:`z_t`, they estimate f and the tensor :math:`D = G G^\top` of
    :math:`dz = f\,dt + G\,dw`. Order 1 is the classical estimate, whose error is of order :math:`\tau`
    (the mean of :math:`d d^\top / \tau` even contains :math:`\tau f f^\top`). Order 2 cancels these terms of
    the Ito-Taylor expansion, for the price of 2.5 times the variance of the drift; 3 and 4 suit sampling
    intervals that are long against the drift and short against the noise, as in noisy chaos.

    Units: drift per rate time unit, diffusion in squared system units per rate time unit. Source: Friedrich,
    Peinke, Sahimi, Tabar, Phys. Rep. 506 (2011), section 4; combinations of lags in place of their corrections ours.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank), too short, or an order other than 1 to 4.
    """
    if order not in _SLOPES:
        raise InputError(f"order must be one of {', '.join(map(str, _SLOPES))}, got {order!r}.")
    check_samples("Kramers-Moyal", {"samples": samples}, shortest=order + 1)
    check_positive("Kramers-Moyal", every=every)
    _, length, rank = samples.shape
    if rank != grid.rank:
        raise InputError(f"The grid has rank {grid.rank}, the samples {rank}. Make the grid of this reference.")
    base = samples[:, : length - order]
    ahead = [samples[:, j : length - order + j] for j in range(order + 1)]
    drift = sum(c * z for c, z in zip(_SLOPES[order], ahead, strict=True)) / every
    signs = [(-1.0) ** (order - j) * comb(order, j) for j in range(order + 1)]
    rough = sum(c * z for c, z in zip(signs, ahead, strict=True))
    lag = every * comb(2 * order - 2, order - 1)
    return _summed(base, np.asarray(drift), np.asarray(rough) / np.sqrt(lag), grid)


def lagged_sums(
    samples: Float[np.ndarray, "trial time rank"], every: float, grid: Grid, lag: int, order: Order = 2
) -> FieldSums:
    """`field_sums` over a lag of several samples, from every sample on: the sums of all its phases, trial by trial."""
    parts = [field_sums(samples[:, phase::lag], lag * every, grid, order) for phase in range(lag)]
    names = [f.name for f in fields(FieldSums) if f.name != "grid"]
    return FieldSums(**{name: np.sum([getattr(part, name) for part in parts], axis=0) for name in names}, grid=grid)


def _summed(
    base: Float[np.ndarray, "trial time rank"],
    drift: Float[np.ndarray, "trial time rank"],
    rough: Float[np.ndarray, "trial time rank"],
    grid: Grid,
) -> FieldSums:
    """Sum what was estimated at each sample over the samples of each trial and cell."""
    trials = len(base)
    cell = grid.cells(base)
    inside = cell >= 0
    flat = (cell + np.arange(trials)[:, None] * grid.size)[inside]
    place = (base[inside] - grid.low) / grid.width
    position = (place - np.floor(np.clip(place, 0, grid.bins - 1)) - 0.5) * grid.width
    drift, rough = drift[inside], rough[inside]

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


def estimate_field(sums: FieldSums, weights: Float[np.ndarray, " trial"] | None = None) -> Field:
    r"""Fields of the pooled trials, counted with `weights` (by default each once).

    Standard errors treat trials as independent and samples within a trial as dependent in any way:

    .. math:: \operatorname{se}^2(\hat m_c) = \frac{T_c}{T_c-1}
        \frac{\sum_i w_i (S_{ic} - n_{ic} \hat m_c)^2}{(\sum_i w_i n_{ic})^2}

    with T_c trials that visit cell c, of sums S and counts n. Few long trials can be cut into blocks beforehand by
    reshaping. Source: the ratio estimator of cluster sampling, Cochran, Sampling Techniques (1977), section 6.4.
    """
    weight = np.ones(len(sums.count)) if weights is None else weights
    count = weight @ sums.count
    visitors = (weight > 0) @ (sums.count > 0).astype(np.float64)

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
