"""README and book: links lead somewhere, commands and options exist, Python compiles, numbers have their command."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import nbformat
import pytest
import typer.main

import ddm2snn
from ddm2snn.cli.main import app

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "notebooks"
sys.path.append(str(BOOK))

from site_links import broken  # noqa: E402  # pyright: ignore[reportMissingImports]

PAGES = [ROOT / "README.md", *sorted(BOOK.glob("*.md"))]
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
COMMANDS = typer.main.get_command(app)
# what makes a number: a command, a test, or the page that has both
SOURCE = re.compile(r"`(?:python |ddm2snn |tests/)|^(?:\.venv/bin/)?ddm2snn |results\.md|\.ipynb\)", re.MULTILINE)
MEASURED = re.compile(r"\d\.\d|\de-?\d|\d (?:%|x |s\b|ms\b|kB|MB|GiB)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text_of(page):
    """Markdown of a page or notebook."""
    if page.suffix != ".ipynb":
        return page.read_text()
    return "\n\n".join(cell.source for cell in nbformat.read(page, as_version=4).cells if cell.cell_type == "markdown")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def anchors(page):
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def without_code(text):
    return re.sub(r"`[^`]+`", "", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def sections(text):
    """Parts of a page, each from one heading of the second level to the next."""
    return re.split(r"^(?=## )", text, flags=re.MULTILINE)


def unfounded(text):
    """Sections with a measured number and without anything that makes it."""
    return [part for part in sections(text) if MEASURED.search(without_code(part)) and not SOURCE.search(part)]


def test_there_are_pages():
    assert {"README.md", "index.md", "guide.md", "glossary.md", "results.md"} <= {page.name for page in PAGES}


def test_every_page_is_in_the_book():
    named = set(re.findall(r"^([\w-]+)$", (BOOK / "index.md").read_text(), re.MULTILINE))
    assert named == {page.stem for page in (*PAGES[1:], *NOTEBOOKS)} - {"index"}


def test_every_public_name_is_on_the_page_of_the_interface_once():
    names = re.findall(r"^\.\. auto\w+:: ddm2snn\.(\w+)$", (BOOK / "api.md").read_text(), re.MULTILINE)
    assert sorted(names) == sorted(ddm2snn.__all__)


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each_page
def test_numbers_stand_by_what_makes_them(page):
    if page.name not in ("glossary.md", "api.md"):
        assert not unfounded(page.read_text())


def test_a_number_without_a_command_is_seen():
    assert unfounded("# A\n\n## B\n\nIt is 1.8 % slower.\n")
    assert not unfounded("# A\n\n## B\n\n`ddm2snn run vanderpol -o out` is 1.8 % slower.\n")
    assert not unfounded("# A\n\n## B\n\nGive `--error 0.5`.\n")


def test_numbers_of_the_table_in_readme_are_results():
    results = (BOOK / "results.md").read_text()
    (table,) = (part for part in sections(PAGES[0].read_text()) if part.startswith("## How close"))
    rows = [row.split("|")[2:-1] for row in re.findall(r"^\| `.*$", table, re.MULTILINE)]
    for number in re.findall(r"[\d.]+", " ".join(cell for row in rows for cell in row)):
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.]*\d)", results), number


@each_page
def test_named_files_exist(page):
    for name in re.findall(r"(?:tests|ddm2snn|notebooks|backends)/[\w/.-]+\.(?:py|c|md|png|ipynb)", page.read_text()):
        assert (ROOT / name).exists(), name


@each_page
def test_python_blocks_compile(page):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


@each_page
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
    text = PAGES[0].read_text()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert len(prose.split()) <= 700
    assert max(len(part.split()) for part in prose.split("\n\n") if "|" not in part) <= 100
    assert text.count("![") == 1
    assert all(path.stat().st_size < 150_000 for path in (ROOT / "notebooks/figures").iterdir())


def test_a_broken_link_of_a_site_is_seen(tmp_path):
    (tmp_path / "a.html").write_text('<p id="here"><a href="b.html#there">b</a><a href="#here">a</a><img src="c.png">')
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html#nowhere">a</a><a href="https://x.org/y">x</a>')
    assert broken(tmp_path) == ["a.html: c.png", "b.html: a.html#nowhere"]
