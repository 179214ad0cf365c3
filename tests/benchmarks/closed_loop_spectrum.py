"""Noise by frequency: what a conversion predicts for its closed loop, against what runs of the network have.

    python tests/benchmarks/closed_loop_spectrum.py [--rows vanderpol:4 lorenz:4] [--units N] [--backend brian2]
        [--trials 64 --duration 44] -o FOLDER

Measured is the noise that takes the latents off the rate network's flow. With the recorded latents z of every step and
what spikes should have decoded there, filtered, it is what is left of z, on both sides of one filter
(`ddm2snn.conversion.trajectories.regression_target`). The part that is a smooth function of the state is left out, as
in the prediction. Predicted are the spikes of open-loop runs, as in the conversion, with the noise that the network
injects: the budget is the conversion's own, of one such run, and `predicted` the mean of several. All are shares of
the rate network's diffusion, per latent. Standard errors are those of means over groups of trials and over runs.

Writes FOLDER/closed_loop_spectrum.json and .png, and exits 1 where measured and predicted differ by more than 10 % and
three standard errors.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

import ddm2snn
from ddm2snn.base.randomness import stream
from ddm2snn.conversion import Diagnostics, Ensemble
from ddm2snn.conversion.noise_budget import finely_sampled, measure_budget, smooth_features
from ddm2snn.conversion.noise_spectrum import NoiseSpectrum, spectrum_of
from ddm2snn.conversion.trajectories import regression_target, stationary_states
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal
from ddm2snn.plots.style import COLOURS, MARKERS, STYLES, save_figure, subplots

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.figure import Figure

    Shares = Float[np.ndarray, "frequency rank"]

ROWS = ("vanderpol:4", "lorenz:4")
TRIALS, DURATION, BURN_IN = 64, 44.0, 4.0  # of recorded runs
GROUPS, RUNS = 8, 4  # of trials, and of open-loop runs
TOLERANCE, SIGMAS = 0.1, 3.0
_CHUNK = 2000  # steps whose rate units are computed at once


@dataclass(frozen=True)
class Row:
    """Shares of the target's noise, (frequency, latent), of one network.

    `far` says where measured and predicted differ by more than a tenth and three standard errors.
    """

    name: str
    frequency: list[float]
    budget: list[list[float]]
    predicted: list[list[float]]
    predicted_error: list[list[float]]
    measured: list[list[float]]
    measured_error: list[list[float]]

    @property
    def ratio(self) -> Shares:
        """Measured over predicted."""
        return np.array(self.measured) / np.array(self.predicted)

    @property
    def error(self) -> Shares:
        """Standard error of the ratio."""
        parts = [np.array(e) / np.array(s) for e, s in
                 ((self.predicted_error, self.predicted), (self.measured_error, self.measured))]  # fmt: skip
        return self.ratio * np.hypot(*parts)

    @property
    def far(self) -> Float[np.ndarray, "frequency rank"]:
        """Where they differ."""
        return np.abs(self.ratio - 1.0) > TOLERANCE + SIGMAS * self.error

    def words(self) -> str:
        """One sentence."""
        off = np.abs(self.ratio - 1.0)
        where = np.unravel_index(off.argmax(), off.shape)
        return (
            f"{self.name}: measured over predicted noise is {self.ratio.min():.3f} to {self.ratio.max():.3f} over "
            f"{off.size} frequencies and latents, root mean square deviation {100 * np.sqrt((off**2).mean()):.1f} %; "
            f"furthest at {self.frequency[where[0]]:.3g} per time unit in latent {where[1]}, standard error "
            f"{100 * self.error[where]:.1f} %; {int((off > TOLERANCE).sum())} off by more than 10 %, "
            f"{int(self.far.sum())} by three standard errors more."
        )


def shares(density: Float[np.ndarray, "frequency rank rank"], target: Float[np.ndarray, "rank rank"]) -> Shares:
    """Diagonals over those of the target."""
    return np.einsum("fii->fi", density).real / np.diag(target)


def total_noise(
    rate: RateNetwork, network: SpikingNetwork, z: Float[np.ndarray, "trial time rank"]
) -> Float[np.ndarray, "trial time rank"]:
    """Filtered noise of internal latents z of every step: what their filtered target leaves of them."""
    clock = Ensemble.of(network).clock
    wanted = np.empty_like(z)
    for trial, path in enumerate(z):
        for first in range(0, len(path), _CHUNK):
            some = slice(first, first + _CHUNK)
            wanted[trial, some] = regression_target(rate, path[some], clock)
    return z - np.asarray(lfilter([0.0, 1.0 - clock.decay], [1.0, -clock.decay], wanted, axis=1))


def measured(
    rate: RateNetwork, network: SpikingNetwork, z: Float[np.ndarray, "trial time rank"], like: NoiseSpectrum
) -> tuple[Shares, Shares]:
    """Noise of the closed loop and its standard error, at the frequencies of a spectrum of the conversion."""
    paths = finely_sampled(rate, Ensemble.of(network).clock, z[:1, 0], np.random.default_rng(0))
    noise, states = total_noise(rate, network, z)[:, :: paths.stride], z[:, :: paths.stride]
    features = smooth_features(rate, states.reshape(-1, rate.rank)).reshape(*states.shape[:2], -1)

    def of(trials: np.ndarray) -> Shares:
        error = noise[trials]
        settings = like.target, paths.every, like.motion
        return shares(spectrum_of(error, np.zeros_like(error), features[trials], *settings).spikes, like.target)

    everything = np.arange(len(z))
    groups = [
        of(group) for group in np.array_split(everything, GROUPS)
    ]  # few trials, whose smooth part is less certain
    return of(everything), np.std(groups, axis=0, ddof=1) / np.sqrt(GROUPS)


def compared(name: str, rate: RateNetwork, network: SpikingNetwork, samples: Shares, runs: int = RUNS) -> Row:
    """What a network was predicted to have and has; `samples` are its latents of every step, in system units."""
    states = to_internal(rate, stationary_states(rate, 0))
    ensemble, injected = Ensemble.of(network), (network.diffusion_factor, network.noise_colour)
    spectra = [
        measure_budget(rate, ensemble, network.decoders, states, stream(run, "spectrum")).spectrum
        for run in range(runs)
    ]
    totals = np.array([shares(spectrum.total(*injected), spectrum.target) for spectrum in spectra])
    found, error = measured(rate, network, to_internal(rate, samples), spectra[0])
    diagnostics = Diagnostics.of(network)
    if diagnostics is None or diagnostics.noise is None or diagnostics.noise.spectrum is None:
        raise SystemExit(f"{name}: the network carries no spectrum. Convert it with calibrated decoders.")
    scatter = totals.std(axis=0, ddof=1) / np.sqrt(runs)
    budget = diagnostics.noise.spectrum.total
    predicted = totals.mean(axis=0).tolist(), scatter.tolist()
    return Row(name, spectra[0].frequency.tolist(), budget, *predicted, found.tolist(), error.tolist())


def row_of(name: str, given: argparse.Namespace) -> Row:
    """Train, convert, run and compare; `name` is a system, a colon and neurons per unit."""
    system, _, neurons = name.partition(":")
    rate = ddm2snn.train(system, units=given.units, seed=11)
    population, backend = ddm2snn.Population(float(neurons)), given.backend
    network = ddm2snn.convert(rate, population=population, backend=backend, seed=0).network
    step = network.dt_s / network.time_unit_s
    size = {"duration": given.duration, "trials": given.trials, "every": step}
    run = ddm2snn.simulate(network, backend=backend, seed=1, **size)
    return compared(name, rate, network, run.samples[:, round(BURN_IN / step) :])


def draw(rows: list[Row]) -> Figure:
    """A panel for each network: noise over frequency, a colour for each latent."""
    figure, axes = subplots(4.6 * len(rows), 3.8, 1, len(rows), squeeze=False)
    for axis, row in zip(axes[0], rows, strict=True):
        for latent, (budget, predicted, found, error) in enumerate(
            zip(*(np.transpose(each) for each in (row.budget, row.predicted, row.measured, row.measured_error)),
                strict=True)
        ):  # fmt: skip
            colour = COLOURS[1 + latent % (len(COLOURS) - 1)]
            axis.plot(row.frequency, 100 * budget, color=colour, lw=0.9, ls=STYLES[3])
            axis.plot(row.frequency, 100 * predicted, color=colour, lw=1.3)
            axis.errorbar(row.frequency, 100 * found, 100 * error, color=colour, marker=MARKERS[latent], ms=3.5, ls="",
                          lw=0.9, label=f"latent {latent}")  # fmt: skip
        axis.axhline(100, color=COLOURS[0], lw=0.8, ls=STYLES[1])
        everything = np.concatenate([row.budget, row.predicted, row.measured])
        axis.set(xscale="log", xlabel="frequency per rate time unit", ylabel="% of the target's noise",
                 ylim=(0, max(150.0, 120.0 * float(everything.max()))))  # fmt: skip
        axis.set_title(row.name.replace(":", ", neurons per unit: "))
        axis.legend(loc="lower left", frameon=False, fontsize=8.5, title_fontsize=8.5,
                    title="points: closed loop; lines: predicted;\ndotted: the conversion's own budget")  # fmt: skip
    return figure


def main() -> None:
    """Compare, write, and say where they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), help="SYSTEM:NEURONS_PER_UNIT")
    parser.add_argument("--units", type=int, help="of the rate network; the system's own number by default")
    parser.add_argument("--backend", default="brian2")
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--duration", type=float, default=DURATION, help="rate time units")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in given.rows:
        rows.append(row_of(name, given))
        print(rows[-1].words(), flush=True)
        file = given.output / "closed_loop_spectrum.json"
        file.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
        save_figure(draw(rows), file.with_suffix(".png"))
    if any(row.far.any() for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
