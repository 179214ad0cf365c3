"""One matrix for every trial in Nengo does what a sparse block-diagonal matrix does, bit for bit."""
# pyright: reportArgumentType=false
# nengo infers types from integer defaults

import nengo
import numpy as np
import pytest
from ddm2snn_backends.nengo.extensions import Repeated
from nengo.exceptions import BuildError
from scipy.sparse import block_diag, coo_matrix


@pytest.mark.parametrize(("rows", "columns", "trials"), [(3, 50, 4), (50, 3, 4), (2, 2, 7), (5, 1, 1)])
def test_values_are_those_of_the_block_diagonal_matrix(rows: int, columns: int, trials: int) -> None:
    rng = np.random.default_rng(7)
    factor = rng.normal(size=(rows, columns))
    values = rng.normal(size=(40, trials * columns)) * (rng.random((40, trials * columns)) < 0.4)
    blocks = block_diag([coo_matrix(factor)] * trials, format="csr")
    with nengo.Network(seed=1) as model:
        source = nengo.Node(lambda t: values[round(t / 1e-3) - 1], size_out=trials * columns)
        probes = []
        for transform in (Repeated(factor, trials), nengo.Sparse(blocks.shape, init=blocks)):
            sink = nengo.Node(size_in=trials * rows)
            nengo.Connection(source, sink, transform=transform, synapse=None)
            probes.append(nengo.Probe(sink))
    with nengo.Simulator(model, progress_bar=False) as simulator:
        simulator.run_steps(len(values), progress_bar=False)
        ours, theirs = (simulator.data[probe] for probe in probes)
    np.testing.assert_array_equal(ours, theirs)
    assert np.count_nonzero(ours) > 40


def test_the_matrix_is_stored_once() -> None:
    factor = np.ones((3, 200))
    with nengo.Network(seed=1) as model:
        source, sink = nengo.Node(size_in=64 * 200), nengo.Node(size_in=64 * 3)
        connection = nengo.Connection(source, sink, transform=Repeated(factor, 64), synapse=None)
    with nengo.Simulator(model, progress_bar=False) as simulator:
        assert simulator.data[connection].weights.shape == (200, 3)


def test_decoded_values_are_refused_in_words() -> None:
    with nengo.Network(seed=1) as model:
        ensemble, sink = nengo.Ensemble(10, 2), nengo.Node(size_in=4)
        nengo.Connection(ensemble, sink, function=lambda x: x, transform=Repeated(np.ones((4, 2)), 1))
    with pytest.raises(BuildError, match="not decoded values"):
        nengo.Simulator(model, progress_bar=False)
