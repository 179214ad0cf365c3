"""The exported Nengo module runs without ddm2snn, with the spikes of the backend."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from ddm2snn.backend import Record, find_backend
from ddm2snn.errors import InputError
from ddm2snn.exchange.nengo_module import write_nengo_module
from ddm2snn.neuron import RectifiedLinear

ALONE = """
import sys, runpy, warnings
warnings.simplefilter("ignore")
for name in ("ddm2snn", "ddm2snn_backends"):
    sys.modules[name] = None  # importing it raises ImportError
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
# nengo-loihi 1.1.0 under NumPy 2: what the module asks its user to avoid is repaired here as the adapter does it
REPAIRED = """
import numpy as np, nengo_loihi.block, nengo_loihi.neurons
class Before:
    def __getattr__(self, name): return getattr(np, name)
    def array(self, *given, copy=True, **more): return np.array(*given, copy=True if copy else None, **more)
nengo_loihi.block.np = nengo_loihi.neurons.np = Before()
nengo_loihi.__version__ = "1.1.0 repaired"
"""


def run_alone(*arguments, first=""):
    program = ALONE.replace("sys.argv = sys.argv", f"{first}\nsys.argv = sys.argv")
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def network(make_spiking):
    return make_spiking(
        neurons=24, seed=2, diffusion_factor=np.array([[0.3, 0.0], [0.1, 0.2]]), spike_timing="interpolated"
    )


def test_alone_it_gives_the_spikes_of_the_backend(network, tmp_path):
    module, weights = write_nengo_module(network, tmp_path / "net.py")
    assert weights.name == "net.npz"
    run_alone(module, "--steps", 300, "--seed", 7, "--output", tmp_path / "found.npz")
    run = find_backend("nengo").run(network, duration=3.0, trials=1, seed=7, record=Record(every=0.01, spikes=True))
    with np.load(tmp_path / "found.npz") as found:
        assert run.spikes is not None
        order = np.lexsort((found["neuron"], found["time_s"]))
        assert len(order) > 100
        assert np.array_equal(found["neuron"][order], run.spikes.neuron)
        assert np.allclose(found["time_s"][order], run.spikes.time_s, rtol=0, atol=1e-9)
        assert np.abs(found["latent"] - run.samples[0]).max() < 1e-9
        other = find_backend("nengo").run(network, duration=3.0, trials=1, seed=8, record=Record(spikes=True))
        assert other.spikes is not None
        assert len(other.spikes.neuron) != len(order) or not np.array_equal(other.spikes.neuron, run.spikes.neuron)


def test_alone_it_runs_in_the_emulator_of_nengo_loihi(network, tmp_path):
    pytest.importorskip("nengo_loihi")
    module, _ = write_nengo_module(network, tmp_path / "net.py")
    printed = run_alone(module, "--target", "sim", "--steps", 400, "--output", tmp_path / "found.npz", first=REPAIRED)
    assert "spikes" in printed
    run = find_backend("nengo-loihi").run(network, duration=4.0, trials=1, seed=1, record=Record(spikes=True))
    assert run.spikes is not None
    with np.load(tmp_path / "found.npz") as found:
        # other noise and another start: rates agree within what 400 steps of 24 neurons scatter
        assert len(found["time_s"]) == pytest.approx(len(run.spikes.time_s), rel=0.25)
        assert np.isfinite(found["latent"]).all()


def test_what_nengo_lacks_is_refused(make_spiking, tmp_path):
    with pytest.raises(InputError, match=r"got rectified-linear\. Use --backend nengo"):
        write_nengo_module(make_spiking(neuron=RectifiedLinear()), tmp_path / "net.py")
    with pytest.raises(InputError, match=r"net\.txt is no Python module"):
        write_nengo_module(make_spiking(), tmp_path / "net.txt")
