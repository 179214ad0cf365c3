"""Samples of trajectories as the measures take them: (trial, time, rank), finite, of one rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def check_samples(
    owner: str,
    samples: Mapping[str, Float[np.ndarray, "trial time rank"]],
    *,
    shortest: int = 1,
    finite: bool = True,
) -> None:
    """Refuse arrays that are not (trial, time, rank), of different ranks, too short, or not finite.

    Parameters
    ----------
    owner
        Name of the measure, for the message.
    samples
        Arrays by name.
    shortest
        Fewest samples that a trial must hold.
    finite
        Whether NaN and infinity are refused.

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
