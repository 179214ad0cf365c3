"""A run leaves the process as it found it: Brian2's device and preferences, NumPy's generator, Nengo's defaults."""

import numpy as np
import pytest
from ddm2snn_backends.brian2 import Brian2Backend

from ddm2snn.simulate import drive, simulate

# Runs of Brian2's compiled modes are held to the same in test_closed_loop.py and test_standalone_runs.py


class HaltedError(Exception):
    """Raised by a progress callback, as a user's interrupt would be."""


def halt(share):
    """Stop a run in its middle."""
    raise HaltedError


def test_a_closed_loop_leaves_no_trace(any_backend, build, process_state):
    before = process_state()
    simulate(build(diffusion_factor=0.1 * np.eye(2)), backend=any_backend, duration=0.2, trials=2, seed=91)
    assert process_state() == before


def test_an_open_loop_leaves_no_trace(any_backend, build, process_state):
    before = process_state()
    for block in drive(build(), np.zeros((600, 2)), backend=any_backend, seed=91):
        assert np.isfinite(block).all()
        assert process_state() == before  # between two blocks too
    assert process_state() == before


def test_a_run_that_is_cut_short_leaves_no_trace(any_backend, build, process_state):
    before = process_state()
    with pytest.raises(HaltedError):
        simulate(build(), backend=any_backend, duration=0.2, trials=2, seed=91, progress=halt)
    assert process_state() == before


def test_a_refused_run_leaves_no_trace(spiking_backend, make_spiking, process_state):
    before = process_state()
    with pytest.raises(ValueError, match="longer than the refractory period"):
        simulate(make_spiking(), backend=spiking_backend, duration=0.2, trials=2, seed=91, dt_s=3e-3)
    assert process_state() == before


def test_brian2_runs_while_its_user_has_a_standalone_device(make_spiking, process_state):
    import brian2.only as b2
    from brian2.devices import reset_device

    network, backend = make_spiking(), Brian2Backend(mode="numpy")
    expected = simulate(network, backend=backend, duration=0.2, trials=1, seed=91)
    b2.set_device("cpp_standalone", build_on_run=False)
    try:
        before = process_state()
        found = simulate(network, backend=backend, duration=0.2, trials=1, seed=91)
        assert process_state() == before
    finally:
        reset_device()
    assert np.array_equal(found.samples, expected.samples)


def test_the_snapshot_sees_each_kind_of_trace(process_state, monkeypatch):
    import sys
    import warnings

    import brian2.only as b2
    import nengo
    from brian2.devices import reset_device

    before = process_state()
    np.random.seed(1)  # noqa: NPY002 - the global one is the point
    monkeypatch.setattr(sys, "excepthook", print)
    monkeypatch.setattr(warnings, "showwarning", print)
    monkeypatch.setattr(nengo.Ensemble.neuron_type, "default", nengo.RectifiedLinear())
    target = b2.prefs.codegen.target
    b2.prefs.codegen.target = "auto" if target == "numpy" else "numpy"
    b2.set_device("cpp_standalone", build_on_run=False)
    try:
        changed = {name for name, value in process_state().items() if value != before[name]}
    finally:
        reset_device()
        b2.prefs.codegen.target = target
    assert changed == {
        "brian2 device",
        "brian2 codegen target",
        "numpy global generator",
        "exception hook",
        "showwarning",
        "nengo defaults",
    }
