"""Stationary states and trajectories of the rate network in the time steps of a spiking simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.randomness import child_seed
from ddm2snn.conversion.kernels.rate_steps import CODES, follow_paths
from ddm2snn.network import to_internal
from ddm2snn.simulate import simulate
from ddm2snn.systems.integration import stable_step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.conversion.clock import Clock
    from ddm2snn.network import RateNetwork


_BETWEEN = 3.0  # rate time units between perturbations of a perturbed trajectory, in the mean [choice]
_TRIALS, _DURATION, _STATES_EVERY = 128, 20.0, 0.5  # of the stationary states [cost]


def stationary_states(rate: RateNetwork, seed: int) -> Float[np.ndarray, "sample rank"]:
    """States of the rate network itself, in system units, after it has forgotten where it started."""
    states_seed = child_seed(seed, "conversion", "states")
    run = simulate(rate, duration=_DURATION, trials=_TRIALS, seed=states_seed, every=_STATES_EVERY)
    return run.samples[:, run.samples.shape[1] // 4 :].reshape(-1, rate.rank)


def flow(rate: RateNetwork, z: Float[np.ndarray, "sample rank"], step: float) -> Float[np.ndarray, "sample rank"]:
    """Noise-free state one `step` (rate time units) later, by one classical Runge-Kutta step, internal units.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from ddm2snn import Training, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> leak = replace(rate, right_vectors=np.zeros((8, 2)))  # without a read-out states decay as exp(-step)
    >>> flow(leak, np.array([[1.0, -2.0]]), step=0.1).round(4)
    array([[ 0.9048, -1.8097]])
    """

    def drift(state: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample rank"]:
        return rate.internal_readout(state) - state

    k1 = drift(z)
    k2 = drift(z + 0.5 * step * k1)
    k3 = drift(z + 0.5 * step * k2)
    k4 = drift(z + step * k3)
    return z + step / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4)


def regression_target(
    rate: RateNetwork, z: Float[np.ndarray, "sample rank"], clock: Clock
) -> Float[np.ndarray, "sample rank"]:
    r"""What the decoded spikes of one step must be for the latent to follow the flow exactly.

    The loop computes :math:`z' = a z + (1-a) y` with :math:`a = e^{-dt/T}`, so
    :math:`y = (\varphi_{dt}(z) - a z) / (1-a)`. In the limit of a short step y is
    :math:`W_s\phi(\Gamma z + b)`; at a finite step this removes the lag of half a step.
    """
    step, decay = clock.step, clock.decay
    return (flow(rate, z, step) - decay * z) / (1.0 - decay)


class Trajectories:
    r"""Noisy trajectories of a rate network, together with what decoded spikes must be along them.

    The spiking loop computes :math:`z_{n+1} = a z_n + (1-a) y_n + \xi_n` with :math:`a = e^{-dt/T}`, where y
    is what is decoded from the spikes of a step. On a trajectory of the rate network that equation
    defines y, so that, filtered like the spikes,

    .. math:: \tilde y_n = z_n - \eta_n, \qquad \eta_{n+1} = a\,\eta_n + \xi_n, \qquad \eta_0 = z_0,

    from a filter that holds nothing at the start, as that of the spikes.

    A perturbation, which moves z elsewhere at once, is such a noise as well. Perturbed trajectories show the neurons
    what lies between and beside the stationary states, such as the neighbourhood of an unstable fixed point that the
    rate network never comes near. Without them decoders would be free to make it stable.

    The drift is integrated in steps of its own (Heun) that hold a whole number of fine steps; within
    them it changes linearly, and the noise is that of each fine step.

    Trials start from stationary `states`, and the share `perturbed` of them is perturbed. The sampling interval
    `every`, in rate time units, is rounded to whole steps. `moved` (trial, sample) says where the last intervals began
    with a perturbation.
    """

    moved: Bool[np.ndarray, "trial sample"]

    def __init__(
        self,
        rate: RateNetwork,
        clock: Clock,
        states: Float[np.ndarray, "trial rank"],
        every: float,
        rng: np.random.Generator,
        perturbed: float = 0.0,
    ) -> None:
        self._rng, self._states = rng, states
        self.trials, self.rank = states.shape
        self._perturbed = (np.arange(len(states)) * 0.618034) % 1.0 < perturbed  # spread evenly, held out or not
        step = clock.step
        longest = stable_step(lambda z: rate.internal_readout(z) - z, to_internal(rate, rate.initial_latent))
        self.fine = max(1, int(min(longest, every) / step))
        self.stride = self.fine * max(1, round(every / (self.fine * step)))
        self.every = self.stride * step
        self._z, self._eta = states.copy(), states.copy()
        spread = float(np.sqrt((1.0 - np.exp(-step) ** 2) / 2.0))
        by_state = np.empty((0, rate.rank, rate.rank)) if rate.diffusion_readout is None else rate.diffusion_readout
        self._units = (
            np.ascontiguousarray(rate.left_vectors.T),
            rate.bias,
            np.ascontiguousarray(rate.right_vectors.T),
            rate.diffusion_factor,
            np.ascontiguousarray(np.moveaxis(by_state, 0, -1)),
            CODES[rate.activation],
        )
        self._times = step, self.fine, clock.decay, spread

    def advance(
        self, samples: int
    ) -> tuple[Float[np.ndarray, "trial step rank"], Float[np.ndarray, "trial sample rank"], np.ndarray]:
        """Go on: latents at the start of each step, and filtered y and latents at the end of each sampling interval."""
        trials, rank = self._z.shape
        path = np.empty((trials, samples * self.stride, rank))
        target, states = np.empty((trials, samples, rank)), np.empty((trials, samples, rank))
        self.moved, places = self._perturbations(samples)
        shocks = self._rng.standard_normal(path.shape), self.moved, places
        follow_paths(self._units, self._times, shocks, self._z, self._eta, (path, target, states))
        return path, target, states

    def _perturbations(
        self, samples: int
    ) -> tuple[Bool[np.ndarray, "trial sample"], Float[np.ndarray, "trial sample rank"]]:
        """Trajectories that are moved at the start of each interval, and where to: between two stationary states."""
        shape = (len(self._z), samples)
        hit = self._perturbed[:, None] & (self._rng.random(shape) < self.every / _BETWEEN)
        places = np.zeros((*shape, self._z.shape[1]))
        first, second = (self._states[self._rng.integers(len(self._states), size=hit.sum())] for _ in range(2))
        places[hit] = first + self._rng.random((len(first), 1)) * (second - first)
        return hit, places
