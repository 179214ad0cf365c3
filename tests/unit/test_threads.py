"""Results have the same bytes, however many threads there are, and the threads of a caller stay as they were."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

import ddm2snn
from ddm2snn.base.threads import add_gram, in_order, one_thread, workers

COUNTS = (1, 2, 5)
UNITS = 300  # from some 250 on, BLAS shares products among its threads


@contextlib.contextmanager
def threads(count, monkeypatch):
    """The number of threads that a process has."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", str(count))
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def blas_threads():
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_a_product_of_one_thread_and_of_several_differ_without_this(monkeypatch):
    """What the tests below would see: the threads of BLAS change the last digits."""
    rows, right = (np.random.default_rng(0).standard_normal(shape) for shape in ((4000, UNITS), (UNITS, UNITS)))
    with threadpool_limits(1):
        one = rows @ right
    with threadpool_limits(2):
        if np.array_equal(rows @ right, one):
            pytest.skip("this BLAS gives equal bytes")
        with one_thread():
            assert np.array_equal(rows @ right, one)


@pytest.mark.parametrize("columns", [3, 256, 257, 700])
def test_a_gram_matrix(monkeypatch, columns):
    rows, totals = np.random.default_rng(columns).standard_normal((1000, columns)), []
    for count in COUNTS:
        totals.append(np.ones((columns, columns)))
        with threads(count, monkeypatch), one_thread():
            add_gram(totals[-1], rows)
        assert np.array_equal(totals[-1], totals[0])
    assert np.array_equal(totals[0], totals[0].T)
    np.testing.assert_allclose(totals[0], 1.0 + rows.T @ rows, rtol=1e-12, atol=1e-9)


@pytest.mark.slow
def test_training_and_conversion(monkeypatch):
    quick, results = ddm2snn.Training(ridge=1e-4, iterations=2, holdout=300), set()
    for count in COUNTS[:2]:
        with threads(count, monkeypatch):
            rate = ddm2snn.train("vanderpol", units=UNITS, training=quick)
            network = ddm2snn.convert(
                rate, population=ddm2snn.Population(2), decoders="static", backend="reference", time_unit_s=0.2
            ).network
            runs = [ddm2snn.simulate(each, duration=0.5, trials=2) for each in (rate, network)]
        results.add((rate.fingerprint, network.fingerprint, *(run.fingerprint for run in runs)))
    assert len(results) == 1


def test_threads_of_the_caller_stay(monkeypatch):
    with threads(2, monkeypatch):
        before = blas_threads(), torch.get_num_threads()
        quick = ddm2snn.Training(ridge=1e-4, points=300, iterations=2, holdout=300)
        rate = ddm2snn.train("vanderpol", units=8, training=quick)
        assert (blas_threads(), torch.get_num_threads()) == before
        with one_thread():
            assert set(blas_threads().values()) == {1}
        assert (blas_threads(), torch.get_num_threads()) == before
        with pytest.raises(KeyError):
            ddm2snn.simulate(rate, duration=1.0, trials=1, progress=lambda share: {}[share])
        assert (blas_threads(), torch.get_num_threads()) == before


@pytest.mark.parametrize(("text", "count"), [("3", 3), ("4,2", 4), ("0", None), ("x", None), ("", None)])
def test_the_number_of_threads_that_there_may_be(monkeypatch, text, count):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = workers()
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert workers() == (count or cores)


def test_an_error_in_a_part_is_the_error_of_all():
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 / number, [1, 0, 1]))
