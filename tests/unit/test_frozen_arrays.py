"""Arrays in frozen dataclasses: read-only copies, checked where users enter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ddm2snn import InputError, RateNetwork, Spikes, SpikingNetwork, Stimulus
from ddm2snn.base.arrays import array_fields

ARRAYS = {
    RateNetwork: 11,
    SpikingNetwork: 15,
    Stimulus: 3,
    Spikes: 3,
}


@pytest.mark.parametrize("cls", ARRAYS, ids=lambda cls: cls.__name__)
def test_every_array_annotation_is_recognised(cls):
    # a field that is not recognised would be neither frozen nor checked nor saved as an array
    annotated = {f.name for f in dataclasses.fields(cls) if "np.ndarray" in str(f.type)}
    assert set(array_fields(cls)) == annotated
    assert len(annotated) == ARRAYS[cls]


def test_array_annotations_give_types_and_axes():
    fields = array_fields(SpikingNetwork)
    assert fields["encoders"] == (np.float64, ("neuron", "rank"))
    assert fields["bias"] == (np.float64, ("neuron",))
    assert fields["unit"] == (np.int64, ("neuron",))


@pytest.mark.parametrize("name", array_fields(SpikingNetwork))
def test_every_array_of_a_network_is_read_only(spiking_of, name):
    by_state = {"diffusion_decoders": np.ones((2, 2, 20)), "diffusion_filter_s": 0.01}
    outputs = {"output_decoders": np.ones((1, 20)), "output_map": np.ones((1, 2)), "output_bias": np.ones(1)}
    array = getattr(spiking_of(**by_state, **outputs, noise_colour=np.ones((2, 4))), name)
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 0


def test_fields_cannot_be_assigned(rate_of):
    with pytest.raises(dataclasses.FrozenInstanceError, match="bias"):
        rate_of().bias = np.zeros(5)


def test_the_callers_array_is_copied_and_stays_writable(rate_of):
    bias = np.zeros(5)
    network = rate_of(bias=bias)
    bias[0] = 7.0
    assert bias.flags.writeable
    assert network.bias.tolist() == [0.0] * 5


def test_a_view_is_copied_too(rate_of):
    table = np.zeros((5, 2))
    network = rate_of(bias=table[:, 0])
    table[:] = 7.0
    assert not network.bias.any()


def test_lists_and_other_dtypes_become_float64(rate_of):
    network = rate_of(bias=[0, 1, 2, 3, 4], latent_scale=np.array([1, 2], dtype=np.float32))
    assert network.bias.dtype == np.float64
    assert network.latent_scale.dtype == np.float64
    assert network.bias.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_an_axis_that_disagrees_names_both_sides(spiking_of, refuses):
    with refuses(InputError, "SpikingNetwork.bias has 19 along `neuron`, but encoders has 20"):
        spiking_of(bias=np.zeros(19))


@pytest.mark.parametrize(
    ("field", "shape", "text"),
    [
        ("decoders", (3, 20), "SpikingNetwork.decoders has 3 along `rank`, but encoders has 2"),
        ("decoders", (2, 21), "SpikingNetwork.decoders has 21 along `neuron`, but encoders has 20"),
        ("unit", (4,), "SpikingNetwork.unit has 4 along `neuron`, but encoders has 20"),
        ("input_map", (1, 3), "SpikingNetwork.input_map has 1 along `rank`, but encoders has 2"),
        ("initial_latent", (4, 1), "SpikingNetwork.initial_latent has 1 along `rank`, but encoders has 2"),
    ],
)
def test_every_named_axis_is_compared(spiking_of, refuses, field, shape, text):
    with refuses(InputError, text):
        spiking_of(**{field: np.zeros(shape)})


def test_a_square_field_must_be_square(rate_of, refuses):
    with refuses(InputError, "RateNetwork.diffusion_factor has 3 along `rank`, but left_vectors has 2"):
        rate_of(diffusion_factor=np.zeros((2, 3)))


@pytest.mark.parametrize(("bad", "count"), [([np.nan] * 5, 5), ([0, np.inf, 0, -np.inf, 0], 2)])
def test_nan_and_infinity_are_counted(rate_of, refuses, bad, count):
    with refuses(InputError, f"RateNetwork.bias holds {count} value(s)", "NaN or infinite", "must be finite"):
        rate_of(bias=bad)


@pytest.mark.parametrize("shape", [(), (5, 1), (5, 2, 1)])
def test_a_wrong_number_of_axes_names_the_axes(rate_of, refuses, shape):
    with refuses(InputError, "RateNetwork.bias must have 1 axes (unit)", f"got shape {shape}"):
        rate_of(bias=np.zeros(shape))


@pytest.mark.parametrize("bad", ["abc", [[1.0], [1.0, 2.0]], {"a": 1}, object()])
def test_what_is_no_array_of_numbers_is_named(rate_of, refuses, bad):
    with refuses(InputError, "RateNetwork.bias must be an array of numbers", f"got {type(bad).__name__}"):
        rate_of(bias=bad)


def test_whole_numbers_may_come_as_floats(spiking_of):
    unit = np.repeat(np.arange(5.0), 4)
    assert spiking_of(unit=unit).unit.dtype == np.int64


def test_fractions_in_an_integer_array_are_refused(spiking_of, refuses):
    unit = np.repeat(np.arange(5.0), 4)
    unit[3] = 0.5
    with refuses(InputError, "SpikingNetwork.unit must hold whole numbers", "got fractions"):
        spiking_of(unit=unit)


def test_nan_in_an_integer_array_is_refused_without_a_warning(spiking_of, refuses):
    with refuses(InputError, "SpikingNetwork.unit"):
        spiking_of(unit=np.full(20, np.nan))


def test_integers_beyond_64_bits_are_refused(spiking_of, refuses):
    with refuses(InputError, "SpikingNetwork.unit"):
        spiking_of(unit=[2**70] * 20)


@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_complex_numbers_are_refused(rate_of, refuses):
    with refuses(InputError, "RateNetwork.bias"):
        rate_of(bias=np.full(5, 1.0 + 1.0j))
