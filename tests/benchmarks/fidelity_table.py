"""Fidelity of converted networks beside the sampling floor: `python tests/benchmarks/fidelity_table.py -o FOLDER`.

Every row: a system, neurons per unit, decoders and a backend, over conversion seeds and simulation seeds; 64
trials of 40 rate time units after a burn-in of 4, sampled each 0.02. The floor is the mean distance between
four independent runs of the rate network, none of them a calibration trajectory. Rate networks are kept in the
folder, so that rows can be added later.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from ddm2snn_backends.reference_backend import ReferenceBackend

import ddm2snn

ROWS = {"vanderpol": (1, 4, 8), "lorenz": (2, 8), "dadras": (2,), "fourwell": (8,), "sequence": (8,)}
BURN_IN, DURATION, TRIALS = 4.0, 44.0, 64
REFERENCES = 4
STILL = 0.2  # share of the rate network's standard deviation below which a trial counts as dead


def rate_network(system: str, folder: Path) -> ddm2snn.RateNetwork:
    path = folder / f"{system}.safetensors"
    if not path.exists():
        ddm2snn.train(system, seed=11).save(path)
    return ddm2snn.load(path)  # pyright: ignore[reportReturnType]


def dead_share(test: ddm2snn.Recording, references: list[ddm2snn.Recording]) -> float:
    """Share of trials in which a latent rests, beyond what the rate network's own trials do."""
    scale = references[0].samples.std(axis=(0, 1))

    def share(recording: ddm2snn.Recording) -> float:
        late = recording.samples[:, round(BURN_IN / recording.every) :]
        return float((late.std(axis=1) < STILL * scale).any(axis=1).mean())

    return max(0.0, share(test) - max(share(reference) for reference in references))


def row(rate: ddm2snn.RateNetwork, references: list, neurons: int, decoders: str, backend: str, seeds: tuple) -> dict:
    kinds = {"calibrated": ddm2snn.Calibrated(), "static": ddm2snn.Static()}
    excesses: dict[str, list[float]] = {}
    dead, converting = [], []
    for seed in range(seeds[0]):
        began = time.perf_counter()
        network = ddm2snn.convert(
            rate, population=ddm2snn.Population(neurons), decoders=kinds[decoders], backend=backend, seed=seed
        ).network
        converting.append(time.perf_counter() - began)
        chosen = ReferenceBackend(network.spike_timing) if backend == "reference" else backend
        for run in range(seeds[1]):
            test = ddm2snn.simulate(
                network, backend=chosen, duration=DURATION, trials=TRIALS, seed=1000 + 100 * seed + run
            )
            report = ddm2snn.compare(references[0], test, floor=references[1:], burn_in=BURN_IN)
            for measure in report.measures:
                excesses.setdefault(measure.name, []).append(measure.excess)
            dead.append(dead_share(test, references))
    return {
        "neurons_per_unit": neurons, "decoders": decoders, "backend": backend, "runs": len(dead),
        "median_excess": {name: float(np.median(values)) for name, values in excesses.items()},
        "dead": float(np.mean(dead)), "convert_s": float(np.median(converting)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--systems", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--backends", nargs="*", default=["brian2", "nengo"])
    parser.add_argument("--decoders", nargs="*", default=["calibrated", "static"])
    parser.add_argument("--neurons", type=int, nargs="*", help="neurons per unit, instead of the system's own rows")
    parser.add_argument("--seeds", type=int, nargs=2, default=(5, 3), metavar=("CONVERSION", "SIMULATION"))
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    lines = [
        "| system | per unit | decoders | backend | runs | D_stsp | D_H | sliced | worst measure | dead | convert (s) |"
    ]
    lines.append("|" + "---|" * 11)
    table = []
    for system in given.systems:
        rate = rate_network(system, given.output)
        references = [ddm2snn.simulate(rate, duration=DURATION, trials=TRIALS, seed=101 + i) for i in range(REFERENCES)]
        for neurons in given.neurons or ROWS[system]:
            for decoders in given.decoders:
                for backend in given.backends:
                    found = row(rate, references, neurons, decoders, backend, tuple(given.seeds))
                    table.append({"system": system, **found})
                    excess = found["median_excess"]
                    worst = max(excess, key=lambda name: excess[name])
                    lines.append(
                        f"| {system} | {neurons} | {decoders} | {backend} | {found['runs']} | "
                        + " | ".join(
                            f"{excess[n]:.2f}" if n in excess else "-" for n in ("d_stsp", "d_h", "sliced_wasserstein")
                        )
                        + f" | {worst} {excess[worst]:.2f} | {100 * found['dead']:.0f} % | {found['convert_s']:.1f} |"
                    )
                    print(lines[-1], flush=True)
                    (given.output / "fidelity.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
                    (given.output / "fidelity.json").write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
