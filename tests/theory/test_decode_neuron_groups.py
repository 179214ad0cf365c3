"""Neurons in groups with decode neurons of their own hold the same latents as in one group."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn.backend import find_backend
from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.device import device_of
from ddm2snn.hardware.quantise import quantise

LOIHI = find_hardware("loihi1-emulator")
IN_TWO = LOIHI.model_copy(update={"capacity": LOIHI.capacity.model_copy(update={"input_axons_per_core": 160})})
UNIT_S = 0.2


@pytest.fixture(scope="module")
def converted(rate_network):
    """256 neurons calibrated in the loop of a device that has them in two groups."""
    return ddm2snn.convert(
        rate_network, decoders=ddm2snn.Calibrated(duration=400.0), time_unit_s=UNIT_S, seed=1, hardware=IN_TWO
    ).network


def runs(network, config, seed=1):
    return ddm2snn.simulate(
        network, backend=find_backend("quantised", hardware=config), duration=44, trials=16, seed=seed
    )


def measured(run):
    """Standard deviation of the latents, and period by the centre of the spectrum's peak, in samples."""
    x = run.samples[:, 200:, 0] - run.samples[:, 200:, 0].mean()
    power = (np.abs(np.fft.rfft(x * np.hanning(x.shape[1]), axis=1)) ** 2).mean(axis=0)
    top = int(power[1:].argmax()) + 1
    near = np.arange(max(1, top - 4), top + 5)
    period = x.shape[1] / float((near * power[near]).sum() / power[near].sum())
    return np.append(run.samples[:, 200:].std(axis=(0, 1)), period)


def test_radii_add_up_to_the_latents_and_no_group_saturates(converted):
    whole, two = (device_of(converted, config, converted.dt_s).decode_neurons for config in (LOIHI, IN_TWO))
    assert (whole.groups, two.groups) == (1, 2)
    assert two.neurons == 2 * whole.neurons
    assert (two.total_radius >= whole.total_radius * (1 - 1e-12)).all()
    assert (two.total_radius < 2 * whole.total_radius).all()  # groups share the latents, they do not hold them twice
    assert np.allclose(
        np.bincount(two.latent[two.of_group(0)], two.share[two.of_group(0)]),
        [20 * s for s in two.radius[0] / two.total_radius],
    )


def test_a_network_in_two_groups_does_what_it_does_in_one(rate_network, converted):
    one, two = (measured(runs(converted, config)) for config in (LOIHI, IN_TWO))
    again = measured(runs(converted, LOIHI, seed=2))
    chance = np.abs(again / one - 1.0).max()
    # 16 trials of some six cycles tell standard deviation and period to a per cent or two
    assert chance < 0.03
    assert np.abs(two / one - 1.0).max() < 0.05


def test_a_group_that_is_not_heard_is_missed(converted):
    """What the test above would say of a device that loses the second group's latents."""
    silent = converted.decoders.copy()
    silent[:, 128:] = 0.0
    one = measured(runs(converted, LOIHI))
    lost = measured(runs(dataclasses.replace(converted, decoders=silent), IN_TWO))
    assert np.abs(lost / one - 1.0).max() > 0.3


def test_in_the_loop_a_grouped_network_has_the_period_of_the_rate_network(rate_network, converted):
    expected = measured(ddm2snn.simulate(rate_network, duration=44, trials=16, seed=1))
    assert np.abs(measured(runs(converted, IN_TWO)) / expected - 1.0).max() < 0.05


def test_rounding_in_groups_stays_within_the_last_bit(converted):
    found = quantise(converted, IN_TWO)
    for name, kind in (("encoders", 4), ("decoders", 2)):
        # largest weights of two groups differ by less than four: 127 steps from zero to each, one of them lost at most
        step = kind * np.abs(getattr(converted, name)).max() / 127
        assert np.abs(getattr(found.network, name) - getattr(converted, name)).max() < step
    assert found.diagnostics.encoders is not None
    assert len(found.diagnostics.encoders.exponents) == 2 * 2  # of each part for each group of decode neurons
