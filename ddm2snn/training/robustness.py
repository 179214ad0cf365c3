"""Whether a trained network comes back: from far outside, and after noise far above the target's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.network import to_internal
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
    if len(stationary) < 2 * trajectories:
        raise InputError(f"check_return needs {2 * trajectories} stationary states or more, got {len(stationary)}.")
    z = to_internal(network, stationary)
    dt = min(stable_step(network.drift, stationary), _EVERY / 4)
    direction = rng.standard_normal((trajectories, network.rank))
    direction /= np.sqrt((direction**2).mean(axis=1, keepdims=True))
    far = direction * rng.uniform(*_FAR, (trajectories, 1))

    def path(start: np.ndarray, loudness: float, duration: float) -> np.ndarray:
        def drift(state: np.ndarray) -> np.ndarray:
            return np.where(_gone(state), 0.0, network.internal_readout(state) - state)

        def factor(state: np.ndarray) -> np.ndarray:
            return loudness * np.where(_gone(state)[..., None], 0.0, network.internal_factor(state))

        stride = max(1, round(_EVERY / dt))
        return integrate(drift, factor, start, dt=dt, steps=max(2, round(duration / dt)), stride=stride, rng=rng)

    shaken = path(z[:trajectories], _LOUD, relaxation)[:, -1]
    returned = path(np.concatenate([far, shaken]), 1.0, relaxation)[:, -1]
    last = path(returned, 1.0, watched)
    escaped = _gone(last[:, -1])[:, 0]
    astray = _astray(last, z) & ~escaped
    still = (
        _motion(last)
        < _STILL * _motion(_target_path(network, system, stationary[-2 * trajectories :], dt, watched, rng)).min()
    )
    return Return(
        far=trajectories,
        shaken=trajectories,
        escaped=int(escaped.sum()),
        astray=int(astray.sum()),
        still=int((still & ~escaped & ~astray).sum()),
        time_units=(relaxation, watched),
    )


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
    from scipy.spatial import cKDTree

    half = len(cloud) // 2
    tree = cKDTree(cloud[:half])
    apart = tree.query(cloud[half:])[0]
    return (tree.query(path)[0] > 1.5 * np.quantile(apart, 0.999)).mean(axis=1) > 0.5
