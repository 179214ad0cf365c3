"""Limits of cores and registers: each at it and one past it, with the words; a board's own among them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ddm2snn.errors import InputError
from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.device import decay_gaps, device_for
from ddm2snn.hardware.layout import Core, layout_of
from ddm2snn.hardware.place import PER_CORE, check_core, device_gaps, place
from ddm2snn.hardware.registers import Block, registers_of
from ddm2snn.neuron import LIF

LOIHI = find_hardware("loihi1-emulator")
FULL = Core("neurons 0 to 9", 1024, 4096, 4096, 1048576, 31, 7)  # every limit of a core of Loihi 1


def unsupported(network, dt_s=1e-3):
    return [str(gap) for gap in device_gaps(network, LOIHI, dt_s)]


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ("compartments", "has 1024 compartments per core; neurons 0 to 9 need 1025. Spread them over 2 cores"),
        ("input_axons", "has 4096 input axons per core; neurons 0 to 9 need 4097."),
        ("output_axons", "has 4096 output axons per core; neurons 0 to 9 need 4097."),
        ("synapse_bits", "has 1048576 synapse bits per core; neurons 0 to 9 need 1048577."),
        ("compartment_configs", "has 31 compartment configs per core; neurons 0 to 9 need 32."),
        ("thresholds", "has 7 thresholds per core; neurons 0 to 9 need 8. Spread them over 2 cores, or use a device"),
    ],
)
def test_a_full_core_is_taken_and_one_with_more_refused(resource, words):
    check_core(FULL, LOIHI)
    with pytest.raises(InputError) as caught:
        check_core(dataclasses.replace(FULL, **{resource: getattr(FULL, resource) + 1}), LOIHI)
    assert words in str(caught.value)
    assert f"with capacity.{PER_CORE[resource]} >= {getattr(FULL, resource) + 1}." in str(caught.value)


def test_a_device_without_limits_takes_any_core():
    check_core(dataclasses.replace(FULL, thresholds=10**6, compartments=10**6), find_hardware("ideal"))


def test_the_check_is_part_of_placing(make_spiking, monkeypatch):
    """A layout whose cores held more kinds of thresholds than a board has would be refused there, not built."""
    network, plain = make_spiking(), type(layout_of(8, 2, LOIHI)).cores
    assert place(network, LOIHI).cores
    more = lambda layout: [dataclasses.replace(core, thresholds=8) for core in plain(layout)]  # noqa: E731
    monkeypatch.setattr("ddm2snn.hardware.layout.Layout.cores", more)
    with pytest.raises(InputError, match="has 7 thresholds per core; decode neurons 0 to 39 need 8"):
        place(network, LOIHI)
    assert "has 7 thresholds per core" in unsupported(network)[0]


def test_kinds_of_compartments_are_those_that_nengo_loihi_counts(make_spiking):
    """The allocator of its board counts as many configurations and thresholds on each core as ours."""
    pytest.importorskip("nengo_loihi")
    from ddm2snn_backends.loihi import _quiet
    from ddm2snn_backends.loihi_model import build, repaired

    from ddm2snn.hardware.device import device_of

    network = make_spiking(neurons=50, seed=6)
    config = LOIHI.model_copy(update={"placement": LOIHI.placement.model_copy(update={"block_compartments": 20})})
    with repaired() as nengo_loihi, _quiet():
        signs = np.ones((1, 3, 2), dtype=np.int8)
        given = {"trials": 1, "seed": 0, "amplitude": np.ones(2), "signs": signs, "record_spikes": False}
        model, _ = build(network, device_of(network, config, 1e-3), nengo_loihi, **given)
        store = nengo_loihi.builder.Model(dt=1e-3)
        store.decode_tau = network.time_unit_s
        with nengo_loihi.Simulator(model, dt=1e-3, model=store, target="sim") as simulator:
            board = nengo_loihi.hardware.allocators.Greedy()(simulator.model, 1)
    theirs = [(len(core.compartment_cfgs), len(core.vth_cfgs)) for core in board.chips[0].cores]
    ours = [(core.compartment_configs, core.thresholds) for core in place(network, config).cores]
    assert sorted(theirs) == sorted(ours) == [(1, 1)] * 4


@pytest.mark.parametrize(("steps", "words"), [(62, []), (63, ["register counts 62 steps of 0.001 s, 0.063 s are 63"])])
def test_refractory_periods(steps, words, make_spiking):
    found = unsupported(make_spiking(neuron=LIF(refractory_s=1e-3 * steps)))
    assert len(found) == len(words)
    assert all(
        word in text and text.endswith("Use refractory_s <= 0.062.") for word, text in zip(words, found, strict=True)
    )


# 1 - exp(-dt/tau) of 2^-12, one register unit of what is lost in a step
LONGEST_S = -1e-3 / np.log(1 - 2.0**-12)


@pytest.mark.parametrize("name", ["time_unit_s", "tau_membrane_s"])
def test_the_slowest_decay_is_one_register_unit(name, make_spiking):
    def network(tau_s):
        slow = {"time_unit_s": tau_s} if name == "time_unit_s" else {"neuron": LIF(tau_membrane_s=tau_s)}
        return make_spiking(**slow)

    assert decay_gaps(name, LONGEST_S, LOIHI, 1e-3) == []
    assert not any(text.startswith(name) for text in unsupported(network(LONGEST_S)))
    (found,) = unsupported(network(LONGEST_S * 1.001))
    assert found.startswith(f"{name}: 4.0996 s lose 0.999 of 2^12 in a step of 0.001 s")
    assert f"Use {name} <= 4.09549998, or a longer dt_s." in found
    assert not unsupported(network(LONGEST_S * 1.001), dt_s=2e-3)  # the remedy helps
    if name == "time_unit_s":
        with pytest.raises(InputError, match="a register of 12 bits holds no less than one"):
            device_for(LOIHI, np.ones((3, 2)), LONGEST_S * 1.001, 1e-3)


def block(**changed):
    """Ten neurons with equal weights; at the lowest exponent where thresholds are large."""
    weights = (np.ones((5, 10), dtype=np.float32),)
    given = {
        "name": "neurons 0 to 9", "synapses": weights, "bias": np.ones(10, dtype=np.float32), "threshold": 1.0,
        "current_loss": 1.0, "voltage_loss": 0.05, "refractory_steps": 2, "leaky": True,
    }  # fmt: skip
    return Block(**{**given, **changed})


def lowest_scale():
    """Register units of voltage for one unit, at the lowest exponent: the one that a large threshold asks for."""
    return registers_of(block(threshold=1.6e3), LOIHI.precision).per_voltage


def test_thresholds_reach_the_end_of_their_register():
    most = (2**17 - 1) * 2**6
    scale = lowest_scale()
    full = registers_of(block(threshold=(most + 0.4) / scale), LOIHI.precision)
    assert full.threshold == most
    assert full.exponents == (-6,)
    with pytest.raises(InputError) as caught:
        registers_of(block(threshold=(most + 0.6) / scale), LOIHI.precision)
    assert f"the threshold needs {most + 1} of {most} register units" in str(caught.value)
    assert "Use weights that are 1 times as large" in str(caught.value)


def test_biases_reach_the_end_of_their_register():
    most, scale = 4095 * 2**7, lowest_scale()
    per_bias = registers_of(block(threshold=1.6e3), LOIHI.precision).per_current
    for size, fits in ((most + 0.4, True), (most + 0.6, False)):
        given = block(bias=np.full(10, size / per_bias, dtype=np.float32))
        exact = float(given.bias[0]) * per_bias  # 24 bits of mantissa tell 524,160 from 524,161
        assert (round(exact) > most) is not fits
        if fits:
            assert registers_of(given, LOIHI.precision).bias.max() == most
            assert registers_of(given, LOIHI.precision).per_voltage == pytest.approx(scale)
        else:
            with pytest.raises(InputError, match=f"largest bias {most + 1} of {most}"):
                registers_of(given, LOIHI.precision)


def test_the_factor_that_is_named_would_fit():
    given = block(threshold=3e4)
    with pytest.raises(InputError) as caught:
        registers_of(given, LOIHI.precision)
    factor = float(str(caught.value).split("weights that are ")[1].split(" times")[0])
    assert factor > 1.5
    larger = dataclasses.replace(given, synapses=(given.synapses[0] * np.float32(1.001 * factor),))
    assert registers_of(larger, LOIHI.precision).exponents == (-6,)


def test_weights_that_differ_by_more_than_exponents_do_are_refused():
    """Exponents go from 0 to -6: a second kind of synapses may be 2^-6 of the first, and no less."""
    first = np.ones((5, 10), dtype=np.float32)

    def given(ratio):
        return block(synapses=(first, np.float32(ratio) * first))

    assert registers_of(given(2.0**-6), LOIHI.precision).exponents == (0, -6)
    with pytest.raises(InputError, match="need exponent -7, and the lowest is -6: they would come out 2 times too la"):
        registers_of(given(2.0**-7), LOIHI.precision)


@pytest.mark.parametrize("bits", [3, 8])
def test_the_largest_weight_fills_its_bits_and_no_weight_more(bits):
    precision = LOIHI.precision.model_copy(update={"weight_bits": bits})
    found = registers_of(block(synapses=(np.linspace(-1, 1, 50, dtype=np.float32).reshape(5, 10),)), precision)
    whole = found.weights[0] / (np.abs(found.weights[0]).max() / (2 ** (bits - 1) - 1))
    assert np.abs(whole).max() == pytest.approx(2 ** (bits - 1) - 1)
    assert found.weights[0].min() == -found.weights[0].max()
