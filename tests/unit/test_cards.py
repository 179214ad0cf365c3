"""Cards: folders and zips for model hubs, which say what a network is and give it back."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import ddm2snn
from ddm2snn import Card, InputError, Recording
from ddm2snn.errors import FileRefusedError


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    runs = [Recording.from_arrays(rng.standard_normal((8, 100, 1)), every=0.1, time_unit_s=0.1) for _ in range(3)]
    return ddm2snn.compare(runs[0], runs[1], floor=runs[2], label="a | <b>")


def header(readme):
    """Metadata of a card, by key."""
    lines = readme.split("---\n")[1].splitlines()
    return {line.split(": ")[0]: line.split(": ")[1] for line in lines if ": " in line}


@pytest.mark.parametrize("name", ["card", "card.zip"])
def test_a_card_gives_the_network_back(quick_spiking, quick_rate, tmp_path, name):
    for network in (quick_spiking, quick_rate):
        done = ddm2snn.export(network, tmp_path / name, format="card")
        assert done.lost == ()
        assert all(file.exists() for file in done.files)
        back = (type(network)).load(tmp_path / name)
        assert back.fingerprint == network.fingerprint
        assert back.provenance == json.loads(json.dumps(dict(network.provenance)))  # tuples are lists in files


def test_a_folder_that_somebody_zipped_is_read(quick_spiking, tmp_path):
    files = ddm2snn.export(quick_spiking, tmp_path / "card", format="card").files
    with zipfile.ZipFile(tmp_path / "downloaded.zip", "w") as archive:
        for file in files:
            archive.write(file, f"some/where/{file.name}")
    assert ddm2snn.load(tmp_path / "downloaded.zip").fingerprint == quick_spiking.fingerprint


def test_equal_networks_give_equal_zips(spiking_of, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        ddm2snn.export(spiking_of(), tmp_path / name / "card.zip", format="card")
    assert (tmp_path / "a/card.zip").read_bytes() == (tmp_path / "b/card.zip").read_bytes()


def test_the_readme_says_what_it_is_how_good_and_how_to_load(quick_spiking, report, tmp_path):
    card = Card(licence="CC-BY-4.0", report=report)
    ddm2snn.export(quick_spiking, tmp_path / "card", format="card", card=card)
    text = (tmp_path / "card/README.md").read_text()
    assert header(text) == {"library_name": "ddm2snn", "license": "cc-by-4.0"}
    assert '- "vanderpol"' in text
    for words in ("32 neurons, rank 2", quick_spiking.fingerprint, "- drift error, by latent: 0.", "ddm2snn.load("):
        assert words in text
    rows = [line for line in text.splitlines() if line.startswith("|") and line.endswith("|")]
    assert sum("maximum mean discrepancy" in row for row in rows) == 1
    assert r"a \| \<b\>" in text
    assert "<b>" not in text.replace(r"\<b\>", "")
    assert json.loads((tmp_path / "card/fidelity.json").read_text())["a | <b>"]["verdict"] == report.verdict


def test_a_network_that_knows_nothing_of_itself_says_so(spiking_of, tmp_path):
    ddm2snn.export(spiking_of(provenance={}), tmp_path / "card", format="card")
    text = (tmp_path / "card/README.md").read_text()
    assert "license" not in header(text)
    for words in ("None was stated", "No comparison was given", "carries no errors"):
        assert words in text


def test_the_report_of_a_comparison_is_read_from_its_file(report, spiking_of, tmp_path, refuses):
    report.save(tmp_path / "report.json")
    (tmp_path / "summary.json").write_text(json.dumps({"reports": {"x": report.as_json()}}))
    for name in ("report.json", "summary.json"):
        ddm2snn.export(spiking_of(), tmp_path / name[:3], format="card", card=Card(report=tmp_path / name))
        assert "maximum mean discrepancy" in (tmp_path / name[:3] / "README.md").read_text()
    (tmp_path / "other.json").write_text("[1]")
    with refuses(FileRefusedError, "other.json", "holds no comparison"):
        ddm2snn.export(spiking_of(), tmp_path / "new", format="card", card=Card(report=tmp_path / "other.json"))
    assert not (tmp_path / "new").exists()


def test_what_is_not_ours_is_not_written_over(spiking_of, tmp_path, refuses):
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "README.md").write_text("# Mine")
    (folder / "notes.txt").write_text("mine")
    with refuses(FileRefusedError, "README.md", "no file of an export"):
        ddm2snn.export(spiking_of(), folder, format="card")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "notes.txt"]


def test_licences_are_identifiers(refuses):
    for licence in ("my own words", "a\nb: c", ""):
        with refuses(InputError, "must be an identifier such as cc-by-4.0"):
            Card(licence=licence)


def test_zips_of_others_are_refused(tmp_path, refuses):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("README.md", "none")
    with refuses(FileRefusedError, "x.zip", "holds 0 files network.safetensors"):
        ddm2snn.load(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "y.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("network.safetensors", b"\0" * 2**28)
    with refuses(FileRefusedError, "y.zip", "more than a file of its size can hold"):
        ddm2snn.load(tmp_path / "y.zip")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("network.safetensors", b"nothing")
    with refuses(FileRefusedError, "network.safetensors in", "z.zip"):
        ddm2snn.load(tmp_path / "z.zip")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "x.zip").read_bytes()[:40])
    with refuses(FileRefusedError, "cut.zip"):
        ddm2snn.load(tmp_path / "cut.zip")


def test_the_command_line_writes_a_card(cli, quick_spiking, report, tmp_path):
    quick_spiking.save(tmp_path / "snn.safetensors")
    report.save(tmp_path / "report.json")
    options = ("--format", "card", "--licence", "mit", "--report", "report.json")
    assert cli("export", "snn.safetensors", "-o", "card", *options)[0] == 0
    assert cli("export", "snn.safetensors", "-o", "card.zip", *options)[0] == 0
    assert (tmp_path / "card/README.md").exists()
    assert cli("simulate", "card", "-o", "run.nc", "--trials", "2", "--duration", "1")[0] == 0
    assert cli("simulate", "card.zip", "-o", "run.nc", "--trials", "2", "--duration", "1")[0] == 0
    code, _, err = cli("export", "snn.safetensors", "-o", "net.nir", "--licence", "mit")
    assert (code, "card is none of format 'nir'" in err) == (2, True)
