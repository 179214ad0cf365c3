"""The way from the target to a device in stages, with what each stage loses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ddm2snn.base.processes import at_once, side_by_side
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.recording import Recording

TARGET, RATE = "target SDE", "rate network"
Judge = Callable[[Recording, Mapping[str, Recording], Sequence[Recording]], list[FidelityReport]]
"""Comparison of several recordings, each by its label, with a reference and further runs of it for the floor."""


@dataclass(frozen=True)
class Stage:
    """One stage of the ladder, and its comparisons with the first stage and with the `previous` one.

    The first stage has no comparison, and an empty name for the stage before.

    Examples
    --------
    >>> Stage("rate network", "target SDE")
    Stage('rate network' after 'target SDE')
    """

    name: str
    previous: str = ""
    against_first: FidelityReport | None = None
    against_previous: FidelityReport | None = None

    def __repr__(self) -> str:
        """Names, then the verdict on the step to this stage."""
        words = f"Stage({self.name!r} after {self.previous!r})" if self.previous else f"Stage({self.name!r})"
        return "\n".join([words, *([self.against_previous.verdict] if self.against_previous else [])])

    def as_json(self) -> dict[str, Any]:
        """Distance, floor, excess and interval of each measure, against both."""
        return {
            "rung": self.name,
            "previous": self.previous,
            "against_first": _numbers(self.against_first),
            "against_previous": _numbers(self.against_previous),
            "verdict_against_first": self.against_first.verdict if self.against_first else "",
            "verdict_against_previous": self.against_previous.verdict if self.against_previous else "",
        }


def build_ladder(
    target: Sequence[Recording],
    rate: Sequence[Recording],
    spiking: Mapping[str, Recording],
    *,
    judge: Judge,
    previous: Mapping[str, str] | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[list[FidelityReport], list[Stage]]:
    """Compare the rate network with its target, where there is one, and each spiking network with both.

    Parameters
    ----------
    target, rate
        Independent recordings of the target SDE, or none, and of the rate network, of equal size.
    spiking
        Recordings of spiking networks by name.
    judge
        How recordings are compared: `ddm2snn.fidelity.compare.compare_each` with its settings, or by condition.
    previous
        The stage before, by name, of those that follow on another spiking network; else it is the rate network. The
        floor of such a step comes from halves of the trials of the stage before.
    progress
        Called with the finished share.

    Returns
    -------
    Reports of the spiking networks against the rate network, and the stages from the target on, or from the network.
    """
    before = dict.fromkeys(spiking, RATE) | dict(previous or {})
    tasks = [partial(judge, rate[0], spiking, rate[1:])]
    tasks += [partial(judge, target[0], {RATE: rate[0], **spiking}, target[1:])] if target else []
    tasks += [partial(judge, spiking[other], {name: spiking[name]}, ()) for name, other in (previous or {}).items()]
    reports, *further = side_by_side(tasks, at_once(), progress)
    stages, firsts = [Stage(RATE)], reports
    if target:
        (first, *firsts), *further = further
        stages = [Stage(TARGET), Stage(RATE, TARGET, first, first)]
    steps = dict(zip(spiking, reports, strict=True)) | dict(zip(previous or {}, (r for (r,) in further), strict=True))
    stages += [Stage(name, before[name], above, steps[name]) for name, above in zip(spiking, firsts, strict=True)]
    return reports, stages


def attribution(stages: Sequence[Stage]) -> str:
    """Say which step loses most, by the excess of each measure that differs over the stage before.

    Examples
    --------
    >>> report = FidelityReport("rate network", (), "2 independent recording(s)", burn_in=4.0)
    >>> attribution([Stage("target SDE"), Stage("rate network", "target SDE", report, report)])
    'Target SDE to rate network: nothing lost beyond chance.'
    """
    sentences = []
    for stage in stages:
        if stage.against_previous is None:
            continue
        lost = [m for m in stage.against_previous.measures if m.differs]
        if not lost:
            sentences.append(f"{stage.previous} to {stage.name}: nothing lost beyond chance.")
            continue
        worst = sorted(lost, key=lambda m: -m.excess)[:3]
        listed = ", ".join(f"{m.label.split(' (')[0]} {m.excess:.1f} x floor" for m in worst)
        count = f"{len(lost)} of {len(stage.against_previous.measures)} measures differ"
        sentences.append(f"{stage.previous} to {stage.name}: {count} (most: {listed}).")
    return " ".join(sentence[:1].upper() + sentence[1:] for sentence in sentences)


def _numbers(report: FidelityReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    names = ("distance", "floor", "excess", "excess_interval", "differs", "informative")
    return {m.name: {name: getattr(m, name) for name in names} for m in report.measures}
