"""Memory of a run grows with N k, never with N^2: the recurrent matrix is not formed."""

import tracemalloc

import numpy as np
import pytest

from ddm2snn.simulate import drive, simulate

NEURONS = 20_000
# Encoders, decoders, bias, voltage, wait and currents are some 2 k + 8 = 12 numbers of 8 bytes for each
# neuron at rank 2; six copies of them are generous. N x N would be 160,000 bytes for each neuron.
BYTES_PER_NEURON = 6 * 12 * 8


@pytest.fixture
def peak_bytes():
    """Largest amount of memory in use by Python and NumPy during a call."""

    def measure(call):
        call()  # imports and caches, once
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


def test_a_closed_loop_stays_linear_in_the_number_of_neurons(spiking_backend, make_spiking, peak_bytes):
    network = make_spiking(neurons=NEURONS)
    settings = {"duration": 0.05, "trials": 1, "every": 0.01, "spikes": True}
    peak = peak_bytes(lambda: simulate(network, backend=spiking_backend, **settings))
    assert peak < BYTES_PER_NEURON * NEURONS


def test_an_open_loop_stays_linear_in_the_number_of_neurons(spiking_backend, make_spiking, peak_bytes):
    network = make_spiking(neurons=NEURONS)
    path = np.zeros((3, 2))
    peak = peak_bytes(lambda: list(drive(network, path, backend=spiking_backend)))
    assert peak < BYTES_PER_NEURON * NEURONS


def test_a_dense_matrix_is_noticed(make_spiking, peak_bytes):
    network = make_spiking(neurons=2_000)  # a tenth of the neurons, lest the control itself fill the memory
    assert peak_bytes(lambda: network.encoders @ network.decoders) > BYTES_PER_NEURON * network.neurons
