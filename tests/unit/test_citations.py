"""Citations: each thing has the sources of what it used, and every key is an entry of the file."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import ddm2snn
from ddm2snn import AdaptiveLIF, InputError, LoihiLIF, Recording, RectifiedLinear, citations, find_hardware
from ddm2snn.exchange.citations import _BACKENDS, _SYSTEMS, _TRAINING, references
from ddm2snn.fidelity.measures import ReferenceSamples, measures_of
from ddm2snn.systems import BUILT_IN


def keys(thing):
    return re.findall(r"^@\w+\{(\w+),", citations(thing), re.MULTILINE)


def test_every_key_is_an_entry_and_every_entry_has_author_title_and_year():
    used = {*_TRAINING, *_SYSTEMS.values()}
    neurons = (model.sources for model in (AdaptiveLIF, LoihiLIF, RectifiedLinear))
    phase = 0.2 * np.arange(1000)
    circle = np.stack([np.sin(phase), np.cos(phase)], axis=-1)
    noisy = circle + 0.1 * np.random.default_rng(0).standard_normal((16, 1000, 2))
    measures = (e.sources for m in measures_of(ReferenceSamples.of([noisy], every=0.1)) for e in m.entries)
    used |= {key for some in (*_BACKENDS.values(), *neurons, *measures) for key in some}
    used |= {"hunsberger2016", "eliasmith2003", "frantar2023", "davies2018", "orchard2021", "gilpin2021"}
    assert used == references().keys()
    for entry in references().values():
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) = ", entry, re.MULTILINE))


def test_names_of_the_tables_are_names_of_the_package():
    assert set(_SYSTEMS) <= set(BUILT_IN)


def test_a_rate_network_cites_its_training_and_system(make_rate):
    trained = make_rate(provenance={"system": "lorenz"})
    assert keys(trained) == [*_TRAINING, "lorenz1963"]
    assert keys(make_rate(provenance={"imported": {"form": "factors"}})) == []


def test_a_spiking_network_cites_decoders_neurons_simulator_and_device(make_spiking):
    network = make_spiking(provenance={"decoders": {"kind": "calibrated"}}, backend="nengo")
    assert keys(network) == ["eliasmith2003", "bekolay2014"]
    assert keys(dataclasses.replace(network, neuron=AdaptiveLIF())) == ["eliasmith2003", "bellec2018", "bekolay2014"]
    on_chip = dataclasses.replace(network, backend="quantised", hardware=find_hardware("loihi2-like"))
    assert keys(on_chip) == ["eliasmith2003", "frantar2023", "davies2018", "orchard2021"]


def test_a_recording_cites_its_simulator_and_a_report_its_measures(make_spiking):
    made = Recording.from_arrays(np.zeros((2, 9, 1)), every=0.1, time_unit_s=0.1, provenance={"backend": "brian2"})
    assert keys(made) == ["stimberg2019"]
    rng = np.random.default_rng(1)
    report = ddm2snn.compare(*(rng.standard_normal((6, 100, 1)) for _ in range(2)), every=0.1, label="again")
    assert "bonneel2015" in keys(report)
    assert len(keys(report)) == len(set(keys(report)))


def test_anything_else_is_refused():
    with pytest.raises(InputError, match="Of a conversion give its network"):
        citations(3)  # pyright: ignore[reportArgumentType]
