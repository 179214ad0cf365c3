"""Scales of a system: where its stationary states lie, how large they are, and how fast they move.

Nothing is known of a user's units, so the search starts at every size: trajectories from 1e-12 to 1e12 around zero,
each with steps of its own. Most fall into the stationary states in a few steps a decade; those that still travel are
told apart by their ramps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.errors import InputError
from ddm2snn.systems.integration import integrate, stable_step
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

_SIZES = 10.0 ** np.arange(-12, 13)
_PER_SIZE = 8  # trajectories that start at each size
_ROUNDS, _FIRST_STEPS, _LONGER = 15, 500, 1.6  # of the search: each round has more steps than the one before
BUDGET = sum(int(_FIRST_STEPS * _LONGER**number) for number in range(_ROUNDS))
"""Steps that the search takes at most, of 200 trajectories together."""
_TOLERANCE = 0.01  # of a step: error over the distance that the trajectory travels
_LARGEST_NOISE = 0.5  # of a step, over that distance
_TURNS = 15.0  # distances travelled, in standard deviations, that settled trajectories have gone at least
_RAMP, _SWELL = 0.7, 5.0  # between the last two quarters: change of mean in standard deviations, ratio of variances
_ENOUGH = 0.7  # of the trajectories within reach have settled at the end of the search
_RECORDS = 1000  # of each trajectory in a round
_STRAY, _LARGE = 20.0, 3.0  # distance of a mean, and deviation, in robust ones: beyond, a trajectory is on its way
_APART, _FEW, _PATIENCE = 4.0, 0.05, 8  # robust deviations between means; share that is left out; rounds to wait
_STRAIGHT = 0.9  # of the range of a latent in a round, that lies between its ends
_FARTHEST = 3.0  # start that counts, over the distance of the states from zero
_REST = 1e-7  # standard deviation over the distance from zero, below which a trajectory rests
_MIXED = 0.5  # largest share of the variance that lies between trajectories
_UNDAMPED, _SHRUNK = 0.5, 0.1  # power of the start's size with which that of the motion grows; ratio of the two
_LEVELLING, _RELAXATION = 12, 10.0  # repetitions, and half of their length in internal time
_SAME, _CONTRACTION = 1e-13, 0.7  # relative change that ends them; ratio of two changes, beyond which they lead nowhere
_BEYOND = 1e60  # from zero: trajectories that are there grow
_AGREEMENT = 0.2  # relative change of the scales in a repetition, beyond which the first ones are kept


@dataclass(frozen=True, eq=False)
class Scales:
    """Internal coordinates of a system: ``origin + size * z``, with `time` units of its time in an internal one.

    The internal time unit is that in which the drift moves a latent by its own standard deviation, as a root mean
    square over latents and stationary states.

    Parameters
    ----------
    origin, size
        Centre and standard deviation of the stationary states in system units, shape (rank,).
    time
        Units of the system's time in an internal one.
    states
        Stationary states in internal coordinates, shape (sample, rank), from which to start; standard normal if None.
    """

    origin: Float[np.ndarray, " rank"]
    size: Float[np.ndarray, " rank"]
    time: float
    states: Float[np.ndarray, "sample rank"] | None = None

    def __repr__(self) -> str:
        figures = ", ".join(f"{o:.3g} +- {s:.3g}" for o, s in zip(self.origin, self.size, strict=True))
        return f"Scales({figures}; time={self.time:.3g})"

    @property
    def trivial(self) -> bool:
        """Whether internal coordinates are the system's own."""
        return self.time == 1.0 and not self.origin.any() and bool((self.size == 1.0).all()) and self.states is None

    @property
    def summary(self) -> str:
        """One line for people."""
        edges = (f"{o - 2 * s:.3g} to {o + 2 * s:.3g}" for o, s in zip(self.origin, self.size, strict=True))
        return (
            f"one rate time unit is {self.time:.3g} units of the system's time; states lie within about "
            f"{', '.join(edges)}"
        )


class Course(NamedTuple):
    """A stretch of trajectories with steps of their own, recorded a thousand times at most.

    Parameters
    ----------
    states, weight
        Recorded states, shape (record, trial, rank), and the time that each stands for, shape (record, trial).
    end, step
        Last states and the next step of each trajectory.
    """

    states: Float[np.ndarray, "record trial rank"]
    weight: Float[np.ndarray, "record trial"]
    end: Float[np.ndarray, "trial rank"]
    step: Float[np.ndarray, " trial"]


class Settled(NamedTuple):
    """What the last half of a course says of each trajectory.

    Parameters
    ----------
    mean, deviation
        Over time, shape (trial, rank).
    settled
        Whether the last two quarters agree and the trajectory has gone far enough to tell.
    """

    mean: Float[np.ndarray, "trial rank"]
    deviation: Float[np.ndarray, "trial rank"]
    settled: Bool[np.ndarray, " trial"]


def find_scales(system: System, rng: np.random.Generator, progress: Progress = no_progress) -> Scales:
    """Find where a system's stationary states lie, how large they are and how fast they move.

    A system that declares `time_scale` and `initial` is taken as it is.

    Raises
    ------
    InputError
        Where there is no stationary state to find, in the words of what was seen instead.

    Examples
    --------
    >>> slow = System(name="slow", rank=1, drift=lambda z: -z / 2000, diffusion=0.1)
    >>> scales = find_scales(slow, np.random.default_rng(0))
    >>> round(scales.time), round(float(scales.size[0]), 1)  # 2000, and sqrt(0.1^2 * 2000 / 2)
    (2000, 3.2)
    """
    if system.time_scale is not None and system.initial is not None:
        return Scales(np.zeros(system.rank), np.ones(system.rank), system.time_scale)
    states = _search(system, rng, progress)
    return _level(system, _scales_of(system, states, states))


def _scales_of(
    system: System, states: Float[np.ndarray, "sample rank"], start: Float[np.ndarray, "sample rank"] | None
) -> Scales:
    origin, size = states.mean(axis=0), states.std(axis=0)
    speed = np.sqrt(np.mean((system.checked_drift(states) / size) ** 2))
    time = float(1.0 / speed) if system.time_scale is None else system.time_scale
    return Scales(origin, size, time, None if start is None else (start - origin) / size)


def _search(system: System, rng: np.random.Generator, progress: Progress) -> Float[np.ndarray, "sample rank"]:
    """Stationary states, those of each trajectory in proportion to time."""
    z, far = _starts(system, rng)
    first = z
    steps, step, spread, travels = _FIRST_STEPS, None, None, []
    for number in range(_ROUNDS):
        course = _advance(system, z, far, step, steps, rng, lambda share, n=number: progress((n + share) / _ROUNDS))
        found = _judge(system, course)
        known = np.isfinite(found.deviation) & (found.deviation > 0)
        far = np.where(known, found.deviation, far)
        within, kept = _gathered(found, system.initial is None)
        if number >= 2:
            _refuse_rest(system, found, kept)
        if (found.settled & kept).sum() >= 3 * _PER_SIZE and number >= 2:
            size = np.sqrt((found.deviation[kept] ** 2).mean(axis=0) + found.mean[kept].var(axis=0))
            same = spread is not None and (np.abs(np.log(size / spread)) < 0.3).all()
            enough = (found.settled & kept).sum() >= _ENOUGH * within.sum()
            one = enough and not (found.settled & _apart(found, kept)).any() and _mixed(found, kept)
            if same and (one or (enough and system.initial is not None) or number >= _PATIENCE):
                break
            spread = size
        if number >= 4 and _grows(z, course.end):
            raise InputError(_growth(system, first, course.end))
        travels.append(_travel(z, course))
        if (onwards := _onwards(travels)) is not None:
            raise InputError(_moves_on(system, onwards, float(travels[-1][onwards])))
        z, step, steps = course.end, course.step, int(_LONGER * steps)
    else:
        raise InputError(
            f"System {system.name}: its trajectories did not settle within {BUDGET:,} steps. A part of it is much "
            "slower than the rest, or it has no stationary state. Give `initial`, states to start from."
        )
    progress(1.0)
    apart = _apart(found, kept)
    if system.initial is None and (
        (found.settled & apart).sum() > _FEW * kept.sum() or not _mixed(found, kept & ~apart)
    ):
        raise InputError(_basins(system, found, kept))
    if system.initial is None:
        kept &= ~apart
        distance = (np.abs(np.median(found.mean[kept], axis=0)) + np.median(found.deviation[kept], axis=0)).max()
        inside = kept & (np.repeat(_SIZES, _PER_SIZE) <= distance)  # others may still be on their way
        kept = inside if inside.sum() >= 3 * _PER_SIZE else kept
    return _drawn(course, kept, rng)


def _starts(system: System, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Starting points, and the distance over which the first steps are judged."""
    count = len(_SIZES) * _PER_SIZE
    if system.initial is not None:
        z = system.starts(rng, count)
        far = np.maximum(z.std(axis=0), 1e-3 * np.abs(z).max(axis=0))
        far = np.broadcast_to(np.where(far > 0, far, 1e-12), z.shape)
    else:
        directions = np.tile(rng.standard_normal((_PER_SIZE, system.rank)), (len(_SIZES), 1))
        far = np.repeat(_SIZES, _PER_SIZE)[:, None] * np.ones(system.rank)
        z = far * directions
    finite = np.isfinite(system.checked_drift(z)).all(axis=1)
    if not finite.any():
        raise InputError(f"System {system.name}: the drift is NaN or infinite at its starting points. Check it.")
    if not np.isfinite(system.factor(z[finite])).all():
        raise InputError(f"System {system.name}: its diffusion is NaN or infinite at its starting points. Check it.")
    return z, far


def _advance(
    system: System,
    z: Float[np.ndarray, "trial rank"],
    far: Float[np.ndarray, "trial rank"],
    step: Float[np.ndarray, " trial"] | None,
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
        step = first if step is None else step
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
                weight.append(
                    np.where(taken, every * step, 0.0)
                )  # its own step's: where states pass fast, steps are short
                progress(number / steps)
            z, slope = np.where(taken[:, None], proposed, z), np.where(taken[:, None], at_end, slope)
            far = np.maximum(far, np.abs(z - start))
            growth = np.where(sound, np.clip(0.9 / np.sqrt(np.maximum(error, 1e-30)), 0.2, 4.0), 0.2)
            step = np.clip(step * growth, 1e-200, 1e200)
    return Course(np.array(states), np.array(weight), z, step)


def _judge(system: System, course: Course) -> Settled:
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


def _gathered(found: Settled, by_size: bool) -> tuple[Bool[np.ndarray, " trial"], Bool[np.ndarray, " trial"]]:
    """Trajectories that started within reach of the states, and those of them that move as the settled ones do."""
    count = len(found.settled)
    first = found.settled
    if by_size:
        share = first.reshape(-1, _PER_SIZE).mean(axis=1)
        first = first & np.isin(np.arange(count) // _PER_SIZE, np.flatnonzero(share >= 0.5)[:4])
    if not first.any():
        return first, first
    middle = np.median(found.mean[first], axis=0)
    low, high = np.quantile(found.mean[first], (0.25, 0.75), axis=0)
    size = np.sqrt(np.median(found.deviation[first] ** 2, axis=0) + ((high - low) / 1.35) ** 2)
    reach = _FARTHEST * (np.abs(middle) + size).max()
    within = np.repeat(_SIZES, _PER_SIZE) <= reach if by_size else np.ones(count, dtype=bool)
    near = (np.abs(found.mean - middle) < _STRAY * size) & (found.deviation < _LARGE * size)
    return within, within & near.all(axis=1)


def _apart(found: Settled, kept: Bool[np.ndarray, " trial"]) -> Bool[np.ndarray, " trial"]:
    """Settled trajectories that are elsewhere than most: still on their way, or in a basin of their own."""
    middle = np.median(found.mean[kept], axis=0)
    low, high = np.quantile(found.mean[kept], (0.25, 0.75), axis=0)
    size = np.sqrt(np.median(found.deviation[kept] ** 2, axis=0) + ((high - low) / 1.35) ** 2)
    return kept & (np.abs(found.mean - middle) > _APART * size).any(axis=1)


def _mixed(found: Settled, kept: Bool[np.ndarray, " trial"]) -> bool:
    between, within = found.mean[kept].var(axis=0), (found.deviation[kept] ** 2).mean(axis=0)
    return bool((between < _MIXED * (between + within)).all())


def _grows(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether trajectories from the smallest starts still go far beyond where they were."""
    some = slice(0, 4 * _PER_SIZE)
    with np.errstate(all="ignore"):
        then, now = (np.median(np.abs(z[some]).max(axis=1)) for z in (before, after))
    return not now <= min(3 * then, _BEYOND)


def _growth(system: System, first: np.ndarray, last: np.ndarray) -> str:
    """Say how trajectories leave: at a steady speed, or ever faster."""
    some = slice(0, 4 * _PER_SIZE)
    with np.errstate(all="ignore"):
        speed, at_first = (np.median(np.abs(system.checked_drift(z[some])), axis=0) for z in (last, first))
        size = np.median(np.abs(last[some]), axis=0)
    latent = int(np.argmax(np.where(np.isfinite(size), size, np.inf)))
    steady = speed[latent] < 10 * at_first[latent]
    if steady:
        return _moves_on(system, latent, float(speed[latent]))
    return (
        f"System {system.name}: its trajectories still grow after a long relaxation, so there is no stationary "
        "state to train on. Check the sign of its drift, or confine it."
    )


def _travel(start: Float[np.ndarray, "trial rank"], course: Course) -> Float[np.ndarray, " rank"]:
    """Speed at which each latent went straight on in a course, from the smallest starts; NaN where it did not."""
    some = slice(0, 4 * _PER_SIZE)
    with np.errstate(all="ignore"):
        gone, visited = course.end[some] - start[some], np.ptp(course.states[:, some], axis=0)
        straight = np.median(np.abs(gone) / visited, axis=0) > _STRAIGHT
        return np.where(straight, np.median(gone / course.weight[:, some].sum(axis=0)[:, None], axis=0), np.nan)


def _onwards(travels: list[Float[np.ndarray, " rank"]]) -> int | None:
    """Latent that went straight on at one speed in the last three rounds, if there is one."""
    if len(travels) < 5:
        return None
    last = np.array(travels[-3:])
    with np.errstate(all="ignore"):
        steady = (np.abs(last / last[-1] - 1.0) < 0.3).all(axis=0)
    return int(np.flatnonzero(steady)[0]) if steady.any() else None


def _moves_on(system: System, latent: int, speed: float) -> str:
    return (
        f"System {system.name}: latent {latent} moves on and on, by about {speed:.3g} in a unit of time, so there is "
        "no stationary state to train on. If it is a phase, use (cos, sin) of it."
    )


def _refuse_rest(system: System, found: Settled, kept: Bool[np.ndarray, " trial"]) -> None:
    """Refuse latents that come to rest, and motion without noise that is as large as its start was."""
    still = (found.deviation == 0).all(axis=0)
    if kept.any():
        still |= (found.deviation[kept] <= _REST * np.abs(found.mean[kept])).mean(axis=0) > 0.5
    small = slice(0, len(_SIZES) // 3 * _PER_SIZE)
    size, undamped = found.deviation[small], False
    if system.initial is None and (np.isfinite(size) & (size > 0)).all():
        start = np.repeat(_SIZES, _PER_SIZE)[small]
        ratio = np.median(size / start[:, None], axis=0)
        follows = np.polyfit(np.log(start), np.log(size), 1)[0] > _UNDAMPED
        still |= follows & (ratio < _SHRUNK)
        undamped = bool((follows & (ratio >= _SHRUNK) & (ratio < 1.0 / _SHRUNK)).all())
    if still.any():
        raise InputError(
            f"System {system.name}: a latent is constant in the stationary state, latent {int(np.argmax(still))}. "
            "Drop it or add noise."
        )
    factor = system.constant_factor
    if undamped and factor is not None and not factor.any():
        raise InputError(
            f"System {system.name}: its motion is undamped, so that its size depends on where it starts. "
            "Add damping or noise, or give `initial`."
        )


def _basins(system: System, found: Settled, kept: Bool[np.ndarray, " trial"]) -> str:
    mean = found.mean[kept]
    latent = int(np.argmax(mean.var(axis=0) / (found.deviation[kept] ** 2).mean(axis=0)))
    low, high = np.quantile(mean[:, latent], (0.1, 0.9))
    return (
        f"System {system.name}: trajectories stay in basins that do not mix: the mean of latent {latent} lies at "
        f"{low:.3g} in some and at {high:.3g} in others, for as long as was sampled. Give `initial`, which says how "
        "many start in each, or more diffusion."
    )


def _drawn(course: Course, kept: Bool[np.ndarray, " trial"], rng: np.random.Generator) -> np.ndarray:
    """States of the last half of a course, each trajectory as often and each state in proportion to its time."""
    half = len(course.states) // 2
    trials = np.flatnonzero(kept)
    each = -(-4096 // len(trials))
    drawn = []
    for trial in trials:
        weight = course.weight[half:, trial]
        drawn.append(course.states[half:, trial][rng.choice(len(weight), size=each, p=weight / weight.sum())])
    return np.concatenate(drawn)


def _level(system: System, first: Scales) -> Scales:
    """Repeat the sampling from standard normal starts in the scales found, until the scales stay the same to rounding.

    Then they do not depend on the search. The first scales are kept where this does not agree with them: for systems
    that need longer to relax, or whose drift is not finite beside the stationary states.
    """
    scales, change = Scales(first.origin, first.size, first.time), np.inf
    for _ in range(_LEVELLING):
        inner, rng = system.in_scales(scales), np.random.default_rng(0)
        start = inner.starts(rng, 256)
        try:
            step = stable_step(inner.checked_drift, start, tolerance=1e-3)
            path = integrate(
                inner.checked_drift, inner.noise, start, dt=step, steps=2 * round(_RELAXATION / step),
                stride=max(1, round(0.1 / step)), rng=rng,
            )  # fmt: skip
        except InputError:
            return first
        states = path[:, path.shape[1] // 2 :].reshape(-1, system.rank) * scales.size + scales.origin
        new = _scales_of(system, states, None)
        apart = np.concatenate([(new.origin - first.origin) / first.size, np.log(new.size / first.size)])
        if not (np.abs(apart) < _AGREEMENT).all() or abs(np.log(new.time / first.time)) > _AGREEMENT:
            return first
        before, change = change, float(np.abs(new.size / scales.size - 1).max())
        scales = new
        if change < _SAME or change > _CONTRACTION * before:
            break
    return scales
