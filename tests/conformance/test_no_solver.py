"""Nengo is given its decoders: no solver of its own is ever called."""

import nengo
import numpy as np
import pytest
from ddm2snn_backends.nengo import NengoBackend
from nengo.solvers import Solver

from ddm2snn.simulate import drive, simulate


class SolverCalledError(Exception):
    """A solver was called."""


@pytest.fixture
def no_solver(monkeypatch):
    """Make every solver of Nengo raise."""

    def refuse(*args, **kwargs):
        raise SolverCalledError

    kinds = [Solver]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        if "__call__" in vars(kind):
            monkeypatch.setattr(kind, "__call__", refuse)
    assert len(kinds) > 5


@pytest.mark.usefixtures("no_solver")
def test_sixty_four_trials_run_without_a_solver(make_spiking):
    network = make_spiking(diffusion_factor=0.1 * np.eye(2))
    recording = simulate(network, backend=NengoBackend(), duration=0.1, trials=64, seed=0)
    assert recording.samples.shape == (64, 5, 2)


@pytest.mark.usefixtures("no_solver")
def test_open_loop_runs_without_a_solver(make_spiking):
    blocks = drive(make_spiking(), np.zeros((5, 2)), backend=NengoBackend())
    assert len(list(blocks)) == 1


@pytest.mark.usefixtures("no_solver")
def test_a_decoded_probe_is_noticed():
    with nengo.Network(seed=0) as model:
        nengo.Probe(nengo.Ensemble(5, 1))
    with pytest.raises(SolverCalledError):
        nengo.Simulator(model, progress_bar=False)
