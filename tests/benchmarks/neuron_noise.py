r"""Independent noise on neurons in place of noise on latents: can it bring the rate network's diffusion?

    python tests/benchmarks/neuron_noise.py RATE.safetensors -o FOLDER [--neurons-per-unit 2 4 8] [--seed 0]
                                            [--kinds membrane] [--levels 0.1 0.4]

Levels that FOLDER/neuron_noise.json already has are not measured again.

A chip has noise in its neurons, and none of rank k. This asks whether the noise of neurons could replace what
conversion injects into the latents. Neurons are `LIF` on a grid, each with noise of its own:

- *membrane*: :math:`\tau_m \dot v = -v + J + \sigma\sqrt{2\tau_m}\,\xi`, with which a membrane without threshold has
  the standard deviation :math:`\sigma`, in units of the threshold.
- *bias*: :math:`J + \sigma x`, with x an Ornstein-Uhlenbeck process of variance one and a correlation time of 20 or
  200 ms.

For each level the decoders are calibrated on the spikes of the noisy neurons (`Calibrated`), so that changed tuning
curves are no error, and the spectrum of the spikes' noise is measured as conversion does it. FOLDER gets
neuron_noise.json and neuron_noise.png with

- the low-frequency diffusion of the decoded spikes over the rate network's, for each latent and for the directions in
  which that ratio is smallest and largest. Only where the smallest ratio reaches one could the noise of neurons take
  the place of all that is injected; beyond a largest ratio of one, spikes are noisier than the rate network.
- the error of the drift, with decoders solved for the noise, and with those for neurons without;
- how the ratio varies over the states;
- the excess of a closed loop with what is left to inject, over the floor of the rate network's own runs.

What was found for van der Pol in 64 units (`train` with defaults), at 4 neurons per unit: spikes without noise bring
0.001 and 0.017 of the target's diffusion in the two directions. Noise of any kind raises both, and the smaller one
stays a twentieth to a seventh of the larger one. Membrane noise of 0.4 thresholds brings 0.04 and 0.54, at 2.2 instead
of 0.35 % drift error, and the loop is 12 % slow; noise of 0.8 brings 0.14 and 2.0. Slow noise of 0.8 brings 0.77 and
5.4, at 10 % drift error. Where neurons bring enough noise in one direction they bring little in the other, where it has
to be injected still, and the drift has suffered. With the decoders of neurons without noise, Poisson spikes, the limit
of white noise, would bring 0.6 and 9.8. This is why `convert` has no such option.

What theory says. White noise makes a neuron's spikes a Poisson process at most, so that decoders D at rates r bring
:math:`\sum_j D_j D_j^\top r_j / T` at most (`poisson` in the file). Slow noise has no such limit: to first order it
brings :math:`\sum_j D_j D_j^\top F_j'^2\, 2 \tau_c \sigma^2 / T`, F the neurons' curves. Both fall as 1/N with the
number of neurons, and both have the shape of :math:`\sum_j D_j D_j^\top`, which the decoders make and not the target.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

import ddm2snn
from ddm2snn.base.diffusion_tensor import common_axes
from ddm2snn.base.randomness import stream
from ddm2snn.conversion import Calibrated, Ensemble
from ddm2snn.conversion.decoders import Problem
from ddm2snn.conversion.driving import ClosedLoop
from ddm2snn.conversion.noise_budget import (
    MeasuredNoise,
    diffusion_by_state,
    drift_errors,
    measure_budget,
    smooth_features,
)
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.network import RateNetwork, to_internal, to_system
from ddm2snn.plots.style import COLOURS, MARKERS, plain, save_figure, subplots

if TYPE_CHECKING:
    from jaxtyping import Float, Int

KINDS = {"membrane": 0.0, "bias, 20 ms": 0.02, "bias, 200 ms": 0.2}  # correlation times in seconds; 0 for white noise
LEVELS = (0.0, 0.03, 0.1, 0.2, 0.4, 0.8)
CLOSED = {"membrane": (0.0, 0.1, 0.2, 0.4), "bias, 200 ms": (0.1, 0.2, 0.4)}
CLOSED_SIZE = 4.0  # neurons per unit
TRIALS, DURATION, EVERY, REFERENCES = 16, 44.0, 0.02, 3


@dataclass(frozen=True, eq=False)
class NoisyEnsemble(Ensemble):
    """Neurons with noise of their own of a level, with a correlation time in seconds: 0 for that of the membrane."""

    level: float = 0.0
    correlation_s: float = 0.0

    def drive(self, voltage: Float[np.ndarray, "trial neuron"], columns: Int[np.ndarray, " neuron"]) -> Any:
        """Neurons to be driven open loop; each has a column of its own."""
        return _NoisyDrive(self, voltage)


class _NoisyDrive:
    """What `ddm2snn.conversion.driving.Drive` is to neurons without noise."""

    def __init__(self, ensemble: NoisyEnsemble, voltage: Float[np.ndarray, "trial neuron"]) -> None:
        clock, level = ensemble.clock, ensemble.level
        neuron: Any = ensemble.neuron  # a LIF
        self.columns = ensemble.neurons
        self._rng = np.random.default_rng(int(voltage.sum() * 1e6))  # voltages are drawn from the seed
        self._inputs = np.ascontiguousarray(ensemble.encoders.T), ensemble.bias
        decay = float(neuron.decay_factor(clock.dt_s))
        white, slow = (level, 0.0) if not ensemble.correlation_s else (0.0, level)
        kept = float(np.exp(-clock.dt_s / ensemble.correlation_s)) if ensemble.correlation_s else 0.0
        self._constants = (
            decay, float(neuron.refractory_steps(clock.dt_s)), white * np.sqrt(1 - decay**2), kept, slow,
        )  # fmt: skip
        rise = clock.rise_decay
        self._synapses = clock.decay, rise, (1 - rise) * (1 - clock.decay) / clock.dt_s
        start = self._rng.standard_normal(voltage.shape)
        self._state = voltage.copy(), np.zeros_like(voltage), np.zeros_like(voltage), start

    def advance(
        self, path: Float[np.ndarray, "trial step rank"], stride: int
    ) -> Float[np.ndarray, "trial sample neuron"]:
        """Filtered spike trains in Hz after every `stride` steps."""
        out = np.zeros((len(path), path.shape[1] // stride, self.columns))
        seeds = self._rng.integers(2**31, size=len(path))
        _steps(
            np.ascontiguousarray(path), *self._inputs, self._constants, self._synapses, stride, self._state, seeds, out
        )
        return out


@numba.njit(parallel=True, cache=True)
def _steps(
    path: np.ndarray, encoders: np.ndarray, bias: np.ndarray, constants: tuple, synapses: tuple, stride: int,
    state: tuple, seeds: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """`ddm2snn.conversion.kernels.membranes` on a grid, with noise."""
    membrane_decay, refractory_steps, white, kept, slow = constants
    decay, rise_decay, jump = synapses
    voltage, rising, filtered, wander = state
    fresh = np.sqrt(1.0 - kept**2)
    for trial in numba.prange(path.shape[0]):
        np.random.seed(seeds[trial])  # noqa: NPY002 - that of Numba's own generator
        v, q, r, x = voltage[trial], rising[trial], filtered[trial], wander[trial]
        for step in range(path.shape[1]):
            for j in range(len(bias)):
                current = bias[j]
                for c in range(path.shape[2]):
                    current += encoders[c, j] * path[trial, step, c]
                if slow > 0.0:
                    x[j] = kept * x[j] + fresh * np.random.standard_normal()  # noqa: NPY002
                    current += slow * x[j]
                reached = current + (v[j] - current) * membrane_decay
                if white > 0.0:
                    reached += white * np.random.standard_normal()  # noqa: NPY002
                reached = max(reached, 0.0) if v[j] >= 0.0 else v[j] + 1.0
                fired = reached > 1.0
                v[j] = -refractory_steps if fired else reached
                q[j] = q[j] * rise_decay + (jump if fired else 0.0)
                r[j] = r[j] * decay + q[j]
            if (step + 1) % stride == 0:
                out[trial, step // stride] = r


@dataclass(frozen=True)
class Level:
    """One level of noise: low-frequency ratios of spikes to target, drift errors, and spread of the ratio over states.

    `latents` are the ratios by latent, `lowest` and `highest` those of any direction; `poisson` those of Poisson spikes
    with the same decoders; `unsolved` the drift error of the decoders for neurons without noise; `states` the 5, 50 and
    95 % quantiles of the trace's ratio.
    """

    kind: str
    neurons_per_unit: float
    level: float
    latents: list[float]
    lowest: float
    highest: float
    poisson: list[float]
    drift_error: float
    unsolved: float
    states: list[float]
    mean_rate_hz: float


def solved(
    rate: RateNetwork, quiet: Problem, kind: str, level: float
) -> tuple[NoisyEnsemble, Float[np.ndarray, "rank neuron"], MeasuredNoise]:
    """Neurons with noise, decoders calibrated on their spikes, and the noise that these bring."""
    of = quiet.ensemble
    fields = {name: getattr(of, name) for name in ("encoders", "bias", "unit", "neuron", "clock")}
    noisy = NoisyEnsemble(**fields, level=level, correlation_s=KINDS[kind])
    decoders = Calibrated().calibrate(rate, noisy, quiet.states, quiet.rng("calibration")).decoders
    return noisy, decoders, measure_budget(rate, noisy, decoders, quiet.states, quiet.rng("noise budget"))


def measure(
    rate: RateNetwork,
    quiet: Problem,
    noisy: NoisyEnsemble,
    decoders: Float[np.ndarray, "rank neuron"],
    budget: MeasuredNoise,
    plain_decoders: Float[np.ndarray, "rank neuron"],
) -> dict[str, Any]:
    """Fields of a `Level` but for what it is a level of."""
    states, clock = quiet.states, quiet.ensemble.clock
    unsolved = measure_budget(rate, noisy, plain_decoders, states, quiet.rng("noise budget"))
    spikes, size = budget.spectrum.mean_up_to(budget.spectrum.motion), np.diag(budget.target)
    ratios, _, _ = common_axes(spikes, budget.target)
    some, steps = states[quiet.rng("rates").integers(len(states), size=200)], round(6 / clock.step)
    drive = noisy.drive(np.zeros((200, noisy.neurons)), np.arange(noisy.neurons))
    rates_hz = drive.advance(np.repeat(some[:, None], steps, axis=1), steps)[:, 0].mean(axis=0)
    poisson = (decoders * rates_hz) @ decoders.T / clock.time_unit_s
    error, reached = drift_errors(rate, noisy, decoders, states, quiet.rng("by state"), 20.0)
    tensor = diffusion_by_state(rate, error, reached, 0.1)
    by_state = np.einsum("sf,fii->s", smooth_features(rate, states), tensor)
    return {
        "latents": (np.diag(spikes) / size).tolist(), "lowest": float(ratios.min()), "highest": float(ratios.max()),
        "poisson": (np.diag(poisson) / size).tolist(), "drift_error": float(budget.drift.repeatable.max()),
        "unsolved": float(unsolved.drift.repeatable.max()),
        "states": np.quantile(by_state / size.sum(), [0.05, 0.5, 0.95]).tolist(),
        "mean_rate_hz": float(rates_hz.mean()),
    }  # fmt: skip


def closed_loop(
    rate: RateNetwork, noisy: NoisyEnsemble, decoders: np.ndarray, injected: np.ndarray, seed: int
) -> ddm2snn.Recording:
    """Run the loop with noise of the neurons, and white noise injected into the latents."""
    rng = stream(seed, "neuron noise", "closed loop")
    start = to_internal(rate, rate.initial_latent[rng.integers(len(rate.initial_latent), size=TRIALS)])
    loop = ClosedLoop(rate, noisy, decoders, np.arange(noisy.neurons), injected, start, rng)
    loop.stride = round(EVERY / noisy.clock.step)
    loop.every = loop.stride * noisy.clock.step
    latent = to_system(rate, loop.follow(DURATION))
    return ddm2snn.Recording.from_arrays(latent, every=EVERY, time_unit_s=noisy.clock.time_unit_s)


def draw(levels: list[Level], closed: list[dict[str, Any]], path: Path) -> None:
    """Ratios, drift errors and closed loops against the level."""
    kinds, sizes = list(KINDS), sorted({level.neurons_per_unit for level in levels})
    figure, axes = subplots(9.0, 7.6, 3, len(kinds), sharex=True, sharey="row")
    for column, kind in enumerate(kinds):
        for index, size in enumerate(sizes):
            some = [x for x in levels if (x.kind, x.neurons_per_unit) == (kind, size) and x.level > 0]
            x, style = [p.level for p in some], {"color": COLOURS[1 + index], "marker": MARKERS[index], "ms": 4}
            axes[0, column].plot(x, [p.highest for p in some], **style, label=f"largest, {size:g} per unit")
            axes[0, column].plot(x, [p.lowest for p in some], **style, ls="--", label=f"smallest, {size:g} per unit")
            axes[1, column].plot(x, [p.drift_error for p in some], **style, label=f"solved again, {size:g} per unit")
            axes[1, column].plot(x, [p.unsolved for p in some], **style, ls="--", label="as they were")
        for index, name in enumerate(("d_stsp", "drift", "diffusion")):
            style = {"color": COLOURS[4 + index], "marker": MARKERS[index], "ms": 4}
            some = [x for x in closed if x["kind"] == kind and x["level"] and name in x["excess"]]
            excess = [x["excess"][name] for x in some]
            axes[2, column].plot([x["level"] for x in some], excess, **style, label=name)
        axes[2, column].set_visible(kind in CLOSED)
        axes[0, column].axhline(1.0, color=COLOURS[0], lw=0.8)
        axes[0, column].set(title=kind, xscale="log", yscale="log")
        axes[1, column].set(yscale="log")
        axes[2 if kind in CLOSED else 1, column].set(xlabel="level (thresholds)")
        axes[2, column].set(yscale="log")
        axes[2, column].set_xticks(LEVELS[1:], [f"{level:g}" for level in LEVELS[1:]])
        axes[2, column].xaxis.minorticks_off()
        axes[2, column].axhline(1.0, color=COLOURS[0], lw=0.8)
    for axis, label in zip(
        axes[:, 0], ("spikes' diffusion\nover target", "drift error", "excess, closed loop"), strict=True
    ):
        axis.set_ylabel(label)
    axes[0, -1].legend(frameon=False, fontsize=6.5, loc="lower right")
    axes[1, -1].legend(frameon=False, fontsize=6.5, loc="lower right")
    axes[2, 0].legend(frameon=False, fontsize=7)
    plain(*axes.flat)
    save_figure(figure, path)


def main() -> None:
    """Measure what the file lacks, and write file and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rate", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--neurons-per-unit", type=float, nargs="+", default=[2.0, 4.0, 8.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--levels", type=float, nargs="+", default=list(LEVELS))
    asked = parser.parse_args()
    rate = ddm2snn.load(asked.rate)
    if not isinstance(rate, RateNetwork):
        parser.error(f"{asked.rate} holds no rate network")
    asked.output.mkdir(parents=True, exist_ok=True)
    file = asked.output / "neuron_noise.json"
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"levels": [], "closed": []}
    states = to_internal(rate, stationary_states(rate, asked.seed))
    runs = [
        ddm2snn.simulate(rate, duration=DURATION, trials=TRIALS, seed=1000 + i, every=EVERY) for i in range(REFERENCES)
    ]
    for size in asked.neurons_per_unit:
        population = ddm2snn.Population(size)
        network = ddm2snn.convert(rate, population=population, backend="reference", seed=asked.seed).network
        quiet = Problem(rate, Ensemble.of(network), states, asked.seed)
        for kind, level in itertools.product(asked.kinds, asked.levels):
            what = {"kind": kind, "neurons_per_unit": size, "level": level}
            lacks = {
                part: not any(what.items() <= done.items() for done in content[part]) for part in ("levels", "closed")
            }
            lacks["closed"] &= size == CLOSED_SIZE and level in CLOSED.get(kind, ())
            if not any(lacks.values()) or (not level and kind != "membrane"):
                continue
            noisy, decoders, budget = solved(rate, quiet, kind, level)
            if lacks["levels"]:
                found = measure(rate, quiet, noisy, decoders, budget, network.decoders)
                content["levels"].append({**what, **found})
            if lacks["closed"]:
                injected = budget.spectrum.white
                test = closed_loop(rate, noisy, decoders, injected, asked.seed)
                report = ddm2snn.compare(runs[0], test, floor=runs[1:], burn_in=4.0)
                content["closed"].append({
                    **what, "injected": np.diag(injected @ injected.T).tolist(), "verdict": report.verdict,
                    "excess": {m.name: m.excess for m in report.measures},
                })  # fmt: skip
            print(json.dumps(content["levels"][-1]), flush=True)
            file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    draw([Level(**level) for level in content["levels"]], content["closed"], asked.output / "neuron_noise.png")


if __name__ == "__main__":
    main()
