"""Sliced Wasserstein distance between clouds of latent states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

_LEVELS = np.linspace(0.001, 0.999, 999)
_BINS = 2048
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
        weights = weights.astype(self.counts.dtype)
        for direction, edges in enumerate(self.edges):
            cumulated = np.zeros((len(weights), _BINS + 1))
            np.cumsum(weights @ self.counts[:, direction], axis=1, out=cumulated[:, 1:])
            for draw, levels in enumerate(cumulated / cumulated[:, -1:]):
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
