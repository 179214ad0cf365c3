"""Notebooks run from top to bottom at reduced size, store the outputs of the code they have, and assert their figures.

A cell with the tag `parameters` holds every size. A comment gives the value that it has here: `TRIALS = 9  # tests: 4`.
Cells run in this process, because a kernel for each notebook would spend longer on imports than on the cells.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import nbformat
import pytest

BOOK = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
LARGEST = 400_000  # bytes with outputs
REDUCED = re.compile(r"^(\w+) = .+?  # tests: ([^;\n]+)(?:;.*)?$", re.MULTILINE)
sys.path.append(str(BOOK))

from execute import digest, smaller  # noqa: E402  # pyright: ignore[reportMissingImports]

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def draws(cell):
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def reduced(source):
    return REDUCED.sub(r"\1 = \2", source)


def run(path):
    """Execute the code cells as one module, where a kernel's commands such as %matplotlib mean nothing."""
    names = {"__name__": "__main__"}
    for number, cell in enumerate(code_cells(path)):
        source = reduced(cell.source) if "parameters" in cell.metadata.get("tags", []) else cell.source
        source = re.sub(r"^%.*$", "", source, flags=re.MULTILINE)
        exec(compile(source, f"{path.name}, code cell {number}", "exec"), names)
    return names


def test_there_are_notebooks():
    assert NOTEBOOKS


@each
def test_stored_outputs_are_those_of_the_code(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata.get("code_sha256") == digest(notebook), (
        f"python notebooks/execute.py notebooks/{path.name}"
    )
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert outputs
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
    assert path.stat().st_size < LARGEST


@each
def test_every_figure_has_its_number_asserted(path):
    for cell in code_cells(path):
        assert not draws(cell) or re.search(r"^ *assert ", cell.source, re.MULTILINE), cell.source


@pytest.mark.slow
@each
def test_notebook_runs(path, tmp_path, monkeypatch, capsys, record_property):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    (cell,) = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    assert reduced(cell.source) != cell.source, "no size is smaller in tests"
    start = time.process_time()
    run(path)
    record_property("processor_time_s", time.process_time() - start)
    assert capsys.readouterr().out


def test_a_size_is_reduced():
    assert reduced("A = 32  # tests: 4; trials\nB = 3  # tests: 2\nC = 1\n") == "A = 4\nB = 2\nC = 1\n"


def test_outputs_of_other_code_are_seen():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x = 1")])
    before = digest(notebook)
    notebook.cells[0].source = "x = 2"
    assert digest(notebook) != before


def test_a_stored_figure_is_no_wider_than_the_page():
    import base64
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (1500, 300), "red").save(buffer, format="png")
    small = Image.open(io.BytesIO(base64.b64decode(smaller(base64.b64encode(buffer.getvalue()).decode()))))
    assert small.size == (1000, 200)
