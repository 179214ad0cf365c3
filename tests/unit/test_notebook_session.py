"""A session in a notebook, in a kernel of its own: tables, pictures and bars by themselves, without pyplot."""

from __future__ import annotations

import base64
import io

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

CELLS = {
    "rate": "import ddm2snn\nrate = ddm2snn.RateNetwork.load('rate.safetensors')\nrate",
    "conversion": "converted = ddm2snn.convert(rate, population=16, backend='reference', decoders='static', dt_s=5e-4)"
    "\nconverted",
    "network": "network = converted.network\nnetwork",
    "tuning": "network.plot_tuning()",
    "recording": "run = ddm2snn.simulate(network, duration=12, every=0.1, spikes=True, progress=True)\nrun",
    "trial": "run.plot()",
    "latents": "run.latent",
    "report": "report = ddm2snn.compare(ddm2snn.simulate(rate, duration=12, every=0.1, seed=1), run)\nreport",
    "distances": "report.plot()",
    "frame": "report.to_dataframe()",
    "system": "ddm2snn.find_system('lorenz')",
    "loaded": "run.save('run.nc')\nddm2snn.load('run.nc')",
    "names": "print([text.get_text() for text in run.plot()[1].get_legend().texts])",
}
TABLES = ("rate", "conversion", "network", "recording", "latents", "report", "frame", "system", "loaded")
PICTURES = ("tuning", "trial", "distances")
BACKGROUND = 250  # of a pixel that is not drawn on, of 255
_INK = 0.01  # share of the pixels that a picture of axes, names and lines covers at least


@pytest.fixture(scope="module")
def session(quick_rate, tmp_path_factory):
    """Outputs of each cell, by its name."""
    folder = tmp_path_factory.mktemp("session")
    quick_rate.save(folder / "rate.safetensors")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS.values()])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    nbformat.write(notebook, folder / "session.ipynb")
    return {name: cell.outputs for name, cell in zip(CELLS, notebook.cells, strict=True)}


def shown(session, name):
    """What the last line of a cell shows, by kind."""
    (result,) = [output for output in session[name] if output.output_type == "execute_result"]
    return result.data


@pytest.mark.parametrize("name", TABLES)
def test_an_object_is_a_table(session, name):
    data = shown(session, name)
    assert "<t" in data["text/html"] or "<pre" in data["text/html"]
    if name not in ("latents", "frame"):
        assert len(data["text/plain"].splitlines()) <= 6


@pytest.mark.parametrize("name", PICTURES)
def test_a_plot_is_a_picture(session, name):
    picture = Image.open(io.BytesIO(base64.b64decode(shown(session, name)["image/png"]))).convert("L")
    assert min(picture.size) > 300
    assert (np.asarray(picture) < BACKGROUND).mean() > _INK


def test_progress_is_a_bar_and_nothing_else_is_said(session):
    (bar,) = [output for output in session["recording"] if output.output_type != "execute_result"]
    assert bar.data["text/html"] == 'simulate on reference <progress value="1.000"></progress>'
    assert all(len(session[name]) == 1 for name in CELLS if name != "recording")


def test_latents_have_the_names_of_the_system(session):
    assert "* rank     (rank) <U1" in shown(session, "latents")["text/plain"]
    (names,) = session["names"]
    assert names.text == "['latent 0: x', 'latent 1: y']\n"
