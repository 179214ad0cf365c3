"""Networks that do something only under inputs: calibrated in their trials, and refused where they would rest."""

# Lists stand for arrays here, and what is drawn has a course; the tests know it:
# pyright: reportArgumentType=false, reportOptionalMemberAccess=false

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn import Calibrated, InputError, Population, Static, Stimulus, System
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.trajectories import Trajectories, Visited, drawn
from ddm2snn.network import to_internal

INPUTS = np.array([-0.3, -0.1, -0.03, 0.03, 0.1, 0.3])
TRIALS = Stimulus(times=[0.0], values=INPUTS[:, None, None], duration=20.0)
EIGHT_EACH = Stimulus(times=[0.0], values=np.tile(INPUTS[:, None, None], (8, 1, 1)), duration=20.0)


def drift(z):
    return -z + 0.9 * np.tanh(z)


@pytest.fixture(scope="module")
def integrator():
    """A leaky integrator of ten time units, without noise: it rests where nothing comes in."""
    noisy = ddm2snn.train(System("integrator", 1, drift, diffusion=0.7), units=64, seed=0)
    return dataclasses.replace(noisy, diffusion_factor=np.zeros((1, 1)))


def drift_of(network, z):
    """Per rate time unit, which need not be the system's unit of time."""
    return network.in_rate_time.drift(z[..., None])[..., 0]


def ends(network, seed=5):
    """Last latents under each input, shape (repetition, input)."""
    start = np.zeros((len(EIGHT_EACH.values), 1))
    run = ddm2snn.simulate(network, stimulus=EIGHT_EACH, initial_latent=start, seed=seed)
    return run.samples[:, -1, 0].reshape(8, -1)


def test_a_network_that_rests_without_input_is_refused_with_the_ways_out(integrator):
    with pytest.raises(InputError, match=r"comes to rest in one state.*Calibrated\(stimulus=.*Stimulus\.within"):
        ddm2snn.convert(integrator, decoders=Static())


@pytest.mark.slow
@pytest.mark.parametrize("stimulus", [TRIALS, Stimulus.within([-0.3], [0.3])], ids=["trials", "range"])
def test_choices_and_sizes_are_the_rate_networks(integrator, stimulus):
    exact = ends(integrator)[0]
    made = ddm2snn.convert(
        integrator, decoders=Calibrated(stimulus=stimulus), population=Population(2), time_unit_s=0.1, seed=1
    )
    found = ends(made.network)
    assert (np.sign(found) == np.sign(INPUTS)).all()
    # three per cent of the range of what comes out
    assert np.abs(found.mean(axis=0) - exact).max() < 0.03 * np.ptp(exact)
    assert made.network.provenance["decoders"]["stimulus"] == stimulus.fingerprint


@pytest.mark.slow
def test_states_without_input_do_not_show_what_is_decoded_under_one(integrator):
    little_noise = dataclasses.replace(integrator, diffusion_factor=np.full((1, 1), 0.02))
    undriven = ddm2snn.convert(little_noise, population=Population(2), time_unit_s=0.1, seed=1).network
    quiet = dataclasses.replace(undriven, diffusion_factor=np.zeros((1, 1)))
    exact = ends(integrator)[0]
    with pytest.warns(UserWarning, match="where no neuron was calibrated"):
        assert np.abs(ends(quiet).mean(axis=0) - exact).max() > 0.05 * np.ptp(exact)


def test_states_and_inputs_of_trials_belong_together(integrator):
    stimulus = Stimulus(times=[0.0, 1.0], values=np.array([[[0.2], [-0.4]], [[0.5], [0.0]]]), duration=2.0)
    visited = Visited.of(integrator, stimulus, seed=3)
    assert len(visited.latents) == 128 * 20
    scale = integrator.latent_scale[0]
    by_trial = visited.inputs.reshape(2, 64, 20) * scale
    assert np.allclose(by_trial[0, :, :10], 0.2)
    assert np.allclose(by_trial[1, :, 10:], 0.0)
    # along a trial states follow the drift and the input
    z = visited.latents.reshape(128, 20) * scale + integrator.latent_offset[0]
    slope = (z[:, 1:] - z[:, :-1]) / visited.every
    middle = 0.5 * (z[:, 1:] + z[:, :-1])
    given = by_trial.reshape(128, 20)[:, :-1]
    # a central difference over 0.1 is off by 0.1^2 / 24 of the third derivative, some ten times the slope where it is
    # steepest; inputs of the other trial are off by 0.3 and more
    assert np.abs(slope - drift_of(integrator, middle) - given).max() < 0.01 * np.abs(slope).max()


def test_a_trajectory_follows_the_flow_under_its_inputs_and_starts_again_at_the_end_of_a_trial(integrator):
    visited = Visited.of(integrator, Stimulus(times=[0.0], values=[[0.4]], duration=1.0), seed=3)
    rng = np.random.default_rng(0)
    start, course = drawn(visited, 16, rng)
    paths = Trajectories(integrator, Clock(0.1, 1e-3, "grid"), start, 0.1, rng, course=course)
    _, target, states = paths.advance(30)
    assert 2 <= paths.moved.sum(axis=1).min() <= paths.moved.sum(axis=1).max() <= 3, "thirty samples, ten to a trial"
    # from one interval to the next z moves by drift and input, unless another trial begins
    z = states[..., 0] * integrator.latent_scale + integrator.latent_offset
    middle = 0.5 * (z[:, 1:] + z[:, :-1])
    expected = z[:, :-1] + 0.1 * (drift_of(integrator, middle) + 0.4)
    stays = ~paths.moved[
        :,
        1:,
    ]
    assert np.abs(z[:, 1:] - expected)[stays].max() < 5e-3
    assert np.abs(z[:, 1:] - expected)[~stays].max() > 0.1
    # what of it is input has the leak behind it: 0.4 (1 - exp(-t))
    fed = paths.fed[..., 0] * integrator.latent_scale
    assert np.allclose(fed, 0.4 * (1 - np.exp(-0.1 * np.arange(1, 31))), rtol=1e-9)
    assert np.isfinite(target).all()


def test_what_is_decoded_does_not_hold_the_input(integrator):
    """Held at a fixed point of drift and input the filtered target is the read-out: z less the input."""
    u = 0.2
    network, held = integrator, Stimulus(times=[0.0], values=[[u]])
    late = ddm2snn.simulate(network, duration=200.0, trials=1, every=10.0, stimulus=held).samples[0, -1]
    z = to_internal(network, late[None])
    inner = u / network.latent_scale[0]
    visited = Visited(z, np.full((1, 1), inner), np.array([-1]))
    rng = np.random.default_rng(0)
    start, course = drawn(visited, 1, rng, begins_again=False)
    _, target, states = Trajectories(network, Clock(0.1, 1e-3, "grid"), start, 0.1, rng, course=course).advance(200)
    assert np.abs(states - z).max() < 1e-4
    assert abs(target[0, -1, 0] - network.internal_readout(z)[0, 0]) < 1e-3
    assert abs(target[0, -1, 0] + inner - z[0, 0]) < 1e-3
