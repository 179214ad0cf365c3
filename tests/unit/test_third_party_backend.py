"""A backend that somebody else installs: found by its entry point, and accepted for devices where it runs them."""

from __future__ import annotations

import numpy as np
import pytest

import ddm2snn
from ddm2snn import Calibrated, InputError, convert, find_backend, simulate
from ddm2snn.backend import DeviceBackend, backend_names, backend_versions
from ddm2snn.hardware import find_hardware
from ddm2snn.workflow.recipe import device_stages
from ddm2snn.workflow.steps import versions

MODULE = '''
import numpy as np
from ddm2snn.schedule import Trace


class Board:
    """A board on which no neuron ever fires."""

    name = "board"
    spike_timing = "grid"

    def __init__(self, hardware=None):
        self.hardware = hardware

    def unsupported(self, network, *, dt_s, stimulus):
        return []

    def run(self, schedule, progress):
        left = schedule.decay ** (schedule.stride * np.arange(schedule.samples))
        return Trace(schedule.initial_latent[:, None] * left[:, None], options={"board": self.hardware.name})

    def drive(self, loop):
        yield np.zeros((len(loop.path), loop.network.neurons))
'''
CONFIG = find_hardware("loihi1-emulator").model_copy(update={"name": "my-board", "target": "board"})
SHORT = Calibrated(duration=50.0, trajectories=8)


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """A distribution of version 2.1 with the module above."""
    (tmp_path / "a_board_of_others.py").write_text(MODULE)
    about = tmp_path / "a_board_of_others-2.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a-board-of-others\nVersion: 2.1\n")
    (about / "entry_points.txt").write_text("[ddm2snn.backends]\nboard = a_board_of_others:Board\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_it_is_listed_and_found():
    assert "board" in backend_names()
    assert find_backend("board", hardware=CONFIG).name == "board"
    assert isinstance(find_backend("board"), DeviceBackend)
    assert not isinstance(find_backend("reference"), DeviceBackend)


def test_a_network_is_converted_for_it_and_runs_on_it(quick_rate):
    made = convert(quick_rate, hardware=CONFIG, decoders=SHORT, time_unit_s=0.2, seed=1).network
    assert made.backend == "board"
    by_object = convert(
        quick_rate,
        backend=find_backend("board", hardware=CONFIG),
        hardware=CONFIG,
        decoders=SHORT,
        time_unit_s=0.2,
        seed=1,
    ).network
    assert by_object.fingerprint == made.fingerprint
    run = simulate(made, backend=find_backend("board", hardware=CONFIG), duration=1.0, trials=2, every=0.5)
    assert run.provenance["backend"] == "board"
    assert run.provenance["options"] == {"board": "my-board"}
    left = (run.samples - made.latent_offset) / made.latent_scale
    assert np.allclose(left[:, 1], np.exp(-0.5) * left[:, 0])


def test_a_backend_without_devices_is_refused_for_one(refuses, quick_rate):
    with refuses(InputError, "Backend reference does not run my-board", "choose board"):
        convert(quick_rate, backend="reference", hardware=CONFIG, decoders=SHORT)


def test_a_recipe_runs_its_device_on_it(tmp_path):
    lines = [f'{key} = "{getattr(CONFIG, key)}"' for key in ("name", "summary", "source", "target")]
    (tmp_path / "mine.toml").write_text("\n".join([*lines, "[precision]", "weight_bits = 8"]))
    rungs = device_stages([str(tmp_path / "mine.toml")], "brian2")
    assert [rung.backend(emulator=True).name for rung in rungs] == ["board", "board"]
    assert {rung.backend(emulator=False).name for rung in rungs} == {"quantised"}
    boards = [rung.backend(emulator=True) for rung in rungs]
    devices = [board.hardware for board in boards if isinstance(board, DeviceBackend)]
    bits = [device.precision.weight_bits for device in devices if device is not None]
    assert bits == [None, 8]


def test_results_of_recipes_depend_on_its_version():
    assert backend_versions()["a-board-of-others"] == "2.1"
    assert versions()["a-board-of-others"] == "2.1"
    assert versions()["ddm2snn"] == ddm2snn.__version__
