"""Exported scripts for Brian2, PyNN and Nengo take the same options and write the same arrays."""

from __future__ import annotations

import runpy
import subprocess
import sys
import warnings

import numpy as np
import pytest
from pynn_stand_in import stand_ins

from ddm2snn import export
from ddm2snn.hardware import find_hardware

FORMATS = ("brian2", "pynn", "nengo")


@pytest.fixture(scope="module")
def scripts(make_spiking, tmp_path_factory):
    """A script of each format with seed 3 for a network on a grid that all can run."""
    folder = tmp_path_factory.mktemp("scripts")
    network = make_spiking(neurons=24, seed=2, diffusion_factor=np.array([[0.3, 0.0], [0.1, 0.2]]))
    return {form: export(network, folder / f"{form}.py", format=form, seed=3).files[0] for form in FORMATS}


def called(script, monkeypatch, *options):
    """Run a script in this process, with stand-ins for PyNN and NEST, and warnings of NumPy as errors."""
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for name, module in stand_ins().items():
            patch.setitem(sys.modules, name, module)
        patch.setattr(sys, "argv", [str(script), *map(str, options)])
        runpy.run_path(str(script), run_name="__main__")


def test_scripts_write_the_same_arrays_for_the_same_options(scripts, monkeypatch, tmp_path, capsys):
    shapes = set()
    for form, script in scripts.items():
        for name, options in {"own": (), "same": ("--seed", 3), "other": ("--seed", 4)}.items():
            called(script, monkeypatch, "--duration", 2, "--output", tmp_path / f"{form}_{name}.npz", *options)
        loaded = {}
        for name in ("own", "same", "other"):
            with np.load(tmp_path / f"{form}_{name}.npz") as file:
                loaded[name] = dict(file)
        own = loaded["own"]
        shapes.add((tuple(sorted(own)), own["latent"].shape))
        assert own["spike_time_s"].shape == own["spike_neuron"].shape != (0,)
        assert np.array_equal(own["latent"], loaded["same"]["latent"]), f"{form}: the seed of the export is the default"
        assert not np.array_equal(own["latent"], loaded["other"]["latent"])
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith(f"{len(own['spike_neuron'])} spikes in 0.2 s; mean of the latents"), form
    assert shapes == {(("latent", "spike_neuron", "spike_time_s"), (200, 2))}


def test_scripts_last_sixty_time_units_by_default(scripts):
    for form, script in scripts.items():
        text = script.read_text()
        assert 'parser.add_argument("--duration", type=float, default=60.0, help="time units")' in text, form
        assert 'parser.add_argument("--seed", type=int, default=3)' in text, form
        assert "--duration 60 --seed 3 --output run.npz" in text, form


@pytest.mark.parametrize("device", [None, "loihi1-emulator"])
def test_help_says_whether_a_network_was_converted_for_a_chip(device, make_spiking, tmp_path):
    network = make_spiking(hardware=device and find_hardware(device))
    script = export(network, tmp_path / "net.py", format="nengo").files[0]
    done = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True)
    target = " ".join(done.stdout.split("--target {nengo,sim,simreal,loihi}")[-1].split("--duration")[0].split())
    assert ("not converted for it" in target) == (device is None)
