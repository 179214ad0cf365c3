"""The report: one self-contained HTML page, its figures as PNG and PDF files and its numbers as JSON."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddm2snn.analysis.lyapunov import Exponent
from ddm2snn.base import package_version
from ddm2snn.base.files import make_folder, write_text
from ddm2snn.base.processes import at_once, side_by_side
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.fidelity.field_difference import FieldDifference, recorded_differences
from ddm2snn.fidelity.ladder import TARGET, Stage, attribution
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.fidelity.spikes import NoiseShare, SpikeStatistics, recorded_statistics
from ddm2snn.hardware.workload import Workload, workload_of_run
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.plots import comparison, recordings
from ddm2snn.plots.analysis import analysis_figures
from ddm2snn.plots.style import latent_name, save_figure
from ddm2snn.recording import Recording
from ddm2snn.stimulus import Stimulus
from ddm2snn.workflow.tables import (
    Table,
    chaos_table,
    connectivity_table,
    device_table,
    field_table,
    noise_table,
    spiking_table,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ddm2snn.analysis import Analysis

    # file name, title, caption, what draws the figure, and what draws it for a phone
    Picture = tuple[str, str, str, *tuple[Callable[[], Figure], ...]]

PAGE_FILES, FIGURES = ("report.html", "summary.json"), "figures"
"""Files of a page, and the folder of its figures."""
ANALYSIS_FILES = (
    "analysis.json", "subspace.png", "symmetry.png", "irreversibility.png", "fixed-points.png", "lyapunov.png",
)  # fmt: skip
_HIDDEN = (
    "drift_error",
    "diagnostics",
    "robustness",
    "stages",
    "latent_names",
)  # entries of a provenance that tables show, or long

_UNITS = {  # of distances, as a page says them
    "reference sd": "in standard deviations of the {}",
    "reference sd per time unit": "in standard deviations of the {} per rate time unit",
    "sd": "in standard deviations of the latents of the {}",
    "sd^2": "in squared standard deviations of the latents of the {}",
    "relative": "as a share of the value of the {}",
    "of its range": "as a share of its range in the {}",
    "time units": "rate time units",
    "k_B per time unit": "k_B per rate time unit",
}


@dataclass(frozen=True)
class Page:
    """Content of a report page.

    The first of the `recordings` is the reference; those with the name of a report are shown in the figures of fields.
    `rasters` are recordings with spikes, and `networks` spiking networks, whose connectivity, noise and size are shown.
    `tables` and `summary` are further tables, and further content of summary.json. The `command` makes the page again.
    Sentences on what training and conversions `missed` come first. A `rate` network and the `trials` of its task are
    shown as its vector field under each input.
    """

    title: str
    subtitle: str
    recordings: Mapping[str, Recording]
    reports: Sequence[FidelityReport]
    command: str
    tables: Sequence[Table] = ()
    summary: Mapping[str, Any] | None = None
    ladder: Sequence[Stage] = ()
    rasters: Mapping[str, Recording] = field(default_factory=dict)
    networks: Mapping[str, SpikingNetwork] = field(default_factory=dict)
    exponents: Sequence[Exponent] = ()
    missed: Sequence[str] = ()
    rate: RateNetwork | None = None
    trials: Stimulus | None = None

    def write(self, folder: Path, progress: Progress = no_progress) -> list[Path]:
        """Write report.html, summary.json and figures/*.png and *.pdf into `folder`; return their paths."""
        (folder / FIGURES).mkdir(exist_ok=True)
        written, shown = [], []
        pictures = list(self._pictures())
        names = [
            (draw, f"{name}{kind}")
            for name, _, _, *draws in pictures
            for draw, kind in zip(draws, ("", "-narrow"), strict=False)
        ]
        files = iter(
            side_by_side([partial(_drawn, draw, folder / FIGURES, n) for draw, n in names], at_once(), progress)
        )
        for name, title, caption, *draws in pictures:
            pairs = [next(files) for _ in draws]
            written += [file for pair in pairs for file in pair]
            pngs = [base64.b64encode(png.read_bytes()).decode() for png, _ in pairs]
            shown.append({"name": name, "title": title, "caption": caption, "pngs": pngs})
        write_text(folder / "report.html", self._html(shown))
        content = {
            "findings": self.findings(),
            "missed": list(self.missed),
            "reports": {report.label: report.as_json() for report in self.reports},
            **({"ladder": [stage.as_json() for stage in self.ladder]} if self.ladder else {}),
            **{name: values for name, values, _ in self._results()},
            **(self.summary or {}),
        }
        write_text(folder / "summary.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
        return [*written, folder / "report.html", folder / "summary.json"]

    def findings(self) -> list[str]:
        """What was missed, the verdict of each report, and the loss of each step of the ladder."""
        ladder = attribution(self.ladder)
        return [*self.missed, *(report.verdict for report in self.reports), *([ladder] if ladder else [])]

    @property
    def _burn_in(self) -> float:
        return self.reports[0].burn_in if self.reports else 0.0

    @cached_property
    def _judged(self) -> dict[str, Recording]:
        """Recordings with a report."""
        labels = [report.label for report in self.reports]
        return {label: self.recordings[label] for label in labels if label in self.recordings}

    @cached_property
    def _fields(self) -> tuple[float, dict[str, FieldDifference]]:
        """Lag and differences of the fields from the reference's."""
        if not self._judged or self._by_condition:
            return 0.0, {}
        return recorded_differences(next(iter(self.recordings.values())), self._judged, self._burn_in)

    @cached_property
    def _spiking(self) -> dict[str, SpikeStatistics]:
        neurons = {name: network.neurons for name, network in self.networks.items()}
        return {name: recorded_statistics(recording, neurons.get(name)) for name, recording in self.rasters.items()}

    @cached_property
    def _noise(self) -> dict[str, NoiseShare]:
        return {name: NoiseShare.of(network) for name, network in self.networks.items()}

    @cached_property
    def _work(self) -> dict[str, Workload]:
        """Work on the devices that networks were converted for."""
        networks = self.networks.items()
        return {name: workload_of_run(n, n.hardware) for name, n in networks if n.hardware is not None}

    def _results(self) -> Iterator[tuple[str, Any, Table]]:
        """Results besides the distances, each where there is one: its name, JSON values and table."""
        lag, differences = self._fields
        if differences:
            yield "fields", {"lag": lag, **_as_json(differences)}, field_table(differences, lag)
        if self._noise:
            yield "noise", _as_json(self._noise), noise_table(self._noise)
        if self._spiking:
            yield "spiking", _as_json(self._spiking), spiking_table(self._spiking)
        if self._work:
            numbers = {name: work.neurobench() for name, work in self._work.items()}
            yield "neurobench", numbers, device_table(self._work)
        if self.exponents:
            yield "exponents", [exponent.as_json() for exponent in self.exponents], chaos_table(self.exponents)

    def _pictures(self) -> Iterator[Picture]:
        runs, burn_in = self.recordings, self._burn_in
        if self._by_condition:
            yield from self._condition_pictures()
            return
        portraits = [
            partial(recordings.phase_portraits, runs, burn_in=burn_in, narrow=narrow) for narrow in (False, True)
        ]
        caption = (
            "Where the states lie, and how they move. Shade: square root of the density of states. Orange: six trials."
        )
        yield "phase-portraits", "Portraits of the latents", caption, *portraits
        if self.reports:
            caption = (
                "Excess of each distance with its 95 % interval. The line at 1 is the floor, which is a second run of "
                f"the {self._reference}. Filled symbols differ by more than chance; pale ones cannot tell."
            )
            plots = [partial(comparison.excess_plot, self.reports, narrow=narrow) for narrow in (False, True)]
            yield "excess", "All distances beside their floor", caption, *plots
        if self._judged:
            yield from self._field_pictures(next(iter(runs.values())), burn_in)
        densities = partial(recordings.marginal_densities, runs, burn_in=burn_in)
        yield "densities", "Densities", "Stationary density of each latent.", densities
        caption = f"Share of power of each latent; the band holds 95 % of second runs of the {self._reference}."
        yield "spectra", "Power spectra", caption, partial(recordings.spectra, runs, burn_in=burn_in)
        caption = "One trial of each; trials have independent noise, so they agree in kind, not in phase."
        yield "latent-traces", "Latents over time", caption, partial(recordings.latent_traces, runs, burn_in=burn_in)
        yield from self._spike_pictures()
        if len(self.ladder) > 1:
            caption = (
                f"Excess of the leading distances of each network: on the left from the {self.ladder[0].name}, on the "
                "right from what it was made from."
            )
            yield "ladder", "What each step loses", caption, partial(comparison.ladder_plot, self.ladder)

    @property
    def _reference(self) -> str:
        """What the page calls the reference."""
        return next(iter(self.recordings))

    @property
    def _latent_names(self) -> Sequence[str]:
        return self.recordings[self._reference].origin.latent_names

    @property
    def _by_condition(self) -> bool:
        """Whether the recordings are trials of a task."""
        return bool(next(iter(self.recordings.values())).conditions)

    def _condition_pictures(self) -> Iterator[Picture]:
        for report in self.reports:
            caption = "Share of trials that end above the boundary, with 95 % intervals (Wilson)."
            yield (
                _file_name(f"choices-{report.label}"),
                f"Choices of {report.label}",
                caption,
                partial(recordings.choices_plot, report),
            )
        caption = "Mean over trials by condition, with one standard deviation."
        yield "outputs", "Outputs over time", caption, partial(recordings.output_traces, self.recordings)
        caption = "Mean trajectory of each condition; a dot marks its end."
        yield "trajectories", "Trajectories", caption, partial(recordings.condition_trajectories, self.recordings)
        if self.rate is not None and self.trials is not None:
            caption = (
                "Mean trajectories of each condition, and where the rate network moves at each place (arrows). In a "
                "plane of two latents: under the input that is given above, while which trajectories are bold. Over "
                "time: under the input of each moment."
            )
            fields = partial(recordings.condition_fields, self.recordings, self.rate, self.trials)
            yield "vector-fields", "Vector field under each input", caption, fields
        yield from self._noise_pictures()
        yield from self._spike_pictures()

    def _field_pictures(self, reference: Recording, burn_in: float) -> Iterator[Picture]:
        settings = {"burn_in": burn_in, "label": self._reference}
        plane = "" if reference.rank < 3 else " First and last latent; the others are averaged over."
        caption = (
            "Mean velocity at each place, estimated from the trajectories (Kramers-Moyal). The difference is enlarged, "
            "and pale where it is within two standard errors."
        )
        drifts = partial(comparison.drift_fields, reference, self._judged, **settings)
        yield "drift-fields", "Drift fields", caption + plane, drifts
        if reference.rank > 1:
            caption = "Where trajectories flow on balance: an oscillation does, a process in equilibrium does not."
            currents = partial(comparison.probability_currents, reference, self._judged, **settings)
            yield "currents", "Probability currents", caption + plane, currents
        caption = (
            f"Spread of displacements over {self._fields[0]:g} rate time units: ellipses of one standard deviation. "
            "The bend of the path adds to them. The tables give the diffusion, which is without the bend."
        )
        diffusion = partial(comparison.diffusion_ellipses, reference, self._judged, **settings)
        yield "diffusion", "Spread of displacements", caption + plane, diffusion
        yield from self._noise_pictures()

    def _noise_pictures(self) -> Iterator[Picture]:
        if self._noise:
            caption = (
                "Variance of each latent's noise per rate time unit, as a share of the rate network's. Injected: added "
                "by the converter. Of spikes: what they bring along, measured while the network follows a given path."
            )
            noise = partial(recordings.noise_shares, self._noise, latent_names=self._latent_names)
            yield "noise", "Where the noise comes from", caption, noise

    def _spike_pictures(self) -> Iterator[Picture]:
        for name, recording in self.rasters.items():
            caption = "Spikes of one trial, and the latents that they carry."
            raster = partial(recordings.spike_raster, recording, name=name)
            yield _file_name(f"spikes-{name}"), f"Spikes of {name}", caption, raster
        if self._spiking:
            caption = "Mean rate of each neuron, and how much its successive inter-spike intervals differ (CV2)."
            yield (
                "spike-statistics",
                "Rates and regularity",
                caption,
                partial(recordings.spike_histograms, self._spiking),
            )

    def _html(self, shown: Sequence[Mapping[str, str]]) -> str:
        from jinja2 import Environment, PackageLoader

        connectivity = [connectivity_table(self.networks)] if self.networks else []
        environment = Environment(loader=PackageLoader("ddm2snn.workflow"), autoescape=True, trim_blocks=True)
        environment.filters["number"] = _number
        environment.filters["interval"] = _interval
        environment.filters["in_words"] = _in_words
        return environment.get_template("report.html.j2").render(
            title=self.title,
            subtitle=self.subtitle,
            figures=shown,
            reports=self.reports,
            reference=self._reference,
            target=TARGET if TARGET in self.recordings else "",
            latents=[latent_name(d, self._latent_names) for d in range(self.recordings[self._reference].rank)],
            aspects={measure.entry.about for report in self.reports for measure in report.measures},
            by_condition=self._by_condition,
            networks=self.networks,
            leading={m.name: m.entry.short or m.label for r in self.reports for m in r.measures if m.entry.leading},
            ladder=self.ladder,
            attribution=attribution(self.ladder),
            tables=[*(table for *_, table in self._results()), *connectivity, *self.tables],
            provenance=self._provenance(),
            command=self.command,
            version=package_version(),
        )

    def _provenance(self) -> list[tuple[str, str, str]]:
        """Name, fingerprint and settings of each recording, each once."""
        rows: dict[str, tuple[str, str, str]] = {}
        for report in self.reports:
            for role, content in report.provenance.items():
                settings = ", ".join(
                    f"{k} {_plain(v)}" for k, v in content.items()
                    if k != "fingerprint" and k not in _HIDDEN and v is not None and v != {}
                )  # fmt: skip
                name = self._run_name(report.label, role)
                rows.setdefault(content["fingerprint"], (name, content["fingerprint"], settings))
        return list(rows.values())

    def _run_name(self, label: str, role: str) -> str:
        """What the page calls a recording of a report."""
        if role == "reference" or role.startswith("floor "):
            return f"{self._reference}, run {int(role.partition(' ')[2] or 0) + 1}"
        return label if role == "test" else f"{label}, {role}"


def _drawn(draw: Callable[[], Figure], folder: Path, name: str) -> tuple[Path, Path]:
    """PNG and PDF file of a figure."""
    figure, png, pdf = draw(), folder / f"{name}.png", folder / f"{name}.pdf"
    save_figure(figure, png)
    save_figure(figure, pdf)
    return png, pdf


def write_analysis(analysis: Analysis, folder: Path | str) -> list[Path]:
    """Write analysis.json and a PNG per figure into `folder`, created if missing; return their paths."""
    target = make_folder(folder)
    paths = []
    for name, figure in analysis_figures(analysis).items():
        paths.append(target / f"{name}.png")
        save_figure(figure, paths[-1])
    paths.append(target / "analysis.json")
    write_text(paths[-1], json.dumps(analysis.as_json(), indent=1, allow_nan=False) + "\n")
    return paths


def _as_json(results: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result.as_json() for name, result in results.items()}


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


def _in_words(unit: str, reference: str) -> str:
    return _UNITS.get(unit, unit).format(reference)


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{k} {_plain(v)}" for k, v in value.items()) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)
