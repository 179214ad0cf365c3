"""The figure of a conversion: what its panels show, for every kind of decoders, and no global state."""

from __future__ import annotations

import dataclasses

import matplotlib as mpl
import numpy as np
import pytest

import ddm2snn
from ddm2snn import InputError, Static, TrainedReadout
from ddm2snn.conversion.convert import with_constant
from ddm2snn.network import to_internal
from ddm2snn.plots.conversion import _shares, draw
from ddm2snn.plots.style import save_figure

SETTINGS = {"backend": "reference", "time_unit_s": 0.2, "seed": 5}
PANELS = ["Tuning of 7 of 32 neurons", "Decoding error of the curves", "Noise by frequency"]
PANELS += ["Spectrum of $E D$", "Residual lag"]


@pytest.fixture(scope="module")
def conversion(quick_rate):
    return ddm2snn.convert(quick_rate, **SETTINGS)


@pytest.fixture(scope="module")
def panels(conversion, quick_rate):
    figure = draw(conversion, quick_rate)
    figure.canvas.draw()
    return {axis.get_title(): axis for axis in figure.axes if axis.get_title()}


def test_every_panel_is_there(panels):
    assert list(panels) == [*PANELS, "Choice of the ridge"]
    assert all(axis.has_data() for axis in panels.values())


def test_panels_show_the_diagnostics(panels, conversion):
    diagnostics, network = conversion.diagnostics, conversion.network
    lag = panels[PANELS[4]].containers[0].lines[0]
    assert lag.get_ydata() == pytest.approx(1e3 * np.array(diagnostics.lag.lag_s))
    rate, spiking = (line.get_ydata() for line in panels[PANELS[3]].lines)
    assert spiking == pytest.approx(np.array(diagnostics.rank_audit.singular_values) / spiking_norm(network))
    assert rate == pytest.approx(np.array(diagnostics.rate_singular_values) / max(diagnostics.rate_singular_values))
    total, spikes = (line.get_ydata() for line in panels["Noise by frequency"].lines[:2])
    spectrum = diagnostics.noise.spectrum
    assert total == pytest.approx(100 * np.array(spectrum.total)[:, 0])
    assert spikes == pytest.approx(100 * np.array(spectrum.spikes)[:, 0])
    assert (total[:5] > spikes[:5]).all(), "at low frequencies there is much to inject"
    curve = panels["Choice of the ridge"].lines[0]
    assert curve.get_ydata() == pytest.approx([e[0] for e in diagnostics.calibration.held_out_error.values()])


def spiking_norm(network):
    return np.linalg.norm(network.encoders @ network.decoders, ord=2)


def test_tuning_curves_are_the_neurons_own(panels, conversion):
    network = conversion.network
    lines = panels[PANELS[0]].lines
    highest = network.neuron.rate_hz(np.array(1e9), timing=network.spike_timing, dt_s=network.dt_s)
    assert all(0 < line.get_ydata().max() < highest for line in lines)
    slopes = [np.sign(line.get_ydata()[-1] - line.get_ydata()[0]) for line in lines]
    assert {-1, 1} <= set(slopes), "on and off neurons"


@pytest.mark.parametrize("decoders", [Static(), TrainedReadout()])
def test_other_decoders_have_no_ridge_to_choose(quick_rate, decoders):
    before = dict(mpl.rcParams)
    figure = draw(ddm2snn.convert(quick_rate, decoders=decoders, **SETTINGS), quick_rate)
    figure.canvas.draw()
    shown = [axis.get_title() for axis in figure.axes if axis.get_title() and axis.get_visible()]
    budget = "Noise budget" if isinstance(decoders, Static) else PANELS[2]  # static ones measure no noise
    assert shown == [*PANELS[:2], budget, *PANELS[3:]]
    assert dict(mpl.rcParams) == before


def test_what_is_decoded_without_a_spike_counts(quick_rate):
    made = ddm2snn.convert(quick_rate, decoders=Static(), **SETTINGS)
    z = to_internal(quick_rate, quick_rate.initial_latent)
    speed = np.sqrt(((quick_rate.internal_readout(z) - z) ** 2).mean(axis=0))
    shifted = dataclasses.replace(made, network=with_constant(made.network, np.array([10.0 * speed[0], 0.0])))
    before, after = (
        np.asarray(points.get_array())
        for conversion in (made, shifted)
        for points in draw(conversion, quick_rate).axes[1].collections
    )
    # ten times the drift in one of two latents, give or take what was there
    assert (np.abs(after - 1000 / np.sqrt(2)) <= before.max() * (1 + 1e-9)).all()


@pytest.mark.parametrize("rank", [1, 3])
def test_every_rank_is_drawn(make_rate, rank):
    noisy = make_rate(rank=rank, units=6, diffusion_factor=0.1 * np.eye(rank))
    figure = draw(ddm2snn.convert(noisy, decoders=Static(), **SETTINGS), noisy)
    figure.canvas.draw()
    assert all(axis.has_data() for axis in figure.axes[:5])


def test_a_target_without_noise_has_no_budget(make_rate):
    quiet = make_rate()
    moved = Static(stimulus=ddm2snn.Stimulus.within([-1.0, -1.0], [1.0, 1.0]))  # without input it would rest
    axis = draw(ddm2snn.convert(quiet, decoders=moved, **SETTINGS), quiet).axes[2]
    assert [text.get_text() for text in axis.texts] == ["the target has no noise"]


def test_noise_by_state_counts_with_its_mean(make_rate):
    readout = np.zeros((6, 2, 2))
    readout[1, 0, 0] = readout[3, 1, 1] = 0.4
    rate = make_rate(diffusion_factor=np.array([[0.8, 0.0], [0.3, 0.7]]), diffusion_readout=readout)
    made = ddm2snn.convert(rate, decoders=Static(), **SETTINGS)
    network = made.network
    (injected,) = ([bar.get_height() for bar in bars] for bars in draw(made, rate).axes[2].containers)
    z = to_internal(rate, rate.initial_latent)
    rates_hz = network.neuron.rate_hz(z @ network.encoders.T + network.bias, timing=network.spike_timing, dt_s=1e-3)
    assert network.diffusion_decoders is not None
    ours = network.diffusion_factor + np.einsum("rcj,sj->src", network.diffusion_decoders, rates_hz)
    asked, given = ((f @ np.swapaxes(f, 1, 2)).mean(axis=0) for f in (rate.internal_factor(z), ours))
    # bars of whitened directions: their mean is that of the trace
    assert np.mean(injected) == pytest.approx(50 * np.trace(np.linalg.solve(asked, given)), rel=1e-6)
    constant = network.diffusion_factor @ network.diffusion_factor.T
    assert np.mean(injected) != pytest.approx(50 * np.trace(np.linalg.solve(asked, constant)), rel=0.1)


def test_shares_are_those_of_free_directions():
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]]) * np.array([[1.0], [3.0]])
    target, spikes, injected = (turn @ np.diag(d) @ turn.T for d in ([1.0, 1.0], [0.1, 0.6], [0.9, 0.4]))
    share, added = _shares(target, spikes, injected)
    assert share == pytest.approx([0.6, 0.1])
    assert added == pytest.approx([0.4, 0.9])


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_equal_figures_are_equal_files(conversion, quick_rate, tmp_path, kind):
    before = dict(mpl.rcParams)
    for name in ("a", "b"):
        save_figure(draw(conversion, quick_rate), tmp_path / f"{name}.{kind}")
    first, second = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(first) > 5000
    assert dict(mpl.rcParams) == before


def test_a_network_from_the_loop_of_a_device_says_what_is_left_out(quick_rate):
    made = ddm2snn.convert(quick_rate, time_unit_s=0.2, seed=5, hardware="loihi2-like")
    figure = draw(made, quick_rate)
    figure.canvas.draw()
    shown = {axis.get_title(): axis for axis in figure.axes if axis.get_title()}
    assert list(shown) == [PANELS[0], "Decoding error in the loop", *PANELS[2:], "Choice of the ridge"]
    ((error,), (lag,)) = (shown[name].texts for name in ("Decoding error in the loop", "Residual lag"))
    first, second = (f"{100 * e:.2g} %" for e in made.diagnostics.drift_error)
    assert f"latent 0: {first}" in error.get_text()
    assert f"latent 1: {second}" in error.get_text()
    assert "measured on loihi2-like" in error.get_text()
    assert "know nothing of decode neurons" in lag.get_text()
    assert not shown["Residual lag"].has_data()
    assert shown["Noise by frequency"].has_data()
    # the diagnostics say it, not the provenance
    bare = dataclasses.replace(made, network=dataclasses.replace(made.network, provenance={}))
    assert [axis.get_title() for axis in draw(bare, quick_rate).axes if axis.get_title()] == list(shown)


def test_other_networks_and_files_are_refused(refuses, conversion, quick_rate, tmp_path):
    other = dataclasses.replace(quick_rate, bias=quick_rate.bias + 0.1)
    with refuses(InputError, "This conversion is one of the rate network", "Give the one that was converted"):
        draw(conversion, other)
    with refuses(InputError, "Figures are written as .png, .pdf, .svg", "'.gif'"):
        save_figure(draw(conversion, quick_rate), tmp_path / "a.gif")
