"""A disk that is full at any write of any command: one line, and no part of a file."""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest

import ddm2snn
from ddm2snn.analysis import analyse
from ddm2snn.base.files import write_text
from ddm2snn.base.progress import Announce
from ddm2snn.errors import FileRefusedError
from ddm2snn.plots.style import subplots
from ddm2snn.workflow.steps import Step, perform

FORMATS = {"nir": "net.nir", "hdf5": "net.h5", "brian2": "b.py", "nengo": "n.py", "pynn": "p.py"}
REAL_OPEN = builtins.open


class FullDisk:
    """From the n-th write to a file of one folder on, there is no room; a write of HDF5 among them."""

    def __init__(self, folder: Path, last: int) -> None:
        self.folder, self.left, self.failed = folder, last, False

    def count(self) -> None:
        self.left -= 1
        if self.left < 0:
            self.failed = True
            raise OSError(errno.ENOSPC, "No space left on device")

    def counted(self, call):
        return lambda *arguments: (self.count(), call(*arguments))[1]

    def open(self, file, mode="r", *rest, **more):
        opened = REAL_OPEN(file, mode, *rest, **more)
        inside = isinstance(file, str | os.PathLike) and Path(file).absolute().parent.is_relative_to(self.folder)
        if inside and set(mode) & set("wax+"):
            for name in ("write", "truncate"):
                setattr(opened, name, self.counted(getattr(opened, name)))
        return opened

    @contextlib.contextmanager
    def mounted(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(builtins, "open", self.open)
            patch.setattr(io, "open", self.open)
            patch.setattr(os, "fsync", self.counted(os.fsync))
            patch.setattr(os, "write", self.counted(os.write))
            yield self


OUTPUTS = {
    "simulate": "simulate snn.safetensors -o {} --duration 0.5 --trials 1 --every 0.1 --backend reference --spikes",
    "import": "import w.npz -o {} --mapping map.toml",
    **{form: f"export snn.safetensors -o {{}} --format {form}" for form in FORMATS},
    "train": "train vanderpol -o {}",
    "convert": "convert rate.safetensors -o {}",
    "restructure": "restructure snn.safetensors --rate rate.safetensors --one-sign -o {}",
    "figure": "hardware fit snn.safetensors --hardware loihi1-emulator --figure {}.png",
    "analyse": "analyse rate.safetensors -o {}",
    "compare": "compare a.nc b.nc -o {}",
}
SOME_FILES = ("analyse", "compare")  # write several, each of them whole or not at all


@pytest.fixture
def files(spiking_of, rate_of, tmp_path, monkeypatch):
    """A folder of inputs."""
    monkeypatch.chdir(tmp_path)
    rate, spiking = rate_of(), spiking_of()
    spiking.save("snn.safetensors")
    rate.save("rate.safetensors")
    np.savez("w.npz", W=np.diag([0.5, 0.2]))
    (tmp_path / "map.toml").write_text('activation = "tanh"\nfiltered = "currents"\n')
    return tmp_path


@pytest.fixture(scope="module")
def results(quick_rate):
    """Results of the verbs by their names, an analysis, and the recordings that were compared."""
    made = ddm2snn.convert(quick_rate, decoders="static", backend="reference", time_unit_s=0.1)
    changed = ddm2snn.restructure(quick_rate, made.network, ddm2snn.OneSign())
    runs = [ddm2snn.simulate(quick_rate, duration=10.0, trials=4, every=0.1, seed=seed) for seed in (1, 2)]
    results = {"train": quick_rate, "convert": made, "restructure": changed, "compare": ddm2snn.compare(*runs)}
    return results, analyse(quick_rate), runs


@pytest.fixture
def quick_verbs(files, results, monkeypatch):
    """Verbs whose results were computed before, and figures without content."""
    by_name, analysis, runs = results
    for name, run in zip("ab", runs, strict=True):
        run.save(files / f"{name}.nc")
    for name, result in by_name.items():
        monkeypatch.setattr(ddm2snn, name, lambda *_, result=result, **__: result)
    monkeypatch.setattr("ddm2snn.analysis.analyse", lambda *_, **__: analysis)
    monkeypatch.setattr("ddm2snn.workflow.report.analysis_figures", lambda _: {"a": subplots(2, 2)[0]})
    picture = ("a", "title", "caption", lambda: subplots(2, 2)[0])
    monkeypatch.setattr("ddm2snn.workflow.report.Page._pictures", lambda _: [picture])


@pytest.mark.parametrize("command", OUTPUTS)
def test_a_disk_that_is_full_at_the_nth_write(cli, files, quick_verbs, command):
    """One line, and nothing left; until a number of writes that is enough."""
    out = files / "out"
    out.mkdir()
    target = out / FORMATS.get(command, "x")
    words = OUTPUTS[command].format(target).split()
    failures = 0
    for last in (*range(8), 12, 20, 40, 80, 160, 320, 640):
        with FullDisk(out, last).mounted() as disk:
            code, printed, err = cli(*words)
        if not disk.failed or code == 0:  # the last failure is that of the list of files, which does no harm
            break
        failures += 1
        assert code == 2, err
        assert printed == ""
        assert "No space left on device" in err.strip().splitlines()[-1]
        assert "Traceback" not in err
        left = [path.name for path in out.rglob("*") if path.is_file()]
        assert not [name for name in left if name.endswith(".part")]
        assert command in SOME_FILES or not left
    assert failures >= 2
    assert cli(*words)[0] == 0
    assert any(path.is_file() for path in out.rglob("*"))


def test_steps_of_a_run_on_a_full_disk(tmp_path):
    """Each attempt ends in one line and leaves whole files; the last, with room, is as if nothing had been."""
    names = ("a", "b", "c")
    steps = [Step(n, (), {}, (n,), lambda progress, n=n: write_text(tmp_path / n, n)) for n in names]
    with FullDisk(tmp_path, 0).mounted(), pytest.raises(FileRefusedError, match="No space left on device"):
        perform(steps, tmp_path, Announce())
    failures = 0
    for last in range(40):
        with FullDisk(tmp_path, last).mounted(), contextlib.suppress(FileRefusedError):
            perform(steps, tmp_path, Announce())
            break
        failures += 1
        assert not list(tmp_path.glob(".*.part"))
        assert all(path.read_text() == path.name for path in tmp_path.iterdir() if path.name in names)
    assert failures >= 8
    assert {path.name for path in tmp_path.iterdir()} == {*names, "steps.json"}
