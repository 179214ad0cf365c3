"""The report: one self-contained HTML page, its figures as PNG and PDF files and its numbers as JSON."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddm2snn import __version__, plotting
from ddm2snn.fidelity import figures
from ddm2snn.fidelity.ladder import Rung, attribution
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.recording import Recording
from ddm2snn.storage import whole_file, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEADING = ("sliced_wasserstein", "d_stsp", "d_h")
_HIDDEN = ("drift_error", "diagnostics", "robustness", "stages")  # of provenance: shown elsewhere, or long


@dataclass(frozen=True)
class Table:
    """A titled table of names and values."""

    title: str
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Picture:
    """A figure with its file name, title and caption."""

    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Page:
    """What a report page shows.

    Parameters
    ----------
    title, subtitle
        Heading and the line below.
    recordings
        Recordings by name, the reference first; those named as a report are shown in the figures of fields.
    reports
        Comparisons with the reference.
    tables
        Further tables.
    command
        How to make the page again.
    summary
        Further content of summary.json.
    ladder
        Steps from the target on, if there are several.
    rasters
        Recordings with spikes, by name.
    """

    title: str
    subtitle: str
    recordings: Mapping[str, Recording]
    reports: Sequence[FidelityReport]
    command: str
    tables: Sequence[Table] = ()
    summary: Mapping[str, Any] | None = None
    ladder: Sequence[Rung] = ()
    rasters: Mapping[str, Recording] = field(default_factory=dict)

    def write(self, folder: Path) -> list[Path]:
        """Write report.html, summary.json and figures/*.png and *.pdf into `folder`; return what was written."""
        (folder / "figures").mkdir(exist_ok=True)
        written, shown = [], []
        for picture in self._pictures(self.reports[0].burn_in if self.reports else 0.0):
            png = _rendered(picture.figure, "png")
            for ending, content in (("png", png), ("pdf", _rendered(picture.figure, "pdf"))):
                path = folder / "figures" / f"{picture.name}.{ending}"
                with whole_file(path) as temporary:
                    temporary.write_bytes(content)
                written.append(path)
            shown.append((picture, base64.b64encode(png).decode()))
        write_text(folder / "report.html", self._html(shown))
        content = {
            "findings": self.findings(),
            "reports": {report.label: report.as_json() for report in self.reports},
            **({"ladder": [rung.as_json() for rung in self.ladder]} if self.ladder else {}),
            **(self.summary or {}),
        }
        write_text(folder / "summary.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
        return [*written, folder / "report.html", folder / "summary.json"]

    def findings(self) -> list[str]:
        """The verdict of each report, and what each step of the ladder loses."""
        ladder = attribution(self.ladder)
        return [report.verdict for report in self.reports] + ([ladder] if ladder else [])

    def _pictures(self, burn_in: float) -> Iterator[Picture]:
        if self.reports:
            yield Picture("excess", "All measures beside their floor",
                          "Distance over floor with its 95 % interval; filled symbols differ by more than chance, pale "
                          "ones cannot tell at this sample size.", figures.excess_plot(self.reports))  # fmt: skip
        yield Picture("phase-portraits", "Latent portraits",
                      "Shade: square root of the density of states; orange: six trials.",
                      plotting.phase_portraits(self.recordings, burn_in=burn_in))  # fmt: skip
        yield from self._field_pictures(burn_in)
        for name, title, caption, draw in _RECORDED:
            yield Picture(name, title, caption, draw(self.recordings, burn_in=burn_in))
        for name, recording in self.rasters.items():
            words = "Spikes of one trial and the latents that they carry."
            yield Picture(_file_name(f"spikes-{name}"), "Spikes", words, figures.spike_raster(recording, name=name))
        if len(self.ladder) > 1:
            yield Picture("ladder", "The ladder", "Which step costs what: excess of the leading measures on each rung.",
                          figures.ladder_plot(self.ladder))  # fmt: skip

    def _field_pictures(self, burn_in: float) -> Iterator[Picture]:
        names = [report.label for report in self.reports if report.label in self.recordings]
        if not names:
            return
        reference = next(iter(self.recordings.values()))
        tests = {name: self.recordings[name] for name in names}
        plane = "" if reference.rank < 3 else " First and last latent; the others are averaged over."
        yield Picture("drift-fields", "Drift fields",
                      "Estimated from the trajectories (Kramers-Moyal), arrows per cell; the difference is enlarged." +
                      plane, figures.drift_fields(reference, tests, burn_in=burn_in))  # fmt: skip
        yield Picture("diffusion", "Diffusion",
                      "Diffusion tensors along the attractor: ellipses of one standard deviation." + plane,
                      figures.diffusion_ellipses(reference, tests, burn_in=burn_in))  # fmt: skip

    def _html(self, shown: Sequence[tuple[Picture, str]]) -> str:
        from jinja2 import Environment, PackageLoader

        environment = Environment(loader=PackageLoader("ddm2snn"), autoescape=True, trim_blocks=True)
        environment.filters["number"] = _number
        environment.filters["interval"] = _interval
        return environment.get_template("report.html.j2").render(
            title=self.title,
            subtitle=self.subtitle,
            figures=[{"title": p.title, "caption": p.caption, "png": png, "name": p.name} for p, png in shown],
            reports=self.reports,
            leading=_LEADING,
            ladder=self.ladder,
            attribution=attribution(self.ladder),
            tables=self.tables,
            provenance=self._provenance(),
            command=self.command,
            version=__version__,
        )

    def _provenance(self) -> list[tuple[str, str, str]]:
        """Recording, fingerprint and settings, each recording once."""
        rows: dict[str, tuple[str, str, str]] = {}
        for report in self.reports:
            for role, content in report.provenance.items():
                name = report.label if role == "test" else f"{report.label}, {role}" if role[:4] == "test" else role
                settings = ", ".join(f"{k} {_plain(v)}" for k, v in content.items()
                                     if k != "fingerprint" and k not in _HIDDEN and v is not None)  # fmt: skip
                rows.setdefault(content["fingerprint"], (name, content["fingerprint"], settings))
        return list(rows.values())


_RECORDED: tuple[tuple[str, str, str, Callable[..., Any]], ...] = (
    ("densities", "Densities", "Stationary density of each latent.", plotting.marginal_densities),
    (
        "spectra", "Power spectra",
        "Share of power of each latent; the band holds 95 % of second runs of the reference.", plotting.spectra,
    ),
    (
        "latent-traces", "Latents over time",
        "One trial of each; trials have independent noise, so they agree in kind, not in phase.",
        plotting.latent_traces,
    ),
)  # fmt: skip


def _rendered(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"Software": None} if kind == "png" else {"CreationDate": None}
    figure.savefig(buffer, format=kind, metadata=metadata)
    figure.set_layout_engine("none")  # found once, it holds for the other file as well
    return buffer.getvalue()


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in text)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value != 0 and abs(math.log10(abs(value))) > 4:
        return f"{value:.1e}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"


def _interval(pair: tuple[float, float] | None) -> str:
    return f"{_number(pair[0])} – {_number(pair[1])}" if pair else "–"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{k} {_plain(v)}" for k, v in value.items()) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)
