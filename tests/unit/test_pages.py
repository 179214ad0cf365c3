"""README and pages: links lead somewhere, commands and options exist, Python compiles, README stays short."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from ddm2snn.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "notebooks").glob("*.md"))]
COMMANDS = typer.main.get_command(app)


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def anchors(page):
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_there_are_pages():
    assert [page.name for page in PAGES] == ["README.md", "glossary.md", "guide.md", "results.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page):
    for name in re.findall(r"(?:tests|ddm2snn|notebooks|backends)/[\w/.-]+\.(?:py|c|md|png|ipynb)", page.read_text()):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_compile(page):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page):
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    lines += re.findall(r"`((?:ddm2snn )[^`]+)`", page.read_text())
    for line in lines:
        for part in line.split(" && "):
            words = shlex.split(part, comments=True)
            if words and words[0].endswith("ddm2snn") and words[1] != "COMMAND":
                check_command(words[1:])


def check_command(words):
    command = COMMANDS
    while (below := getattr(command, "commands", None)) and words and not words[0].startswith("-"):
        assert words[0] in below, words
        command, words = below[words[0]], words[1:]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert {word for word in words if re.match("--?[a-z]", word)} <= known, words


def test_an_unknown_option_is_seen():
    with pytest.raises(AssertionError):
        check_command(["convert", "rate.safetensors", "--no-such-option"])


def test_readme_is_short_and_its_picture_small():
    assert len(PAGES[0].read_text().splitlines()) <= 120
    assert all(path.stat().st_size < 150_000 for path in (ROOT / "notebooks/figures").iterdir())
