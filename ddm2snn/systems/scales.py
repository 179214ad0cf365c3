"""Scales of a system: where its stationary states lie, how large they are, and how fast they move.

Nothing is known of a user's units, so the search starts at every size: trajectories from 1e-12 to 1e12 around zero,
each with steps of its own. Most fall into the stationary states in a few steps a decade; those that still travel are
told apart by their ramps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.errors import InputError
from ddm2snn.systems.integration import integrate, stable_step
from ddm2snn.systems.settling import PER_SIZE, SIZES, Course, Settled, advance, judge
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.settling import Which
    from ddm2snn.systems.system import States

_ROUNDS, _FIRST_STEPS, _LONGER = 15, 500, 1.6  # of the search: each round has more steps than the one before
BUDGET = sum(int(_FIRST_STEPS * _LONGER**number) for number in range(_ROUNDS))
"""Steps that the search takes at most, of 200 trajectories together."""
_EARLY = 2  # rounds at first, after which trajectories may still be falling in
_SMALLEST = slice(0, 4 * PER_SIZE)  # trajectories that show where the others lead to
_SAME_SPREAD = 0.3  # logarithm of the ratio of two spreads that agree
_FEWEST = 3 * PER_SIZE  # trajectories that tell where the states are
_ENOUGH = 0.7  # of the trajectories within reach have settled at the end of the search
_FEW, _PATIENCE = 0.05, 8  # share of trajectories elsewhere that is left out; rounds to wait
_STRAIGHT = 0.9  # of the range of a latent in a round, that lies between its ends
_REST = 1e-7  # standard deviation over the distance from zero, below which a trajectory rests
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

    `origin` and `size` are centre and standard deviation of the stationary states in system units; `states` are some in
    internal coordinates, from which to start, which is at standard normal ones if None.
    """

    origin: Float[np.ndarray, " rank"]
    size: Float[np.ndarray, " rank"]
    time: float
    states: States | None = None

    def __repr__(self) -> str:
        figures = ", ".join(f"{o:.3g} +- {s:.3g}" for o, s in zip(self.origin, self.size, strict=True))
        return f"Scales({figures}; time={self.time:.3g})"

    @property
    def trivial(self) -> bool:
        """Whether internal coordinates are the system's own."""
        return self.time == 1.0 and not self.origin.any() and bool((self.size == 1.0).all()) and self.states is None


def find_scales(system: System, rng: np.random.Generator, progress: Progress = no_progress) -> Scales:
    """Find where a system's stationary states lie, how large they are and how fast they move.

    A system that declares `time_scale` and `initial` is taken as it is. One without stationary states is refused in the
    words of what was seen instead.

    Examples
    --------
    >>> slow = System(name="slow", rank=1, drift=lambda z: -z / 2000, diffusion=0.1)
    >>> scales = find_scales(slow, np.random.default_rng(0))
    >>> round(scales.time), round(float(scales.size[0]), 1)  # 2000, and sqrt(0.1^2 * 2000 / 2)
    (2000, 3.2)
    """
    if system.has_scales:
        return Scales(np.zeros(system.rank), np.ones(system.rank), system.time_scale or 1.0)
    states = _search(system, rng, progress)
    return _level(system, _scales_of(system, states, states))


def _scales_of(system: System, states: States, start: States | None) -> Scales:
    origin, size = states.mean(axis=0), states.std(axis=0)
    speed = np.sqrt(np.mean((system.checked_drift(states) / size) ** 2))
    time = float(1.0 / speed) if system.time_scale is None else system.time_scale
    return Scales(origin, size, time, None if start is None else (start - origin) / size)


def _search(system: System, rng: np.random.Generator, progress: Progress) -> States:
    """Stationary states, those of each trajectory in proportion to time."""
    z, far, sizes = _starts(system, rng)
    first, step, steps, travels, spread = z, None, _FIRST_STEPS, [], None
    for number in range(_ROUNDS):
        course = advance(system, z, far, step, steps, rng, lambda share, n=number: progress((n + share) / _ROUNDS))
        judged = judge(system, course)
        known = np.isfinite(judged.deviation) & (judged.deviation > 0)
        far = np.where(known, judged.deviation, far)
        within, kept = judged.gathered(sizes)
        if number >= _EARLY:
            _refuse_rest(system, judged, kept, sizes)
            if (judged.settled & kept).sum() >= _FEWEST:
                before, spread = spread, judged.spread(kept)
                same = before is not None and (np.abs(np.log(spread / before)) < _SAME_SPREAD).all()
                enough = (judged.settled & kept).sum() >= _ENOUGH * within.sum()
                if same and (number >= _PATIENCE or (enough and (sizes is None or _together(judged, kept)))):
                    break
        if number >= 2 * _EARLY:
            _refuse_growth(system, first, z, course.end)
        travels.append(_travel(z, course))
        _refuse_straight_ways(system, travels)
        z, step, steps = course.end, course.step, int(_LONGER * steps)
    else:
        raise InputError(
            f"System {system.name}: its trajectories did not settle within {BUDGET:,} steps. A part of it is much "
            "slower than the rest, or it has no stationary state. Give `initial`, states to start from."
        )
    progress(1.0)
    return course.drawn(kept if sizes is None else _of_one_basin(system, judged, kept, sizes), rng)


def _starts(system: System, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Starting points, the distance over which first steps are judged, and their sizes; None where points are given."""
    if system.initial is not None:
        z, sizes = system.starts(rng, len(SIZES) * PER_SIZE), None
        far = np.maximum(z.std(axis=0), 1e-3 * np.abs(z).max(axis=0))
        far = np.broadcast_to(np.where(far > 0, far, 1e-12), z.shape)
    else:
        sizes = np.repeat(SIZES, PER_SIZE)
        far = sizes[:, None] * np.ones(system.rank)
        z = far * np.tile(rng.standard_normal((PER_SIZE, system.rank)), (len(SIZES), 1))
    finite = np.isfinite(system.checked_drift(z)).all(axis=1)
    if not finite.any():
        raise InputError(f"System {system.name}: the drift is NaN or infinite at its starting points. Check it.")
    if not np.isfinite(system.factor(z[finite])).all():
        raise InputError(f"System {system.name}: its diffusion is NaN or infinite at its starting points. Check it.")
    return z, far, sizes


def _together(judged: Settled, kept: Which) -> bool:
    """Whether no settled trajectory is elsewhere than most, and all go everywhere in time."""
    return not (judged.settled & judged.apart_from_most(kept)).any() and judged.mixed(kept)


def _of_one_basin(system: System, judged: Settled, kept: Which, sizes: Float[np.ndarray, " trial"]) -> Which:
    """Trajectories of the basin in which most are, from starts of its own size; refused where there are others."""
    apart = judged.apart_from_most(kept)
    most = kept & ~apart
    if (judged.settled & apart).sum() > _FEW * kept.sum() or not judged.mixed(most):
        raise InputError(_basins(system, judged, kept))
    distance = (np.abs(np.median(judged.mean[most], axis=0)) + np.median(judged.deviation[most], axis=0)).max()
    inside = most & (sizes <= distance)  # others may still be on their way
    return inside if inside.sum() >= _FEWEST else most


def _refuse_growth(system: System, first: States, before: States, after: States) -> None:
    """Refuse trajectories from the smallest starts that still go far beyond where they were."""
    with np.errstate(all="ignore"):
        then, now = (np.median(np.abs(z[_SMALLEST]).max(axis=1)) for z in (before, after))
        if now <= min(3 * then, _BEYOND):
            return
        speed, at_first = (np.median(np.abs(system.checked_drift(z[_SMALLEST])), axis=0) for z in (after, first))
        size = np.median(np.abs(after[_SMALLEST]), axis=0)
    latent = int(np.argmax(np.where(np.isfinite(size), size, np.inf)))
    if speed[latent] < 10 * at_first[latent]:
        raise InputError(_moves_on(system, latent, float(speed[latent])))
    raise InputError(
        f"System {system.name}: its trajectories still grow after a long relaxation, so there is no stationary "
        "state to train on. Check the sign of its drift, or confine it."
    )


def _travel(start: States, course: Course) -> Float[np.ndarray, " rank"]:
    """Speed at which each latent went straight on in a course, from the smallest starts; NaN where it did not."""
    with np.errstate(all="ignore"):
        gone, visited = course.end[_SMALLEST] - start[_SMALLEST], np.ptp(course.states[:, _SMALLEST], axis=0)
        straight = np.median(np.abs(gone) / visited, axis=0) > _STRAIGHT
        speed = gone / course.weight[:, _SMALLEST].sum(axis=0)[:, None]
        return np.where(straight, np.median(speed, axis=0), np.nan)


def _refuse_straight_ways(system: System, travels: list[Float[np.ndarray, " rank"]]) -> None:
    """Refuse a latent that went straight on at one speed in the last three rounds."""
    last = np.array(travels[-3:])
    with np.errstate(all="ignore"):
        steady = (np.abs(last / last[-1] - 1.0) < 0.3).all(axis=0)
    if len(travels) >= 5 and steady.any():
        latent = int(np.argmax(steady))
        raise InputError(_moves_on(system, latent, float(last[-1, latent])))


def _moves_on(system: System, latent: int, speed: float) -> str:
    return (
        f"System {system.name}: latent {latent} moves on and on, by about {speed:.3g} in a unit of time, so there is "
        "no stationary state to train on. If it is a phase, use (cos, sin) of it."
    )


def _refuse_rest(system: System, judged: Settled, kept: Which, sizes: Float[np.ndarray, " trial"] | None) -> None:
    """Refuse latents that come to rest, and motion without noise that is as large as its start was."""
    still = (judged.deviation == 0).all(axis=0)
    if kept.sum() >= _FEWEST:  # a few that started far outside may hang there
        still |= (judged.deviation[kept] <= _REST * np.abs(judged.mean[kept])).mean(axis=0) > 0.5
    small = slice(0, len(SIZES) // 3 * PER_SIZE)
    size, undamped = judged.deviation[small], False
    if sizes is not None and (np.isfinite(size) & (size > 0)).all():
        start = sizes[small]
        ratio = np.median(size / start[:, None], axis=0)
        follows = np.polyfit(np.log(start), np.log(size), 1)[0] > _UNDAMPED
        still |= follows & (ratio < _SHRUNK)
        undamped = bool((follows & (ratio >= _SHRUNK) & (ratio < 1.0 / _SHRUNK)).all())
    factor = system.constant_factor
    noisy = np.ones(system.rank, dtype=bool) if factor is None else factor.any(axis=1)
    still &= ~noisy
    if still.any():
        raise InputError(
            f"System {system.name}: a latent is constant in the stationary state, latent {int(np.argmax(still))}. "
            "Drop it or add noise."
        )
    if undamped and not noisy.any():
        raise InputError(
            f"System {system.name}: its motion is undamped, so that its size depends on where it starts. "
            "Add damping or noise, or give `initial`."
        )


def _basins(system: System, judged: Settled, kept: Which) -> str:
    mean = judged.mean[kept]
    latent = int(np.argmax(mean.var(axis=0) / (judged.deviation[kept] ** 2).mean(axis=0)))
    low, high = np.quantile(mean[:, latent], (0.1, 0.9))
    return (
        f"System {system.name}: trajectories stay in basins that do not mix: the mean of latent {latent} lies at "
        f"{low:.3g} in some and at {high:.3g} in others, for as long as was sampled. Give `initial`, which says how "
        "many start in each, or more diffusion."
    )


def _level(system: System, first: Scales) -> Scales:
    """Repeat the sampling from standard normal starts in the first scales, until the scales stay the same to rounding.

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
