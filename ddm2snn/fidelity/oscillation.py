"""Oscillation period from crossings of the latent whose cycles are most alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_SWING = 1.0  # in standard deviations, so that noise does not count as a cycle


def cycle_counts(
    samples: Float[np.ndarray, "trial time rank"], every: float, scale: Float[np.ndarray, " rank"], latent: int = 0
) -> tuple[Float[np.ndarray, " trial"], Float[np.ndarray, " trial"]]:
    """Complete cycles of one latent in each trial, and the time in rate time units that they took.

    A cycle runs from one rise to the next. A rise is where a latent comes a standard deviation above the lowest
    value since it last was as far below its highest. The mean period of a set of trials is the sum of the times over
    the sum of the cycles.
    """
    rises = _rises(samples[..., latent], _SWING * scale[latent])
    found = [np.flatnonzero(each) for each in rises]
    cycles = np.array([max(len(each) - 1, 0) for each in found], dtype=np.float64)
    return cycles, every * np.array([each[-1] - each[0] if len(each) else 0.0 for each in found])


def most_regular(samples: Float[np.ndarray, "trial time rank"], scale: Float[np.ndarray, " rank"]) -> int:
    """Latent whose cycles are the most alike: the smallest standard deviation of their lengths over the mean.

    The first latent of Lorenz's system lingers about its lobes for any number of turns; each turn is a cycle of the
    third. The first latent where none completes two cycles.
    """
    spread = []
    for latent in range(samples.shape[2]):
        rises = _rises(samples[..., latent], _SWING * scale[latent])
        lengths = np.concatenate([np.diff(np.flatnonzero(each)) for each in rises])
        spread.append(lengths.std() / lengths.mean() if len(lengths) > 1 else np.inf)
    return int(np.argmin(spread))


def _rises(series: Float[np.ndarray, "trial time"], swing: float) -> Bool[np.ndarray, "trial time"]:
    """Where each series has risen by a swing after it had fallen by one."""
    rises = np.zeros(series.shape, dtype=bool)
    high, low = series[:, 0].copy(), np.full(len(series), np.inf)
    up = np.ones(len(series), dtype=bool)
    for step in range(1, series.shape[1] if swing > 0 else 0):
        x = series[:, step]
        high, low = np.where(up, np.maximum(high, x), x), np.where(up, x, np.minimum(low, x))
        rises[:, step] = ~up & (x >= low + swing)
        up = np.where(up, x > high - swing, rises[:, step])
    return rises


def mean_period(
    cycles: Float[np.ndarray, "... trial"], spans: Float[np.ndarray, "... trial"]
) -> Float[np.ndarray, "..."]:
    """Mean period of the trials in rate time units; NaN where none completes a cycle."""
    total = cycles.sum(axis=-1)
    return np.where(total > 0, spans.sum(axis=-1) / np.maximum(total, 1), np.nan)
