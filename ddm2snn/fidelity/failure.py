"""Failures of test recordings: trials that died or escaped, lost modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples
from ddm2snn.fidelity.wells import Visits, mean_dwell, visits

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples

_PARTS, _PART = 4, "quarter"  # a trial is judged by its last quarter [choice]
_COLLAPSED = 0.25  # share of the smallest deviation of the reference [choice]
_REACH = 3.0  # times the range of the reference [choice]
_CHANCE = 1e-4  # with which equal processes never visit a well [choice]
_SEPARATE_DWELLS = 10  # stretches of this many mean dwell times are nearly independent [choice]

DEFINITION = (
    f"Died: over the last {_PART} of a trial, the standard deviation (root mean square over latents, each in units of "
    f"the reference's) is below {_COLLAPSED:g} times the smallest that the reference shows in any stretch of that "
    f"length. Escaped: a sample lies more than {_REACH:g} times as far from the middle of the reference's range as its "
    "ends, in some latent, or is not finite. Lost: the reference visits a well, the test never does, and equal "
    f"processes would distribute these visits so with a probability below {_CHANCE:g} over the number of wells."
)
"""What died, escaped and lost mean, in words."""


@dataclass(frozen=True)
class Failure:
    """What went wrong in one test recording of so many `trials`.

    Trials `died` if they came to rest, and `escaped` if they left the range of the reference. Wells are `lost` that the
    reference visits and the test never does, though it should have by now.
    """

    died: tuple[int, ...]
    escaped: tuple[int, ...]
    lost: tuple[int, ...]
    trials: int

    @property
    def failed(self) -> bool:
        """Whether anything went wrong."""
        return bool(self.died or self.escaped or self.lost)


def find_failure(
    test: Samples,
    reference: Samples,
    *,
    every: float = 1.0,
    wells: Float[np.ndarray, "well rank"] | None = None,
) -> Failure:
    """Look for the failures of `DEFINITION`; a reference's own recordings show none.

    This takes a reference that has shown its range: one of two trials that both stayed in one well takes the other
    well for an escape. With eight trials of 400 samples, a hundred healthy pairs of each built-in kind raised no
    alarm.

    Parameters
    ----------
    test
        Samples after the burn-in, which may hold NaN and infinity: these count as escaped.
    reference
        Finite samples of the reference, of the same sampling interval, each trial at least as long as a quarter of
        the test's.
    every
        Sampling interval in rate time units.
    wells
        Centres of the wells; without them no mode can be lost.

    Raises
    ------
    InputError
        For arrays that are no (trial, time, rank), of unequal rank, too short, or a reference that does not move.

    Examples
    --------
    >>> wave = np.sin(0.3 * np.arange(200)).reshape(1, 200, 1) * np.ones((3, 1, 1))
    >>> dead = np.where(np.arange(200)[:, None] < 50, wave, 0.1)
    >>> find_failure(np.concatenate([wave[:1], dead[:1], 10 * wave[:1]]), wave)
    Failure(died=(1,), escaped=(2,), lost=(), trials=3)
    """
    check_samples("find_failure", {"test": test, "reference": reference}, shortest=2 * _PARTS, finite=False)
    check_samples("find_failure", {"reference": reference})
    scale = reference.std(axis=(0, 1))
    if not scale.all():
        raise InputError(f"Latent {int(np.argmin(scale))} of the reference is constant; nothing can be said to die.")
    escaped = _escaped(test, reference)
    bounded = np.where(escaped[:, None, None], reference.mean(axis=(0, 1)), test)
    length = min(test.shape[1], reference.shape[1] * _PARTS) // _PARTS
    movement = (bounded[:, -length:].std(axis=1) / scale) ** 2
    still = np.sqrt(movement.mean(axis=-1)) < _COLLAPSED * _smallest_movement(reference, length, scale)
    lost: tuple[int, ...] = ()
    if wells is not None and not escaped.all():  # where every trial escaped, that says it all
        lost = _lost(visits(bounded[~escaped], wells, every), visits(reference, wells, every), test.shape[1] * every)
    return Failure(_indices(still & ~escaped), _indices(escaped), lost, len(test))


def failure_shares(failures: Sequence[Failure]) -> dict[str, Any]:
    """Shares of recordings that failed, such as conversions with different seeds, as JSON values.

    Beside the shares stand the number of trials that failed in all recordings, the lost wells and the definition.

    Raises
    ------
    InputError
        Where there is no recording.

    Examples
    --------
    >>> shares = failure_shares([Failure((0, 1), (), (), trials=8), Failure((), (), (), trials=8)])
    >>> shares["died"], shares["lost_mode"], shares["failed"], shares["trials_died"]
    (0.5, 0.0, 0.5, 2)
    """
    if not failures:
        raise InputError("failure_shares needs one recording or more, got none. Give what find_failure returned.")
    return {
        "recordings": len(failures),
        "died": float(np.mean([bool(f.died) for f in failures])),
        "escaped": float(np.mean([bool(f.escaped) for f in failures])),
        "lost_mode": float(np.mean([bool(f.lost) for f in failures])),
        "failed": float(np.mean([f.failed for f in failures])),
        "trials": sum(f.trials for f in failures),
        "trials_failed": [len(f.died) + len(f.escaped) for f in failures],
        "trials_died": sum(len(f.died) for f in failures),
        "trials_escaped": sum(len(f.escaped) for f in failures),
        "lost_wells": sorted({well for f in failures for well in f.lost}),
        "definition": DEFINITION,
    }


def _indices(which: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.flatnonzero(which))


def _escaped(test: Samples, reference: Samples) -> np.ndarray:
    low, high = reference.min(axis=(0, 1)), reference.max(axis=(0, 1))
    # NaN compares as False, hence "not within" rather than "outside"
    within = np.abs(test - (low + high) / 2) <= _REACH * (high - low) / 2
    return ~within.all(axis=(1, 2))


def _smallest_movement(reference: Samples, length: int, scale: Float[np.ndarray, " rank"]) -> float:
    """Smallest root-mean-square deviation over all stretches of the reference of this length, half overlapping."""
    starts = range(0, reference.shape[1] - length + 1, max(1, length // 2))
    moved = [((reference[:, s : s + length].std(axis=1) / scale) ** 2).mean(axis=-1).min() for s in starts]
    return float(np.sqrt(min(moved)))


def _lost(test: Visits, reference: Visits, duration: float) -> tuple[int, ...]:
    """Wells whose absence from the test is no chance, by an exact test on nearly independent stretches of time."""
    dwell = mean_dwell(reference.time_in.sum(axis=0), reference.transitions.sum(axis=0))
    longest = np.max(dwell[np.isfinite(dwell)], initial=0.0)
    stretch = _SEPARATE_DWELLS * longest if longest > 0 else np.inf
    with_reference, of_reference = _stretches(reference, stretch)
    with_test, of_test = _stretches(test, min(stretch, duration))
    # all k visited stretches fall into the reference's n of n + m: C(n, k) / C(n + m, k)
    lost = []
    for well, (visited, visited_by_reference) in enumerate(zip(with_test, with_reference, strict=True)):
        j = np.arange(visited_by_reference)
        chance = np.exp(np.log((of_reference - j) / (of_reference + of_test - j)).sum())
        if not visited and visited_by_reference and chance < _CHANCE / len(with_test):
            lost.append(well)
    return tuple(lost)


def _stretches(table: Visits, stretch: float) -> tuple[np.ndarray, int]:
    """Number of stretches of time in which each well is visited, and of stretches with any visit."""
    wells = table.time_in.shape[1]
    seen = set()
    for trial, well, start, duration in zip(table.trial, table.well, table.start, table.duration, strict=True):
        last = int((start + duration * (1 - 1e-9)) // stretch)
        seen.update((int(trial), part, int(well)) for part in range(int(start // stretch), last + 1))
    per_well = np.bincount([well for _, _, well in seen], minlength=wells)
    return per_well, len({(trial, part) for trial, part, _ in seen})
