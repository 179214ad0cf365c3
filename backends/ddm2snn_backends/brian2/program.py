"""C++ standalone programs of the factored loop: compiled once for a shape, run with any network of that shape."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ddm2snn.base.program_cache import fetch
from ddm2snn.errors import InputError
from ddm2snn_backends.brian2.model import Shape, brian2, latents_group, neurons_group

# Brian2's own, and unrolling, which takes a third off the search for spikes; never those of the user's preferences,
# so that a program is a function of its shape
_FLAGS = ("-w", "-O3", "-ffast-math", "-fno-finite-math-only", "-march=native", "-std=c++11", "-funroll-loops")
# GCC alone: latents are read through pointers that could alias the voltages, and above some ten of them it gives up
# on vector instructions instead of checking
_GCC_FLAGS = ("--param=vect-max-version-for-alias-checks=1000",)

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
    sources = [Path(__file__).with_name(f"{name}.py") for name in ("membranes", "model", "program")]
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
        "devices.cpp_standalone.extra_make_args_unix": ["-j", str(len(os.sched_getaffinity(0)))],
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
