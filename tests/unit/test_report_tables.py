"""Tables of the report, and what the page makes of networks, spikes and exponents."""

import json
import re
from typing import Any

import numpy as np
import pytest

import ddm2snn
from ddm2snn.analysis.lyapunov import Exponent
from ddm2snn.fidelity.field_difference import recorded_differences
from ddm2snn.fidelity.spikes import NoiseShare, recorded_statistics
from ddm2snn.plots import comparison, recordings
from ddm2snn.workflow.report import Page
from ddm2snn.workflow.tables import chaos_table, connectivity_table, field_table, noise_table, spiking_table


def by_name(table):
    """First column to second."""
    return {row[0]: row[1] for row in table.rows}


def recording(seed, speed=1.0, rank=2, trials=16, spikes=None):
    """Noisy rotation."""
    rng = np.random.default_rng(seed)
    phase = np.cumsum(speed * 0.1 + 0.05 * rng.standard_normal((trials, 400)), axis=1) + rng.uniform(0, 6, (trials, 1))
    path = np.stack([np.cos(phase + d) for d in np.linspace(0, np.pi / 2, rank)], axis=-1)
    return ddm2snn.Recording.from_arrays(
        path + 0.05 * rng.standard_normal(path.shape), every=0.1, time_unit_s=0.1, spikes=spikes
    )


@pytest.fixture(scope="module")
def networks():
    rate = ddm2snn.train("vanderpol", units=12, seed=1)
    static = ddm2snn.convert(rate, decoders=ddm2snn.Static(), population=ddm2snn.Population(2), seed=1).network
    return rate, static


def test_noise_without_a_budget_is_all_injected(networks):
    rate, static = networks
    share = NoiseShare.of(static)
    expected = np.diag(rate.diffusion(np.zeros(2)))
    np.testing.assert_allclose(share.injected, expected)
    np.testing.assert_allclose(share.target, expected)
    assert share.spikes is None
    assert by_name(noise_table({"a": share}))["brought along by spikes"] == "not measured"
    recordings.noise_shares({"a": share}).canvas.draw()


def test_a_budget_is_shown_in_system_units(networks):
    static = networks[1]
    noise = {"target": [[0.4, 0.1], [0.1, 0.2]], "spikes": [[0.1, 0.0], [0.0, 0.05]]}
    diagnostics = {**static.provenance["diagnostics"], "noise": noise}
    fields = {name: getattr(static, name) for name in static.__dataclass_fields__}
    held = type(static)(**{**fields, "provenance": {**static.provenance, "diagnostics": diagnostics}})
    share = NoiseShare.of(held)
    np.testing.assert_allclose(share.target, np.array([0.4, 0.2]) * static.latent_scale**2)
    assert share.spikes is not None
    np.testing.assert_allclose(share.spikes, np.array([0.1, 0.05]) * static.latent_scale**2)
    whole = by_name(noise_table({"a": share}))["both, over the rate network's"]
    expected = (share.injected + share.spikes) / share.target
    assert whole == ", ".join(f"{value:.3g}" for value in expected)
    upper: list[Any] = list(recordings.noise_shares({"a": share}).axes[0].patches)[2:]
    tallest = [bar.get_y() + bar.get_height() for bar in upper]
    np.testing.assert_allclose(tallest, expected)


def test_connectivity_is_the_audit(networks):
    rows = by_name(connectivity_table({"static": networks[1]}))
    audit = networks[1].provenance["diagnostics"]["rank_audit"]
    assert rows["rank of E D"] == "2"
    assert rows["singular values of E D"] == ", ".join(f"{v:.3g}" for v in audit["singular_values"])


def test_fields_of_a_slower_rotation():
    lag, found = recorded_differences(recording(1), {"same": recording(2), "slow": recording(3, speed=0.9)})
    assert found["slow"].drift_scale == pytest.approx(0.9, abs=0.03)
    assert found["same"].drift_scale == pytest.approx(1.0, abs=0.03)
    # a tenth of the drift, and what is left of sampling
    assert found["slow"].drift_bias == pytest.approx(0.1, abs=0.03)
    table = field_table(found, lag)
    assert table.header == ("same", "slow")
    assert all(len(row) == 3 for row in table.rows)


def test_fields_that_cannot_be_compared_are_left_out():
    assert recorded_differences(recording(1, rank=5), {"a": recording(2, rank=5)})[1] == {}
    few = recording(2)
    away = ddm2snn.Recording.from_arrays(few.samples + 50.0, every=0.1, time_unit_s=0.1)
    assert list(recorded_differences(recording(1), {"away": away, "here": few})[1]) == ["here"]


def test_an_exponent_that_is_not_known_says_so():
    table = chaos_table([Exponent("snn", "twin runs", None, None), Exponent("rate", "drift field", 0.9, 0.012)])
    assert table.rows == [("snn, from twin runs", "cannot tell"), ("rate, from drift field", "0.9 ± 0.012")]


def test_the_page_shows_and_keeps_all_of_it(networks, tmp_path):
    spikes = ddm2snn.Spikes.sorted(np.linspace(0, 3.9, 60), np.arange(60) % 3, np.zeros(60, int))
    reference, test = recording(1), recording(2, spikes=spikes)
    report = ddm2snn.compare(reference, test, label="static")
    page = Page(
        "t", "s", {"rate": reference, "static": test}, [report], "c", rasters={"static": test},
        networks={"static": networks[1]}, exponents=[Exponent("rate", "drift field", 0.9, 0.01)],
    )  # fmt: skip
    page.write(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["spiking"]["static"]["neurons"] == networks[1].neurons  # silent ones included
    assert summary["fields"]["static"]["cells"] > 2
    assert summary["noise"]["static"]["spikes"] is None
    assert summary["exponents"][0]["value"] == 0.9
    text = (tmp_path / "report.html").read_text()
    for title in ("Drift bias", "Noise in numbers", "Spikes in numbers", "Connectivity"):
        assert f">{title}</h2>" in text
    assert text.index("How to read this") < text.index("<figure")
    assert set(re.findall('href="#([^"]+)"', text)) <= set(re.findall('id="([^"]+)"', text))
    rates = by_name(spiking_table({"static": recorded_statistics(test, networks[1].neurons)}))
    assert rates["silent neurons"] == "87.5 %"
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"currents", "noise", "spikes-static", "spike-statistics"} <= names


def test_a_current_goes_round_and_one_latent_has_none():
    figure = comparison.probability_currents(recording(1), {"same": recording(2)})
    figure.canvas.draw()
    arrows: Any = figure.axes[0].collections[0]
    x, y = arrows.XY.T
    # cos(phase) and cos(phase + pi / 2) turn clockwise
    assert ((x * arrows.V - y * arrows.U) < 0).mean() > 0.9
    with pytest.raises(ddm2snn.InputError, match="no probability current"):
        comparison.probability_currents(recording(1, rank=1), {"same": recording(2, rank=1)})
