"""A recipe that has a Python file executed says so, and needs a word of its user."""

from __future__ import annotations

import io

import pytest

RECIPE = "system = 'mine.py:x'\n"
MINE = "from pathlib import Path\nPath('executed').touch()\n"


class Terminal(io.StringIO):
    """A terminal that answers."""

    def isatty(self):
        return True


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def test_without_a_terminal_it_is_refused(cli, folder):
    code, out, err = cli("run", "recipe.toml", "-o", "out")
    assert (code, out) == (2, "")
    assert err == (
        f"Error: recipe.toml has {folder / 'mine.py'} executed. "
        "Read that file, and repeat with --execute if you trust it.\n"
    )
    assert not (folder / "executed").exists()
    assert not (folder / "out").exists()


@pytest.mark.parametrize(("answer", "executed"), [("n\n", False), ("\n", False), ("y\n", True)])
def test_on_a_terminal_it_is_asked(cli, folder, monkeypatch, answer, executed):
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    code, out, err = cli("run", "recipe.toml", "-o", "out")
    assert (code, out.strip()) == (2 if executed else 130, "")  # the file has no system
    assert f"recipe.toml has {folder / 'mine.py'} executed. Go on? [y/N]" in err
    assert (folder / "executed").exists() == executed


@pytest.mark.parametrize("words", [("recipe.toml", "--execute"), ("mine.py:x",)])
def test_no_question_where_the_user_has_said_so(cli, folder, words):
    code, _, err = cli("run", *words, "-o", "out")
    assert code == 2
    assert "has no attribute 'x'" in err
    assert (folder / "executed").exists()


def test_wells_of_a_file_say_that_it_is_executed(cli):
    from ddm2snn.cli.options import WELLS

    assert "which is executed" in WELLS
