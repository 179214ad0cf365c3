"""Largest Lyapunov exponent from trajectories that start close to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float

_SATURATED = 0.1  # of the distance of strangers; above it a divergence is no longer a small one
_QUERIES = 2000


@dataclass(frozen=True, eq=False)
class Divergence:
    """Logarithm of the distance between pairs of trajectories, from which the exponent is read as a slope.

    Parameters
    ----------
    logarithms
        Mean over the pairs of each trial of the natural logarithm of the distance, shape (trial, time).
    every
        Sampling interval in rate time units.
    ceiling
        Logarithm of the distance at which pairs no longer are close: a tenth of that of strangers.
    """

    logarithms: Float[np.ndarray, "trial time"]
    every: float
    ceiling: float

    def curve(self, weights: Float[np.ndarray, "draw trial"] | None = None) -> Float[np.ndarray, "draw time"]:
        """Mean logarithm over trials against time, for each draw of trials and their weights."""
        weight = np.ones((1, len(self.logarithms))) if weights is None else weights
        return weight @ self.logarithms / weight.sum(axis=1, keepdims=True)

    def exponent(
        self, weights: Float[np.ndarray, "draw trial"] | None = None, *, skip: float = 0.0
    ) -> Float[np.ndarray, " draw"]:
        """Slope of the curve per rate time unit, by least squares between `skip` and the ceiling.

        During `skip` a difference turns towards the most unstable direction. NaN where fewer than five samples
        lie in between: then the pairs start too far apart, or `every` is too long.
        """
        found = self.curve(weights)
        slopes = np.full(len(found), np.nan)
        first = round(skip / self.every)
        for draw, curve in enumerate(found):
            above = np.flatnonzero(curve[first:] > self.ceiling)
            stop = first + int(above[0]) if len(above) else len(curve)
            if stop - first >= 5:
                time = np.arange(first, stop) * self.every
                slopes[draw] = np.polyfit(time, curve[first:stop], 1)[0]
        return slopes


def twin_divergence(
    first: Float[np.ndarray, "trial time rank"], second: Float[np.ndarray, "trial time rank"], every: float
) -> Divergence:
    r"""Distances of twin runs, started a small distance apart and driven by the same noise.

    .. math:: \lambda = \lim \frac{1}{t} \Big\langle \ln \frac{|z'_t - z_t|}{|z'_0 - z_0|} \Big\rangle

    in units of the first run's standard deviations. A spiking network whose twins share their noise has an
    exponent of its spikes besides; this one sees the latents, above whatever distance the spikes maintain.

    Raises
    ------
    InputError
        For arrays of different shapes, or twins that are equal in every sample.
    """
    check_samples("twin_divergence", {"first": first, "second": second}, shortest=6)
    check_positive("twin_divergence", every=every)
    if np.shape(first) != np.shape(second):
        raise InputError(f"Twins must be alike, got shapes {np.shape(first)} and {np.shape(second)}. Run them alike.")
    scale = _deviations(first)
    distance = np.linalg.norm((second - first) / scale, axis=-1)
    if not distance.any():
        raise InputError("The twins are equal in every sample, so nothing diverges. Start them a small distance apart.")
    tiny = np.finfo(np.float64).tiny
    return Divergence(np.log(np.maximum(distance, tiny)), every, _ceiling(first.shape[2]))


def neighbour_divergence(
    samples: Float[np.ndarray, "trial time rank"], every: float, *, steps: int, apart: int
) -> Divergence:
    r"""Distances of states that came close to each other by chance, as time goes on (Rosenstein's method).

    Each of 2,000 states is followed together with its nearest neighbour in another trial, or in the same trial at least
    `apart` samples away. Noise, independent between the two, lifts the distance at once: the slope is an exponent
    only well above the noise. Source: Rosenstein, Collins, De Luca, Physica D 65 (1993).

    Parameters
    ----------
    samples
        In system units.
    every
        Sampling interval in rate time units.
    steps
        Samples to follow.
    apart
        Samples after which a trial has forgotten where it was, such as a mean period.

    Raises
    ------
    InputError
        For samples too short for `steps`, or where no pair is left.
    """
    steps, apart = as_count("steps", steps), as_count("apart", apart)
    check_samples("neighbour_divergence", {"samples": samples}, shortest=steps + 2)
    check_positive("neighbour_divergence", every=every)
    from scipy.spatial import KDTree

    scaled = samples / _deviations(samples)
    _, length, rank = samples.shape
    usable = length - steps
    points = scaled[:, :usable].reshape(-1, rank)
    queries = np.unique(np.linspace(0, len(points) - 1, _QUERIES).astype(np.int64))
    # neighbours in time are close too; look far enough to find one that is not
    candidates = min(len(points), 2 * apart + 2)
    near = np.asarray(KDTree(points).query(points[queries], k=min(candidates, 200))[1])
    trial, time = queries[:, None] // usable, queries[:, None] % usable
    allowed = (near // usable != trial) | (np.abs(near % usable - time) >= apart)
    paired = allowed.any(axis=1)
    if not paired.any():
        raise InputError(f"No two states are {apart} samples apart and close. Record longer, or lower `apart`.")
    other = near[np.arange(len(near)), allowed.argmax(axis=1)][paired]
    trial, time = trial[paired, 0], time[paired, 0]
    ahead = np.arange(steps + 1)
    gap = (
        scaled[trial[:, None], time[:, None] + ahead]
        - scaled[(other // usable)[:, None], (other % usable)[:, None] + ahead]
    )
    logs = np.log(np.maximum(np.linalg.norm(gap, axis=-1), np.finfo(np.float64).tiny))
    owners = np.unique(trial)
    return Divergence(np.stack([logs[trial == owner].mean(axis=0) for owner in owners]), every, _ceiling(rank))


def _deviations(samples: Float[np.ndarray, "trial time rank"]) -> Float[np.ndarray, " rank"]:
    scale = samples.std(axis=(0, 1))
    if not scale.all():
        raise InputError(f"Latent {int(np.argmin(scale))} is constant, so nothing diverges in it. Leave it out.")
    return scale


def _ceiling(rank: int) -> float:
    """Strangers, independent states with unit variances, are sqrt(2 rank) apart in the mean square."""
    return float(np.log(_SATURATED * np.sqrt(2 * rank)))
