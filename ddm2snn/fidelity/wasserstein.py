"""Sliced Wasserstein distance between clouds of latent states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

_LEVELS = np.linspace(0.001, 0.999, 999)
_BINS = 2048
_OUTERMOST = np.arcsinh(1000.0)
_UNEVEN_BINS = 1024
_AT_ONCE = 64  # draws
_BLOCK = 1000  # samples whose projections stay in the cache
_REACH = 1.05  # the histograms reach this much beyond the outermost sample


def random_directions(rank: int, count: int = 100) -> Float[np.ndarray, "direction rank"]:
    """Unit vectors, uniform on the sphere, the same for every call."""
    directions = np.random.default_rng(0).standard_normal((count, rank))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


@dataclass(frozen=True)
class Slices:
    """Histograms of each trial's projections on shared bins; enough to resample trials without the samples."""

    counts: Float[np.ndarray, "trial direction bin"]
    edges: Float[np.ndarray, "direction edge"]

    def quantiles(self, weights: Float[np.ndarray, "draw trial"]) -> Float[np.ndarray, "draw direction level"]:
        """Quantiles of the pooled trials, linear within a bin, for each draw of trials and their weights."""
        found = np.empty((len(weights), len(self.edges), len(_LEVELS)), dtype=np.float32)
        trials, directions, bins = self.counts.shape
        cumulated = np.zeros((directions, bins + 1))
        for start in range(0, len(weights), _AT_ONCE):  # one large product costs less than many small ones
            some = weights[start : start + _AT_ONCE].astype(self.counts.dtype) @ self.counts.reshape(trials, -1)
            for draw, counts in enumerate(some.reshape(-1, directions, bins), start):
                np.cumsum(counts, axis=1, out=cumulated[:, 1:])
                for direction, edges in enumerate(self.edges):
                    levels = cumulated[direction] / cumulated[direction, -1]
                    found[draw, direction] = np.interp(_LEVELS, levels, edges)
        return found


def slice_recordings(
    *recordings: Float[np.ndarray, "trial time rank"], scale: Float[np.ndarray, " rank"]
) -> list[Slices]:
    """Project recordings, divided by `scale` per dimension, and count them on shared bins."""
    directions = random_directions(recordings[0].shape[-1]) / scale
    low = np.full(len(directions), np.inf)
    high = -low
    for samples in recordings:
        for trial in samples:
            projected = trial @ directions.T
            low, high = np.minimum(low, projected.min(axis=0)), np.maximum(high, projected.max(axis=0))
    middle, half = (high + low) / 2, np.maximum((high - low) / 2 * _REACH, 1e-9)
    edges = middle[:, None] + half[:, None] * np.linspace(-1, 1, _BINS + 1)
    return [Slices(_count(samples, directions, edges), edges) for samples in recordings]


def _count(
    samples: Float[np.ndarray, "trial time rank"],
    directions: Float[np.ndarray, "direction rank"],
    edges: Float[np.ndarray, "direction edge"],
) -> Float[np.ndarray, "trial direction bin"]:
    counts = np.empty((len(samples), len(directions), _BINS), dtype=np.float32)
    width = (edges[:, -1] - edges[:, 0]) / _BINS
    first = np.arange(len(directions)) * _BINS
    for trial, states in enumerate(samples):
        cell = ((states @ directions.T - edges[:, 0]) / width).astype(np.int64) + first
        counts[trial] = np.bincount(cell.ravel(), minlength=len(directions) * _BINS).reshape(len(directions), _BINS)
    return counts


@dataclass(frozen=True, eq=False)
class Slicer:
    """Directions and bins fixed by a reference, so that recordings can be counted apart.

    Bins are even in the inverse hyperbolic sine of the distance from the mean, in standard deviations: as fine as 0.015
    in the middle, and a thousand deviations out there still is one.
    """

    directions: Float[np.ndarray, "direction rank"]
    middle: Float[np.ndarray, " direction"]

    @classmethod
    def around(cls, reference: Float[np.ndarray, "trial time rank"], count: int) -> Slicer:
        """About the mean of the reference, in its standard deviations."""
        directions = random_directions(reference.shape[-1], count) / reference.std(axis=(0, 1))
        return cls(directions, directions @ reference.mean(axis=(0, 1)))

    def __call__(self, samples: Float[np.ndarray, "trial time rank"]) -> Slices:
        """Histograms of each trial's projections."""
        edges = self.middle[:, None] + np.sinh(np.linspace(-_OUTERMOST, _OUTERMOST, _UNEVEN_BINS + 1))
        counts = np.zeros((len(samples), len(self.directions), _UNEVEN_BINS), dtype=np.float32)
        first = np.arange(len(self.directions)) * _UNEVEN_BINS
        for trial, states in enumerate(samples):
            for start in range(0, len(states), _BLOCK):
                place = np.arcsinh(states[start : start + _BLOCK] @ self.directions.T - self.middle) / _OUTERMOST
                cell = np.clip(((place + 1) / 2 * _UNEVEN_BINS).astype(np.int64), 0, _UNEVEN_BINS - 1) + first
                counts[trial] += np.bincount(cell.ravel(), minlength=counts[trial].size).reshape(counts[trial].shape)
        return Slices(counts, edges)


def sliced_wasserstein(
    test: Float[np.ndarray, "direction level"], reference: Float[np.ndarray, "direction level"]
) -> float:
    r"""Sliced 2-Wasserstein distance from quantiles of projections.

    .. math:: SW_2^2 = \frac{1}{L}\sum_{\theta}\int_0^1 (F^{-1}_{\theta,\text{test}}(q) -
        F^{-1}_{\theta,\text{ref}}(q))^2\,dq

    in units of the reference's standard deviation per dimension; 100 directions, levels 0.001 to 0.999.
    Source: Bonneel, Rabin, Peyre, Pfister, J. Math. Imaging Vis. 51 (2015).
    """
    return float(np.sqrt(((test - reference) ** 2).mean()))
