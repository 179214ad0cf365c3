"""Stationary probability current from trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.fidelity.grid import Grid
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class CurrentSums:
    """Sums per trial and cell, from which the current of any resampled trials follows.

    Parameters
    ----------
    count
        Samples, shape (trial, cell), and how many there are in all per trial, shape (trial,).
    total
        All samples of a trial, in the box or not, shape (trial,).
    displacement
        Sums of Stratonovich displacements over the lag, shape (trial, cell, rank).
    grid
        The cells.
    """

    count: Float[np.ndarray, "trial cell"]
    total: Float[np.ndarray, " trial"]
    displacement: Float[np.ndarray, "trial cell rank"]
    grid: Grid

    def velocity(self, weights: Float[np.ndarray, "draw trial"] | None = None) -> Float[np.ndarray, "draw cell rank"]:
        """Mean local velocity J / p in system units per rate time unit; NaN in cells without samples."""
        weight = np.ones((1, len(self.count))) if weights is None else weights
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.tensordot(weight, self.displacement, axes=1) / (weight @ self.count)[..., None]

    def current(self, weights: Float[np.ndarray, "draw trial"] | None = None) -> Float[np.ndarray, "draw cell rank"]:
        """Probability current density J: mean over each cell, probability per area and rate time unit."""
        weight = np.ones((1, len(self.count))) if weights is None else weights
        volume = np.prod(self.grid.width) * (weight @ self.total)
        return np.tensordot(weight, self.displacement, axes=1) / volume[:, None, None]


def current_sums(samples: Float[np.ndarray, "trial time rank"], every: float, grid: Grid) -> CurrentSums:
    r"""Sum Stratonovich displacements per cell.

    .. math:: J(z) = \Big\langle \frac{z_{t+\tau} - z_t}{\tau}\,
        \tfrac12\big(\delta(z - z_t) + \delta(z - z_{t+\tau})\big) \Big\rangle

    with cells in place of delta functions. Zero everywhere in equilibrium, where the forward and the backward
    displacement agree. The estimate smears over a cell and over the displacement of one lag.
    Source: Gonzalez, Neu, Teitsworth, Phys. Rev. E 99 (2019); Lander, Mehl, Blickle, Bechinger, Seifert, Phys. Rev. E
    86 (2012).

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank) of two samples or more.
    """
    check_samples("current_sums", {"samples": samples}, shortest=2)
    check_positive("current_sums", every=every)
    trials, length, rank = samples.shape
    cell = grid.cells(samples)
    inside = cell >= 0
    flat = cell + np.arange(trials)[:, None] * grid.size
    step = np.diff(samples, axis=1) / every
    # a sample inside a trial has a displacement before and one after it, each counted by half
    half = np.zeros_like(samples)
    half[:, 1:] += step / 2
    half[:, :-1] += step / 2
    share = np.full(length, 1.0)
    share[[0, -1]] = 0.5
    size = trials * grid.size
    count = np.bincount(flat[inside], np.broadcast_to(share, cell.shape)[inside], minlength=size)
    displacement = [np.bincount(flat[inside], half[inside][:, axis], minlength=size) for axis in range(rank)]
    return CurrentSums(
        count=count.reshape(trials, grid.size),
        total=np.full(trials, length - 1.0),
        displacement=np.stack(displacement, axis=-1).reshape(trials, grid.size, rank),
        grid=grid,
    )
