"""Placement: what cores hold, and every limit at it and one past it."""

from __future__ import annotations

import networkx
import numpy as np
import pytest

from ddm2snn.errors import InputError
from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.layout import axon_bits, layout_of
from ddm2snn.hardware.place import place, place_sizes

LOIHI = find_hardware("loihi1-emulator")  # 10 pairs: 40 decode neurons for two latents


def device(pairs: int = 10, block: int | None = None, allocator: str = "greedy", **limits: int):
    return LOIHI.model_copy(
        update={
            "capacity": LOIHI.capacity.model_copy(update=limits),
            "decode_neurons": LOIHI.decode_neurons.model_copy(update={"pairs_per_latent": pairs}),
            "placement": LOIHI.placement.model_copy(update={"block_compartments": block, "allocator": allocator}),
        }
    )


def with_limits(pairs, limits):
    return device(pairs, limits.get("block"), **{name: limit for name, limit in limits.items() if name != "block"})


def test_neurons_beyond_the_axons_of_a_core_go_in_groups():
    one, two = (layout_of(neurons, 2, LOIHI) for neurons in (4092, 4093))  # and two axons for each latent: 4,096
    assert [len(layout.groups) for layout in (one, two)] == [1, 2]
    assert [(g.neurons.start, g.neurons.stop) for g in two.groups] == [(0, 2046), (2046, 4093)]
    assert two.decode_neurons == 2 * one.decode_neurons == 80
    cores = {core.name: core for core in two.cores()}
    assert cores["decode neurons 40 to 79"].input_axons == 2047 + 4
    assert cores["neurons 0 to 1022"].input_axons == 80
    assert cores["neurons 0 to 1022"].output_axons == 1023  # to the decode neurons of its own group alone
    assert cores["decode neurons 0 to 39"].output_axons == 40 * 4  # to every core of neurons


def test_a_group_has_its_own_decode_neurons_and_all_neurons_hear_them():
    graph = place_sizes(100, 2, device(pairs=10, block=50, input_axons_per_core=80)).graph()
    first, second = "neurons 0 to 49", "neurons 50 to 99"
    decode = ["decode neurons 0 to 39", "decode neurons 40 to 79"]
    assert all(graph.has_edge(name, part) for name in decode for part in (first, second))
    assert graph.has_edge(first, decode[0])
    assert graph.has_edge(second, decode[1])
    assert not graph.has_edge(first, decode[1])


def test_the_numbers_of_sixteen_thousand_neurons_fit():
    found = place_sizes(16384, 2, LOIHI)
    assert {core.group for core in found.cores if core.decodes} == set(range(5))  # 4,092 neurons a group at most
    assert all(core.input_axons <= 4096 and core.synapse_bits <= 1048576 for core in found.cores)


def test_too_many_latents_for_any_group():
    with pytest.raises(InputError, match=r"has 8 input axons per core; decode neurons need 9 at least.*most 3 latents"):
        place_sizes(5, 4, device(pairs=1, input_axons_per_core=8))
    # two neurons and six axons of input, and six decode neurons
    assert len(layout_of(2, 3, device(pairs=1, input_axons_per_core=8)).groups) == 1


def test_synapse_memory_of_an_axon_is_that_of_nengo_loihi():
    block = pytest.importorskip("nengo_loihi.block")
    for count in (1, 5, 6, 7, 63, 64, 65, 128, 1024):
        config = block.SynapseConfig(compression=3, n_synapses=63, weight_bits=7)
        assert axon_bits(count, 8) == config.bits_per_axon(count)


def test_dense_and_factored_memory_at_1024_neurons_and_three_latents():
    found = place_sizes(1024, 3, LOIHI)
    assert found.dense_cores == pytest.approx(9.0)  # 1,024 axons of 16 groups of 64 weights in nine words
    # 1,024 and 6 axons to 60 decode neurons in eight words, 60 axons of 16 x 9 words back
    assert found.synapse_cores == pytest.approx((1030 * 8 + 60 * 144) * 64 / 1048576)


PAST = {
    "input axons": (
        {"input_axons_per_core": 104}, (200, 10), (201, 10),
        "104 input axons .* need 120 .*3 group.s. .* have 40 each.*pairs_per_latent <= 8, or at most 200 neurons",
    ),
    "input axons of neurons": ({"input_axons_per_core": 40}, (36, 10), (36, 11), "need 44 .*pairs_per_latent <= 10"),
    "output axons": ({"output_axons_per_core": 400, "block": 10}, (100, 10), (101, 10), "40 decode .* need 440"),
    "cores": (
        {"cores_per_chip": 4, "chips": 1, "block": 10}, (30, 10), (31, 10),
        "has 4 cores; .* need 5. .*most 30 neurons, or a board with 2 chips",
    ),
    "synapse memory": (
        {"synapse_bits_per_core": 2560}, (36, 10), (37, 10),
        "one compartment with 80 axons needs 5120.*pairs_per_latent <= 5",
    ),
    "synapse memory of neurons": (
        {"synapse_bits_per_core": 2560}, (36, 10), (36, 11), "with 44 axons needs 2816.*pairs_per_latent <= 10",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("limits", "fits", "past", "words"), PAST.values(), ids=PAST.keys())
def test_each_limit_holds_at_it_and_refuses_one_past_it(limits, fits, past, words):
    neurons, pairs = fits
    assert place_sizes(neurons, 2, with_limits(pairs, limits)).cores
    neurons, pairs = past
    with pytest.raises(InputError, match=words):
        place_sizes(neurons, 2, with_limits(pairs, limits))


def test_the_smallest_change_that_is_named_would_fit():
    for limits, words in [
        ({"cores_per_chip": 4, "chips": 1, "block": 10}, "at most (.*) neurons"),
        ({"input_axons_per_core": 104}, "at most (.*) neurons"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            place_sizes(250, 2, with_limits(10, limits))
        most = int(str(caught.value).split("at most ")[1].split(" neurons")[0])
        assert place_sizes(most, 2, with_limits(10, limits)).cores


@pytest.mark.parametrize(("neurons", "cores"), [(1024, 1), (1025, 2), (2048, 2), (2049, 3)])
def test_compartments_of_a_core_split_a_population_in_equal_parts(neurons, cores):
    parts = layout_of(neurons, 2, LOIHI).neuron_parts
    assert len(parts) == cores
    sizes = [part.stop - part.start for part in parts]
    assert sum(sizes) == neurons
    assert max(sizes) <= 1024
    assert max(sizes) - min(sizes) < cores


@pytest.mark.parametrize(("most", "parts"), [(40, 1), (39, 2)])
def test_decode_neurons_are_split_as_well(most, parts):
    assert len(layout_of(10, 2, device(compartments_per_core=most)).decode_parts) == parts


@pytest.mark.parametrize(("most", "ends"), [(200, [100, 200]), (199, [67, 134, 200])])
def test_output_axons_of_neurons_make_their_parts_smaller(most, ends):
    # memory for 204 axons of 20 weights: decode neurons on two cores, each neuron is an axon to both
    found = layout_of(200, 2, device(synapse_bits_per_core=204 * 3 * 64, output_axons_per_core=most))
    assert [part.stop for part in found.decode_parts] == [20, 40]
    assert [part.stop for part in found.neuron_parts] == ends


def test_the_graph_counts_axons_and_chips():
    found = place_sizes(40, 2, device(block=10, cores_per_chip=2, chips=3))
    graph = found.graph()
    assert isinstance(graph, networkx.DiGraph)
    assert graph.number_of_nodes() == len(found.cores) == 5
    assert found.chip == (0, 0, 1, 1, 2)
    assert found.chips == 3
    assert graph.edges["decode neurons 0 to 39", "neurons 0 to 9"]["axons"] == 40
    assert found.axons_between_chips == 3 * (40 + 10)  # three of the four parts are on other chips
    turns = place_sizes(40, 2, device(block=10, cores_per_chip=2, chips=3, allocator="round-robin"))
    assert turns.chip == (0, 1, 2, 0, 1)


def test_a_board_without_limits_takes_anything(make_spiking):
    found = place(make_spiking(neurons=50), find_hardware("ideal"))
    assert [core.compartments for core in found.cores] == [40, 50]
    assert found.synapse_cores is None
    assert found.as_json()["cores"][0]["compartments"] == {"used": 40, "share": None}


def test_the_emulator_uses_no_more_than_placed(make_spiking):
    """nengo-loihi counts the same compartments and axons; equal rows of weights it keeps once where it splits."""
    pytest.importorskip("nengo_loihi")
    from ddm2snn_backends.loihi import _quiet
    from ddm2snn_backends.loihi_model import build, repaired

    from ddm2snn.hardware.device import device_of

    network = make_spiking(neurons=30, seed=2)
    found = place(network, LOIHI)
    with repaired() as nengo_loihi, _quiet():
        given = {"trials": 1, "seed": 0, "amplitude": [1.0, 1.0], "signs": [[[1, 1]]], "record_spikes": False}
        given |= {name: np.array(given[name]) for name in ("amplitude", "signs")}
        model, _ = build(network, device_of(network, LOIHI, 1e-3), nengo_loihi, **given)
        store = nengo_loihi.builder.Model(dt=1e-3)
        store.decode_tau = network.time_unit_s
        with nengo_loihi.Simulator(model, dt=1e-3, model=store, target="sim") as simulator:
            used = [block.utilization() for block in simulator.model.blocks]
    ours = {core.name.split()[0]: core for core in found.cores}
    for theirs, core in zip(used, (ours["neurons"], ours["decode"]), strict=True):
        assert theirs["compartments"][0] == core.compartments
        assert theirs["in-axons"][0] == core.input_axons
        assert theirs["out-axons"][0] == core.output_axons
        assert theirs["synapses"][0] == core.synapse_bits
