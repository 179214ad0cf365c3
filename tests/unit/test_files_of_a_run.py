"""A run writes over its own files alone; what else lies in its folder is kept."""

from __future__ import annotations

import numpy as np
import pytest

import ddm2snn
from ddm2snn.base.progress import Announce
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.workflow.steps import Step, perform

PAGE = "<html>{}</html>\n"


class Killed(BaseException):
    """The process is killed."""


@pytest.fixture
def perform_in(tmp_path, recording_of):
    """Run three steps with outputs of all kinds; `number` is a setting of theirs."""

    def act(number=0, kill=False, seed=19):
        def save(progress):
            done.append("run")
            recording_of(seed=seed + number).save(tmp_path / "run.nc")
            if kill:
                raise Killed

        def report(progress):
            done.append("report")
            (tmp_path / "figures").mkdir(exist_ok=True)
            (tmp_path / "figures" / "a.png").write_bytes(b"x")
            (tmp_path / "report.html").write_text(PAGE.format(number))
            (tmp_path / "summary.json").write_text(f'{{"number": {number}}}')

        done: list[str] = []
        steps = [
            Step("run", (), {"number": number}, ("run.nc",), save),
            Step("report", ("run",), {}, ("report.html", "summary.json"), report, "figures"),
        ]
        perform(steps, tmp_path, Announce())
        return done

    return act


@pytest.mark.parametrize("name", ["run.nc", "report.html", "summary.json"])
def test_a_file_that_was_there_is_kept(tmp_path, perform_in, refuses, name):
    (tmp_path / name).write_text("mine")
    with refuses(FileRefusedError, str(tmp_path / name), "Move it to another place, or choose another folder"):
        perform_in()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "mine"}


def test_a_link_to_nowhere_is_kept(tmp_path, perform_in, refuses):
    (tmp_path / "report.html").symlink_to("nowhere")
    with refuses(FileRefusedError, "report.html"):
        perform_in()
    assert (tmp_path / "report.html").is_symlink()


def test_figures_that_were_there_are_kept(tmp_path, perform_in, refuses):
    (tmp_path / "figures").mkdir()
    assert perform_in() == ["run", "report"]
    (tmp_path / "steps.json").unlink()
    for name in ("run.nc", "report.html", "summary.json"):
        (tmp_path / name).unlink()
    with refuses(FileRefusedError, "figures holds files of others"):
        perform_in()


@pytest.mark.parametrize("name", ["run.nc", "report.html", "summary.json"])
def test_a_file_that_was_changed_is_kept(tmp_path, perform_in, refuses, recording_of, name):
    perform_in()
    path = tmp_path / name
    if name == "run.nc":
        recording_of(seed=5).save(path)
    else:
        path.write_text('{"mine": 1}' if name.endswith("json") else PAGE.format("mine"))
    before = path.read_bytes()
    for number in (0, 1):
        with refuses(FileRefusedError, str(path)):
            perform_in(number)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["run.nc", "report.html", "summary.json"])
def test_a_damaged_file_is_made_again(tmp_path, perform_in, name):
    perform_in()
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    assert perform_in() == ["run" if name == "run.nc" else "report"]
    assert (tmp_path / name).read_bytes() == whole


def test_own_files_are_written_over_with_other_settings_and_after_a_kill(tmp_path, perform_in):
    perform_in()
    assert perform_in(1) == ["run", "report"]
    with pytest.raises(Killed):
        perform_in(2, kill=True)
    assert perform_in(3) == ["run", "report"]
    assert (tmp_path / "report.html").read_text() == PAGE.format(3)


def test_files_of_a_run_whose_record_is_damaged_are_its_own(tmp_path, perform_in):
    perform_in()
    (tmp_path / "steps.json").write_text("{")
    assert perform_in() == ["run", "report"]


def test_run_refuses_before_any_work(tmp_path, refuses):
    (tmp_path / "report.html").write_text("mine")
    announce = Announce()
    announce.start = lambda name: pytest.fail(name)  # pyright: ignore[reportAttributeAccessIssue]
    with refuses(FileRefusedError, "report.html"):
        ddm2snn.run("vanderpol", tmp_path, progress=announce)
    assert (tmp_path / "report.html").read_text() == "mine"
    assert np.sort([path.name for path in tmp_path.iterdir()]).tolist() == [".run.lock", "report.html"]


@pytest.fixture
def commands(cli, tmp_path, make_rate, monkeypatch):
    """Folder of a command, and that command; pages have no pictures, which take long."""
    monkeypatch.setattr("ddm2snn.workflow.report.Page._pictures", lambda _: iter(()))
    rng = np.random.default_rng(0)
    make_rate(rank=2, units=8, initial_latent=rng.standard_normal((40, 2))).save(tmp_path / "rate.safetensors")
    for seed in (1, 2):
        samples = rng.standard_normal((4, 200, 1))
        ddm2snn.Recording.from_arrays(samples, every=0.1, time_unit_s=1.0).save(tmp_path / f"{seed}.nc")
    words = {"compare": ("1.nc", "2.nc"), "analyse": ("rate.safetensors",)}
    return {name: (tmp_path / name, lambda n=name, w=rest: cli(n, *w, "-o", n)) for name, rest in words.items()}


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("compare", "report.html"), ("compare", "summary.json"), ("compare", "figures/a.png"),
        ("analyse", "analysis.json"), ("analyse", "lyapunov.png"),
    ],
)  # fmt: skip
def test_compare_and_analyse_keep_files_that_were_there(commands, command, file):
    folder, act = commands[command]
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text("mine")
    code, _, err = act()
    assert (code, err.count("\n")) == (2, 1)
    assert "choose another folder" in err.lower()
    assert {path.read_text() for path in folder.rglob("*") if path.is_file()} == {"mine"}


@pytest.mark.parametrize(("command", "file"), [("compare", "report.html"), ("analyse", "subspace.png")])
def test_compare_and_analyse_write_over_their_own_files_alone(commands, command, file):
    folder, act = commands[command]
    assert act()[0] == 0
    written = (folder / file).read_bytes()
    (folder / file).write_bytes(written[: len(written) // 2])
    assert act()[0] == 0
    assert (folder / file).read_bytes() == written
    changed = written.replace(b"<html", b"<!-- mine --><html", 1) if file.endswith("html") else written + b"mine"
    (folder / file).write_bytes(changed)
    assert act()[0] == 2
    assert (folder / file).read_bytes() == changed


def test_parts_of_files_that_a_killed_run_has_left_are_removed_at_once(tmp_path, monkeypatch):
    (tmp_path / "figures").mkdir()
    parts = [tmp_path / f".{'a' * 12}.part", tmp_path / "figures" / f".{'b' * 12}.part"]
    kept = [tmp_path / ".mine.part", tmp_path / "figures" / "a.png"]
    for path in (*parts, *kept):
        path.write_text("x")

    def stop(*_):
        raise InputError("stopped.")

    monkeypatch.setattr("ddm2snn.workflow.pipeline.perform", stop)
    with pytest.raises(InputError, match="stopped"):
        ddm2snn.run("vanderpol", tmp_path)
    assert [path.exists() for path in (*parts, *kept)] == [False, False, True, True]
