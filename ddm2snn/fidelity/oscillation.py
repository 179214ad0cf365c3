"""Oscillation period from crossings of one latent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

_HYSTERESIS = 0.5  # in standard deviations, so that noise at a crossing does not count twice


def cycle_counts(
    samples: Float[np.ndarray, "trial time rank"],
    every: float,
    centre: Float[np.ndarray, " rank"],
    scale: Float[np.ndarray, " rank"],
) -> tuple[Float[np.ndarray, " trial"], Float[np.ndarray, " trial"]]:
    """Complete cycles of the first latent in each trial, and the time in rate time units that they took.

    A cycle runs from one arrival above centre + scale/2 to the next, with a visit below centre - scale/2
    in between. The mean period of a set of trials is the sum of the times over the sum of the cycles.
    """
    x = (samples[..., 0] - centre[0]) / scale[0]
    cycles, spans = np.zeros(len(x)), np.zeros(len(x))
    for trial, series in enumerate(x):
        state = np.where(series > _HYSTERESIS, 1, np.where(series < -_HYSTERESIS, -1, 0))
        visited = np.flatnonzero(state)
        arrivals = visited[1:][np.diff(state[visited]) > 0]
        if len(arrivals) > 1:
            cycles[trial] = len(arrivals) - 1
            spans[trial] = (arrivals[-1] - arrivals[0]) * every
    return cycles, spans


def mean_period(
    cycles: Float[np.ndarray, "... trial"], spans: Float[np.ndarray, "... trial"]
) -> Float[np.ndarray, "..."]:
    """Mean period of the trials in rate time units; NaN where none completes a cycle."""
    total = cycles.sum(axis=-1)
    return np.where(total > 0, spans.sum(axis=-1) / np.maximum(total, 1), np.nan)
