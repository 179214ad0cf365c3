"""Calibrated decoders: regression on the spikes that the neurons themselves emit along the rate network's paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.base.progress import Progress
from ddm2snn.conversion.trajectories import Trajectories
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.conversion.population import Encoding
    from ddm2snn.network import RateNetwork
    from ddm2snn.neuron import NeuronModel

_RIDGES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
EVERY = 0.1  # rate time units between samples: the filter's memory is one
_WARM_UP = 3.0  # rate time units until membranes and most of the filter, which starts empty, have forgotten the start
_BLOCK_BYTES = 2**27


@dataclass(frozen=True)
class Calibrated:
    """Decoders regressed on filtered spikes along stationary trajectories of the rate network.

    The neurons are driven open loop, in the time steps and with the spike timing of the simulator that
    will run the network, so that lags, grid effects and refractoriness are in the regressors.

    Parameters
    ----------
    duration
        Rate time units of trajectories in total; by default 4 for each neuron, within 2,000 and 8,000.
    trajectories
        Independent trajectories that share the duration; a quarter of them are held out to choose the
        ridge.
    ridge
        Regularisation relative to the mean square of the filtered spike trains. By default that of a
        series with the smallest error, bias and spike noise together, on the held-out trajectories.
    kicked
        Share of the trajectories that are kicked to places between stationary states now and then; see
        `Trajectories`.
    most_decoders
        Largest number of decoders to solve for. A population with more neurons shares them: neurons of a
        unit with neighbouring thresholds have one in common.
    rounds
        Closed-loop rounds. In each the spiking network runs by itself with the decoders found so far, and what it
        visits joins the regression (`ddm2snn.conversion.closed_loop.ClosedLoop`; the idea is that of DAgger: Ross,
        Gordon, Bagnell, AISTATS 2011). A round takes one to two times as long as all the rest. For van der Pol it
        lowered the bias of the drift in the closed loop by 3 to 28 %, and moved neither D_stsp nor D_H beyond the
        spread of simulations.
    """

    duration: float | None = None
    trajectories: int = 64
    ridge: float | None = None
    most_decoders: int = 8192
    kicked: float = 0.25
    rounds: int = 0

    def __post_init__(self) -> None:
        for name in ("duration", "ridge"):
            if getattr(self, name) is not None:
                check_positive("Calibrated", **{name: getattr(self, name)})
        for name in ("trajectories", "most_decoders"):
            object.__setattr__(self, name, as_count(f"Calibrated.{name}", getattr(self, name)))
        if isinstance(self.rounds, bool) or not isinstance(self.rounds, int) or self.rounds < 0:
            raise InputError(f"Calibrated.rounds must be 0 or a whole number above zero, got {self.rounds!r}.")
        if not 0 <= self.kicked <= 1:
            raise InputError(f"Calibrated.kicked must be a share between 0 and 1, got {self.kicked}.")
        if self.trajectories < 4:
            raise InputError(f"Calibrated.trajectories must be 4 or more, got {self.trajectories}.")

    def duration_for(self, neurons: int) -> float:
        """Rate time units of trajectories in total for a number of neurons."""
        return self.duration or float(np.clip(4 * neurons, 2000, 8000))


@dataclass
class NormalEquations:
    """Sums over samples of regressors times regressors, regressors times targets, targets squared."""

    gram: Float[np.ndarray, "column column"]
    moment: Float[np.ndarray, "column rank"]
    square: Float[np.ndarray, " rank"]
    samples: int = 0

    @classmethod
    def empty(cls, columns: int, rank: int) -> NormalEquations:
        """No samples yet."""
        return cls(np.zeros((columns, columns)), np.zeros((columns, rank)), np.zeros(rank))

    def add(self, regressors: Float[np.ndarray, "sample column"], target: Float[np.ndarray, "sample rank"]) -> None:
        """Take in samples."""
        self.gram += regressors.T @ regressors
        self.moment += regressors.T @ target
        self.square += (target**2).sum(axis=0)
        self.samples += len(target)

    def __add__(self, other: NormalEquations) -> NormalEquations:
        return NormalEquations(
            self.gram + other.gram, self.moment + other.moment, self.square + other.square, self.samples + other.samples
        )

    def solve(self, ridge: float) -> Float[np.ndarray, "column rank"]:
        """Least squares with a penalty relative to the mean diagonal of the Gram matrix."""
        from scipy.linalg import cho_factor, cho_solve

        matrix = self.gram.copy()
        diagonal = np.einsum("ii->i", matrix)
        diagonal += ridge * max(float(diagonal.mean()), 1e-12 * self.samples)
        return cho_solve(cho_factor(matrix, overwrite_a=True, check_finite=False), self.moment, check_finite=False)

    def error(self, weights: Float[np.ndarray, "column rank"]) -> Float[np.ndarray, " rank"]:
        """Mean squared error of given weights, per latent."""
        explained = (weights * (self.gram @ weights)).sum(axis=0) - 2.0 * (weights * self.moment).sum(axis=0)
        return np.maximum(explained + self.square, 0.0) / max(self.samples, 1)


@dataclass(frozen=True)
class Calibration:
    """Decoders and how they were found.

    Parameters
    ----------
    decoders
        D, shape (rank, neuron), internal latent units per Hz.
    ridge
        The ridge that was taken.
    curve
        Root-mean-square error per latent of the filtered decoded spikes on held-out trajectories, standard
        deviations, by ridge.
    samples
        Number of samples.
    gram
        Sum over samples of filtered spikes times filtered spikes, shape (column, column).
    """

    decoders: Float[np.ndarray, "rank neuron"]
    ridge: float
    samples: int
    gram: Float[np.ndarray, "column column"]
    curve: dict[str, list[float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Everything but the arrays."""
        return {"ridge": self.ridge, "samples": self.samples, "held_out_error": self.curve}


def calibrate(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    states: Float[np.ndarray, "sample rank"],
    settings: Calibrated,
    rng: np.random.Generator,
    progress: Progress = lambda share: None,
    injected_factor: Float[np.ndarray, "rank rank"] | None = None,
) -> Calibration:
    r"""Solve :math:`\min_D \langle|D\tilde r - \tilde y|^2\rangle + \lambda|D|^2` along trajectories.

    :math:`\tilde r` are the spike trains and :math:`\tilde y` the target of `Trajectories`, both filtered with
    the synaptic time constant. Memory is that of one Gram matrix for training and one for held-out samples.
    In closed-loop rounds noise with the factor `injected_factor` is injected, by default that of `rate`.
    """
    pool, columns = pooled(encoding, settings.most_decoders, neuron.threshold_current)
    per_trajectory = settings.duration_for(len(pool)) / settings.trajectories
    blocks = driven(
        rate, encoding, neuron, clockwork, states, pool, settings.trajectories, per_trajectory, rng, settings.kicked
    )
    equations = NormalEquations.empty(columns, rate.rank), NormalEquations.empty(columns, rate.rank)
    parts = settings.rounds + 1
    _take_in(blocks, *equations, lambda share: progress(share / parts))
    found = _solve(*equations, settings.ridge)
    for part in range(1, parts):
        factor = rate.diffusion_factor if injected_factor is None else injected_factor
        blocks = visited(
            rate, encoding, neuron, clockwork, states, pool, found.decoders, factor, settings.trajectories,
            per_trajectory, rng,
        )  # fmt: skip
        _take_in(blocks, *equations, lambda share, part=part: progress((part + share) / parts))
        found = _solve(*equations, settings.ridge)
    return replace(found, decoders=found.decoders[:, pool])


def _take_in(
    blocks: Iterator[tuple[float, np.ndarray, np.ndarray, np.ndarray]],
    kept: NormalEquations,
    judged: NormalEquations,
    progress: Progress,
) -> None:
    """Add blocks of samples; those of the first quarter of the trials are held out."""
    for share, regressors, target, _ in blocks:
        held_out = len(target) // 4
        for equations, part in ((judged, slice(0, held_out)), (kept, slice(held_out, None))):
            equations.add(
                regressors[part].reshape(-1, regressors.shape[-1]), target[part].reshape(-1, target.shape[-1])
            )
        progress(share)


def _solve(kept: NormalEquations, judged: NormalEquations, ridge: float | None) -> Calibration:
    """Decoders by column, with a given ridge or with the best on held-out samples."""
    ridges = _RIDGES if ridge is None else (ridge,)
    errors = {ridge: judged.error(kept.solve(ridge)) for ridge in ridges}
    ridge = min(errors, key=lambda r: float(errors[r].sum()))
    everything = kept + judged
    return Calibration(
        decoders=everything.solve(ridge).T,
        ridge=ridge,
        samples=everything.samples,
        curve={f"{r:g}": np.sqrt(e).tolist() for r, e in errors.items()},
        gram=everything.gram,
    )


def driven(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    states: Float[np.ndarray, "sample rank"],
    pool: Int[np.ndarray, " neuron"],
    trajectories: int,
    duration: float,
    rng: np.random.Generator,
    kicked: float = 0.0,
) -> Iterator[tuple[float, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield the finished share and blocks of filtered spikes, targets and states.

    Shapes (trial, sample, column), and (trial, sample, rank) twice. `duration` counts rate time units for each
    trajectory, after a warm-up.
    """
    from ddm2snn.conversion.open_loop import drive_of

    start = states[rng.integers(len(states), size=trajectories)]
    paths = Trajectories(rate, clockwork, start, EVERY, rng, kicked)
    drive = drive_of(encoding, neuron, clockwork, rng.random((trajectories, len(pool))), pool)

    def advance(samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        path, target, reached = paths.advance(samples)
        return drive.advance(path, paths.stride), target, reached

    yield from in_blocks(
        advance, paths.every, duration, 8 * trajectories * max(drive.columns, paths.stride * rate.rank)
    )


def visited(
    rate: RateNetwork,
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    states: Float[np.ndarray, "sample rank"],
    pool: Int[np.ndarray, " neuron"],
    decoders: Float[np.ndarray, "rank column"],
    injected_factor: Float[np.ndarray, "rank rank"],
    trials: int,
    duration: float,
    rng: np.random.Generator,
) -> Iterator[tuple[float, np.ndarray, np.ndarray, np.ndarray]]:
    """Yield what `driven` yields, along the spiking network's own path with given decoders, by column."""
    from ddm2snn.conversion.closed_loop import ClosedLoop

    start = states[rng.integers(len(states), size=trials)]
    voltage = rng.random((trials, len(pool)))
    loop = ClosedLoop(rate, encoding, neuron, clockwork, decoders, pool, injected_factor, start, voltage, EVERY, rng)
    yield from in_blocks(loop.advance, loop.every, duration, 8 * trials * decoders.shape[1])


def in_blocks(
    advance: Callable[[int], tuple[np.ndarray, ...]], every: float, duration: float, bytes_each: int
) -> Iterator[tuple[Any, ...]]:
    """Advance by as many samples as fit a block, leave a warm-up out, and yield the finished share with the rest."""
    warm_up, total = (max(1, round(time / every)) for time in (_WARM_UP, duration))
    done, most = -warm_up, max(1, _BLOCK_BYTES // bytes_each)
    while done < total:
        count = min(most, (total if done >= 0 else 0) - done)
        block = advance(count)
        done += count
        if done > 0:
            yield done / total, *block


def pooled(encoding: Encoding, most: int, threshold_current: float = 1.0) -> tuple[Int[np.ndarray, " neuron"], int]:
    """Column of each neuron: its own, or one shared with neighbours of its unit, polarity and threshold."""
    neurons = len(encoding.bias)
    if neurons <= most:
        return np.arange(neurons), neurons
    # neurons of one unit and polarity in the order of the current they get at the origin, relative to their gain
    size = np.linalg.norm(encoding.encoders, axis=1)
    side = np.sign((encoding.encoders * encoding.encoders[_first_of_unit(encoding.unit)]).sum(axis=1))
    order = np.lexsort(((encoding.bias - threshold_current) / np.maximum(size, 1e-300), side, encoding.unit))
    starts = np.flatnonzero(
        np.diff(encoding.unit[order], prepend=-1).astype(bool) | np.diff(side[order], prepend=np.nan).astype(bool)
    )
    lengths = np.diff(np.append(starts, neurons))
    shared = int(np.ceil(neurons / max(1, most - len(starts))))
    groups = np.concatenate([np.arange(length) // shared for length in lengths])
    new = np.diff(groups, prepend=-1).astype(bool)
    new[starts] = True
    pool = np.empty(neurons, dtype=np.int64)
    pool[order] = np.cumsum(new) - 1
    return pool, int(new.sum())


def _first_of_unit(unit: Int[np.ndarray, " neuron"]) -> Int[np.ndarray, " neuron"]:
    """Index of the first neuron of each neuron's unit."""
    _, first, inverse = np.unique(unit, return_index=True, return_inverse=True)
    return first[inverse]
