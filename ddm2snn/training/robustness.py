"""Whether a trained network returns to what its target does: from far outside, and after strong noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.network import to_internal, to_system
from ddm2snn.systems.integration import integrate, stable_step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import Paths, States, System

    State = Float[np.ndarray, " rank"]
    Chosen = Bool[np.ndarray, " trial"]

HAS_ESCAPED = 1e3
"""Standard deviations from the mean beyond which a trajectory has escaped."""

PATIENCE = 10
"""How many times longer trajectories are given that did not come back, before they count as lost."""

_EVERY = 0.25  # rate time units between samples
_FAR = (2.0, 6.0)  # distance of far starts from the mean, in standard deviations per latent
_NOISE_FACTOR = 3.0  # of perturbed trajectories
_LEAST_MOTION = 0.05  # of a trajectory, relative to the least of any of the target
_RELAXATION, _WATCHED = 10.0, 10.0  # rate time units
_TARGETS = 64  # trajectories of the target, at most, that say how much it moves


@dataclass(frozen=True, eq=False)
class Ends:
    """Which trajectories were lost, and how, as `Return` defines it; none is counted twice.

    A trajectory is astray or still where it is so in any of the windows that were watched. The `path` holds the states
    while they were watched, in standard deviations from the target's mean.
    """

    escaped: Chosen
    astray: Chosen
    still: Chosen
    path: Paths

    @property
    def lost(self) -> Chosen:
        """Trajectories that were lost in any way, shape (trial,)."""
        return self.escaped | self.astray | self.still

    def of(self, some: Int[np.ndarray, " some"] | Chosen) -> Ends:
        """The same of some of the trajectories."""
        return Ends(self.escaped[some], self.astray[some], self.still[some], self.path[some])


@dataclass(frozen=True)
class Return:
    """Counts of trajectories, and how they were started.

    The `far` ones start far outside, the `perturbed` ones from stationary states, under three times the noise for as
    long as they have to come back. Both `time_units` are those for coming back, and for being watched afterwards. What
    comes back when it is given ten times as long is not lost, nor is what the target itself loses by then. The others:

    - `escaped`: left for good, beyond a thousand standard deviations.
    - `astray`: most of the last states lie further from the target's stationary states than 1.5 times the distance
      within which 999 of 1,000 stationary states have another one.
    - `still`: the last states move less than a twentieth of what any trajectory of the target moves in as long.

    `place` is where those that are astray or still stay, in standard deviations from the mean of each latent.
    """

    far: int
    perturbed: int
    escaped: int
    astray: int
    still: int
    time_units: tuple[float, float]
    place: tuple[float, ...] | None = None

    @property
    def lost(self) -> int:
        """Trajectories that did not come back to what the target does."""
        return self.escaped + self.astray + self.still


def check_return(
    network: RateNetwork, system: System, stationary: States, rng: np.random.Generator, trajectories: int = 32
) -> tuple[Return, States]:
    """Start trajectories far outside and perturb as many by strong noise; count how they end after 10 time units.

    Also returns where those that are astray or still stay, shape (trial, rank), in standard deviations from the mean.
    The `stationary` states are the target's, in system units; `trajectories` is the number of each kind.
    """
    z = to_internal(network, _enough(stationary, 2 * trajectories))[:trajectories]
    dt = integration_step(network, stationary)
    far = to_internal(network, far_starts(network, trajectories, rng))
    perturbed = _follow(network, z, dt, _RELAXATION, rng, noise_factor=_NOISE_FACTOR)[:, -1]
    coming = _follow(network, np.concatenate([far, perturbed]), dt, _RELAXATION, rng)[:, -1]
    ends = watch(network, system, stationary, to_system(network, coming), rng, duration=_WATCHED)
    lost = np.flatnonzero(ends.lost)
    ends = ends.of(lost)
    if len(lost):  # a second look: they may only be late, as those of the target may be
        last = to_system(network, ends.path[:, -1])
        ends = watch(network, system, stationary, last, rng, duration=_WATCHED, relaxation=PATIENCE * _RELAXATION)
        stay = ends.lost
        if stay.any():
            late = lost[stay]
            starts = far[late[late < trajectories]], z[late[late >= trajectories] - trajectories]
            stay[stay] = ~_lost_by_the_target(InternalSystem(system, network), stationary, *starts, rng)
        ends = ends.of(stay)
    places = ends.path[~ends.escaped].mean(axis=1)
    back = Return(
        far=trajectories,
        perturbed=trajectories,
        escaped=int(ends.escaped.sum()),
        astray=int(ends.astray.sum()),
        still=int(ends.still.sum()),
        time_units=(_RELAXATION, _WATCHED),
        place=tuple(np.median(places, axis=0).tolist()) if len(places) else None,
    )
    return back, places


def _lost_by_the_target(
    target: InternalSystem, stationary: States, far: States, perturbed: States, rng: np.random.Generator
) -> Chosen:
    """Which trajectories the target itself loses in as long: from far states, and from others after the same noise."""
    edge = np.abs(to_internal(target.network, stationary)).max(axis=0)
    try:
        dt = min(_EVERY / 4, stable_step(target.system.checked_drift, stationary))
        after_noise = _follow(target, perturbed, dt, _RELAXATION, rng, noise_factor=_NOISE_FACTOR)[:, -1]
        # from far outside noise is nothing beside the drift, which takes steps of many sizes
        return np.array([not returns(target, start, edge) for start in np.concatenate([far, after_noise])])
    except InputError:  # the target is not finite there, or too steep to follow: no place to come back from
        return np.arange(len(far) + len(perturbed)) < len(far)


def returns(target: InternalSystem, start: State, edge: State) -> bool:
    """Whether the target, without noise, ends within the edges of the stationary states, sooner or later."""
    # most are back early: the rest is ten times the work
    return any(
        bool((np.abs(_without_noise(target, start, duration)) <= edge).all())
        for duration in (_RELAXATION, PATIENCE * _RELAXATION)
    )


def _without_noise(target: InternalSystem, start: State, duration: float) -> State:
    """State that the target's flow leads to in some rate time units; NaN where it leaves for good or is not finite."""
    from scipy.integrate import solve_ivp

    def distance_left(_: float, z: np.ndarray) -> float:
        return HAS_ESCAPED - np.abs(z).max()

    distance_left.terminal = True  # pyright: ignore[reportFunctionMemberAccess] - SciPy reads this attribute
    with np.errstate(over="ignore", invalid="ignore"):  # the path may end in infinity
        path = solve_ivp(
            lambda _, z: target.internal_readout(z) - z, (0.0, duration), start, "LSODA", events=distance_left
        )
    return path.y[:, -1] if path.status == 0 else np.full_like(start, np.nan)


def far_starts(network: RateNetwork, count: int, rng: np.random.Generator) -> States:
    """States two to six standard deviations per latent away from the mean, in random directions; system units."""
    direction = rng.standard_normal((count, network.rank))
    direction /= np.sqrt((direction**2).mean(axis=1, keepdims=True))
    return to_system(network, direction * rng.uniform(*_FAR, (count, 1)))


def watch(
    network: RateNetwork,
    system: System,
    stationary: States,
    starts: States,
    rng: np.random.Generator,
    *,
    duration: float,
    relaxation: float = 0.0,
    target: bool = False,
) -> Ends:
    """Follow trajectories of a network, and say which were lost in any window of ten rate time units.

    They start at `starts`, and are watched for a `duration` after a `relaxation`. The more `stationary` states of the
    target (64 and up), the better they tell what is astray and what is still. All states are in system units. With
    `target` the target itself is followed: what it loses from these starts is no fault of the network.
    """
    check_positive("watch", duration=duration)
    z = to_internal(network, _enough(stationary, 2))
    dt = integration_step(network, stationary)
    field = InternalSystem(system, network) if target else network
    if target:
        dt = min(dt, stable_step(system.checked_drift, starts))
    path = _follow(field, to_internal(network, starts), dt, relaxation + duration, rng)
    watched = path[:, min(path.shape[1] - 2, round(relaxation / _EVERY)) :]
    windows = np.array_split(watched, max(1, round(duration / _WATCHED)), axis=1)
    least = _motion(_target_path(network, system, stationary[-_TARGETS:], dt, rng)).min()
    gone = escaped(path[:, -1])[:, 0]
    away = np.any([astray(part, z) for part in windows], axis=0) & ~gone
    still = np.any([_motion(part) < _LEAST_MOTION * least for part in windows], axis=0) & ~gone & ~away
    return Ends(gone, away, still, watched)


def integration_step(network: RateNetwork, stationary: States) -> float:
    """Time step that resolves the network's drift at stationary states and the interval between samples."""
    return min(stable_step(network.drift, stationary), _EVERY / 4)


def escaped(z: States) -> Bool[np.ndarray, "trial one"]:
    """Whether states in internal units lie beyond `HAS_ESCAPED`."""
    return np.abs(z).max(axis=-1, keepdims=True) > HAS_ESCAPED


@dataclass(frozen=True, eq=False)
class InternalSystem:
    """A system in the internal units of a network, with the two methods of `RateNetwork` that integration needs."""

    system: System
    network: RateNetwork

    def internal_readout(self, z: States) -> States:
        """Drift plus z at internal latents."""
        return self.system.checked_drift(to_system(self.network, z)) / self.network.latent_scale + z

    def internal_factor(self, z: States) -> Float[np.ndarray, "sample rank rank"]:
        """Diffusion factor at internal latents."""
        return self.system.factor(to_system(self.network, z)) / self.network.latent_scale[:, None]


def _enough(stationary: States, fewest: int) -> States:
    if len(stationary) < fewest:
        raise InputError(f"check_return and watch need {fewest} stationary states or more, got {len(stationary)}.")
    return stationary


def _follow(
    field: RateNetwork | InternalSystem,
    start: States,
    dt: float,
    duration: float,
    rng: np.random.Generator,
    *,
    noise_factor: float = 1.0,
) -> Paths:
    """Trajectories in internal units; one that has escaped stops where it is."""

    def drift(state: np.ndarray) -> np.ndarray:
        return np.where(escaped(state), 0.0, field.internal_readout(state) - state)

    def factor(state: np.ndarray) -> np.ndarray:
        return noise_factor * np.where(escaped(state)[..., None], 0.0, field.internal_factor(state))

    stride = max(1, round(_EVERY / dt))
    return integrate(drift, factor, start, dt=dt, steps=max(2, round(duration / dt)), stride=stride, rng=rng)


def _target_path(network: RateNetwork, system: System, start: States, dt: float, rng: np.random.Generator) -> Paths:
    """Trajectories of the target over one window, in the network's internal units."""
    step = min(dt, stable_step(system.checked_drift, start))
    steps, stride = max(2, round(_WATCHED / step)), max(1, round(_EVERY / step))
    path = integrate(system.checked_drift, system.noise, start, dt=step, steps=steps, stride=stride, rng=rng)
    return to_internal(network, path)


def _motion(path: Paths) -> Float[np.ndarray, " trial"]:
    """Root-mean-square distance of each trajectory from its own mean."""
    return np.sqrt(path.var(axis=1).sum(axis=-1))


def astray(path: Paths, stationary: States) -> Chosen:
    """Trajectories most of whose states are too far from the stationary states; see `Return`."""
    from scipy.spatial import KDTree

    half = len(stationary) // 2
    tree = KDTree(stationary[:half])
    neighbour = np.asarray(tree.query(stationary[half:])[0])
    return (np.asarray(tree.query(path)[0]) > 1.5 * np.quantile(neighbour, 0.999)).mean(axis=1) > 0.5
