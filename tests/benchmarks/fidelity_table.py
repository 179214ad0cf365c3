"""Fidelity of converted networks beside the sampling floor: `python tests/benchmarks/fidelity_table.py -o FOLDER`.

Every row: a system, neurons per unit, decoders and a backend, over conversion seeds and simulation seeds; 64
trials of 40 rate time units after a burn-in of 4, sampled each 0.02. Each run is compared with four fresh runs of the
rate network, and its floor is their distance from each other; none is a calibration trajectory or serves another run
of its row, so that the median over runs is one over independent excesses. Rows of a system share them, by seeds. The
last row of each group, the control, is one more run of the rate network in the place of each spiking one: what chance
makes of the medians. The largest median stands with its 95 % interval, from the bootstrap over runs.

Decoders are `calibrated`, `static`, and `nengo`: one ensemble with Nengo's defaults for rates, thresholds and solver,
at the same number of neurons, on the same time unit, with all of the rate network's noise injected. It is solved on
the rate network's stationary states, as Nengo's users do where they know them: with its default, points of a ball,
it spends its accuracy where the latents never are. It runs on Nengo only: its rates are those of spikes between time
steps, and Brian2's lie on them.

The column *D, EP* has the median differences of diffusion and entropy production from the reference's at the lag where
they are largest, in percent. The spectrum column is spikes plus injected over the target, at its furthest from 1 over
frequencies and latents, as the conversion's spectrum predicts it for the closed loop.

Rate networks, conversions and judged runs are kept in the folder, so that rows can be added and a table that was cut
off goes on; with another version of the code take another folder. `--precision single` runs Brian2's neurons in single
precision.
"""

# pyright: reportArgumentType=false
# nengo annotates defaults by a sentinel type, which no real argument has

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from ddm2snn_backends.brian2 import Brian2Backend
from ddm2snn_backends.reference import ReferenceBackend

import ddm2snn
from ddm2snn.backend import Backend, find_backend
from ddm2snn.conversion import Diagnostics
from ddm2snn.fidelity.compare import compare_each

ROWS = {"vanderpol": (1, 4, 8), "lorenz": (2, 8), "dadras": (2,), "fourwell": (8,), "sequence": (8,)}
BURN_IN, DURATION, TRIALS, EVERY = 4.0, 44.0, 64, 0.02
REFERENCES = 4
STILL = 0.2  # share of the rate network's standard deviation below which a trial counts as dead
FIELDS = ("drift", "diffusion", "ripple", "entropy_production", "current")  # of the SDE, by the start of the name
LAGGED = ("diffusion_", "entropy_production_")  # names of measures at a lag
SHOWN = ("d_stsp", "d_h", "sliced_wasserstein")


def rate_network(system: str, folder: Path) -> ddm2snn.RateNetwork:
    """Network from the folder, or trained into it."""
    path = folder / f"{system}.safetensors"
    if not path.exists():
        ddm2snn.train(system, seed=11).save(path)
    return ddm2snn.load(path)  # pyright: ignore[reportReturnType]


def run_of(
    network: ddm2snn.RateNetwork | ddm2snn.SpikingNetwork, seed: int, backend: Backend | None = None
) -> ddm2snn.Recording:
    """One run at the size of the table."""
    return ddm2snn.simulate(network, backend=backend, duration=DURATION, trials=TRIALS, seed=seed, every=EVERY)


def converted(
    rate: ddm2snn.RateNetwork, neurons: int, decoders: str, backend: str, seed: int, kept: Path
) -> tuple[ddm2snn.SpikingNetwork, float]:
    """Spiking network, and the seconds that its conversion took; from the file `kept`, or into it."""
    seconds = kept.with_suffix(".txt")
    if seconds.exists():
        return ddm2snn.load(kept), float(seconds.read_text(encoding="utf-8"))  # pyright: ignore[reportReturnType]
    began = time.perf_counter()
    kind = ddm2snn.Calibrated() if decoders == "calibrated" else ddm2snn.Static()
    population = ddm2snn.Population(neurons)
    network = ddm2snn.convert(rate, population=population, decoders=kind, backend=backend, seed=seed).network
    if decoders == "nengo":
        network = solved_by_nengo(rate, network, seed)
    took = time.perf_counter() - began
    network.save(kept)
    seconds.write_text(f"{took:.3f}\n", encoding="utf-8")
    return network, took


def solved_by_nengo(rate: ddm2snn.RateNetwork, like: ddm2snn.SpikingNetwork, seed: int) -> ddm2snn.SpikingNetwork:
    """Neurons and decoders by Nengo's defaults for one ensemble of as many neurons, on stationary states."""
    import nengo

    cloud = (rate.initial_latent - rate.latent_offset) / rate.latent_scale
    points = cloud + 0.15 * np.random.default_rng(seed).standard_normal(cloud.shape)
    neuron = nengo.LIF(tau_rc=like.neuron.tau_membrane_s, tau_ref=like.neuron.refractory_s)
    with nengo.Network(seed=seed) as model:
        ensemble = nengo.Ensemble(
            like.neurons, rate.rank, radius=float(np.linalg.norm(cloud, axis=1).max()), neuron_type=neuron
        )
        recurrent = nengo.Connection(
            ensemble, ensemble, function=rate.internal_readout(points), eval_points=points, scale_eval_points=False,
            synapse=like.time_unit_s,
        )  # fmt: skip
    with nengo.Simulator(model, dt=like.dt_s, progress_bar=False) as simulator:
        built = simulator.data[ensemble]
        return dataclasses.replace(
            like,
            encoders=built.scaled_encoders.copy(),
            bias=built.bias.copy(),
            decoders=simulator.data[recurrent].weights.copy(),
            diffusion_factor=rate.diffusion_factor,
        )


def simulator(backend: str, network: ddm2snn.SpikingNetwork, precision: str) -> Backend:
    """Backend that runs a network."""
    if backend == "reference":
        return ReferenceBackend(network.spike_timing)
    return Brian2Backend(precision=precision) if backend == "brian2" else find_backend(backend)


def total_diffusion(network: ddm2snn.SpikingNetwork) -> float | None:
    """Ratio furthest from 1, over frequencies and latents, of all noise in the closed loop to the rate network's."""
    diagnostics = Diagnostics.of(network)
    if diagnostics is None or diagnostics.noise is None or diagnostics.noise.spectrum is None:
        return None
    ratios = np.array(diagnostics.noise.spectrum.total).ravel()
    return float(ratios[np.argmax(np.abs(ratios - 1.0))])


def dead_share(test: ddm2snn.Recording, references: list[ddm2snn.Recording]) -> float:
    """Share of trials in which a latent rests, beyond what the rate network's own trials do."""
    scale = references[0].samples.std(axis=(0, 1))

    def share(recording: ddm2snn.Recording) -> float:
        late = recording.samples[:, round(BURN_IN / recording.every) :]
        return float((late.std(axis=1) < STILL * scale).any(axis=1).mean())

    return max(0.0, share(test) - max(share(reference) for reference in references))


def judged(tests: dict[Path, ddm2snn.Recording], references: list[ddm2snn.Recording], wells: np.ndarray | None) -> None:
    """Write excesses, relative differences and the share of dead trials of each recording into its file."""
    flat = {str(path): test for path, test in tests.items()}
    reports = compare_each(references[0], flat, floor=references[1:], burn_in=BURN_IN, wells=wells)
    for (path, test), report in zip(tests.items(), reports, strict=True):
        found = {measure.name: measure.excess for measure in report.measures}
        sizes = {m.name: 1.0 if m.entry.unit == "relative" else m.reference or np.nan for m in report.measures}
        apart = {m.name: m.distance / sizes[m.name] for m in report.measures if m.name.startswith(LAGGED)}
        content = {"excess": found, "relative": apart, "dead": dead_share(test, references)}
        path.write_text(json.dumps(content), encoding="utf-8")


def interval(excesses: list[float]) -> list[float]:
    """95 % interval of the median, by the bootstrap over runs."""
    drawn = np.random.default_rng(0).choice(excesses, (10_000, len(excesses)))
    return np.quantile(np.median(drawn, axis=1), (0.025, 0.975)).tolist()


def group(rate: ddm2snn.RateNetwork, system: str, neurons: int, given: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of one system and number of neurons per unit: all decoders and backends, and the control."""
    kinds = [
        (decoders, backend)
        for decoders in given.decoders
        for backend in given.backends
        if decoders != "nengo" or backend == "nengo"
    ]
    wells = ddm2snn.find_system(system).known.get("memories")
    files: dict[str, list[Path]] = defaultdict(list)
    seconds: dict[str, list[float]] = defaultdict(list)
    diffusion: dict[str, list[float | None]] = defaultdict(list)
    for seed in range(given.seeds[0]):
        networks = {}
        for decoders, backend in kinds:
            name = f"{decoders} {backend}"
            kept = given.output / f"{system}-{neurons}-{decoders}-{backend}-{seed}.safetensors"
            networks[name], took = converted(rate, neurons, decoders, backend, seed, kept)
            seconds[name].append(took)
            diffusion[name].append(total_diffusion(networks[name]))
        for run in range(given.seeds[1]):
            first, missing = 10_000 + 10 * (100 * run + seed), {}
            for (decoders, backend), (name, network) in zip(kinds, networks.items(), strict=True):
                path = given.output / f"{system}-{neurons}-{decoders}-{backend}-{given.precision}-{seed}-{run}.json"
                files[name].append(path)
                if not path.exists():
                    used = simulator(backend, network, given.precision)
                    missing[path] = run_of(network, 1000 + 100 * seed + run, used)
            path = given.output / f"{system}-control-{seed}-{run}.json"
            files["rate network"].append(path)
            if not path.exists():
                missing[path] = run_of(rate, first + REFERENCES)
            if missing:
                judged(missing, [run_of(rate, first + n) for n in range(REFERENCES)], wells)
                print(f"{system} {neurons}: {', '.join(map(str, missing))}", file=sys.stderr, flush=True)
    rows = []
    for name, paths in files.items():
        found = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        excesses, relative = (
            {measure: [each[kind][measure] for each in found] for measure in found[0][kind]}
            for kind in ("excess", "relative")
        )
        rows.append({
            "system": system, "neurons_per_unit": neurons, "what": name, "runs": len(found),
            "median_excess": {measure: float(np.median(some)) for measure, some in excesses.items()},
            "relative": {measure: float(np.median(some)) for measure, some in relative.items()},
            "interval": {measure: interval(some) for measure, some in excesses.items()},
            "dead": float(np.mean([each["dead"] for each in found])),
            "convert_s": float(np.median(seconds[name])) if seconds[name] else None, "diffusion": diffusion[name],
        })  # fmt: skip
    return rows


def furthest(ratios: list[float | None]) -> str:
    """Ratio furthest from 1."""
    known = [ratio for ratio in ratios if ratio is not None]
    return f"{max(known, key=lambda ratio: abs(ratio - 1.0)):.2f}" if known else "-"


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    excess = row["median_excess"]
    of_fields = {name: value for name, value in excess.items() if name.startswith(FIELDS)}
    of_states = {name: value for name, value in excess.items() if name not in of_fields}
    worst, field = (max(some, key=lambda name: some[name]) for some in (of_states, of_fields))
    low, high = row["interval"][worst]
    cells = [
        row["system"], row["neurons_per_unit"], row["what"], row["runs"],
        *(f"{excess[name]:.2f}" if name in excess else "-" for name in SHOWN),
        f"{worst} {excess[worst]:.2f} ({low:.1f} - {high:.1f})", f"{field} {excess[field]:.1f}",
        ", ".join(f"{max([v for n, v in row['relative'].items() if n.startswith(k)] or [np.nan]):.1%}" for k in LAGGED),
        f"{row['dead']:.0%}",
        furthest(row["diffusion"]),
        "-" if row["convert_s"] is None else f"{row['convert_s']:.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Make the table, a group of rows at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--systems", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--backends", nargs="*", default=["brian2", "nengo"])
    parser.add_argument("--decoders", nargs="*", default=["calibrated"], choices=["calibrated", "static", "nengo"])
    parser.add_argument("--neurons", type=int, nargs="*", help="neurons per unit, instead of the system's own rows")
    parser.add_argument("--seeds", type=int, nargs=2, default=(5, 3), metavar=("CONVERSION", "SIMULATION"))
    parser.add_argument("--precision", default="double", choices=["double", "single"])
    parser.add_argument("--name", default="fidelity", help="of the files written")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    head = ["system", "per unit", "what", "runs", "D_stsp", "D_H", "sliced", "worst of state and time",
            "worst of the fields", "D, EP", "dead", "spectrum", "convert (s)"]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    rows: list[dict[str, Any]] = []
    for system in given.systems:
        rate = rate_network(system, given.output)
        for neurons in given.neurons or ROWS[system]:
            for row in group(rate, system, neurons, given):
                rows.append(row)
                lines.append(line(row))
                print(lines[-1], flush=True)
            (given.output / f"{given.name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
            (given.output / f"{given.name}.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
