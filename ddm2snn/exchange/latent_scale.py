"""The scale of a rate network's latents: the spread of the states that it visits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.systems.integration import integrate

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float

    from ddm2snn.network import RateNetwork

_TIME, _STEP, _EVERY = 40.0, 2.0**-5, 0.5  # time units: of a run, of its steps, between samples
_MOST_TRIALS, _FEWEST_TRIALS = 256, 8
_MOST_CELLS = 2**22  # trials times units times sixteens of latents: at most minutes for all steps
_STATES = 1024  # that a network is left at
_LARGEST_STEP_ERROR = 0.1


def visited_states(
    network: RateNetwork, rng: np.random.Generator, inputs: int
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, "sample rank"], bool]:
    """Run a network from random starts, at which the units' inputs are of order one.

    Parameters
    ----------
    network
        The network, whose last `inputs` latents follow its inputs.
    rng
        Draws starts, noise and the states that are returned.
    inputs
        Number of latents that follow inputs.

    Returns
    -------
    scale
        Standard deviation of each latent, 1 where it does not move. Taken over the last quarter of the time, or over
        all of it where the network rests by then or has inputs.
    states
        Up to 1,024 of the states behind `scale`.
    rests
        Whether the network comes to rest without input.

    Raises
    ------
    InputError
        Where a latent reaches no unit, or latents grow without bound.
    """
    rank, units = network.rank, network.units
    size = np.sqrt((network.left_vectors**2).mean(axis=0))
    if not (size > 0).all():
        raise InputError("A latent reaches no unit: its left vector is zero. Leave it out.")
    trials = min(_MOST_TRIALS, max(_FEWEST_TRIALS, _MOST_CELLS // (units * -(-rank // 16))))
    start = rng.standard_normal((trials, rank)) / size
    path = integrate(
        network.drift, network.diffusion_factor, start, dt=_STEP, steps=round(_TIME / _STEP),
        stride=round(_EVERY / _STEP), rng=rng,
    )  # fmt: skip
    if np.abs(path[:, -1]).max() > 1e6 * (1.0 + np.abs(start).max()):
        raise InputError("The network's latents grow without bound. Check the factor of m n^T and the activation.")
    by_time = np.swapaxes(path, 0, 1)
    every, late = by_time.reshape(-1, rank), by_time[-len(by_time) // 4 :].reshape(-1, rank)
    recurrent = slice(0, rank - inputs)
    rests = bool((late[:, recurrent].std(axis=0) < 1e-3 * every[:, recurrent].std(axis=0)).all())
    cloud = every if rests or inputs else late
    spread = cloud.std(axis=0)
    return np.where(spread > 0, spread, 1.0), cloud[rng.permutation(len(cloud))[:_STATES]], rests


def step_error(path: Path | str, network: RateNetwork, step: float) -> float:
    """Largest relative difference, over latents, between a step in discrete time and the flow of the same network.

    Raises
    ------
    InputError
        Where it is more than a tenth of the step's length.
    """
    z = network.initial_latent
    drift, pieces = network.drift, max(1, round(step / _STEP))
    no_noise, rng = np.zeros((network.rank, network.rank)), np.random.default_rng(0)  # multiplied by zero
    flow = integrate(drift, no_noise, z, dt=step / pieces, steps=pieces + 1, stride=pieces, rng=rng)[:, -1]
    length = np.sqrt(((flow - z) ** 2).mean(axis=0))
    difference = np.sqrt(((z + step * drift(z) - flow) ** 2).mean(axis=0))
    error = float((difference / np.where(length > 0, length, 1.0)).max())
    if error > _LARGEST_STEP_ERROR:
        raise InputError(
            f"{path}: at step a = {step:g} a step in discrete time differs by {error:.0%} of its length from the flow "
            "of dz = -z + W_s phi(Gamma z + b), so that the network has no such form. Train with a <= "
            f"{0.5 * step * _LARGEST_STEP_ERROR / error:.1g}, or leave step out to have the flow."
        )
    return error
