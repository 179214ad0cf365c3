"""What a session prints of networks, recordings and devices: figures in a few lines, no arrays."""

from __future__ import annotations

import numpy as np
import pytest

from ddm2snn import LowRank, Stimulus, find_hardware
from ddm2snn.hardware.device import device_of, machine_of
from ddm2snn.hardware.place import place
from ddm2snn.hardware.quantise import quantise

LOIHI = find_hardware("loihi1-emulator")
LINES = 6


@pytest.fixture
def things(rate_of, spiking_of, recording_of, make_spiking):
    network = make_spiking(neurons=40)
    device = device_of(network, LOIHI, network.dt_s)
    return {
        "rate": rate_of(), "spiking": spiking_of(hardware=LOIHI), "recording": recording_of(spikes=True),
        "spikes": recording_of(spikes=True).spikes, "stimulus": Stimulus(np.arange(100.0), np.ones((100, 3))),
        "matrix": LowRank(np.ones((100, 2)), np.ones((100, 2))), "configuration": LOIHI, "device": device,
        "machine": machine_of(network, device), "registers": machine_of(network, device).population[0],
        "placement": place(network, LOIHI), "quantisation": quantise(network, LOIHI),
    }  # fmt: skip


def test_reprs_are_short_and_hold_no_arrays(things):
    for name, thing in things.items():
        text = repr(thing)
        assert len(text.splitlines()) <= LINES, name
        assert "array" not in text, name


def test_tables_for_notebooks_hold_what_matters(things, spiking_of):
    shown = {name: things[name]._repr_html_() for name in ("rate", "spiking", "recording")}
    assert all(things[name].fingerprint in text for name, text in shown.items())
    assert "<th>units</th><td>5</td>" in shown["rate"]
    assert "<th>hardware</th><td>loihi1-emulator</td>" in shown["spiking"]
    assert "<th>spikes</th><td>7</td>" in shown["recording"]
    assert "<script>" not in spiking_of(provenance={"system": "<script>"})._repr_html_()
