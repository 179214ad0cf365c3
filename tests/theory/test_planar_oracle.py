"""Planar rate networks against the oracle of `fokker_planck.py`; the long form is tests/benchmarks/planar_oracle.py."""

# pyright: reportMissingImports=false
# of the benchmarks

import dataclasses
import functools
import sys
from pathlib import Path

import numpy as np
import pytest

import ddm2snn
from ddm2snn.systems import find_system

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import planar_oracle  # pyright: ignore[reportMissingImports] - of the benchmarks
from planar_oracle import counted_rate, escape, occupancy, oracle, production

# few units and points: the oracle is given the network itself, whatever its distance from the target
QUICK = ddm2snn.Training(ridge=1e-5, points=800, iterations=30, holdout=400)
CELLS, BLOCK, TRIALS, DURATION = 168, 14, 200, 40.0


@functools.cache
def trained(name):
    return ddm2snn.train(name, units=24, seed=2, training=QUICK)


def trajectories(network, seed=3):
    run = ddm2snn.simulate(network, duration=DURATION, trials=TRIALS, seed=seed, every=0.1)
    return run.samples[:, 100:]  # the first ten time units settle


def louder(network, factor):
    """The network with so much more noise."""
    readout = network.diffusion_readout
    return dataclasses.replace(
        network,
        diffusion_factor=np.sqrt(factor) * network.diffusion_factor,
        diffusion_readout=None if readout is None else np.sqrt(factor) * readout,
    )


def test_the_entropy_production_of_analyse_for_van_der_pol(rate_network):
    found = production(find_system("vanderpol"), rate_network, seed=1, cells=150)
    # the oracle's own error, and that of training: both below a per mille
    assert found.coarse == pytest.approx(found.network, rel=1e-3)
    assert found.network == pytest.approx(found.target, rel=3e-3)
    # samples: an interval of some half a per cent to both sides holds the oracle's value, within twice its width
    width = found.sampled.high - found.sampled.low
    assert width < 0.02 * found.network
    assert abs(found.sampled.value - found.network) < width
    # the control: five per cent more noise is seen
    other = oracle(louder(rate_network, 1.05), rate_network.initial_latent, 100).entropy_production
    assert abs(found.sampled.value - other) > 2 * width


@pytest.mark.parametrize("name", ["fourwell", "ornsteinuhlenbeck", "stuartlandau", "vanderpol"])
def test_the_density_of_simulations_is_the_oracles(name):
    network = trained(name)
    samples = trajectories(network)
    found = occupancy(samples, oracle(network, network.initial_latent, CELLS), BLOCK)
    # of four comparisons that find chance alone, one beyond 1.3 times the 95th percentile would be rare
    assert found.distance < 1.3 * found.limit
    # the control: twice the diffusion
    other = occupancy(samples, oracle(louder(network, 2.0), network.initial_latent, CELLS), BLOCK)
    assert other.distance > 1.5 * found.limit


def test_escapes_are_as_frequent_as_the_oracle_says(monkeypatch):
    monkeypatch.setattr(planar_oracle, "ESCAPE_TRIALS", 64)
    monkeypatch.setattr(planar_oracle, "ESCAPES", 400.0)
    found = escape(1.0, 3.0, seed=4, training=QUICK, cells=96)
    assert abs(found.counted - found.network) < 4 * found.standard_error
    assert found.standard_error < 0.15 * found.network
    # the formula is right to the first order in D / b
    assert found.target == pytest.approx(found.kramers, rel=0.2)
    assert found.network == pytest.approx(found.target, rel=0.2)


def test_counted_rates_belong_to_the_core_that_was_entered_last():
    x = np.array([-1.0, -0.5, 0.5, -0.5, -1.0, 0.0, 1.0, 0.9, 0.0, 1.0, -1.0])  # two passages, six and four steps
    samples = np.repeat(np.stack([x, 0 * x], axis=-1)[None], 3, axis=0)
    rate, error = counted_rate(samples, every=0.5)
    assert rate == pytest.approx(0.5 * (1 / 3.0 + 1 / 2.0))
    assert error == pytest.approx(0.0, abs=1e-12)
