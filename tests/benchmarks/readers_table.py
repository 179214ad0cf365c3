"""What is preserved of a network in each format by each simulator that reads it.

    python tests/benchmarks/readers_table.py NET.safetensors ... [--trials 16 --duration 40 --readers norse snntorch]

For each dialect of NIR and each installed reader (extra `readers`), with nothing of the network but the file:

- rates: largest difference of a neuron's spikes in open loop, along latents of the reference, relative, after a spike
  or two at the ends of the windows; over neurons with 100 spikes or more.
- sd, D_stsp, D_H: of the latents in closed loop, noise fed as an input, against the reference backend; behind a slash
  what two further runs of the reference give (for sd the largest of both).

A dialect that a reader cannot run is listed with its words. A network should have neurons without a refractory period
(`Population(neuron=LIF(refractory_s=0.0))`), since that of others is lost, and the time unit that
`convert` finds: on a shorter one (Lorenz at 0.5 s) voltages, which have no floor in NIR, come back late from
inhibition, a few neurons differ by 25 % and the latents with them. Exits 1 where a reader misses 1 % of the
rates in the dialect "factored".
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))
from nir_readers import INSTALLED  # pyright: ignore[reportMissingImports] - of the tests, here and below
from nir_runs import SETTLING, closed_loop, reader_counts, reference_counts, reference_path  # pyright: ignore[reportMissingImports]

import ddm2snn
from ddm2snn import Recording, SpikingNetwork
from ddm2snn.fidelity.compare import compare_each

EVERY = 0.02
RATE_TOLERANCE, FEWEST = 0.01, 100
WINDOW, OPEN_TRIALS = 6.0, 8


def main() -> None:
    """Run, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", type=Path)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--duration", type=float, default=40.0)
    parser.add_argument("--readers", nargs="+", default=INSTALLED)
    parser.add_argument("--dialects", nargs="+", default=["factored", "latent", "dense"])
    given = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for file in given.networks:
            network = SpikingNetwork.load(file)
            print(f"\n{file.name}: {network.neurons} neurons, rank {network.rank}, T = {network.time_unit_s:g} s")
            print(f"{'dialect':9} {'reader':13} {'rates':>8} {'sd':>15} {'D_stsp':>15} {'D_H':>15}")
            failed |= table(network, given, Path(folder))
    sys.exit(1 if failed else 0)


def table(network: SpikingNetwork, given: argparse.Namespace, folder: Path) -> bool:
    """Print the rows of one network, and tell whether a reader missed the rates."""
    path = reference_path(network, SETTLING + WINDOW, OPEN_TRIALS, seed=1)
    counts = reference_counts(network, path)
    references = [reference(network, given, seed) for seed in (2, 3, 4)]
    failed = False
    for dialect in given.dialects:
        for reader in given.readers:
            try:
                found = reader_counts(network, path, reader, folder, dialect)
                loop = closed_loop(
                    network, reader, folder, duration=given.duration, trials=given.trials, seed=5, dialect=dialect,
                    every=EVERY,
                )  # fmt: skip
            except Exception as error:  # noqa: BLE001 - whatever the reader says
                words = (str(error) or type(error).__name__).splitlines()[0]
                print(f"{dialect:9} {reader:13} refused: {type(error).__name__}: {words[:80]}", flush=True)
                continue
            busy = counts >= FEWEST
            miss = float((np.abs(found - counts)[busy] / counts[busy]).max())
            failed |= dialect == "factored" and miss > RATE_TOLERANCE
            print(f"{dialect:9} {reader:13} {miss:8.2%} {latents(references, loop)}", flush=True)
    return failed


def reference(network: SpikingNetwork, given: argparse.Namespace, seed: int) -> Recording:
    """The reference backend on the same network, without the first time units."""
    whole = ddm2snn.simulate(
        network, backend="reference", duration=SETTLING + given.duration, trials=given.trials, seed=seed, every=EVERY
    )
    first = round(SETTLING / EVERY)
    return Recording.from_arrays(
        whole.samples[:, first:], every=EVERY, time_unit_s=network.time_unit_s, provenance={"backend": "reference"}
    )


def latents(references: list[Recording], loop: Recording) -> str:
    """Distances in closed loop, each with that of further runs of the reference."""
    (report,) = compare_each(references[0], {"reader": loop}, floor=references[1:], burn_in=0.0)
    sizes = [measure for measure in report.measures if measure.name.startswith("sd")]
    pairs = [(max(m.distance for m in sizes), max(m.floor for m in sizes))]
    pairs += [(report[name].distance, report[name].floor) for name in ("d_stsp", "d_h")]
    return " ".join(f"{f'{distance:.3f} / {floor:.3f}':>15}" for distance, floor in pairs)


if __name__ == "__main__":
    main()
