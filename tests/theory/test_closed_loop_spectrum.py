"""Noise by frequency in the closed loop against the budget, reduced from tests/benchmarks/closed_loop_spectrum.py."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from ddm2snn_backends.reference import ReferenceBackend

import ddm2snn

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import closed_loop_spectrum  # pyright: ignore[reportMissingImports] - of the benchmarks

TRIALS, DURATION = 32, 24.0


@pytest.fixture(scope="module")
def row_of(rate_network, brian2_network):
    """Comparison of runs of the converted van der Pol, with another factor on what it injects."""

    def of(factor=1.0):
        network = dataclasses.replace(brian2_network, diffusion_factor=factor * brian2_network.diffusion_factor)
        step = network.dt_s / network.time_unit_s
        stand_in = ReferenceBackend(network.spike_timing)  # the same spikes, quicker
        run = ddm2snn.simulate(network, backend=stand_in, duration=DURATION, trials=TRIALS, seed=1, every=step)
        return closed_loop_spectrum.compared("vanderpol:4", rate_network, brian2_network, run.samples[:, 2000:], runs=2)

    return of


def test_the_budget_is_what_the_closed_loop_has(row_of):
    row = row_of()
    assert not row.far.any(), row.words()
    assert (np.abs(row.ratio - 1.0) < closed_loop_spectrum.TOLERANCE).mean() > 0.9, row.words()
    assert np.median(row.error) < 0.05, "enough data to tell"
    assert "0 by three standard errors more" in row.words()
    assert len(closed_loop_spectrum.draw([row]).axes) == 1
    # a tenth more injected, a fifth more noise: it shows where the noise is not that of the spikes
    assert row_of(1.1).ratio[:10].mean() == pytest.approx(1.21, abs=0.06)
