"""The picture of a placement shows what the table says, for few cores and for many."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest

from ddm2snn.hardware import find_hardware
from ddm2snn.hardware.place import place_sizes
from ddm2snn.plots.conversion import draw_placement

LOIHI = find_hardware("loihi1-emulator")
SHOWN = ("compartments", "input_axons", "output_axons", "synapse_bits")


def drawn(placement):
    before = dict(mpl.rcParams)
    figure = draw_placement(placement)
    figure.canvas.draw()
    assert dict(mpl.rcParams) == before
    return figure.axes[0]


def test_each_cell_has_its_share_and_number():
    placement = place_sizes(3000, 2, LOIHI)
    axis = drawn(placement)
    shares = [[placement.share(core, name) for name in SHOWN] for core in placement.cores]
    assert np.allclose(np.asarray(axis.images[0].get_array()), np.array(shares, dtype=float))
    words = [text.get_text() for text in axis.texts]
    for core in placement.cores:
        assert f"{core.synapse_bits:,}  ({core.synapse_bits / 1048576:.1%})" in words
    assert [label.get_text() for label in axis.get_yticklabels()] == [core.name for core in placement.cores]
    assert axis.get_title() == "5 cores on 1 chip(s) of loihi1-emulator"


@pytest.mark.parametrize("allocator", ["greedy", "round-robin"])
def test_chips_are_told_apart(allocator):
    capacity = LOIHI.capacity.model_copy(update={"cores_per_chip": 2, "chips": 3})
    placement = LOIHI.placement.model_copy(update={"block_compartments": 10, "allocator": allocator})
    found = place_sizes(40, 2, LOIHI.model_copy(update={"capacity": capacity, "placement": placement}))
    axis = drawn(found)
    named = [text.get_text() for text in axis.texts if text.get_text().startswith("chip")]
    changes = [found.chip[0], *(b for a, b in zip(found.chip, found.chip[1:], strict=False) if a != b)]
    assert named == [f"chip {chip}" for chip in changes]
    assert len(axis.lines) == len(named) - 1


def test_many_cores_lose_their_names_and_no_limit_its_share():
    axis = drawn(place_sizes(16384, 3, LOIHI))
    assert "cores of decode neurons, then" in axis.get_ylabel()
    assert not any("%" in text.get_text() for text in axis.texts)
    ideal = drawn(place_sizes(50, 2, find_hardware("ideal")))
    assert "50" in [text.get_text() for text in ideal.texts]
    assert not any("%" in text.get_text() for text in ideal.texts)
