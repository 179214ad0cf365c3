"""Brian2 without a C++ compiler: Cython falls back with a warning, standalone is refused."""

import shutil

import numpy as np
import pytest
from ddm2snn_backends.brian2 import Brian2Backend

from ddm2snn.simulate import drive, simulate

RUN = {"duration": 0.2, "trials": 1, "seed": 81}


@pytest.fixture
def no_compiler(monkeypatch):
    """Hide every program from `shutil.which`."""
    monkeypatch.setattr(shutil, "which", lambda name, **options: None)


@pytest.mark.usefixtures("no_compiler")
def test_cython_falls_back_to_numpy_with_a_warning(make_spiking):
    network = make_spiking(diffusion_factor=0.1 * np.eye(2))
    with pytest.warns(UserWarning, match=r"No C\+\+ compiler was found: Brian2 runs in NumPy mode"):
        fallen = simulate(network, backend=Brian2Backend(mode="cython"), **RUN)
    plain = simulate(network, backend=Brian2Backend(mode="numpy"), **RUN)
    assert fallen.provenance["options"] == {"mode": "numpy"}
    assert np.array_equal(fallen.samples, plain.samples)


@pytest.mark.usefixtures("no_compiler")
def test_open_loop_in_cython_falls_back_with_a_warning(make_spiking):
    with pytest.warns(UserWarning, match=r"No C\+\+ compiler was found"):
        blocks = drive(make_spiking(), np.zeros((5, 2)), backend=Brian2Backend(mode="cython"))
    assert sum(map(len, blocks)) == 5


@pytest.mark.usefixtures("no_compiler")
def test_standalone_is_refused(make_spiking):
    with pytest.raises(ValueError, match=r"needs a C\+\+ compiler; none was found. Use mode=numpy"):
        simulate(make_spiking(), backend=Brian2Backend(mode="cpp_standalone"), **RUN)


@pytest.mark.usefixtures("no_compiler")
def test_auto_and_numpy_need_no_compiler_and_do_not_warn(make_spiking):
    for mode in ("auto", "numpy"):
        assert simulate(make_spiking(), backend=Brian2Backend(mode=mode), **RUN).provenance["options"] == {
            "mode": "numpy"
        }


def test_auto_takes_numpy_for_what_numpy_finishes_before_a_compiler_would(make_spiking):
    assert simulate(make_spiking(), backend=Brian2Backend(), **RUN).provenance["options"] == {"mode": "numpy"}
