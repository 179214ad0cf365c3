"""The verb convert: what it refuses, what a seed fixes, what it leaves alone and what it reports."""

# `load` returns one of several types, and the test knows which:
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend

import ddm2snn
from ddm2snn import InputError, Population, Static
from ddm2snn.conversion.clock import fastest_rate, natural_time_unit_s, two_digits, whole_hundredths
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.errors import UnsupportedError
from ddm2snn.network import to_internal


def convert(rate, **settings):
    return ddm2snn.convert(rate, **{"backend": "reference", **settings})


@pytest.mark.parametrize("bad", [0, -1, -2.5, np.nan, np.inf, True, "4", None])
def test_neurons_per_unit_are_a_number(refuses, bad):
    with refuses(InputError, f"neurons_per_unit must be a finite number above zero, such as 4 or 1.5, got {bad!r}"):
        Population(neurons_per_unit=bad)


@pytest.mark.parametrize("rates", [(100.0, 500.0), (600.0, 700.0), (100.0, 1e9), (100.0, np.inf)])
def test_rates_stay_below_the_refractory_limit(refuses, rates):
    with refuses(InputError, "below 500 Hz (1 / refractory_s)", f"asked for {rates[0]:g} to {rates[1]:g} Hz"):
        Population(max_rates_hz=rates)


def test_a_longer_refractory_period_lowers_the_limit(refuses):
    with refuses(InputError, "below 100 Hz (1 / refractory_s)"):
        Population(max_rates_hz=(50.0, 150.0), neuron=ddm2snn.LIF(refractory_s=0.01))


@pytest.mark.parametrize("bad", [0.0, -5.0, np.nan])
def test_the_lowest_rate_is_positive(refuses, bad):
    with refuses(InputError, f"Population.max_rates_hz must be a finite number above zero, got {bad!r}"):
        Population(max_rates_hz=(bad, 100.0))


def test_the_highest_rate_is_not_the_lower_one(refuses):
    with refuses(InputError, "Population.max_rates_hz must be (lowest, highest), got (200.0, 100.0)"):
        Population(max_rates_hz=(200.0, 100.0))


@pytest.mark.parametrize("bad", [(100.0,), (1.0, 2.0, 3.0), 150.0])
def test_rates_are_a_pair(refuses, bad):
    with refuses(InputError, "Population.max_rates_hz must be (lowest, highest)"):
        Population(max_rates_hz=bad)


def test_the_rate_backend_runs_no_spikes(refuses, quick_rate):
    with refuses(InputError, "Backend rate runs rate networks", "convert for brian2, nengo or reference"):
        convert(quick_rate, backend="rate")


def test_an_unknown_backend_lists_the_installed(refuses, quick_rate):
    names = "brian2, compiled, nengo, nengo-loihi, quantised, rate, reference, torch"
    with refuses(InputError, "There is no backend 'nest'", names):
        convert(quick_rate, backend="nest")


def test_a_step_longer_than_the_refractory_period(refuses, quick_rate):
    text = "dt_s = 0.01 is longer than the refractory period of 0.002 s. Use dt_s <= 0.002."
    with refuses(InputError, text):
        convert(quick_rate, dt_s=0.01)


def test_a_step_that_does_not_divide_the_refractory_period(refuses, quick_rate):
    text = "refractory_s = 0.002 is not a whole number of steps of dt_s = 0.0015. Use dt_s = 0.002."
    with refuses(InputError, text):
        convert(quick_rate, dt_s=0.0015)


@pytest.mark.parametrize("name", ["dt_s", "time_unit_s"])
@pytest.mark.parametrize("bad", [0, -1.0, np.nan, np.inf, "fast"])
def test_times_are_positive(refuses, quick_rate, name, bad):
    with refuses(InputError, f"convert.{name} must be a finite number above zero, got {bad!r}"):
        convert(quick_rate, **{name: bad})


@pytest.mark.parametrize("bad", [-1, 0.5, None])
def test_a_seed_is_checked(refuses, quick_rate, bad):
    with refuses(InputError, "seed must be a whole number", f"got {bad!r}"):
        convert(quick_rate, seed=bad)


def test_a_spiking_network_cannot_be_converted_again(refuses, quick_spiking):
    with refuses(InputError, "Conversion needs a RateNetwork, got a SpikingNetwork"):
        convert(quick_spiking)


@pytest.mark.parametrize("settings", [{"decoders": 0.5}, {"decoders": Static}, {"population": "4"}])
def test_settings_of_a_wrong_kind_are_named(refuses, quick_rate, settings):
    with refuses(InputError, *settings):
        convert(quick_rate, **settings)


def test_a_number_is_a_population_of_so_many_neurons_per_unit(quick_rate):
    short = convert(quick_rate, population=1.5, decoders="static", time_unit_s=0.1).network
    long = convert(quick_rate, population=Population(1.5), decoders=Static(), time_unit_s=0.1).network
    assert short.fingerprint == long.fingerprint


def test_the_rate_network_is_left_alone(quick_rate):
    before = quick_rate.fingerprint
    network = convert(quick_rate, decoders=Static()).network
    assert dataclasses.replace(quick_rate).fingerprint == before  # computed anew from the arrays
    for name in ("diffusion_factor", "input_map", "latent_offset", "latent_scale", "initial_latent"):
        assert np.array_equal(getattr(network, name), getattr(quick_rate, name))


def test_a_seed_fixes_the_network(quick_rate):
    first, second, other = (convert(quick_rate, seed=seed) for seed in (4, 4, 5))
    assert first.network.fingerprint == second.network.fingerprint
    assert first.diagnostics == second.diagnostics
    assert first.network.provenance == second.network.provenance
    assert other.network.fingerprint != first.network.fingerprint
    # thresholds and rates are drawn anew, which is more than another sample of states would do
    before, after = first.network.encoders, other.network.encoders
    assert np.median(np.abs(after - before) / np.abs(before)) > 0.1


def test_two_backends_share_neurons_but_not_decoders(quick_rate):
    brian2, nengo = (convert(quick_rate, backend=name, seed=4).network for name in ("brian2", "nengo"))
    for name in ("encoders", "bias", "unit"):
        assert np.array_equal(getattr(brian2, name), getattr(nengo, name))
    assert not np.allclose(brian2.decoders, nengo.decoders, rtol=1e-3)
    assert (brian2.spike_timing, nengo.spike_timing) == ("grid", "interpolated")
    assert (brian2.backend, nengo.backend) == ("brian2", "nengo")
    assert brian2.fingerprint != nengo.fingerprint


def test_a_backend_may_be_an_object(quick_rate):
    by_object = convert(quick_rate, backend=ReferenceBackend("interpolated")).network
    assert by_object.spike_timing == "interpolated"
    assert by_object.backend == "reference"


def test_settings_reach_the_network(quick_rate):
    neuron = ddm2snn.LIF(tau_membrane_s=0.01, refractory_s=0.003)
    population = Population(neurons_per_unit=2, max_rates_hz=(60.0, 80.0), neuron=neuron)
    result = convert(quick_rate, population=population, time_unit_s=0.3, dt_s=0.001, decoders=Static(ridge=0.05))
    assert result.network.neuron == neuron
    assert result.network.time_unit_s == 0.3
    assert result.network.dt_s == 0.001
    assert result.network.provenance["neurons_per_unit"] == 2
    assert result.network.provenance["max_rates_hz"] == [60.0, 80.0]
    assert result.network.provenance["decoders"] == {"kind": "static", "ridge": 0.05, "compensate_lag": True}
    assert result.network.provenance["system"] == "vanderpol"


def test_decoders_reach_the_solver(quick_rate):
    plain, ridged, uncompensated = (
        convert(quick_rate, decoders=decoders).network
        for decoders in (Static(), Static(ridge=0.1), Static(compensate_lag=False))
    )
    assert np.linalg.norm(ridged.decoders) < np.linalg.norm(plain.decoders)
    assert not np.allclose(uncompensated.decoders, plain.decoders, rtol=1e-3)
    assert np.array_equal(uncompensated.encoders, plain.encoders)


def test_diagnostics_tell_what_was_learned(quick_rate):
    result = convert(quick_rate)
    diagnostics = result.diagnostics
    assert diagnostics.rank_audit.rank == 2
    assert len(diagnostics.drift_error) == 2
    assert 0.0 < max(diagnostics.drift_error) < 0.5
    assert 10.0 < diagnostics.mean_rate_hz < diagnostics.highest_rate_hz
    assert 0.0 <= diagnostics.silent_share < 1.0
    expected = diagnostics.mean_rate_hz * result.network.neurons * result.network.time_unit_s
    assert diagnostics.spikes_per_time_unit == pytest.approx(expected)
    assert result.network.provenance["diagnostics"] == diagnostics.as_json()


def test_more_neurons_decode_better(quick_rate):
    few, many = (convert(quick_rate, population=Population(m)).diagnostics.drift_error for m in (2, 16))
    assert (np.array(many) < 0.7 * np.array(few)).all()


def test_the_natural_time_unit_is_a_round_number_that_follows_the_speed(quick_rate):
    z = np.random.default_rng(0).standard_normal((500, 2))
    unit_s = natural_time_unit_s(quick_rate, z)
    mantissa = unit_s / 10.0 ** np.floor(np.log10(unit_s) + 1e-9)
    assert np.isclose(mantissa, [1.0, 2.0, 5.0], rtol=1e-9).any()
    # at a drift ten times as fast, the same membranes need ten times as many seconds
    right = quick_rate.right_vectors
    still = dataclasses.replace(quick_rate, right_vectors=np.zeros_like(right))
    assert natural_time_unit_s(still, z) == pytest.approx(0.2)  # dz = -z: 310 ms per unit, rounded
    fast = dataclasses.replace(quick_rate, right_vectors=100.0 * right)
    assert natural_time_unit_s(fast, z) > 10.0 * unit_s


def test_fewer_neurons_take_a_longer_time_unit(quick_rate):
    units = {m: convert(quick_rate, population=Population(m), decoders=Static()).network.time_unit_s for m in (1, 4, 8)}
    # a quarter of the neurons, four times as long, up to rounding to 1, 2 or 5
    assert 2.0 <= units[1] / units[4] <= 10.0
    assert units[8] == units[4]


def test_a_converted_network_survives_a_file(quick_rate, tmp_path):
    network = convert(quick_rate).network
    network.save(tmp_path / "snn.safetensors")
    loaded = ddm2snn.load(tmp_path / "snn.safetensors")
    assert loaded.fingerprint == network.fingerprint
    assert loaded.provenance == network.provenance


def test_spikes_that_are_too_noisy_get_a_longer_time_unit(quick_rate):
    # a hundredth of the noise, beside which eight neurons per unit are noisy; of fewer, what is left is not all noise
    quiet = dataclasses.replace(quick_rate, diffusion_factor=0.1 * quick_rate.diffusion_factor)
    settings = {"population": Population(8), "decoders": ddm2snn.Calibrated(duration=600.0)}
    result = convert(quiet, **settings)
    first_s = result.diagnostics.time_unit.first_s
    ratio = result.diagnostics.time_unit.spikes_over_target
    assert ratio > 0.38
    assert first_s < result.network.time_unit_s <= 4 * first_s + 0.1  # rounded up from at most four times as long
    fixed = convert(quiet, **settings, time_unit_s=first_s)
    assert fixed.network.time_unit_s == first_s
    assert fixed.diagnostics.time_unit is None
    quieter, before = (made.diagnostics.noise.spikes_over_target or 0.0 for made in (result, fixed))
    assert 0.0 < quieter < 0.7 * before
    assert convert(quick_rate, population=Population(16)).diagnostics.time_unit is None  # quiet enough as it is


def test_a_time_unit_of_two_digits_stays_within_what_a_device_holds():
    assert two_digits(6.123) == 6.1
    assert two_digits(5.0, 4.0955) == 4.0
    assert two_digits(4.09, 4.0955) == 4.0  # 4.1 would be too long
    assert two_digits(0.5, 4.0955) == 0.5
    assert two_digits(1.0, 0.04095) == 0.04


@pytest.mark.parametrize(
    ("time_s", "dt_s", "longest_s", "expected_s"),
    [
        (0.38, 1e-3, np.inf, 0.4),  # samples every 0.02 would last 7.6 steps
        (0.88, 1e-3, np.inf, 0.9),
        (0.3, 1e-3, np.inf, 0.3),
        (5.27, 1e-3, np.inf, 5.3),
        (10.7, 1e-3, np.inf, 11.0),
        (0.02, 1e-3, np.inf, 0.1),
        (0.38, 1e-4, np.inf, 0.38),
        (4.06, 1e-3, 4.0955, 4.0),
        (0.02, 1e-3, 0.04095, 0.02),  # no room for a hundred steps
    ],
)
def test_a_time_unit_is_whole_hundreds_of_steps_where_the_device_has_room(time_s, dt_s, longest_s, expected_s):
    assert whole_hundredths(time_s, dt_s, longest_s) == expected_s


QUICK = ddm2snn.Calibrated(duration=200.0)


def test_synapses_rise_in_a_fiftieth_of_the_time_unit_or_faster(quick_rate, make_rate):
    made = convert(quick_rate, decoders=QUICK, time_unit_s=0.4).network
    z = to_internal(quick_rate, stationary_states(quick_rate, 0))
    slope = 1.0 - np.tanh(z @ quick_rate.left_vectors.T + quick_rate.bias) ** 2
    jacobian = np.einsum("nc,sn,nd->scd", quick_rate.right_vectors, slope, quick_rate.left_vectors) - np.eye(2)
    fastest = np.abs(np.linalg.eigvals(jacobian)).max()
    assert made.rise_s == pytest.approx(0.4 * min(0.02, 0.1 / fastest), rel=0.05)  # over 4,000 of the states
    fast = make_rate(right_vectors=np.zeros((6, 2)), diffusion_factor=np.eye(2), left_vectors=np.ones((6, 2)))
    assert fastest_rate(fast, np.zeros((5, 2))) == pytest.approx(1.0)  # nothing but the leak


@pytest.mark.parametrize("rise_s", [0.0, 0.004])
def test_a_rise_that_is_asked_for_is_kept(quick_rate, rise_s):
    asked = dataclasses.replace(QUICK, rise_s=rise_s)
    assert convert(quick_rate, decoders=asked, time_unit_s=0.2).network.rise_s == rise_s
    assert convert(quick_rate, decoders=asked).network.rise_s == rise_s  # whatever the time unit becomes


def test_decoders_of_curves_have_no_rise(quick_rate):
    for decoders in (Static(), ddm2snn.TrainedReadout()):
        assert convert(quick_rate, decoders=decoders, time_unit_s=0.2).network.rise_s == 0.0


def test_a_rise_is_refused_where_there_can_be_none(refuses, quick_rate):
    for bad in (-0.1, np.nan, np.inf):
        with refuses(InputError, "Calibrated.rise_s must be 0 or a time above zero"):
            dataclasses.replace(QUICK, rise_s=bad)
    with refuses(InputError, "no shorter than the time unit of 0.2 s", "a shorter rise or a longer time unit"):
        convert(quick_rate, decoders=dataclasses.replace(QUICK, rise_s=0.2), time_unit_s=0.2)
    with refuses(InputError, "The synapses of a device have no rise"):
        ddm2snn.convert(quick_rate, decoders=dataclasses.replace(QUICK, rise_s=0.01), hardware="loihi2-like")


def test_a_network_with_a_rise_is_refused_by_devices(refuses, make_spiking):
    for fields in ({"rise_s": 0.004}, {"noise_colour": np.ones((2, 4))}):
        with refuses(UnsupportedError, next(iter(fields)), "Convert with hardware=loihi1-emulator"):
            ddm2snn.simulate(make_spiking(**fields), backend="quantised", duration=0.1, trials=1)
    for fields, said in (
        ({"rise_s": 0.1}, "must be 0 or a time below time_unit_s = 0.1"),
        ({"rise_s": -1.0}, "must be 0 or a time below time_unit_s = 0.1"),
        ({"noise_colour": np.ones((2, 3))}, "must be positive and of shape (2, 4)"),
        ({"noise_colour": np.zeros((2, 4))}, "must be positive and of shape (2, 4)"),
    ):
        with refuses(InputError, said):
            make_spiking(**fields)
