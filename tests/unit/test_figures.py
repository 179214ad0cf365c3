"""Figures and the report page: one self-contained file, any rank, no global state."""

import dataclasses
import html.parser
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

import ddm2snn
from ddm2snn.fidelity.ladder import Stage
from ddm2snn.plots import comparison, recordings
from ddm2snn.plots.recordings import spike_raster
from ddm2snn.plots.style import save_figure
from ddm2snn.workflow.report import Page, Table

NAMES = (
    *("excess", "phase-portraits", "drift-fields", "currents", "diffusion"),
    *("densities", "spectra", "latent-traces"),
    *("excess-narrow", "phase-portraits-narrow"),
)
FIGURES = (recordings.phase_portraits, recordings.latent_traces, recordings.marginal_densities, recordings.spectra)


def recording(rank, trials=3, samples=400, seed=0):
    walk = np.cumsum(np.random.default_rng(seed).standard_normal((trials, samples, rank)), axis=1)
    return ddm2snn.Recording.from_arrays(np.sin(0.1 * walk), every=0.05, time_unit_s=0.1)


@pytest.mark.parametrize("rank", [1, 2, 3, 5])
@pytest.mark.parametrize("draw", FIGURES)
def test_every_figure_draws_every_rank(draw, rank):
    before = dict(mpl.rcParams)
    recordings = {"rate": recording(rank), "spiking": recording(rank, trials=1, seed=1)}
    figure = draw(recordings, burn_in=1.0)
    figure.canvas.draw()
    assert any(axis.has_data() for axis in figure.axes)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("draw", [comparison.drift_fields, comparison.diffusion_ellipses])
def test_fields_draw_every_rank(draw, rank):
    figure = draw(recording(rank, trials=8), {"spiking": recording(rank, trials=8, seed=1)}, burn_in=1.0)
    figure.canvas.draw()
    assert all(axis.has_data() for axis in figure.axes)


@pytest.mark.parametrize("narrow", [False, True])
def test_long_names_leave_room_for_the_axes(narrow, tmp_path):
    reference, test, floor = (recording(2, seed=seed) for seed in range(3))
    names = ("rate network", "reference", "loihi1-emulator-simreal", "loihi1-emulator-sim", "my-own-device-quantised")
    reports = [ddm2snn.compare(reference, test, floor=floor, label=name) for name in names]
    figure = comparison.excess_plot(reports, narrow=narrow)
    save_figure(figure, tmp_path / "excess.png")
    legend, axes = figure.axes[0].get_legend(), figure.axes[0]
    assert legend is not None
    assert axes.get_window_extent().width > 0.4 * figure.bbox.width
    if narrow:
        assert legend.get_window_extent().x1 < figure.bbox.x1


def test_drift_arrows_of_a_known_field():
    # noiseless decay: the drift is minus the state, and the test's is half of it
    start = np.random.default_rng(3).uniform(-1, 1, (64, 1, 2))
    time = np.arange(200)[:, None] * 0.02
    fast, slow = (
        ddm2snn.Recording.from_arrays(start * np.exp(-r * time), every=0.02, time_unit_s=1.0) for r in (1, 0.5)
    )
    figure = comparison.drift_fields(fast, {"slow": slow})
    arrows: list[Any] = [axis.collections[0] for axis in figure.axes]
    centres = arrows[0].XY
    assert np.corrcoef(arrows[0].U, -centres[:, 0])[0, 1] > 0.99
    # the difference is half the drift, opposite, and drawn with arrows of the same mean length
    assert np.corrcoef(arrows[2].U, arrows[2].XY[:, 0])[0, 1] > 0.99


def test_a_raster_shows_the_spikes_of_one_trial():
    times = np.array([0.01, 0.02, 0.5, 0.7])
    spikes = ddm2snn.Spikes.sorted(times, np.array([0, 3, 1, 2]), np.array([0, 0, 0, 1]))
    latent = np.sin(np.arange(100) * 0.1)[None, :, None] * np.ones((2, 1, 2))
    held = ddm2snn.Recording.from_arrays(latent, every=0.1, time_unit_s=0.1, spikes=spikes)
    above, below = spike_raster(held, name="brian2").axes
    np.testing.assert_allclose(np.sort(above.lines[0].get_xdata()), [0.1, 0.2, 5.0])
    assert len(below.lines) == 2
    with pytest.raises(ddm2snn.InputError, match="no spikes"):
        spike_raster(recording(2))


def test_traces_show_what_was_recorded():
    data = recording(2)
    figure = recordings.latent_traces({"rate": data}, burn_in=1.0)
    for dimension, axis in enumerate(figure.axes):
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), data.samples[0, 20:, dimension])


class Links(html.parser.HTMLParser):
    """Collects whatever a page would load from elsewhere."""

    def __init__(self):
        super().__init__()
        self.outside = []

    def handle_starttag(self, tag, attrs):
        self.outside += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith(("data:", "#"))]


@pytest.fixture
def page(tmp_path):
    reference, test, floor = (recording(2, seed=seed) for seed in range(3))
    report = ddm2snn.compare(reference, test, floor=floor, label="brian2 <&>")
    shown = {"rate": reference, "brian2 <&>": test}
    tables = [Table("Made of", [("a < b", "1 & 2")])]
    Page("title <script>", "below", shown, [report], "ddm2snn run x", tables, {"more": 1}).write(tmp_path)
    return tmp_path


def test_axes_have_the_names_of_the_system():
    held = recording(2)
    named = dataclasses.replace(held, provenance={**held.provenance, "latent_names": ["V (mV)", "w"]})
    figure = recordings.phase_portraits({"rate": named, "spiking": held})
    assert [figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()] == ["latent 0: V (mV)", "latent 1: w"]
    assert recordings.phase_portraits({"rate": held}).axes[0].get_xlabel() == "latent 0"
    drift = comparison.drift_fields(named, {"spiking": held}, label="rate network").axes
    assert (drift[0].get_title(), drift[0].get_ylabel()) == ("rate network", "latent 1: w")


def test_the_page_names_one_thing_once_and_explains_it(page):
    text = (page / "report.html").read_text()
    for term in ("Floor", "Excess", "Differs", "Cannot tell", "Latent", "Rate time unit"):
        assert text.index(f"<dt>{term}</dt>") < text.index("<figure")
    assert "It can stand in for the rate" in text
    assert "a second run of the rate" in text  # the reference by its name, which the figures have as well
    for name in NAMES[:8]:
        assert f'href="#{name}"' in text
        assert f'href="#{name}-enlarged"' in text
        assert f'id="{name}-enlarged"' in text


def test_steps_come_behind_the_words_that_they_use_and_units_are_said_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(Page, "_pictures", lambda self: iter(()))
    reference, test, floor = (recording(2, seed=seed) for seed in range(3))
    report = ddm2snn.compare(reference, test, floor=floor, label="brian2")
    stages = [Stage("target SDE"), Stage("rate", "target SDE", report, report)]
    tables = [Table("Sizes", [("neurons", "12", "<24>")], ("brian2", "nengo"))]
    shown = {"rate": reference, "brian2": test, "target SDE": floor}
    Page("title", "below", shown, [report], "ddm2snn run x", tables, ladder=stages).write(tmp_path)
    text = (tmp_path / "report.html").read_text()
    for term in ("Floor", "Excess", "What is compared"):
        assert text.index(f"<dt>{term}</dt>") < text.index("<b>Step by step</b>")
    assert "reference sd" not in text
    assert "<td>sliced Wasserstein<small>in standard deviations of the rate</small></td>" in text
    # where a page is narrow each cell has the name of its column beside it
    row = text[text.index("<td>sliced Wasserstein") :]
    assert row.index('data-label="excess,') < row.index('data-label="distance,') < row.index('data-label="floor,')
    assert "<th>D_stsp</th><th>D_H</th>" in text
    assert "<td>rate, run 2</td>" in text
    assert '<td>neurons</td><td data-label="brian2">12</td><td data-label="nengo">&lt;24&gt;</td>' in text


def test_the_page_stands_alone_and_escapes(page):
    text = (page / "report.html").read_text()
    links = Links()
    links.feed(text)
    assert links.outside == []
    assert "<script>" not in text
    assert "title &lt;script&gt;" in text
    assert "brian2 &lt;&amp;&gt;" in text
    assert text.count("data:image/png;base64,") == len(NAMES)
    assert "prefers-color-scheme: dark" in text


def test_figures_lie_beside_the_page_as_files(page):
    files = sorted((page / "figures").iterdir())
    assert [path.name for path in files] == sorted(f"{name}.{ending}" for name in NAMES for ending in ("pdf", "png"))
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in files)


def test_equal_content_writes_an_equal_page(page):
    before = {path.name: path.read_bytes() for path in page.rglob("*") if path.is_file()}
    reference, test, floor = (recording(2, seed=seed) for seed in range(3))
    report = ddm2snn.compare(reference, test, floor=floor, label="brian2 <&>")
    tables = [Table("Made of", [("a < b", "1 & 2")])]
    shown = {"rate": reference, "brian2 <&>": test}
    Page("title <script>", "below", shown, [report], "ddm2snn run x", tables, {"more": 1}).write(page)
    assert {path.name: path.read_bytes() for path in page.rglob("*") if path.is_file()} == before
