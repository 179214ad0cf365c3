"""How conversion scales: memory and time at 100,000 neurons, and error against neurons and against the time unit.

    python tests/benchmarks/scaling.py [--parts memory neurons time] [--seeds 5] -o FOLDER

Van der Pol in 64 units. `memory` converts 64 x 1,563 neurons at 0.1 s per time unit with static and with calibrated
decoders, each in a process of its own, and the script exits 1 where one takes more than 8 GiB. `neurons` goes from 1 to
16 neurons per unit at 0.2 s per time unit, `time` from 0.1 to 1 s per time unit at 4 neurons per unit, both with tuned
populations and with populations as drawn.
Writes FOLDER/scaling.md and FOLDER/scaling.png.

The error is that of the conversion's noise budget (`ddm2snn.conversion.drift_error.drift_error_of`), on fresh open-loop
trajectories: what repeats of the error of the drift, relative to the drift, and the diffusion of the spikes over that
of the target. Slopes are those
of the logarithms of means over seeds, with standard errors by the jackknife over seeds.

What theory says, with N neurons, rates r and T seconds per time unit, decoders of order 1/N:

- Spike noise of independent Poisson neurons is a diffusion of sum D^2 r / T: slopes -1 in N and -1 in T. Regular firing
  with independent phases (`ddm2snn.conversion.prediction.predict`, our derivation) leaves sum D^2 (2 p + nu l) / (12 l
  T^2): -1 in N, -2 in T at given decoders; those found at a longer T are larger, for a smaller ridge, so that -2 is a
  limit. Spikes that correct each other would reach -2 in N (Boerlin, Machens, Deneve, PLoS Comput.
  Biol. 2013); decoders alone do not make them.
- Bias: the mean square of what random curves leave falls as N^-2, so its root has slope -1 (Eliasmith, Anderson,
  Neural Engineering, 2003). In T nothing of it changes, but less ripple allows a smaller ridge, and what remains of
  the lag is of second order in the membrane's time constant over T: a slope between -2 and 0.

`predicted` is the slope of what `predict` says for the same populations from their curves alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import ddm2snn
from ddm2snn.base.randomness import stream
from ddm2snn.conversion import Ensemble
from ddm2snn.conversion.drift_error import drift_error_of
from ddm2snn.conversion.driving import driven
from ddm2snn.conversion.noise_budget import diffusion_of, target_diffusion
from ddm2snn.conversion.prediction import Motion, predict
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal
from ddm2snn.plots.style import COLOURS, MARKERS, legend, plain, subplots

if TYPE_CHECKING:
    from jaxtyping import Float

RATE_SEED = 1
MOST_GIB = 8.0
MANY, MANY_TIME_UNIT_S = 1563, 0.1  # neurons per unit: 100,032 in 64 units, whose spikes are quiet in any time unit
NEURONS_PER_UNIT, TIME_UNIT_S = (1, 2, 4, 8, 16), 0.2
TIME_UNITS_S, MIDDLE = (0.1, 0.2, 0.5, 1.0), 4
TRIALS, DURATION = 64, 25.0  # rate time units for each trial, as in the noise budget
NAMES = ("bias", "noise", "predicted bias", "predicted noise")
THEORY = {
    "neurons": {"bias": "-1", "noise": "-1"},
    "time": {"bias": "-2 to 0", "noise": "-2 at given decoders (Poisson: -1)"},
}
_CHILD = """
import json, pathlib, resource, sys, time
import ddm2snn

def peak_gib():
    # on Linux the resource usage starts from the memory of the process that started this one
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30

file, neurons_per_unit, decoders, time_unit_s = sys.argv[1:]
rate, settings = ddm2snn.load(file), json.loads(decoders)
start = time.perf_counter()
made = ddm2snn.convert(
    rate, population=ddm2snn.Population(int(neurons_per_unit)), backend="reference",
    decoders=getattr(ddm2snn, settings.pop("kind"))(**settings), time_unit_s=json.loads(time_unit_s),
)
print(json.dumps({
    "neurons": made.network.neurons, "seconds": time.perf_counter() - start,
    "drift_error": made.diagnostics.drift_error,
    "gib": peak_gib(),
}))
"""


@dataclass(frozen=True)
class Errors:
    """Relative mean squares of the drift's bias and ratios of spike noise to target, measured and predicted.

    Parameters
    ----------
    bias, noise, predicted_bias, predicted_noise
        Shape (seed, size); the biases squared.
    """

    bias: Float[np.ndarray, "seed size"]
    noise: Float[np.ndarray, "seed size"]
    predicted_bias: Float[np.ndarray, "seed size"]
    predicted_noise: Float[np.ndarray, "seed size"]

    def curves(self) -> dict[str, Float[np.ndarray, "seed size"]]:
        """Each by its name in tables."""
        return dict(zip(NAMES, (self.bias, self.noise, self.predicted_bias, self.predicted_noise), strict=True))


def converted(rate: RateNetwork, neurons_per_unit: int, time_unit_s: float | None = None, **decoders: object) -> dict:
    """Neurons, seconds, largest memory in GiB and drift error of a conversion in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rate.safetensors"
        rate.save(file)
        given = [str(file), str(neurons_per_unit), json.dumps(decoders), json.dumps(time_unit_s)]
        done = subprocess.run([sys.executable, "-c", _CHILD, *given], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The conversion of {neurons_per_unit} neurons per unit failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measured(
    rate: RateNetwork, neurons_per_unit: int, time_unit_s: float, seed: int, *, tuned: bool
) -> tuple[float, float, float, float]:
    """Squared bias, spike noise over target, and both as predicted, of one conversion."""
    population = ddm2snn.Population(neurons_per_unit, tuned=tuned)
    network = ddm2snn.convert(
        rate, population=population, backend="reference", time_unit_s=time_unit_s, seed=seed
    ).network
    rng, states = stream(seed, "scaling"), to_internal(rate, stationary_states(rate, seed))
    error, z = errors_of(rate, network, states, rng)
    every, wanted = DURATION / error.shape[1], float(np.trace(target_diffusion(rate, states)))
    tensor, drift = diffusion_of(rate, error, z, every), drift_error_of(rate, error, z, every)
    ensemble = Ensemble.of(network)
    said = predict(rate, ensemble, states, Motion.of(rate, ensemble.clock, states, rng))
    return (
        float((drift.repeatable**2).mean()),
        float(np.trace(tensor)) / wanted,
        float((said.drift.repeatable**2).mean()),
        float(np.trace(said.spikes)) / wanted,
    )


def errors_of(
    rate: RateNetwork,
    network: SpikingNetwork,
    states: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "trial sample rank"], Float[np.ndarray, "trial sample rank"]]:
    """Errors of the filtered decoded spikes along fresh trajectories, and the states they belong to."""
    own = np.arange(network.neurons)
    blocks = driven(rate, Ensemble.of(network), states, own, TRIALS, DURATION, rng)
    parts = [(block.spikes_hz @ network.decoders.T - block.target, block.states) for block in blocks]
    return np.concatenate([error for error, _ in parts], axis=1), np.concatenate([z for _, z in parts], axis=1)


def slope(sizes: Float[np.ndarray, " size"], values: Float[np.ndarray, "seed size"]) -> tuple[float, float]:
    """Slope of the logarithm of the mean over seeds, NaN where one is not positive; standard error by the jackknife."""

    def fitted(some: Float[np.ndarray, "seed size"]) -> float:
        mean = some.mean(axis=0)
        return float(np.polyfit(np.log(sizes), np.log(mean), 1)[0]) if (mean > 0).all() else np.nan

    left_out = np.array([fitted(np.delete(values, seed, axis=0)) for seed in range(len(values))])
    return fitted(values), float(np.sqrt((len(values) - 1) * left_out.var()))


def sweep(rate: RateNetwork, part: str, seeds: int, sizes: tuple[float, ...], *, tuned: bool) -> Errors:
    """Errors at each size and seed."""
    found = np.empty((seeds, len(sizes), 4))
    for index, size in enumerate(sizes):
        count, time_unit_s = (int(size), TIME_UNIT_S) if part == "neurons" else (MIDDLE, size)
        for seed in range(seeds):
            found[seed, index] = measured(rate, count, time_unit_s, seed, tuned=tuned)
        print(f"{part} {size:g}, tuned {tuned}: {found[:, index].mean(axis=0)}", flush=True)
    return Errors(*np.moveaxis(found, -1, 0))


def table(part: str, sizes: tuple[float, ...], sweeps: dict[str, Errors]) -> str:
    """Markdown: root-mean-square bias, noise and slopes for each kind of population."""
    heads = [f"{s:g} per unit" if part == "neurons" else f"{s:g} s" for s in sizes]
    lines = [f"| population | error | {' | '.join(heads)} | slope | theory |", "|---" * (len(sizes) + 4) + "|"]
    for label, errors in sweeps.items():
        for name, values in errors.curves().items():
            power = 0.5 if name.endswith("bias") else 1.0
            value, spread = slope(np.array(sizes), values)
            cells = [f"{np.maximum(v, 0.0) ** power:.2g}" for v in values.mean(axis=0)]
            words = THEORY[part].get(name, "")
            lines.append(
                f"| {label} | {name} | {' | '.join(cells)} | {power * value:.2f} +- {power * spread:.2f} | {words} |"
            )
    return "\n".join(lines) + "\n"


def memory_table(rate: RateNetwork) -> tuple[str, bool]:
    """Markdown of both conversions, and whether they fit."""
    lines, fits = ["| decoders | neurons | seconds | peak memory | drift error |", "|---|---|---|---|---|"], True
    for kind in ("Static", "Calibrated"):
        found = converted(rate, MANY, MANY_TIME_UNIT_S, kind=kind)
        fits &= found["gib"] <= MOST_GIB
        worst = f"{max(found['drift_error']):.2g}"
        lines.append(f"| {kind} | {found['neurons']:,} | {found['seconds']:.0f} | {found['gib']:.2f} GiB | {worst} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n", fits


def draw(found: dict[str, tuple[tuple[float, ...], dict[str, Errors]]], file: Path) -> None:
    """Bias and noise against each size, one column for each sweep; dashed: predicted."""
    figure, axes = subplots(4.5 * len(found), 6.0, 2, len(found), squeeze=False)
    for column, (part, (sizes, sweeps)) in enumerate(found.items()):
        for index, (label, errors) in enumerate(sweeps.items()):
            for name, values in errors.curves().items():
                axis = axes[int(name.endswith("noise")), column]
                mean = values.mean(axis=0)
                mean = np.where(mean > 0, mean, np.nan) ** (0.5 if name.endswith("bias") else 1.0)
                line = {"linestyle": "--", "alpha": 0.6} if "predicted" in name else {"marker": MARKERS[index]}
                axis.loglog(sizes, mean, color=COLOURS[1 + index], label=None if "predicted" in name else label, **line)
        for row, name in enumerate(("bias over drift", "spike noise over target")):
            axes[row, column].set(ylabel=name, xlabel="neurons per unit" if part == "neurons" else "time unit (s)")
            plain(axes[row, column])
        legend(axes[0, column])
    figure.savefig(file)


def main() -> None:
    """Run the parts, write tables and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--parts", nargs="+", default=["memory", "neurons", "time"], choices=["memory", "neurons", "time"]
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    rate, tables, found, fits = ddm2snn.train("vanderpol", seed=RATE_SEED), [], {}, True
    if "memory" in given.parts:
        text, fits = memory_table(rate)
        tables.append(text)
    for part, sizes in (("neurons", NEURONS_PER_UNIT), ("time", TIME_UNITS_S)):
        if part in given.parts:
            kinds = (("tuned", True), ("as drawn", False))
            sweeps = {label: sweep(rate, part, given.seeds, sizes, tuned=tuned) for label, tuned in kinds}
            found[part] = (sizes, sweeps)
            tables.append(table(part, sizes, sweeps))
    (given.output / "scaling.md").write_text("\n".join(tables))
    if found:
        draw(found, given.output / "scaling.png")
    print("\n".join(tables))
    sys.exit(0 if fits else 1)


if __name__ == "__main__":
    main()
