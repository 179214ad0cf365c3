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
    from jaxtyping import Bool, Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import System

HAS_ESCAPED = 1e3
"""Standard deviations from the mean beyond which a trajectory has escaped."""

_EVERY = 0.25  # rate time units between samples
_FAR = (2.0, 6.0)  # distance of far starts from the mean, in standard deviations per latent
_NOISE_FACTOR = 3.0  # of perturbed trajectories
_LEAST_MOTION = 0.05  # of a trajectory, relative to the least of any of the target
_TRAJECTORIES, _RELAXATION, _WATCHED = 32, 10.0, 10.0  # of `check_return`, of each kind, and rate time units
_TARGETS = 64  # trajectories of the target, at most, that say how much it moves


@dataclass(frozen=True, eq=False)
class Ends:
    """Which trajectories were lost, and how, as `Return` defines it; none is counted twice.

    Parameters
    ----------
    escaped, astray, still
        Shape (trial,). A trajectory is astray or still where it is so in any of the windows that were watched.
    mean
        Of each trajectory while it was watched, shape (trial, rank), in standard deviations from the target's mean.
    """

    escaped: Bool[np.ndarray, " trial"]
    astray: Bool[np.ndarray, " trial"]
    still: Bool[np.ndarray, " trial"]
    mean: Float[np.ndarray, "trial rank"]


@dataclass(frozen=True)
class Return:
    """Counts of trajectories, and how they were started.

    Parameters
    ----------
    far
        Trajectories from far outside.
    perturbed
        Trajectories from stationary states, under three times the noise for as long as they have to come back.
    escaped
        Left for good, beyond a thousand standard deviations. Starts from which the target itself does not come back in
        the same time count neither here nor below.
    astray
        Ended elsewhere: most of the last states lie further from the target's stationary states than 1.5 times the
        distance within which 999 of 1,000 stationary states have another one.
    still
        Came to rest: the last states move less than a twentieth of what any trajectory of the target moves in as long.
    time_units
        Rate time units for coming back, and for being watched afterwards.
    place
        Where those that are astray or still stay, in standard deviations from the mean of each latent; None without
        any.
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
    network: RateNetwork,
    system: System,
    stationary: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
) -> Return:
    """Start 32 trajectories far outside and perturb as many by strong noise; count how they end after 10 time units.

    Parameters
    ----------
    network, system
        What was trained, and on what.
    stationary
        Stationary states of the target, system units.
    rng
        Source of starts and noise.
    """
    z = to_internal(network, _enough(stationary, 2 * _TRAJECTORIES))
    dt = integration_step(network, stationary)
    far = to_internal(network, far_starts(network, _TRAJECTORIES, rng))
    perturbed = _follow(network, z[:_TRAJECTORIES], dt, _RELAXATION, rng, noise_factor=_NOISE_FACTOR)[:, -1]
    returned = _follow(network, np.concatenate([far, perturbed]), dt, _RELAXATION, rng)[:, -1]
    ends = watch(network, system, stationary, to_system(network, returned), rng, duration=_WATCHED, window=_WATCHED)
    lost = ends.escaped | ends.astray | ends.still
    if lost.any():
        lost &= ~_lost_by_the_target(network, system, stationary, far, z[:_TRAJECTORIES], rng)
    stays = lost & ~ends.escaped
    return Return(
        far=_TRAJECTORIES,
        perturbed=_TRAJECTORIES,
        escaped=int((lost & ends.escaped).sum()),
        astray=int((lost & ends.astray).sum()),
        still=int((lost & ends.still).sum()),
        time_units=(_RELAXATION, _WATCHED),
        place=tuple(np.median(ends.mean[stays], axis=0).tolist()) if stays.any() else None,
    )


def _lost_by_the_target(
    network: RateNetwork,
    system: System,
    stationary: Float[np.ndarray, "sample rank"],
    far: Float[np.ndarray, "trial rank"],
    unperturbed: Float[np.ndarray, "trial rank"],
    rng: np.random.Generator,
) -> Bool[np.ndarray, " trial"]:
    """Trajectories of the target itself, from the same states and under the same noise, that are lost as well."""
    target, times = InternalSystem(system, network), {"duration": _WATCHED, "relaxation": _RELAXATION}
    try:
        dt = min(_EVERY / 4, stable_step(system.checked_drift, stationary))
        perturbed = _follow(target, unperturbed, dt, _RELAXATION, rng, noise_factor=_NOISE_FACTOR)[:, -1]
        starts = to_system(network, np.concatenate([far, perturbed]))
        own = watch(network, system, stationary, starts, rng, **times, window=_WATCHED, target=True)
    except InputError:  # the target is not finite there, or too steep to follow: no place to come back from
        return np.concatenate([np.ones(len(far), dtype=bool), np.zeros(len(unperturbed), dtype=bool)])
    return own.escaped | own.astray | own.still


def far_starts(network: RateNetwork, count: int, rng: np.random.Generator) -> Float[np.ndarray, "trial rank"]:
    """States two to six standard deviations per latent away from the mean, in random directions; system units."""
    direction = rng.standard_normal((count, network.rank))
    direction /= np.sqrt((direction**2).mean(axis=1, keepdims=True))
    return to_system(network, direction * rng.uniform(*_FAR, (count, 1)))


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
    dt = integration_step(network, stationary)
    field = InternalSystem(system, network) if target else network
    if target:
        dt = min(dt, stable_step(system.checked_drift, starts))
    path = _follow(field, to_internal(network, starts), dt, relaxation + duration, rng)
    watched = path[:, min(path.shape[1] - 2, round(relaxation / _EVERY)) :]
    windows = np.array_split(watched, max(1, round(duration / window)), axis=1)
    least = _motion(_target_path(network, system, stationary[-_TARGETS:], dt, window, rng)).min()
    gone = escaped(path[:, -1])[:, 0]
    astray = np.any([_astray(part, z) for part in windows], axis=0) & ~gone
    still = np.any([_motion(part) < _LEAST_MOTION * least for part in windows], axis=0) & ~gone & ~astray
    return Ends(gone, astray, still, watched.mean(axis=1))


def integration_step(network: RateNetwork, stationary: Float[np.ndarray, "sample rank"]) -> float:
    """Time step that resolves the network's drift at stationary states and the interval between samples."""
    return min(stable_step(network.drift, stationary), _EVERY / 4)


def escaped(z: Float[np.ndarray, "trial rank"]) -> Bool[np.ndarray, "trial one"]:
    """Whether states in internal units lie beyond `HAS_ESCAPED`."""
    return np.abs(z).max(axis=-1, keepdims=True) > HAS_ESCAPED


@dataclass(frozen=True, eq=False)
class InternalSystem:
    """A system in the internal units of a network, with the two methods of `RateNetwork` that integration needs."""

    system: System
    network: RateNetwork

    def internal_readout(self, z: Float[np.ndarray, "trial rank"]) -> Float[np.ndarray, "trial rank"]:
        """Drift plus z at internal latents."""
        return self.system.checked_drift(to_system(self.network, z)) / self.network.latent_scale + z

    def internal_factor(self, z: Float[np.ndarray, "trial rank"]) -> Float[np.ndarray, "trial rank rank"]:
        """Diffusion factor at internal latents."""
        return self.system.factor(to_system(self.network, z)) / self.network.latent_scale[:, None]


def _enough(stationary: Float[np.ndarray, "sample rank"], fewest: int) -> Float[np.ndarray, "sample rank"]:
    if len(stationary) < fewest:
        raise InputError(f"check_return and watch need {fewest} stationary states or more, got {len(stationary)}.")
    return stationary


def _follow(
    field: RateNetwork | InternalSystem,
    start: Float[np.ndarray, "trial rank"],
    dt: float,
    duration: float,
    rng: np.random.Generator,
    *,
    noise_factor: float = 1.0,
) -> Float[np.ndarray, "trial time rank"]:
    """Trajectories in internal units; one that has escaped stops where it is."""

    def drift(state: np.ndarray) -> np.ndarray:
        return np.where(escaped(state), 0.0, field.internal_readout(state) - state)

    def factor(state: np.ndarray) -> np.ndarray:
        return noise_factor * np.where(escaped(state)[..., None], 0.0, field.internal_factor(state))

    stride = max(1, round(_EVERY / dt))
    return integrate(drift, factor, start, dt=dt, steps=max(2, round(duration / dt)), stride=stride, rng=rng)


def _target_path(
    network: RateNetwork,
    system: System,
    start: Float[np.ndarray, "trial rank"],
    dt: float,
    duration: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "trial time rank"]:
    """Trajectories of the target, in the network's internal units."""
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
    path: Float[np.ndarray, "trial time rank"], stationary: Float[np.ndarray, "sample rank"]
) -> Bool[np.ndarray, " trial"]:
    """Trajectories most of whose states are too far from the stationary states; see `Return`."""
    from scipy.spatial import KDTree

    half = len(stationary) // 2
    tree = KDTree(stationary[:half])
    neighbour = np.asarray(tree.query(stationary[half:])[0])
    return (np.asarray(tree.query(path)[0]) > 1.5 * np.quantile(neighbour, 0.999)).mean(axis=1) > 0.5
