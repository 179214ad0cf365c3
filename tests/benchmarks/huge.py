"""Large networks: backends `compiled` and `torch` over Brian2, threads and ranks: `python tests/benchmarks/huge.py`.

Every ratio is of costs within this run, measured by turns. A cost is that of a step, as the difference between a long
and a short run; of several, the lowest tenth counts. `brian2` and `torch` count processor time, so that they may run on
a busy machine; `threads` and `ranks` count wall time and need two free cores. `largest` says what 10^7 neurons take.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from brian2_speed import DOUBLE, SINGLE, network_of, seconds_of
from ddm2snn_backends.compiled import CompiledBackend
from ddm2snn_backends.compiled_ranks import ranks_of_world
from ddm2snn_backends.torch_backend import TorchBackend

import ddm2snn
from ddm2snn.backend import Backend

Row = tuple[str, str, float, str]
REPEATS = 12
MPIEXEC = Path(sys.executable).with_name("mpiexec")


def processor_s() -> float:
    """Processor time of this process and of those that it has started and that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def costs_ns(
    backends: Mapping[str, Backend], network: ddm2snn.SpikingNetwork, steps: int, clock: Callable[[], float],
    repeats: int = REPEATS, trials: int = 1,
) -> dict[str, float]:  # fmt: skip
    """Cost per neuron, step and trial of each backend, by turns."""
    found: dict[str, list[float]] = {name: [] for name in backends}
    for backend in backends.values():
        seconds_of(backend, network, 1, trials)
    for _ in range(repeats):
        for name, backend in backends.items():
            taken = []
            for count in (steps, 2 * steps):
                began = clock()
                seconds_of(backend, network, count, trials)
                taken.append(clock() - began)
            found[name].append((taken[1] - taken[0]) * 1e9 / (steps * network.neurons * trials))
    return {name: float(np.percentile(costs, 10)) for name, costs in found.items()}


def brian2() -> list[Row]:
    """One core: the loop over the Brian2 program, in both precisions."""
    one = {p: CompiledBackend(threads=1, precision=p) for p in ("double", "single")}
    rows: list[Row] = []
    for count in (4096, 65536):
        backends = {"Brian2": DOUBLE, "Brian2, single": SINGLE, "compiled": one["double"], "single": one["single"]}
        costs = costs_ns(backends, network_of(count), 80_000_000 // count, processor_s)
        at = f"N = {count:,}; ns: " + ", ".join(f"{name} {cost:.2f}" for name, cost in costs.items())
        rows.append(("compiled over Brian2, double", at, costs["compiled"] / costs["Brian2"], "<= 0.6"))
        rows.append(("compiled over Brian2, single", at, costs["single"] / costs["Brian2, single"], "<= 0.6"))
        rows.append(("compiled in single over Brian2 as it is", at, costs["single"] / costs["Brian2"], "-"))
    return rows


def pytorch() -> list[Row]:
    """One core, 64 trials: the step of PyTorch over the Brian2 program, and its compilation without caches."""
    import torch

    torch.set_num_threads(1)
    network, backend = network_of(4096), TorchBackend("cpu")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        began, used = time.perf_counter(), processor_s()
        seconds_of(backend, network, 1, 64)
        took, used = time.perf_counter() - began, processor_s() - used
        costs = costs_ns({"Brian2": DOUBLE, "torch": backend}, network, 2000, processor_s, repeats=6, trials=64)
    at = "N = 4,096, 64 trials; ns: " + ", ".join(f"{name} {cost:.2f}" for name, cost in costs.items())
    return [
        ("torch on one core over Brian2", at, costs["torch"] / costs["Brian2"], "<= 1.5"),
        ("first run of torch, compilation included (s)", f"{used:.0f} s of processor time", took, "<= 15"),
    ]


def threads() -> list[Row]:
    """Two threads over one."""
    some = {str(count): CompiledBackend(threads=count) for count in (1, 2)}
    costs = costs_ns(some, network_of(1_000_000), 60, time.perf_counter)
    at = ", ".join(f"{name}: {cost:.2f} ns" for name, cost in costs.items())
    return [("two threads over one", f"N = 1,000,000; {at}", costs["2"] / costs["1"], "<= 0.6")]


def of_rank(count: int, steps: int) -> None:
    """Print the cost in one of the processes of mpiexec."""
    backend = CompiledBackend(threads=1, ranks=True)
    costs = costs_ns({"": backend}, network_of(count), steps, time.perf_counter, repeats=4)
    if backend.rank == 0:
        print(json.dumps(costs[""]))


def ranks() -> list[Row]:
    """Two ranks over one."""
    rows: list[Row] = []
    for count, steps, limit in ((1_000_000, 60, "<= 0.6"), (32_768, 4000, "<= 1")):
        costs: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(3):
            for number, found in costs.items():
                command = [str(MPIEXEC), "-n", str(number), sys.executable, __file__, "--rank", str(count), str(steps)]
                said = subprocess.run(command, capture_output=True, check=True, text=True)
                found.append(float(json.loads(said.stdout)))
        at = f"N = {count:,}; one {min(costs[1]):.2f} ns, two {min(costs[2]):.2f} ns"
        rows.append(("two ranks over one", at, min(costs[2]) / min(costs[1]), limit))
    return rows


def of_largest() -> None:
    """Simulate 10^7 neurons for 0.1 s in one of the processes of mpiexec and print what it took at the most."""
    backend = CompiledBackend(threads=1, ranks=True)
    network = network_of(10_000_000)
    ddm2snn.simulate(network, backend=backend, duration=1.0, trials=1, seed=1, every=0.1)
    peaks = ranks_of_world().gathered(np.array([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))  # in KiB
    if backend.rank == 0:
        print(json.dumps(peaks.sum() / 2**20))


def largest() -> list[Row]:
    """Memory of two ranks together."""
    began = time.perf_counter()
    command = [str(MPIEXEC), "-n", "2", sys.executable, __file__, "--largest"]
    said = subprocess.run(command, capture_output=True, check=True, text=True)
    at = f"10^7 neurons, 0.1 s at 0.1 ms took {time.perf_counter() - began:.0f} s"
    return [("GiB of two ranks together", at, json.loads(said.stdout), "<= 8")]


PARTS = {"brian2": brian2, "torch": pytorch, "threads": threads, "ranks": ranks, "largest": largest}


def main() -> None:
    """Print the table, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--rank", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--largest", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rank:
        of_rank(*given.rank)
        return
    if given.largest:
        of_largest()
        return
    print("| measure | at | seen | must be |\n|---|---|---|---|")
    for part in given.parts:
        for what, at, seen, limit in PARTS[part]():
            print(f"| {what} | {at} | {seen:.3g} | {limit} |", flush=True)


if __name__ == "__main__":
    main()
