"""Whether a trained network comes back: from far outside, and after noise far above the target's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.network import to_internal, to_system
from ddm2snn.systems.integration import integrate, stable_step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import System

_EVERY = 0.25
_FAR = (2.0, 6.0)  # distance of far starts from the mean, in standard deviations per latent
_LOUD = 3.0  # factor on the noise of shaken trajectories
_GONE = 1e3  # standard deviations: beyond, a trajectory has escaped and is held where it is
_STILL = 0.05  # of the least that a trajectory of the target moves
_LOOK = 20  # steps between looks at which trajectories have come back
_PATIENCE = 10.0  # times as long as the network, for a target that comes back slowly
_TARGETS = 64  # trajectories of the target, at most, that say how much it moves


@dataclass(frozen=True, eq=False)
class Ends:
    """Which trajectories were lost, and how, as `Return` defines it; none is counted twice.

    Parameters
    ----------
    escaped, astray, still
        Shape (trial,). Astray or still in any of the windows in which the trajectories were watched.
    """

    escaped: Bool[np.ndarray, " trial"]
    astray: Bool[np.ndarray, " trial"]
    still: Bool[np.ndarray, " trial"]


@dataclass(frozen=True)
class Return:
    """Counts of trajectories, and how they were started.

    Parameters
    ----------
    far, shaken
        Trajectories from far outside, and from stationary states under three times the noise for as long
        as they are given to come back.
    escaped
        Left for good, beyond a thousand standard deviations.
    astray
        Ended elsewhere: most of their last states lie further from the target's stationary states than
        these do from each other in 999 of 1,000 cases, half as much again.
    still
        Came to rest: their last states move less than a twentieth of what any trajectory of the target
        moves in as long.
    time_units
        Rate time units for coming back, and for being watched afterwards.
    """

    far: int
    shaken: int
    escaped: int
    astray: int
    still: int
    time_units: tuple[float, float]

    @property
    def lost(self) -> int:
        """Trajectories that did not come back to what the target does."""
        return self.escaped + self.astray + self.still


def check_return(
    network: RateNetwork,
    system: System,
    stationary: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
    *,
    trajectories: int = 32,
    relaxation: float = 10.0,
    watched: float = 10.0,
) -> Return:
    """Start `trajectories` far outside and as many under loud noise; see how they end.

    Parameters
    ----------
    network, system
        What was trained, and on what.
    stationary
        Stationary states of the target, system units.
    rng
        Source of starts and noise.
    trajectories, relaxation, watched
        Trajectories of each kind, rate time units for coming back, and for being watched afterwards.
    """
    z = to_internal(network, _enough(stationary, 2 * trajectories))
    dt = _step(network, stationary)
    far = to_internal(network, far_starts(network, trajectories, rng))
    shaken = _follow(network, z[:trajectories], dt, relaxation, rng, loudness=_LOUD)[:, -1]
    returned = _follow(network, np.concatenate([far, shaken]), dt, relaxation, rng)[:, -1]
    ends = watch(network, system, stationary, to_system(network, returned), rng, duration=watched, window=watched)
    return Return(
        far=trajectories,
        shaken=trajectories,
        escaped=int(ends.escaped.sum()),
        astray=int(ends.astray.sum()),
        still=int(ends.still.sum()),
        time_units=(relaxation, watched),
    )


def far_starts(network: RateNetwork, count: int, rng: np.random.Generator) -> Float[np.ndarray, "trial rank"]:
    """States two to six standard deviations per latent away from the mean, in random directions; system units."""
    direction = rng.standard_normal((count, network.rank))
    direction /= np.sqrt((direction**2).mean(axis=1, keepdims=True))
    return to_system(network, direction * rng.uniform(*_FAR, (count, 1)))


def strays(
    network: RateNetwork,
    system: System,
    rng: np.random.Generator,
    *,
    trajectories: int = 3000,
    relaxation: float = 10.0,
) -> Float[np.ndarray, "stray rank"]:
    """Places outside the stationary states where noiseless trajectories from far outside stay, though they should not.

    Shape (stray, rank), internal units, one for each place. Left out are those where the network's drift is the
    target's to half its size, and those whose starts lead the target itself, without noise, anywhere else than back.

    Parameters
    ----------
    network, system
        What was trained, and on what.
    rng
        Source of starts.
    trajectories, relaxation
        Trajectories, and rate time units for them to come back.
    """
    edge = np.abs(to_internal(network, network.initial_latent)).max(axis=0)
    dt = _step(network, network.initial_latent)
    start = to_internal(network, far_starts(network, trajectories, rng))
    z = start
    for step in range(1, round(relaxation / dt) + 1):
        z = z + dt * np.where(_gone(z), 0.0, network.internal_readout(z) - z)
        if step % _LOOK == 0:
            out = (np.abs(z) > edge).any(axis=1)
            start, z = start[out], z[out]
            if not len(z):
                return z
    wanted = system.checked_drift(to_system(network, z)) / network.latent_scale
    off = np.linalg.norm(network.internal_readout(z) - z - wanted, axis=1)
    wrong = ~(off < 0.5 * np.linalg.norm(wanted, axis=1))  # a drift that is no number counts as another
    start, z = start[wrong], z[wrong]
    if not len(z):
        return z
    grain = 0.1 * np.linalg.norm(z, axis=1, keepdims=True)
    _, places = np.unique(np.round(z / np.maximum(grain, 1e-9)), axis=0, return_index=True)
    target = _Target(system, network)
    return z[[place for place in places if _returns(target, start[place], edge, _PATIENCE * relaxation)]]


def _returns(
    target: _Target, start: Float[np.ndarray, " rank"], edge: Float[np.ndarray, " rank"], duration: float
) -> bool:
    """Whether the target itself, without noise, comes back within the edges and ends there."""
    from scipy.integrate import solve_ivp

    def gone(_: float, z: np.ndarray) -> float:
        return _GONE - np.abs(z).max()

    gone.terminal = True  # pyright: ignore[reportFunctionMemberAccess] - SciPy's way to say so
    with np.errstate(over="ignore", invalid="ignore"):  # a path that ends in infinity does not come back
        path = solve_ivp(lambda _, z: target.internal_readout(z) - z, (0.0, duration), start, "LSODA", events=gone)
    return bool(path.status == 0 and (np.abs(path.y[:, -1]) <= edge).all())


def watch(
    network: RateNetwork,
    system: System,
    stationary: Float[np.ndarray, "sample rank"],
    starts: Float[np.ndarray, "trial rank"],
    rng: np.random.Generator,
    *,
    duration: float,
    relaxation: float = 0.0,
    window: float = 10.0,
    target: bool = False,
) -> Ends:
    """Follow trajectories of a network and say which were lost.

    Parameters
    ----------
    network, system, stationary
        What was trained, on what, and stationary states of the target, system units; the more (64 and up), the
        better they tell what is astray and what is still.
    starts
        Initial states, system units.
    rng
        Source of noise.
    duration, relaxation, window
        Rate time units to watch, to let pass before, and of each window in which a trajectory is judged.
    target
        Whether to follow the target itself: what it loses from these starts is no fault of the network.
    """
    check_positive("watch", duration=duration, window=window)
    z = to_internal(network, _enough(stationary, 2))
    dt = _step(network, stationary)
    field = _Target(system, network) if target else network
    if target:
        dt = min(dt, stable_step(system.checked_drift, starts))
    path = _follow(field, to_internal(network, starts), dt, relaxation + duration, rng)
    kept = path[:, min(path.shape[1] - 2, round(relaxation / _EVERY)) :]
    parts = max(1, round(duration / window))
    windows = np.array_split(kept, parts, axis=1)
    least = _motion(_target_path(network, system, stationary[-_TARGETS:], dt, window, rng)).min()
    escaped = _gone(path[:, -1])[:, 0]
    astray = np.any([_astray(part, z) for part in windows], axis=0) & ~escaped
    still = np.any([_motion(part) < _STILL * least for part in windows], axis=0) & ~escaped & ~astray
    return Ends(escaped, astray, still)


def _enough(stationary: Float[np.ndarray, "sample rank"], fewest: int) -> Float[np.ndarray, "sample rank"]:
    if len(stationary) < fewest:
        raise InputError(f"check_return and watch need {fewest} stationary states or more, got {len(stationary)}.")
    return stationary


def _step(network: RateNetwork, stationary: Float[np.ndarray, "sample rank"]) -> float:
    return min(stable_step(network.drift, stationary), _EVERY / 4)


@dataclass(frozen=True, eq=False)
class _Target:
    """A system in the internal units of a network."""

    system: System
    network: RateNetwork

    def internal_readout(self, z: Float[np.ndarray, "trial rank"]) -> Float[np.ndarray, "trial rank"]:
        return self.system.checked_drift(to_system(self.network, z)) / self.network.latent_scale + z

    def internal_factor(self, z: Float[np.ndarray, "trial rank"]) -> Float[np.ndarray, "trial rank rank"]:
        return self.system.factor(to_system(self.network, z)) / self.network.latent_scale[:, None]


def _follow(
    field: RateNetwork | _Target,
    start: Float[np.ndarray, "trial rank"],
    dt: float,
    duration: float,
    rng: np.random.Generator,
    *,
    loudness: float = 1.0,
) -> Float[np.ndarray, "trial time rank"]:
    """Trajectories in internal units, held where they are once they are gone."""

    def drift(state: np.ndarray) -> np.ndarray:
        return np.where(_gone(state), 0.0, field.internal_readout(state) - state)

    def factor(state: np.ndarray) -> np.ndarray:
        return loudness * np.where(_gone(state)[..., None], 0.0, field.internal_factor(state))

    stride = max(1, round(_EVERY / dt))
    return integrate(drift, factor, start, dt=dt, steps=max(2, round(duration / dt)), stride=stride, rng=rng)


def _gone(z: Float[np.ndarray, "trial rank"]) -> Bool[np.ndarray, "trial one"]:
    return np.abs(z).max(axis=-1, keepdims=True) > _GONE


def _target_path(
    network: RateNetwork,
    system: System,
    start: Float[np.ndarray, "trial rank"],
    dt: float,
    duration: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "trial time rank"]:
    """Trajectories of the target itself, in the network's internal units."""
    step = min(dt, stable_step(system.checked_drift, start))
    stride = max(1, round(_EVERY / step))
    path = integrate(
        system.checked_drift, system.noise, start, dt=step, steps=max(2, round(duration / step)), stride=stride, rng=rng
    )
    return to_internal(network, path)


def _motion(path: Float[np.ndarray, "trial time rank"]) -> Float[np.ndarray, " trial"]:
    """Root-mean-square distance of each trajectory from its own mean."""
    return np.sqrt(path.var(axis=1).sum(axis=-1))


def _astray(
    path: Float[np.ndarray, "trial time rank"], cloud: Float[np.ndarray, "sample rank"]
) -> Bool[np.ndarray, " trial"]:
    """Trajectories most of whose states are further from the cloud than its states are from each other."""
    from scipy.spatial import KDTree

    half = len(cloud) // 2
    tree = KDTree(cloud[:half])
    apart = np.asarray(tree.query(cloud[half:])[0])
    return (np.asarray(tree.query(path)[0]) > 1.5 * np.quantile(apart, 0.999)).mean(axis=1) > 0.5
