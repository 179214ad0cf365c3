"""Neuron models other than LIF: arguments, refusals, files, the command line and conversion."""

# Wrong types are given on purpose, and `load` returns one of several types, which the test knows:
# pyright: reportArgumentType=false
# time constants are arrays here, which pyright cannot know:
# pyright: reportIndexIssue=false, reportOperatorIssue=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend
from scipy.stats import kstest

import ddm2snn
from ddm2snn import (
    LIF,
    AdaptiveLIF,
    Calibrated,
    InputError,
    LogNormal,
    LoihiLIF,
    Population,
    RectifiedLinear,
    Static,
    TrainedReadout,
)  # fmt: skip
from ddm2snn.errors import UnsupportedError
from ddm2snn.neuron import NEURON_MODELS, find_neuron

OTHERS = [
    RectifiedLinear(tau_membrane_s=0.03),
    AdaptiveLIF(tau_membrane_s=0.03, refractory_s=0.004, threshold_jump=0.2, tau_threshold_s=0.05),
    LoihiLIF(tau_membrane_s=0.03, refractory_s=0.004, decay_bits=9),
]
MIXED = LIF(tau_membrane_s=LogNormal(median_s=0.03, spread=0.4), refractory_s=0.004)
models = pytest.mark.parametrize("neuron", OTHERS, ids=lambda neuron: neuron.name)


@pytest.mark.parametrize("model", NEURON_MODELS.values())
@pytest.mark.parametrize("bad", [0.0, -0.02, np.nan, np.inf, "0.02", None])
def test_constants_must_be_positive(refuses, model, bad):
    for field in dataclasses.fields(model):
        if field.name not in ("decay_bits",) and (model, field.name) != (
            LIF,
            "refractory_s",
        ):  # the LIF's may be zero
            with refuses(InputError, f"{model.__name__}.{field.name} must be a finite number above zero, got {bad!r}"):
                model(**{field.name: bad})


@pytest.mark.parametrize("bad", [0, -3, 12.5, True, "12"])
def test_bits_are_a_count(refuses, bad):
    with refuses(InputError, f"LoihiLIF.decay_bits must be a whole number above zero, got {bad!r}"):
        LoihiLIF(decay_bits=bad)


@pytest.mark.parametrize(("name", "model"), NEURON_MODELS.items())
def test_a_model_knows_its_name(name, model):
    assert model().name == name
    assert model() == model()


def test_the_decay_is_a_whole_number_of_its_levels():
    assert LoihiLIF().decay(1e-3) == 200 / 4096  # 4096 (1 - exp(-1/20)) = 199.8
    assert LoihiLIF(decay_bits=4).decay(1e-3) == 1 / 16


def test_a_decay_that_rounds_to_none(refuses):
    neuron = LoihiLIF(tau_membrane_s=10.0)
    for ask in (lambda: neuron.decay(1e-3), lambda: neuron.check_step(1e-3, "interpolated")):
        with refuses(InputError, "tau_membrane_s = 10 is too long at dt_s = 0.001", "Use tau_membrane_s <= 4.096"):
            ask()
    assert LoihiLIF(tau_membrane_s=4.096).decay(1e-3) == 1 / 4096  # the advice is good


def test_time_constants_are_log_normal_and_those_of_the_neuron():
    neuron = LIF(LogNormal(median_s=0.03, spread=0.4)).for_neurons(2000)
    taus = neuron.tau_membrane_s
    logs = np.log(taus / 0.03) / 0.4
    assert abs(logs.mean()) < 0.005
    assert logs.std() == pytest.approx(1.0, rel=0.01)
    assert kstest(logs, "norm").statistic < 0.005, "evenly spread: random numbers would be at 0.02"
    assert np.array_equal(neuron.part(slice(700, 900)).tau_membrane_s, taus[700:900])
    assert np.array_equal(neuron.part(slice(500, 900)).part(slice(200, 300)).tau_membrane_s, taus[700:800])
    assert np.array_equal(LogNormal(0.03, 0.4).quantiles(200, first=700), taus[700:900])
    # each neuron is a LIF with its time constant
    currents = np.linspace(0.5, 4.0, 2000)
    for ask in ({}, {"timing": "grid", "dt_s": 1e-3}):
        expected = [
            float(LIF(tau).rate_hz(np.array(j), **ask)) for tau, j in zip(taus[::97], currents[::97], strict=True)
        ]
        assert np.array_equal(neuron.rate_hz(currents, **ask)[::97], expected)


@pytest.mark.parametrize(
    "ask",
    [
        lambda neuron, j: neuron.rate_hz(j),
        lambda neuron, j: neuron.rate_hz(j, timing="grid", dt_s=1e-3),
        lambda neuron, j: neuron.lead_s(j),
        lambda neuron, j: neuron.current_at_rate(20.0 * j),
        lambda neuron, j: neuron.smooth_rates(j, 0.05)[0],
        lambda neuron, j: neuron.smooth_rates(j, 0.05)[1],
        lambda neuron, j: neuron.decay_factor(1e-3) * np.ones_like(j),
    ],
)
def test_each_of_the_neurons_has_its_time_constant(ask):
    taus, currents = np.array([0.005, 0.02, 0.07]), np.array([[0.5, 1.5, 3.0], [2.0, 2.0, 2.0]])
    together = ask(LIF(taus), currents)
    for neuron, tau in enumerate(taus):
        assert np.array_equal(together[:, neuron], ask(LIF(tau), currents[:, neuron]))
    assert np.array_equal(ask(LIF(np.full(3, 0.02)), currents), ask(LIF(0.02), currents))


def test_time_constants_are_frozen_and_compared_by_content():
    taus = np.array([0.01, 0.02])
    neuron = LIF(taus)
    taus[0] = 1.0
    assert np.array_equal(neuron.tau_membrane_s, [0.01, 0.02])
    with pytest.raises(ValueError, match="read-only"):
        neuron.tau_membrane_s[0] = 1.0
    assert neuron == LIF([0.01, 0.02])
    assert hash(neuron) == hash(LIF([0.01, 0.02]))
    others = [LIF([0.01, 0.03]), LIF([0.01, 0.02], refractory_s=0.001), LIF([0.01]), LIF(0.01), LIF(LogNormal()), "lif"]
    assert all(neuron != other for other in others)
    assert LIF(LogNormal()) == LIF(LogNormal(0.02, 0.25))
    assert len({neuron, *others[:-1], LIF(0.01), LIF(np.float64(0.01))}) == 6
    assert repr(LIF(np.linspace(0.01, 0.04, 1000))) == "LIF(tau_membrane_s=1000 from 0.01 to 0.04, refractory_s=0.002)"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([0.01, -0.02], "above zero, got shape (2,) with a least of -0.02"),
        ([0.01, np.nan], "holds 1 value(s) that are NaN or infinite"),
        (["0.01"], "must be an array of numbers"),
        ([], "got shape (0,)"),
        ([[0.01]], "must be a number, or an array of shape (neuron,)"),
    ],
)
def test_time_constants_are_an_array_of_positive_numbers(refuses, bad, words):
    with refuses(InputError, "LIF.tau_membrane_s", words):
        LIF(tau_membrane_s=bad)


def test_there_is_a_time_constant_for_each_neuron(refuses, spiking_of, quick_rate):
    words = "LIF.tau_membrane_s has 2 time constants, but there are"
    with refuses(InputError, words, "Give one for each, or a number for all."):
        spiking_of(neuron=LIF([0.01, 0.02]))
    with refuses(InputError, words, "32 neurons"):
        ddm2snn.convert(quick_rate, population=Population(neuron=LIF([0.01, 0.02])), decoders=Static())


def test_a_distribution_is_no_number_yet(refuses):
    for ask in (MIXED.lead_s, MIXED.rate_hz, lambda j: MIXED.part(slice(0, 2))):
        with refuses(InputError, "LIF.tau_membrane_s is a distribution", "Use neuron.for_neurons(count)"):
            ask(np.array([2.0]))
    for name in ("median_s", "spread"):
        with refuses(InputError, f"LogNormal.{name} must be a finite number above zero, got 0.0"):
            LogNormal(**{name: 0.0})


def test_what_neurons_with_time_constants_of_their_own_cannot_do(refuses, make_spiking, tmp_path):
    network = make_spiking(neuron=MIXED)
    assert network.neuron == MIXED.for_neurons(8)
    words = {"brian2": "one membrane time constant", "nir": "LIF neurons with one time constant", "nengo": "LIF"}
    for form, said in words.items():
        with refuses(InputError, said):
            ddm2snn.export(network, tmp_path / ("net.nir" if form == "nir" else "net.py"), format=form)
    with refuses(InputError, "LIF neurons have membrane time constants of their own here", "Use a number"):
        _ = network.neuron.single_tau_s
    with refuses(UnsupportedError, "has LIF or LoihiLIF with one membrane time constant", "Convert LIF neurons"):
        ddm2snn.simulate(network, backend="quantised", duration=0.1, trials=1)


@models
def test_a_grid_needs_a_step(refuses, neuron):
    with refuses(InputError, f"{type(neuron).__name__}.rate_hz on a grid needs dt_s", "none was given"):
        neuron.rate_hz(np.array(2.0), timing="grid")
    with refuses(InputError, "There is no spike timing 'exact'; known are grid, interpolated"):
        neuron.rate_hz(np.array(2.0), timing="exact")
    with refuses(InputError, f"{type(neuron).__name__}.dt_s must be a finite number above zero, got -0.001"):
        neuron.rate_hz(np.array(2.0), timing="grid", dt_s=-1e-3)


@models
def test_shapes_are_kept(neuron):
    for current in (np.array(2.0), np.full((2, 3), 2.0), np.empty((0,)), np.full((3, 0), 1.0), np.zeros((2, 2))):
        assert neuron.rate_hz(current).shape == current.shape
        assert neuron.rate_hz(current, timing="grid", dt_s=1e-3).shape == current.shape
        assert neuron.lead_s(current).shape == current.shape


@models
def test_extreme_currents_give_finite_rates(neuron):
    currents = np.array([-1e300, 0.0, 1.0, np.nextafter(1.0, 2.0), 1e12])
    for rates in (neuron.rate_hz(currents), neuron.rate_hz(currents, timing="grid", dt_s=1e-3)):
        assert np.isfinite(rates).all()
        assert (np.diff(rates) >= 0).all()


@pytest.mark.parametrize("tau_threshold_s", [1e-9, 1e-4, 1e4])
def test_extreme_thresholds_give_finite_rates(tau_threshold_s):
    neuron = AdaptiveLIF(tau_threshold_s=tau_threshold_s)
    currents = np.array([1.0 + 1e-12, 1.1, 5.0, 1e3])
    assert (neuron.rate_hz(currents) > 0).all()
    assert (neuron.rate_hz(currents, timing="grid", dt_s=1e-3) > 0).all()
    assert np.isfinite(neuron.lead_s(currents)).all()
    rates = np.array([10.0, 100.0])
    assert np.allclose(neuron.rate_hz(neuron.current_at_rate(rates)), rates, rtol=1e-6)


def test_rates_out_of_reach(refuses):
    for neuron in (AdaptiveLIF(), LoihiLIF()):
        with refuses(InputError, f"{type(neuron).__name__} can fire at rates above 0 and below 500 Hz"):
            neuron.current_at_rate(np.array([600.0]))
    for bad in (0.0, -1.0, np.inf, np.nan):
        with refuses(InputError, "RectifiedLinear can fire at finite rates above 0 Hz"):
            RectifiedLinear().current_at_rate(np.array([bad]))


def test_a_population_needs_a_neuron_model(refuses):
    for bad in ("lif", LIF, None):
        with refuses(InputError, "Population.neuron must be one of LIF, RectifiedLinear, AdaptiveLIF, LoihiLIF"):
            Population(neuron=bad)


every_model = pytest.mark.parametrize("neuron", [*OTHERS, MIXED], ids=lambda neuron: neuron.name)


@every_model
def test_a_network_of_any_model_comes_back_from_its_file(spiking_of, tmp_path, neuron):
    network = spiking_of(neuron=neuron)
    network.save(tmp_path / "snn.safetensors")
    loaded = ddm2snn.load(tmp_path / "snn.safetensors")
    assert loaded.neuron == neuron.for_neurons(network.neurons)
    assert loaded.fingerprint == network.fingerprint != spiking_of().fingerprint


def test_a_file_without_the_newer_models_fields_is_read_with_lif(spiking_of, tmp_path):
    network = spiking_of()
    assert network.neuron == LIF(tau_membrane_s=0.03, refractory_s=0.004)
    network.save(tmp_path / "snn.safetensors")
    described = b'"neuron":{"model":"lif","refractory_s":0.004,"tau_membrane_s":0.03}'
    assert described in (tmp_path / "snn.safetensors").read_bytes().replace(b"\\", b"")


def _with_median(neuron):
    """The model with 20 ms as its time constant, or as the median of its distribution."""
    median = LogNormal(0.02, neuron.tau_membrane_s.spread) if neuron is MIXED else 0.02
    return dataclasses.replace(neuron, tau_membrane_s=median)


@pytest.mark.parametrize("timing", ["grid", "interpolated"])
@every_model
def test_static_decoders_of_any_model(quick_rate, neuron, timing):
    population = Population(6, neuron=_with_median(neuron))
    made = ddm2snn.convert(
        quick_rate, population=population, decoders=Static(), backend=ReferenceBackend(timing), time_unit_s=0.2
    )
    network, diagnostics = made.network, made.diagnostics
    assert network.neuron == population.neuron.for_neurons(48)
    assert network.spike_timing == neuron.timing_on(timing)
    assert max(diagnostics.drift_error) < 0.3
    assert 5.0 < diagnostics.mean_rate_hz < 150.0
    assert diagnostics.highest_rate_hz < 250.0
    assert diagnostics.silent_share < 0.1
    assert (diagnostics.tuning is not None) == isinstance(neuron, LoihiLIF | LIF), "only tunable models are tuned"


@every_model
def test_calibrated_decoders_of_any_model_carry_the_oscillation(quick_rate, neuron):
    population = Population(6, neuron=_with_median(neuron), tuned=False)
    made = ddm2snn.convert(
        quick_rate, population=population, decoders=Calibrated(duration=400.0), backend="reference", time_unit_s=0.2
    )
    assert max(made.diagnostics.drift_error) < 0.15

    def spread(network):
        samples = ddm2snn.simulate(network, duration=15.0, trials=16, seed=1).samples
        return samples[:, 200:].std(axis=(0, 1))

    expected = spread(quick_rate)
    assert np.allclose(spread(made.network), expected, rtol=0.06)
    spoilt = dataclasses.replace(made.network, decoders=1.3 * made.network.decoders)
    assert np.abs(spread(spoilt) / expected - 1.0).max() > 0.06, "a third too much must show"


def test_a_trained_readout_of_neurons_with_time_constants_of_their_own(quick_rate):
    population = Population(6, neuron=LIF(LogNormal(0.02, 0.4)))
    made = ddm2snn.convert(
        quick_rate, population=population, decoders=TrainedReadout(), backend="reference", time_unit_s=0.2
    )
    assert made.network.neuron == population.neuron.for_neurons(48)
    assert max(made.diagnostics.activation_error) < 0.05


def test_a_device_on_another_simulators_grid_is_no_mismatch(make_spiking):
    # pytest makes an error of any warning
    network = make_spiking(neuron=LoihiLIF(), spike_timing="grid")
    ddm2snn.simulate(network, backend="nengo", duration=0.1, trials=1, every=0.01)
    with pytest.warns(UserWarning, match="times spikes by grid; nengo times them by interpolated"):
        ddm2snn.simulate(make_spiking(neuron=AdaptiveLIF()), backend="nengo", duration=0.1, trials=1, every=0.01)


@pytest.mark.parametrize("name", [*(neuron.name for neuron in OTHERS), "heterogeneous-lif"])
def test_the_command_line_takes_every_model(cli, quick_rate, tmp_path, name):
    quick_rate.save(tmp_path / "r.safetensors")
    arguments = ("convert", "r.safetensors", "-o", "s.safetensors", "--neuron", name, "--decoders", "static", "--json")
    code, out, err = cli(*arguments)
    assert code == 0, err
    assert json.loads(out)["neurons"] == 32
    assert ddm2snn.load(tmp_path / "s.safetensors").neuron == find_neuron(name).for_neurons(32)


def test_an_unknown_model_lists_the_known(cli, quick_rate, tmp_path):
    quick_rate.save(tmp_path / "r.safetensors")
    code, _, err = cli("convert", "r.safetensors", "-o", "s.safetensors", "--neuron", "adex")
    assert code == 2
    assert (
        "There is no neuron model 'adex'; known are lif, rectified-linear, adaptive-lif, loihi-lif, heterogeneous-lif."
        in err
    )
    assert not (tmp_path / "s.safetensors").exists()
