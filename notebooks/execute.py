"""Execute notebooks at full size and store their outputs: `python notebooks/execute.py notebooks/01-van-der-pol.ipynb`.

The site shows what is stored here. A digest of the code stands beside the outputs, so that a test sees outputs of
other code.
"""

import base64
import hashlib
import io
import re
import resource
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

LARGEST = 400_000  # bytes of a stored notebook [choice]
WIDEST = 1000  # pixels of a stored figure [choice]
COLOURS = 128  # of a stored figure: a third of the bytes of full colour [choice]


def digest(notebook: nbformat.NotebookNode) -> str:
    """SHA-256 of the code cells, without the sizes that tests take."""
    code = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    code = re.sub(r"  # tests: .*$", "", code, flags=re.MULTILINE)
    return hashlib.sha256(code.encode()).hexdigest()


def smaller(png: str) -> str:
    """Figure in base64 with fewer pixels and colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook with what it printed and drew, and without when and where."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data = {"image/png": smaller(output.data["image/png"])}
                output.metadata = {}
    notebook.metadata.language_info = {"name": "python"}
    notebook.metadata["code_sha256"] = digest(notebook)
    text = nbformat.writes(notebook)
    if len(text) > LARGEST:
        sys.exit(f"{path} has {len(text):,} bytes with its outputs; {LARGEST:,} are allowed. Draw smaller figures.")
    path.write_text(text + "\n")


def execute(path: Path) -> float:
    """Run one notebook in a kernel of its own, store it in place, and return the processor time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    store(notebook, path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"{name}: {execute(Path(name)):.0f} s of processor time")
