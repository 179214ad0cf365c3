"""What a backend declares that it lacks is refused in its words; what it does not declare, it runs."""

import numpy as np
import pytest
from ddm2snn_backends.brian2 import Brian2Backend

from ddm2snn.backend import RATE, gaps
from ddm2snn.errors import UnsupportedError
from ddm2snn.simulate import drive, simulate

# name: (whether the network is of the other kind, step in seconds), for a refractory period of 2 ms
REQUESTS = {
    "as_made": (False, None),
    "other_kind_of_network": (True, None),
    "step_above_refractory_period": (False, 3e-3),
    "refractory_period_off_the_grid": (False, 3e-4),
}
REMEDIES = {
    ("any", "other_kind_of_network"): 'Use backend="rate".',
    ("any", "step_above_refractory_period"): "Use dt_s <= 0.002.",
    ("grid", "refractory_period_off_the_grid"): "Use dt_s = 0.000285714.",
}


@pytest.fixture(params=sorted(REQUESTS))
def request_(request, make_rate, make_spiking):
    """Name of a request, network and step."""
    other, dt_s = REQUESTS[request.param]
    return request.param, make_rate() if other else make_spiking(), dt_s


def closed_loop(backend, network, dt_s):
    """Ten steps in closed loop."""
    step_s = getattr(network, "dt_s", 0.01) if dt_s is None else dt_s
    step = step_s / getattr(network, "time_unit_s", 1.0)
    return simulate(network, backend=backend, duration=10 * step, trials=1, dt_s=dt_s, every=step).samples


def open_loop(backend, network, dt_s):
    """Ten steps in open loop."""
    path = np.tile(network.initial_latent[:1], (10, 1))
    return np.concatenate(list(drive(network, path, backend=backend, dt_s=dt_s)))


verbs = pytest.mark.parametrize("verb", [closed_loop, open_loop])


@verbs
def test_declared_is_refused_and_undeclared_runs(spiking_backend, request_, verb):
    _, network, dt_s = request_
    declared = gaps(spiking_backend, network, dt_s=dt_s)
    if not declared:
        result = verb(spiking_backend, network, dt_s)
        assert result.size > 0
        assert np.isfinite(result).all()
        return
    with pytest.raises(UnsupportedError) as refusal:
        verb(spiking_backend, network, dt_s)
    assert str(refusal.value).startswith(f"Backend {spiking_backend.name} cannot run this network.")
    assert all(str(gap) in str(refusal.value) for gap in declared)


def test_each_gap_names_its_remedy(spiking_backend, request_):
    name, network, dt_s = request_
    text = " ".join(map(str, gaps(spiking_backend, network, dt_s=dt_s)))
    expected = REMEDIES.get((spiking_backend.spike_timing, name)) or REMEDIES.get(("any", name))
    assert (expected in text) if expected else not text


@verbs
@pytest.mark.parametrize("dt_s", [None, 3e-3, 3e-4])
def test_rate_runs_a_rate_network_at_any_step_and_no_other(make_rate, make_spiking, verb, dt_s):
    result = verb(RATE, make_rate(), dt_s)
    assert result.size > 0
    assert np.isfinite(result).all()
    with pytest.raises(UnsupportedError, match=r"Backend rate cannot run this network\..*Use backend=.brian2. or"):
        verb(RATE, make_spiking(), dt_s)


def test_a_step_just_as_long_as_the_refractory_period_runs(spiking_backend, make_spiking):
    network = make_spiking()
    assert gaps(spiking_backend, network, dt_s=network.neuron.refractory_s) == []
    assert np.isfinite(closed_loop(spiking_backend, network, network.neuron.refractory_s)).all()


def test_modes_of_brian2_are_a_closed_list():
    with pytest.raises(ValueError, match="Brian2 has no mode 'fast'; choose one of auto, numpy, cython"):
        Brian2Backend(mode="fast")  # pyright: ignore[reportArgumentType]
