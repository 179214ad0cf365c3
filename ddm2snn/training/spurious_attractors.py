"""Spurious attractors of trained networks, outside the stationary states, and their removal.

Units that have saturated leave a constant output in each direction. Where that output points outwards, the network has
a fixed point that no training point sees, and trajectories from far outside end there. Most are found without noise;
where trajectories with noise are lost nevertheless, the places where they stay are attractors as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.randomness import stream
from ddm2snn.network import RateNetwork, to_internal, to_system
from ddm2snn.training.robustness import (
    InternalSystem,
    Return,
    check_return,
    escaped,
    far_starts,
    integration_step,
    returns,
)
from ddm2snn.training.variable_projection import VariableProjection

if TYPE_CHECKING:
    from ddm2snn.systems.system import States, System
    from ddm2snn.training.sampling import Task

_ROUNDS = 8
_PLACES = (0.6, 1.0, 1.6)  # of the added points: distances from the origin, relative to the attractor's
_WEIGHT = 0.2  # of an added point, over its distance from the origin
_LOOK = 128  # trajectories of each kind to look for lost ones again
_TRAJECTORIES, _RELAXATION = 3000, 10.0  # of the search, and rate time units for them to come back
_STEPS = 20  # between checks of which trajectories are back


def returning(
    network: RateNetwork,
    system: System,
    task: Task,
    ridge: float,
    states: tuple[States, States],
    seed: int,
    acceptable: Callable[[RateNetwork], bool],
) -> tuple[RateNetwork, Return, int, int]:
    """Remove spurious attractors; where trajectories are lost nevertheless, remove what holds them.

    Returns the network, how its trajectories return, the number of points that were added, and the number of spurious
    attractors that are left. Of the two samples of stationary `states`, in system units, one is to look for lost
    trajectories and one to report on them. The rest is as in `without_spurious_attractors`.
    """
    # the name of a stream decides its numbers, so "strays" stays
    rng, looking = stream(seed, "training", "strays"), stream(seed, "training", "look")
    network, added, left = without_spurious_attractors(
        network, task, ridge, lambda candidate: spurious_attractors(candidate, system, rng), acceptable
    )
    back, _ = check_return(network, system, states[1], stream(seed, "training", "return"))
    if not back.lost:
        return network, back, added, left

    def search(candidate: RateNetwork) -> States:
        _, places = check_return(candidate, system, states[0], looking, min(_LOOK, len(states[0]) // 2))
        return np.concatenate([spurious_attractors(candidate, system, rng), places])

    mended, more, still_left = without_spurious_attractors(network, task, ridge, search, acceptable)
    if not more:
        return network, back, added, left
    again, _ = check_return(mended, system, states[1], stream(seed, "training", "return", "again"))
    return (mended, again, added + more, still_left) if again.lost <= back.lost else (network, back, added, left)


def without_spurious_attractors(
    network: RateNetwork,
    task: Task,
    ridge: float,
    search: Callable[[RateNetwork], States],
    acceptable: Callable[[RateNetwork], bool] = lambda network: True,
) -> tuple[RateNetwork, int, int]:
    """Solve for the read-out again, with a drift of -z at points around each spurious attractor.

    Hidden units stay. This is repeated while attractors are found, up to eight times, and ends before the first
    network that is not `acceptable`: that does not fit well enough. `task` and `ridge` are those of training; `search`
    gives the spurious attractors of a network in internal units. Returns the network, the number of points that were
    added, and the number of spurious attractors that are left.
    """
    points = np.empty((0, network.rank))
    attractors = search(network)
    for _ in range(_ROUNDS):
        if not len(attractors):
            break
        more = np.concatenate([points, *(place * attractors for place in _PLACES)])
        projection = VariableProjection(
            points=np.concatenate([task.points, more]),
            target=np.concatenate([task.target, np.zeros((len(more), task.target.shape[1]))]),
            weight=np.concatenate([task.weight, _WEIGHT / np.linalg.norm(more / task.unit[: network.rank], axis=1)]),
            left_vectors=network.left_vectors.copy(),
            bias=network.bias.copy(),
            activation=network.activation,
        )
        candidate = task.network(projection, ridge)
        if not acceptable(candidate):
            break
        network, points, attractors = candidate, more, search(candidate)
    return network, len(points), len(attractors)


def spurious_attractors(network: RateNetwork, system: System, rng: np.random.Generator) -> States:
    """Places outside the stationary states where noise-free trajectories from far outside end, but should not.

    A place does not count where the network's drift is within half of the target's, nor where the target itself,
    from the same start and without noise, does not come back either.

    Places have shape (attractor, rank), internal units; there is one for trajectories that end within a tenth of its
    distance.
    """
    edge = np.abs(to_internal(network, network.initial_latent)).max(axis=0)
    dt = integration_step(network, network.initial_latent)
    start = to_internal(network, far_starts(network, _TRAJECTORIES, rng))
    z = start
    for step in range(1, round(_RELAXATION / dt) + 1):
        z = z + dt * np.where(escaped(z), 0.0, network.internal_readout(z) - z)
        if step % _STEPS == 0:
            outside = (np.abs(z) > edge).any(axis=1)
            start, z = start[outside], z[outside]
            if not len(z):
                return z
    expected = system.checked_drift(to_system(network, z)) / network.latent_scale
    deviation = np.linalg.norm(network.internal_readout(z) - z - expected, axis=1)
    wrong = ~(deviation < 0.5 * np.linalg.norm(expected, axis=1))  # true as well where the target's drift is NaN
    start, z = start[wrong], z[wrong]
    if not len(z):
        return z
    grain = 0.1 * np.linalg.norm(z, axis=1, keepdims=True)
    _, first = np.unique(np.round(z / np.maximum(grain, 1e-9)), axis=0, return_index=True)
    target = InternalSystem(system, network)
    return z[[index for index in first if returns(target, start[index], edge)]]
