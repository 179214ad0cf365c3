"""Largest Lyapunov exponents as the report shows them: by drift fields and by twins with one noise."""

import numpy as np
import pytest
from planted_changes import LORENZ_EVERY, heun, lorenz, lorenz_drift

from ddm2snn.analysis.lyapunov import drift_exponent, twin_exponent, twin_starts
from ddm2snn.errors import InputError
from ddm2snn.recording import Recording

LYAPUNOV = 0.9056  # Sprott, Chaos and Time-Series Analysis (2003)


def run(starts, seed=2, samples=600, drift=lorenz_drift):
    path = heun(drift, 0.1, starts, np.random.default_rng(seed), dt=0.01, samples=samples, stride=2)
    return Recording.from_arrays(path, every=LORENZ_EVERY, time_unit_s=1.0)


def test_both_sources_on_lorenz():
    starts = lorenz()["reference"][:, -1]
    found = drift_exponent("lorenz", lorenz_drift, starts)
    assert found.source == "drift field"
    # 16 trajectories of 40 time units know it to 0.01 to 0.02
    assert 0 < (found.error or np.inf) < 0.03
    assert found.value == pytest.approx(LYAPUNOV, abs=4 * (found.error or 0))
    twins = twin_exponent("lorenz", *map(run, twin_starts(starts, 50, 1)))
    assert 0 < (twins.error or np.inf) < 0.1
    assert twins.value == pytest.approx(LYAPUNOV, abs=4 * (twins.error or 0))
    assert twins.as_json() == {
        "name": "lorenz", "source": "twin runs", "value": twins.value, "error": twins.error,
    }  # fmt: skip


def test_without_chaos_twins_do_not_part():
    # rho = 10: two stable foci
    starts = np.random.default_rng(1).normal(0, 3, (40, 3))
    settled = run(starts, samples=1000, drift=lambda z: lorenz_drift(z, 10.0)).samples[:, -1]
    assert (drift_exponent("still", lambda z: lorenz_drift(z, 10.0), settled).value or 0) < -0.1


def test_twins_start_a_small_distance_apart_from_stationary_states():
    starts = lorenz()["reference"][:, 0]
    first, second = twin_starts(starts, 20, 3, 1e-3)
    assert (first[:, None] == starts).all(axis=2).any(axis=1).all()
    np.testing.assert_allclose(np.linalg.norm((second - first) / starts.std(axis=0), axis=1), 1e-3)
    with pytest.raises(InputError, match="two stationary states or more"):
        twin_starts(starts[:1], 20, 3)


def test_twins_that_part_at_once_cannot_tell():
    starts = lorenz()["reference"][:, 0]
    strangers = twin_exponent("snn", run(starts, 2), run(starts[::-1], 3))
    assert strangers.value is None
    assert strangers.error is None
