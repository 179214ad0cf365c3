"""Recordings: their axes, their times, and what they refuse to hold."""

# Lists stand for arrays here, and wrong types are given on purpose:
# pyright: reportArgumentType=false

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr

from ddm2snn import InputError, Recording, Spikes


def test_dims_and_coordinates(recording_of):
    latent = recording_of().latent
    assert latent.dims == ("trial", "time", "rank")
    assert latent.name == "latent"
    assert np.array_equal(latent["time"].values, np.arange(6) * 0.1)
    assert np.allclose(latent["time_s"].values, np.arange(6) * 0.1 * 0.2, rtol=1e-15)
    assert latent["time_s"].dims == ("time",)


def test_counts(recording_of):
    recording = recording_of()
    assert (recording.trials, recording.rank) == (2, 2)
    assert recording.samples.shape == (2, 6, 2)


@pytest.mark.parametrize("every", [0.02, 1.0 / 3.0, 1e-9, 50.0])
def test_every_is_what_was_given(recording_of, every):
    assert recording_of(every=every).every == pytest.approx(every, rel=1e-14)


def test_every_of_one_sample_is_zero():
    assert Recording.from_arrays(np.zeros((1, 1, 1)), every=0.1, time_unit_s=1.0).every == 0.0


def test_every_survives_a_cut(recording_of):
    recording = recording_of()
    late = dataclasses.replace(recording, latent=recording.latent.isel(time=slice(2, None)))
    assert late.every == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize("spikes", [False, True])
def test_samples_are_read_only(recording_of, spikes):
    recording = recording_of(spikes=spikes)
    with pytest.raises(ValueError, match="read-only"):
        recording.samples[0, 0, 0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        recording.latent[0, 0, 0] = 1.0


def test_the_callers_array_stays_writable():
    latent = np.zeros((1, 3, 2))
    recording = Recording.from_arrays(latent, every=0.1, time_unit_s=1.0)
    assert latent.flags.writeable
    latent[:] = 7.0
    assert not recording.samples.any()


def test_a_view_of_the_callers_array_is_copied():
    base = np.zeros((4, 3, 2))
    recording = Recording.from_arrays(base[:1], every=0.1, time_unit_s=1.0)
    base[:] = 7.0
    assert not recording.samples.any()


@pytest.mark.parametrize("shape", [(3,), (3, 2), (1, 3, 2, 1)])
def test_latents_need_three_axes(refuses, shape):
    with refuses(InputError, "Recording.latent must have 3 axes (trial, time, rank)", f"got shape {shape}"):
        Recording.from_arrays(np.zeros(shape), every=0.1, time_unit_s=1.0)


@pytest.mark.parametrize("shape", [(0, 3, 2), (1, 0, 2), (1, 3, 0)])
def test_latents_must_not_be_empty(refuses, shape):
    with refuses(InputError, f"Recording.latent is empty: shape {shape}"):
        Recording.from_arrays(np.zeros(shape), every=0.1, time_unit_s=1.0)


@pytest.mark.parametrize("bad", [0.0, -0.1, np.nan, np.inf, "0.1", None])
@pytest.mark.parametrize("name", ["every", "time_unit_s"])
def test_intervals_must_be_positive(refuses, name, bad):
    with refuses(InputError, f"Recording.{name} must be a finite number above zero, got {bad!r}"):
        Recording.from_arrays(np.zeros((1, 2, 1)), **{"every": 0.1, "time_unit_s": 1.0, name: bad})


def test_latents_must_be_numbers(refuses):
    with refuses(InputError, "Recording.latent", "numbers"):
        Recording.from_arrays("abc", every=0.1, time_unit_s=1.0)


def test_a_bare_array_is_no_latent(refuses):
    with refuses(InputError, "Recording.latent", "from_arrays"):
        Recording(np.zeros((1, 2, 1)))


def test_dims_in_another_order_are_refused(refuses, recording_of):
    with refuses(InputError, "Recording.latent must have dims ('trial', 'time', 'rank')", "('time', 'trial', 'rank')"):
        Recording(recording_of().latent.transpose("time", "trial", "rank"))


@pytest.mark.parametrize("name", ["time", "time_s"])
def test_a_missing_coordinate_is_refused(refuses, recording_of, name):
    with refuses(InputError, "Recording.latent needs the coordinates `time` and `time_s` along `time`"):
        Recording(recording_of().latent.drop_vars(name))


def test_other_coordinates_are_allowed(recording_of):
    latent = recording_of().latent.assign_coords(rank=["x", "y"])
    assert Recording(latent).latent["rank"].values.tolist() == ["x", "y"]


def test_spikes_are_sorted_by_trial_then_time_then_neuron():
    table = Spikes.sorted(np.array([0.3, 0.1, 0.1, 0.2, 0.1]), np.array([4, 9, 2, 5, 0]), np.array([0, 1, 1, 0, 0]))
    assert table.trial.tolist() == [0, 0, 0, 1, 1]
    assert table.time_s.tolist() == [0.1, 0.2, 0.3, 0.1, 0.1]
    assert table.neuron.tolist() == [0, 5, 4, 2, 9]


def test_columns_of_spikes_must_agree(refuses):
    with refuses(InputError, "Spikes.neuron has 2 along `spike`, but time_s has 3"):
        Spikes(time_s=np.zeros(3), neuron=np.zeros(2, dtype=int), trial=np.zeros(3, dtype=int))


def test_spikes_of_half_a_neuron_are_refused(refuses):
    with refuses(InputError, "Spikes.neuron must hold whole numbers"):
        Spikes(time_s=[0.1], neuron=[0.5], trial=[0])


def test_a_latent_frame_of_xarray_can_be_worked_with(recording_of):
    # what a user does first: means and cuts must not run into the read-only array
    latent = recording_of().latent
    assert isinstance(latent.mean("trial") * 2, xr.DataArray)
    copy = latent.copy()
    copy[0, 0, 0] = 1.0
    assert float(copy[0, 0, 0]) == 1.0


@pytest.mark.parametrize("bad", [float("nan"), np.zeros(2), object()], ids=["nan", "array", "object"])
def test_provenance_that_is_no_json_is_refused_when_saved(refuses, recording_of, tmp_path, bad):
    with refuses(InputError, "provenance"):
        recording_of(provenance={"odd": bad}).save(tmp_path / "run.nc")
