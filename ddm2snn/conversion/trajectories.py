"""Stationary trajectories of the rate network in the time steps of a spiking simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from ddm2snn.network import to_internal
from ddm2snn.systems.integration import stable_step

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.network import RateNetwork


_BETWEEN_KICKS = 3.0  # rate time units


class Trajectories:
    r"""Noisy trajectories of a rate network, together with what decoded spikes must be along them.

    The spiking loop computes :math:`z_{n+1} = a z_n + (1-a) y_n + \xi_n` with :math:`a = e^{-dt/T}`, where y
    is what is decoded from the spikes of a step. On a trajectory of the rate network that equation
    defines y, so that, filtered like the spikes,

    .. math:: \tilde y_n = z_n - \eta_n, \qquad \eta_{n+1} = a\,\eta_n + \xi_n.

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
        self._rate, self._rng, self._states = rate, rng, states
        self._kicked = (np.arange(len(states)) * 0.618034) % 1.0 < kicked  # spread evenly, held-out ones included
        self._step = clockwork.dt_s / clockwork.time_unit_s
        longest = stable_step(lambda z: rate.internal_readout(z) - z, to_internal(rate, rate.initial_latent))
        self._fine = max(1, int(min(longest, every) / self._step))
        self.stride = self._fine * max(1, round(every / (self._fine * self._step)))
        self.every = self.stride * self._step
        self._z, self._eta = states.copy(), np.zeros_like(states)
        self._decay, self._spread = clockwork.decay, float(np.sqrt((1.0 - np.exp(-self._step) ** 2) / 2.0))

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
        chunks, per_sample = [], self.stride // self._fine
        target = np.empty((len(self._z), samples, self._rate.rank))
        states = np.empty_like(target)
        with threadpool_limits(1):  # small products, at which threads wait for each other longer than they compute
            for index in range(samples):
                self._kick()
                chunks += [self._chunk() for _ in range(per_sample)]
                target[:, index], states[:, index] = self._z - self._eta, self._z
        return np.concatenate(chunks, axis=1), target, states

    def _kick(self) -> None:
        """Move some of the kicked trajectories to somewhere between two stationary states."""
        hit = self._kicked & (self._rng.random(len(self._z)) < self.every / _BETWEEN_KICKS)
        first, second = (self._states[self._rng.integers(len(self._states), size=hit.sum())] for _ in range(2))
        place = first + self._rng.random((len(first), 1)) * (second - first)
        self._eta[hit] += place - self._z[hit]
        self._z[hit] = place

    def _chunk(self) -> Float[np.ndarray, "trial step rank"]:
        """One step of the drift, as fine steps."""
        z, rate, fine, decay = self._z, self._rate, self._fine, self._decay
        shape = (fine, *z.shape)
        xi = self._spread * (rate.internal_factor(z) @ self._rng.standard_normal((*shape, 1)))[..., 0]
        span = fine * self._step
        slope = rate.internal_readout(z) - z
        ahead = z + span * slope + xi.sum(axis=0)
        bend = (rate.internal_readout(ahead) - ahead) - slope
        time = self._step * np.arange(fine + 1)[:, None, None]
        drift = time * slope + time**2 / (2.0 * span) * bend
        noise = np.concatenate([np.zeros_like(xi[:1]), np.cumsum(xi, axis=0)])
        path = z + drift + noise
        kept = decay ** np.arange(fine - 1, -1, -1)
        self._eta = decay**fine * self._eta + np.tensordot(kept, xi, axes=1)
        self._z = path[-1]
        return np.swapaxes(path[:-1], 0, 1)
