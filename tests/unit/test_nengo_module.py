"""The exported Nengo module runs without ddm2snn, with the spikes of the backend."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import ddm2snn
from ddm2snn.backend import find_backend
from ddm2snn.errors import InputError
from ddm2snn.exchange.nengo_module import write_nengo_module
from ddm2snn.hardware import find_hardware
from ddm2snn.neuron import RectifiedLinear
from ddm2snn.simulate import simulate

ALONE = """
import sys, runpy, warnings
warnings.simplefilter("ignore")
for name in ("ddm2snn", "ddm2snn_backends"):
    sys.modules[name] = None  # importing it raises ImportError
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_alone(*arguments):
    done = subprocess.run([sys.executable, "-c", ALONE, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def network(make_spiking):
    return make_spiking(
        neurons=24, seed=2, diffusion_factor=np.array([[0.3, 0.0], [0.1, 0.2]]), spike_timing="interpolated"
    )


@pytest.mark.parametrize("by_state", [False, True])
@pytest.mark.parametrize("rise_s", [0.0, 4e-3])
def test_alone_it_gives_the_spikes_of_the_backend(by_state, rise_s, network, tmp_path):
    colour = np.array([[2.0, 9.0, 12.0, 1.0], [8.0, 4.0, 30.0, 0.3]]) if rise_s else None
    network = dataclasses.replace(network, rise_s=rise_s, noise_colour=colour)
    if by_state:
        decoders = 0.01 * np.random.default_rng(3).standard_normal((2, 2, 24))
        network = dataclasses.replace(network, diffusion_decoders=decoders, diffusion_filter_s=0.02)
    (module, weights), refusal = write_nengo_module(network, tmp_path / "net.py")
    assert ("diffusion_decoders" in refusal) == by_state, "noise by state is not for devices"
    assert ("rise_s" in refusal) == (rise_s > 0 and not by_state), "nor is a rise of synapses"
    assert weights.name == "net.npz"
    run_alone(module, "--duration", 3, "--seed", 7, "--output", tmp_path / "found.npz")
    run = simulate(network, backend="nengo", duration=3.0, trials=1, seed=7, every=0.01, spikes=True)
    with np.load(tmp_path / "found.npz") as found:
        assert run.spikes is not None
        order = np.lexsort((found["spike_neuron"], found["spike_time_s"]))
        assert len(order) > 100
        assert np.array_equal(found["spike_neuron"][order], run.spikes.neuron)
        assert np.allclose(found["spike_time_s"][order], run.spikes.time_s, rtol=0, atol=1e-9)
        assert np.abs(found["latent"] - run.samples[0]).max() < 1e-9
        other = simulate(network, backend="nengo", duration=3.0, trials=1, seed=8, spikes=True)
        assert other.spikes is not None
        assert len(other.spikes.neuron) != len(order) or not np.array_equal(other.spikes.neuron, run.spikes.neuron)


def in_groups(network):
    """The same network, for a device on which 40 neurons need two groups of decode neurons."""
    config = find_hardware("loihi1-emulator")
    fewer = config.decode_neurons.model_copy(update={"pairs_per_latent": 4})
    axons = config.capacity.model_copy(update={"input_axons_per_core": 32})
    blocks = config.placement.model_copy(update={"block_compartments": 10})
    config = config.model_copy(update={"capacity": axons, "decode_neurons": fewer, "placement": blocks})
    return dataclasses.replace(network, hardware=config)


def spikes_of(found):
    order = np.lexsort((found["spike_neuron"], found["spike_time_s"]))
    return found["spike_neuron"][order], np.round(found["spike_time_s"][order] / 1e-3).astype(int)


@pytest.mark.parametrize(
    ("target", "quiet", "grouped"),
    [("sim", False, False), ("sim", True, False), ("sim", False, True), ("simreal", False, False)],
)
def test_alone_it_gives_the_spikes_of_the_emulator(target, quiet, grouped, make_spiking, tmp_path):
    """Same seed, same start, same noise: every spike of backend nengo-loihi, without ddm2snn."""
    pytest.importorskip("nengo_loihi")
    factor = np.zeros((2, 2)) if quiet else np.array([[0.3, 0.0], [0.1, 0.2]])
    network = make_spiking(neurons=40 if grouped else 24, seed=2, diffusion_factor=factor)
    network = in_groups(network) if grouped else network
    (module, _), _ = write_nengo_module(network, tmp_path / "net.py")
    run_alone(module, "--target", target, "--duration", 4, "--seed", 7, "--output", tmp_path / "found.npz")
    settings = {"duration": 4.0, "trials": 1, "every": 0.01, "spikes": True}
    backend = find_backend("nengo-loihi", target=target)
    run, other = (simulate(network, backend=backend, seed=seed, **settings) for seed in (7, 8))
    assert run.spikes is not None
    assert other.spikes is not None
    with np.load(tmp_path / "found.npz") as found:
        neuron, step = spikes_of(found)
        assert len(neuron) > 200
        assert np.array_equal(neuron, run.spikes.neuron)
        assert np.array_equal(step, np.round(run.spikes.time_s / 1e-3).astype(int))
        assert np.abs(found["latent"] - run.samples[0]).max() < 1e-12
        assert not np.array_equal(neuron, other.spikes.neuron)
    if grouped:
        assert run.provenance["options"]["hardware"]["capacity"]["input_axons_per_core"] == 32


@pytest.mark.parametrize("device", [None, "loihi1-emulator"])
def test_it_says_for_which_device_it_was_converted_and_warns_of_nothing_else(device, make_spiking, tmp_path):
    pytest.importorskip("nengo_loihi")
    config = None if device is None else find_hardware(device)
    # the bias of the last neuron is so low that Nengo finds no largest rate for it
    network = make_spiking(neurons=24, seed=2, hardware=config)
    network = dataclasses.replace(network, bias=np.append(network.bias[:-1], -50.0))
    (module, _), _ = write_nengo_module(network, tmp_path / "net.py")
    assert ("not converted for it" in module.read_text()) == (device is None)
    for target, said in (("nengo", False), ("sim", device is None)):
        command = [sys.executable, str(module), "--target", target, "--duration", "0.2"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        assert ("not converted for a device" in done.stderr) == said
        assert "RuntimeWarning" not in done.stderr
        assert "max_rates" not in done.stderr


def test_what_nengo_lacks_is_refused(make_spiking, tmp_path):
    with pytest.raises(InputError, match=r"got rectified-linear\. Use backend=.nengo"):
        write_nengo_module(make_spiking(neuron=RectifiedLinear()), tmp_path / "net.py")
    with pytest.raises(InputError, match=r"net\.txt is no Python module"):
        write_nengo_module(make_spiking(), tmp_path / "net.txt")


def test_a_network_that_no_device_holds_runs_in_nengo_all_the_same(make_spiking, tmp_path):
    slow = make_spiking(time_unit_s=6.0, spike_timing="interpolated")
    (module, _), refusal = write_nengo_module(slow, tmp_path / "net.py")
    assert "time_unit_s" in refusal
    assert "register of 12 bits" in refusal
    assert "spikes" in run_alone(module, "--duration", 0.004)
    command = [sys.executable, str(module), "--target", "sim"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == f"Target sim cannot hold this network: {refusal}"
    with pytest.warns(UserWarning, match="nengo-loihi, is left out"):
        lost = ddm2snn.export(slow, tmp_path / "again.py", format="nengo").lost
    assert [refusal in sentence for sentence in lost] == [True]
    assert ddm2snn.export(make_spiking(), tmp_path / "fits.py", format="nengo").lost == ()
