"""Neurons driven along paths of the latents, and along the path of their own closed loop: blocks of filtered spikes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numba
import numpy as np

from ddm2snn.conversion.kernels.membranes import membrane_of
from ddm2snn.conversion.trajectories import Trajectories, Visited, drawn, regression_target

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.clock import Clock
    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.hardware.chip import DeviceDrive
    from ddm2snn.network import RateNetwork

EVERY = 0.1  # rate time units between samples: a tenth of the synaptic filter's memory [choice]
_FORGOTTEN = 5.0  # rise times after which nothing of a synapse's rise is left [choice]
_WARM_UP = 3.0  # rate time units that are left out: membranes and most of the filter forget their start [choice]
_BLOCK_BYTES = 2**27  # of filtered spikes at once [cost]
_PART = 4096  # neurons: their state stays in the cache from step to step, which takes a quarter off the time [cost]
Block = TypeVar("Block")


class DrivenBlock(NamedTuple):
    """What neurons did during a stretch of time, and what they should have decoded, in internal units.

    `spikes_hz` are behind the synaptic filter, and `target` is what they must decode, behind the same filter but for
    its rise. `share` is that of the whole duration that is done.
    """

    share: float
    spikes_hz: Float[np.ndarray, "trial sample column"]
    target: Float[np.ndarray, "trial sample rank"]
    states: Float[np.ndarray, "trial sample rank"]


class Drive:
    """Membranes and filtered spike trains of an ensemble on many trials, driven block by block.

    Membranes start at `voltage`. Each neuron's filtered spike train is added to one of the `columns` of the output. It
    agrees with `drive` of the reference backend up to rounding; tests hold it to that.
    """

    def __init__(
        self, ensemble: Ensemble, voltage: Float[np.ndarray, "trial neuron"], columns: Int[np.ndarray, " neuron"]
    ) -> None:
        self.columns, self._parts = int(columns.max()) + 1, []
        clock, decay, rise_decay = ensemble.clock, ensemble.clock.decay, ensemble.clock.rise_decay
        jump = (1.0 - rise_decay) * (1.0 - decay) / clock.dt_s
        for first in range(0, len(columns), _PART):
            some = slice(first, first + _PART)
            membrane = membrane_of(ensemble.neuron.part(some), clock.dt_s, clock.spike_timing, voltage[:, some])
            inputs = np.ascontiguousarray(ensemble.encoders[some].T), ensemble.bias[some]
            self._parts.append((*membrane, inputs, (decay, rise_decay, jump, columns[some])))

    def advance(
        self, path: Float[np.ndarray, "trial step rank"], stride: int
    ) -> Float[np.ndarray, "trial sample column"]:
        """Filtered spike trains in Hz after every `stride` steps along the internal latents `path`."""
        out = np.zeros((len(path), path.shape[1] // stride, self.columns))
        for kernel, constants, state, inputs, synapses in self._parts:
            kernel(path, inputs, constants, synapses, stride, state, out)
        return out


class ClosedLoop:
    r"""A spiking network that runs by itself on many trials, and the filtered target where it goes.

    The loop is :math:`z_{n+1} = a z_n + (1-a) D s_n + \xi_n` with :math:`a = e^{-dt/T}`. With spikes filtered alike and
    y of `ddm2snn.conversion.trajectories.regression_target`,

    .. math:: z_n = D \tilde r_n + \eta_n, \qquad \eta_{n+1} = a\,\eta_n + \xi_n, \qquad
        \tilde y_{n+1} = a\,\tilde y_n + (1-a)\,y(z_n), \qquad \eta_0 = z_0,

    where :math:`\tilde y` is the target of `Trajectories` on a path whose noise holds all errors of the spikes.
    Decoders are those of the columns that neurons share; trials start from `states`.
    """

    def __init__(
        self,
        rate: RateNetwork,
        ensemble: Ensemble,
        decoders: Float[np.ndarray, "rank column"],
        columns: Int[np.ndarray, " neuron"],
        injected_factor: Float[np.ndarray, "rank rank"],
        states: Float[np.ndarray, "trial rank"],
        rng: np.random.Generator,
    ) -> None:
        clock = ensemble.clock
        self._rate, self._clock, self._rng = rate, clock, rng
        self._drive = Drive(ensemble, rng.random((len(states), ensemble.neurons)), columns)
        self._decoders, self._decay = decoders, float(np.exp(-clock.step))
        self._noise = np.sqrt((1.0 - self._decay**2) / 2.0) * injected_factor
        self.stride = max(1, round(EVERY / clock.step))
        self.every = self.stride * clock.step
        self._z, self._eta, self._target = states.copy(), states.copy(), np.zeros_like(states)

    def advance(self, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Go on for some sampling intervals: what `DrivenBlock` has beside its share."""
        filtered = np.empty((len(self._z), samples, self._drive.columns))
        target = np.empty((len(self._z), samples, self._rate.rank))
        states = np.empty_like(target)
        ages = self._decay ** np.arange(self.stride - 1, -1, -1)
        with one_loop():
            for sample in range(samples):
                path, filtered[:, sample] = self._interval()
                wanted = np.einsum("n,tnr->tr", ages, regression_target(self._rate, path, self._clock))
                self._target = self._decay**self.stride * self._target + (1.0 - self._decay) * wanted
                target[:, sample], states[:, sample] = self._target, self._z
        return filtered, target, states

    def follow(self, duration: float) -> Float[np.ndarray, "trial sample rank"]:
        """Go on for some rate time units: latents at the end of each sampling interval, alone."""
        states = np.empty((len(self._z), max(1, round(duration / self.every)), self._rate.rank))
        with one_loop():
            for sample in range(states.shape[1]):
                self._interval()
                states[:, sample] = self._z
        return states

    def blocks(self, duration: float) -> Iterator[DrivenBlock]:
        """Blocks of some rate time units of each trial, after a warm-up."""
        bytes_each = 8 * len(self._z) * self._drive.columns
        for share, block in in_blocks(self.advance, self.every, duration, bytes_each):
            yield DrivenBlock(share, *block)

    def _interval(self) -> tuple[Float[np.ndarray, "trial step rank"], Float[np.ndarray, "trial column"]]:
        """Run for one sampling interval: states at the start of each step, filtered spikes at the end."""
        path, spikes = np.empty((len(self._z), self.stride, self._rate.rank)), np.empty(0)
        for step in range(self.stride):
            path[:, step] = self._z
            spikes = self._drive.advance(self._z[:, None], 1)[:, 0]
            noise = self._rng.standard_normal(self._z.shape) @ self._noise.T
            self._eta = self._decay * self._eta + noise
            self._z = spikes @ self._decoders.T + self._eta
        return path, spikes


@contextlib.contextmanager
def one_loop() -> Iterator[None]:
    """Compiled loops on one thread: on a busy machine waiting for others took up to 60 times as long as a step."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)


def driven(
    rate: RateNetwork,
    ensemble: Ensemble,
    states: Float[np.ndarray, "sample rank"] | Visited,
    columns: Int[np.ndarray, " neuron"],
    trajectories: int,
    duration: float,
    rng: np.random.Generator,
    perturbed: float = 0.0,
    filter_s: float | None = None,
) -> Iterator[DrivenBlock]:
    """Drive an ensemble along trajectories of a rate network, open loop.

    They start from some of the stationary `states`, or go through the trials that visit them with their inputs, and
    last `duration` rate time units each after a warm-up. The share `perturbed` of them is perturbed; see
    `Trajectories`. Spikes pass the synaptic filter, or, without a device, one of the time constant `filter_s`.
    """
    start, course = drawn(states, trajectories, rng)
    clock = ensemble.clock
    paths = Trajectories(rate, clock, start, EVERY, rng, perturbed, course)
    if filter_s is not None:
        ensemble = ensemble.timed(replace(clock, time_unit_s=filter_s, rounded_decay=None, rise_s=0.0))
    drive = ensemble.drive(rng.random((trajectories, ensemble.neurons)), columns)
    blocks = along(paths, drive, duration)
    if not ((perturbed or course) and filter_s is None):
        return blocks
    return without_jumps(paths, blocks, clock)


def along(paths: Trajectories, drive: Drive | DeviceDrive, duration: float) -> Iterator[DrivenBlock]:
    """Drive neurons along trajectories for some rate time units after a warm-up, block by block."""

    def advance(samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        path, target, reached = paths.advance(samples)
        return drive.advance(path, paths.stride), target, reached

    bytes_each = 8 * paths.trials * max(drive.columns, paths.stride * paths.rank)
    for share, block in in_blocks(advance, paths.every, duration, bytes_each):
        yield DrivenBlock(share, *block)


def without_jumps(
    paths: Trajectories, blocks: Iterator[DrivenBlock], clock: Clock, memory: float = 1.0
) -> Iterator[DrivenBlock]:
    """Blocks in which filters forget what was before a perturbation, and samples right behind one are zero.

    A synapse that takes time to rise follows no jump, and its filter would remember for a rate time unit that it did
    not. What it holds at a sample, less by the leak, is taken off later ones; samples of zero weigh nothing in a
    regression. Synapses without a rise follow every jump. The filter's time constant is `memory` rate time units.
    """
    if not clock.rise_s:
        yield from blocks
        return
    decay, rise = float(np.exp(-paths.every / memory)), clock.rise_s / clock.time_unit_s
    skipped = int(np.ceil(_FORGOTTEN * rise / paths.every))
    held: tuple[np.ndarray, np.ndarray] | None = None
    waits = np.full(paths.trials, -1)
    for block in blocks:
        values = block.spikes_hz, block.target
        held = held or (np.zeros_like(values[0][:, 0]), np.zeros_like(values[1][:, 0]))
        for sample in range(block.target.shape[1]):
            waits = np.where(paths.moved[:, sample], skipped, waits - 1)
            for value, old in zip(values, held, strict=True):
                old *= decay
                old[waits == 0] = value[waits == 0, sample]
                value[:, sample] -= old
                value[waits >= 0, sample] = 0.0
        yield block


def in_blocks(
    advance: Callable[[int], Block], every: float, duration: float, bytes_each: int
) -> Iterator[tuple[float, Block]]:
    """Advance by as many samples as fit a block, and yield the share that is done with each block behind a warm-up."""
    warm_up, total = (max(1, round(time / every)) for time in (_WARM_UP, duration))
    done, most = -warm_up, max(1, _BLOCK_BYTES // bytes_each)
    while done < total:
        count = min(most, (total if done >= 0 else 0) - done)
        block = advance(count)
        done += count
        if done > 0:
            yield done / total, block
