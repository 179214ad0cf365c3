"""Strategies for random objects of every type that a file can hold."""

# Lists stand for arrays here, and wrong types are given on purpose:
# pyright: reportArgumentType=false

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ddm2snn import (
    LIF,
    AdaptiveLIF,
    LoihiLIF,
    NeuronModel,
    RateNetwork,
    Recording,
    RectifiedLinear,
    Spikes,
    SpikingNetwork,
    Stimulus,
    find_hardware,
)
from ddm2snn.hardware import hardware_names

# no deadline: the first example imports, and the machine is shared; no database: every run is new
MODEST = settings(deadline=None, max_examples=30, database=None, print_blob=True)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=1e-12, max_value=1e12)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FINITE | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PROVENANCE = st.dictionaries(TEXT, JSON, max_size=3)
NEURONS = st.one_of(
    st.builds(LIF, POSITIVE, POSITIVE),
    st.builds(RectifiedLinear, POSITIVE),
    st.builds(AdaptiveLIF, POSITIVE, POSITIVE, POSITIVE, POSITIVE),
    st.builds(LoihiLIF, POSITIVE, POSITIVE, st.integers(1, 30)),
)
HARDWARE = st.none() | st.sampled_from([find_hardware(name) for name in hardware_names()])


def neurons_of(count: int) -> st.SearchStrategy[NeuronModel]:
    """Any neuron model, and LIF neurons with time constants of their own."""
    return NEURONS | st.builds(LIF, arrays(np.float64, count, elements=POSITIVE), POSITIVE)


def floats(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Arrays of any finite numbers, subnormal ones and negative zeros among them."""
    return arrays(np.float64, shape, elements=FINITE)


def moderate(*shape: int, bound: float = 3.0) -> st.SearchStrategy[np.ndarray]:
    """Arrays of numbers that can be computed with."""
    return arrays(np.float64, shape, elements=st.floats(-bound, bound, allow_subnormal=False))


@st.composite
def coordinates(draw: st.DrawFn, rank: int) -> dict[str, np.ndarray]:
    """The fields that both networks share."""
    return {
        "diffusion_factor": draw(floats(rank, rank)),
        "input_map": draw(floats(rank, draw(st.integers(0, 3)))),
        "latent_offset": draw(floats(rank)),
        "latent_scale": draw(arrays(np.float64, rank, elements=POSITIVE)),
        "initial_latent": draw(floats(draw(st.integers(1, 3)), rank)),
    }


@st.composite
def rate_networks(draw: st.DrawFn) -> RateNetwork:
    """Rate networks of any shape, with any finite content."""
    rank, units = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    return RateNetwork(
        left_vectors=draw(floats(units, rank)),
        right_vectors=draw(floats(units, rank)),
        bias=draw(floats(units)),
        diffusion_readout=draw(st.none() | floats(units, rank, rank)),
        provenance=draw(PROVENANCE),
        **draw(coordinates(rank)),
    )


@st.composite
def spiking_networks(draw: st.DrawFn) -> SpikingNetwork:
    """Spiking networks of any shape, with any finite content."""
    rank, units, neurons = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    by_state = draw(st.booleans())
    return SpikingNetwork(
        encoders=draw(floats(neurons, rank)),
        bias=draw(floats(neurons)),
        decoders=draw(floats(rank, neurons)),
        unit=draw(arrays(np.int64, neurons, elements=st.integers(0, units - 1))),
        rate_left_vectors=draw(floats(units, rank)),
        neuron=draw(neurons_of(neurons)),
        time_unit_s=draw(POSITIVE),
        dt_s=draw(POSITIVE),
        spike_timing=draw(st.sampled_from(["grid", "interpolated"])),
        backend=draw(TEXT),
        rate_fingerprint=draw(TEXT),
        diffusion_decoders=draw(floats(rank, rank, neurons)) if by_state else None,
        diffusion_filter_s=draw(POSITIVE) if by_state else None,
        provenance=draw(PROVENANCE),
        hardware=draw(HARDWARE),
        **draw(coordinates(rank)),
    )


@st.composite
def stimuli(draw: st.DrawFn, inputs: int | None = None) -> Stimulus:
    """Stimuli of zero to five switches."""
    times = sorted(draw(st.lists(st.floats(-50.0, 50.0, allow_subnormal=False), max_size=5, unique=True)))
    width = draw(st.integers(0, 3)) if inputs is None else inputs
    return Stimulus(times=np.array(times), values=draw(floats(len(times), width)))


@st.composite
def spike_tables(draw: st.DrawFn, trials: int) -> Spikes:
    """Spikes in canonical order, none among them."""
    count = draw(st.integers(0, 6))
    return Spikes.sorted(
        draw(arrays(np.float64, count, elements=st.floats(0.0, 1e3))),
        draw(arrays(np.int64, count, elements=st.integers(0, 2**40))),
        draw(arrays(np.int64, count, elements=st.integers(0, trials - 1))),
    )


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Recordings of any shape, with spikes or without; latents may be NaN, as those of a lost trial."""
    trials, samples, rank = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    return Recording.from_arrays(
        draw(arrays(np.float64, (trials, samples, rank), elements=FINITE | st.just(np.nan))),
        every=draw(st.floats(1e-3, 1e3)),
        time_unit_s=draw(st.floats(1e-3, 1e3)),
        spikes=draw(st.none() | spike_tables(trials)),
        provenance=draw(PROVENANCE),
    )


ANYTHING = st.one_of(rate_networks(), spiking_networks(), stimuli(), recordings())
