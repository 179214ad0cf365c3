"""A stimulus that tilts the energy drives a trained network through memories in a chosen order."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import ddm2snn
from ddm2snn import Stimulus, Training

# Above 2 / sqrt(27) = 0.385 in a dimension the tilted energy U - u . z of `fourwell` has one well left there,
# and the state gets to it without the help of noise.
TILT, HELD, TRIALS = 1.0, 8.0, 64
ORDER = (0, 3, 1, 2)
EVERY = 0.1


@functools.cache
def network() -> ddm2snn.RateNetwork:
    return ddm2snn.train("fourwell", seed=2, training=Training(error=3e-3, iterations=80, points=2500, holdout=1000))


def memories() -> np.ndarray:
    return ddm2snn.find_system("fourwell").known["memories"]


def tilts(order: tuple[int, ...], strength: float = TILT) -> Stimulus:
    """Tilt towards one memory after the other, each for HELD time units."""
    return Stimulus(times=HELD * np.arange(len(order)), values=strength * memories()[list(order)])


def recalled(stimulus: Stimulus | None, order: tuple[int, ...]) -> np.ndarray:
    """Nearest memory at the end of each stretch of the stimulus, shape (trial, stretch)."""
    rng = np.random.default_rng(7)
    starts = memories()[rng.integers(4, size=TRIALS)]
    run = ddm2snn.simulate(
        network(), duration=HELD * len(order) + EVERY, trials=TRIALS, seed=8, every=EVERY, stimulus=stimulus,
        initial_latent=starts,
    )  # fmt: skip
    ends = run.samples[:, [round(HELD * (i + 1) / EVERY) for i in range(len(order))]]
    return np.linalg.norm(ends[:, :, None] - memories(), axis=-1).argmin(axis=-1)


def test_the_chosen_memory_becomes_the_global_minimum():
    energy, axis = ddm2snn.find_system("fourwell").known["energy"], np.linspace(-2, 2, 81)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for memory in memories():
        lowest = z[np.argmin(energy(z) - TILT * z @ memory)]
        assert np.linalg.norm(lowest - memory, axis=-1) < 0.6  # it moves outwards, to the root of z^3 - z = u: 1.32
        assert (np.sign(lowest) == memory).all()


@pytest.mark.parametrize("order", [ORDER, ORDER[::-1], (2, 2, 0, 1)], ids=str)
def test_tilts_drive_through_memories_in_the_chosen_order(order):
    found = recalled(tilts(order), order)
    # per dimension the tilted energy rises by 1.43 from its well at 1.32 to zero, where memories are told apart:
    # there the density is exp(-2 * 1.43 / 0.25) = 1e-5 of that in the well
    assert (found == np.array(order)).mean() > 0.99
    assert (found == np.array(order)).all(axis=1).mean() > 0.97


def test_without_a_stimulus_there_is_no_such_order():
    # the control: each memory is as likely as each other one, so the whole order has a chance of 4^-4 per trial;
    # starts are known and wells are kept for some 17 time units, which leaves a stretch right in a quarter of trials
    found = recalled(None, ORDER)
    right = (found == np.array(ORDER)).mean()
    assert abs(right - 0.25) < 4 * np.sqrt(0.25 * 0.75 / TRIALS)
    assert (found == np.array(ORDER)).all(axis=1).mean() < 0.1


def test_a_tilt_far_too_weak_does_not_choose():
    found = recalled(tilts(ORDER, 0.02), ORDER)
    assert (found == np.array(ORDER)).all(axis=1).mean() < 0.2
