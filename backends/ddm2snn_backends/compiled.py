"""The backend `compiled`: one loop that Numba compiles, on the threads of a machine and on ranks over machines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.base.arrays import as_count, large_array
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import stream
from ddm2snn.base.threads import workers
from ddm2snn.conversion.kernels.membranes import membrane_of
from ddm2snn.errors import InputError
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Spikes
from ddm2snn.schedule import OpenLoop, Schedule, Trace, blocks
from ddm2snn.stimulus import Stimulus
from ddm2snn_backends import compiled_loop as loop
from ddm2snn_backends.compiled_ranks import Partial, Ranks, mpi_gaps, ranks_of_world

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Precision = Literal["double", "single"]
_TOGETHER = 3  # latents in one pass over a tile, as the loop has it [code]
_LEAST_PER_THREAD = 32_768  # neurons; with fewer, waiting for each other takes what a second thread saves [cost]
_BLOCK_WORK = 2**23  # neurons times steps between two reports, some 10 ms [cost]
_BLOCK_STEPS, _DRIVE_STEPS = 4096, 512  # at most, for which normal numbers, or filtered spikes, are held [cost]
_MOST_SPIKES = 2**20  # of a block [cost]


class CompiledBackend:
    """One compiled loop without a C++ compiler, for one huge network or many trials; spikes are the reference's.

    With the same seed it draws the reference's noise. The bits of its numbers do not depend on threads and ranks.

    Parameters
    ----------
    threads
        Number of threads: of whole trials where there are as many, else of parts of the neurons. By default the cores
        that this process may use (or OMP_NUM_THREADS), as far as each gets enough neurons; one for each rank.
    precision
        "double", or "single" for the neurons (latents stay in double): half the memory, and about half the time.
    ranks
        Whether the processes of an MPI run (``mpiexec -n 4 ...``) share the neurons of each trial. All of them call
        `simulate` alike and get the latents; only rank 0 gets spikes.
    partial
        File (.nc) for a recording of the latents so far, which rank 0 writes after a second and then now and then: what
        is left of a run that is killed.
    """

    name = "compiled"
    spike_timing: SpikeTiming = "grid"

    def __init__(
        self,
        threads: int | str | None = None,
        precision: Precision = "double",
        ranks: bool | str = False,
        partial: Path | str | None = None,
    ) -> None:
        if precision not in get_args(Precision):
            raise InputError(
                f"Backend compiled has no precision {precision!r}; choose one of {', '.join(get_args(Precision))}."
            )
        if str(ranks).lower() not in ("true", "false"):
            raise InputError(f"ranks must be true or false, got {ranks!r}.")
        count = int(threads) if isinstance(threads, str) and threads.isdecimal() else threads
        self.threads = None if count is None else as_count("threads", count)
        self.precision: Precision = precision
        self.ranks = str(ranks).lower() == "true"
        self.partial = None if partial is None else Path(partial)

    def __repr__(self) -> str:
        return f"CompiledBackend(threads={self.threads}, precision={self.precision!r}, ranks={self.ranks})"

    @property
    def rank(self) -> int:
        """Number of this process among those that share the neurons; 0 where it has them all."""
        return ranks_of_world().rank if self.ranks and not mpi_gaps() else 0

    def unsupported(self, network: SpikingNetwork, *, dt_s: float, stimulus: Stimulus) -> list[Unsupported]:
        """Ranks without MPI, or more of them than there are chunks of neurons."""
        return mpi_gaps(_chunks(network.neurons)[1]) if self.ranks else []

    def run(self, schedule: Schedule, progress: Progress) -> Trace:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        ranks = ranks_of_world() if self.ranks else None
        partial = Partial(self.partial, schedule) if self.partial is not None and self.rank == 0 else None
        with contextlib.nullcontext() if ranks is None else ranks.all_or_none():
            simulation = _Simulation(schedule, self.precision, self._threads(schedule), ranks)
            latent, spikes = simulation.run(progress, partial)
        options = {} if self.precision == "double" else {"precision": self.precision}
        return Trace(latent, spikes, {"numba": version("numba"), "numpy": np.__version__}, options)

    def drive(self, loop: OpenLoop) -> Iterator[Float[np.ndarray, "time neuron"]]:
        """Open loop, by the kernels of calibration; see `ddm2snn.backend.Backend.drive`."""
        network, count = loop.network, loop.network.neurons
        inputs = np.ascontiguousarray(network.encoders.T), np.ascontiguousarray(network.bias)
        kernel, constants, state = membrane_of(network.neuron, loop.dt_s, self.spike_timing, loop.initial_voltage[None])
        gain = (1.0 - loop.decay) * (1.0 - loop.rise_decay) / loop.dt_s
        synapses = loop.decay, loop.rise_decay, gain, np.arange(count)
        for block in blocks(len(loop.path), _DRIVE_STEPS):
            rows = np.zeros((1, len(block), count))
            path = np.ascontiguousarray(loop.path[None, block.start : block.stop])
            kernel(path, inputs, constants, synapses, 1, state, rows)
            yield rows[0]

    def _threads(self, schedule: Schedule) -> int:
        """Threads that a run gets."""
        if self.threads is not None:
            return self.threads
        if self.ranks:
            return 1
        most = workers()
        return most if schedule.trials >= most else max(1, min(most, schedule.network.neurons // _LEAST_PER_THREAD))


def _chunks(neurons: int) -> tuple[int, int]:
    """Tiles of each chunk, and the number of chunks: the same whatever computes them."""
    tiles = -(-neurons // loop.TILE)
    of_chunk = max(loop.CHUNK_TILES, -(-tiles // loop.MOST_CHUNKS))
    return of_chunk, -(-tiles // of_chunk)


@dataclass(frozen=True, eq=False)
class _Population:
    """The neurons of one process: what the loop takes of them, but for their state, and their place among all."""

    model: int
    constants: Float[np.ndarray, " constant"]
    decay: Float[np.ndarray, "tile place"]
    bias: Float[np.ndarray, "tile place"]
    weights: Float[np.ndarray, "tile latent place"]
    decoders: Float[np.ndarray, "tile place row"]
    first: int
    last: int

    @classmethod
    def of(cls, schedule: Schedule, first: int, last: int, dtype: type[np.floating[Any]]) -> _Population:
        """Neurons from `first` to before `last`, in whole tiles."""
        network, some = schedule.network, slice(first, last)
        model, constants, decay = membrane_constants(network.neuron, schedule.dt_s)
        shared = np.ndim(decay) == 0
        factor = schedule.factor
        rows = [network.decoders] if factor is None else [network.decoders, factor.decoders]
        latents = -(-network.rank // _TOGETHER) * _TOGETHER
        weights = np.zeros((latents, last - first), dtype)
        weights[: network.rank] = network.encoders[some].T
        return cls(
            model=model,
            constants=np.array([decay if shared else 0.0, *constants], dtype),
            decay=np.zeros((1, 1), dtype) if shared else _tiled(np.asarray(decay, dtype)[None, some])[:, 0],
            # neurons that fill up the last tile have a current below zero and never fire
            bias=_tiled(network.bias[None, some].astype(dtype), fill=-1.0)[:, 0],
            weights=_tiled(weights),
            decoders=_tiled(np.concatenate([each[:, some] for each in rows])).swapaxes(1, 2).copy(),
            first=first,
            last=last,
        )

    def start(self, voltage: Float[np.ndarray, " neuron"]) -> tuple[Any, ...]:
        """The neurons as the loop takes them, at voltages of their own."""
        dtype = self.bias.dtype
        v = _tiled(voltage[None, self.first : self.last].astype(dtype))[:, 0].copy()
        raised = np.zeros_like(v if self.model == loop.ADAPTIVE else v[:1])
        return self.model, self.constants, self.decay, self.bias, self.weights, self.decoders, v, raised


def _tiled(rows: np.ndarray, fill: float = 0.0) -> Float[np.ndarray, "tile row place"]:
    """Rows over neurons, cut into tiles."""
    tiles = -(-rows.shape[1] // loop.TILE)
    full = np.full((len(rows), tiles * loop.TILE), fill, rows.dtype)
    full[:, : rows.shape[1]] = rows
    return np.ascontiguousarray(full.reshape(len(rows), tiles, loop.TILE).swapaxes(0, 1))


def membrane_constants(neuron: Any, dt_s: float) -> tuple[int, tuple[float, ...], float | np.ndarray]:  # noqa: ANN401
    """Code of a model's membrane, its constants behind the decay, and the decay of all neurons or of each."""
    if neuron.name == "rectified-linear":
        return loop.LINEAR, (0.0, 0.0, dt_s / neuron.tau_membrane_s, 0.0, 0.0), 0.0
    refractory, decay = float(neuron.refractory_steps(dt_s)), neuron.decay_factor(dt_s)
    mark = -refractory - 1.0  # below what refractory neurons hold
    if neuron.name == "adaptive-lif":
        return loop.ADAPTIVE, (refractory, mark, 0.0, neuron.threshold_factor(dt_s), neuron.threshold_jump), decay
    return (loop.LEAKY_EACH if np.ndim(decay) else loop.LEAKY), (refractory, mark, 0.0, 0.0, 0.0), decay


class _Simulation:
    """A run: its trials, each with its state, block after block of steps."""

    def __init__(self, schedule: Schedule, precision: Precision, threads: int, ranks: Ranks | None) -> None:
        self.schedule, self.ranks, self.threads = schedule, ranks, threads
        self.of_chunk, chunks = _chunks(schedule.network.neurons)
        first, last = (0, chunks) if ranks is None else ranks.part(chunks)
        self.chunks = last - first
        width = self.of_chunk * loop.TILE
        edges = first * width, min(last * width, schedule.network.neurons)
        dtype = np.float64 if precision == "double" else np.float32
        self.population = _Population.of(schedule, *edges, dtype)
        self.together = ranks is not None or schedule.trials < threads  # threads share the neurons of each trial
        self.teams = min(threads, self.chunks) if self.together else 1
        self.rows = self.population.decoders.shape[2]
        self.sync = np.zeros(2 * loop.STATE, np.int64)

    def run(
        self, progress: Progress, partial: Partial | None
    ) -> tuple[Float[np.ndarray, "trial sample rank"], Spikes | None]:
        """Latents at the samples, and spikes where they are recorded."""
        schedule = self.schedule
        trials, rank = schedule.trials, schedule.network.rank
        inputs, rng = schedule.inputs(), stream(schedule.seed, "reference", "noise")
        latent = large_array((trials, schedule.samples, rank))
        states = [_Trial(self, trial) for trial in range(trials)]
        # the same on all ranks: in the exchange of each step all are at the same trial
        size = -(-schedule.network.neurons // (1 if self.ranks is None else self.ranks.size))
        length = max(1, min(_BLOCK_STEPS, _BLOCK_WORK // size))
        if schedule.spikes is not None:
            length = max(1, min(length, _MOST_SPIKES // size))
        with ThreadPoolExecutor(max(self.threads, 1)) as pool:
            for block in blocks(schedule.steps, length):
                white = rng.standard_normal((len(block), trials, rank))
                some = inputs[block.start : block.stop]

                def advance(
                    trial: int, block: range = block, white: np.ndarray = white, some: np.ndarray = some
                ) -> None:
                    own = some[:, trial % some.shape[1]]
                    states[trial].advance(pool, block, own, white[:, trial], latent[trial])

                if self.together or self.threads == 1:
                    for trial in range(trials):
                        advance(trial)
                else:
                    self.all_of(pool, [lambda trial=trial: advance(trial) for trial in range(trials)])
                progress(block.stop / schedule.steps)
                if partial is not None:
                    partial.keep(latent, block.stop)
        if schedule.spikes is None:
            return latent, None
        return latent, self._spikes(states)

    def all_of(self, pool: ThreadPoolExecutor, work: list[Callable[[], Any]]) -> list[Any]:
        """Results of pieces of work on threads; where one fails or the caller is interrupted, all end."""
        tasks = []
        try:
            tasks += [pool.submit(each) for each in work]
            wait(tasks)
            return [task.result() for task in tasks]
        except BaseException:
            self.sync[loop.STATE] = loop.STOP
            raise

    def _spikes(self, states: list[_Trial]) -> Spikes:
        """Selected spikes of all trials, and of all ranks on rank 0."""
        selection, schedule = self.schedule.spikes, self.schedule
        step, neuron, trial = [], [], []
        for state in states:
            steps, neurons = (np.concatenate(column) if column else np.empty(0, np.int64) for column in state.spikes)
            if self.ranks is not None:
                steps, neurons = self.ranks.gathered(steps), self.ranks.gathered(neurons)
                order = np.argsort(steps, kind="stable")  # ranks come in the order of their neurons
                steps, neurons = steps[order], neurons[order]
            step.append(steps)
            neuron.append(neurons)
            trial.append(np.full(len(steps), state.trial))
        time_s = (np.concatenate(step) + 1) * schedule.dt_s
        spikes = Spikes(time_s, np.concatenate(neuron), np.concatenate(trial))
        return spikes if selection is None else selection.of(spikes, schedule.network.time_unit_s)


class _Trial:
    """One trial: its neurons, a copy of its latents for each thread of a team, and its spikes."""

    def __init__(self, simulation: _Simulation, trial: int) -> None:
        schedule, rank = simulation.schedule, simulation.schedule.network.rank
        self.simulation, self.trial = simulation, trial
        self.neurons = simulation.population.start(schedule.initial_voltage[trial])
        factor = schedule.factor
        entries = np.empty(0) if factor is None else factor.start[trial]
        start = schedule.initial_latent[trial], schedule.initial_decoded[trial], entries
        self.loops = [
            (*(np.array(each, dtype=np.float64) for each in start), np.zeros(rank), np.zeros(rank), np.zeros(rank))
            for _ in range(simulation.teams)
        ]
        ranks, chunks = simulation.ranks, simulation.chunks
        width = chunks if ranks is None else ranks.width(_chunks(schedule.network.neurons)[1])
        self.sums = np.zeros((2, width, simulation.rows))
        self.gathered = np.zeros((2, 0 if ranks is None else width * ranks.size, simulation.rows))
        factor_decay = 0.0 if factor is None else factor.decay
        self.numbers = schedule.decay, schedule.rise_decay, factor_decay, schedule.dt_s, schedule.noise_scale
        self.spikes: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])

    def advance(
        self, pool: ThreadPoolExecutor, block: range, inputs: np.ndarray, white: np.ndarray, latent: np.ndarray
    ) -> None:
        """Go on for a block of steps."""
        simulation, schedule = self.simulation, self.simulation.schedule
        sections = schedule.noise_sections
        sections = np.zeros((0, 5)) if sections is None else np.ascontiguousarray(sections)
        course = np.ascontiguousarray(inputs), np.ascontiguousarray(white), schedule.noise_factor, sections
        keep = schedule.spikes is not None and _meets(block, schedule)
        ranks, teams = simulation.ranks, simulation.teams
        mpi = np.zeros(0, np.int64) if ranks is None else ranks.addresses
        edges = np.arange(teams + 1) * simulation.chunks // teams
        first_tile = simulation.population.first // loop.TILE
        if teams > 1:
            simulation.sync[loop.COUNTER] = 0

        def part(thread: int) -> tuple[np.ndarray, np.ndarray]:
            first, last = int(edges[thread]), int(edges[thread + 1])
            counts = np.zeros(len(block), np.int64)
            most = (last - first) * simulation.of_chunk * loop.TILE * len(block) if keep else 0
            fired = np.empty(most, np.int32)
            samples = latent if thread == 0 else latent[:0]
            done = loop.advance(
                (first, last, simulation.of_chunk, first_tile), self.neurons, self.numbers, course, self.loops[thread],
                (self.sums, self.gathered, simulation.sync, teams, thread, mpi), (fired, counts),
                (samples, schedule.stride, block.start),
            )  # fmt: skip
            if done < len(block) and simulation.sync[loop.STATE] == loop.LOST:
                raise InputError("A rank was lost. Repeat the command.")
            return counts, fired[: counts.sum()] if keep else fired

        work = [lambda thread=thread: part(thread) for thread in range(teams)]
        parts = [part(0)] if teams == 1 and ranks is None else simulation.all_of(pool, work)
        if keep:
            self._keep(block, parts)

    def _keep(self, block: range, parts: list[tuple[Int[np.ndarray, " step"], Int[np.ndarray, " spike"]]]) -> None:
        """Put the spikes of all threads in order and keep those of the selected neurons."""
        selection = self.simulation.schedule.spikes
        steps = np.concatenate([np.repeat(np.arange(block.start, block.stop), counts) for counts, _ in parts])
        neurons = np.concatenate([fired for _, fired in parts]).astype(np.int64)
        if len(parts) > 1:
            order = np.argsort(steps, kind="stable")  # threads come in the order of their neurons
            steps, neurons = steps[order], neurons[order]
        if selection is not None and selection.neurons is not None:
            chosen = np.isin(neurons, np.asarray(selection.neurons))
            steps, neurons = steps[chosen], neurons[chosen]
        for column, values in zip(self.spikes, (steps, neurons), strict=True):
            column.append(values)


def _meets(block: range, schedule: Schedule) -> bool:
    """Whether a block may have spikes within the window; one step more at each end, for rounding."""
    if schedule.spikes is None or schedule.spikes.window is None:
        return True
    first, last = (moment * schedule.network.time_unit_s / schedule.dt_s for moment in schedule.spikes.window)
    return block.stop >= first - 2 and block.start <= last + 2
