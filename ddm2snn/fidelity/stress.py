"""The verb stress: how fidelity falls with damage to a spiking network, and what decoders solved again bring back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.backend import Backend, find_backend
from ddm2snn.base.arrays import as_count
from ddm2snn.base.files import write_text
from ddm2snn.base.html import Plotted
from ddm2snn.base.progress import Progress, reported
from ddm2snn.base.randomness import check_seed, child_seed
from ddm2snn.conversion.again import check_solvable, solve_again
from ddm2snn.conversion.damage import check_damage, damaged
from ddm2snn.conversion.decoders import Calibrated
from ddm2snn.errors import InputError
from ddm2snn.fidelity.compare import compare_each
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.simulate import simulate

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.recording import Recording

# levels of each damage by default [choice]
LEVELS: Mapping[str, Sequence[float]] = {
    "neurons": (0.05, 0.1, 0.2),
    "spikes": (0.01, 0.05, 0.2),
    "decoders": (0.05, 0.1, 0.2),
    "encoders": (0.05, 0.1, 0.2),
    "thresholds": (0.02, 0.05, 0.1),
}
"""Levels of each damage by default; zero is always among them."""
_REFERENCES = 3  # recordings of the rate network [cost]
_NORMAL_95 = 1.959964  # standard deviations of a normal number [derived]


@dataclass(frozen=True)
class StressPoint:
    """One damage of one level, over all seeds.

    Parameters
    ----------
    damage, level
        What was damaged, and how much.
    solved_again
        Whether decoders were solved for the damaged neurons.
    report
        Comparison of all seeds' recordings with the rate network; its intervals of the excess hold the spread of seeds.
    failed, failed_interval
        Share of the trials that died or escaped, with its 95 % interval; see `share_interval`.
    """

    damage: str
    level: float
    solved_again: bool
    report: FidelityReport
    failed: float
    failed_interval: tuple[float, float]

    def __repr__(self) -> str:
        decoders = "solved again" if self.solved_again else "as they were"
        return f"StressPoint({self.damage} {self.level:g}, decoders {decoders}, {self.failed:.0%} failed)"


@dataclass(frozen=True)
class Stress(Plotted):
    """What `stress` measured: its points, the undamaged network at level zero first in each damage."""

    points: tuple[StressPoint, ...]

    def __repr__(self) -> str:
        return f"Stress({len(self.points)} points: {', '.join(self.damages)})"

    @property
    def damages(self) -> list[str]:
        """Names of the damages, in their order."""
        return list(dict.fromkeys(point.damage for point in self.points))

    def curve(self, damage: str, *, solved_again: bool) -> list[StressPoint]:
        """Points of a damage by level; both curves begin with the undamaged network."""
        return [p for p in self.points if p.damage == damage and (p.solved_again == solved_again or not p.level)]

    def rows(self) -> list[dict[str, Any]]:
        """A table with a row for each point and measure, as JSON values."""
        return [
            {
                "damage": p.damage, "level": p.level, "solved_again": p.solved_again, "measure": m.name,
                "label": m.label, "excess": m.excess, "low": (m.excess_interval or (None, None))[0],
                "high": (m.excess_interval or (None, None))[1], "distance": m.distance, "floor": m.floor,
                "differs": m.differs, "informative": m.informative, "seeds": m.recordings, "trials_failed": p.failed,
                "failed_low": p.failed_interval[0], "failed_high": p.failed_interval[1],
            }
            for p in self.points
            for m in p.report.measures
        ]  # fmt: skip

    def lines(self) -> list[str]:
        """A line for each point: how many measures differ, the largest excess, and the trials that failed."""
        lines = [f"{'damage':11} {'level':>6}  {'decoders':12} {'differ':>8}  {'failed':>6}  largest excess"]
        for p in self.points:
            informative = [m for m in p.report.measures if m.informative]
            worst = max(informative, key=lambda m: m.excess, default=None)
            differ = f"{sum(m.differs for m in informative)} of {len(informative)}"
            most = "" if worst is None else f"{worst.excess:.1f} ({worst.label})"
            decoders = "solved again" if p.solved_again else "as they were"
            lines.append(f"{p.damage:11} {p.level:6g}  {decoders:12} {differ:>8}  {p.failed:6.1%}  {most}")
        return lines

    def save(self, path: Path | str) -> None:
        """Write the table, as JSON or CSV by the name of the file."""
        check_table(path)
        rows, text = self.rows(), io.StringIO()
        if Path(path).suffix == ".json":
            text.write(json.dumps({"type": "Stress", "rows": rows}, indent=1, allow_nan=False) + "\n")
        else:
            table = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        write_text(path, text.getvalue())


def check_table(path: Path | str) -> None:
    """Refuse a table of another kind than JSON and CSV."""
    if Path(path).suffix not in (".json", ".csv"):
        raise InputError(f"Tables of stress are .json or .csv, but {path} ends in {Path(path).suffix!r}. Rename it.")


def stress(
    network: SpikingNetwork,
    rate: RateNetwork,
    *,
    levels: Mapping[str, Sequence[float]] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    backend: str | Backend | None = None,
    duration: float = 60.0,
    trials: int = 16,
    wells: Float[np.ndarray, "well rank"] | None = None,
    progress: Progress | bool = False,
) -> Stress:
    """Damage a spiking network, and compare it with the rate network, with its decoders and with others solved again.

    Each seed draws its own damage, calibration and noise; levels of one seed share them, so that curves are smooth.
    A damaged network is calibrated again as `ddm2snn.conversion.again.solve_again` does it, for lost spikes with
    `Calibrated.spike_loss`. New decoders are written without mismatch: errors of decoders are gone with them.

    Parameters
    ----------
    network
        A converted network.
    rate
        The rate network that it came from, whose own runs are the reference.
    levels
        Levels by the name of the damage (`ddm2snn.conversion.damage.Damage`); by default `LEVELS`. Zero is added.
    seeds
        Seeds, one for each repetition.
    backend
        Simulator or its name; by default the reference in the network's spike timing. Lost spikes need one with an
        option `spike_loss`.
    duration, trials
        Rate time units and trials of each run, and of each of three references. A tenth is left out as burn-in.
    wells
        As in `compare`.
    progress
        Called with the finished share; True shows a bar.

    Returns
    -------
    Stress
        Distances and failures for each damage and level, before and after solving again.

    Raises
    ------
    InputError
        Where damages, levels or seeds make no sense, `network` comes from another rate network, or a backend loses no
        spikes.

    Examples
    --------
    >>> from ddm2snn import Population, Static, Training, convert, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> network = convert(rate, population=Population(2, tuned=False), decoders=Static(), time_unit_s=0.1).network
    >>> stress(network, rate, levels={"neurons": [1.5]})
    Traceback (most recent call last):
    ddm2snn.errors.InputError: The level of damage to neurons must be a share from 0 to below 1, got 1.5.
    """
    check_solvable(rate, network)
    asked = _checked_levels(LEVELS if levels is None else levels)
    seeds = [check_seed(seed) for seed in seeds]
    if not seeds:
        raise InputError("stress needs one seed or more, got none. Give seeds=(0, 1, 2) for three repetitions.")
    run = _Runs(network, rate, duration, as_count("trials", trials), backend)
    if asked.get("spikes"):
        run.check_lost_spikes()
    references = [run.reference(index, seeds[0]) for index in range(_REFERENCES)]
    undamaged = [run.simulated(network, seed, 0.0) for seed in seeds]
    points = [(d, level, again) for d, some in asked.items() for level in some for again in (False, True)]
    recordings = {f"{d} {level}{' solved again' * again}": (d, level, again) for d, level, again in points}
    tests: dict[str, list[Recording]] = {"undamaged": undamaged}
    with reported(progress, "stress") as report:
        for index, (label, point) in enumerate(recordings.items()):
            tests[label] = [run.damaged(*point, seed) for seed in seeds]
            report(0.8 * (index + 1) / len(recordings))
        reports = compare_each(references[0], tests, floor=references[1:], wells=wells)
        report(1.0)
    first, of_damage = reports[0], iter(reports[1:])
    made: list[StressPoint] = []
    for damage, some in asked.items():
        made.append(_point(damage, 0.0, again=False, report=first, trials=run.trials))
        made += [
            _point(damage, level, again=again, report=next(of_damage), trials=run.trials)
            for level in some
            for again in (False, True)
        ]
    return Stress(tuple(made))


def share_interval(failed: Sequence[int], trials: int) -> tuple[float, float]:
    r"""95 % interval of a share of trials that differs between groups, such as the networks of several seeds.

    Wilson's interval for :math:`n / d` trials, with n all of them and d the design effect: the variance of the groups'
    shares over that of groups that do not differ, :math:`p(1-p)` over the trials of a group (Kish, Survey Sampling,
    1965). Where it is one or less, d is one; else the interval has Student's quantile for the number of groups.

    Parameters
    ----------
    failed
        Number of failed trials in each group.
    trials
        Trials in each group.

    Examples
    --------
    >>> [round(limit, 3) for limit in share_interval([0, 0, 0], trials=16)]
    [0.0, 0.074]
    >>> [round(limit, 3) for limit in share_interval([0, 16, 0], trials=16)]
    [0.011, 0.956]
    """
    from scipy.special import stdtrit

    shares = np.asarray(failed, dtype=np.float64) / trials
    p, effect, quantile = float(shares.mean()), 1.0, _NORMAL_95
    if len(shares) > 1 and 0.0 < p < 1.0:
        effect = max(1.0, trials * float(shares.var(ddof=1)) / (p * (1.0 - p)))
        quantile = float(stdtrit(len(shares) - 1, 0.975)) if effect > 1.0 else _NORMAL_95
    square = quantile**2 * effect / (len(shares) * trials)
    middle = (p + square / 2.0) / (1.0 + square)
    half = np.sqrt(square * (p * (1.0 - p) + square / 4.0)) / (1.0 + square)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _checked_levels(levels: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Levels above zero in rising order; refused where there are none, or one makes no sense."""
    for damage, some in levels.items():
        for level in some:
            check_damage(damage, level)
    checked = {damage: sorted({float(level) for level in some if level}) for damage, some in levels.items()}
    if not any(checked.values()):
        raise InputError('stress needs levels above zero, got none. Give some, such as levels={"neurons": (0.1, 0.2)}.')
    return checked


@dataclass(frozen=True)
class _Runs:
    """Simulations of one stress test."""

    network: SpikingNetwork
    rate: RateNetwork
    duration: float
    trials: int
    backend: str | Backend | None

    def check_lost_spikes(self) -> None:
        """Refuse before any work a backend that loses none, and a network that cannot be solved for them."""
        self.simulator(0.5)
        Calibrated(spike_loss=0.5).check(self.rate, None, in_loop=False)

    def simulator(self, spike_loss: float) -> Backend:
        """Backend that loses a share of the spikes."""
        options: dict[str, Any] = {"spike_loss": spike_loss} if spike_loss else {}
        if self.backend is None:
            return find_backend("reference", spike_timing=self.network.spike_timing, **options)
        if options and not isinstance(self.backend, str):
            raise InputError(f"Lost spikes need a backend by its name, got {self.backend!r}. Leave backend out.")
        return find_backend(self.backend, **options) if isinstance(self.backend, str) else self.backend

    def reference(self, index: int, seed: int) -> Recording:
        """Recording of the rate network."""
        own = child_seed(seed, "stress", f"reference {index}")
        return simulate(self.rate, duration=self.duration, trials=self.trials, seed=own)

    def damaged(self, damage: str, level: float, solved_again: bool, seed: int) -> Recording:
        """Recording of a damaged network."""
        lost = level if damage == "spikes" else 0.0
        network = damaged(self.network, damage, level, seed=seed)  # pyright: ignore[reportArgumentType] - checked
        if solved_again:
            network = solve_again(network, self.rate, decoders=Calibrated(spike_loss=lost), seed=seed)
        return self.simulated(network, seed, lost)

    def simulated(self, network: SpikingNetwork, seed: int, lost: float) -> Recording:
        """Recording of a spiking network, with the noise of a seed."""
        own, simulator = child_seed(seed, "stress", "run"), self.simulator(lost)
        return simulate(network, backend=simulator, duration=self.duration, trials=self.trials, seed=own)


def _point(damage: str, level: float, *, again: bool, report: FidelityReport, trials: int) -> StressPoint:
    failed = report.failures["trials_failed"]
    share = sum(failed) / (trials * len(failed))
    return StressPoint(damage, level, again, report, share, share_interval(failed, trials))
