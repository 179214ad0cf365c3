"""Visits to wells: how long, from where to where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive, freeze_arrays
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_CORE = 0.3  # of the smallest distance between two wells; cores of half of it would touch [choice]


@dataclass(frozen=True, eq=False)
class Visits:
    """Table of visits, in order of trial and time; a visit lasts until the core of another well is reached.

    Parameters
    ----------
    trial, well
        Trial and well of each visit, shape (visit,).
    start, duration
        Time of arrival since the start of the trial and length of stay, in rate time units, shape (visit,).
    time_in
        Time spent per trial and well in rate time units, shape (trial, well).
    transitions
        Departures from well i to well j per trial, shape (trial, well, well). Sums over trials, weighted or not, give
        all that `mean_dwell` and `transition_matrix` need.
    """

    trial: Int[np.ndarray, " visit"]
    well: Int[np.ndarray, " visit"]
    start: Float[np.ndarray, " visit"]
    duration: Float[np.ndarray, " visit"]
    time_in: Float[np.ndarray, "trial well"]
    transitions: Float[np.ndarray, "trial well target"]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def __repr__(self) -> str:
        """Sizes only."""
        trials, wells = self.time_in.shape
        moves = self.transitions.sum()
        return f"Visits(trials={trials}, wells={wells}, visits={len(self.well)}, transitions={moves:.0f})"


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

    Centres are in the units of the samples, `every` is the sampling interval in rate time units, and `core` a Euclidean
    radius, by default 0.3 of the smallest distance between two centres.

    Raises
    ------
    InputError
        For samples that are no finite (trial, time, rank), wells of another rank or in one place, cores that overlap.

    Examples
    --------
    >>> course = np.array([-1.0, -0.2, 0.1, -1.0, -0.9, 0.9, 1.0]).reshape(1, 7, 1)  # crosses zero, comes back, leaves
    >>> table = visits(course, np.array([[-1.0], [1.0]]), every=0.5)
    >>> table
    Visits(trials=1, wells=2, visits=2, transitions=1)
    >>> table.well, table.duration
    (array([0, 1]), array([2.5, 1. ]))
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
    """Centres, and radius of the cores."""
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
    """Visits from the well of each sample, -1 where it belongs to none."""
    trials, length = well.shape
    begins = np.ones(well.shape, dtype=bool)
    begins[:, 1:] = well[:, 1:] != well[:, :-1]
    trial, first = np.nonzero(begins)
    last_of_trial = np.append(trial[1:] != trial[:-1], True)
    stop = np.where(last_of_trial, length, np.append(first[1:], length))
    place = well[trial, first]
    leaves = np.flatnonzero((place >= 0) & ~last_of_trial)
    transitions = np.zeros((trials, wells, wells))
    np.add.at(transitions, (trial[leaves], place[leaves], place[leaves + 1]), 1.0)
    in_well = place >= 0
    duration = (stop - first) * every
    time_in = np.zeros((trials, wells))
    np.add.at(time_in, (trial[in_well], place[in_well]), duration[in_well])
    return Visits(
        trial=trial[in_well],
        well=place[in_well],
        start=first[in_well] * every,
        duration=duration[in_well],
        time_in=time_in,
        transitions=transitions,
    )


def mean_dwell(
    time_in: Float[np.ndarray, "... well"], transitions: Float[np.ndarray, "... well target"]
) -> Float[np.ndarray, "... well"]:
    """Mean dwell time per well in rate time units: time spent over departures, so that cut visits count rightly.

    The maximum-likelihood estimate for exponential dwell times with censoring; infinite where nothing ever leaves,
    NaN for a well that was never visited.

    Examples
    --------
    >>> mean_dwell(np.array([6.0, 5.0]), np.array([[0.0, 3.0], [2.0, 0.0]]))
    array([2. , 2.5])
    """
    leaving = transitions.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return time_in / leaving


def transition_matrix(transitions: Float[np.ndarray, "... well target"]) -> Float[np.ndarray, "... well target"]:
    """Probability that a departure from well i leads to well j; rows sum to one, or are NaN without departures.

    Examples
    --------
    >>> transition_matrix(np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    array([[0.  , 0.75, 0.25],
           [1.  , 0.  , 0.  ],
           [ nan,  nan,  nan]])
    """
    leaving = transitions.sum(axis=-1, keepdims=True)
    return np.where(leaving > 0, transitions / np.maximum(leaving, 1e-300), np.nan)
