"""The verbs train and simulate refuse what makes no sense, and warn of what does not fit."""

# Lists stand for arrays here, wrong types are given on purpose, and one option is Brian2's own:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ddm2snn_backends.brian2 import Brian2Backend
from ddm2snn_backends.reference import ReferenceBackend

import ddm2snn
from ddm2snn import InputError, Spikes, SpikeSelection, Stimulus, Training, find_backend, simulate
from ddm2snn.backend import gaps
from ddm2snn.errors import UnsupportedError

SHORT = {"duration": 0.2, "trials": 2}
POSITIVE = [0, 0.0, -1.0, np.nan, np.inf, -np.inf, "1", None]


@pytest.fixture(scope="module", params=["rate", "spiking"])
def network(request, quick_rate, quick_spiking):
    """Both kinds of network: they must refuse the same things in the same words."""
    return {"rate": quick_rate, "spiking": quick_spiking}[request.param]


@pytest.mark.parametrize("bad", [0, -1, 2.5, "64"])
def test_units_are_a_count(refuses, bad):
    with refuses(InputError, f"units must be a whole number above zero, got {bad!r}"):
        ddm2snn.train("vanderpol", units=bad)


@pytest.mark.parametrize("bad", [-1, 2.5, 2**63, "0"])
def test_a_seed_is_checked_before_training(refuses, bad):
    with refuses(InputError, "seed must be a whole number", f"got {bad!r}"):
        ddm2snn.train("vanderpol", seed=bad)


@pytest.mark.parametrize("bad", ["tpu", "CPU", "", None])
def test_an_unknown_device_lists_the_known(refuses, bad):
    with refuses(InputError, f"There is no device {bad!r}", "choose cpu or cuda"):
        ddm2snn.train("vanderpol", device=bad)


def test_a_device_that_this_machine_lacks(refuses, quick, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with refuses(InputError, "device cuda was asked for", "no CUDA device"):
        ddm2snn.train("vanderpol", units=2, device="cuda", training=quick)


def test_an_unknown_system_lists_the_known(refuses):
    with refuses(InputError, "There is no system 'lorenzz'", "vanderpol"):
        ddm2snn.train("lorenzz")


@pytest.mark.parametrize("name", ["ridge", "points", "iterations", "holdout"])
@pytest.mark.parametrize("bad", [0, -1, np.nan, "many"])
def test_settings_of_training_are_positive(refuses, name, bad):
    with refuses(InputError, f"Training.{name} must be a ", f"number above zero, got {bad!r}"):
        Training(**{name: bad})


@pytest.mark.parametrize("name", ["points", "iterations", "holdout"])
def test_counts_of_training_are_whole(refuses, name):
    with refuses(InputError, f"Training.{name}", "whole number"):
        Training(**{name: 10.5})


@pytest.mark.parametrize("bad", [bad for bad in POSITIVE if bad is not None])  # None is the stimulus's, or 60
def test_a_duration_is_positive(refuses, network, bad):
    with refuses(InputError, "duration must be a finite number above zero", f"got {bad!r}"):
        simulate(network, **{**SHORT, "duration": bad})


@pytest.mark.parametrize("bad", POSITIVE)
def test_a_sampling_interval_is_positive(refuses, network, bad):
    with refuses(InputError, f"run.every must be a finite number above zero, got {bad!r}"):
        simulate(network, **SHORT, every=bad)


@pytest.mark.parametrize("bad", [0, -1, 2.5, 2.0, "2"])
def test_trials_are_a_count(refuses, network, bad):
    with refuses(InputError, f"trials must be a whole number above zero, got {bad!r}"):
        simulate(network, **{**SHORT, "trials": bad})


@pytest.mark.parametrize("bad", [-1, 1.5, None, 2**63])
def test_a_seed_is_checked_before_a_run(refuses, network, bad):
    with refuses(InputError, "seed must be a whole number", f"got {bad!r}"):
        simulate(network, **SHORT, seed=bad)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (2, 3), (3, 2), (1, 2, 2)])
def test_initial_states_have_a_row_per_trial(refuses, network, shape):
    with refuses(InputError, "initial_latent must have shape (2, 2)", f"got {shape}"):
        simulate(network, **SHORT, initial_latent=np.zeros(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_initial_states_are_finite(refuses, network, bad):
    with refuses(InputError, "initial_latent holds NaN or infinity"):
        simulate(network, **SHORT, initial_latent=np.full((2, 2), bad))


def test_a_stimulus_of_another_width_names_both(refuses, network):
    stimulus = Stimulus(times=[0.0], values=[[1.0, 2.0, 3.0]])
    with refuses(InputError, "Stimulus.values has 3 along `input`, but the network takes 2"):
        simulate(network, **SHORT, stimulus=stimulus)


@pytest.mark.filterwarnings("ignore:The decoders were solved")
@pytest.mark.parametrize("bad", [0.0, -0.001, np.nan, np.inf])
def test_a_step_is_positive(refuses, network, bad):
    with refuses(InputError, f"run.dt_s must be a finite number above zero, got {bad!r}"):
        simulate(network, **SHORT, dt_s=bad)


def test_a_sampling_interval_is_a_whole_number_of_steps(refuses, quick_spiking):
    # 0.0213 rate time units of 0.1 s in steps of 0.5 ms
    assert (quick_spiking.time_unit_s, quick_spiking.dt_s) == (0.1, 0.0005)
    text = (
        "the sampling interval `every` lasts 0.00213 s, which is no whole number of steps of dt_s = 0.0005. "
        "Use dt_s = 0.0005325 or another interval."
    )
    with refuses(InputError, text):
        simulate(quick_spiking, **SHORT, every=0.0213)


def test_a_sampling_interval_below_one_step(refuses, quick_spiking):
    with refuses(InputError, "the sampling interval `every` lasts 1e-05 s", "no whole number of steps"):
        simulate(quick_spiking, **SHORT, every=0.0001)


def test_a_step_and_an_interval_for_the_rate_model_must_agree(refuses, quick_rate):
    with refuses(InputError, "the sampling interval `every`", "no whole number of steps of dt_s = 0.015"):
        simulate(quick_rate, **SHORT, every=0.02, dt_s=0.015)


@pytest.mark.filterwarnings("ignore:The decoders were solved")
def test_a_step_longer_than_the_refractory_period(refuses, quick_spiking):
    with refuses(
        UnsupportedError,
        "Backend reference cannot run this network",
        "dt_s = 0.01: the step is longer than the refractory period of 0.002 s",
        "Use dt_s <= 0.002.",
    ):
        simulate(quick_spiking, **SHORT, dt_s=0.01)


def test_a_backend_that_runs_the_other_kind_says_which_to_use(refuses, quick_rate, quick_spiking):
    with refuses(UnsupportedError, "Backend reference", "RateNetwork: this backend runs a SpikingNetwork", "rate"):
        simulate(quick_rate, **SHORT, backend="reference")
    with refuses(UnsupportedError, "Backend rate", "SpikingNetwork: this backend runs a RateNetwork", "brian2"):
        simulate(quick_spiking, **SHORT, backend="rate")


@pytest.mark.parametrize("name", ["nest", "", "Brian2"])
def test_an_unknown_backend_lists_the_installed(refuses, quick_rate, name):
    names = "brian2, compiled, nengo, nengo-loihi, quantised, rate, reference, torch"
    words = (f"There is no backend {name!r}", "installed are", names)
    with refuses(InputError, *words):
        find_backend(name)
    with refuses(InputError, *words):
        simulate(quick_rate, backend=name)


def test_installed_backends_are_found_by_name():
    assert find_backend("reference").name == "reference"
    assert find_backend("brian2", mode="numpy").mode == "numpy"


@pytest.mark.parametrize("mode", ["gpu", "", "NumPy", None])
def test_an_unknown_mode_of_brian2_lists_the_known(refuses, mode):
    with refuses(InputError, f"Brian2 has no mode {mode!r}", "auto, numpy, cython, cpp_standalone"):
        Brian2Backend(mode)


def test_brian2_declares_a_refractory_period_off_its_grid(spiking_of):
    (gap,) = gaps(Brian2Backend(), spiking_of(), dt_s=0.003)
    assert str(gap) == (
        "refractory_s: spikes fall on the time grid. "
        "refractory_s = 0.004 is not a whole number of steps of dt_s = 0.003. Use dt_s = 0.004."
    )
    assert gaps(Brian2Backend(), spiking_of(), dt_s=0.002) == []


@pytest.mark.parametrize("bad", [0.0, -0.001, np.nan])
def test_brian2_does_not_call_a_bad_step_a_gap_of_its_own(spiking_of, bad):
    assert gaps(Brian2Backend(), spiking_of(), dt_s=bad) == []


@pytest.mark.parametrize("window", [(3.0, 2.0), (-1.0, 2.0), (1.0,), (1.0, 2.0, 3.0)])
def test_a_window_of_spikes_has_two_ends_in_order(refuses, window):
    with refuses(InputError, "SpikeSelection.window must be (first, last) with 0 <= first < last"):
        SpikeSelection(window=window)


@pytest.mark.parametrize("neurons", [[], [-1], [0.5], [[0]], "0"])
def test_selected_neurons_are_a_list_of_neurons(refuses, neurons):
    with refuses(InputError, "SpikeSelection.neurons must be a list of neurons"):
        SpikeSelection(neurons=neurons)


def test_selected_neurons_are_in_the_network(refuses, quick_spiking):
    with refuses(InputError, f"the network has neurons 0 to {quick_spiking.neurons - 1}"):
        simulate(quick_spiking, **SHORT, spikes=SpikeSelection(neurons=[quick_spiking.neurons]))


def test_spikes_out_of_order_are_refused(refuses, quick_spiking):
    class Shuffled(ReferenceBackend):
        def run(self, schedule, progress):
            trace = super().run(schedule, progress)
            table = trace.spikes
            return replace(trace, spikes=Spikes(table.time_s[::-1], table.neuron[::-1], table.trial[::-1]))

    with refuses(InputError, "returned spikes out of order. Make them with Spikes.sorted."):
        simulate(quick_spiking, **SHORT, backend=Shuffled(), spikes=True)


def test_other_spike_timing_is_warned_of(quick_spiking):
    with pytest.warns(UserWarning, match="which times spikes by grid; reference times them by interpolated") as caught:
        recording = simulate(quick_spiking, **SHORT, backend=ReferenceBackend("interpolated"))
    assert recording.trials == 2  # warned of, but run
    assert "convert for reference" in str(caught[0].message)
    assert caught[0].filename == __file__  # the line of the caller


def test_another_step_is_warned_of(quick_spiking):
    with pytest.warns(UserWarning, match=r"solved for dt_s = 0\.0005, not 0\.00025") as caught:
        simulate(quick_spiking, **SHORT, dt_s=0.00025)
    assert "convert with dt_s = 0.00025" in str(caught[0].message)
    assert len(caught) == 1


def test_what_fits_is_not_warned_of(quick_spiking, quick_rate):
    # warnings are errors here
    assert simulate(quick_spiking, **SHORT, dt_s=0.0005, backend="reference").trials == 2
    assert simulate(quick_rate, **SHORT, dt_s=0.005).trials == 2


def test_a_refused_step_is_not_also_warned_of(refuses, quick_spiking):
    with refuses(InputError, "run.dt_s must be"):
        simulate(quick_spiking, **SHORT, dt_s=-1.0)


@pytest.mark.parametrize("verb", ["train", "population"])
def test_counts_may_be_numpy_integers(quick, verb):
    if verb == "train":
        assert ddm2snn.train("vanderpol", units=np.int64(2), training=quick).units == 2
    else:
        assert ddm2snn.Population(neurons_per_unit=np.int64(3)).neurons_per_unit == 3


@pytest.mark.parametrize("verb", ["train", "simulate"])
def test_an_object_of_a_wrong_kind_is_named(refuses, verb):
    with refuses(InputError, "int" if verb == "train" else "str"):
        ddm2snn.train(5) if verb == "train" else simulate("rate.safetensors")


def test_spikes_of_a_rate_network_are_refused(refuses, quick_rate):
    with refuses(InputError, "spikes"):
        simulate(quick_rate, **SHORT, spikes=True)
