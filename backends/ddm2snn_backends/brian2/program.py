"""C++ standalone programs of the factored loop: compiled once for a shape, run with any network of that shape.

A run has one process for each trial, as many at a time as there are cores.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import platform
import selectors
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from ddm2snn.base.program_cache import fetch
from ddm2snn.errors import InputError
from ddm2snn_backends.brian2.model import Shape, Values, brian2, latents_group, neurons_group

if TYPE_CHECKING:
    from jaxtyping import Float

# Brian2's own, and unrolling, which takes a third off the search for spikes; never those of the user's preferences,
# so that a program is a function of its shape
_FLAGS = ("-w", "-O3", "-ffast-math", "-fno-finite-math-only", "-march=native", "-std=c++11", "-funroll-loops")
# GCC alone: latents are read through pointers that could alias the voltages, and above some ten of them it gives up
# on vector instructions instead of checking
_GCC_FLAGS = ("--param=vect-max-version-for-alias-checks=1000",)

_FULL = 28  # ENOSPC, which the program returns where it could not write

NO_COMPILER = "Brian2's C++ standalone mode needs a C++ compiler; none was found. Use mode=numpy."

# The network's own run() asks for processor time and sorts clocks in every step, which takes 0.7 us: as long as a
# thousand neurons. There is one clock here, so that the steps can be taken one after the other.
_STEP = """
        for (size_t i = 0; i < steps_network.objects.size(); i++)
            if (steps_network.objects[i].second) steps_network.objects[i].second();
        steps.tick();
"""

_CLOSED = """
{
    const long last_step = (long) %(steps)s[0], stride = (long) %(stride)s[0], report = (long) %(report)s[0];
    const long first = (long) %(first)s[0], last = (long) %(last)s[0];
    _random_generators[0].seed((unsigned long) %(seed)s[0]);
    std::ofstream samples(results_dir + "samples", std::ios::binary);
    std::ofstream spikes(results_dir + "spikes", std::ios::binary);
    std::ifstream inputs(results_dir + "inputs", std::ios::binary);
    long sample_at = 0, report_at = report;
    for (long step = 0; step < last_step; step++)
    {
        if (step == sample_at)
        {
%(write)s
            sample_at += stride;
        }
%(read)s
        %(step)s
        if (step >= first && step < last)
        {
            const int32_t *fired = %(spikespace)s;
            for (int32_t n = 0; n < fired[%(neurons)s]; n++)
            {
                const int64_t row[2] = {(int64_t) step, (int64_t) fired[n]};
                spikes.write((const char *) row, sizeof(row));
            }
        }
        if (step + 1 == report_at)
        {
            if (!samples || !spikes) break;
            std::cout << report_at << std::endl;
            report_at += report;
        }
    }
    samples.close();
    spikes.close();
    return samples && spikes ? 0 : 28;  // ENOSPC
}
"""

_DRIVEN = """
{
    std::ifstream path(results_dir + "inputs", std::ios::binary);
    double row[%(rank)s];
    while (path.read((char *) row, sizeof(row)))
    {
%(read)s
        %(step)s
        if (fwrite(%(filtered)s, sizeof(%(filtered)s[0]), %(neurons)s, stdout) != %(neurons)s) return 32;  // EPIPE
    }
    fflush(stdout);
    return 0;
}
"""


def compiler() -> str | None:
    """The C++ compiler, if there is one."""
    return shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


def program_of(shape: Shape) -> Path:
    """Program for this shape, from the cache or compiled into it."""
    path = compiler()
    if path is None:
        raise InputError(NO_COMPILER)
    return fetch(_about(shape, Path(path).resolve()), lambda folder: _build(shape, folder))


def _about(shape: Shape, compiler_path: Path) -> dict[str, Any]:
    """Everything that the compiled program depends on."""
    status = compiler_path.stat()
    sources = [Path(__file__).with_name(f"{name}.py") for name in ("model", "program")]
    return {
        "backend": "brian2",
        "shape": dataclasses.asdict(shape),
        "brian2": version("brian2"),
        "compiler": [str(compiler_path), status.st_size, status.st_mtime_ns],
        "flags": _FLAGS,
        "processor": _processor(),
        "source": hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest(),
    }


def _processor() -> str:
    """What -march=native compiles for: the same folder may be shared by different machines."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        traits = sorted(line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part")))
        return hashlib.sha256("\n".join(traits).encode()).hexdigest()[:16]
    return f"{platform.machine()} {platform.processor()}"


def _is_gcc() -> bool:
    """Whether g++, which Brian2's makefile calls, is GCC: on macOS it is Clang under another name."""
    version_of = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=False)
    return version_of.returncode == 0 and "clang" not in version_of.stdout.lower()


@contextlib.contextmanager
def _device(shape: Shape, folder: Path) -> Iterator[Any]:
    """Brian2's standalone device with our flags; device and preferences are as before afterwards."""
    b2 = brian2()
    from brian2.devices import reset_device

    ours = {
        "core.default_float_dtype": shape.dtype,
        "codegen.cpp.extra_compile_args_gcc": [*_FLAGS, *(_GCC_FLAGS if _is_gcc() else ())],
        "devices.cpp_standalone.openmp_threads": 0,
        "devices.cpp_standalone.extra_make_args_unix": ["-j", str(cores())],
    }
    theirs = {name: b2.prefs[name] for name in ours}
    with contextlib.ExitStack() as stack:
        for name, value in ours.items():
            b2.prefs[name] = value
            stack.callback(b2.prefs.__setitem__, name, theirs[name])
        b2.set_device("cpp_standalone", build_on_run=False, directory=str(folder))
        stack.callback(reset_device)
        device = b2.get_device()
        stack.callback(device.reinit)
        yield device


def _build(shape: Shape, folder: Path) -> Path:
    """Generate, compile and return the program."""
    b2 = brian2()
    with _device(shape, folder) as device:
        clock = b2.Clock(b2.second, name="steps")
        latents = latents_group(shape, 1, clock)
        neurons = neurons_group(shape, latents, 1, clock, sends=True)
        parts = [latents, neurons]
        if shape.dense:
            parts.append(dense_synapses(neurons, clock, shape))
        network = b2.Network(*parts, name="steps_network")
        network.run(0 * b2.second, namespace={})

        def array(group: Any, name: str) -> str:  # noqa: ANN401
            return device.get_array_name(group.variables[name])

        names = {"rank": shape.rank, "neurons": shape.neurons, "step": _STEP}
        if shape.driven:
            names["filtered"] = array(neurons, "filtered")
            names["read"] = "\n".join(f"        {array(latents, f'seen{c}')}[0] = row[{c}];" for c in range(shape.rank))
            device.insert_code("main", _DRIVEN % names)
        else:
            names |= {name: array(latents, name) for name in ("steps", "stride", "first", "last", "report", "seed")}
            names["spikespace"] = array(neurons, "_spikespace")
            double = "            samples.write((const char *) %s, sizeof(double));"
            names["write"] = "\n".join(double % array(latents, f"z{c}") for c in range(shape.rank))
            fed = range(shape.rank if shape.stimulus else 0)
            names["read"] = "\n".join(f"        inputs.read((char *) {array(latents, f'input{c}')}, 8);" for c in fed)
            device.insert_code("main", _CLOSED % names)
        device.build(directory=str(folder), compile=True, run=False, with_output=False)
    return folder / "main"


def dense_synapses(neurons: Any, clock: Any, shape: Shape, trials: int = 1) -> Any:  # noqa: ANN401
    """One synapse from every neuron to every neuron of its trial, sender by sender."""
    b2 = brian2()
    synapses = b2.Synapses(
        neurons,
        neurons,
        "w : 1",
        on_pre="arrived_post += w",
        clock=clock,
        name="dense",
        namespace={},
        dtype=shape.dtype,
    )
    if trials == 1:
        synapses.connect()
    else:
        cell = np.arange(trials * shape.neurons).reshape(trials, -1)
        synapses.connect(i=np.repeat(cell, shape.neurons, axis=1).ravel(), j=np.tile(cell, (1, shape.neurons)).ravel())
    return synapses


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def arguments_of(group: str, values: Values, dtype: type[np.generic], folder: Path) -> list[str]:
    """Command line that sets a group's variables: a number as it is, an array through a file in `folder`."""
    parts = []
    for name, value in values.items():
        if np.ndim(value) == 0:
            parts.append(f"{group}.{name}={float(value)!r}")
        else:
            path = folder / f"{group}-{name}"
            np.ascontiguousarray(value, dtype=dtype).tofile(path)
            parts.append(f"{group}.{name}={path}")
    return parts


def command_of(program: Path, results: Path, settings: Sequence[str]) -> list[str]:
    """Command line of a program that has its files in `results`."""
    return [str(program), "--results_dir", f"{results}{os.sep}", *settings]


class _Running:
    """One process, and the last step that it has reported."""

    def __init__(self, parts: list[str], folder: Path) -> None:
        self.errors = folder / "errors"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                parts, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
        self.output = cast("IO[bytes]", self.process.stdout)
        self.step = 0

    def read(self) -> bool:
        """Take in what there is; whether more can come."""
        lines = os.read(self.output.fileno(), 65536).split()
        if lines and lines[-1].isdigit():
            self.step = int(lines[-1])
        return bool(lines)

    def finish(self) -> None:
        """Wait for the end; raises as `_check` does."""
        _check(self.process.wait(), self.errors)
        self.output.close()


def _check(status: int, errors: Path) -> None:
    """Refuse the results of a program that failed.

    Raises
    ------
    InputError
        Where there was no room for its results.
    RuntimeError
        Where it was killed or is not the program it should be.
    """
    message = errors.read_text(encoding="utf-8", errors="replace").strip()
    if status == _FULL:
        raise InputError(f"There is no room left in {errors.parent} for the results of the simulation. Make some.")
    if status != 0 or message:
        raise RuntimeError(f"The compiled Brian2 program ended with status {status}: {message or 'no message'}.")


def run_all(commands: Sequence[list[str]], folders: Sequence[Path], report: Callable[[int], None]) -> None:
    """Run all commands, each in its folder; `report` gets the sum of their steps again and again."""
    waiting = list(range(len(commands)))[::-1]
    running: dict[int, _Running] = {}
    done = 0
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        stack.callback(lambda: [_kill(process) for process in running.values()])
        while waiting or running:
            while waiting and len(running) < cores():
                index = waiting.pop()
                running[index] = _Running(commands[index], folders[index])
                selector.register(running[index].output, selectors.EVENT_READ, index)
            for key, _ in selector.select():
                index: int = key.data
                one = running[index]
                if not one.read():
                    selector.unregister(one.output)
                    one.finish()
                    done += one.step
                    del running[index]
            report(done + sum(one.step for one in running.values()))


def _kill(one: _Running) -> None:
    one.process.kill()
    one.process.wait()
    one.output.close()


def read_blocks(
    parts: list[str], folder: Path, columns: int, dtype: type[np.floating], rows: int
) -> Iterator[Float[np.ndarray, "time neuron"]]:
    """What a program writes to its standard output, in blocks of up to `rows` rows of `columns` numbers."""
    one = _Running(parts, folder)
    try:
        size = columns * np.dtype(dtype).itemsize
        while content := one.output.read(rows * size):
            yield np.frombuffer(content[: len(content) // size * size], dtype=dtype).reshape(-1, columns).astype(float)
        one.finish()
    finally:
        _kill(one)
