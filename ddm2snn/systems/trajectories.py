"""Trajectories of a target system as a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.frozen import as_count, check_positive
from ddm2snn.randomness import stream
from ddm2snn.recording import Recording
from ddm2snn.systems.integration import integrate, stable_step
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float

_LONGEST_STEP = 0.01  # in rate time units


def record_system(
    system: System,
    starts: Float[np.ndarray, "sample rank"],
    *,
    duration: float,
    every: float,
    trials: int,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
) -> Recording:
    """Integrate the SDE itself, sampled as a network would be; a rate time unit is taken as one second.

    Parameters
    ----------
    system
        Target SDE.
    starts
        Stationary states from which initial ones are drawn.
    duration, every
        Length and sampling interval in rate time units.
    trials
        Independent trials.
    seed
        Of initial states and noise.
    progress
        Called with the finished share.
    """
    check_positive("record_system", duration=duration, every=every)
    trials = as_count("trials", trials)
    rng = stream(seed, "target", system.name)
    initial = starts[rng.integers(len(starts), size=trials)]
    longest = min(_LONGEST_STEP, stable_step(system.checked_drift, starts))
    stride = int(np.ceil(every / longest - 1e-9))
    step = every / stride
    latent = integrate(
        system.checked_drift, system.noise, initial, dt=step, steps=max(1, round(duration / step)), stride=stride,
        rng=rng, progress=progress,
    )  # fmt: skip
    provenance = {"backend": "target SDE", "system": system.name, "seed": seed, "step": step, "numpy": np.__version__}
    return Recording.from_arrays(latent, every=every, time_unit_s=1.0, provenance=provenance)
