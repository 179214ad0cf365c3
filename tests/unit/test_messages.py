"""Whatever goes wrong in a command is one line of reasonable length, with an exit code for its kind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

import ddm2snn
from ddm2snn import InputError
from ddm2snn.base.stored import make_header, settings_of
from ddm2snn.cli import main as command_line
from ddm2snn.errors import FileRefusedError, one_line

LONGEST = 620
MANY_DIGITS = "1" * 5000
LARGE = 10**400
MEANING = ("--activation", "tanh", "--filtered", "currents", "--factor", "1")


def line_of(result, code=2):
    """The one line of a refusal."""
    status, out, err = result
    assert status == code, err
    assert out == ""
    lines = err.strip().splitlines()
    assert lines[-1].startswith("Error: ")
    assert len(lines[-1]) <= LONGEST
    assert all(line.endswith(" ...") for line in lines[:-1]), err  # of progress
    return lines[-1]


@pytest.fixture
def fails(monkeypatch):
    """Make `ddm2snn systems` raise an error."""

    def arrange(error):
        def raise_it(*_, **__):
            raise error

        monkeypatch.setattr("ddm2snn.cli.lists.show", raise_it)

    return arrange


def test_an_unforeseen_error_has_a_code_of_its_own_and_says_where(cli, fails):
    fails(KeyError("x"))
    line = line_of(cli("systems"), command_line.UNFORESEEN)
    assert "unforeseen KeyError in test_messages.py, line" in line
    assert "--debug" in line


@pytest.mark.parametrize("place", ["before", "behind"])
def test_the_traceback_is_shown_on_request(cli, fails, place):
    fails(KeyError("x"))
    code, _, err = cli(*(("--debug", "systems") if place == "before" else ("systems", "--debug")))
    assert code == command_line.UNFORESEEN
    assert err.startswith("Traceback")
    assert cli("systems", "--debug")[0] == command_line.UNFORESEEN


def test_a_refusal_shows_its_cause_on_request(cli):
    code, _, err = cli("simulate", "none", "-o", "x.nc", "--debug")
    assert code == 2
    assert "Traceback" in err
    assert err.strip().splitlines()[-1].startswith("Error: File none does not exist")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, "Input/output error", "x.nc"), "x.nc: Input/output error"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device. Make some room"),
        (MemoryError(), "There is not enough memory. Take"),
        (InputError("a" * 10**6 + " Do that."), "Do that."),
    ],
)
def test_what_the_user_can_repair_has_exit_code_2(cli, fails, error, words):
    fails(error)
    assert words in line_of(cli("systems"))


def test_messages_are_cut_in_the_middle_and_printable():
    message = str(InputError(f"There is no array {'x' * 20_000}. Name another.\n\x1b[2J"))
    assert message.startswith("There is no array xxx")
    assert message.endswith("Name another. [2J")
    assert len(message) <= LONGEST
    assert one_line("a  b\tc") == "a b c"


@pytest.mark.skipif(not hasattr(signal, "SIGTERM") or os.name == "nt", reason="signals of POSIX")
def test_sigterm_is_one_line(tmp_path):
    command = [sys.executable, "-m", "ddm2snn.cli", "train", "lorenz", "-o", "r.safetensors", "--units", "200"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("train lorenz")  # work has begun: extensions are imported
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read().strip()
    assert process.returncode == 128 + signal.SIGTERM
    assert rest == f"Stopped by signal {int(signal.SIGTERM)}. No result was written. Repeat the command to begin again."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGTERM") or os.name == "nt", reason="signals of POSIX")
def test_an_interruption_that_an_extension_makes_another_error_of_is_one(cli, monkeypatch):
    """pybind11 casts arguments and raises TypeError for whatever was raised meanwhile."""

    def interrupted(*_, **__):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            raise TypeError("incompatible function arguments") from None

    monkeypatch.setattr("ddm2snn.cli.lists.show", interrupted)
    code, _, err = cli("systems")
    assert code == 128 + signal.SIGTERM
    assert err.startswith("Stopped by signal")
    assert err.count("\n") == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_output_onto_a_full_disk_is_one_line(tmp_path):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "ddm2snn.cli", "systems"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "Error: A file: No space left on device. Make some room.\n"


NESTED = "a = " + "[" * 3000
TOML = {
    "nested": (NESTED, "no TOML file"),
    "long": (f"seed = {MANY_DIGITS}", "no TOML file"),
    "dotted": (".".join("a" * 100_000) + " = 1", "no TOML file: a line has more than 1000 dots"),
    "large": ("#" * 2**20, "more than 262144 bytes"),
}


@pytest.mark.parametrize("name", TOML)
def test_settings_files(cli, tmp_path, name):
    text, words = TOML[name]
    (tmp_path / "x.toml").write_text(text)
    begin = time.process_time()
    for command in (
        ("run", "x.toml", "-o", "out"),
        ("hardware", "show", "x.toml"),
        ("import", "w.npz", "-o", "n.safetensors", "--mapping", "x.toml"),
    ):
        line = line_of(cli(*command))
        assert "x.toml" in line
        assert words in line
    assert time.process_time() - begin < 5


ARRAYS = {
    "a dense W with a NaN": ({"W": np.diag([np.nan, 1.0])}, "'W' holds 1 value(s) that are NaN or infinite"),
    "an infinite W": ({"W": np.diag([np.inf, 1.0])}, "NaN or infinite"),
    "an empty W": ({"W": np.zeros((0, 0))}, "must be square"),
    "a number for W": ({"W": np.array(1.0)}, "must be square"),
    "no rank": ({"m": np.zeros((4, 0)), "n": np.zeros((4, 0))}, "are of shape (4, 0)"),
    "numbers for m and n": ({"m": np.array(1.0), "n": np.array(1.0)}, "must be (unit, rank)"),
    "inputs of three axes": ({"m": np.eye(4), "n": np.eye(4), "wi": np.zeros((1, 4, 1))}, "vectors and matrices"),
    "huge numbers": ({"W": np.full((3, 3), 1e300)}, "which no network has"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_foreign_weights(cli, tmp_path, name):
    arrays, words = ARRAYS[name]
    np.savez(tmp_path / "w.npz", **arrays)
    meaning = MEANING if "m" in arrays else MEANING[:4]  # a factor is that of m and n
    assert words in line_of(cli("import", "w.npz", "-o", "n.safetensors", *meaning))


@pytest.mark.parametrize(
    "wells", ["[[1, 2], [" + "9" * 400 + ", 0]]", "[" * 3000, f"[[{MANY_DIGITS}, 1]]", "fifo.json"]
)
def test_wells(wells, tmp_path, monkeypatch):
    from ddm2snn.cli.results import read_wells

    monkeypatch.chdir(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo("fifo.json")
    with pytest.raises(InputError):
        read_wells(wells)


HEADERS = {
    "a provenance of NaN": lambda text: text.replace('"provenance":{', '"provenance":{"x":NaN,'),
    "a number of 5000 digits": lambda text: text.replace('"provenance":{', f'"provenance":{{"x":{MANY_DIGITS},'),
    "deep nesting": lambda text: text.replace('"provenance":{', '"provenance":{"x":' + "[" * 5000),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_own_files(spiking_of, tmp_path, name):
    path = tmp_path / "net.safetensors"
    spiking_of().save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    head["__metadata__"]["ddm2snn"] = HEADERS[name](head["__metadata__"]["ddm2snn"])
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    with pytest.raises(FileRefusedError, match=r"net\.safetensors"):
        ddm2snn.load(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"provenance": 5}, {"provenance": ["x"]}, {"time_unit_s": LARGE}, {"time_unit_s": True}, {"dt_s": LARGE},
        {"neuron": {"model": "lif", "tau_membrane_s": 0.02, "refractory_s": LARGE}},
        {"neuron": {"model": "lif", "tau_membrane_s": LARGE, "refractory_s": 0.002}},
    ],
)  # fmt: skip
def test_settings_of_own_files_with_right_fingerprints(spiking_of, tmp_path, fields):
    from safetensors.numpy import save_file

    from ddm2snn.base.arrays import arrays_of, content_fingerprint

    network = spiking_of()
    settings, arrays = {**settings_of(network), **fields}, arrays_of(network)
    plain = {name: value for name, value in settings.items() if name != "provenance"}
    header = make_header("SpikingNetwork", content_fingerprint("SpikingNetwork", arrays, plain), settings=settings)
    save_file(arrays, tmp_path / "net.safetensors", metadata={"ddm2snn": json.dumps(header)})
    with pytest.raises(FileRefusedError, match=r"net\.safetensors"):
        ddm2snn.load(tmp_path / "net.safetensors")


def test_an_array_for_the_version_of_a_schema(spiking_of, tmp_path):
    ddm2snn.export(spiking_of(), tmp_path / "net.h5", format="hdf5")
    with h5py.File(tmp_path / "net.h5", "a") as file:
        file.attrs["version"] = np.array([1, 2])
    with pytest.raises(FileRefusedError, match=r"net\.h5"):
        ddm2snn.import_network(tmp_path / "net.h5")


@pytest.mark.parametrize(
    "content", ['{"train": 5}', "[" * 100_000, f'{{"train": {MANY_DIGITS}}}', '{"train": {"key": 1}}', "[1]", "\xff"]
)
def test_a_damaged_record_of_steps_means_that_all_is_done_again(tmp_path, content):
    from ddm2snn.base.progress import Announce
    from ddm2snn.workflow.steps import Step, perform

    done = []

    def work(progress):
        done.append(1)
        (tmp_path / "rate.txt").write_text("x")

    (tmp_path / "steps.json").write_text(content)
    for _ in range(2):
        perform([Step("train", (), {}, ("rate.txt",), work)], tmp_path, Announce())
    assert done == [1]


@pytest.mark.parametrize("rate", [True, False])
def test_a_network_of_no_neurons_is_refused(rate_of, spiking_of, refuses, rate):
    empty = {"bias": np.zeros(0), "left_vectors": np.zeros((0, 2)), "right_vectors": np.zeros((0, 2))}
    with refuses(InputError, "it needs both"):
        rate_of(**empty) if rate else spiking_of(
            bias=np.zeros(0), encoders=np.zeros((0, 2)), decoders=np.zeros((2, 0)), unit=np.zeros(0)
        )


def test_options_of_a_simulation(cli, spiking_of, tmp_path):
    spiking_of().save(tmp_path / "snn.safetensors")
    arguments = ("simulate", "snn.safetensors", "-o", "x.nc", "--backend", "reference")
    assert "has the options spike_timing, spike_loss; got typo" in line_of(
        cli(*arguments, "--backend-option", "typo=1")
    )
    assert "has 6e+300 steps" in line_of(cli(*arguments, "--dt-s", "1e-300"))


@pytest.mark.parametrize("size", ["inf", "nan", "-1", "1e400", "x"])
def test_a_cache_size_that_is_none(cli, monkeypatch, size):
    monkeypatch.setenv("DDM2SNN_CACHE_MIB", size)
    assert "must be a size in MiB" in line_of(cli("cache"))


def test_a_cache_that_cannot_be_written(monkeypatch, refuses, tmp_path):
    from ddm2snn.base import program_cache

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setenv("DDM2SNN_CACHE", str(tmp_path))
    monkeypatch.setattr(program_cache, "FileLock", refuse)
    with refuses(InputError, "Read-only file system", "DDM2SNN_CACHE"):
        program_cache.fetch({}, lambda folder: folder)
