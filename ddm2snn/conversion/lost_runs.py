"""Runs of a network that was just converted which go where the rate network does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import find_backend
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.driving import EVERY, ClosedLoop
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal, to_system
from ddm2snn.simulate import simulate
from ddm2snn.training.robustness import PATIENCE, astray, far_starts

if TYPE_CHECKING:
    from jaxtyping import Float

# of runs from far outside: rate time units, and those that are judged [choice]
_TRIALS, _DURATION, _WATCHED = 16, 8.0, 3.0
_ESCAPED = 2.0  # extents of the stationary states from their middle, beyond which a run on a device has left [choice]


def lost_runs(network: SpikingNetwork, rate: RateNetwork, states: Float[np.ndarray, "sample rank"], seed: int) -> str:
    """A sentence on runs from far outside, or on its device, that get lost; empty where none does."""
    return (lost_on_device if network.hardware else lost_from_far)(network, rate, states, seed)


def lost_from_far(
    network: SpikingNetwork, rate: RateNetwork, states: Float[np.ndarray, "sample rank"], seed: int
) -> str:
    """Say how many of 16 runs from far outside do not come back in ten times as long, where the rate network's do.

    Where to is to states of the rate network, or of as many runs of the spiking network that start from these: its
    noise may take it further. The noise is white, and its size does not depend on the state.

    Parameters
    ----------
    network, rate
        What was converted, and from what.
    states
        Stationary states of the rate network, internal units.
    seed
        Seed of starts, thresholds and noise.
    """
    rng = stream(seed, "conversion", "far")
    inside = to_system(rate, states[rng.integers(len(states), size=_TRIALS)])
    starts = np.concatenate([far_starts(rate, _TRIALS, rng), inside])
    ensemble, columns = Ensemble.of(network), np.arange(network.neurons)

    def runs(start: Float[np.ndarray, "trial rank"], duration: float) -> Float[np.ndarray, "trial time rank"]:
        factor, inner = network.diffusion_factor, to_internal(network, start)
        loop = ClosedLoop(rate, ensemble, network.decoders, columns, factor, inner, rng)
        return to_internal(rate, to_system(network, loop.follow(duration)))

    path, last = runs(starts, _DURATION), -round(_WATCHED / EVERY)
    visited = rng.permutation(np.concatenate([states, path[_TRIALS:].reshape(-1, rate.rank)]))
    lost = np.flatnonzero(astray(path[:_TRIALS, last:], visited))
    if len(lost):  # they may only be late
        later = runs(to_system(rate, path[lost, -1]), PATIENCE * _DURATION)
        lost = lost[astray(later[:, last:], visited)]
    if len(lost):
        duration = (1 + PATIENCE) * _DURATION
        own = simulate(rate, duration=duration, trials=len(lost), every=EVERY, initial_latent=starts[lost], seed=seed)
        lost = lost[~astray(to_internal(rate, own.samples)[:, last:], visited)]
    if not len(lost):
        return ""
    return (
        f"Of {_TRIALS} runs from far outside, {len(lost)} did not come back to the stationary states, where the rate "
        "network does. More neurons per unit, or a longer time unit than time_unit_s = "
        f"{network.time_unit_s:g}, may help."
    )


def lost_on_device(
    network: SpikingNetwork, rate: RateNetwork, states: Float[np.ndarray, "sample rank"], seed: int
) -> str:
    """Say how many of 16 runs in the integers of the network's device, from stationary states, leave these far behind.

    Raises
    ------
    InputError
        Where the device cannot hold the network.
    """
    rng, every = stream(seed, "conversion", "device"), max(1, round(EVERY * network.time_unit_s / network.dt_s))
    run = simulate(
        network,
        backend=find_backend("quantised", hardware=network.hardware),
        duration=_DURATION,
        trials=_TRIALS,
        every=every * network.dt_s / network.time_unit_s,
        initial_latent=to_system(rate, states[rng.integers(len(states), size=_TRIALS)]),
        seed=seed,
    )
    low, high = states.min(axis=0), states.max(axis=0)
    path = to_internal(rate, run.samples)[:, run.samples.shape[1] // 2 :]
    outside = np.abs(path - 0.5 * (low + high)) > _ESCAPED * (high - low)
    lost = int((outside.any(axis=2).mean(axis=1) > 0.5).sum())
    if not lost:
        return ""
    return (
        f"Of {_TRIALS} runs on the device, {lost} leave the stationary states of the rate network. Another number "
        f"of neurons per unit, or a longer time unit than time_unit_s = {network.time_unit_s:g}, may help."
    )
