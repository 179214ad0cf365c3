"""What a session shows of every public type: figures in a few lines, no arrays, and pictures by `plot`."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import ddm2snn
from ddm2snn import LowRank, Recording, Stimulus, find_hardware
from ddm2snn.conversion.diagnostics import Diagnostics, RankAudit
from ddm2snn.conversion.plan import Option
from ddm2snn.conversion.structure import Price, Restructuring, StructureDiagnostics
from ddm2snn.hardware.device import device_of, machine_of
from ddm2snn.hardware.place import place
from ddm2snn.hardware.quantise import quantise

LOIHI = find_hardware("loihi1-emulator")
LINES, CHARACTERS = 6, 700
WITHOUT_AN_OBJECT = {"Backend", "InputError"}  # a protocol, and an error that shows its message


@pytest.fixture
def things(rate_of, spiking_of, recording_of, make_spiking):
    network = make_spiking(neurons=40)
    device = device_of(network, LOIHI, network.dt_s)
    return {
        "rate": rate_of(), "spiking": spiking_of(hardware=LOIHI), "recording": recording_of(spikes=True),
        "spikes": recording_of(spikes=True).spikes, "stimulus": Stimulus(np.arange(100.0), np.ones((100, 3))),
        "matrix": LowRank(np.ones((100, 2)), np.ones((100, 2))), "configuration": LOIHI, "device": device,
        "machine": machine_of(network, device), "registers": machine_of(network, device).population[0],
        "placement": place(network, LOIHI), "quantisation": quantise(network, LOIHI),
    }  # fmt: skip


@pytest.fixture
def public(things, rate_of, report):
    """An object of every public type, by the name of the type."""
    audit = RankAudit(rank=2, singular_values=[3.0, 1.0], row_residual=0.0, principal_angles_rad=[0.0, 0.0])
    diagnostics = Diagnostics(
        rank_audit=audit, rate_singular_values=[5.0, 2.0], mean_rate_hz=30.0, highest_rate_hz=180.0,
        silent_share=0.0, spikes_per_time_unit=96.0, drift_error=[0.012, 0.02],
    )  # fmt: skip
    price = Price([0.1, 0.2], 0.3)
    structured = StructureDiagnostics(audit, {"kind": "sparse", "kept": 0.5}, 0.5, 0.5, 2.0, price, price)
    option = Option(4, 40, 0.1, (100.0, 200.0), 0.2, 0.05, 900.0, 30.0, meets=True)
    by_hand = [
        *things.values(), report, diagnostics, structured, ddm2snn.Conversion(things["spiking"], diagnostics),
        Restructuring(things["spiking"], structured), ddm2snn.Plan(option, (option,) * 9, ddm2snn.LIF()),
        ddm2snn.find_system("lorenz"), ddm2snn.Population(), ddm2snn.Training(), ddm2snn.Recipe(system="lorenz"),
        ddm2snn.ArrayMapping(activation="tanh"), ddm2snn.SpikeSelection((1, 2)), ddm2snn.Nir(),
        ddm2snn.Unsupported("a", "b", "c"), ddm2snn.Sparse(0.5), ddm2snn.Bounded(2.0), ddm2snn.OneSign(),
        ddm2snn.Calibrated(), ddm2snn.Static(), ddm2snn.TrainedReadout(), ddm2snn.Direct(), ddm2snn.LIF(),
        ddm2snn.AdaptiveLIF(), ddm2snn.LoihiLIF(), ddm2snn.RectifiedLinear(), ddm2snn.LogNormal(),
        ddm2snn.Card(),
    ]  # fmt: skip
    return {type(thing).__name__: thing for thing in by_hand}


@pytest.fixture
def report():
    rng = np.random.default_rng(1)
    runs = (Recording.from_arrays(rng.standard_normal((8, 200, 1)), every=0.1, time_unit_s=0.1) for _ in range(3))
    return ddm2snn.compare(next(runs), next(runs), floor=next(runs), label="again")


def test_every_public_type_is_short_in_a_session_and_a_table_in_a_notebook(public):
    classes = {name for name in ddm2snn.__all__ if inspect.isclass(getattr(ddm2snn, name))} - WITHOUT_AN_OBJECT
    assert classes <= public.keys()
    for name in [*classes, "Diagnostics", "Restructuring"]:
        text, table = repr(public[name]), public[name]._repr_html_()
        assert len(text.splitlines()) <= LINES, name
        assert len(text) <= CHARACTERS, name
        assert "array(" not in text, name
        assert table.startswith(("<table>", "<pre")), name
        assert len(table) <= 5 * CHARACTERS, name


def test_a_report_is_a_mapping_a_table_and_a_frame(report):
    assert str(report).splitlines()[0] == report.verdict
    assert len(str(report).splitlines()) == 2 + len(report)
    assert list(report) == report.keys() == [measure.name for measure in report.measures]
    assert dict(report)["sd_0"] is report["sd_0"]
    assert "sd_0" in report
    assert "sd_9" not in report
    frame = report.to_dataframe()
    assert frame.loc["sd_0", "excess"] == report["sd_0"].excess
    assert len(frame) == len(report)


def test_plot_draws_recordings_reports_and_networks(report, spiking_of, recording_of, rate_of, refuses):
    assert [axis.get_ylabel() for axis in ddm2snn.plot(recording_of())] == ["latent 0", "latent 1"]
    assert "neurons" in ddm2snn.plot(recording_of(spikes=True))[0].get_ylabel()
    (axis,) = ddm2snn.plot(report)
    assert len(axis.get_yticks()) == len(report)
    (tuning,) = ddm2snn.plot(spiking_of())
    assert tuning.get_title().endswith("of 20 neurons")
    assert max(np.max(line.get_ydata()) for line in tuning.lines) > 1.0
    titles = [axis.get_title() for axis in spiking_of().plot_tuning()]
    assert titles == [axis.get_title() for axis in spiking_of().plot()] == [tuning.get_title()]
    assert [len(thing.plot()) for thing in (recording_of(), report)] == [2, 1]
    with refuses(ddm2snn.InputError, "plot has no figure of a RateNetwork"):
        ddm2snn.plot(rate_of())  # pyright: ignore[reportArgumentType]


def test_reprs_are_short_and_hold_no_arrays(things):
    for name, thing in things.items():
        text = repr(thing)
        assert len(text.splitlines()) <= LINES, name
        assert "array" not in text, name


def test_tables_for_notebooks_hold_what_matters(things, spiking_of):
    shown = {name: things[name]._repr_html_() for name in ("rate", "spiking", "recording")}
    assert all(things[name].fingerprint in text for name, text in shown.items())
    assert "<th>units</th><td>5</td>" in shown["rate"]
    assert "<th>hardware</th><td>loihi1-emulator</td>" in shown["spiking"]
    assert "<th>spikes</th><td>7</td>" in shown["recording"]
    assert "<script>" not in spiking_of(provenance={"system": "<script>"})._repr_html_()
