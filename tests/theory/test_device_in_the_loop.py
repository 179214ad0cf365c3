"""Decoders calibrated in the loop of a device make up for its decode neurons, delay, filter and rounding."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import ddm2snn
from ddm2snn.backend import find_backend
from ddm2snn.errors import InputError
from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.device import device_for
from ddm2snn.network import to_internal

# the device's filter made long, so that a short run tells who knows of it
SLOW = find_hardware("loihi1-emulator")
SLOW = SLOW.model_copy(update={"decode_neurons": SLOW.decode_neurons.model_copy(update={"filter_s": 0.02})})
SHORT = ddm2snn.Calibrated(duration=2000.0)
UNIT_S = 0.2


@pytest.fixture(scope="module")
def networks(rate_network):
    """The same neurons, with decoders that know the device and with decoders that do not."""
    given = {"decoders": dataclasses.replace(SHORT, rise_s=0.0), "time_unit_s": UNIT_S, "seed": 1}
    not_in_it = ddm2snn.convert(rate_network, backend="reference", **given)
    return {
        "in the loop": ddm2snn.convert(rate_network, hardware=SLOW, **given),
        "not": dataclasses.replace(not_in_it, network=dataclasses.replace(not_in_it.network, noise_colour=None)),
    }


def period(run):
    """Period of the centre of the spectrum's peak, mean over trials, in samples."""
    x = run.samples[:, 200:, 0] - run.samples[:, 200:, 0].mean()
    power = (np.abs(np.fft.rfft(x * np.hanning(x.shape[1]), axis=1)) ** 2).mean(axis=0)
    top = int(power[1:].argmax()) + 1
    near = np.arange(max(1, top - 4), top + 5)
    return x.shape[1] / float((near * power[near]).sum() / power[near].sum())


def test_in_the_loop_the_period_is_that_of_the_rate_network(rate_network, networks):
    backend = find_backend("quantised", hardware=SLOW)
    runs = {
        name: ddm2snn.simulate(c.network, backend=backend, duration=44, trials=16, seed=1)
        for name, c in networks.items()
    }
    expected, again = (period(ddm2snn.simulate(rate_network, duration=44, trials=16, seed=s)) for s in (1, 2))
    # the filter's 20 ms and two steps are a tenth of a time unit; a van der Pol cycle takes some 6.7
    error = {name: abs(period(run) / expected - 1.0) for name, run in runs.items()}
    assert abs(again / expected - 1.0) < 0.02  # what the noise of 16 trials leaves of a period
    assert error["in the loop"] < 0.04
    assert error["not"] > 0.04


def test_the_conversion_says_what_it_was_solved_for(networks):
    network = networks["in the loop"].network
    assert network.backend == "nengo-loihi"
    assert network.hardware == SLOW
    error = {name: max(each.diagnostics.drift_error) for name, each in networks.items()}
    assert error["in the loop"] < 1.5 * error["not"]  # which is that of the same neurons without a device
    run = ddm2snn.simulate(network, backend="quantised", duration=0.5, trials=1)
    assert run.provenance["options"]["hardware"] == SLOW.as_json()  # without being told


def test_the_leak_is_the_device_s_own(rate_network):
    z = to_internal(rate_network, rate_network.initial_latent)
    device = device_for(SLOW, z, 0.5, 1e-3)
    # 1 - exp(-1/500) of 4,095 is 8.2: eight of 4,096 are lost
    assert device.decay == 1 - 8 / 4096
    assert device.decay != pytest.approx(np.exp(-1e-3 / 0.5), abs=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"decoders": ddm2snn.Static()}, "Static decoders are solved on curves, which know nothing of a device"),
        ({"decoders": ddm2snn.Calibrated(rounds=1)}, "Only calibrated decoders without rounds"),
        ({"backend": "brian2"}, "Backend brian2 does not run loihi1-emulator. Leave backend out"),
        ({"time_unit_s": 0.004}, "is no shorter than the time unit of 0.004 s"),
        ({"hardware": "loihi9"}, "no hardware configuration 'loihi9'"),
    ],
)
def test_what_makes_no_sense_with_a_device_is_refused(rate_network, given, words):
    with pytest.raises(InputError, match=words):
        ddm2snn.convert(rate_network, **{"hardware": "loihi1-emulator", **given})


def test_a_device_with_a_step_of_its_own_refuses_others(rate_network):
    with pytest.raises(InputError, match=r"computes in steps of 0\.002 s, not 0\.001"):
        ddm2snn.convert(rate_network, hardware=SLOW.model_copy(update={"step_s": 2e-3}))
