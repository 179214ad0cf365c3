"""Planar networks against the Fokker-Planck equation, solved by finite volumes without samples.

    python tests/benchmarks/planar_oracle.py [--systems vanderpol ...] [--seeds 3] [--spiking] [-o FOLDER]

Prints three tables and, with -o, writes FOLDER/planar_oracle.md and .json:

- Entropy production of the target and of its rate network by the oracle, beside the value and the interval of
  `analyse`, which comes from samples; and the oracle on cells half as large again, as its own error.
- Stationary density of simulations of the rate network against the oracle's for this very network: total variation
  distance, and what it is by chance where trials scatter as these do, the mean and what 95 % stay below. The density of
  the target stands beside it: its excess over the chance is the error of training. `--spiking` adds converted networks.
- Escape rates of wells with a barrier b between them, by b over the diffusivity D: the formula of Eyring and Kramers,
  oracle of the target, oracle of the rate network, and count in simulations with its standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import ddm2snn
from ddm2snn import RateNetwork, System, Training
from ddm2snn.analysis.flow import stationary_paths
from ddm2snn.analysis.irreversibility import Estimate, split_drift
from ddm2snn.errors import MissedWarning

sys.path.insert(0, str(Path(__file__).parents[1] / "theory"))
from fokker_planck import Grid, Planar  # pyright: ignore[reportMissingImports] - of the tests

if TYPE_CHECKING:
    from jaxtyping import Float

    Samples = Float[np.ndarray, "trial time 2"]

SYSTEMS = ("anisotropic", "fourwell", "ornsteinuhlenbeck", "sequence", "stuartlandau", "vanderpol")
CELLS, BLOCK = 240, 12  # of the oracle along each axis, and those that a cell of the histogram is made of
MARGIN = 0.3  # of the range of stationary states, on each side
RESAMPLES = 400
RARE = 1e-3  # cells of the histogram that hold less are taken together
TRIALS, DURATION, EVERY, BURN_IN = 256, 60.0, 0.1, 10.0  # of simulations, in rate time units
SPIKING_TRIALS = 64
CORE = 0.8  # wells at +-1 are entered here
BARRIERS, HEIGHTS = (0.5, 1.0), (2.0, 4.0, 6.0)  # b, and b over D
STIFF = 3.0  # how much stiffer the landscape is across the saddle than far from it
ESCAPES = 2000.0  # that a simulation should see
ESCAPE_TRIALS, LONGEST = 512, 500.0
CLOSE = 0.02  # between samples of escapes: at 0.1, three in a hundred short visits to a core are missed at b / D = 2


def tensor_of(system: System | RateNetwork) -> Callable[[np.ndarray], np.ndarray]:
    """G G^T of a system or a network as a function of the state."""
    if isinstance(system, RateNetwork):
        return system.diffusion

    def tensor(z: np.ndarray) -> np.ndarray:
        factor = system.factor(z)
        return factor @ np.swapaxes(factor, -1, -2)

    return tensor


def oracle(system: System | RateNetwork, states: Float[np.ndarray, "sample 2"], cells: int = CELLS) -> Planar:
    """The oracle of a system or network on a rectangle around stationary states."""
    low, high = states.min(axis=0), states.max(axis=0)
    margin = MARGIN * (high - low)
    grid = Grid(tuple(low - margin), tuple(high + margin), (cells, cells))
    return Planar(system.drift, tensor_of(system), grid)


# ----- entropy production


@dataclass(frozen=True)
class Production:
    """Entropy production per time unit of one network.

    Parameters
    ----------
    system, seed
        Target, and seed of training.
    target, network
        By the oracle.
    coarse
        Of the network by the oracle, on cells half as large again.
    sampled
        Of the network by `analyse`'s regression on samples, with its 95 % interval.
    """

    system: str
    seed: int
    target: float
    network: float
    coarse: float
    sampled: Estimate

    @property
    def inside(self) -> bool:
        """Whether the interval holds the oracle's value."""
        return self.sampled.low <= self.network <= self.sampled.high


def production(system: System, network: RateNetwork, seed: int, cells: int = CELLS) -> Production:
    """Entropy production by oracle and samples."""
    states = network.initial_latent
    path = stationary_paths(
        network, trials=256, duration=40.0, every=0.2, burn_in=5.0, rng=np.random.default_rng(1000 + seed)
    )
    split = split_drift(network.drift, network.diffusion, path, rng=np.random.default_rng(2000 + seed))
    values = [oracle(*pair).entropy_production for pair in ((system, states, cells), (network, states, cells))]
    coarse = oracle(network, states, round(cells / 1.5)).entropy_production
    return Production(system.name, seed, *values, coarse=coarse, sampled=split.entropy_production)


# ----- stationary density


@dataclass(frozen=True)
class Occupancy:
    """Share of time in the cells of a histogram against a density of the oracle.

    Parameters
    ----------
    distance
        Total variation distance: half the sum of absolute differences.
    chance, limit
        Mean and 95th percentile of what it is by chance, if the expected shares are right: distances of the mean
        shares of resampled trials from those of all trials.
    """

    distance: float
    chance: float
    limit: float


def occupancy(samples: Samples, process: Planar, block: int = BLOCK) -> Occupancy:
    """Compare trajectories with the stationary density of a process.

    Trials are independent, samples of one trial are not: whole trials are drawn again.
    """
    edges = [process.grid.edges(axis)[::block] for axis in (0, 1)]
    expected = process.density.reshape(len(edges[0]) - 1, block, -1, block).sum(axis=(1, 3)).ravel() * process.grid.area
    shares = np.array([np.histogram2d(*trial.T, bins=edges)[0].ravel() / len(trial) for trial in samples])
    often = expected > RARE
    expected, shares = (np.column_stack([np.atleast_2d(s)[:, often], 1 - np.atleast_2d(s)[:, often].sum(axis=1)])
                        for s in (expected, shares))  # fmt: skip
    mean, rng = shares.mean(axis=0), np.random.default_rng(0)
    again = rng.multinomial(len(shares), np.full(len(shares), 1 / len(shares)), size=RESAMPLES) @ shares / len(shares)
    chance = 0.5 * np.abs(again - mean).sum(axis=1)
    distance = 0.5 * np.abs(mean - expected[0]).sum()
    return Occupancy(float(distance), float(chance.mean()), float(np.quantile(chance, 0.95)))


def simulated(network: ddm2snn.RateNetwork | ddm2snn.SpikingNetwork, seed: int, trials: int = TRIALS) -> Samples:
    """Stationary trajectories of a network."""
    recording = ddm2snn.simulate(network, duration=DURATION + BURN_IN, trials=trials, seed=seed, every=EVERY)
    return recording.samples[:, round(BURN_IN / EVERY) :]


# ----- escape over a barrier


def two_wells(barrier: float, diffusion: float, stiff: float = STIFF) -> System:
    r"""Wells at (+-1, 0): :math:`U = b (x^2 - 1)^2 + \tfrac12 (1 + s e^{-2 x^2}) y^2`, noise :math:`\sqrt{2 D}`."""

    def drift(z: np.ndarray) -> np.ndarray:
        x, y = z[..., 0], z[..., 1]
        bump = stiff * np.exp(-2 * x**2)
        return np.stack([4 * barrier * x * (1 - x**2) + 2 * x * bump * y**2, -(1 + bump) * y], axis=-1)

    return System(
        name=f"two wells, b {barrier:g}, b / D {barrier / diffusion:g}",
        rank=2,
        drift=drift,
        diffusion=float(np.sqrt(2 * diffusion)),
        initial=lambda rng, count: (
            np.stack([rng.choice([-1.0, 1.0], count), np.zeros(count)], axis=-1)
            + np.sqrt(diffusion / 4) * rng.standard_normal((count, 2))
        ),
        time_scale=1.0,
        units=64,
    )


def kramers(barrier: float, diffusion: float, stiff: float = STIFF) -> float:
    """Rate of escape by Eyring and Kramers: |lambda| / 2 pi sqrt(det H_min / |det H_saddle|) exp(-b / D)."""
    at_minimum, at_saddle = 8 * barrier * (1 + stiff * np.exp(-2)), 4 * barrier * (1 + stiff)
    return float(4 * barrier / (2 * np.pi) * np.sqrt(at_minimum / at_saddle) * np.exp(-barrier / diffusion))


@dataclass(frozen=True)
class Escape:
    """Rates from one well to the other, per time unit, the mean of both directions."""

    barrier: float
    height: float
    kramers: float
    target: float
    network: float
    counted: float
    standard_error: float


def escape_rate(process: Planar) -> float:
    """Mean of the rates to the right and to the left by the oracle."""
    x = process.grid.points()[..., 0]
    left, right = x <= -CORE, x >= CORE
    return 0.5 * (process.escape_rate(left, right) + process.escape_rate(right, left))


def counted_rate(samples: Samples, every: float) -> tuple[float, float]:
    """Mean over both directions of passages per time in a well, and its standard error over trials.

    A trajectory belongs to the well whose core it was in last.
    """
    side = np.where(samples[..., 0] <= -CORE, -1, np.where(samples[..., 0] >= CORE, 1, 0))
    place = np.maximum.accumulate(np.where(side != 0, np.arange(side.shape[1]), -1), axis=1)
    last = np.where(place >= 0, np.take_along_axis(side, np.maximum(place, 0), axis=1), 0)
    passages = [((last[:, :-1] == s) & (last[:, 1:] == -s)).sum(axis=1) for s in (-1, 1)]
    stays = [(last[:, :-1] == s).sum(axis=1) * every for s in (-1, 1)]

    def rate(trials: np.ndarray) -> float:
        return 0.5 * sum(float(p[trials].sum() / t[trials].sum()) for p, t in zip(passages, stays, strict=True))

    # jackknife over trials; Efron, Tibshirani (1993), section 11.5
    count = len(samples)
    everyone = np.arange(count)
    without = np.array([rate(np.delete(everyone, trial)) for trial in range(count)])
    return rate(everyone), float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))


def escape(barrier: float, height: float, seed: int, training: Training | None = None, *, cells: int = CELLS) -> Escape:
    """Escape rates of two wells by every way."""
    diffusion = barrier / height
    system, formula = two_wells(barrier, diffusion), kramers(barrier, diffusion)
    network = ddm2snn.train(system, seed=seed, training=training)
    target, trained = (escape_rate(oracle(s, network.initial_latent, cells)) for s in (system, network))
    duration = float(np.clip(ESCAPES / (ESCAPE_TRIALS * formula), 20.0, LONGEST))
    run = ddm2snn.simulate(network, duration=duration, trials=ESCAPE_TRIALS, seed=seed, every=CLOSE)
    return Escape(barrier, height, formula, target, trained, *counted_rate(run.samples, CLOSE))


# ----- tables


def table(head: str, rows: Sequence[str]) -> list[str]:
    """Lines of a table in Markdown."""
    return [f"| {head} |", "|" + "---|" * (head.count("|") + 1), *(f"| {row} |" for row in rows), ""]


def as_lines(
    productions: Sequence[Production], densities: Sequence[tuple[str, dict[str, Occupancy]]], escapes: Sequence[Escape]
) -> list[str]:
    """The three tables."""
    lines = table(
        "entropy production, seed | oracle, target | oracle, network | coarser cells | samples, 95 % interval",
        [
            f"{p.system}, {p.seed} | {p.target:.5g} | {p.network:.5g} | {p.coarse:.5g} | "
            f"{p.sampled.value:.5g} ({p.sampled.low:.5g} to {p.sampled.high:.5g}){'' if p.inside else ', outside'}"
            for p in productions
        ],
    )
    lines += table(
        "density of simulations against | distance | by chance | 95 % below",
        [
            f"{name}: {what} | {o.distance:.4f} | {o.chance:.4f} | {o.limit:.4f}"
            for name, row in densities
            for what, o in row.items()
        ],
    )
    return lines + table(
        "escape: b | b / D | Kramers | oracle, target | oracle, network | counted",
        [
            f"{e.barrier:g} | {e.height:g} | {e.kramers:.4g} | {e.target:.4g} | {e.network:.4g} | "
            f"{e.counted:.4g} ± {e.standard_error:.2g}"
            for e in escapes
        ],
    )


def judged(name: str, seed: int, *, spiking: bool) -> tuple[Production, dict[str, Occupancy]]:
    """Entropy production and density of one network."""
    system = ddm2snn.find_system(name)
    network = ddm2snn.train(system, seed=seed)
    mine, theirs = (oracle(s, network.initial_latent) for s in (network, system))
    samples = simulated(network, seed)
    row = {"rate network, oracle of the network": occupancy(samples, mine)}
    row["rate network, oracle of the target"] = occupancy(samples, theirs)
    if spiking:
        snn = ddm2snn.convert(network, seed=seed).network
        row["spiking network, oracle of the rate network"] = occupancy(simulated(snn, seed, SPIKING_TRIALS), mine)
    return production(system, network, seed), row


def main() -> None:
    """Print the tables; see the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--spiking", action="store_true", help="convert the networks as well (Brian2)")
    parser.add_argument("-o", "--output", type=Path, help="folder for planar_oracle.md and .json")
    options = parser.parse_args()
    warnings.simplefilter("ignore", MissedWarning)
    productions, densities, escapes = [], [], []
    for name in options.systems:
        for seed in range(options.seeds):
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
            found, row = judged(name, seed, spiking=options.spiking)
            productions.append(found)
            densities.append((f"{name}, seed {seed}", row))
    for barrier in BARRIERS:
        for height in HEIGHTS:
            print(f"wells, b = {barrier:g}, b / D = {height:g}", file=sys.stderr, flush=True)
            # a seed of its own for each: with the same noise, all counts would err to the same side
            escapes.append(escape(barrier, height, seed=len(escapes)))
    lines = as_lines(productions, densities, escapes)
    print("\n".join(lines))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "planar_oracle.md").write_text("\n".join(lines))
        content = {
            "entropy_production": [asdict(p) for p in productions],
            "density": [
                {"network": name, "against": what, **asdict(o)} for name, row in densities for what, o in row.items()
            ],
            "escape": [asdict(e) for e in escapes],
        }
        (options.output / "planar_oracle.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
