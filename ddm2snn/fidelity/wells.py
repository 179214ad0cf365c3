"""Visits to wells: how long, from where to where, in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive, freeze_arrays
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

_CORE = 0.3  # of the smallest distance between two wells; cores of half of it would touch


@dataclass(frozen=True, eq=False)
class Visits:
    """Table of visits, in order of trial and time; a visit lasts until the core of another well is reached.

    Parameters
    ----------
    trial, well
        Trial and well of each visit, shape (visit,).
    start, duration
        Time of arrival since the start of the trial and length of stay, in rate time units, shape (visit,).
    whole
        1 where both arrival and departure were seen, 0 at the ends of a trial.
    time_in
        Time spent per trial and well in rate time units, shape (trial, well).
    transitions
        Departures from well i to well j per trial, shape (trial, well, well): sums over trials give all that
        `mean_dwell`, `transition_matrix` and `circulation` need, so trials can be resampled.
    """

    trial: Int[np.ndarray, " visit"]
    well: Int[np.ndarray, " visit"]
    start: Float[np.ndarray, " visit"]
    duration: Float[np.ndarray, " visit"]
    whole: Int[np.ndarray, " visit"]
    time_in: Float[np.ndarray, "trial well"]
    transitions: Float[np.ndarray, "trial well target"]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def visited(self) -> Bool[np.ndarray, "trial well"]:
        """Whether a trial was in the core of a well at least once."""
        found = np.zeros(self.time_in.shape, dtype=bool)
        found[self.trial, self.well] = True
        return found

    def dwells(self, well: int) -> Float[np.ndarray, " visit"]:
        """Durations of the whole visits to a well; visits cut by the ends of a trial, often the longest, are missing.

        For means use `mean_dwell`, which counts them rightly.
        """
        return self.duration[(self.well == well) & (self.whole == 1)]

    def order(self, trial: int) -> Int[np.ndarray, " visit"]:
        """Wells that a trial visited, one after the other."""
        return self.well[self.trial == trial]


def visits(
    samples: Float[np.ndarray, "trial time rank"],
    centres: Float[np.ndarray, "well rank"],
    every: float,
    core: float | None = None,
) -> Visits:
    """Follow trajectories from core to core, so that a crossing back and forth between two wells is one transition.

    A trajectory belongs to a well from its arrival within `core` of the centre until its arrival within
    the core of another; before the first arrival it belongs to none. Source: Buchete, Hummer, J. Phys. Chem. B
    112 (2008), transition-based assignment, with the stay counted to the departing well.

    Parameters
    ----------
    samples
        In system units.
    centres
        Places of the wells, shape (well, rank), in the same units.
    every
        Sampling interval in rate time units.
    core
        Euclidean radius of the cores; by default 0.3 of the smallest distance between two centres.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank), wells of another rank or in one place, cores that overlap.
    """
    check_samples("visits", {"samples": samples})
    check_positive("visits", every=every)
    places, radius = _checked_wells(centres, samples.shape[2], core)
    distance = np.stack([np.linalg.norm(samples - place, axis=-1) for place in places])
    nearest = distance.argmin(axis=0)
    inside = distance.min(axis=0) < radius
    latest = np.maximum.accumulate(np.where(inside, np.arange(samples.shape[1]), -1), axis=1)
    well = np.where(latest >= 0, np.take_along_axis(nearest, np.maximum(latest, 0), axis=1), -1)
    return _table(well, every, len(places))


def _checked_wells(
    centres: Float[np.ndarray, "well rank"], rank: int, core: float | None
) -> tuple[Float[np.ndarray, "well rank"], float]:
    places = np.asarray(centres, dtype=np.float64)
    if places.ndim != 2 or not len(places) or places.shape[1] != rank or not np.isfinite(places).all():
        raise InputError(f"Wells must be finite centres of shape (well, {rank}), got shape {places.shape}.")
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    closest = apart[~np.eye(len(places), dtype=bool)].min() if len(places) > 1 else np.inf
    if len(places) == 1 and core is None:
        raise InputError("A single well has no neighbour from which to derive its core. Give its radius `core`.")
    radius = _CORE * closest if core is None else core
    check_positive("visits", core=radius)
    if radius > closest / 2:
        raise InputError(
            f"Cores of radius {radius:g} overlap: two wells are {closest:g} apart. Use half of it or less."
        )
    return places, float(radius)


def _table(well: Int[np.ndarray, "trial time"], every: float, wells: int) -> Visits:
    trials, length = well.shape
    begins = np.ones(well.shape, dtype=bool)
    begins[:, 1:] = well[:, 1:] != well[:, :-1]
    trial, first = np.nonzero(begins)
    last_of_trial = np.append(trial[1:] != trial[:-1], True)
    stop = np.where(last_of_trial, length, np.append(first[1:], length))
    place = well[trial, first]
    # a trial enters its first well from nowhere, and its last visit is cut off
    seen_arriving = first > 0
    leaves = (place >= 0) & ~last_of_trial
    transitions = np.zeros((trials, wells, wells))
    index = np.flatnonzero(leaves)
    np.add.at(transitions, (trial[index], place[index], place[index + 1]), 1.0)
    kept = place >= 0
    duration = (stop - first) * every
    time_in = np.zeros((trials, wells))
    np.add.at(time_in, (trial[kept], place[kept]), duration[kept])
    return Visits(
        trial=trial[kept],
        well=place[kept],
        start=first[kept] * every,
        duration=duration[kept],
        whole=(seen_arriving & leaves)[kept].astype(np.int64),
        time_in=time_in,
        transitions=transitions,
    )


def mean_dwell(
    time_in: Float[np.ndarray, "... well"], transitions: Float[np.ndarray, "... well target"]
) -> Float[np.ndarray, "... well"]:
    """Mean dwell time per well in rate time units: time spent over departures, so that cut visits count rightly.

    The maximum-likelihood estimate for exponential dwell times with censoring; infinite where nothing ever leaves,
    NaN for a well that was never visited.
    """
    leaving = transitions.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return time_in / leaving


def transition_matrix(transitions: Float[np.ndarray, "... well target"]) -> Float[np.ndarray, "... well target"]:
    """Probability that a departure from well i leads to well j; rows sum to one, or are NaN without departures."""
    leaving = transitions.sum(axis=-1, keepdims=True)
    return np.where(leaving > 0, transitions / np.maximum(leaving, 1e-300), np.nan)


def circulation(transitions: Float[np.ndarray, "... well target"]) -> Float[np.ndarray, "... well target"]:
    r"""Order of visits: :math:`(N_{ij} - N_{ji}) / (N_{ij} + N_{ji})` for each pair of wells.

    Zero in equilibrium (detailed balance), 1 where i is always left for j and never the other way round; NaN
    for pairs without a transition.
    """
    back = np.swapaxes(transitions, -1, -2)
    both = transitions + back
    return np.where(both > 0, (transitions - back) / np.maximum(both, 1e-300), np.nan)
