"""Damage of known size: what it does to the decoded drift, by sampling theory, and what decoders solved again undo."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn import Calibrated, Population, damaged, find_backend
from ddm2snn.conversion import solve_again
from ddm2snn.conversion.drift_error import DriftError
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.conversion.noise_budget import MeasuredNoise, measure_budget, with_lost_spikes
from ddm2snn.conversion.noise_spectrum import NoiseSpectrum
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.fidelity.stress import share_interval
from ddm2snn.network import to_internal

DRAWS = 400
SURE = 4.0  # standard errors
SHARE, SPREAD = 0.2, 0.1


@pytest.fixture(scope="module")
def network(make_spiking):
    return make_spiking(neurons=40, seed=3)


def contributions(network):
    """D_j r_j of each neuron at rest at the origin, shape (rank, neuron)."""
    return network.decoders * network.steady_rates_hz(np.zeros((1, network.rank)))[0]


def decoded(network, damage, level):
    """What damaged networks of many seeds decode at the origin, shape (draw, rank)."""
    return np.array([contributions(damaged(network, damage, level, seed=s)).sum(axis=1) for s in range(DRAWS)])


def agree(values, mean, variance):
    """Mean and variance of independent draws, within four standard errors (those of normal numbers)."""
    assert (np.abs(values.mean(axis=0) - mean) < SURE * np.sqrt(variance / DRAWS)).all()
    assert (np.abs(values.var(axis=0, ddof=1) / variance - 1) < SURE * np.sqrt(2 / DRAWS)).all()


def test_lost_neurons_take_their_share_of_the_decoded_drift(network):
    of_each, count = contributions(network), network.neurons
    left = count - round(SHARE * count)
    mean = left / count * of_each.sum(axis=1)
    variance = left * (count - left) / count * of_each.var(axis=1, ddof=1)  # drawn without replacement
    agree(decoded(network, "neurons", SHARE), mean, variance)


def test_mismatched_decoders_scatter_about_what_they_were(network):
    of_each = contributions(network)
    variance = np.expm1(SPREAD**2) * (of_each**2).sum(axis=1)
    agree(decoded(network, "decoders", SPREAD), of_each.sum(axis=1), variance)


def test_a_threshold_divides_the_current_of_its_neuron(network):
    other, z = damaged(network, "thresholds", SPREAD, seed=1), np.array([[0.3, -0.2]])
    threshold = network.bias / other.bias
    assert 0.5 * SPREAD < np.log(threshold).std() < 2 * SPREAD
    current = z @ network.encoders.T + network.bias
    expected = network.neuron.rate_hz(current / threshold, timing=network.spike_timing, dt_s=network.dt_s)
    assert np.allclose(other.steady_rates_hz(z), expected)


def test_mismatched_encoders_change_each_weight_by_its_own_factor(network):
    factors = damaged(network, "encoders", SPREAD, seed=1).encoders / network.encoders
    assert (factors > 0).all()
    assert abs(np.log(factors).std() / SPREAD - 1) < SURE / np.sqrt(2 * factors.size)
    assert not np.allclose(factors[:, 0], factors[:, 1])


@pytest.mark.parametrize("damage", ["neurons", "spikes", "decoders", "encoders", "thresholds"])
def test_levels_are_nested_and_zero_is_the_network(network, damage):
    assert damaged(network, damage, 0.0).fingerprint == network.fingerprint
    few, many = (damaged(network, damage, level, seed=2) for level in (0.1, 0.2))
    if damage == "neurons":
        assert {*many.bias} < {*few.bias} < {*network.bias}
    elif damage in ("decoders", "encoders"):
        # log f = s xi - s^2 / 2 with one xi for both levels
        logs = [np.log(getattr(n, damage) / getattr(network, damage)) for n in (few, many)]
        assert np.allclose((logs[0] + 0.005) * 2, logs[1] + 0.02)


def test_solving_again_brings_the_drift_back():
    """What is decoded shrinks to 80 %: an error of a fifth of W_s phi at least, which solving again undoes."""
    rate = ddm2snn.train("ornsteinuhlenbeck", units=16, seed=0)
    population = Population(8, tuned=False)
    network = ddm2snn.convert(rate, population=population, backend="reference", time_unit_s=0.2).network
    assert solve_again(network, rate, seed=0).fingerprint == network.fingerprint
    states = to_internal(rate, stationary_states(rate, 0))

    def drift_error(of):
        budget = measure_budget(rate, Ensemble.of(of), of.decoders, states, np.random.default_rng(0))
        return float(np.sqrt((budget.drift.repeatable**2).mean()))

    broken = damaged(network, "neurons", SHARE, seed=1)
    again = solve_again(broken, rate, seed=0)
    size = np.sqrt((rate.internal_readout(states) ** 2).mean() / ((rate.internal_readout(states) - states) ** 2).mean())
    errors = {name: drift_error(of) for name, of in (("whole", network), ("broken", broken), ("again", again))}
    assert errors["broken"] > SHARE * size / 2
    assert errors["broken"] > 5 * errors["again"]
    # the error falls about in proportion to the number of neurons, of which 80 % are left
    assert errors["again"] < 2 * errors["whole"] / (1 - SHARE)


@pytest.mark.parametrize("rise_s", [0.0, 0.02])
def test_lost_spikes_are_noise_of_known_size(make_spiking, rise_s):
    """Neurons that fire regularly: what varies beyond their ripple is the loss, p (1 - p) D^2 r / 2 (T + tau_r)."""
    loss, trials, time_unit_s = 0.3, 64, 0.2
    network = make_spiking(
        rank=1, neurons=4, encoders=np.zeros((4, 1)), bias=np.array([1.6, 1.8, 2.0, 2.2]), time_unit_s=time_unit_s,
        decoders=np.array([[0.01, -0.02, 0.015, 0.02]]), rise_s=rise_s,
    )  # fmt: skip
    latents = [
        ddm2snn.simulate(
            network, backend=find_backend("reference", spike_loss=share), duration=60.0, trials=trials, every=0.5
        ).samples[:, 16:]
        for share in (0.0, loss)
    ]
    internal = [to_internal(network, latent) for latent in latents]
    of_each = contributions(network)
    rates_hz = of_each / network.decoders
    variance = loss * (1 - loss) * (of_each**2 / rates_hz).sum() / (2 * (time_unit_s + rise_s))
    independent = trials * 104 * np.tanh(0.25)  # samples half a time unit apart, correlated as exp(-t)
    assert abs(internal[1].mean() - (1 - loss) * internal[0].mean()) < SURE * np.sqrt(variance / independent)
    ripple = (1 - loss) ** 2 * internal[0].var()
    assert abs((internal[1].var() - ripple) / variance - 1) < SURE * np.sqrt(2 / independent) + 0.02
    # the budget's tensor passes z' = -z + q, tau_r q' = -q + ...: half of it, over 1 + tau_r / T
    nothing = np.zeros((8, 1, 1))
    spectrum = NoiseSpectrum(np.geomspace(1e-3, 10, 8), np.eye(1), nothing, nothing, motion=1.0)
    quiet = MeasuredNoise(np.eye(1), np.zeros((1, 1)), DriftError(*np.zeros((3, 1))), spectrum)
    expected = network.decoders * (1 - loss)  # decoders are those of single spikes
    budget = with_lost_spikes(quiet, Ensemble.of(network), expected, np.zeros((1, 1)), loss)
    tensor = float(budget.spectrum.spikes[0, 0, 0].real)
    assert tensor / (2 * (1 + rise_s / time_unit_s)) == pytest.approx(variance, rel=1e-3)


def test_decoders_for_lost_spikes_decode_what_arrives():
    """Spikes of which a fifth is lost decode four fifths of the drift, unless decoders are solved for that."""
    rate = ddm2snn.train("ornsteinuhlenbeck", units=16, seed=0)
    states = to_internal(rate, stationary_states(rate, 0))
    network = ddm2snn.convert(rate, population=Population(8, tuned=False), backend="reference", time_unit_s=0.2).network
    again = solve_again(network, rate, decoders=Calibrated(spike_loss=SHARE), seed=0)
    velocity = rate.internal_readout(states) - states
    rates_hz = (1 - SHARE) * Ensemble.of(network).rates_hz(states, velocity)
    wanted = rate.internal_readout(states)
    errors = [np.sqrt(((rates_hz @ n.decoders.T - wanted) ** 2).mean() / (wanted**2).mean()) for n in (network, again)]
    assert errors[0] == pytest.approx(SHARE, rel=0.1)
    assert errors[1] < SHARE / 4
    # noise that comes with the loss is not injected
    assert (np.diag(again.diffusion_factor) < np.diag(network.diffusion_factor)).all()


@pytest.mark.parametrize(("share", "spread"), [(0.3, 0.0), (0.05, 0.0), (0.3, 0.15)])
def test_intervals_of_shares_hold_the_share_they_were_drawn_from(share, spread):
    rng, groups, trials, draws = np.random.default_rng(0), 5, 16, 400
    held = plain = 0
    for _ in range(draws):
        own = np.full(groups, share)
        if spread:  # beta numbers of this mean and deviation
            size = share * (1 - share) / spread**2 - 1
            own = rng.beta(share * size, (1 - share) * size, groups)
        failed = rng.binomial(trials, own)
        low, high = share_interval(failed.tolist(), trials)
        held += low <= share <= high
        low, high = share_interval([int(failed.sum())], groups * trials)
        plain += low <= share <= high
    assert held / draws > 0.95 - SURE * np.sqrt(0.05 * 0.95 / draws)
    if spread:  # the control: as if trials of one network told as much as those of several
        assert plain / draws < 0.9


def test_a_part_of_a_population_keeps_its_time_constants(make_spiking):
    taus_s = np.linspace(0.01, 0.03, 8)
    network = dataclasses.replace(make_spiking(neurons=8), neuron=ddm2snn.LIF(taus_s))
    left = damaged(network, "neurons", 0.5, seed=0)
    places = np.searchsorted(network.bias, left.bias, sorter=np.argsort(network.bias))
    assert np.array_equal(np.asarray(left.neuron.tau_membrane_s), taus_s[np.argsort(network.bias)[places]])
