"""Samples of trajectories as the measures take them: checks, autocorrelation, cells of a grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from ddm2snn.base.arrays import as_count, freeze_arrays
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    Samples = Float[np.ndarray, "trial time rank"]
    Weights = Float[np.ndarray, "selection trial"]

Box = Literal["two_sd", "min_max"]
"""Extent of a grid around the reference: mean +- 2 standard deviations, or minimum and maximum +- 0.1 of them."""


def check_samples(owner: str, samples: Mapping[str, Samples], *, shortest: int = 1, finite: bool = True) -> None:
    """Refuse arrays that are not (trial, time, rank), of different ranks, too short, or, if `finite`, not finite.

    Raises
    ------
    InputError
        Naming the measure, the array, its shape and what to give.

    Examples
    --------
    >>> check_samples("MMD", {"test": np.zeros((2, 10, 1)), "reference": np.zeros((2, 10, 3))})
    Traceback (most recent call last):
    ddm2snn.errors.InputError: MMD needs equal ranks, reference has 3, test 1. Give a pair.
    """
    first: tuple[str, int] | None = None
    for name, array in samples.items():
        shape = np.shape(array)
        if len(shape) != 3 or 0 in shape:
            raise InputError(f"{owner} needs {name} of shape (trial, time, rank), got {shape}. Give Recording.samples.")
        if shape[1] < shortest:
            raise InputError(f"{owner} needs {shortest} samples per trial, {name} has {shape[1]}. Record longer.")
        first = first or (name, shape[2])
        if shape[2] != first[1]:
            raise InputError(f"{owner} needs equal ranks, {name} has {shape[2]}, {first[0]} {first[1]}. Give a pair.")
        if finite and not np.isfinite(array).all():
            broken = int((~np.isfinite(array)).any(axis=(1, 2)).sum())
            raise InputError(f"{owner}: {broken} of {shape[0]} trials of {name} hold NaN or infinity. Leave them out.")


def thinned(length: int, trials: int, most: int) -> Int[np.ndarray, " time"]:
    """Evenly spaced sample indices of each trial, such that all trials together hold at most `most` samples.

    Examples
    --------
    >>> thinned(length=9, trials=2, most=6)
    array([0, 4, 8])
    """
    count = max(1, min(length, most // max(trials, 1)))
    return np.unique(np.linspace(0, length - 1, count).astype(np.int64))


def median_distance(points: Float[np.ndarray, "point axis"], rng: np.random.Generator) -> float:
    """Median distance of 2,000 random pairs of points, above zero."""
    first, second = rng.integers(len(points), size=(2, 2000))
    return max(float(np.median(np.linalg.norm(points[first] - points[second], axis=1))), 1e-12)


def mean_of_finite(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Mean over the finite values; NaN where there is none.

    Examples
    --------
    >>> mean_of_finite(np.array([[1.0, np.nan], [3.0, np.nan]]))
    array([ 2., nan])
    """
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    return np.where(count > 0, np.where(finite, values, 0.0).sum(axis=axis) / np.maximum(count, 1), np.nan)


def rms_difference(test: np.ndarray, reference: np.ndarray) -> float:
    """Root-mean-square difference of two arrays.

    >>> rms_difference(np.array([[1.5, 2.5]]), np.array([[1.0, 2.0]]))
    0.5
    """
    return float(np.sqrt(((test - reference) ** 2).mean()))


def lagged_products(samples: Samples, lags: int) -> Float[np.ndarray, "trial lag rank"]:
    r"""Mean products of each trial with itself, by fast Fourier transform.

    .. math:: c_l = \frac{1}{n - l} \sum_{t=0}^{n-l-1} (z_t - \bar z)(z_{t+l} - \bar z)

    Means over trials, weighted or not, are autocovariances. The mean is that of all trials, since the mean of one
    short trial would take its slow part away.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank) or have fewer samples per trial than lags.

    Examples
    --------
    >>> lagged_products(np.array([1.0, -1.0, 1.0, -1.0]).reshape(1, 4, 1), lags=3).ravel().round(12)
    array([ 1., -1.,  1.])
    """
    check_samples("lagged_products", {"samples": samples}, shortest=max(lags, 1))
    from scipy.fft import next_fast_len

    length = samples.shape[1]
    size = next_fast_len(length + lags, real=True)
    power = np.abs(np.fft.rfft(samples - samples.mean(axis=(0, 1)), size, axis=1)) ** 2
    sums = np.fft.irfft(power, size, axis=1)[:, :lags]
    return sums / (length - np.arange(lags))[:, None]


def autocorrelation(
    products: Float[np.ndarray, "trial lag rank"], weights: Weights | None = None
) -> Float[np.ndarray, "selection lag rank"]:
    """Autocorrelation function of the pooled trials of each selection; one at any lag for a latent that stands still.

    Examples
    --------
    >>> autocorrelation(np.array([[[4.0], [2.0]], [[2.0], [1.0]]])).ravel()
    array([1. , 0.5])
    """
    total = np.tensordot(np.ones((1, len(products))) if weights is None else weights, products, axes=1)
    first = total[:, :1]
    return np.where(first > 0, total / np.where(first > 0, first, 1.0), 1.0)


@dataclass(frozen=True, eq=False)
class Grid:
    """Equal cells, `bins` per dimension, between two corners of the latent space in system units.

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
    def around(cls, reference: Samples, bins: int, box: Box = "two_sd") -> Grid:
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
        return np.where(inside, cell, -1)
