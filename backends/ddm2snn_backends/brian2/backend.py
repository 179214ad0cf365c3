"""Adapter to Brian2: a factored loop in runtime (NumPy, Cython) or C++ standalone mode."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.base.arrays import blocks_of, large_array
from ddm2snn.base.costs import Cost
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import child_seed, global_generator_kept
from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.recording import Spikes
from ddm2snn.schedule import OpenLoop, Schedule, SpikeSelection, Trace, blocks
from ddm2snn.stimulus import Stimulus
from ddm2snn_backends.brian2.model import (
    Precision,
    Shape,
    Values,
    brian2,
    latent_values,
    latents_group,
    neuron_values,
    neurons_group,
    sums_of,
    weight_values,
)
from ddm2snn_backends.brian2.program import (
    NO_COMPILER,
    arguments_of,
    command_of,
    compiler,
    dense_synapses,
    program_of,
    read_blocks,
    run_all,
)

if TYPE_CHECKING:
    from jaxtyping import Float

Mode = Literal["auto", "numpy", "cython", "cpp_standalone"]
_BLOCK = 512  # rows of a block of filtered spikes
_PARTS = 100  # reports of progress in a run
_REPORT_S = 0.5

# Measured on two cores with Brian2 2.9: what decides between NumPy and a compiled program. Whether the program is
# there already does not count: the same call gives the same numbers, and the two draw different noise.
_NUMPY_S_PER_STEP, _NUMPY_S_PER_NEURON_STEP = 250e-6, 40e-9
_STANDALONE_S, _STANDALONE_S_PER_NEURON_STEP = 10.0, 1.5e-9

_PREFIX = "ddm2snn-brian2-"  # of temporary folders
_BYTES_PER_SYNAPSE = 40  # of dense weights: weight, both ends and the lists of who reaches whom


class Brian2Backend:
    """Runs the factors in Brian2: spikes add D to k latents, which neurons see through E.

    Parameters
    ----------
    mode
        "numpy" and "cython" run in this process; "cpp_standalone" runs a compiled program, one process for each
        trial, on all cores. A program serves all networks of one shape (neurons, rank, neuron model, noise) and stays
        in a cache (`ddm2snn.base.program_cache`). "auto" takes whichever of "numpy" and "cpp_standalone" should finish
        first, compilation included. Without a compiler "cython" falls back to "numpy" with a warning.
    precision
        "double", or "single" for the neurons (latents stay in double): half the memory, and more than half the time.
    dense
        Weights as single synapses, N^2 of them, instead of factors: "factors" makes them from E and D; an array of
        shape (neuron, neuron), row by row those onto one neuron, takes their place, so that weights can be lesioned.
        Recorded latents are decoded from the spikes as before.
    """

    name = "brian2"
    spike_timing: SpikeTiming = "grid"

    def __init__(
        self,
        mode: Mode = "auto",
        precision: Precision = "double",
        dense: Literal["factors"] | Float[np.ndarray, "neuron neuron"] | None = None,
    ) -> None:
        for option, value, choices in (("mode", mode, Mode), ("precision", precision, Precision)):
            if value not in get_args(choices):
                raise InputError(f"Brian2 has no {option} {value!r}; choose one of {', '.join(get_args(choices))}.")
        if isinstance(dense, str) and dense != "factors":
            raise InputError(f"dense must be 'factors', an array of weights or None, got {dense!r}.")
        self.mode: Mode = mode
        self.precision: Precision = precision
        self.dense = dense

    def __repr__(self) -> str:
        dense = self.dense if self.dense is None or isinstance(self.dense, str) else np.shape(self.dense)
        return f"Brian2Backend(mode={self.mode!r}, precision={self.precision!r}, dense={dense!r})"

    def unsupported(self, network: SpikingNetwork, *, dt_s: float, stimulus: Stimulus) -> list[Unsupported]:
        """Dense weights that do not fit the memory or the network."""
        if self.dense is None:
            return []
        gaps, count = [], network.neurons
        needed, free = _BYTES_PER_SYNAPSE * count**2, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if needed > free:
            reason = f"{count} x {count} synapses take {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free"
            gaps.append(Unsupported("dense", reason, "Run the factors, which take the place of all of them"))
        if not isinstance(self.dense, str) and np.shape(self.dense) != (count, count):
            reason = f"weights have shape {np.shape(self.dense)}"
            gaps.append(Unsupported("dense", reason, f"Give shape ({count}, {count})"))
        return gaps

    def run(self, schedule: Schedule, progress: Progress) -> Trace:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        mode = self._choose(schedule.steps, schedule.trials, schedule.network.neurons)
        shape = Shape.of_run(schedule, self.precision, dense=self.dense is not None)
        run = _run_program if mode == "cpp_standalone" else _run_here
        latent, spikes = run(schedule, shape, mode, self._weights(schedule.network), progress)
        progress(1.0)
        options = {"mode": mode} | ({} if self.precision == "double" else {"precision": self.precision})
        options |= {} if self.dense is None else {"dense": True}
        return Trace(latent, spikes, {"brian2": version("brian2"), "numpy": np.__version__}, options)

    def drive(self, loop: OpenLoop) -> Iterator[Float[np.ndarray, "time neuron"]]:
        """Open loop; see `ddm2snn.backend.Backend.drive`. A compiled program streams through a pipe."""
        if self.dense is not None:
            raise UnsupportedError("Backend brian2 has no open loop of dense weights. Leave dense out.")
        mode = self._choose(len(loop.path), 1, loop.network.neurons)
        shape = Shape.of_drive(loop, self.precision)
        return _drive_program(loop, shape) if mode == "cpp_standalone" else _drive_here(loop, shape, mode)

    def _choose(self, steps: int, trials: int, neurons: int) -> Mode:
        if self.mode != "auto":
            return _with_compiler(self.mode)
        cells = neurons * (neurons if self.dense is not None else 1)
        in_numpy_s = steps * (_NUMPY_S_PER_STEP + trials * cells * _NUMPY_S_PER_NEURON_STEP)
        standalone_s = _STANDALONE_S + steps * trials * cells * _STANDALONE_S_PER_NEURON_STEP
        return "cpp_standalone" if standalone_s < in_numpy_s and compiler() else "numpy"

    def _weights(self, network: SpikingNetwork) -> Float[np.ndarray, "neuron neuron"] | None:
        """Dense weights: rows are the neurons that they reach."""
        if self.dense is None:
            return None
        return network.encoders @ network.decoders if isinstance(self.dense, str) else np.asarray(self.dense, float)


def _with_compiler(mode: Mode) -> Mode:
    if mode in ("numpy", "auto") or compiler():
        return mode
    if mode == "cpp_standalone":
        raise InputError(NO_COMPILER)
    warnings.warn("No C++ compiler was found: Brian2 runs in NumPy mode instead of Cython.", stacklevel=5)
    return "numpy"


_Results = tuple["Float[np.ndarray, 'trial time rank']", "Spikes | None"]
_Weights = "Float[np.ndarray, 'neuron neuron'] | None"


@contextlib.contextmanager
def _isolated(mode: Mode, precision: Precision, seed: int) -> Iterator[None]:
    """Seed and configure Brian2 for one run and leave device, preferences and NumPy's generator as they were."""
    b2 = brian2()
    from brian2.devices import reset_device

    ours = {"codegen.target": mode, "core.default_float_dtype": np.float32 if precision == "single" else np.float64}
    with contextlib.ExitStack() as stack:
        stack.enter_context(global_generator_kept())
        b2.set_device("runtime")
        stack.callback(reset_device)
        for name, value in ours.items():
            stack.callback(b2.prefs.__setitem__, name, b2.prefs[name])
            b2.prefs[name] = value
        b2.seed(seed)
        yield


def _assign(group: Any, values: Values, copies: int) -> None:  # noqa: ANN401 - Brian2 objects are untyped
    """Set a group's variables; an array of one trial serves all."""
    for name, value in values.items():
        size = len(group) if np.ndim(value) else 1
        setattr(group, name, np.tile(value, copies) if np.size(value) * copies == size != 1 else value)


def _run_here(schedule: Schedule, shape: Shape, mode: Mode, weights: Any, progress: Progress) -> _Results:  # noqa: ANN401
    """All trials together, in this process."""
    b2 = brian2()
    with _isolated(mode, shape.precision, child_seed(schedule.seed, "brian2", "noise")):
        network, samples, monitor = _model(schedule, shape, weights)
        report = {"report": lambda elapsed, share, *_: progress(share), "report_period": _REPORT_S * b2.second}
        network.run(schedule.steps * b2.second, namespace={}, **report)
        latent = np.stack([np.asarray(getattr(samples, f"z{c}")) for c in range(shape.rank)], axis=-1)
        if monitor is None:
            return latent, None
        trial, neuron = np.divmod(np.asarray(monitor.i), shape.neurons)
        # Brian2 reports the start of the step at whose end the threshold is crossed
        step = np.rint(np.asarray(monitor.t_)) + 1
        return latent, Spikes.sorted(step * schedule.dt_s, neuron, trial)


def _model(schedule: Schedule, shape: Shape, weights: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
    """Network of all trials, its samples of the latents, and its spikes where they are recorded."""
    b2, trials = brian2(), schedule.trials
    clock = b2.Clock(b2.second)
    latents = latents_group(shape, trials, clock, None if schedule.stimulus.empty else schedule.inputs()[:])
    neurons = neurons_group(shape, latents, trials, clock, sends=False)
    trial = np.repeat(np.arange(trials), shape.neurons)
    neurons.trial = trial
    _assign(latents, latent_values(shape, schedule), 1)
    _assign(neurons, neuron_values(shape, schedule), trials)
    neurons.v = schedule.initial_voltage.ravel()
    parts = [latents, neurons]
    if weights is not None:
        _assign(neurons, {name: value.ravel() for name, value in _recurrent(schedule).items()}, 1)
        parts.append(dense_synapses(neurons, clock, shape, trials))
        parts[-1].w = np.tile(weights.T.ravel(), trials)
    values, sums = weight_values(shape, schedule), sums_of(shape)
    send = "\n".join(f"{total}_post += {name}" for name, total in sums.items())
    declared = "\n".join(f"{name} : 1 (constant)" for name in sums)
    synapses = b2.Synapses(neurons, latents, declared, on_pre=send, clock=clock, name="decoders", namespace={})
    synapses.connect(i=np.arange(len(trial)), j=trial)
    _assign(synapses, values, trials)
    names = [f"z{c}" for c in range(shape.rank)]
    samples = b2.StateMonitor(latents, names, record=True, dt=schedule.stride * b2.second, when="start", name="samples")
    spikes = b2.SpikeMonitor(neurons, name="spikes") if schedule.spikes is not None else None
    parts += [synapses, samples, *([spikes] if spikes is not None else [])]
    return b2.Network(*parts), samples, spikes


def _recurrent(schedule: Schedule) -> dict[str, Float[np.ndarray, "trial neuron"]]:
    """Current of dense weights at the start, E z, and what is still to rise, before both decay in the first step."""
    start, rising = schedule.initial_latent, {}
    if schedule.network.rise_s:
        decoded = (1.0 - schedule.decay) * schedule.initial_decoded
        start, rising = start - decoded, {"risen": decoded @ schedule.network.encoders.T / schedule.rise_decay}
    return {"recurrent": start @ schedule.network.encoders.T / schedule.decay, **rising}


def _drive_here(loop: OpenLoop, shape: Shape, mode: Mode) -> Iterator[Float[np.ndarray, "time neuron"]]:
    """Drive block by block: whoever takes the blocks finds Brian2 as it was."""
    b2, seed = brian2(), child_seed(loop.seed, "brian2", "noise")
    rows: list[np.ndarray] = []
    with _isolated(mode, shape.precision, seed):
        clock = b2.Clock(b2.second)
        latents = latents_group(shape, 1, clock, loop.path[:, None])
        neurons = neurons_group(shape, latents, 1, clock, sends=False)
        _assign(neurons, neuron_values(shape, loop), 1)
        neurons.v = loop.initial_voltage

        def append() -> None:
            rows.append(np.array(neurons.filtered_[:], dtype=float))

        network = b2.Network(latents, neurons, b2.NetworkOperation(append, clock=clock, when="end"))
    for block in blocks(len(loop.path), _BLOCK):
        with _isolated(mode, shape.precision, seed):
            network.run(len(block) * b2.second, namespace={})
        yield np.array(rows)
        rows.clear()


def _run_program(schedule: Schedule, shape: Shape, mode: Mode, weights: Any, progress: Progress) -> _Results:  # noqa: ANN401
    """One process of the compiled program for each trial."""
    numbers = schedule.trials * schedule.samples * schedule.network.rank
    remedy = "Choose a shorter duration or a longer sampling interval (every)"
    Cost("run", remedy, disk=2 * 8 * numbers).checked()  # as the processes write them, and once more gathered
    program = program_of(shape)
    report = max(1, schedule.steps // _PARTS)
    shared = weight_values(shape, schedule) | neuron_values(shape, schedule)
    with _work_folder() as work:
        for_all = arguments_of("neurons", shared, shape.dtype, work)
        if weights is not None:
            for_all += arguments_of("dense", {"w": weights.T.ravel()}, shape.dtype, work)
        given = schedule.inputs()
        for condition in range(given.distinct.shape[1] if shape.stimulus else 0):
            given.distinct[:, condition].tofile(work / f"inputs-{condition}")
        latents = latent_values(shape, schedule)
        settings: Values = {"steps": schedule.steps, "stride": schedule.stride, "report": report}
        settings |= dict(zip(("first", "last"), _spike_steps(schedule), strict=True))
        folders, commands = [work / f"trial-{trial}" for trial in range(schedule.trials)], []
        for trial, folder in enumerate(folders):
            folder.mkdir()
            if shape.stimulus:
                (folder / "inputs").symlink_to(work / f"inputs-{given.condition(trial)}")
            own = {name: value if np.ndim(value) == 0 else value[trial] for name, value in latents.items()}  # pyright: ignore[reportIndexIssue]
            own |= settings | {"seed": child_seed(schedule.seed, "brian2", "noise", str(trial))}
            start: Values = {"v": schedule.initial_voltage[trial]}
            start |= {n: value[trial] for n, value in _recurrent(schedule).items()} if weights is not None else {}
            arguments = for_all + arguments_of("latents", own, np.float64, folder)
            arguments += arguments_of("neurons", start, shape.dtype, folder)
            commands.append(command_of(program, folder, arguments))
        run_all(commands, folders, lambda steps: progress(steps / (schedule.steps * schedule.trials)))
        return _results(schedule, folders)


def _spike_steps(schedule: Schedule) -> tuple[int, int]:
    """Steps between which the program writes spikes: those of the window, and one at each end for rounding."""
    if schedule.spikes is None:
        return 0, 0
    first, last = schedule.spikes.window or (0.0, np.inf)
    unit = schedule.network.time_unit_s / schedule.dt_s
    return max(0, int(first * unit) - 2), int(min(schedule.steps, last * unit + 1))


def _results(schedule: Schedule, folders: list[Path]) -> _Results:
    latent = large_array((schedule.trials, schedule.samples, schedule.network.rank))
    for trial, folder in enumerate(folders):
        latent[trial] = np.memmap(folder / "samples", mode="r", shape=latent.shape[1:], dtype=np.float64)
        (folder / "samples").unlink()
    if schedule.spikes is None:
        return latent, None
    return latent, _spikes_of(schedule, schedule.spikes, [folder / "spikes" for folder in folders])


def _spikes_of(schedule: Schedule, selection: SpikeSelection, files: list[Path]) -> Spikes:
    """Selected spikes, read a block at a time; the program writes them in order."""
    rows = [file.stat().st_size // 16 for file in files]
    columns = [large_array((sum(rows),), dtype) for dtype in (np.float64, np.int64, np.int64)]
    end = 0
    for trial, (file, count) in enumerate(zip(files, rows, strict=True)):
        for part in blocks_of(count):
            step, neuron = (
                np.fromfile(file, np.int64, 2 * (part.stop - part.start), offset=16 * part.start).reshape(-1, 2).T
            )
            # the program writes the step at whose end the threshold is crossed, counted from 0
            block = Spikes((step + 1) * schedule.dt_s, neuron, np.full(len(step), trial))
            block = selection.of(block, schedule.network.time_unit_s)
            place = slice(end, end + len(block.trial))
            for column, values in zip(columns, (block.time_s, block.neuron, block.trial), strict=True):
                column[place] = values
            end = place.stop
        file.unlink()
    for column in columns:
        column.setflags(write=False)
    return Spikes(*(column[:end] for column in columns))


def _drive_program(loop: OpenLoop, shape: Shape) -> Iterator[Float[np.ndarray, "time neuron"]]:
    program = program_of(shape)
    with _work_folder() as work:
        np.ascontiguousarray(loop.path).tofile(work / "inputs")
        values = neuron_values(shape, loop) | {"v": loop.initial_voltage}
        command = command_of(program, work, arguments_of("neurons", values, shape.dtype, work))
        yield from read_blocks(command, work, shape.neurons, shape.dtype, _BLOCK)


def _remove_abandoned(owner: str) -> None:
    """Remove folders of processes of this machine that were killed, with all samples that they had so far."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*") if os.name == "posix" else ():
        number = folder.name.removeprefix(owner).split("-")[0]
        if folder.name.startswith(owner) and number.isdecimal():
            try:
                os.kill(int(number), 0)  # asks whether there is such a process
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)
            except OSError:
                continue  # a process of another user


@contextlib.contextmanager
def _work_folder() -> Iterator[Path]:
    owner = f"{_PREFIX}{platform.node()}-"
    _remove_abandoned(owner)
    try:
        with tempfile.TemporaryDirectory(prefix=f"{owner}{os.getpid()}-") as folder:
            yield Path(folder)
    except OSError as error:
        if error.errno != 28:  # ENOSPC
            raise
        free = shutil.disk_usage(tempfile.gettempdir()).free
        raise InputError(
            f"There is no room left in {tempfile.gettempdir()} for a simulation ({free / 2**20:.0f} MiB free). "
            "Make some, or set TMPDIR to another folder."
        ) from error
