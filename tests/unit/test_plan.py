"""The verb plan: predictions against measurements, the cheapest option that meets a request, refusals in words."""

# An option may lack a noise ratio, and the tests know that theirs do not:
# pyright: reportOptionalOperand=false, reportOperatorIssue=false

from __future__ import annotations

import sys

import numpy as np
import pytest

import ddm2snn
from ddm2snn import LIF, Calibrated, InputError, Population
from ddm2snn.base.randomness import stream
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.noise_budget import measure_budget
from ddm2snn.conversion.prediction import Motion, optimistic, predict
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.conversion.tuning import place
from ddm2snn.network import to_internal

PREDICTED_WITHIN = 0.2  # of the measured spike noise
CLOCK = Clock(time_unit_s=0.5, dt_s=1e-3, spike_timing="grid")


def plan(rate, **request):
    return ddm2snn.plan(rate, **{"backend": "reference", "seed": 1, **request})


@pytest.fixture(scope="module")
def fourfold(rate_network):
    """Van der Pol in 64 units of four tuned neurons each, and stationary states."""
    cloud = to_internal(rate_network, stationary_states(rate_network, 0))
    ensemble, _ = place(rate_network, Population(4), CLOCK, cloud, 0)
    return ensemble, cloud


def moving(rate, ensemble, cloud):
    return Motion.of(rate, ensemble.clock, cloud, stream(2, "predict"))


@pytest.mark.parametrize(("time_unit_s", "timing"), [(0.5, "grid"), (0.2, "interpolated")])
def test_predicted_noise_is_what_is_measured(rate_network, fourfold, time_unit_s, timing):
    placed, cloud = fourfold
    ensemble = placed.timed(Clock(time_unit_s, 1e-3, timing))
    predicted = predict(rate_network, ensemble, cloud, moving(rate_network, ensemble, cloud))
    settings = Calibrated(duration=1000.0)
    decoders = settings.calibrate(rate_network, ensemble, cloud, stream(2, "calibrate")).decoders
    measured = measure_budget(rate_network, ensemble, decoders, cloud, stream(2, "measure"))
    assert predicted.spike_noise_ratio == pytest.approx(measured.spike_noise_ratio, rel=PREDICTED_WITHIN)
    assert np.allclose(np.diag(predicted.spikes), np.diag(measured.spikes), rtol=PREDICTED_WITHIN)
    assert np.allclose(predicted.target, measured.target, rtol=1e-9)
    # curves know nothing of neurons that lag where currents move fast, so that the smooth error is more than theirs
    assert (predicted.drift.repeatable < 1.2 * measured.drift.repeatable).all()
    assert (predicted.drift.repeatable > 0.2 * measured.drift.repeatable).all()
    # the tolerance bites: independent Poisson spikes of the same rates would be several times as loud
    rates_hz = LIF().rate_hz(ensemble.currents(cloud)).mean(axis=0)
    poisson = (decoders * rates_hz / time_unit_s) @ decoders.T
    assert (np.diag(poisson) > 3.0 * np.diag(measured.spikes)).all()


def test_predicted_cost_is_what_conversion_reports(quick_rate):
    option = plan(quick_rate, noise=100.0, neurons_per_unit=4, time_unit_s=0.2).chosen
    settings = {"population": Population(4), "decoders": ddm2snn.Static(), "backend": "reference", "time_unit_s": 0.2}
    diagnostics = ddm2snn.convert(quick_rate, seed=1, **settings).diagnostics
    assert option.spikes_per_time_unit == pytest.approx(diagnostics.spikes_per_time_unit, rel=0.1)
    assert option.mean_rate_hz == pytest.approx(diagnostics.mean_rate_hz, rel=0.1)


def test_the_cheapest_option_that_meets_the_request_is_chosen(quick_rate):
    found = plan(quick_rate, noise=3.0, drift_error=0.1)
    meeting = [option for option in found.options if option.spikes_over_target <= 3.0 and option.drift_error <= 0.1]
    assert found.chosen.meets
    assert [option for option in found.options if option.meets] == meeting
    assert found.chosen.spikes_per_time_unit == min(option.spikes_per_time_unit for option in meeting)
    assert found.population == Population(found.chosen.neurons_per_unit)
    assert found.chosen.neurons == round(found.chosen.neurons_per_unit * quick_rate.units)
    lines = found.lines()
    assert len(lines) == 1 + len(found.options)
    assert sum(line.startswith("*") for line in lines) == 1
    assert found.as_json()["chosen"]["time_unit_s"] == found.chosen.time_unit_s


@pytest.mark.slow
def test_a_stricter_request_costs_more(quick_rate):
    loose, strict = (plan(quick_rate, noise=noise, time_unit_s=0.5).chosen for noise in (5.0, 1.0))
    assert strict.spikes_per_time_unit > loose.spikes_per_time_unit
    assert strict.neurons > loose.neurons


def test_with_neurons_given_the_time_unit_is_found(quick_rate):
    found = plan(quick_rate, noise=1.0, neurons_per_unit=6, max_rates_hz=(60.0, 120.0))
    assert {option.neurons_per_unit for option in found.options} == {6}
    assert found.chosen.max_rates_hz == (60.0, 120.0)
    assert found.chosen.spikes_over_target <= 1.0


def test_an_impossible_request_says_what_is_nearest(refuses, quick_rate):
    with refuses(InputError, "No conversion looked at meets noise <= 1e-06", "closest is 2 neurons per unit", "Allow"):
        plan(quick_rate, noise=1e-6, neurons_per_unit=2)


def test_the_optimistic_prediction_is_below_the_full_one_but_not_far(rate_network, fourfold):
    ensemble, cloud = fourfold
    low, full = (
        how(rate_network, ensemble, cloud, moving(rate_network, ensemble, cloud)) for how in (optimistic, predict)
    )
    # a plan refuses by it where it is half as much again as what was asked for
    assert 0.5 * full.spike_noise_ratio < low.spike_noise_ratio < 1.1 * full.spike_noise_ratio
    assert 0.3 * full.drift.repeatable.max() < low.drift.repeatable.max() < 1.1 * full.drift.repeatable.max()
    assert low.spikes_per_time_unit == pytest.approx(full.spikes_per_time_unit, rel=0.1)


@pytest.fixture
def predicted(monkeypatch):
    """Numbers of neurons of every full prediction that a plan makes."""
    module, made = sys.modules["ddm2snn.conversion.plan"], []

    def counted(rate, ensemble, *rest):
        made.append(ensemble.neurons)
        return predict(rate, ensemble, *rest)

    monkeypatch.setattr(module, "predict", counted)
    return made


@pytest.mark.parametrize("request_of", [{"noise": 1e-7}, {"noise": None, "drift_error": 1e-6}])
def test_what_the_best_case_does_not_meet_is_refused_before_it_is_looked_for(
    refuses, quick_rate, predicted, request_of
):
    with refuses(InputError, "closest is 32 neurons per unit", "at least", "It would take some", "or more"):
        plan(quick_rate, **request_of, time_unit_s=0.2)
    assert predicted == [quick_rate.units], "only the fewest neurons were looked at"


@pytest.mark.slow
def test_near_the_best_case_the_best_case_comes_first(refuses, quick_rate, predicted):
    best = plan(quick_rate, noise=100.0, time_unit_s=0.2, neurons_per_unit=32).chosen.spikes_over_target
    predicted.clear()
    with refuses(InputError, "closest is 32 neurons per unit", f"predicted noise {best:.2g} and", "It would take some"):
        plan(quick_rate, noise=0.9 * best, time_unit_s=0.2)
    assert predicted == [quick_rate.units, 32 * quick_rate.units]


def test_requests_that_make_no_sense_are_refused(refuses, quick_rate, quick_spiking, rate_of):
    with refuses(InputError, "plan needs a bound on noise or on drift_error"):
        plan(quick_rate, noise=None)
    with refuses(InputError, "plan.noise must be a finite number above zero, got -1"):
        plan(quick_rate, noise=-1)
    with refuses(InputError, "plan.time_unit_s must be a finite number above zero"):
        plan(quick_rate, time_unit_s=0.0)
    with refuses(InputError, "Backend rate runs rate networks"):
        plan(quick_rate, backend="rate")
    with refuses(InputError, "Conversion needs a RateNetwork, got a SpikingNetwork"):
        plan(quick_spiking)
    quiet = rate_of(right_vectors=np.full((5, 2), 0.1), diffusion_factor=np.diag([0.1, 0.0]))
    with refuses(InputError, "the target has a direction without noise", "Give noise=None"):
        plan(quiet, neurons_per_unit=2, time_unit_s=0.2)
