"""Any object survives a file; equal fingerprints and equal content are the same thing."""

# `load` returns one of several types, and the test knows which:
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from network_strategies import ANYTHING, MODEST, rate_networks, recordings, spiking_networks

import ddm2snn
from ddm2snn import Recording
from ddm2snn.base.arrays import array_fields, arrays_of
from ddm2snn.base.stored import settings_of


def content(thing):
    """Everything but provenance as bytes and plain values: an account of content without any hash."""
    if isinstance(thing, Recording):
        columns = {"latent": thing.samples, "time": thing.latent["time"].values, "s": thing.latent["time_s"].values}
        if thing.spikes is not None:
            columns |= {name: getattr(thing.spikes, name) for name in array_fields(type(thing.spikes))}
        plain = {}
    else:
        columns = arrays_of(thing)
        plain = {name: value for name, value in settings_of(thing).items() if name != "provenance"}
    table = {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in columns.items()}
    return type(thing).__name__, table, repr(sorted(plain.items()))


@MODEST
@given(thing=ANYTHING)
def test_any_object_survives_a_file(folder, thing):
    thing.save(folder / "thing")
    loaded = ddm2snn.load(folder / "thing")
    assert content(loaded) == content(thing)
    assert loaded.fingerprint == thing.fingerprint
    if hasattr(thing, "provenance"):
        assert dict(loaded.provenance) == dict(thing.provenance)


@MODEST
@given(thing=ANYTHING)
def test_what_was_loaded_is_saved_in_the_same_bytes(folder, thing):
    thing.save(folder / "first")
    ddm2snn.load(folder / "first").save(folder / "second")
    assert (folder / "first").read_bytes() == (folder / "second").read_bytes()


@MODEST
@given(first=ANYTHING, second=ANYTHING)
def test_fingerprints_are_equal_exactly_where_content_is(first, second):
    assert (first.fingerprint == second.fingerprint) == (content(first) == content(second))


@MODEST
@given(thing=rate_networks() | spiking_networks() | recordings())
def test_a_copy_with_other_provenance_has_the_same_fingerprint(thing):
    copy = dataclasses.replace(thing, provenance={"copied": True})
    assert copy is not thing
    assert copy.fingerprint == thing.fingerprint


@MODEST
@given(network=rate_networks() | spiking_networks(), data=st.data())
def test_any_single_bit_of_any_array_moves_the_fingerprint(network, data):
    filled = {name for name, array in arrays_of(network).items() if array.size}
    name = data.draw(st.sampled_from(sorted(filled - {"unit", "latent_scale"})))
    array = arrays_of(network)[name].copy()
    index, bit = data.draw(st.integers(0, array.size - 1)), data.draw(st.integers(0, 51))  # of the mantissa: finite
    array.reshape(-1).view(np.uint64)[index] ^= np.uint64(1) << np.uint64(bit)
    owner, _, part = name.rpartition(".")
    value = dataclasses.replace(getattr(network, owner), **{part: array}) if owner else array
    changed = dataclasses.replace(network, **{owner or name: value})
    assert changed.fingerprint != network.fingerprint
