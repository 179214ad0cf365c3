"""Scale: memory of 20,000 neurons, and error against neurons and time unit, as the benchmark measures them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.decoders import Static
from ddm2snn.conversion.decoders.static import solve_static as solve_at_once
from ddm2snn.conversion.population import Population, encode
from ddm2snn.conversion.trajectories import regression_target
from ddm2snn.network import to_internal

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import scaling  # pyright: ignore[reportMissingImports] - of the benchmarks

PER_UNIT = 313  # 20,032 neurons in 64 units
TIME_UNIT_S = 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decoders", "limit"),
    [
        ({"kind": "Static"}, 0.01),  # of curves
        ({"kind": "Calibrated", "duration": 100.0, "most_decoders": 1024}, 0.02),  # of spikes, on cells
    ],
    ids=["Static", "Calibrated"],
)
def test_20_000_neurons_fit(rate_network, decoders, limit):
    # the warm-up of calibrated decoders in one piece alone took 64 x 100 samples x 20,032 neurons: 0.96 GiB,
    # and the curves of static ones 3,840 x 20,032 numbers, several times
    found = scaling.converted(rate_network, PER_UNIT, TIME_UNIT_S, **decoders)
    assert found["neurons"] == 64 * PER_UNIT
    assert found["gib"] < 1.0
    assert max(found["drift_error"]) < limit


def test_static_decoders_in_parts_are_those_at_once(rate_network):
    states = to_internal(rate_network, rate_network.initial_latent)
    rng, clock = np.random.default_rng(0), Clock(0.1, 1e-3, "grid")
    z = states[rng.integers(len(states), size=1500)] + 0.05 * rng.standard_normal((1500, 2))
    ensemble = encode(rate_network, Population(30), clock, z, rng)
    parts = [part for part, _ in ensemble.parts(len(z))]
    assert len(parts) > 1, "one part only would show nothing"
    in_parts, decoded = Static().decode(rate_network, ensemble, z, states[:50])
    rates_hz = ensemble.rates_hz(z, rate_network.internal_readout(z) - z)
    expected = solve_at_once(rates_hz, regression_target(rate_network, z, clock), Static().ridge)
    assert np.allclose(in_parts, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())
    rates_hz = ensemble.rates_hz(states[:50], rate_network.internal_readout(states[:50]) - states[:50])
    assert np.allclose(decoded, rates_hz @ in_parts.T, rtol=1e-9, atol=1e-12)


def test_slopes_are_those_of_powers():
    sizes = np.array([1.0, 2.0, 4.0, 8.0])
    noise = np.random.default_rng(0).lognormal(0.0, 0.1, (20, 4))
    value, spread = scaling.slope(sizes, 3.0 * sizes**-1.5 * noise)
    assert abs(value + 1.5) < 4 * spread
    # 20 values of 10 % at each of four sizes whose logarithms have a standard deviation of 0.775
    assert spread == pytest.approx(0.1 / 0.775 / np.sqrt(80), rel=0.5)
    assert np.isnan(scaling.slope(sizes, -noise)[0]), "a bias below chance has no logarithm"


@pytest.mark.slow
def test_error_falls_with_neurons_and_with_the_time_unit(rate_network):
    def found(neurons_per_unit, time_unit_s):  # four seeds: slopes of one scatter by 0.2
        seeds = [scaling.measured(rate_network, neurons_per_unit, time_unit_s, seed, tuned=False) for seed in range(4)]
        return np.array(seeds)

    few, more, slower = found(2, 0.1), found(8, 0.1), found(8, 0.2)
    bias, noise = (scaling.slope(np.array([2.0, 8.0]), np.stack([few[:, i], more[:, i]], axis=-1))[0] for i in range(2))
    # theory has -2 for the mean square of the bias and -1 for the noise; independence of size would be 0
    assert bias < -1.5
    assert noise < -0.9
    in_time = scaling.slope(np.array([0.1, 0.2]), np.stack([more[:, 1], slower[:, 1]], axis=-1))[0]
    assert in_time < -1.25, "regular spikes are quieter than Poisson ones, whose noise falls as 1 / T"
