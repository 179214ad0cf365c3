"""Stationary trajectories of the rate network in the time steps of a spiking simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.network import to_internal
from ddm2snn.systems.integration import stable_step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.network import RateNetwork


_BETWEEN_KICKS = 3.0  # rate time units


class Trajectories:
    r"""Noisy trajectories of a rate network, together with what decoded spikes must be along them.

    The spiking loop computes :math:`z_{n+1} = a z_n + (1-a) y_n + \xi_n` with :math:`a = e^{-dt/T}`, where y
    is what is decoded from the spikes of a step. On a trajectory of the rate network that equation
    defines y, so that, filtered like the spikes,

    .. math:: \tilde y_n = z_n - \eta_n, \qquad \eta_{n+1} = a\,\eta_n + \xi_n, \qquad \eta_0 = z_0,

    from a filter that holds nothing at the start, as that of the spikes.

    A kick, which moves z elsewhere at once, is such a noise as well. Kicked trajectories show the neurons what
    lies between and beside the stationary states, such as the neighbourhood of an unstable fixed point that
    the rate network never comes near: there decoders would be free to make it stable.

    The drift is integrated in steps of its own (Heun) that hold a whole number of fine steps; within
    them it changes linearly, and the noise is that of each fine step.

    Parameters
    ----------
    rate
        The network.
    clockwork
        Step and time unit of the spiking simulation.
    states
        Stationary states to start from, internal units, shape (trial, rank).
    every
        Sampling interval in rate time units, rounded to whole steps.
    rng
        Source of the noise.
    kicked
        Share of the trajectories that are kicked.
    """

    def __init__(
        self,
        rate: RateNetwork,
        clockwork: Clockwork,
        states: Float[np.ndarray, "trial rank"],
        every: float,
        rng: np.random.Generator,
        kicked: float = 0.0,
    ) -> None:
        # Numba, which compiles the kernels, takes longer to import than all else here
        from ddm2snn.conversion.kernels.rate_steps import CODES, Times, Units

        self._rng, self._states = rng, states
        self._kicked = (np.arange(len(states)) * 0.618034) % 1.0 < kicked  # spread evenly, held-out ones included
        step = clockwork.dt_s / clockwork.time_unit_s
        longest = stable_step(lambda z: rate.internal_readout(z) - z, to_internal(rate, rate.initial_latent))
        self.fine = max(1, int(min(longest, every) / step))
        self.stride = self.fine * max(1, round(every / (self.fine * step)))
        self.every = self.stride * step
        self._z, self._eta = states.copy(), states.copy()
        spread = float(np.sqrt((1.0 - np.exp(-step) ** 2) / 2.0))
        by_state = np.empty((0, rate.rank, rate.rank)) if rate.diffusion_readout is None else rate.diffusion_readout
        self._units = Units(
            np.ascontiguousarray(rate.left_vectors.T),
            rate.bias,
            np.ascontiguousarray(rate.right_vectors.T),
            rate.diffusion_factor,
            np.ascontiguousarray(np.moveaxis(by_state, 0, -1)),
            CODES[rate.activation],
        )
        self._times = Times(step, self.fine, clockwork.decay, spread)

    def advance(
        self, samples: int
    ) -> tuple[Float[np.ndarray, "trial step rank"], Float[np.ndarray, "trial sample rank"], np.ndarray]:
        """Go on for some sampling intervals.

        Returns
        -------
        path
            Latents at the start of each step, internal units.
        target
            The filtered y at the end of each sampling interval.
        states
            Latents there.
        """
        from ddm2snn.conversion.kernels.rate_steps import Course, Shocks, follow  # as above

        trials, rank = self._z.shape
        path = np.empty((trials, samples * self.stride, rank))
        target, states = np.empty((trials, samples, rank)), np.empty((trials, samples, rank))
        kicks = self._kicks(samples)
        shocks = Shocks(self._rng.standard_normal(path.shape), *kicks)
        follow(self._units, self._times, shocks, self._z, self._eta, Course(path, target, states))
        return path, target, states

    def _kicks(self, samples: int) -> tuple[Bool[np.ndarray, "trial sample"], Float[np.ndarray, "trial sample rank"]]:
        """Which of the kicked move at the start of which intervals, and where to, between two stationary states."""
        shape = (len(self._z), samples)
        hit = self._kicked[:, None] & (self._rng.random(shape) < self.every / _BETWEEN_KICKS)
        places = np.zeros((*shape, self._z.shape[1]))
        first, second = (self._states[self._rng.integers(len(self._states), size=hit.sum())] for _ in range(2))
        places[hit] = first + self._rng.random((len(first), 1)) * (second - first)
        return hit, places
