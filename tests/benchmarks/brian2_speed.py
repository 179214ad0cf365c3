"""Speed of the Brian2 backend beside a C loop, dense Brian2 and Nengo: `python tests/benchmarks/brian2_speed.py`.

Every figure is a ratio within this run. Times are the smallest of a few repeats of each side by turns; costs of a
step are differences between a long and a short run, so that starting up is not in them, unless a row says "whole".
The C loop (factored_loop.c, gcc -O3 -march=native -ffast-math) does the arithmetic by hand, in single precision.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import unittest.mock
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ddm2snn_backends.brian2 import Brian2Backend
from ddm2snn_backends.nengo import NengoBackend, extensions
from scipy.sparse import block_diag, coo_matrix

import ddm2snn
from ddm2snn.backend import Backend

DT_S, TIME_UNIT_S = 1e-4, 0.1
SINGLE, DOUBLE = Brian2Backend("cpp_standalone", "single"), Brian2Backend("cpp_standalone")
Row = tuple[str, str, float, str]


def network_of(neurons: int, rank: int = 3, rate_hz: float = 20.0, dt_s: float = DT_S) -> ddm2snn.SpikingNetwork:
    """Neurons at a rate, which latents hardly change: the cost is that of a converted network, the rate is known."""
    rng = np.random.default_rng(1)
    neuron = ddm2snn.LIF()
    return ddm2snn.SpikingNetwork(
        encoders=1e-3 * rng.uniform(-1, 1, (neurons, rank)),
        bias=np.full(neurons, float(neuron.current_at_rate(np.array(rate_hz)))),
        decoders=1e-3 / neurons * rng.uniform(-1, 1, (rank, neurons)),
        unit=np.arange(neurons),
        rate_left_vectors=np.ones((neurons, rank)),
        diffusion_factor=np.zeros((rank, rank)),
        input_map=np.eye(rank),
        latent_offset=np.zeros(rank),
        latent_scale=np.ones(rank),
        initial_latent=np.full((1, rank), 0.1),
        neuron=neuron,
        time_unit_s=TIME_UNIT_S,
        dt_s=dt_s,
        spike_timing="grid",
        backend="brian2",
        rate_fingerprint="",
    )


def seconds_of(backend: Backend, network: ddm2snn.SpikingNetwork, steps: int, trials: int = 1) -> float:
    """Wall time of one whole call."""
    began = time.perf_counter()
    duration = steps * network.dt_s / network.time_unit_s
    ddm2snn.simulate(network, backend=backend, duration=duration, trials=trials, seed=1, every=duration)
    return time.perf_counter() - began


def step_ns(backend: Backend, neurons: int, steps: int, repeats: int = 3, **options: float) -> float:
    """Cost per neuron and step: a run of twice the steps less a run of as many, after one that compiles."""
    network = network_of(neurons, **options)  # pyright: ignore[reportArgumentType]
    seconds_of(backend, network, 1)
    once, twice = (min(seconds_of(backend, network, count) for _ in range(repeats)) for count in (steps, 2 * steps))
    return (twice - once) * 1e9 / (neurons * steps)


def c_loop(folder: Path) -> Callable[[int, int], float]:
    """The compiled C loop: ns per neuron and step of so many neurons and steps."""
    source, program = Path(__file__).with_name("factored_loop.c"), folder / "factored_loop"
    subprocess.run(["gcc", "-O3", "-march=native", "-ffast-math", str(source), "-o", str(program), "-lm"], check=True)
    bias = float(ddm2snn.LIF().current_at_rate(np.array(20.0)))

    def measure(neurons: int, steps: int) -> float:
        said = subprocess.run([str(program), str(neurons), str(steps), str(bias)], capture_output=True, check=True)
        cost, rate = map(float, said.stdout.split())
        if abs(rate - 20.0) > 1.0:
            raise SystemExit(f"The C loop fires at {rate} Hz instead of 20.")
        return cost

    return measure


def inner_and_whole(folder: Path) -> list[Row]:
    """Steps and whole calls of 65,536 neurons over the C loop."""
    loop, count, steps = c_loop(folder), 65536, 20000
    network = network_of(count)
    seconds_of(SINGLE, network, 1)
    inner, whole, by_hand = [], [], []
    for _ in range(3):
        by_hand.append(loop(count, steps))
        once = seconds_of(SINGLE, network, steps)
        whole.append(once * 1e9 / (count * steps))
        inner.append((seconds_of(SINGLE, network, 2 * steps) - once) * 1e9 / (count * steps))
    at = f"N = 65,536, 20 Hz; C {min(by_hand):.2f} ns per neuron and step"
    double = step_ns(DOUBLE, count, steps // 4)
    return [
        ("inner loop, single, over the C loop", at, min(inner) / min(by_hand), "<= 3"),
        ("whole call of 2 s, warm cache, over the C loop", at, min(whole) / min(by_hand), "<= 4"),
        ("inner loop, double, over the C loop", at, double / min(by_hand), "-"),
    ]


def dense(folder: Path) -> list[Row]:
    """Dense synapses over factors."""
    count = 4096
    weights = step_ns(Brian2Backend("cpp_standalone", dense="factors"), count, 1000, rate_hz=50.0)
    factors = step_ns(DOUBLE, count, 40000, rate_hz=50.0)
    return [("dense Brian2 over factored", "N = 4,096, 50 Hz", weights / factors, ">= 10")]


def nengo(folder: Path) -> list[Row]:
    """Nengo's reference simulator over ours, 64 trials: with parts of its own, and with the adapter's compiled ones."""
    network = network_of(1024)
    for backend in (SINGLE, DOUBLE):
        seconds_of(backend, network, 1, 64)
    adapter = nengo_step_s(network)
    with (
        unittest.mock.patch.object(extensions, "CompiledLIF", extensions.nengo.LIF),
        unittest.mock.patch.object(extensions, "Repeated", block_diagonal),
    ):
        own = nengo_step_s(network)
    rows: list[Row] = [("Nengo with parts of its own over the adapter's", "N = 1,024, 64 trials", own / adapter, "-")]
    for backend in (DOUBLE, SINGLE):
        ours = min(seconds_of(backend, network, 20000, 64) for _ in range(2)) / 20000
        at = "N = 1,024, 64 trials; our whole call of 2 s"
        rows.append((f"Nengo over ours, {backend.precision}", at, own / ours, ">= 20"))
    return rows


def block_diagonal(factor: np.ndarray, trials: int) -> Any:
    """The same matrix for each trial by Nengo's own transform."""
    blocks = block_diag([coo_matrix(factor)] * trials, format="csr")
    return extensions.nengo.Sparse(blocks.shape, init=blocks)  # pyright: ignore[reportArgumentType] - nengo's sentinel


def nengo_step_s(network: ddm2snn.SpikingNetwork) -> float:
    """Seconds of one step of 64 trials in Nengo."""
    short, long = (min(seconds_of(NengoBackend(), network, steps, 64) for _ in range(2)) for steps in (200, 600))
    return (long - short) / 400


def sizes(folder: Path) -> list[Row]:
    """Flatness of the cost over three decades of neurons, and what a million takes."""
    counts = (1000, 10_000, 100_000, 1_000_000)
    costs = {count: step_ns(SINGLE, count, 400_000_000 // count) for count in counts}
    at = ", ".join(f"{count:,}: {cost:.2f} ns" for count, cost in costs.items())
    began = time.perf_counter()
    seconds_of(SINGLE, network_of(1_000_000), 10_000)
    took = time.perf_counter() - began
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20
    return [
        ("cost per neuron and step, largest over smallest", at, max(costs.values()) / min(costs.values()), "<= 2"),
        ("GiB for a million neurons", f"1 s at 0.1 ms took {took:.0f} s; larger of two processes", peak, "<= 4"),
    ]


_START = """
import time
began = time.perf_counter()
import sys
sys.path.insert(0, {folder!r})
from brian2_speed import DOUBLE, network_of, seconds_of
import numpy as np, dataclasses
network = network_of(256)
network = dataclasses.replace(network, decoders=network.decoders * float(sys.argv[1]))
seconds_of(DOUBLE, network, 1)
print(time.perf_counter() - began)
"""


def start(folder: Path) -> list[Row]:
    """From a fresh interpreter to the first step of a network whose shape is known."""
    seconds_of(DOUBLE, network_of(256), 1)
    script = _START.format(folder=str(Path(__file__).parent))
    times = []
    for scale in ("2.0", "3.0", "4.0"):
        said = subprocess.run([sys.executable, "-c", script, scale], capture_output=True, check=True, text=True)
        times.append(float(said.stdout))
    network, began = network_of(256), time.perf_counter()
    seconds_of(DOUBLE, network, 1)
    within = time.perf_counter() - began
    at = f"N = 256; {within * 1e3:.0f} ms within a process"
    return [("start of a warm run in a fresh interpreter, imports included (s)", at, min(times), "<= 1.5")]


def ranks(folder: Path) -> list[Row]:
    """How far from a straight line the cost is in the rank."""
    at = (1, 2, 4, 8, 16, 32, 64)
    costs = [step_ns(SINGLE, 16384, 16000, rank=rank) for rank in at]
    line = np.polynomial.Polynomial.fit(at, costs, 1)
    off = float(np.max(np.abs(line(np.array(at)) / np.array(costs) - 1)))
    shown = ", ".join(f"{rank}: {cost:.2f} ns" for rank, cost in zip(at, costs, strict=True))
    return [("cost over rank, largest distance from a line (share)", f"N = 16,384; {shown}", off, "affine")]


def trials(folder: Path) -> list[Row]:
    """64 trials over one."""
    network = network_of(256)
    for count in (1, 64):
        seconds_of(DOUBLE, network, 1, count)
    rows: list[Row] = []
    for duration_s in (2, 20):
        one, many = [], []
        for _ in range(3):
            one.append(seconds_of(DOUBLE, network, duration_s * 10_000))
            many.append(seconds_of(DOUBLE, network, duration_s * 10_000, 64))
        at = f"N = 256, {duration_s} s; one takes {min(one):.3f} s"
        rows.append(("64 trials over one", at, min(many) / min(one), "<= 32"))
    return rows


PARTS = {
    "inner": inner_and_whole, "dense": dense, "nengo": nengo, "sizes": sizes, "start": start, "ranks": ranks,
    "trials": trials,
}  # fmt: skip


def main() -> None:
    """Print the table, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    given = parser.parse_args()
    print("| measure | at | seen | must be |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for part in given.parts:
            for what, at, seen, limit in PARTS[part](Path(folder)):
                print(f"| {what} | {at} | {seen:.3g} | {limit} |", flush=True)


if __name__ == "__main__":
    main()
