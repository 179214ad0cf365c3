"""Noise whose factor is decoded from spikes: increments given the spikes, step by step, and statistics of a loop."""

import dataclasses

import numpy as np
import pytest

from ddm2snn.errors import InputError, UnsupportedError
from ddm2snn.network import to_internal
from ddm2snn.simulate import simulate

NEURONS, TRIALS, DURATION = 12, 32, 4.0
# Some thirty scores with fixed seeds; the chance that one of them passes five by luck is 2e-5
SIGMAS = 5.0


@pytest.fixture
def loop(make_spiking):
    """A loop of twelve neurons whose spikes move the factor by a third each, behind a filter of two steps."""
    rng = np.random.default_rng(4)
    return make_spiking(
        neurons=NEURONS,
        seed=8,
        bias=np.linspace(1.5, 4.0, NEURONS),
        diffusion_factor=np.array([[0.5, 0.1], [0.0, 0.4]]),
        diffusion_decoders=8e-4 * rng.standard_normal((2, 2, NEURONS)),
        diffusion_filter_s=2e-3,
    )


@pytest.fixture
def recorded(loop):
    """A run of a backend, sampled in every step, with its spikes."""

    def run(backend):
        step = loop.dt_s / loop.time_unit_s
        return simulate(loop, backend=backend, duration=DURATION, trials=TRIALS, seed=6, every=step, spikes=True)

    return run


def whitened(network, recording, late=0):
    r"""Noise of each step in units of its own factor, :math:`(G_n\sigma)^{-1} (z_{n+1} - a z_n - (1 - a) D s_n)`.

    The factor of a step comes from the spikes before it; `late` counts steps by which it is taken too late.
    """
    z, spikes = to_internal(network, recording.samples), recording.spikes
    steps, dt_s = z.shape[1] - 1, network.dt_s
    fired = np.zeros((steps + 1, TRIALS, NEURONS))
    fired[np.rint(spikes.time_s / dt_s).astype(int) - 1, spikes.trial, spikes.neuron] = 1.0
    keep, short = np.exp(-dt_s / network.time_unit_s), np.exp(-dt_s / network.diffusion_filter_s)
    factor = network.internal_factor(z[:, 0]) - network.diffusion_factor
    noise = np.empty((steps, TRIALS, 2))
    factors = []
    for step in range(steps):
        factors.append(network.diffusion_factor + factor)
        factor = short * factor + (1 - short) / dt_s * np.einsum("rcj,tj->trc", network.diffusion_decoders, fired[step])
        rest = z[:, step + 1] - keep * z[:, step] - (1 - keep) / dt_s * fired[step] @ network.decoders.T
        noise[step] = rest / np.sqrt((1 - keep**2) / 2)
    return np.linalg.solve(np.array(factors[late:]), noise[: steps - late, ..., None])[..., 0].reshape(-1, 2)


def score(white):
    """Deviation of the second moments from those of independent standard normal numbers, in standard errors."""
    moments = white.T @ white / len(white)
    return np.abs((moments - np.eye(2)) * np.sqrt(len(white) / (1.0 + np.eye(2)))).max()


def test_the_factor_of_a_step_is_what_spikes_before_it_decode(spiking_backend, loop, recorded):
    recording = recorded(spiking_backend)
    assert score(whitened(loop, recording)) < SIGMAS
    # the controls: a factor that is one step late, and one that does not depend on the spikes
    assert score(whitened(loop, recording, late=1)) > SIGMAS
    still = {"diffusion_factor": loop.internal_factor(np.zeros(2)), "diffusion_decoders": np.zeros((2, 2, NEURONS))}
    constant = dataclasses.replace(loop, **still)
    assert score(whitened(constant, recording)) > SIGMAS


def per_trial(recording, network):
    """Per trial: mean and variance of each latent, products of its increments, and the number of spikes."""
    z = to_internal(network, recording.samples)
    steps = np.diff(z, axis=1)
    products = (steps[:, :, :, None] * steps[:, :, None]).mean(axis=1).reshape(len(z), -1)
    count = np.bincount(recording.spikes.trial, minlength=recording.trials)
    return np.column_stack([z.mean(axis=1), z.var(axis=1), products[:, [0, 1, 3]], count])


def test_a_loop_has_the_statistics_of_the_reference(simulator, loop, oracle_of):
    slow = dataclasses.replace(loop, diffusion_filter_s=2e-2)

    def statistics(backend, network, seed):
        start = np.tile(network.latent_offset, (64, 1))
        run = simulate(
            network, backend=backend, duration=5.0, trials=64, seed=seed, initial_latent=start, every=0.1, spikes=True
        )
        return per_trial(run, network)

    def apart(a, b):
        error = np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))
        return np.abs((a.mean(axis=0) - b.mean(axis=0)) / error).max()

    reference = statistics(oracle_of(simulator), slow, 42)
    assert apart(statistics(simulator, slow, 41), reference) < SIGMAS
    # the control: decoders half as large again
    louder = dataclasses.replace(slow, diffusion_decoders=1.5 * slow.diffusion_decoders)
    assert apart(statistics(simulator, louder, 41), reference) > SIGMAS


def test_decoders_of_zero_are_the_constant_factor(spiking_backend, loop):
    constant = dataclasses.replace(loop, diffusion_decoders=None, diffusion_filter_s=None)
    zero = dataclasses.replace(loop, diffusion_decoders=np.zeros((2, 2, NEURONS)))
    runs = [simulate(n, backend=spiking_backend, duration=1.0, trials=2, seed=3).samples for n in (constant, zero)]
    assert np.allclose(*runs, rtol=1e-9, atol=1e-12)
    assert not np.allclose(
        runs[0], simulate(loop, backend=spiking_backend, duration=1.0, trials=2, seed=3).samples, atol=1e-3
    )


def test_the_same_seed_gives_the_same_run(spiking_backend, loop):
    one, other = (simulate(loop, backend=spiking_backend, duration=1.0, trials=2, seed=3).samples for _ in range(2))
    assert np.array_equal(one, other)


def test_a_step_longer_than_the_filter_is_refused(spiking_backend, loop):
    fast = dataclasses.replace(loop, diffusion_filter_s=5e-4)
    with pytest.raises(UnsupportedError, match=r"longer than the filter of the diffusion factor, 0\.0005 s\. Use dt_s"):
        simulate(fast, backend=spiking_backend, duration=1.0, trials=1, seed=0)


def test_the_driven_neurons_do_not_hear_the_factor(spiking_backend, loop, filtered):
    path = np.tile(loop.initial_latent[:1], (50, 1))
    constant = dataclasses.replace(loop, diffusion_decoders=None, diffusion_filter_s=None)
    assert np.array_equal(filtered(spiking_backend, loop, path), filtered(spiking_backend, constant, path))


@pytest.mark.parametrize("given", ["diffusion_decoders", "diffusion_filter_s"])
def test_decoders_and_filter_come_together(loop, given):
    other = ({"diffusion_decoders", "diffusion_filter_s"} - {given}).pop()
    with pytest.raises(InputError, match=f"together, or neither, but {other} is None"):
        dataclasses.replace(loop, **{other: None})
