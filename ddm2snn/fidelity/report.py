"""What a comparison found: numbers with their floor, interval and sample size."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddm2snn.base.files import write_text
from ddm2snn.base.stored import FORMAT_VERSION
from ddm2snn.errors import InputError


@dataclass(frozen=True)
class Measure:
    """One distance between a test and a reference recording.

    Parameters
    ----------
    name, label, unit
        Stable name, words for a table, unit of the distance.
    distance
        Distance of the test from the reference.
    floor
        The same distance between two independent recordings of the reference.
    interval
        95 % interval of the distance expected of recordings of this size; None where trials are too few.
    samples, trials
        Sample size per recording.
    test, reference
        The compared values where the distance is a difference of two numbers.
    floor_high
        What 95 % of comparisons without a difference stay below; None where trials are too few.
    excess_interval
        95 % interval of the excess; it holds 1 in 95 % of comparisons without a difference.
    informative
        Whether the measure can tell a coarse difference from chance at this sample size.
    differs
        Whether the distance is more than chance, judged together with all other measures: over all, 5 % of
        comparisons without a difference or fewer have any measure that says so.
    recordings
        Test recordings over which the distance is a mean.
    """

    name: str
    label: str
    unit: str
    distance: float
    floor: float
    interval: tuple[float, float] | None
    samples: int
    trials: int
    test: float | None = None
    reference: float | None = None
    floor_high: float | None = None
    excess_interval: tuple[float, float] | None = None
    informative: bool = False
    differs: bool = False
    recordings: int = 1

    @property
    def excess(self) -> float:
        """Distance over floor: 1 means as close as a second run of the reference."""
        return self.distance / max(self.floor, 1e-12)

    def as_json(self) -> dict[str, Any]:
        """Every number, as JSON values."""
        return {**dataclasses.asdict(self), "excess": self.excess}


@dataclass(frozen=True)
class FidelityReport:
    """Comparison of one test recording with a reference.

    Parameters
    ----------
    label
        Name of the test, such as its backend.
    measures
        Distances.
    floor_from
        Where the floor comes from, in words.
    burn_in
        Rate time units left out at the start of every recording.
    notes
        What a reader must know, in words.
    provenance
        Provenance of test and reference.
    verdict
        Where the two processes differ, in words.
    failures
        Shares of the test recordings that died, escaped or lost a mode, with the definition; JSON values.
    """

    label: str
    measures: tuple[Measure, ...]
    floor_from: str
    burn_in: float
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = ""
    failures: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Measure:
        """Measure by name.

        Raises
        ------
        InputError
            Where there is no such measure, or the recordings did not allow it.
        """
        found = [measure for measure in self.measures if measure.name == name]
        if not found:
            known = ", ".join(measure.name for measure in self.measures)
            raise InputError(f"This report has no measure {name!r}; it has {known}.")
        return found[0]

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "type": "FidelityReport",
            "format_version": FORMAT_VERSION,
            "label": self.label,
            "verdict": self.verdict,
            "floor_from": self.floor_from,
            "burn_in": self.burn_in,
            "notes": list(self.notes),
            "failures": dict(self.failures),
            "measures": {measure.name: measure.as_json() for measure in self.measures},
            "provenance": dict(self.provenance),
        }

    def lines(self) -> list[str]:
        """Lay out as lines of plain text, a measure per line."""
        return as_lines(self.as_json())

    def save(self, path: Path | str) -> None:
        """Write as JSON."""
        write_text(path, json.dumps(self.as_json(), indent=1, allow_nan=False) + "\n")


def as_lines(report: Mapping[str, Any]) -> list[str]:
    """Lay out a report's JSON content as lines of plain text: the verdict, then a measure per line."""
    lines = [report["verdict"]] if report.get("verdict") else []
    lines.append(f"{report['label']:50}{'distance':>9}{'floor':>9}{'excess':>8}  95 % interval")
    for measure in report["measures"].values():
        name = measure["label"] + (f" ({measure['unit']})" if measure["unit"] else "")
        interval = "{:.1f} - {:.1f}".format(*measure["excess_interval"]) if measure["excess_interval"] else "-"
        mark = "  differs" if measure["differs"] else "" if measure["informative"] else "  cannot tell"
        distance, floor, excess = measure["distance"], measure["floor"], measure["excess"]
        lines.append(f"{name:50}{_fixed(distance)}{_fixed(floor)}{excess:8.1f}  {interval + mark}")
    return lines


def _fixed(value: float) -> str:
    return f"{value:9.4f}" if abs(value) < 1000 else f"{value:9.2e}"
