"""What the two networks refuse beyond shapes, and what a rate network computes."""

from __future__ import annotations

import numpy as np
import pytest

from ddm2snn import LIF, InputError
from ddm2snn.network import to_internal, to_system


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_a_latent_scale_must_be_positive(rate_of, spiking_of, refuses, bad):
    with refuses(InputError, "RateNetwork.latent_scale must be above zero in every dimension"):
        rate_of(latent_scale=np.array([1.0, bad]))
    with refuses(InputError, "SpikingNetwork.latent_scale must be above zero in every dimension"):
        spiking_of(latent_scale=np.array([1.0, bad]))


def test_a_network_needs_a_state_to_start_from(rate_of, spiking_of, refuses):
    with refuses(InputError, "RateNetwork.initial_latent needs at least one state"):
        rate_of(initial_latent=np.zeros((0, 2)))
    with refuses(InputError, "SpikingNetwork.initial_latent needs at least one state"):
        spiking_of(initial_latent=np.zeros((0, 2)))


def test_an_unknown_activation_lists_the_known(rate_of, refuses):
    with refuses(InputError, "RateNetwork.activation is 'gelu'", "known are tanh, relu, lif"):
        rate_of(activation="gelu")


@pytest.mark.parametrize("name", ["backend", "rate_fingerprint"])
@pytest.mark.parametrize("bad", [float("nan"), 3, None])
def test_names_are_texts(spiking_of, refuses, name, bad):
    with refuses(InputError, f"SpikingNetwork.{name} must be a text, got {bad!r}"):
        spiking_of(**{name: bad})


def test_an_unknown_neuron_model_lists_the_known(spiking_of, refuses):
    with refuses(InputError, "SpikingNetwork.neuron is 'adex'", "known models are lif"):
        spiking_of(neuron="adex")


def test_a_subclass_of_a_known_model_is_unknown(spiking_of, refuses):
    # its equations may differ, and a file could not bring it back
    class Twisted(LIF):
        pass

    with refuses(InputError, "SpikingNetwork.neuron is", "Twisted", "known models are lif"):
        spiking_of(neuron=Twisted())


def test_an_unknown_spike_timing_lists_the_known(spiking_of, refuses):
    with refuses(InputError, "SpikingNetwork.spike_timing is 'exact'", "known are grid, interpolated"):
        spiking_of(spike_timing="exact")


def test_a_device_is_a_configuration(spiking_of, refuses):
    with refuses(InputError, "hardware must be a HardwareConfig or None, got 'ideal'", "find_hardware"):
        spiking_of(hardware="ideal")


@pytest.mark.parametrize("field", ["time_unit_s", "dt_s"])
@pytest.mark.parametrize("bad", [0.0, -1e-3, np.nan, np.inf, "fast", None])
def test_times_must_be_positive_numbers(spiking_of, refuses, field, bad):
    with refuses(InputError, f"SpikingNetwork.{field} must be a finite number above zero", f"got {bad!r}"):
        spiking_of(**{field: bad})


@pytest.mark.parametrize("outside", [-1, 5])
def test_a_neuron_must_belong_to_a_unit(spiking_of, refuses, outside):
    unit = np.repeat(np.arange(5), 4)
    unit[7] = outside
    with refuses(InputError, "SpikingNetwork.unit must lie in 0 to 4"):
        spiking_of(unit=unit)


def test_counts_come_from_the_shapes(rate_of, spiking_of):
    rate, spiking = rate_of(), spiking_of()
    assert (rate.units, rate.rank) == (5, 2)
    assert (spiking.neurons, spiking.rank) == (20, 2)


def test_internal_and_system_units_are_inverse(rate_of):
    rate = rate_of()
    internal = np.random.default_rng(0).standard_normal((7, 2))
    assert np.allclose(to_system(rate, internal), internal * [0.5, 3.0] + [1.5, -40.0], rtol=1e-15)
    assert np.allclose(to_internal(rate, to_system(rate, internal)), internal, rtol=0, atol=1e-14)


def test_drift_is_the_sum_over_units(rate_of):
    rate = rate_of()
    z = np.array([0.3, -1.1])
    expected = -z
    for i in range(5):
        expected = expected + rate.right_vectors[i] * np.tanh(rate.left_vectors[i] @ z + rate.bias[i])
    state = rate.latent_offset + rate.latent_scale * z
    assert np.allclose(rate.drift(state), rate.latent_scale * expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (4, 3, 2)])
def test_drift_and_diffusion_act_on_any_leading_axes(rate_of, shape):
    rate = rate_of()
    states = np.random.default_rng(1).standard_normal(shape)
    drift, diffusion = rate.drift(states), rate.diffusion(states)
    assert drift.shape == shape
    assert diffusion.shape == (*shape, 2)
    assert np.allclose(drift.reshape(-1, 2)[-1], rate.drift(states.reshape(-1, 2)[-1]), rtol=1e-12)


def test_diffusion_is_the_tensor_in_system_units(rate_of):
    rate = rate_of()
    factor = np.diag([0.5, 3.0]) @ rate.diffusion_factor
    assert np.allclose(rate.diffusion(np.zeros(2)), factor @ factor.T, rtol=1e-14)


def test_a_diffusion_tensor_may_be_written_to(rate_of):
    # each call hands out its own array: what a caller does to one point must not leak to the others
    rate = rate_of()
    first = rate.diffusion(np.zeros((3, 2)))
    first[0] = 0.0
    assert first[1].any()
    assert rate.diffusion(np.zeros((3, 2)))[0].any()
