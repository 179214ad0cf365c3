"""What a backend declares that it lacks, it refuses in the same words; what it does not declare, it runs."""

import numpy as np
import pytest
from ddm2snn_backends.brian2 import Brian2Backend

from ddm2snn.backend import Record
from ddm2snn.errors import UnsupportedError

# name: (whether the network is of the other kind, step in seconds), for a refractory period of 2 ms
REQUESTS = {
    "as_made": (False, None),
    "other_kind_of_network": (True, None),
    "step_above_refractory_period": (False, 3e-3),
    "refractory_period_off_the_grid": (False, 3e-4),
}
REMEDIES = {
    ("rate", "other_kind_of_network"): "Use --backend brian2 or nengo.",
    ("spiking", "other_kind_of_network"): "Use --backend rate.",
    ("spiking", "step_above_refractory_period"): "Use dt_s <= 0.002.",
    ("grid", "refractory_period_off_the_grid"): "Use dt_s = 0.000285714.",
}


@pytest.fixture(params=sorted(REQUESTS))
def request_(request, any_backend, make_rate, make_spiking):
    """Name of a request, network and step."""
    other, dt_s = REQUESTS[request.param]
    is_rate = (any_backend.name == "rate") != other
    return request.param, make_rate() if is_rate else make_spiking(), dt_s


def run(backend, network, dt_s):
    """Ten steps in closed loop."""
    step_s = getattr(network, "dt_s", 0.01) if dt_s is None else dt_s
    step = step_s / getattr(network, "time_unit_s", 1.0)
    return backend.run(network, duration=10 * step, trials=1, seed=0, dt_s=dt_s, record=Record(every=step)).samples


def drive(backend, network, dt_s):
    """Ten steps in open loop."""
    blocks: list[np.ndarray] = []
    backend.drive(network, np.tile(network.initial_latent[:1], (10, 1)), seed=0, dt_s=dt_s, consume=blocks.append)
    return np.concatenate(blocks)


@pytest.mark.parametrize("verb", [run, drive])
def test_declared_is_refused_and_undeclared_runs(any_backend, request_, verb):
    _, network, dt_s = request_
    gaps = any_backend.unsupported(network, dt_s=dt_s)
    if not gaps:
        result = verb(any_backend, network, dt_s)
        assert result.size > 0
        assert np.isfinite(result).all()
        return
    with pytest.raises(UnsupportedError) as refusal:
        verb(any_backend, network, dt_s)
    assert str(refusal.value).startswith(f"Backend {any_backend.name} cannot run this network.")
    assert all(str(gap) in str(refusal.value) for gap in gaps)


def test_each_gap_names_its_remedy(any_backend, request_):
    name, network, dt_s = request_
    said = " ".join(map(str, any_backend.unsupported(network, dt_s=dt_s)))
    kind = "rate" if any_backend.name == "rate" else "spiking"
    expected = REMEDIES.get((any_backend.spike_timing, name)) or REMEDIES.get((kind, name))
    assert (expected in said) if expected else not said


def test_a_step_just_as_long_as_the_refractory_period_runs(spiking_backend, make_spiking):
    network = make_spiking()
    assert spiking_backend.unsupported(network, dt_s=network.neuron.refractory_s) == []
    assert np.isfinite(run(spiking_backend, network, network.neuron.refractory_s)).all()


def test_modes_of_brian2_are_a_closed_list():
    with pytest.raises(ValueError, match="Brian2 has no mode 'fast'; choose one of auto, numpy, cython"):
        Brian2Backend(mode="fast")  # pyright: ignore[reportArgumentType]
