"""Fidelity on an emulated Loihi beside the sampling floor: `python tests/benchmarks/loihi_table.py -o FOLDER`.

Rows: van der Pol (64 units of 4 neurons) and Lorenz (512 of 2), decoders calibrated in the loop of the device and
calibrated without it; 16 trials of 40 rate time units after a burn-in of 4, over conversion seeds. The floor is the
distance of four runs of the rate network from each other, at the same size. `--sweep` adds rows of van der Pol on
devices of 3 to 8 bits, other decode neurons, other filters behind them and other steps, calibrated in the loop of each.

Runs are the project's own arithmetic, whose spikes the tests hold to nengo-loihi's emulator one by one; `--emulator`
runs nengo-loihi itself instead (its target sim), which takes a hundred times as long. `--defaults` adds what
NengoLoihi's defaults make of as many neurons in one ensemble, on its emulator (see `loihi_defaults.py`), or makes that
row alone with `--defaults alone`. `--rungs` adds floating point: the same decoders without rounding, with nengo-loihi's
target simreal under `--emulator`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import ddm2snn
from ddm2snn.backend import find_backend
from ddm2snn.conversion.clock import two_digits
from ddm2snn.hardware import HardwareConfig, find_hardware
from ddm2snn.hardware.device import longest_decay_s

NEURONS = {"vanderpol": 4, "lorenz": 2}
BURN_IN, DURATION, TRIALS, REFERENCES = 4.0, 44.0, 16, 4
STILL = 0.2  # share of the rate network's standard deviation below which a trial counts as dead
SHOWN = ("d_stsp", "d_h", "sliced_wasserstein")
HEAD = [
    "system",
    "what",
    "seeds",
    "period",
    "amplitude",
    "D_stsp",
    "D_H",
    "sliced",
    "dead runs",
    "convert (s)",
    "run (s)",
]


def rate_network(system: str, folder: Path) -> ddm2snn.RateNetwork:
    """Network from the folder, or trained into it."""
    path = folder / f"{system}.safetensors"
    if not path.exists():
        ddm2snn.train(system, seed=11).save(path)
    return ddm2snn.load(path)  # pyright: ignore[reportReturnType]


def references(rate: ddm2snn.RateNetwork, trials: int = TRIALS) -> list[ddm2snn.Recording]:
    """Runs of the rate network."""
    return [ddm2snn.simulate(rate, duration=DURATION, trials=trials, seed=101 + n) for n in range(REFERENCES)]


def converted(
    rate: ddm2snn.RateNetwork, system: str, config: HardwareConfig, seed: int, *, loop: bool, dt_s: float = 1e-3,
) -> ddm2snn.SpikingNetwork:  # fmt: skip
    """Network with decoders calibrated in the loop of a device, or without it, on a time unit that it can hold."""
    population = ddm2snn.Population(NEURONS[system])
    if loop:
        return ddm2snn.convert(rate, population=population, seed=seed, dt_s=dt_s, hardware=config).network
    settings = {"population": population, "seed": seed, "dt_s": dt_s, "backend": "reference"}
    network = ddm2snn.convert(rate, **settings).network
    held_s = two_digits(network.time_unit_s, longest_decay_s(config, dt_s))
    if held_s < network.time_unit_s:
        network = ddm2snn.convert(rate, **settings, time_unit_s=held_s).network
    return network


def measured(test: ddm2snn.Recording, against: list[ddm2snn.Recording]) -> dict[str, float]:
    """Excesses, error of the period, largest error of an amplitude, and dead trials."""
    report = ddm2snn.compare(against[0], test, floor=against[1:], burn_in=BURN_IN)
    by_name = {measure.name: measure for measure in report.measures}
    skip = round(BURN_IN / 0.02)
    spread, test_spread = (
        np.mean([run.samples[:, skip:].std(axis=(0, 1)) for run in runs], axis=0) for runs in (against, [test])
    )
    still = (test.samples[:, skip:].std(axis=1) < STILL * spread).any(axis=1)
    found = {name: by_name[name].excess for name in SHOWN}
    found["period"] = by_name["period"].distance if "period" in by_name else float("nan")
    found["amplitude"] = float(np.abs(test_spread / spread - 1.0).max())
    return found | {"dead": float(still.any())}


def row(
    system: str, what: str, rate: ddm2snn.RateNetwork, against: list[ddm2snn.Recording], given: argparse.Namespace,
    config: HardwareConfig, *, loop: bool = True, dt_s: float = 1e-3, rounded: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Median over conversion seeds."""
    found, times = [], []
    for seed in range(given.seeds):
        began = time.perf_counter()
        network = converted(rate, system, config, seed, loop=loop, dt_s=dt_s)
        middle = time.perf_counter()
        used = config if rounded else config.model_copy(update={"precision": type(config.precision)()})
        backend = find_backend("quantised", hardware=used)
        if given.emulator and config.target == "nengo-loihi":
            backend = find_backend("nengo-loihi", hardware=config, target="sim" if rounded else "simreal")
        test = ddm2snn.simulate(network, backend=backend, duration=DURATION, trials=given.trials, seed=1000 + seed)
        found.append(measured(test, against))
        times.append((middle - began, time.perf_counter() - middle))
    return summary(system, what, given, found, times)


def defaults_row(
    system: str, rate: ddm2snn.RateNetwork, against: list[ddm2snn.Recording], given: argparse.Namespace
) -> dict[str, Any]:
    """Median over seeds of encoders and rates, of as many neurons on the same time unit."""
    from loihi_defaults import default_run

    like = ddm2snn.convert(
        rate, population=ddm2snn.Population(NEURONS[system]), decoders=ddm2snn.Static(), backend="reference"
    ).network
    found, times = [], []
    for seed in range(given.seeds):
        began = time.perf_counter()
        test = default_run(
            rate, like.neurons, like.time_unit_s, duration=DURATION, trials=given.trials, every=0.02, seed=seed
        )
        found.append(measured(test, against))
        times.append((0.0, time.perf_counter() - began))
    return summary(system, "NengoLoihi's defaults", given, found, times)


def summary(
    system: str, what: str, given: argparse.Namespace, found: list[dict[str, float]], times: list[tuple[float, float]]
) -> dict[str, Any]:
    """Medians over seeds, dead runs in all, and the worst period."""
    middle = {name: float(np.median([each[name] for each in found])) for name in found[0]}
    middle |= {"dead": float(sum(each["dead"] for each in found)), "worst_period": max(e["period"] for e in found)}
    convert_s, run_s = np.median(times, axis=0).tolist()
    return {"system": system, "what": what, "seeds": given.seeds, **middle, "convert_s": convert_s, "run_s": run_s}


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    period = "-" if np.isnan(row["period"]) else f"{row['period']:.2%}"
    cells = [
        row["system"], row["what"], row["seeds"], period, f"{row['amplitude']:.2%}",
        *(f"{row[name]:.1f}" for name in SHOWN), f"{row['dead']:.0f}", f"{row['convert_s']:.0f}", f"{row['run_s']:.1f}",
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def variants(base: HardwareConfig) -> list[tuple[str, HardwareConfig, float]]:
    """Devices of the sweep: name, configuration, step."""

    def changed(section: str, **values: Any) -> HardwareConfig:
        return base.model_copy(update={section: getattr(base, section).model_copy(update=values)})

    found = [(f"{bits} bits", changed("precision", weight_bits=bits), 1e-3) for bits in range(3, 9)]
    found += [(f"{n} pairs of decode neurons", changed("decode_neurons", pairs_per_latent=n), 1e-3) for n in (1, 3, 20)]
    found += [(f"filter {1e3 * t:g} ms", changed("decode_neurons", filter_s=t), 1e-3) for t in (0.0, 0.002, 0.02)]
    return found + [(f"dt {1e3 * dt_s:g} ms", base, dt_s) for dt_s in (5e-4, 2e-3)]


def rows(system: str, given: argparse.Namespace) -> Any:
    """Rows of one system."""
    rate, base = rate_network(system, given.output), find_hardware("loihi1-emulator")
    against = references(rate, given.trials)
    if given.defaults == "alone":
        yield defaults_row(system, rate, against, given)
        return
    if given.sweep:
        for what, config, dt_s in variants(base):
            yield row(system, what, rate, against, given, config, dt_s=dt_s)
        return
    yield row(system, "in the loop", rate, against, given, base)
    if given.rungs:
        yield row(system, "in the loop, without rounding", rate, against, given, base, rounded=False)
        yield row(system, "in the loop, loihi2-like", rate, against, given, find_hardware("loihi2-like"))
    yield row(system, "not in the loop", rate, against, given, base, loop=False)
    if given.defaults:
        yield defaults_row(system, rate, against, given)


def main() -> None:
    """Make the table, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--systems", nargs="*", default=list(NEURONS), choices=list(NEURONS))
    parser.add_argument("--seeds", type=int, default=5, help="conversion seeds")
    parser.add_argument("--emulator", action="store_true", help="run nengo-loihi itself")
    parser.add_argument(
        "--defaults",
        nargs="?",
        const="beside",
        choices=["beside", "alone"],
        help="add what NengoLoihi's defaults make of it, or that row alone",
    )
    parser.add_argument("--trials", type=int, default=TRIALS, help="of every run, the rate network's included")
    parser.add_argument("--rungs", action="store_true", help="add floating point and loihi2-like")
    parser.add_argument(
        "--sweep", action="store_true", help="van der Pol against bits, decode neurons, filter and step"
    )
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    lines, kept = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)], []
    name = "loihi-sweep" if given.sweep else "loihi-emulator" if given.emulator else "loihi"
    print("\n".join(lines), flush=True)
    for system in ["vanderpol"] if given.sweep else given.systems:
        for found in rows(system, given):
            kept.append(found)
            lines.append(line(found))
            print(lines[-1], flush=True)
            (given.output / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
            (given.output / f"{name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    print(given.output / f"{name}.md", file=sys.stderr)


if __name__ == "__main__":
    main()
