"""Where systems change their behaviour with a parameter: target, rate network and spiking network side by side.

    python tests/benchmarks/bifurcations.py [--families hopf ...] [--units 64] [--backend brian2] [-o FOLDER]

A system's last latent p is its parameter. In training and calibration it wanders by itself, dp = -p dt / T + noise, so
that stationary states cover its range. In a sweep this noise is off, in the rate network and in the spiking one, and an
input p* / T moves p to the levels p* of a staircase, up in half of the trials and down in the others. Each family has
an order parameter Q that rises from zero in proportion to a function h of p:

| family | equation | Q | h |
|---|---|---|---|
| hopf | dz = (p + i w - abs(z)^2) z dt | mean square radius | p |
| pitchfork | dx = (p x - x^3) dt | mean square of x | p |
| cycle (a saddle-node on it) | dphi = (1 + p - cos phi) dt | squared mean speed of phi | 2 p + p^2 |

A line through the upper half of the levels says where Q begins; its p is the critical value, with the standard error
of a jackknife over trials. The noise bends all curves alike, that of the target too. Without noise, the critical value
of a rate network is the p at which it ceases to have one stable state, found by bisection.

Prints a table and, with -o, writes FOLDER/bifurcations.md, .json and .png.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import ddm2snn
from ddm2snn import RateNetwork, SpikingNetwork, Stimulus, System, Training
from ddm2snn.analysis import find_fixed_points
from ddm2snn.errors import MissedWarning
from ddm2snn.plots.style import COLOURS, MARKERS, save_figure, subplots
from ddm2snn.systems.integration import integrate

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.figure import Figure

    Samples = Float[np.ndarray, "trial time rank"]
    PerLevel = Float[np.ndarray, " level"]

Network = RateNetwork | SpikingNetwork | System

NOISE = 0.1  # of the latents other than the parameter
LAG = 3.0  # T, time units in which the parameter follows the input
HOLD, SETTLE = 40.0, 20.0  # time units at each level, and those at its beginning that are left out
LEVELS, TRIALS, EVERY = 13, 24, 0.1
NEURONS_PER_UNIT = 8


@dataclass(frozen=True)
class Family:
    """A system with a parameter.

    Parameters
    ----------
    name, title
        For options, and for the figure.
    rank
        Latents without the parameter.
    flow
        Their drift at (latents, parameter), arrays (..., rank) and (...).
    order
        Q of samples at one level, (trial, time, rank), for each trial.
    control
        h, and p as a function of it near zero.
    wander
        Standard deviation of p in training.
    reach
        Largest level of the sweep to both sides.
    """

    name: str
    title: str
    rank: int
    flow: Callable[[np.ndarray, np.ndarray], np.ndarray]
    order: Callable[[np.ndarray], np.ndarray]
    control: tuple[Callable[[np.ndarray], np.ndarray], Callable[[float], float]]
    wander: float
    reach: float

    @property
    def levels(self) -> PerLevel:
        """Levels of the sweep, rising."""
        return np.linspace(-self.reach, self.reach, LEVELS)


def _hopf(z: np.ndarray, p: np.ndarray) -> np.ndarray:
    x, y = z[..., 0], z[..., 1]
    grow = p - x**2 - y**2
    return np.stack([grow * x - 1.5 * y, grow * y + 1.5 * x], axis=-1)


def _cycle(z: np.ndarray, p: np.ndarray) -> np.ndarray:
    x, y = z[..., 0], z[..., 1]
    back, turn = 2.0 * (1.0 - x**2 - y**2), 1.0 + p - x
    return np.stack([back * x - turn * y, back * y + turn * x], axis=-1)


def _mean_square(samples: np.ndarray) -> np.ndarray:
    return (samples**2).sum(axis=-1).mean(axis=1)


def _mean_speed(samples: np.ndarray) -> np.ndarray:
    """Mean angular velocity of each trial."""
    angle = np.unwrap(np.arctan2(samples[..., 1], samples[..., 0]), axis=1)
    return (angle[:, -1] - angle[:, 0]) / (EVERY * (angle.shape[1] - 1))


_LINEAR = (lambda p: p, float)
FAMILIES = {
    family.name: family
    for family in (
        Family("hopf", "Hopf", 2, _hopf, _mean_square, _LINEAR, 0.6, 1.0),
        Family("pitchfork", "pitchfork", 1, lambda z, p: p[..., None] * z - z**3, _mean_square, _LINEAR, 0.6, 1.0),
        Family(
            "cycle", "saddle-node on a cycle", 2, _cycle, _mean_speed,
            (lambda p: 2 * p + p**2, lambda h: float(np.sqrt(max(1 + h, 0.0)) - 1)), 0.4, 0.6,
        ),
    )
}  # fmt: skip


def system_of(family: Family) -> System:
    """The family with its parameter as the last latent, which wanders."""
    rank = family.rank

    def drift(z: np.ndarray) -> np.ndarray:
        return np.concatenate([family.flow(z[..., :rank], z[..., rank]), -z[..., rank:] / LAG], axis=-1)

    return System(
        name=family.name,
        rank=rank + 1,
        drift=drift,
        diffusion=np.diag([*[NOISE] * rank, family.wander * np.sqrt(2 / LAG)]),
        initial=lambda rng, count: np.column_stack(
            [rng.standard_normal((count, rank)), family.wander * rng.standard_normal(count)]
        ),
        time_scale=1.0,
        units=64,
    )


def held(network: Network) -> Network:
    """The network or system without the noise that moves its parameter."""
    if isinstance(network, System):
        factor = np.array(network.constant_factor)
        factor[-1] = 0.0
        return replace(network, diffusion=factor)
    factor = np.array(network.diffusion_factor)
    factor[-1] = 0.0
    return replace(network, diffusion_factor=factor)


# ----- sweeps


@dataclass(frozen=True)
class Sweep:
    """Order parameter of one network along the staircase.

    Parameters
    ----------
    levels
        p*.
    reached
        Mean of p at each.
    order, standard_error
        Q, and its standard error over trials.
    critical, critical_error
        p at which a line through the upper half of Q begins, and its standard error.
    """

    levels: list[float]
    reached: list[float]
    order: list[float]
    standard_error: list[float]
    critical: float
    critical_error: float


def staircase(family: Family, levels: PerLevel) -> Stimulus:
    """Input that holds the parameter at each level in turn."""
    values = np.zeros((len(levels), family.rank + 1))
    values[:, -1] = levels / LAG
    return Stimulus(times=HOLD * np.arange(len(levels)), values=values)


def sweep(family: Family, network: Network, *, trials: int = TRIALS, seed: int = 0) -> Sweep:
    """Run a network up and down the staircase."""
    per_trial, reached = [], []
    for direction, levels in enumerate((family.levels, family.levels[::-1])):
        samples = _run(family, held(network), levels, trials // 2, seed=2 * seed + direction)
        steps = round(HOLD / EVERY)
        parts = samples.reshape(len(samples), len(levels), steps, -1)[:, :, round(SETTLE / EVERY) :]
        if direction:
            parts = parts[:, ::-1]
        per_trial.append([family.order(parts[:, level, :, : family.rank]) for level in range(len(levels))])
        reached.append(parts[..., -1].mean(axis=(0, 2)))
    order = np.concatenate(per_trial, axis=1)  # (level, trial)
    critical, error = critical_value(family, order)
    return Sweep(
        levels=family.levels.tolist(),
        reached=np.mean(reached, axis=0).tolist(),
        order=(_squared(family, order.mean(axis=1))).tolist(),
        standard_error=_spread(family, order).tolist(),
        critical=critical,
        critical_error=error,
    )


def _run(family: Family, network: Network, levels: PerLevel, trials: int, seed: int) -> Samples:
    start = np.zeros((trials, family.rank + 1))
    start[:, 0], start[:, -1] = 1.0, levels[0]
    duration = HOLD * len(levels)
    if isinstance(network, System):
        dt = 0.01
        forcing = np.zeros((round(duration / dt), family.rank + 1))
        forcing[:, -1] = np.repeat(levels / LAG, round(HOLD / dt))
        return integrate(
            network.drift, network.noise, start, dt=dt, steps=len(forcing), stride=round(EVERY / dt),
            rng=np.random.default_rng(seed), forcing=forcing.__getitem__,
        )  # fmt: skip
    recording = ddm2snn.simulate(
        network, duration=duration, trials=trials, seed=seed, every=EVERY, stimulus=staircase(family, levels),
        initial_latent=start,
    )  # fmt: skip
    return recording.samples[:, : round(duration / EVERY)]


def _squared(family: Family, order: np.ndarray) -> np.ndarray:
    """Q of the mean over trials: a mean speed is squared after it was averaged."""
    return np.sign(order) * order**2 if family.order is _mean_speed else order


def _spread(family: Family, order: np.ndarray) -> np.ndarray:
    error = order.std(axis=1, ddof=1) / np.sqrt(order.shape[1])
    return 2 * np.abs(order.mean(axis=1)) * error if family.order is _mean_speed else error


def critical_value(family: Family, order: Float[np.ndarray, "level trial"]) -> tuple[float, float]:
    """Critical p by a line through Q against h, and its standard error by a jackknife over trials."""
    forward, back = family.control
    upper = family.levels > 0.4 * family.reach

    def crossing(trials: np.ndarray) -> float:
        q = _squared(family, order[:, trials].mean(axis=1))[upper]
        slope, intercept = np.polyfit(forward(family.levels[upper]), q, 1)
        return back(-intercept / slope)

    everyone = np.arange(order.shape[1])
    without = np.array([crossing(np.delete(everyone, trial)) for trial in everyone])
    count = len(everyone)
    return crossing(everyone), float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))


def critical_of_flow(family: Family, drift: Callable[[np.ndarray], np.ndarray]) -> float:
    """P at which the noise-free flow at a clamped parameter ceases to have one stable state, by bisection."""
    rng = np.random.default_rng(0)
    starts = rng.uniform(-1.5, 1.5, (200, family.rank))

    def stable(p: float) -> int:
        def clamped(z: np.ndarray) -> np.ndarray:
            return drift(np.concatenate([z, np.full((*z.shape[:-1], 1), p)], axis=-1))[..., : family.rank]

        return sum(point.kind.startswith("stable") for point in find_fixed_points(clamped, starts))

    low, high = -0.6 * family.reach, 0.6 * family.reach
    if stable(low) != 1 or stable(high) == 1:
        return float("nan")
    for _ in range(12):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if stable(middle) == 1 else (low, middle)
    return 0.5 * (low + high)


# ----- table and figure


@dataclass(frozen=True)
class Row:
    """One family: critical values of the noise-free flows of target and rate network, and sweeps by network."""

    family: str
    flow_target: float
    flow_rate: float
    drift_error: list[float]
    sweeps: dict[str, Sweep]


def judge(
    family: Family, *, units: int, backend: str, trials: int = TRIALS, seed: int = 0, training: Training | None = None
) -> Row:
    """Train, convert and sweep one family."""
    system = system_of(family)
    rate = ddm2snn.train(system, units=units, seed=seed, training=training)
    population = ddm2snn.Population(neurons_per_unit=NEURONS_PER_UNIT)
    spiking = ddm2snn.convert(rate, population=population, backend=backend, seed=seed).network
    networks: dict[str, Network] = {"target": system, "rate network": rate, "spiking network": spiking}
    # a seed for each, since equal ones would give target and rate network the same noise
    sweeps = {
        name: sweep(family, network, trials=trials, seed=10 * seed + number)
        for number, (name, network) in enumerate(networks.items())
    }
    target, trained = (critical_of_flow(family, drift) for drift in (system.drift, rate.drift))
    return Row(family.name, target, trained, list(rate.provenance["drift_error"]), sweeps)


def as_lines(rows: Sequence[Row]) -> list[str]:
    """The table in Markdown."""
    lines = ["| family | flow of target | flow of rate network | target | rate network | spiking network |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        values = " | ".join(f"{s.critical:.3f} ± {s.critical_error:.3f}" for s in row.sweeps.values())
        lines.append(f"| {row.family} | {row.flow_target:.3f} | {row.flow_rate:.3f} | {values} |")
    return lines


def draw(rows: Sequence[Row]) -> Figure:
    """Order parameter against the parameter, a panel for each family."""
    figure, axes = subplots(3.6 * len(rows), 3.4, columns=len(rows), squeeze=False)
    for axis, row in zip(axes[0], rows, strict=True):
        family = FAMILIES[row.family]
        p = np.linspace(-family.reach, family.reach, 200)
        axis.plot(p, np.maximum(family.control[0](p), 0.0), color="0.6", lw=1.0, label="target without noise")
        for (name, found), colour, marker in zip(row.sweeps.items(), COLOURS, MARKERS, strict=False):
            axis.errorbar(
                found.reached, found.order, yerr=found.standard_error, color=colour, marker=marker, ms=4, lw=1.0,
                mfc="white", capsize=2, label=name,
            )  # fmt: skip
            axis.axvline(found.critical, color=colour, lw=0.8, ls=":")
        axis.set(xlabel="parameter $p$", title=family.title)
        axis.title.set_fontsize(10)
    axes[0].set_ylabel("order parameter $Q$")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    """Print the table; see the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--backend", default="brian2", choices=["brian2", "reference", "nengo"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, help="folder for bifurcations.md, .json and .png")
    options = parser.parse_args()
    warnings.simplefilter("ignore", MissedWarning)
    rows = []
    for name in options.families:
        print(name, file=sys.stderr, flush=True)
        rows.append(judge(FAMILIES[name], units=options.units, backend=options.backend, seed=options.seed))
    print("\n".join(as_lines(rows)))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "bifurcations.md").write_text("\n".join(as_lines(rows)) + "\n")
        (options.output / "bifurcations.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
        save_figure(draw(rows), options.output / "bifurcations.png")


if __name__ == "__main__":
    main()
