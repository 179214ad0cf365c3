"""The report: one self-contained HTML page, its figures as PNG files and its numbers as JSON."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddm2snn import __version__, plotting
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.recording import Recording
from ddm2snn.storage import whole_file, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """A titled table of names and values."""

    title: str
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """What a report page shows.

    Parameters
    ----------
    title, subtitle
        Heading and the line below.
    recordings
        Recordings by name, the reference first.
    reports
        Comparisons with the reference.
    tables
        Further tables.
    command
        How to make the page again.
    summary
        Further content of summary.json.
    """

    title: str
    subtitle: str
    recordings: Mapping[str, Recording]
    reports: Sequence[FidelityReport]
    command: str
    tables: Sequence[Table] = ()
    summary: Mapping[str, Any] | None = None

    def write(self, folder: Path) -> list[Path]:
        """Write report.html, summary.json and figures/*.png into `folder`; return what was written."""
        (folder / "figures").mkdir(exist_ok=True)
        burn_in = self.reports[0].burn_in if self.reports else 0.0
        written, pictures = [], []
        for name, title, caption, figure in self._figures(burn_in):
            png = _png(figure)
            path = folder / "figures" / f"{name}.png"
            with whole_file(path) as temporary:
                temporary.write_bytes(png)
            written.append(path)
            pictures.append({"title": title, "caption": caption, "png": base64.b64encode(png).decode()})
        write_text(folder / "report.html", self._html(pictures))
        content = {
            "findings": self.findings(),
            "reports": {report.label: report.as_json() for report in self.reports},
            **(self.summary or {}),
        }
        write_text(folder / "summary.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
        return [*written, folder / "report.html", folder / "summary.json"]

    def findings(self) -> list[str]:
        """One sentence per report: what the distances are beside their floors."""
        sentences = []
        for report in self.reports:
            sw, spectrum = report["sliced_wasserstein"], report["d_h"]
            words = f"{report.label}: sliced Wasserstein {sw.excess:.1f} x floor"
            words += f", power spectrum (D_H) {spectrum.excess:.1f} x floor"
            period = [m for m in report.measures if m.name == "period" and m.test and m.reference]
            if period and period[0].test and period[0].reference:
                change = 100 * (period[0].test / period[0].reference - 1)
                words += f", period {change:+.1f} %"
            sentences.append(f"{words}.")
        return sentences

    def _figures(self, burn_in: float) -> list[tuple[str, str, str, Figure]]:
        shown = self.recordings
        return [
            (
                "phase-portraits",
                "Phase portraits",
                "Latent states (shade: square root of the density) with eight trajectories each.",
                plotting.phase_portraits(shown, burn_in=burn_in),
            ),
            (
                "latent-traces",
                "Latents over time",
                "One trial of each; trials have independent noise, so they agree in kind, not in phase.",
                plotting.latent_traces(shown, burn_in=burn_in),
            ),
            (
                "densities",
                "Densities",
                "Stationary density of each latent.",
                plotting.marginal_densities(shown, burn_in=burn_in),
            ),
            (
                "spectra",
                "Power spectra",
                "Power spectrum of each latent, normalised.",
                plotting.spectra(shown, burn_in=burn_in),
            ),
        ]

    def _html(self, pictures: list[dict[str, str]]) -> str:
        from jinja2 import Environment, PackageLoader

        environment = Environment(loader=PackageLoader("ddm2snn"), autoescape=True, trim_blocks=True)
        environment.filters["number"] = _number
        return environment.get_template("report.html.j2").render(
            title=self.title,
            subtitle=self.subtitle,
            findings=self.findings(),
            figures=pictures,
            reports=self.reports,
            tables=self.tables,
            command=self.command,
            version=__version__,
        )


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if value != 0 and abs(math.log10(abs(value))) > 4:
        return f"{value:.1e}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.4g}"
