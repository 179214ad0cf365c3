"""Stationary states and trajectories of the rate network in the time steps of a spiking simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.randomness import child_seed
from ddm2snn.conversion.kernels.rate_steps import CODES, follow_paths
from ddm2snn.errors import InputError
from ddm2snn.network import to_internal
from ddm2snn.simulate import simulate
from ddm2snn.systems.integration import stable_step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ddm2snn.conversion.clock import Clock
    from ddm2snn.network import RateNetwork
    from ddm2snn.stimulus import Stimulus


_BETWEEN = 3.0  # rate time units between perturbations of a perturbed trajectory, in the mean [choice]
_TRIALS, _DURATION, _STATES_EVERY = 128, 20.0, 0.5  # of the stationary states [cost]
_AT_REST = 1e-3  # internal units, between the ends of runs [choice]
_INPUT_EVERY = 0.1  # rate time units between states of trials with inputs [cost]


@dataclass(frozen=True, eq=False)
class Visited:
    """States that a rate network goes through in trials with inputs, and the inputs that it gets there.

    Parameters
    ----------
    latents, inputs
        States in internal units, and latent inputs per rate time unit, which last for `every` rate time units.
    following
        Row of the state that comes next in the same trial, or -1 at its end.
    every
        Rate time units between states.
    """

    latents: Float[np.ndarray, "sample rank"]
    inputs: Float[np.ndarray, "sample rank"]
    following: Int[np.ndarray, " sample"]
    every: float = _INPUT_EVERY

    @classmethod
    def of(cls, rate: RateNetwork, stimulus: Stimulus, seed: int) -> Visited:
        """Trials of the rate network under a stimulus: of each of its trials as many as make 128 in all."""
        if stimulus.empty:
            raise InputError("A stimulus without inputs says nothing of the trials. Leave it out, or give its inputs.")
        if stimulus.duration is None:
            stimulus = replace(stimulus, duration=float(stimulus.times[-1]) + _DURATION)
        if stimulus.trials is not None:
            stimulus = replace(stimulus, repeats=-(-_TRIALS // len(stimulus.values)))
        trials = stimulus.trials or _TRIALS
        states_seed = child_seed(seed, "conversion", "driven states")
        run = simulate(rate, stimulus=stimulus, trials=trials, seed=states_seed, every=_INPUT_EVERY)
        samples = run.samples.shape[1]
        inputs = np.swapaxes(stimulus.of_each(run.latent["time"].values, rate.input_map)[:], 0, 1)
        following = np.arange(1, trials * samples + 1).reshape(trials, samples)
        following[:, -1] = -1
        return cls(
            to_internal(rate, run.samples).reshape(-1, rate.rank),
            np.broadcast_to(inputs, run.samples.shape).reshape(-1, rate.rank),
            following.ravel(),
        )


def drawn(
    states: Float[np.ndarray, "sample rank"] | Visited,
    count: int,
    rng: np.random.Generator,
    *,
    begins_again: bool = True,
) -> tuple[Float[np.ndarray, "trial rank"], Course | None]:
    """Draw states to start from, and the courses of inputs that go on from there where there are any."""
    if not isinstance(states, Visited):
        return states[rng.integers(len(states), size=count)], None
    rows = rng.integers(len(states.latents), size=count)
    return states.latents[rows], Course(states, rows, begins_again=begins_again)


def latents_of(states: Float[np.ndarray, "sample rank"] | Visited) -> Float[np.ndarray, "sample rank"]:
    """The states alone."""
    return states.latents if isinstance(states, Visited) else states


class Course:
    """Inputs along trajectories that go through trials, each from a row of the states on.

    At the end of its trial a trajectory begins another one, or, with `begins_again` false, keeps its last input.
    """

    def __init__(self, visited: Visited, rows: Int[np.ndarray, " trial"], *, begins_again: bool = True) -> None:
        self._visited, self._rows, self._spent = visited, rows, np.zeros(len(rows))
        self._begins_again = begins_again
        self._begun = np.zeros(len(rows), dtype=bool)
        self._beginnings = np.setdiff1d(np.arange(len(visited.latents)), visited.following)

    def advance(
        self, samples: int, every: float, rng: np.random.Generator
    ) -> tuple[
        Float[np.ndarray, "trial sample rank"], Bool[np.ndarray, "trial sample"], Float[np.ndarray, "trial sample rank"]
    ]:
        """Inputs of the next intervals, which of them begin another trial, and the states that these begin with."""
        shape = (len(self._rows), samples)
        inputs = np.empty((*shape, self._visited.latents.shape[1]))
        begins, places = np.empty(shape, dtype=bool), np.empty_like(inputs)
        for sample in range(samples):
            begins[:, sample], self._begun = self._begun, np.zeros_like(self._begun)
            inputs[:, sample] = self._visited.inputs[self._rows]
            places[:, sample] = self._visited.latents[self._rows]
            self._spent += every
            while (over := self._spent > (1.0 - 1e-9) * self._visited.every).any():
                self._spent[over] -= self._visited.every
                following = self._visited.following[self._rows]
                self._rows = np.where(over & (following >= 0), following, self._rows)
                ended = over & (following < 0)
                if self._begins_again and ended.any():
                    self._rows[ended] = rng.choice(self._beginnings, size=int(ended.sum()))
                    self._begun |= ended
        return inputs, begins, places


def stationary_states(rate: RateNetwork, seed: int) -> Float[np.ndarray, "sample rank"]:
    """States of the rate network itself, in system units, after it has forgotten where it started."""
    states_seed = child_seed(seed, "conversion", "states")
    run = simulate(rate, duration=_DURATION, trials=_TRIALS, seed=states_seed, every=_STATES_EVERY)
    return run.samples[:, run.samples.shape[1] // 4 :].reshape(-1, rate.rank)


def visited_under(
    rate: RateNetwork, stimulus: Stimulus | None, seed: int
) -> Float[np.ndarray, "sample rank"] | Visited:
    """Stationary states in internal units, or what trials under a stimulus visit.

    Raises
    ------
    InputError
        Where there is no stimulus, and the network rests without one.
    """
    if stimulus is not None:
        return Visited.of(rate, stimulus, seed)
    states = to_internal(rate, stationary_states(rate, seed))
    if not rate.internal_factor(states).any() and comes_to_rest(rate, seed):
        raise InputError(
            "Without input this network comes to rest in one state, where no neuron learns what it is to decode "
            "elsewhere. Give the stimulus of its trials, or the range of its inputs: "
            "Calibrated(stimulus=...), Stimulus.within(lowest, highest)."
        )
    return states


def comes_to_rest(rate: RateNetwork, seed: int) -> bool:
    """Whether runs without noise or input end in one state, ten times as late as states are taken."""
    quiet = replace(rate, diffusion_factor=np.zeros((rate.rank, rate.rank)), diffusion_readout=None)
    run = simulate(quiet, duration=10 * _DURATION, trials=16, seed=seed, every=_DURATION)
    return bool(np.ptp(to_internal(rate, run.samples[:, -1]), axis=0).max() < _AT_REST)


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

    A perturbation, which moves z elsewhere at once, is such a noise as well, and so is an input: (1 - a) u in a step.
    Perturbed trajectories show the neurons what lies between and beside the stationary states, such as the
    neighbourhood of an unstable fixed point that the rate network never comes near. Without them decoders would be free
    to make it stable.

    The drift is integrated in steps of its own (Heun) that hold a whole number of fine steps; within
    them it changes linearly, and the noise is that of each fine step.

    Trials start from stationary `states`, and the share `perturbed` of them is perturbed; a `course` gives them inputs.
    The sampling interval `every`, in rate time units, is rounded to whole steps. `moved` (trial, sample) says where the
    last intervals began with a perturbation or another trial, and `fed` (trial, sample, rank) what of z - y at their
    ends is input; None without. The attribute `perturbed` (trial,) says which trials are.
    """

    moved: Bool[np.ndarray, "trial sample"]
    fed: Float[np.ndarray, "trial sample rank"] | None = None

    def __init__(
        self,
        rate: RateNetwork,
        clock: Clock,
        states: Float[np.ndarray, "trial rank"],
        every: float,
        rng: np.random.Generator,
        perturbed: float = 0.0,
        course: Course | None = None,
    ) -> None:
        self._rng, self._states, self._course = rng, states, course
        self.trials, self.rank = states.shape
        self.perturbed = (np.arange(len(states)) * 0.618034) % 1.0 < perturbed  # spread evenly, held out or not
        step = clock.step
        longest = stable_step(lambda z: rate.internal_readout(z) - z, to_internal(rate, rate.initial_latent))
        self.fine = max(1, int(min(longest, every) / step))
        self.stride = self.fine * max(1, round(every / (self.fine * step)))
        self.every = self.stride * step
        self._z, self._eta, self._fed = states.copy(), states.copy(), np.zeros_like(states)
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
        inputs = np.empty((trials, 0, rank))
        if self._course is not None:
            inputs, begins, first = self._course.advance(samples, self.every, self._rng)
            self.moved, places = self.moved | begins, np.where(begins[..., None], first, places)
            self.fed = self._filtered(inputs)
        shocks = self._rng.standard_normal(path.shape), self.moved, places, inputs
        follow_paths(self._units, self._times, shocks, self._z, self._eta, (path, target, states))
        return path, target, states

    def _filtered(self, inputs: Float[np.ndarray, "trial sample rank"]) -> Float[np.ndarray, "trial sample rank"]:
        """Inputs behind the leak at the ends of intervals."""
        filtered, decay = np.empty_like(inputs), self._times[2] ** self.stride
        for sample in range(inputs.shape[1]):
            self._fed = decay * self._fed + (1.0 - decay) * inputs[:, sample]
            filtered[:, sample] = self._fed
        return filtered

    def _perturbations(
        self, samples: int
    ) -> tuple[Bool[np.ndarray, "trial sample"], Float[np.ndarray, "trial sample rank"]]:
        """Trajectories that are moved at the start of each interval, and where to: between two stationary states."""
        shape = (len(self._z), samples)
        hit = self.perturbed[:, None] & (self._rng.random(shape) < self.every / _BETWEEN)
        places = np.zeros((*shape, self._z.shape[1]))
        first, second = (self._states[self._rng.integers(len(self._states), size=hit.sum())] for _ in range(2))
        places[hit] = first + self._rng.random((len(first), 1)) * (second - first)
        return hit, places
