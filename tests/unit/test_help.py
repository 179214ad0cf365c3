"""The help: commands in the order of use, whole summaries, an example each, and one default per name of an option."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections import defaultdict

import pytest
import typer
from test_pages import check_command

from ddm2snn.cli.main import COMMANDS, app
from ddm2snn.conversion.decoders import DECODERS
from ddm2snn.exchange.export import FORMATS
from ddm2snn.exchange.recording_formats import RECORDING_FORMATS
from ddm2snn.neuron import NEURON_MODELS

ORDER = [
    "run", "sweep", "train", "import", "convert", "plan", "restructure", "simulate", "compare", "analyse", "stress",
    "export", "hardware", "systems", "backends", "cache",
]  # fmt: skip
LEAVES = {
    (name, *below): command
    for name, group in typer.main.get_command(app).commands.items()  # pyright: ignore[reportAttributeAccessIssue]
    for below, command in [((), group), *(((b,), c) for b, c in getattr(group, "commands", {}).items())]
}


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",)], ids=str)
def test_the_help_lists_all_commands_in_the_order_of_use(cli, arguments):
    code, out, err = cli(*arguments)
    assert (code, err) == (0, "")
    assert re.findall(r"^  ([a-z]+)  ", out, re.MULTILINE) == ORDER
    assert [line[:-1] for line in out.splitlines() if line.endswith(":")] == ["Options", *COMMANDS]
    assert "..." not in out.split("Options:")[1], "a summary is cut"
    assert max(map(len, out.splitlines())) < 80


@pytest.mark.parametrize("name", LEAVES, ids=" ".join)
def test_each_command_has_an_example_that_it_takes(cli, name):
    code, out, err = cli(*name, "-h")
    assert (code, err) == (0, "")
    assert "..." not in out.partition("Commands:")[2]
    example = out.partition("Example: ddm2snn ")[2].replace("\n", " ")
    assert tuple(shlex.split(example)[: len(name)]) == name
    check_command(shlex.split(example))


def test_one_default_per_name_of_an_option():
    defaults = defaultdict(set)
    for command in LEAVES.values():
        for parameter in command.params:
            if parameter.default is not None and parameter.opts[0].startswith("--"):
                defaults[parameter.opts[0]].add(parameter.default)
    assert {"--seed", "--dt-s", "--duration", "--trials"} <= defaults.keys()
    assert {name: values for name, values in defaults.items() if len(values) > 1} == {}


def test_choices_are_those_that_there_are():
    shown = {(*name, p.opts[0]): p.metavar for name, command in LEAVES.items() for p in command.params}
    assert shown["convert", "--decoders"].split("|") == list(DECODERS)
    assert set(shown["convert", "--neuron"].split("|")) == {*NEURON_MODELS, "heterogeneous-lif"}
    known = dict.fromkeys([*FORMATS, "card", *RECORDING_FORMATS])
    assert shown["export", "--format"].split("|") == list(known)


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version(cli, option):
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", cli(option)[1])


@pytest.mark.parametrize(
    ("words", "place", "completed"), [("ddm2snn co", 1, "convert\ncompare\n"), ("ddm2snn plan --dt", 2, "--dt-s\n")]
)
def test_a_shell_completes_commands_and_options(cli, monkeypatch, words, place, completed):
    for name, value in {"_DDM2SNN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(place)}.items():
        monkeypatch.setenv(name, value)
    assert cli() == (0, completed, "")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_says_what_is_kept_and_leaves_no_empty_folder(tmp_path):
    command = [sys.executable, "-m", "ddm2snn.cli", "run", "lorenz", "-o", "deep/out"]
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("train"):
            pass
        assert (tmp_path / "deep/out/.run.lock").exists()
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 128 + signal.SIGINT
    assert rest == "Interrupted. Steps that were done are kept. Repeat the command to go on.\n"
    assert list(tmp_path.rglob("*")) == [tmp_path / "tmp"]


def test_a_folder_is_removed_only_where_it_was_made_and_nothing_of_worth_is_in_it(tmp_path):
    from ddm2snn.base.files import new_folder

    def fill(folder, files):
        with new_folder(folder, notes=("lock",)) as made:
            for file in files:
                (made / file).write_text("x")
            raise KeyboardInterrupt

    def stop_in(folder, *files):
        with pytest.raises(KeyboardInterrupt):
            fill(folder, files)

    stop_in(tmp_path / "a/b", "lock")
    assert not (tmp_path / "a").exists()
    stop_in(tmp_path / "a/b", "rate", "lock")
    stop_in(tmp_path / "a/b", "other")
    assert sorted(path.name for path in (tmp_path / "a/b").iterdir()) == ["lock", "other", "rate"]
    stop_in(tmp_path)
    assert tmp_path.is_dir()
