"""Input that a host sends: stimulus and latent noise as one spike of a pair of axons for each latent and step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.hardware.device import Device
    from ddm2snn.schedule import Schedule

_SIGMAS = 2.0  # of the noise in one spike: what does not fit a step is sent in the next ones


def input_amplitude(schedule: Schedule, device: Device) -> Float[np.ndarray, " rank"] | None:
    """Input of one spike in internal units: the largest stimulus and two sigmas of noise; None without either."""
    inputs = np.abs(schedule.inputs()).max(axis=0)
    deviation = np.sqrt((schedule.noise_factor**2).sum(axis=1)) / (1.0 - device.decay)
    size = inputs + _SIGMAS * deviation
    return np.maximum(size, 1e-3 * size.max()) if size.any() else None


def input_signs(
    schedule: Schedule, device: Device, amplitude: Float[np.ndarray, " rank"], rng: np.random.Generator
) -> Int[np.ndarray, "trial step rank"]:
    r"""Signs of the spikes that carry stimulus and noise.

    .. math:: x_n = u_n + \frac{1}{1-a} F \xi_n, \qquad s_n = \operatorname{sign}(e_n + x_n), \qquad
        e_{n+1} = e_n + x_n - A s_n,

    with F the factor of a step's noise and a the decay of a latent. The error e carries over what a spike is too small
    for (sigma-delta), so that the sum of spikes never strays from the sum of inputs.
    """
    trials, rank = schedule.initial_latent.shape
    signs = np.empty((trials, schedule.steps, rank), dtype=np.int8)
    inputs, factor = schedule.inputs(), schedule.noise_factor / (1.0 - device.decay)
    error = np.zeros((trials, rank))
    for first in range(0, schedule.steps, 4096):
        some = slice(first, min(first + 4096, schedule.steps))
        white = rng.standard_normal((some.stop - first, trials, rank))
        target = np.ascontiguousarray(np.swapaxes(inputs[some, None] + white @ factor.T, 0, 1))
        _sigma_delta(target, amplitude, error, signs[:, some])
    return signs


@numba.njit(cache=True)
def _sigma_delta(target: np.ndarray, amplitude: np.ndarray, error: np.ndarray, signs: np.ndarray) -> None:
    for trial in range(target.shape[0]):
        for step in range(target.shape[1]):
            for d in range(target.shape[2]):
                total = error[trial, d] + target[trial, step, d]
                sign = 1 if total >= 0.0 else -1
                signs[trial, step, d] = sign
                error[trial, d] = total - sign * amplitude[d]
