"""The report of a comparison: distances with their floor, interval and sample size."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddm2snn.base.files import write_text
from ddm2snn.base.html import Plotted
from ddm2snn.base.stored import FORMAT_VERSION
from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures.measure import Entry

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class JudgedDistance:
    """One distance of a test from a reference, beside what chance makes of it.

    Parameters
    ----------
    entry
        Which distance it is.
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
        Whether a coarse difference can be told from chance at this sample size.
    differs
        Whether the distance is more than chance, judged together with all others: over all, 5 % of
        comparisons without a difference or fewer have any distance that says so.
    recordings
        Test recordings over which the distance is a mean.

    Examples
    --------
    >>> entry = Entry("period", "oscillation period", "relative", coarse=0.2, kind="period")
    >>> slow = JudgedDistance(entry, 0.03, 0.01, (0.02, 0.04), samples=1000, trials=8, informative=True, differs=True)
    >>> slow
    JudgedDistance(period: 0.03 relative, floor 0.01, excess 3.0, differs)
    """

    entry: Entry
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

    def __repr__(self) -> str:
        """Name, distance, floor and judgement."""
        distance = f"{self.distance:.3g} {self.unit}".rstrip()
        judged = "differs" if self.differs else "within chance" if self.informative else "cannot tell"
        return f"JudgedDistance({self.name}: {distance}, floor {self.floor:.3g}, excess {self.excess:.1f}, {judged})"

    @property
    def name(self) -> str:
        """Stable name."""
        return self.entry.name

    @property
    def label(self) -> str:
        """Words for a table."""
        return self.entry.label

    @property
    def unit(self) -> str:
        """Unit of the distance."""
        return self.entry.unit

    @property
    def excess(self) -> float:
        """Distance over floor: 1 means as close as a second run of the reference."""
        return self.distance / max(self.floor, 1e-12)

    def as_json(self) -> dict[str, Any]:
        """Every number, as JSON values."""
        numbers = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "entry"}
        return {"name": self.name, "label": self.label, "unit": self.unit, **numbers, "excess": self.excess}


@dataclass(frozen=True)
class FidelityReport(Plotted):
    """Comparison of one test with a reference; `report["d_h"]` is one of its distances.

    Parameters
    ----------
    label
        Name of the test, such as its backend.
    measures
        Judged distances.
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

    Examples
    --------
    >>> entry = Entry("mmd", "maximum mean discrepancy MMD", "", coarse=0.3, kind="states")
    >>> mmd = JudgedDistance(entry, 0.02, 0.01, (0.01, 0.03), samples=1000, trials=8, informative=True)
    >>> report = FidelityReport("brian2", (mmd,), "1 independent recording(s)", burn_in=4.0, verdict="brian2: ...")
    >>> report["mmd"].excess
    2.0
    >>> report
    FidelityReport('brian2': 1 distance, 1 can tell, 0 differ; floor from 1 independent recording(s); burn-in 4)
    brian2: ...
    >>> report.keys(), report.to_dataframe()["floor"].to_dict()
    (['mmd'], {'mmd': 0.01})
    """

    label: str
    measures: tuple[JudgedDistance, ...]
    floor_from: str
    burn_in: float
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = ""
    failures: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Counts, then the verdict."""
        tell, differ = (sum(getattr(m, name) for m in self.measures) for name in ("informative", "differs"))
        counts = f"{len(self.measures)} distance{'s' * (len(self.measures) != 1)}, {tell} can tell, {differ} differ"
        words = f"FidelityReport({self.label!r}: {counts}; floor from {self.floor_from}; burn-in {self.burn_in:g})"
        return f"{words}\n{self.verdict}".rstrip()

    def _repr_html_(self) -> str:
        """Verdict and table of the distances, for a notebook."""
        import html

        return f"<pre style='white-space:pre-wrap'>{html.escape(chr(10).join(self.lines()))}</pre>"

    def __str__(self) -> str:
        """Verdict, and table of the distances."""
        return "\n".join(self.lines())

    def __iter__(self) -> Iterator[str]:
        """Names of the distances, as those of a mapping."""
        return (measure.name for measure in self.measures)

    def __len__(self) -> int:
        """Number of distances."""
        return len(self.measures)

    def keys(self) -> list[str]:
        """Names of the distances."""
        return list(self)

    def __getitem__(self, name: str) -> JudgedDistance:
        """Distance by the name of its entry.

        Raises
        ------
        InputError
            Where there is no such distance, or the recordings did not allow it.
        """
        by_name = {measure.name: measure for measure in self.measures}
        if name not in by_name:
            raise InputError(f"This report has no measure {name!r}; it has {', '.join(by_name)}.")
        return by_name[name]

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
        """Lay out as lines of plain text, a distance per line."""
        return as_lines(self.as_json())

    def to_dataframe(self) -> DataFrame:
        """The distances as a pandas table: a row for each by its name, a column for each number."""
        from pandas import DataFrame  # which xarray brings along

        return DataFrame([measure.as_json() for measure in self.measures]).set_index("name")

    def save(self, path: Path | str) -> None:
        """Write as JSON."""
        write_text(path, json.dumps(self.as_json(), indent=1, allow_nan=False) + "\n")


def as_lines(report: Mapping[str, Any]) -> list[str]:
    """Lay out a report's JSON content as lines of plain text: the verdict, then a distance per line."""
    lines = [report["verdict"]] if report.get("verdict") else []
    lines.append(f"{report['label']:52}{'distance':>9}{'floor':>9}{'excess':>8}  95 % interval")
    for measure in report["measures"].values():
        name = measure["label"] + (f" ({measure['unit']})" if measure["unit"] else "")
        interval = "{:.1f} - {:.1f}".format(*measure["excess_interval"]) if measure["excess_interval"] else "-"
        mark = "  differs" if measure["differs"] else "" if measure["informative"] else "  cannot tell"
        distance, floor, excess = measure["distance"], measure["floor"], measure["excess"]
        lines.append(f"{name:52}{_fixed(distance)}{_fixed(floor)}{excess:8.1f}  {interval + mark}")
    return lines


def _fixed(value: float) -> str:
    return f"{value:9.4f}" if abs(value) < 1000 else f"{value:9.2e}"
