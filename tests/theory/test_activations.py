"""Units that respond as tanh, as rectified linear or as LIF neurons do: values, training, noise by state."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import ddm2snn
from ddm2snn import LIF, System, Training
from ddm2snn.neuron.activation import activate
from ddm2snn.training import matching
from ddm2snn.training.robustness import Return
from ddm2snn.training.variable_projection import _activate

QUICK = Training(points=2000, iterations=60, holdout=1000)


def test_values_in_closed_form():
    x = np.array([-2.0, 0.0, 0.5, 3.0])
    assert np.allclose(activate("tanh", x), np.tanh(x), rtol=0.0, atol=4e-16)
    assert np.array_equal(activate("relu", x), [0.0, 0.0, 0.5, 3.0])
    # threshold 1, 20 ms membrane, 2 ms refractory: 1 / (1 + 10 ln(3 / 2))
    assert np.allclose(activate("lif", x), [0.0, 0.0, 0.0, 1.0 / (1.0 + 10.0 * np.log(1.5))], rtol=1e-14)
    assert np.allclose(activate("lif", x), 0.002 * LIF().rate_hz(x), rtol=1e-14)


def test_tanh_is_accurate_everywhere_and_in_every_shape():
    x = np.random.default_rng(0).standard_normal((40, 30, 20)) * 5.0  # several pieces
    for values in (x, x.T, x[::2, 1:], x[0, 0, 0], np.zeros((0, 3)), np.arange(3)):
        found = activate("tanh", values)
        assert found.shape == np.shape(values)
        assert np.allclose(found, np.tanh(values), rtol=0.0, atol=4e-16)
    ends = activate("tanh", np.array([-np.inf, -1e300, 1e300, np.inf, np.nan]))
    assert np.array_equal(ends, [-1.0, -1.0, 1.0, 1.0, np.nan], equal_nan=True)


@pytest.mark.parametrize("activation", ["tanh", "relu", "lif"])
def test_training_computes_the_same_response(activation):
    x = np.linspace(-3.0, 5.0, 401)
    in_torch = _activate(activation, torch.as_tensor(x), smooth=False).numpy()
    assert np.allclose(in_torch, activate(activation, x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("activation", "tolerance"), [("tanh", 3e-3), ("relu", 2e-2)])
def test_each_activation_learns_the_drift(activation, tolerance):
    # kinks approximate a smooth drift by pieces: an order less accurate at equal size
    network = ddm2snn.train("vanderpol", seed=3, training=dataclasses.replace(QUICK, activation=activation))
    assert network.activation == activation
    assert max(network.provenance["drift_error"]) < tolerance
    other = dataclasses.replace(network, activation="relu" if activation == "tanh" else "tanh")
    z = network.initial_latent[:50]
    assert np.abs(other.drift(z) - network.drift(z)).max() > 2 * tolerance * np.abs(network.drift(z)).max()


@pytest.mark.slow
def test_lif_units_learn_the_drift_the_better_the_more_there_are(monkeypatch):
    # the infinite slope at threshold costs accuracy, which four times the units must win back by half at least;
    # whether trajectories come back takes most of the time, and is not asked here
    back = Return(far=0, perturbed=0, escaped=0, astray=0, still=0, time_units=(0.0, 0.0))
    monkeypatch.setattr(matching, "returning", lambda network, *rest: (network, back, 0, 0))
    lif = dataclasses.replace(QUICK, activation="lif")
    few, many = (
        max(ddm2snn.train("vanderpol", units=units, seed=3, training=lif).provenance["drift_error"])
        for units in (32, 128)
    )
    assert many < 0.5 * few
    assert many < 2.5e-2


def noisy_by_state(upper: bool) -> System:
    """Decay to the origin with noise that grows with the other latent; `upper` asks for a Cholesky factor."""

    def factor(z):
        x, y = z[..., 0], z[..., 1]
        zero = np.zeros_like(x)
        a, b, c = 0.5 + 0.1 * y**2, 0.2 * np.tanh(x), 0.4 + 0.1 * x**2
        rows = [[a, b], [zero, c]] if upper else [[a, zero], [b, c]]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    return System(name="by-state", rank=2, drift=lambda z: -z, diffusion=factor)


@pytest.mark.parametrize("upper", [False, True])
def test_diffusion_that_depends_on_the_state_is_matched(upper):
    system = noisy_by_state(upper)
    network = ddm2snn.train(system, units=48, seed=0, training=dataclasses.replace(QUICK, points=4000))
    assert network.diffusion_readout is not None
    assert network.provenance["diffusion_error"] < 1e-2
    z = network.initial_latent[:500]
    g = system.factor(z)
    truth = g @ np.swapaxes(g, -1, -2)
    error = np.sqrt(((network.diffusion(z) - truth) ** 2).sum() / (truth**2).sum())
    assert error < 1e-2
    constant = dataclasses.replace(network, diffusion_readout=None)
    assert np.sqrt(((constant.diffusion(z) - truth) ** 2).sum() / (truth**2).sum()) > 5e-2, "the tolerance must bite"


def test_the_rate_network_runs_with_it():
    system = noisy_by_state(upper=False)
    network = ddm2snn.train(system, units=48, seed=0, training=dataclasses.replace(QUICK, points=4000))
    run = ddm2snn.simulate(network, duration=40.0, trials=200, seed=1, every=0.5).samples[:, 20:]
    # Ito: d<x^2> = -2<x^2> + <(GG^T)_xx> = 0 in the stationary state, averaged over the same run
    tensor = network.diffusion(run)
    for axis in (0, 1):
        balance = tensor[..., axis, axis].mean(axis=1) - 2 * (run[..., axis] ** 2).mean(axis=1)
        assert abs(balance.mean()) < 4 * balance.std() / np.sqrt(len(balance))


def test_cholesky_needs_a_definite_tensor():
    singular = System(
        name="singular", rank=2, drift=lambda z: -z,
        diffusion=lambda z: np.stack([np.stack([z[..., 0] * 0, z[..., 0] * 0 + 1], -1)] * 2, -2),
    )  # fmt: skip
    network = ddm2snn.train(singular, units=8, training=QUICK)  # a hair of noise makes it definite
    assert network.provenance["diffusion_error"] < 1e-2


def test_a_sweep_shows_the_whole_trade_off():
    network = ddm2snn.train("vanderpol", units=24, training=dataclasses.replace(QUICK, sweep=True, error=0.5))
    stages = network.provenance["stages"]
    assert [stage["ridge"] for stage in stages] == [1e-5, 1e-6, 1e-7, 1e-8]
    assert network.provenance["readout_norm"] == min(stage["readout_norm"] for stage in stages)
    assert stages[-1]["drift_error"] < stages[0]["drift_error"]
    with pytest.raises(ddm2snn.InputError, match=r"sweep goes through all ridges"):
        Training(sweep=True, ridge=1e-3)


def test_no_trajectory_is_lost():
    robustness = ddm2snn.train("vanderpol", units=32, training=QUICK).provenance["robustness"]
    assert robustness["far"] == robustness["perturbed"] == 32
    assert robustness["escaped"] == robustness["astray"] == robustness["still"] == 0


def test_lost_trajectories_are_counted():
    from ddm2snn.training.robustness import check_return

    system = ddm2snn.find_system("vanderpol")
    network = ddm2snn.train(system, units=32, training=QUICK)
    stationary = network.initial_latent
    rng = np.random.default_rng(0)
    dead = dataclasses.replace(network, right_vectors=0 * network.right_vectors, diffusion_factor=np.zeros((2, 2)))
    found, _ = check_return(dead, system, stationary, rng)
    assert found.lost == found.astray == 64  # it rests at the origin, which van der Pol never visits
    # one relu unit that drives the first latent away without bound
    runaway = dataclasses.replace(
        network, activation="relu", left_vectors=np.array([[1.0, 0.0], [-1.0, 0.0]]), bias=np.zeros(2),
        right_vectors=np.array([[3.0, 0.0], [-3.0, 0.0]]),
    )  # fmt: skip
    assert check_return(runaway, system, stationary, rng)[0].escaped > 32
