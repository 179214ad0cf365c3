"""What a comparison found: numbers with their floor, interval and sample size."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ddm2snn.storage import FORMAT_VERSION, write_text


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
        95 % interval of the distance from resampling trials; None with a single trial.
    test, reference
        The compared values where the distance is a difference of two numbers.
    samples, trials
        Sample size per recording.
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
    """

    label: str
    measures: tuple[Measure, ...]
    floor_from: str
    burn_in: float
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Measure:
        """Measure by name."""
        return next(measure for measure in self.measures if measure.name == name)

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "type": "FidelityReport",
            "format_version": FORMAT_VERSION,
            "label": self.label,
            "floor_from": self.floor_from,
            "burn_in": self.burn_in,
            "notes": list(self.notes),
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
    """Lay out a report's JSON content as lines of plain text, a measure per line."""
    lines = [f"{report['label']:44}{'distance':>9}  {'95 % interval':17}{'floor':>9}{'excess':>8}"]
    for measure in report["measures"].values():
        name = measure["label"] + (f" ({measure['unit']})" if measure["unit"] else "")
        interval = "{:.4f} - {:.4f}".format(*measure["interval"]) if measure["interval"] else "-"
        distance, floor, excess = measure["distance"], measure["floor"], measure["excess"]
        lines.append(f"{name:44}{distance:9.4f}  {interval:17}{floor:9.4f}{excess:8.1f}")
    return lines
