"""Trajectories of a system with steps of their own, from starts of every size, and whether they have settled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ddm2snn.base.progress import Progress
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.systems.system import States

    Which = Bool[np.ndarray, " trial"]

SIZES = 10.0 ** np.arange(-12, 13)
PER_SIZE = 8  # trajectories that start at each size
_TOLERANCE = 0.01  # of a step: error over the distance that the trajectory travels
_LARGEST_NOISE = 0.5  # of a step, over that distance
_TURNS = 15.0  # distances travelled, in standard deviations, that settled trajectories have gone at least
_RAMP, _SWELL = 0.7, 5.0  # between the last two quarters: change of mean in standard deviations, ratio of variances
_RECORDS = 1000  # of each trajectory in a round
_STRAY, _LARGE, _SMALL = 20.0, 3.0, 0.25  # distance of a mean, and deviations, in robust ones, of those on their way
_APART = 4.0  # robust deviations between means, beyond which a trajectory is elsewhere
_FARTHEST = 3.0  # start that counts, over the distance of the states from zero
_MIXED = 0.5  # largest share of the variance that lies between trajectories


class Course(NamedTuple):
    """A stretch of trajectories with steps of their own, recorded a thousand times at most.

    The `weight` of a recorded state is the time that it stands for; `end` and `step` are the last states and the next
    step of each trajectory.
    """

    states: Float[np.ndarray, "record trial rank"]
    weight: Float[np.ndarray, "record trial"]
    end: States
    step: Float[np.ndarray, " trial"]

    def drawn(self, kept: Which, rng: np.random.Generator) -> States:
        """States of the last half of a course, each trajectory as often and each state in proportion to its time."""
        half = len(self.states) // 2
        trials = np.flatnonzero(kept)
        each = -(-4096 // len(trials))
        states = []
        for trial in trials:
            weight = self.weight[half:, trial]
            states.append(self.states[half:, trial][rng.choice(len(weight), size=each, p=weight / weight.sum())])
        return np.concatenate(states)


class Settled(NamedTuple):
    """What the last half of a course says of each trajectory: mean and deviation over time, and whether it has settled.

    It has where the last two quarters agree and the trajectory has gone far enough to tell.
    """

    mean: States
    deviation: States
    settled: Which

    def gathered(self, sizes: Float[np.ndarray, " trial"] | None) -> tuple[Which, Which]:
        """Trajectories that started within reach of the states, and those of them that move as the settled ones do.

        With sizes of the starts, the settled ones are those of the four smallest of which half or more have settled.
        """
        first = self.settled
        if sizes is not None:
            share = first.reshape(-1, PER_SIZE).mean(axis=1)
            first = first & np.isin(np.arange(len(first)) // PER_SIZE, np.flatnonzero(share >= 0.5)[:4])
        if not first.any():
            return first, first
        middle, size = self._robust(first)
        within = np.ones(len(first), dtype=bool)
        if sizes is not None:
            within = sizes <= _FARTHEST * (np.abs(middle) + size).max()
        near = (np.abs(self.mean - middle) < _STRAY * size) & (self.deviation < _LARGE * size)
        near &= self.settled[:, None] | (self.deviation > _SMALL * size)  # slow and not settled: still falling in
        return within, within & near.all(axis=1)

    def _robust(self, some: Which) -> tuple[np.ndarray, np.ndarray]:
        """Middle and size of the states of some trajectories, by medians and quartiles."""
        low, middle, high = np.quantile(self.mean[some], (0.25, 0.5, 0.75), axis=0)
        return middle, np.sqrt(np.median(self.deviation[some] ** 2, axis=0) + ((high - low) / 1.35) ** 2)

    def apart_from_most(self, kept: Which) -> Which:
        """Trajectories that are elsewhere than most: still on their way, or in a basin of their own."""
        middle, size = self._robust(kept)
        return kept & (np.abs(self.mean - middle) > _APART * size).any(axis=1)

    def spread(self, kept: Which) -> Float[np.ndarray, " rank"]:
        """Standard deviation of the states of all trajectories that are kept."""
        return np.sqrt((self.deviation[kept] ** 2).mean(axis=0) + self.mean[kept].var(axis=0))

    def mixed(self, kept: Which) -> bool:
        """Whether trajectories went everywhere in time: their means differ less than each of them moves."""
        between, within = self.mean[kept].var(axis=0), (self.deviation[kept] ** 2).mean(axis=0)
        return bool((between < _MIXED * (between + within)).all())


def advance(
    system: System,
    z: States,
    far: States,
    known: Float[np.ndarray, " trial"] | None,
    steps: int,
    rng: np.random.Generator,
    progress: Progress,
) -> Course:
    """Advance trajectories by Heun steps of their own, whose error stays small against the distance they travel."""
    start, slope, constant = z, system.checked_drift(z), system.constant_factor
    with np.errstate(all="ignore"):
        noise = np.abs(system.factor(z)).max(axis=2)
        first = np.minimum(
            1e-3 * np.min(np.where(slope != 0, far / np.abs(slope), np.inf), axis=1),
            np.min(np.where(noise > 0, (0.1 * far / noise) ** 2, np.inf), axis=1),
        )
        step = first if known is None else known
        step = np.where(np.isfinite(step) & (step > 0), step, 1e-12)
        every = -(-steps // _RECORDS)
        states, weight = [], []
        for number in range(steps):  # numbers that are not finite end in steps that are not taken
            normal = rng.standard_normal(z.shape)
            push = (system.factor(z) @ normal[..., None])[..., 0] if constant is None else normal @ constant.T
            shock = np.sqrt(step)[:, None] * push
            predicted = z + step[:, None] * slope + shock
            further = system.checked_drift(predicted)
            proposed = z + 0.5 * step[:, None] * (slope + further) + shock
            error = np.max(np.abs(0.5 * step[:, None] * (further - slope)) / far, axis=1) / _TOLERANCE
            error = np.maximum(error, (np.max(np.abs(shock) / far, axis=1) / _LARGEST_NOISE) ** 2)
            at_end = system.checked_drift(proposed)
            sound = np.isfinite(error) & np.isfinite(proposed).all(axis=1) & np.isfinite(at_end).all(axis=1)
            taken = sound & (error <= 2)
            if number % every == every - 1:
                states.append(z)
                # of its own step, not of those since the last record: where states pass fast, steps are short
                weight.append(np.where(taken, every * step, 0.0))
                progress(number / steps)
            z, slope = np.where(taken[:, None], proposed, z), np.where(taken[:, None], at_end, slope)
            far = np.maximum(far, np.abs(z - start))
            growth = np.where(sound, np.clip(0.9 / np.sqrt(np.maximum(error, 1e-30)), 0.2, 4.0), 0.2)
            step = np.clip(step * growth, 1e-200, 1e200)
    return Course(np.array(states), np.array(weight), z, step)


def judge(system: System, course: Course) -> Settled:
    """Whether each trajectory has settled."""
    with np.errstate(all="ignore"):
        elapsed = course.weight.cumsum(axis=0)

        def moments(first: float, last: float) -> tuple[np.ndarray, np.ndarray]:
            inside = (elapsed > first * elapsed[-1]) & (elapsed <= last * elapsed[-1])
            weight = np.where(inside, course.weight, 0.0)[..., None]
            total = weight.sum(axis=0)
            mean = (weight * course.states).sum(axis=0) / total
            return mean, (weight * (course.states - mean) ** 2).sum(axis=0) / total

        (mean, variance), (early, early_variance), (late, late_variance) = (
            moments(*part) for part in ((0.5, 1.0), (0.5, 0.75), (0.75, 1.0))
        )
        deviation = np.sqrt(variance)
        few = course.states[len(course.states) // 2 :: 5]
        speed = np.sqrt(((system.checked_drift(few) / deviation) ** 2).mean(axis=(0, 2)))
        ramp = np.abs(early - late) / deviation
        swell = np.maximum(early_variance, late_variance) / np.minimum(early_variance, late_variance)
        settled = np.isfinite(mean).all(axis=1) & (variance > 0).all(axis=1) & (speed * elapsed[-1] > _TURNS)
        settled &= (ramp < _RAMP).all(axis=1) & (swell < _SWELL).all(axis=1)
    return Settled(mean, deviation, settled)
