"""Figures and the report page: one self-contained file, any rank, no global state."""

import html.parser

import matplotlib as mpl
import numpy as np
import pytest

import ddm2snn
from ddm2snn import plotting
from ddm2snn.page import Page, Table

FIGURES = (plotting.phase_portraits, plotting.latent_traces, plotting.marginal_densities, plotting.spectra)


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


def test_traces_show_what_was_recorded():
    data = recording(2)
    figure = plotting.latent_traces({"rate": data}, burn_in=1.0)
    for dimension, axis in enumerate(figure.axes):
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), data.samples[0, 20:, dimension])


class Links(html.parser.HTMLParser):
    """Collects whatever a page would load from elsewhere."""

    def __init__(self):
        super().__init__()
        self.outside = []

    def handle_starttag(self, tag, attrs):
        self.outside += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith("data:")]


@pytest.fixture
def page(tmp_path):
    reference, test, floor = (recording(2, seed=seed) for seed in range(3))
    report = ddm2snn.compare(reference, test, floor=floor, label="brian2 <&>")
    shown = {"rate": reference, "spiking": test}
    tables = [Table("Made of", [("a < b", "1 & 2")])]
    Page("title <script>", "below", shown, [report], "ddm2snn run x", tables, {"more": 1}).write(tmp_path)
    return tmp_path


def test_the_page_stands_alone_and_escapes(page):
    text = (page / "report.html").read_text()
    links = Links()
    links.feed(text)
    assert links.outside == []
    assert "<script>" not in text
    assert "title &lt;script&gt;" in text
    assert "brian2 &lt;&amp;&gt;" in text
    assert text.count("data:image/png;base64,") == len(FIGURES)
    assert "prefers-color-scheme: dark" in text


def test_figures_lie_beside_the_page_as_files(page):
    names = sorted(path.name for path in (page / "figures").iterdir())
    assert names == ["densities.png", "latent-traces.png", "phase-portraits.png", "spectra.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (page / "figures").iterdir())


def test_equal_content_writes_an_equal_page(page):
    before = {path.name: path.read_bytes() for path in page.rglob("*") if path.is_file()}
    reference, test, floor = (recording(2, seed=seed) for seed in range(3))
    report = ddm2snn.compare(reference, test, floor=floor, label="brian2 <&>")
    tables = [Table("Made of", [("a < b", "1 & 2")])]
    shown = {"rate": reference, "spiking": test}
    Page("title <script>", "below", shown, [report], "ddm2snn run x", tables, {"more": 1}).write(page)
    assert {path.name: path.read_bytes() for path in page.rglob("*") if path.is_file()} == before
