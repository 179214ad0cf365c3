"""One list of small networks, and every installed backend that spikes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ddm2snn_backends.brian2 import Brian2Backend
from ddm2snn_backends.brian2.model import brian2 as _brian2
from ddm2snn_backends.reference import ReferenceBackend

from ddm2snn.backend import RATE, Backend, backend_names, find_backend
from ddm2snn.neuron import LIF, AdaptiveLIF, LogNormal, LoihiLIF, RectifiedLinear
from ddm2snn.recording import Recording
from ddm2snn.simulate import drive, simulate
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from ddm2snn.network import SpikingNetwork

# these need no compiler; compiled modes have runs of their own: `cython_run`, `standalone_runs`, test_torch_backend.py
OPTIONS = {"brian2": {"mode": "numpy"}, "torch": {"device": "cpu", "compile": False}}
# devices round what they are given and add filters of their own: test_loihi_*.py hold them to each other instead
DEVICES = ("nengo-loihi", "quantised")
SIMULATORS = [name for name in backend_names() if name not in ("reference", RATE, *DEVICES)]
TIMINGS = ("grid", "interpolated")
BIASES = [0.5, 1.0, 1.4, 2.0, 3.0, 5.0, 8.0, 12.0]  # adapted neurons need more than those near threshold

SMALL: dict[str, dict[str, Any]] = {
    "one_neuron": {"rank": 1, "neurons": 1, "seed": 3, "bias": [1.6]},
    "three_latents": {"rank": 3, "neurons": 12, "seed": 4},
    "step_of_refractory_period": {"neurons": 8, "seed": 5, "dt_s": 2e-3},
    "fast_membrane": {"neurons": 8, "seed": 6, "neuron": LIF(tau_membrane_s=5e-3, refractory_s=4e-3)},
    # biases far below and above the threshold current of zero: some in each step, some more than one spike a step
    "rectified_linear": {"neurons": 8, "seed": 9, "neuron": RectifiedLinear(), "bias": [-1, 0, 1, 2, 3, 5, 8, 25]},
    "adaptive": {"neurons": 8, "seed": 8, "neuron": AdaptiveLIF(), "bias": BIASES},
    "fast_adaptation": {"neurons": 8, "seed": 10, "neuron": AdaptiveLIF(5e-3, 4e-3, 0.8, 0.03), "bias": BIASES},
    "heterogeneous": {"neurons": 8, "seed": 13, "neuron": LIF(LogNormal(0.02, 0.5)), "bias": BIASES},
    "loihi": {"neurons": 8, "seed": 11, "neuron": LoihiLIF(), "bias": BIASES},
    "loihi_few_bits": {"neurons": 8, "seed": 12, "neuron": LoihiLIF(5e-3, 4e-3, decay_bits=4), "dt_s": 5e-4},
    # a third of a millisecond has no exact binary fraction: step counting must not rely on one
    "odd_step": {"neurons": 8, "seed": 7, "dt_s": 1e-3 / 3},
    "rising": {"neurons": 8, "seed": 14, "rise_s": 4e-3},
    "rising_within_a_step": {"rank": 3, "neurons": 12, "seed": 15, "rise_s": 5e-4},
    "silent_inhibited_undriven": {
        "rank": 1,
        "neurons": 4,
        "encoders": [[1.0], [-1.0], [2.0], [0.0]],
        "bias": [0.2, -9.0, 1.1, 1.3],
        "unit": [0, 0, 1, 1],
        "rate_left_vectors": [[1.0], [2.0]],
    },
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Networks made by hand were solved for no backend, whatever `simulate` says to it."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore:The decoders were solved for"))


@pytest.fixture(params=sorted(SMALL))
def small_network(request, make_spiking) -> SpikingNetwork:
    """Each of the small networks in turn."""
    return make_spiking(**SMALL[request.param])


@pytest.fixture(params=SIMULATORS)
def simulator(request) -> Backend:
    """Each installed simulator, to be held against the reference."""
    return find_backend(request.param, **OPTIONS.get(request.param, {}))


@pytest.fixture(params=[*(f"reference-{timing}" for timing in TIMINGS), *SIMULATORS])
def spiking_backend(request) -> Backend:
    """Each installed backend that spikes, the reference in both its timings."""
    name, _, timing = request.param.partition("-")
    return find_backend(name, **({"spike_timing": timing} if timing else OPTIONS.get(name, {})))


@pytest.fixture(params=[RATE, *(f"reference-{timing}" for timing in TIMINGS), *SIMULATORS])
def any_backend(request) -> Backend | str:
    """Each installed backend that spikes, and the name under which `simulate` runs rate networks."""
    name, _, timing = request.param.partition("-")
    if name == RATE:
        return RATE
    return find_backend(name, **({"spike_timing": timing} if timing else OPTIONS.get(name, {})))


@pytest.fixture
def build(any_backend, make_rate, make_spiking) -> Callable[..., Any]:
    """Builder of networks of the kind that `any_backend` runs: six units, or eight neurons, rank two."""
    return make_rate if any_backend == RATE else make_spiking


@pytest.fixture
def leak_only(any_backend) -> dict[str, Any]:
    """Fields of a network whose units or neurons decode to nothing."""
    return {"right_vectors": np.zeros((6, 2))} if any_backend == RATE else {"decoders": np.zeros((2, 8))}


@pytest.fixture(scope="session")
def oracle_of() -> Callable[[Backend], ReferenceBackend]:
    """The reference that times spikes as a given backend does."""
    return lambda backend: ReferenceBackend(spike_timing=backend.spike_timing)


@pytest.fixture(scope="session")
def filtered() -> Callable[..., np.ndarray]:
    """Open-loop drive with its blocks put together: filtered spikes in Hz, shape (time, neuron)."""

    def collect(backend: Backend | str, network: SpikingNetwork, path: np.ndarray, seed: int = 0) -> np.ndarray:
        return np.concatenate(list(drive(network, path, backend=backend, seed=seed)))

    return collect


@pytest.fixture(scope="session")
def unfiltered() -> Callable[..., np.ndarray]:
    """Inverse of the synaptic filter: spikes per step, up to rounding."""

    def invert(filtered_hz: np.ndarray, dt_s: float, *taus_s: float) -> np.ndarray:
        spikes = filtered_hz * dt_s
        for tau_s in taus_s:
            decay = np.exp(-dt_s / tau_s) if tau_s else 0.0
            before = np.vstack([np.zeros(spikes.shape[1]), spikes[:-1]])
            spikes = (spikes - decay * before) / (1.0 - decay)
        return spikes

    return invert


@pytest.fixture(scope="session")
def process_state() -> Callable[[], dict[str, Any]]:
    """Everything global that a simulator might leave changed, in comparable form."""
    import nengo

    b2 = _brian2()

    def snapshot() -> dict[str, Any]:
        kinds = (nengo.Ensemble, nengo.Node, nengo.Connection, nengo.Probe)
        return {
            "brian2 device": id(b2.get_device()),
            "brian2 default step": float(b2.defaultclock.dt),
            "brian2 codegen target": b2.prefs.codegen.target,
            "numpy global generator": repr(np.random.get_state()),  # noqa: NPY002 - the global one is the point
            "numpy error handling": np.geterr(),
            "exception hook": id(sys.excepthook),
            "showwarning": id(warnings.showwarning),
            "nengo defaults": {
                f"{kind.__name__}.{name}": repr(kind.__dict__[name].default)
                for kind in kinds
                for name in kind.__dict__
                if hasattr(kind.__dict__[name], "default")
            },
            "nengo settings": {name: dict(nengo.rc.items(name)) for name in nengo.rc.sections()},
        }

    return snapshot


@pytest.fixture(scope="session")
def standalone_runs(tmp_path_factory, make_spiking, process_state) -> dict[str, Any]:
    """All C++ standalone runs of the suite: two in one program, and the second one here at the same time.

    `program` holds the program's recordings and what it says about itself, `here` the recording made in
    this process, `settings` what was asked, `before` and `after` the state of this process.
    """
    folder = tmp_path_factory.mktemp("standalone")
    quiet = make_spiking(rank=3, neurons=12, seed=4)
    quiet.save(folder / "quiet.safetensors")
    # decodes nothing, so that its latents have a closed form; G G^T has the off-diagonal element 0.8
    factor = np.array([[1.0, 0.0], [0.8, 0.6]])
    noisy = make_spiking(neurons=2, decoders=np.zeros((2, 2)), diffusion_factor=factor, time_unit_s=0.01)
    noisy.save(folder / "noisy.safetensors")
    stimulus = Stimulus(times=np.array([0.5, 1.7]), values=np.array([[1.0] * 3, [-0.6] * 3]))
    stimulus.save(folder / "quiet-stimulus.safetensors")
    start = np.random.default_rng(31).standard_normal((32, 2)) @ factor.T / np.sqrt(2.0)
    settings: dict[str, dict[str, Any]] = {
        "quiet": {"duration": 3.0, "trials": 2, "seed": 21, "every": 0.02, "spikes": True},
        "noisy": {"duration": 100.0, "trials": 32, "seed": 31, "every": 0.5, "spikes": True},
    }
    settings["noisy"]["initial_latent"] = (start * noisy.latent_scale + noisy.latent_offset).tolist()
    (folder / "settings.json").write_text(json.dumps(settings))
    program = Path(__file__).with_name("standalone_program.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDM2SNN_CACHE", str(folder / "programs"))  # empty: both want the same program, and none is there
        with subprocess.Popen(
            [sys.executable, str(program), str(folder)],
            env={**os.environ, "TMPDIR": str(folder)},
            stderr=subprocess.PIPE,
            text=True,
        ) as other:
            before = process_state()
            here = simulate(noisy, backend=Brian2Backend(mode="cpp_standalone"), **settings["noisy"])
            after = process_state()
            _, errors = other.communicate(timeout=300)
    assert other.returncode == 0, errors
    return {
        "networks": {"quiet": quiet, "noisy": noisy},
        "settings": settings,
        "stimulus": stimulus,
        "program": {name: Recording.load(folder / f"{name}.nc") for name in settings},
        "about": json.loads((folder / "about.json").read_text()),
        "folder": folder,
        "here": here,
        "before": before,
        "after": after,
    }


@pytest.fixture(scope="module")
def noisy(make_spiking):
    """Everything that moves latents: rise, coloured noise, and a factor that spikes decode."""

    def make(rank=2, neurons=12, **fields):
        rng = np.random.default_rng(7)
        return make_spiking(
            rank=rank, neurons=neurons, seed=3, rise_s=4e-3, diffusion_factor=0.3 * np.eye(rank),
            noise_colour=np.tile([2.0, 9.0, 12.0, 0.5], (rank, 1)), diffusion_filter_s=0.05,
            diffusion_decoders=rng.standard_normal((rank, rank, neurons)) / (200.0 * neurons), **fields,
        )  # fmt: skip

    return make
