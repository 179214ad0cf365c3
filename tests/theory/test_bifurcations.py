"""Families of systems with a parameter, reduced from tests/benchmarks/bifurcations.py, which goes on to spikes."""

# pyright: reportMissingImports=false, reportArgumentType=false
# of the benchmarks; lists become arrays

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

import ddm2snn

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import bifurcations  # pyright: ignore[reportMissingImports] - of the benchmarks
from bifurcations import FAMILIES, critical_of_flow, critical_value, held, sweep, system_of

QUICK = ddm2snn.Training(ridge=1e-6, points=2000, iterations=40, holdout=400)


@pytest.fixture(scope="module")
def network():
    return ddm2snn.train(system_of(FAMILIES["hopf"]), units=32, seed=1, training=QUICK)


@pytest.fixture
def brief(monkeypatch):
    """Staircases of five levels."""
    for name, value in (("LEVELS", 5), ("HOLD", 20.0), ("SETTLE", 10.0)):
        monkeypatch.setattr(bifurcations, name, value)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_flow_of_every_family_changes_where_its_parameter_is_zero(name):
    family = FAMILIES[name]
    # twelve bisections of a range of 1.2 times the reach at most
    assert critical_of_flow(family, system_of(family).drift) == pytest.approx(0.0, abs=1e-3)
    # a shift of the parameter is found
    shifted = dataclasses.replace(family, flow=lambda z, p: family.flow(z, p + 0.1))
    assert critical_of_flow(shifted, system_of(shifted).drift) == pytest.approx(-0.1, abs=1e-3)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_the_line_begins_at_the_critical_value(name):
    family = FAMILIES[name]
    q = np.maximum(family.control[0](family.levels + 0.05), 0.0)
    order = np.sqrt(q) if family.order is bifurcations._mean_speed else q
    critical, error = critical_value(family, np.repeat(order[:, None], 4, axis=1))
    assert critical == pytest.approx(-0.05, abs=5e-3)
    assert error == pytest.approx(0.0, abs=1e-9)


def test_a_trained_network_changes_where_its_target_does(network, brief):
    family = FAMILIES["hopf"]
    # an error of the drift, over the radius that noise keeps at the onset, is one of the growth rate p - r^2 there;
    # within three standard deviations
    size = np.max(network.provenance["drift_error"] * network.drift(network.initial_latent).std(axis=0))
    shift = 3 * size / 0.25
    assert shift < 0.1
    assert critical_of_flow(family, network.drift) == pytest.approx(0.0, abs=shift)
    moved = dataclasses.replace(family, flow=lambda z, p: family.flow(z, p + 0.4))
    systems = (system_of(family), system_of(moved), network)
    runs = [sweep(family, one, trials=16, seed=seed) for seed, one in enumerate(systems)]
    target, other, rate = (np.array(run.order) for run in runs)
    error = np.hypot(runs[0].standard_error, runs[2].standard_error)
    # Q = p above the onset, so a shift of p is one of Q; four standard errors at each of five levels
    assert (np.abs(rate - target) < 4 * error + shift).all()
    # the control: a system that changes elsewhere
    assert (np.abs(other - target) > 4 * error + shift).any()
    assert rate[0] < 0.05 < 0.5 < rate[-1]  # it rests at p = -1 and turns at p = 1
    np.testing.assert_allclose(runs[2].reached, runs[2].levels, atol=0.05)


def test_the_parameter_stays_where_it_is_held(network):
    # without its noise it follows the input; with it, it wanders
    start = np.tile([0.0, 0.0, 0.5], (8, 1))
    stimulus = ddm2snn.Stimulus(times=[0.0], values=[[0.0, 0.0, 0.5 / bifurcations.LAG]])
    spread = [
        ddm2snn.simulate(n, duration=20, trials=8, seed=0, stimulus=stimulus, initial_latent=start)
        .samples[..., 2]
        .std()
        for n in (held(network), network)
    ]
    assert spread[0] < 0.02
    assert spread[1] > 0.3
