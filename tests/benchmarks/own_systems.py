"""Systems of a user's own, in any units and clock: trained and held to SciPy, or refused for the true reason.

    python tests/benchmarks/own_systems.py [--systems "Morris-Lecar" ...] [--convert] -o FOLDER

Writes FOLDER/own_systems.md and FOLDER/own_systems.json. Means and standard deviations of the states that a network
starts from are compared with an integration of the system by SciPy, in the system's own units; the deviation counts
standard errors, of the worst mean or standard deviation. `--convert` takes eight of the systems on to four neurons per
unit and compares.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import solve_ivp

import ddm2snn
from ddm2snn import InputError, RateNetwork, System

sys.path.insert(0, str(Path(__file__).parents[1]))
from user_systems import REFUSED, STIFF, TRAINED  # pyright: ignore[reportMissingImports] - of the tests

if TYPE_CHECKING:
    from jaxtyping import Float

TRIALS = 64
SPAN, INTERVAL = 60.0, 0.05  # rate time units of an integration, and between kicks of noise
LONG = {"vdp mu 30": 4000.0, "vdp mu 30, no noise": 4000.0, "vdp mu 100": 8000.0, "Hindmarsh-Rose": 400.0}
CONVERTED = (
    "slow decay", "vdp time 1e+3", "vdp size 1e-9", "FitzHugh-Nagumo", "Morris-Lecar", "Hodgkin-Huxley",
    "coupled oscillators", "Lorenz-96, 5 sites",
)  # fmt: skip
NEURONS_PER_UNIT = 4


@dataclass(frozen=True)
class Row:
    """One system.

    Parameters
    ----------
    system
        Its name in the table.
    drift_error
        Largest relative drift error over latents; None where it was refused.
    deviation
        Of means and standard deviations from SciPy's, the worst, in standard errors.
    lost
        Of 64 trajectories from far outside or under strong noise, those that did not come back though the target does.
    time_scale
        Units of the system's time in one rate time unit.
    seconds
        Wall time of training.
    said
        Warnings, or the reason of the refusal.
    as_expected
        Whether a refusal names the true reason.
    """

    system: str
    drift_error: float | None = None
    deviation: float | None = None
    lost: int | None = None
    time_scale: float | None = None
    seconds: float = 0.0
    said: str = ""
    as_expected: bool = True


def by_scipy(system: System, network: RateNetwork, name: str) -> Float[np.ndarray, "trial time rank"]:
    """Trajectories of the system by SciPy's solvers, with noise in kicks; the first half is left out."""
    rng = np.random.default_rng(20_261_129)
    state = network.initial_latent[rng.integers(len(network.initial_latent), size=TRIALS)]
    unit, scale = network.time_scale, np.tile(network.latent_scale, TRIALS)
    quiet = system.constant_factor is not None and not system.constant_factor.any()
    span, interval = (
        LONG.get(name, SPAN) * unit,
        (5.0 if quiet else 10 * INTERVAL if name in STIFF else INTERVAL) * unit,
    )
    method = "LSODA" if name.startswith("vdp mu") else "RK45"
    kept, steps = [], round(span / interval)

    def flow(_: float, flat: np.ndarray) -> np.ndarray:
        return system.checked_drift(flat.reshape(TRIALS, -1)).ravel()

    for step in range(steps):
        end = solve_ivp(flow, (0.0, interval), state.ravel(), method, rtol=1e-5, atol=1e-7 * scale).y[:, -1]
        state = end.reshape(TRIALS, -1)
        kick = rng.standard_normal((TRIALS, system.rank, 1))
        state = state + np.sqrt(interval) * (system.factor(state) @ kick)[..., 0]
        if step >= steps // 2:
            kept.append(state)
    return np.stack(kept, axis=1)


def deviation(network: RateNetwork, path: Float[np.ndarray, "trial time rank"]) -> float:
    """Largest difference of means and of mean squares between a network and trajectories, in standard errors."""
    states = (network.initial_latent - network.latent_offset) / network.latent_scale
    path = (path - network.latent_offset) / network.latent_scale
    worst = 0.0
    for power in (1, 2):
        of_trials = (path**power).mean(axis=1)
        error = np.sqrt(of_trials.var(axis=0) / len(of_trials) + (states**power).var(axis=0) / 256)  # 256 trajectories
        worst = max(worst, float((np.abs(of_trials.mean(axis=0) - (states**power).mean(axis=0)) / error).max()))
    return worst


def trained(name: str, system: System) -> tuple[Row, RateNetwork | None]:
    """Train a system and hold its network to SciPy."""
    began = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            network = ddm2snn.train(system, seed=0)
    except InputError as error:
        return Row(name, seconds=time.perf_counter() - began, said=str(error), as_expected=False), None
    seconds, back = time.perf_counter() - began, network.provenance["robustness"]
    row = Row(
        name, max(network.provenance["drift_error"]), deviation(network, by_scipy(system, network, name)),
        back["escaped"] + back["astray"] + back["still"], network.time_scale, seconds,
        " ".join(str(warning.message) for warning in caught),
    )  # fmt: skip
    return row, network


def refused(name: str) -> Row:
    """Whether a system is refused for the true reason."""
    system, reason = REFUSED[name]
    began = time.perf_counter()
    try:
        ddm2snn.train(system, seed=0)
    except InputError as error:
        return Row(name, seconds=time.perf_counter() - began, said=str(error), as_expected=reason in str(error))
    return Row(name, seconds=time.perf_counter() - began, said="it was trained", as_expected=False)


def compared(name: str, network: RateNetwork) -> dict[str, object]:
    """Excess of the converted network, and its dead trials."""
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = ddm2snn.convert(network, population=ddm2snn.Population(NEURONS_PER_UNIT), seed=0)
        runs = [ddm2snn.simulate(network, trials=32, seed=seed) for seed in (1, 2, 3)]
        test = ddm2snn.simulate(made.network, trials=32, seed=4)
        report = ddm2snn.compare(runs[0], test, floor=runs[1:])
    excesses = {entry.name: entry.excess for entry in report.measures if entry.informative}
    worst = max(excesses, key=lambda key: excesses[key])
    return {
        "system": name, "neurons": made.network.neurons, "time_unit_s": made.network.time_unit_s,
        "drift_error": max(made.diagnostics.drift_error), "worst": worst, "excess": excesses[worst],
        "excesses": excesses, "failures": dict(report.failures), "verdict": report.verdict,
        "missed": made.network.provenance.get("missed", []), "seconds": time.perf_counter() - began,
    }  # fmt: skip


def table(rows: Sequence[Row], conversions: Sequence[Mapping[str, Any]]) -> str:
    """Markdown table of the systems, and what comparisons of some of them say."""
    found = {made["system"]: made for made in conversions}
    lines = [
        "| system | drift error | from SciPy | lost | rate time unit | converted: largest excess | dead | said |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = "refused | | | " if row.drift_error is None else (
            f"{row.drift_error:.1e} | {row.deviation:.1f} | {row.lost} | {row.time_scale:.3g}"
        )  # fmt: skip
        converted = " | "
        if (made := found.get(row.system)) is not None:
            failed = made["failures"]
            dead = failed["trials_died"] + failed["trials_escaped"]
            converted = f"{made['excess']:.1f} ({made['worst'].replace('_', ' ')}) | {dead} of {failed['trials']}"
        mark = "" if row.as_expected else " (not as expected)"
        lines.append(f"| {row.system} | {figures} | {converted} | {row.said}{mark} |")
    verdicts = [f"- {made['system']}: {made['verdict']}" for made in conversions]
    return "\n".join([*lines, *([""] if verdicts else []), *verdicts]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, hold to SciPy, convert, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="*", default=[*TRAINED, *REFUSED], help="names in tests/user_systems.py")
    parser.add_argument("--convert", action="store_true", help="convert eight of them, simulate and compare")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder")
    given = parser.parse_args(arguments)
    given.output.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    conversions: list[dict[str, object]] = []
    for name in given.systems:
        if name in REFUSED:
            rows.append(refused(name))
        else:
            row, network = trained(name, TRAINED[name])
            rows.append(row)
            if given.convert and network is not None and name in CONVERTED:
                conversions.append(compared(name, network))
                print(json.dumps(conversions[-1]), file=sys.stderr, flush=True)
        print(json.dumps(asdict(rows[-1])), file=sys.stderr, flush=True)
        content = {"rows": [asdict(row) for row in rows], "conversions": conversions}
        (given.output / "own_systems.json").write_text(json.dumps(content, indent=1) + "\n")
        (given.output / "own_systems.md").write_text(table(rows, conversions))
    print(table(rows, conversions), end="")


if __name__ == "__main__":
    main()
