"""Internal scaling never shows: drift and diffusion transform as the system's units say."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from network_strategies import MODEST, moderate

from ddm2snn import RateNetwork
from ddm2snn.network import to_internal, to_system

RANK, UNITS = 2, 4
SCALES = arrays(np.float64, RANK, elements=st.floats(0.05, 20.0))
OFFSETS = moderate(RANK, bound=50.0)
# offsets up to 50 and scales from 0.05: a state loses up to 50 / 0.05 = 1e3 units in the last place
ROUNDING = 1e3 * 50 * np.finfo(np.float64).eps


@st.composite
def networks(draw):
    return RateNetwork(
        left_vectors=draw(moderate(UNITS, RANK)),
        right_vectors=draw(moderate(UNITS, RANK)),
        bias=draw(moderate(UNITS)),
        diffusion_factor=draw(moderate(RANK, RANK)),
        input_map=np.eye(RANK),
        latent_offset=draw(OFFSETS),
        latent_scale=draw(SCALES),
        initial_latent=np.zeros((1, RANK)),
    )


@MODEST
@given(network=networks(), offset=OFFSETS, scale=SCALES, z=moderate(5, RANK))
def test_drift_is_equivariant_under_the_latent_scaling(network, offset, scale, z):
    # same weights in other units: f'(a + s z) / s = f(a0 + s0 z) / s0 at the same internal z
    other = dataclasses.replace(network, latent_offset=offset, latent_scale=scale)
    here = network.drift(network.latent_offset + network.latent_scale * z) / network.latent_scale
    there = other.drift(offset + scale * z) / scale
    assert np.allclose(there, here, rtol=0, atol=ROUNDING * (1 + np.abs(here).max()) * 100)


@MODEST
@given(network=networks(), offset=OFFSETS, scale=SCALES, z=moderate(5, RANK))
def test_scaling_absorbed_into_the_weights_moves_only_the_leak(network, offset, scale, z):
    # Gamma (s - a) / c + b is the same input in the coordinates (a', c') when Gamma takes the ratio of
    # scales and b the shift of origins; W_s shrinks as the unit that it writes in grows
    ratio = scale / network.latent_scale
    shift = (offset - network.latent_offset) / network.latent_scale
    moved = dataclasses.replace(
        network,
        left_vectors=network.left_vectors * ratio,
        bias=network.bias + network.left_vectors @ shift,
        right_vectors=network.right_vectors / ratio,
        latent_offset=offset,
        latent_scale=scale,
    )
    state = network.latent_offset + network.latent_scale * z
    # the leak pulls to the internal origin, which moved from one offset to the other
    leak = offset - network.latent_offset
    assert np.allclose(moved.drift(state) - network.drift(state), leak, rtol=0, atol=1e-8 * (1 + np.abs(state).max()))


@MODEST
@given(network=networks(), z=moderate(5, RANK))
def test_units_map_back_and_forth(network, z):
    state = to_system(network, z)
    assert np.allclose(to_internal(network, state), z, rtol=0, atol=ROUNDING * 100)
    assert np.allclose(state, network.latent_offset + z * network.latent_scale, rtol=1e-15)


@MODEST
@given(network=networks(), scale=SCALES)
def test_diffusion_scales_with_the_product_of_units(network, scale):
    other = dataclasses.replace(network, latent_scale=network.latent_scale * scale)
    expected = network.diffusion(np.zeros(RANK)) * np.outer(scale, scale)
    assert np.allclose(other.diffusion(np.zeros(RANK)), expected, rtol=1e-12, atol=1e-12)


@MODEST
@given(network=networks(), state=moderate(5, RANK, bound=60.0))
def test_diffusion_is_symmetric_and_nowhere_negative(network, state):
    tensor = network.diffusion(state)
    assert tensor.shape == (5, RANK, RANK)
    assert np.array_equal(tensor, np.swapaxes(tensor, -1, -2))
    assert (np.linalg.eigvalsh(tensor) >= -1e-12 * (1 + np.abs(tensor).max())).all()
