"""Rounding of decoders to a device's grid, with errors made up for by the decoders that are rounded later."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.device import device_of
from ddm2snn.hardware.quantise import compensated, grid_of, quantise

LOIHI = find_hardware("loihi1-emulator")
RIDGE = 1e-6


def bits(count):
    return LOIHI.model_copy(update={"precision": LOIHI.precision.model_copy(update={"weight_bits": count})})


@pytest.fixture
def regression(make_spiking):
    """A network of 60 neurons, and the Gram matrix of rates that only five directions have in common."""
    rng = np.random.default_rng(3)
    rates_hz = 50.0 + 10.0 * rng.standard_normal((2000, 5)) @ rng.standard_normal((5, 60))
    return make_spiking(neurons=60, seed=9, time_unit_s=0.05), rates_hz.T @ rates_hz, rates_hz


@pytest.mark.parametrize("count", [4, 8])
def test_the_device_s_rounding_leaves_them_as_they_are(count, regression):
    network, gram, _ = regression
    device = device_of(network, bits(count), network.dt_s)
    decoders = compensated(network.decoders, gram, RIDGE, device)
    step, most = grid_of(network.decoders, device)
    scaled = decoders / step[:, None]
    off = np.abs(scaled - np.round(scaled)) > 1e-6
    assert off.sum() <= 1  # the largest, which sets the grid
    found = quantise(dataclasses.replace(network, decoders=decoders), bits(count)).network.decoders
    # the largest is clipped by half a step; 32 bits of mantissa and of a register's gain are all else
    assert np.abs(found - decoders)[~off].max() < 1e-3 * step.max()
    assert np.abs(scaled).max() <= most + 1.0  # 255 of eight bits over 2^shift, before it is clipped


def test_what_is_decoded_changes_less_than_by_rounding_each_alone(regression):
    network, gram, rates_hz = regression
    device = device_of(network, bits(6), network.dt_s)
    wanted = rates_hz @ network.decoders.T
    errors = {}
    for name, decoders in (
        ("alone", network.decoders),
        ("made up for", compensated(network.decoders, gram, RIDGE, device)),
    ):
        found = quantise(dataclasses.replace(network, decoders=decoders), bits(6)).network.decoders
        errors[name] = np.sqrt(((rates_hz @ found.T - wanted) ** 2).mean())
    # six directions, the mean's included: errors of all but the last six of 60 neurons are made up for, sqrt(10) less
    # on average; half of that, since six errors scatter
    assert errors["made up for"] < 2.0 * errors["alone"] / np.sqrt(10)


def test_without_bits_nothing_is_rounded(regression):
    network, gram, _ = regression
    ideal = find_hardware("ideal")
    assert compensated(network.decoders, gram, RIDGE, device_of(network, ideal, network.dt_s)) is network.decoders
