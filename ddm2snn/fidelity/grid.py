"""A grid of cells in the latent space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ddm2snn.base.arrays import as_count, freeze_arrays
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Box = Literal["two_sd", "min_max"]
"""Extent of a grid around the reference: mean +- 2 standard deviations, or minimum and maximum +- 0.1 of them."""

_OUTSIDE = -1


@dataclass(frozen=True, eq=False)
class Grid:
    """Equal cells, `bins` per dimension, between two corners of the latent space.

    Parameters
    ----------
    low, high
        Corners in system units, shape (rank,).
    bins
        Cells per dimension.

    Examples
    --------
    >>> grid = Grid(np.array([0.0, 0.0]), np.array([1.0, 2.0]), bins=2)
    >>> grid
    Grid(rank=2, bins=2)
    >>> grid.cells(np.array([[0.1, 0.1], [0.9, 1.9], [1.1, 1.0]]))  # the last one lies outside
    array([ 0,  3, -1])
    """

    low: Float[np.ndarray, " rank"]
    high: Float[np.ndarray, " rank"]
    bins: int

    def __post_init__(self) -> None:
        freeze_arrays(self)
        object.__setattr__(self, "bins", as_count("Grid.bins", self.bins))
        if (self.low >= self.high).any():
            latent = int(np.flatnonzero(self.low >= self.high)[0])
            raise InputError(f"Grid.high must lie above Grid.low, latent {latent} has no extent. Give one that moves.")
        if self.rank * np.log2(self.bins) > 62:
            raise InputError(f"{self.bins} bins in rank {self.rank} give more cells than 2**62. Use fewer bins.")

    def __repr__(self) -> str:
        """Sizes only."""
        return f"Grid(rank={self.rank}, bins={self.bins})"

    @classmethod
    def around(cls, reference: Float[np.ndarray, "trial time rank"], bins: int, box: Box = "two_sd") -> Grid:
        """Grid over a box around a reference; samples outside the box belong to no cell.

        Raises
        ------
        InputError
            Where a latent of the reference is constant, or `box` is none of `Box`.
        """
        check_samples("Grid", {"reference": reference})
        deviation = reference.std(axis=(0, 1))
        if box == "two_sd":
            mean = reference.mean(axis=(0, 1))
            return cls(mean - 2 * deviation, mean + 2 * deviation, bins)
        if box == "min_max":
            return cls(reference.min(axis=(0, 1)) - 0.1 * deviation, reference.max(axis=(0, 1)) + 0.1 * deviation, bins)
        raise InputError(f"box must be one of {', '.join(get_args(Box))}, got {box!r}.")

    @property
    def rank(self) -> int:
        """Dimension of the latent space."""
        return len(self.low)

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.bins**self.rank

    @property
    def width(self) -> Float[np.ndarray, " rank"]:
        """Width of a cell in system units."""
        return (self.high - self.low) / self.bins

    @property
    def centres(self) -> Float[np.ndarray, "cell rank"]:
        """Middle of every cell, in the order of `cells`."""
        index = np.stack(np.unravel_index(np.arange(self.size), (self.bins,) * self.rank), axis=-1)
        return self.low + (index + 0.5) * self.width

    def cells(self, samples: Float[np.ndarray, "... rank"]) -> Int[np.ndarray, "..."]:
        """Cell of each sample, -1 outside; the upper faces of the box belong to it, as in `numpy.histogramdd`."""
        cell = np.zeros(np.shape(samples)[:-1], dtype=np.int64)
        inside = np.ones(cell.shape, dtype=bool)
        for axis in range(self.rank):
            value = samples[..., axis]
            place = np.floor((value - self.low[axis]) / self.width[axis])
            inside &= (value >= self.low[axis]) & (value <= self.high[axis])
            cell = cell * self.bins + np.clip(place, 0, self.bins - 1).astype(np.int64)
        return np.where(inside, cell, _OUTSIDE)
