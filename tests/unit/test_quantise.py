"""Quantising: what a device makes of a network, and what it says about it."""

from __future__ import annotations

import numpy as np
import pytest

from ddm2snn.base.least_squares import NormalEquations
from ddm2snn.conversion.decoders.calibrated import Regression, solve_decoders
from ddm2snn.errors import InputError
from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.device import device_of
from ddm2snn.hardware.quantise import grid_of, in_groups, quantise, rounded_decoders
from ddm2snn.neuron import AdaptiveLIF, LoihiLIF

LOIHI = find_hardware("loihi1-emulator")


def bits(count):
    return LOIHI.model_copy(update={"precision": LOIHI.precision.model_copy(update={"weight_bits": count})})


def test_the_network_that_goes_in_stays_as_it_is(make_spiking):
    network = make_spiking(neurons=20)
    before = network.fingerprint
    found = quantise(network, LOIHI).network
    assert network.fingerprint == before
    assert found.fingerprint != before
    assert found.provenance["quantised"] == {"hardware": "loihi1-emulator", "rounding": "deterministic"}


@pytest.mark.parametrize("count", [4, 6, 8])
def test_errors_are_within_half_of_the_last_bit(count, make_spiking):
    network = make_spiking(neurons=20, seed=3, time_unit_s=0.05)
    found = quantise(network, bits(count))
    for name in ("encoders", "decoders"):
        weights = getattr(found.diagnostics, name)
        left = weights.bits_left
        assert left == count - weights.bits_lost
        before, after = getattr(network, name), getattr(found.network, name)
        # 2^(bits - 1) - 1 steps from zero to the largest weight, of which the last may be cut off: half a step, a whole
        # one at the end. Radii of latents differ by less than two, and one of them sets the scale of both
        step = np.abs(before).max() / (2 ** (left - 1) - 1)
        assert np.abs(after - before).max() <= 2.0 * step
    assert np.abs(found.network.bias / network.bias - 1.0).max() < 2e-3  # 12 bits, and the threshold's 17


def test_fewer_bits_are_further_away(make_spiking):
    network = make_spiking(neurons=40, seed=4)
    weights = [quantise(network, bits(count)).diagnostics.decoders for count in (3, 5, 8)]
    errors = [each.relative_error for each in weights if each is not None]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0


def test_time_constants_have_the_rounded_decays(make_spiking):
    found = quantise(make_spiking(time_unit_s=0.1), LOIHI).network
    assert isinstance(found.neuron, LoihiLIF)
    # 1 - exp(-1/20) of 4,095 is 199.7, and 200 of 4,096 are lost; 1 - exp(-1/100) is 40.7, and 41 of 4,096
    assert found.neuron.tau_membrane_s == pytest.approx(-1e-3 / np.log(1 - 200 / 4096))
    assert found.time_unit_s == pytest.approx(-1e-3 / np.log(1 - 41 / 4096))


def test_stochastic_rounding_is_right_on_average(make_spiking):
    network = make_spiking(neurons=12, seed=5, time_unit_s=0.05)
    drawn = [
        quantise(network, bits(5), rounding="stochastic", rng=np.random.default_rng(seed)).network.decoders
        for seed in range(200)
    ]
    spread, mean = np.std(drawn, axis=0), np.mean(drawn, axis=0)
    inside = np.abs(network.decoders) < 0.9 * np.abs(network.decoders).max()  # what is clipped has a bias
    # a mean of 200 is within five standard errors, and the lossy shift rounds to the nearest what is left of a weight
    assert (np.abs(mean - network.decoders)[inside] <= 5 * spread[inside] / np.sqrt(200) + 1e-9).all()
    nearest = quantise(network, bits(5)).network.decoders
    assert (np.abs(nearest - network.decoders)[inside] > 5 * spread[inside] / np.sqrt(200) + 1e-9).any()
    with pytest.raises(InputError, match="no rng was given"):
        quantise(network, LOIHI, rounding="stochastic")


def test_without_bits_nothing_changes(make_spiking):
    network = make_spiking()
    quantised = quantise(network, find_hardware("ideal"))
    assert quantised.network is network
    assert quantised.diagnostics.as_json() == {"hardware": "ideal", "rounding": None}


def test_what_cannot_be_quantised_is_refused(make_spiking):
    with pytest.raises(InputError, match="holds LIF neurons and constant diffusion, got adaptive-lif"):
        quantise(make_spiking(neuron=AdaptiveLIF()), LOIHI)
    some = LOIHI.model_copy(update={"precision": type(LOIHI.precision)(weight_bits=8)})
    with pytest.raises(InputError, match=r"needs every number of \[precision\]; weight_exponent_lowest, input_bits"):
        quantise(make_spiking(), some)


def test_a_device_in_groups_takes_the_ridge_whose_decoders_it_holds():
    """Nearly dependent neurons make large decoders of opposite signs, whose rounding is worse than a larger ridge."""
    rng = np.random.default_rng(0)
    common = rng.standard_normal((4000, 3))
    mixing = rng.standard_normal((3, 40))
    rates = common @ mixing + 1e-3 * rng.standard_normal((4000, 40))
    target = common + 300.0 * (rates[:, :3] - common @ mixing[:, :3])
    training, held_out = (NormalEquations.empty(40, 3) for _ in range(2))
    training.add(rates[:3000], target[:3000])
    held_out.add(rates[3000:], target[3000:])

    def held(decoders: np.ndarray) -> np.ndarray:
        step = np.abs(decoders).max() / 127
        return np.round(decoders / step) * step

    free, bound = solve_decoders(training, held_out, None), solve_decoders(training, held_out, None, held=held)
    assert bound.ridge > free.ridge

    def error(regression: Regression) -> float:
        return float(held_out.error(held(regression.decoders).T).sum())

    assert error(bound) < 0.5 * error(free)


def test_decoders_are_rounded_where_a_device_takes_groups(quick_spiking):
    device = device_of(quick_spiking, LOIHI, 1e-3)
    assert not in_groups(quick_spiking.neurons, 2, device)
    assert in_groups(8000, 2, device)
    decoders = np.random.default_rng(1).standard_normal((2, 8000))
    rounded = rounded_decoders(decoders, device)
    step, most = grid_of(decoders, device)
    assert np.abs(rounded - decoders).max() <= 0.5001 * step.max()
    np.testing.assert_allclose(rounded / step[:, None], np.round(rounded / step[:, None]), atol=1e-9)
    assert np.abs(rounded / step[:, None]).max() <= most
