"""A stimulus that steps, into networks that decode nothing: latents relax in closed form."""

import numpy as np
import pytest

from ddm2snn.backend import RATE
from ddm2snn.network import to_internal
from ddm2snn.simulate import simulate
from ddm2snn.stimulus import Stimulus

DT, EVERY, DURATION = 0.01, 0.05, 4.0  # in rate time units
INPUT_MAP = np.array([[1.0, 0.0, -2.0], [0.5, 3.0, 0.0]])
LEVELS = np.array([[1.0, 0.0, 0.2], [-0.4, 0.6, 1.0], [0.0, 0.0, 0.0]])
STIMULUS = Stimulus(times=np.array([0.5, 1.25, 2.5]), values=LEVELS)
START = np.array([[0.3, -1.0], [2.0, 0.7]])
# Spiking backends are exact for a piecewise-constant input: what is left is rounding, some eps per step
ROUNDING = 10 * np.finfo(float).eps * DURATION / DT
# One Heun step multiplies by 1 - h + h^2/2 where exp(-h) is due, h^3/6 too much; after n steps
# n h^3/6 exp(-n h) <= h^2/(6 e) of each of the start and the three jumps, which are below 3 here
HEUN = DT**2 / (6.0 * np.e) * 4 * 3.0


@pytest.fixture
def relaxed(any_backend, build, leak_only):
    """Internal latents of a run with a stimulus."""

    def run(stimulus):
        network = build(input_map=INPUT_MAP, **leak_only)
        recording = simulate(
            network,
            backend=any_backend,
            duration=DURATION,
            trials=2,
            seed=51,
            dt_s=DT * getattr(network, "time_unit_s", 1.0),
            stimulus=stimulus,
            initial_latent=network.latent_offset + network.latent_scale * START,
            every=EVERY,
        )
        return to_internal(network, recording.samples)

    return run


def closed_form(times, levels=LEVELS):
    r""":math:`z(t) = z_0 e^{-t} + \sum_i (u_i - u_{i-1}) (1 - e^{-(t - t_i)})_+`, trials first."""
    t = np.arange(round(DURATION / EVERY)) * EVERY
    jumps = np.diff(levels, axis=-2, prepend=0.0) @ INPUT_MAP.T
    risen = -np.expm1(-np.maximum(t[:, None] - times, 0.0)) @ jumps
    return START[:, None] * np.exp(-t)[:, None] + risen


def tolerance(backend):
    """What the scheme of a backend leaves of the closed form."""
    return HEUN if backend == RATE else ROUNDING


def test_latents_relax_in_closed_form(any_backend, relaxed):
    assert np.abs(relaxed(STIMULUS) - closed_form(STIMULUS.times)).max() < tolerance(any_backend)


def test_each_trial_may_have_an_input_of_its_own(any_backend, relaxed):
    levels = np.stack([LEVELS, -0.5 * LEVELS[::-1]])
    found = relaxed(Stimulus(times=STIMULUS.times, values=levels))
    assert np.abs(found - closed_form(STIMULUS.times, levels)).max() < tolerance(any_backend)
    assert np.abs(found - closed_form(STIMULUS.times, levels[::-1])).max() > tolerance(any_backend), "trials mixed up"
    same = Stimulus(times=STIMULUS.times, values=np.stack([LEVELS, LEVELS]))
    assert np.array_equal(relaxed(same), relaxed(STIMULUS))


def test_an_input_one_step_late_is_noticed(any_backend, relaxed):
    assert np.abs(relaxed(STIMULUS) - closed_form(STIMULUS.times + DT)).max() > tolerance(any_backend)


def test_a_switch_between_steps_acts_from_the_next_step_on(any_backend, relaxed):
    early = Stimulus(times=STIMULUS.times - 0.4 * DT, values=LEVELS)
    assert np.abs(relaxed(early) - closed_form(STIMULUS.times)).max() < tolerance(any_backend)


def test_no_stimulus_is_no_input(any_backend, relaxed):
    t = np.arange(round(DURATION / EVERY)) * EVERY
    expected = START[:, None] * np.exp(-t)[:, None]
    assert np.abs(relaxed(None) - expected).max() < tolerance(any_backend)
    assert np.array_equal(relaxed(None), relaxed(Stimulus()))


def test_a_stimulus_of_the_wrong_width_is_refused(any_backend, relaxed):
    with pytest.raises(ValueError, match=r"Stimulus.values has 2 along `input`, but the network takes 3"):
        relaxed(Stimulus(times=np.array([0.0]), values=np.array([[1.0, 1.0]])))
