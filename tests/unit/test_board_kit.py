"""The kit for a board passes its own check without ddm2snn, and its check tells what differs."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_nengo_module import ALONE, in_groups

import ddm2snn
from ddm2snn import InputError, SpikingNetwork, export
from ddm2snn.hardware import find_hardware

NOISE = np.array([[0.3, 0.0], [0.1, 0.2]])
pytest.importorskip("nengo_loihi")


def alone(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script of the kit in its folder, in a process that cannot import ddm2snn."""
    command = [sys.executable, "-c", ALONE, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": "."})


@pytest.fixture(scope="module")
def network(make_spiking) -> SpikingNetwork:
    return make_spiking(neurons=24, seed=2, diffusion_factor=NOISE, hardware=find_hardware())


@pytest.fixture(scope="module")
def kit(network: SpikingNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kit") / "board"
    done = export(network, folder, format="board", seed=5)
    assert [file.name for file in done.files] == [
        "README.md", "network.py", "network.npz", "check.py", "hardware.toml", "expected.json", "expected.npz"
    ]  # fmt: skip
    assert all(file.parent == folder and file.is_file() for file in done.files)
    return folder


def test_the_emulator_gives_what_the_kit_expects_bit_for_bit(kit):
    done = alone(kit, "check.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal bit for bit") == 2
    expected = json.loads((kit / "expected.json").read_text())
    assert all(digest in done.stdout for digest in expected["sha256"].values())
    assert expected["sha256"]["loaded"] != expected["sha256"]["from zero"]
    assert expected["spikes"]["from zero"] == sum(expected["spikes_by_neuron"]["from zero"]) > 100
    shares = re.search(r"decoded from the spikes differ from those of the probe by \[(\S+) +(\S+)\]", done.stdout)
    assert shares is not None
    assert max(map(float, shares.groups())) < 0.2, "rounding of currents and weights, not another path"


def test_a_recording_is_compared_and_what_differs_is_told(kit, network, tmp_path):
    steps = 1000 * network.dt_s / network.time_unit_s
    command = ["network.py", "--target", "sim", "--duration", steps, "--output", tmp_path / "run.npz"]
    alone(kit, *command, "--from-zero")
    done = alone(kit, "check.py", tmp_path / "run.npz")
    assert (done.returncode, done.stdout.count("equal bit for bit")) == (0, 1), done.stdout + done.stderr
    with np.load(tmp_path / "run.npz") as stored:
        held = dict(stored)
    kept = np.arange(len(held["spike_neuron"])) != 40  # one spike is lost
    changed = {name: held[name][kept] for name in ("spike_neuron", "spike_time_s")}
    np.savez(tmp_path / "lost.npz", latent=held["latent"], **changed)
    done = alone(kit, "check.py", tmp_path / "lost.npz")
    assert done.returncode == 1
    assert "the first 40 spikes are the same" in done.stdout
    assert "counts by neuron differ by 1 at the most and 1 in all" in done.stdout
    np.savez(tmp_path / "short.npz", latent=held["latent"][:900], **changed)
    done = alone(kit, "check.py", tmp_path / "short.npz")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "has 900 steps, and 1000 are compared" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("grouped", [False, True])
def test_noise_of_the_host_is_what_nengo_loihi_sends(grouped, network, make_spiking, tmp_path):
    """Axons of the host's neurons in nengo-loihi's own model: each spike of noise goes along one for each core."""
    import nengo_loihi

    network = in_groups(make_spiking(neurons=40, seed=2, diffusion_factor=NOISE)) if grouped else network
    export(network, tmp_path / "kit", format="board")
    module = runpy.run_path(str(tmp_path / "kit/network.py"))
    with module["repaired"](), module["without_nengos_guesses"]():
        model, store = module["loihi_network"](0, "sim", 200), nengo_loihi.builder.Model(dt=network.dt_s)
        store.decode_tau = network.time_unit_s
        with nengo_loihi.Simulator(model, dt=network.dt_s, model=store, target="sim") as simulator:
            assert simulator.precompute, "no snips"
            held = simulator.model.inputs
            axons = sum(len(each.axons) for each in held)
            assert all(each.n_neurons == 2 * network.rank for each in held), "a pair for each latent"
    readme = (tmp_path / "kit/README.md").read_text()
    assert f"injects the noise: {axons * network.rank} spike(s) in each step" in readme
    assert axons == (2 if grouped else 1)


def test_without_noise_the_host_sends_nothing(kit, tmp_path):
    runs = []
    for number, options in enumerate([("--without-noise",), ("--without-noise", "--seed", 6), ()]):
        file = tmp_path / f"{number}.npz"
        done = alone(kit, "network.py", "--target", "sim", "--duration", 2, "--from-zero", "--output", file, *options)
        assert done.returncode == 0, done.stderr
        with np.load(file) as stored:
            runs.append(stored["latent"])
    assert np.array_equal(runs[0], runs[1]), "nothing is random from zero"
    assert not np.array_equal(runs[0], runs[2])


def test_the_command_writes_a_kit_and_refuses_what_is_none(cli, network, make_spiking, tmp_path):
    network.save(tmp_path / "chip.safetensors")
    code, out, err = cli("export", "chip.safetensors", "--format", "nengo", "--for", "board", "-o", "kit")
    assert code == 0, err
    assert "kit/README.md" in out
    assert ddm2snn.find_hardware(str(tmp_path / "kit/hardware.toml")) == network.hardware
    for name, words in (("none", "was converted for no device"), ("loihi2-like", "was converted for loihi2-like")):
        device = None if name == "none" else find_hardware(name)
        with pytest.raises(InputError, match=words):
            export(make_spiking(hardware=device), tmp_path / name, format="board")
        assert not (tmp_path / name).exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/README.md").write_text("mine")
    code, _, err = cli("export", "chip.safetensors", "--format", "nengo", "--for", "board", "-o", "other")
    assert (code, err.count("README.md"), "Traceback" in err) == (2, 1, False), err
    assert (tmp_path / "other/README.md").read_text() == "mine"
