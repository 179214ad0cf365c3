"""Every command and Python snippet of README and of the book's pages runs, in an empty folder and at a small size.

`SMALLER` and `CALIBRATION` hold the sizes. `LEFT_OUT` says which commands do not run here, and why. In README and the
quickstart, commands within a sentence run as well; elsewhere `test_pages.py` holds them to the options that exist.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

import ddm2snn
from ddm2snn.cli.main import main
from ddm2snn.conversion.decoders.calibrated import Calibrated
from ddm2snn.workflow.sweep_grid import Grid

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "notebooks"
FIRST = [ROOT / "README.md", BOOK / "quickstart.md", BOOK / "guide.md"]
REST = [page for page in sorted(BOOK.glob("*.md")) if page not in FIRST and page.stem not in ("results", "changelog")]
READ = {"README": FIRST[:1], "quickstart": FIRST[1:2], "guide": [*FIRST[2:], *REST]}  # each in a folder of its own
CALIBRATION = 400.0  # rate time units along which decoders are solved
RECIPE = """system = "{system}"
reference_runs = 2
backends = ["brian2"]
[training]
units = 12
error = 0.1
[conversion]
neurons_per_unit = 2
time_unit_s = 0.5
[simulation]
trials = 4
duration = 12.0
"""
SMALLER = {
    r"run vanderpol": "run vanderpol.toml",
    r"run fitzhugh\.py:neuron": "run fitzhugh.toml --execute",
    r"train vanderpol": "train vanderpol --units 12 --error 0.1",
    r"train\(\"vanderpol\"\)": 'train("vanderpol", units=12, training=ddm2snn.Training(error=0.1))',
    r"trials=64": "trials=4, duration=12.0",
    r"--trials (64|16)": "--trials 4 --duration 12",
    r"(simulate chip.*) --trials 4 --duration 12": r"\1 --trials 2 --duration 2",
    r"--backend compiled": "--trials 2 --duration 5 --backend compiled",
    r"(convert .*)--neurons-per-unit 4": r"\1--neurons-per-unit 2",
    r"convert (rate.safetensors|net.safetensors)": r"convert \1 --time-unit-s 0.5",
    r"repeats=100": "repeats=8",
    r"simulate (net|spiking)\.safetensors": r"simulate \1.safetensors --duration 8",
    r"stress (.*?)( --levels.*)?$": r"stress \1 --levels neurons=0.2 --seeds 1 --trials 2 --duration 5",
}
LEFT_OUT = {
    r"pip install|-m venv|^bash \.ci/run": "an installation: .ci/run makes one by README's own line",
    r"ddm2snn train dysts:": "the extra dysts is in no test's environment (350 MB)",
    r"^mpiexec": "tests/conformance has the ranks",
    r"--with sana-fe": "its wheel puts folders named tests and src beside all packages; tests/unit/test_sana_fe.py",
    r"--format pynn": "needs PyNN, which is in no test's environment; tests/conformance/test_pynn_in_nest.py",
    r"sphinx-build|notebooks/(execute|site_links)\.py": "the book: .ci/run builds it, test_notebooks.py runs notebooks",
    r"pytest|^python tests/": "tests, and benchmarks of minutes",
    r"^cd kit|^python (check|network)\.py": "NengoLoihi alone, or a board: tests/benchmarks/board_kit.py",
    r"plan .*--hardware": "conversions of minutes; tests/unit/test_device_plan.py",
    r"ddm2snn COMMAND|ddm2snn (run|sweep) recipe": "a placeholder",
}


def shortened(text):
    for pattern, smaller in SMALLER.items():
        text = re.sub(pattern, smaller, text)
    return text


def snippets(page):
    """Kind and text of every snippet of a page, from the top on."""
    blocks = r"^```(bash|python|toml)\n(.*?)^```$"
    sentences = r"|`(ddm2snn [^`]+)`" if page.stem in ("README", "quickstart") else ""
    for match in re.finditer(blocks + sentences, page.read_text(), re.DOTALL | re.MULTILINE):
        yield (match[1], match[2]) if match[1] else ("bash", match[3])


def commands(block):
    for line in block.splitlines():
        for part in line.split("#")[0].split(" && "):
            if part.strip():
                yield part.strip()


def run_command(command):
    if any(re.search(pattern, command) for pattern in LEFT_OUT):
        return
    words = shlex.split(shortened(command))
    assert Path(words[0]).name == "ddm2snn", f"nothing runs {command!r}"
    with pytest.raises(SystemExit) as ended:
        main(words[1:])
    assert not ended.value.code, command


@pytest.fixture
def folder(tmp_path, monkeypatch, quick_rate, quick_spiking, make_rate, animal):
    """What the pages take for granted: networks, recordings and weights of others under the names that they use."""
    rng = np.random.default_rng(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Calibrated, "duration_for", lambda *_: CALIBRATION)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    quick_rate.save("rate.safetensors")
    quick_spiking.save("snn.safetensors")
    m, n = rng.standard_normal((2, 20, 2)) / 2
    scales = {"wi": np.ones((1, 20)), "si": np.ones(1), "wo": np.ones((20, 1)), "so": np.ones(1)}
    torch.save({name: torch.tensor(array) for name, array in {"m": m, "n": n, **scales}.items()}, "model.pt")
    np.savez("net.npz", m=m, n=n)
    make_rate(input_map=np.array([[1.0], [0.5]]), diffusion_factor=0.1 * np.eye(2)).save("net.safetensors")
    savemat("net.mat", {"Wrec": rng.standard_normal((20, 3)) @ rng.standard_normal((3, 20)) / 20})
    Path("names.toml").write_text('weights = "Wrec"\nactivation = "tanh"\nfiltered = "currents"\n')
    run = ddm2snn.simulate(quick_spiking, trials=2, duration=12.0, every=0.1, spikes=True)
    run.save("run.nc")
    ddm2snn.export(run, "spikes.nix", format="neo")


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", READ)
def test_snippets_run(name):
    Path("vanderpol.toml").write_text(RECIPE.format(system="vanderpol"))
    Path("fitzhugh.toml").write_text(RECIPE.format(system="fitzhugh.py:neuron"))
    found = [(page.name, *snippet) for page in READ[name] for snippet in snippets(page)]
    for _, kind, text in found:
        if kind == "python" and "\nneuron = System(" in text:
            Path("fitzhugh.py").write_text(text)
    for page, kind, text in found:
        if kind == "python":
            exec(compile(shortened(text), page, "exec"), {"__name__": "__main__"})
        elif kind == "toml":
            Path("recipe.toml").write_text(text)
            assert Grid.of(Path("recipe.toml")).points()
        else:
            for command in commands(text):
                run_command(command)
