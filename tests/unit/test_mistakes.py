"""Plausible mistakes, each answered in one line that says what was found and what to do, in Python and in the shell."""

# pyright: reportArgumentType=false, reportCallIssue=false
from __future__ import annotations

import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest

import ddm2snn
from ddm2snn import (
    InputError,
    Population,
    Recipe,
    Recording,
    Sparse,
    SpikeSelection,
    Static,
    Stimulus,
    System,
    Training,
)
from ddm2snn.analysis import analyse

FILE = """import numpy as np
from ddm2snn import System
raise_if_run = 1 / 0
roessler = System(name="roessler", rank=1, drift=lambda z: -z, diffusion=0.1)
"""
# name: call of the library with all things below, line of the shell, words of both answers
MISTAKES = {
    "misspelt command": (None, "trian vanderpol -o x.safetensors", "No such command 'trian'. Did you mean 'train'?"),
    "misspelt option": (None, "train vanderpol -o x.safetensors --unit 3", "--units", "See ddm2snn train -h"),
    "no argument": (None, "train", "Missing argument 'system'. See ddm2snn train -h"),
    "no output": (None, "train vanderpol", "Missing option '-o' / '--output'. See ddm2snn train -h"),
    "a word for a number": (None, "train vanderpol -o x.safetensors --units many", "'--units'", "valid integer"),
    "one number of two": (None, "convert rate.safetensors -o x.safetensors --input-range 1", "requires 2 arguments"),
    "misspelt system": (
        lambda m: ddm2snn.train("vanderpoll"),
        "train vanderpoll -o x.safetensors",
        "'vanderpoll'",
        "Did you mean vanderpol?",
    ),
    "file without the attribute": (
        lambda m: ddm2snn.train("mine.py"),
        "train mine.py -o x.safetensors",
        "such as mine.py:roessler",
        "assigns roessler",
    ),
    "recipe that names a file without the attribute": (
        lambda m: ddm2snn.run(Recipe.read("file.toml"), "out"),
        "run file.toml -o out",
        "mine.py:roessler",
    ),
    "wrong attribute": (
        lambda m: ddm2snn.find_system("quiet.py:x"),
        "train quiet.py:x -o x.safetensors",
        "no attribute 'x'",
        "systems in it: bad, decay",
    ),
    "recipe for a system": (
        lambda m: ddm2snn.train("typo.toml"),
        "train typo.toml -o x.safetensors",
        "Recipe.read",
        "`ddm2snn run`",
    ),
    "drift of one point": (
        lambda m: ddm2snn.train(System(name="bad", rank=2, drift=lambda z: z[..., 0], diffusion=0.1)),
        "train quiet.py:bad -o x.safetensors",
        "drift of an array (200, 2) has shape (200,)",
        "System.from_pointwise",
    ),
    "function for a system": (lambda m: ddm2snn.train(lambda z: -z), None, "train needs a System", "got function"),
    "no units": (
        lambda m: ddm2snn.train("vanderpol", units=0),
        "train vanderpol -o x.safetensors --units 0",
        "units must be a whole number above zero, got 0",
    ),
    "negative seed": (
        lambda m: ddm2snn.train("vanderpol", seed=-1),
        "train vanderpol -o x.safetensors --seed -1",
        "seed must be a whole number from 0",
        "got -1",
    ),
    "unknown activation": (
        lambda m: Training(activation="sigmoid"),
        "train vanderpol -o x.safetensors --activation sigmoid",
        "'sigmoid'; known are tanh, relu, lif",
    ),
    "text for settings": (
        lambda m: ddm2snn.train("vanderpol", training="quick"),
        None,
        "needs a Training as training, got str",
    ),
    "output of another kind": (
        None,
        "simulate rate.safetensors -o x.csv",
        "'.csv', but this command writes .nc. Name it x.nc",
    ),
    "output over an input": (
        None,
        "convert rate.safetensors -o rate.safetensors",
        "it is an input of the same command",
    ),
    "output in no folder": (
        lambda m: m.rate.save("no/x.safetensors"),
        "train vanderpol -o no/x.safetensors",
        "the folder no does not exist. Create it",
    ),
    "missing file": (lambda m: ddm2snn.load("no.nc"), "simulate no.nc -o x.nc", "File no.nc does not exist"),
    "text for a network": (
        lambda m: ddm2snn.load("notes.txt"),
        "simulate notes.txt -o x.nc",
        "notes.txt is no ddm2snn file",
    ),
    "network for a recording": (
        lambda m: Recording.load("rate.safetensors"),
        "compare a.nc rate.safetensors -o out",
        "rate.safetensors",
        "ecording",
    ),
    "path for a network": (
        lambda m: ddm2snn.convert("rate.safetensors"),
        None,
        "got a str. Read a file with ddm2snn.load",
    ),
    "spiking network to convert": (
        lambda m: ddm2snn.convert(m.snn),
        "convert snn.safetensors -o x.safetensors",
        "RateNetwork",
        "SpikingNetwork",
    ),
    "conversion for its network": (
        lambda m: ddm2snn.simulate(ddm2snn.Conversion(m.snn, m.snn)),
        None,
        "got Conversion",
        "give the network of a Conversion",
    ),
    "unknown decoders": (
        lambda m: ddm2snn.convert(m.rate, decoders="exact"),
        "convert rate.safetensors -o x.safetensors --decoders exact",
        "no decoders 'exact'; known are calibrated, static",
    ),
    "class for decoders": (lambda m: ddm2snn.convert(m.rate, decoders=Static), None, "the class Static: call it"),
    "unknown neuron model": (
        lambda m: Population(4, neuron="izhikevich"),
        "convert rate.safetensors -o x.safetensors --neuron izhikevich",
        "izhikevich",
    ),
    "no neurons": (
        lambda m: ddm2snn.convert(m.rate, population=0),
        "convert rate.safetensors -o x.safetensors --neurons-per-unit 0",
        "neurons_per_unit must be a finite number above zero",
    ),
    "milliseconds for seconds": (
        lambda m: ddm2snn.convert(m.rate, dt_s=1),
        "convert rate.safetensors -o x.safetensors --dt-s 1",
        "longer than the refractory period of 0.002 s. Use dt_s <= 0.002",
    ),
    "unknown backend": (
        lambda m: ddm2snn.convert(m.rate, backend="brian3"),
        "convert rate.safetensors -o x.safetensors --backend brian3",
        "no backend 'brian3'; installed are brian2",
    ),
    "unknown device": (lambda m: ddm2snn.find_hardware("loihi9"), "hardware show loihi9", "'loihi9'; known are ideal"),
    "simulator of a rate network": (
        lambda m: ddm2snn.simulate(m.rate, backend="brian2"),
        "simulate rate.safetensors -o x.nc --backend brian2",
        "RateNetwork",
        'Use backend="rate"',
    ),
    "class for a backend": (
        lambda m: ddm2snn.simulate(m.snn, backend=dict),
        None,
        "A backend is a name such as 'brian2'",
    ),
    "option of a simulator for a rate network": (
        None,
        "simulate rate.safetensors -o x.nc --backend-option mode=fast",
        "takes no options",
    ),
    "option without a value": (None, "simulate snn.safetensors -o x.nc --backend-option fast", "must be KEY=VALUE"),
    "unknown option of a backend": (
        lambda m: ddm2snn.find_backend("brian2", threads=4),
        "simulate snn.safetensors -o x.nc --backend brian2 --backend-option threads=4",
        "mode, precision, dense; got threads",
    ),
    "unknown mode of Brian2": (
        lambda m: ddm2snn.find_backend("brian2", mode="fast"),
        "simulate snn.safetensors -o x.nc --backend brian2 --backend-option mode=fast",
        "no mode 'fast'; choose one of auto",
    ),
    "no duration": (
        lambda m: ddm2snn.simulate(m.rate, duration=0),
        "simulate rate.safetensors -o x.nc --duration 0",
        "duration must be a finite number above zero",
    ),
    "no trials": (
        lambda m: ddm2snn.simulate(m.rate, trials=0),
        "simulate rate.safetensors -o x.nc --trials 0",
        "trials must be a whole number above zero",
    ),
    "array for a stimulus": (
        lambda m: ddm2snn.simulate(m.rate, stimulus=np.ones((3, 3))),
        None,
        "a Stimulus as stimulus, got a ndarray",
    ),
    "stimulus with a header": (
        lambda m: Stimulus.load("in.csv"),
        "simulate rate.safetensors -o x.nc --stimulus in.csv",
        "in.csv is no table of numbers",
        "time in the first column",
    ),
    "too few inputs": (
        lambda m: ddm2snn.simulate(m.rate, stimulus=Stimulus([0.0], [[1.0]])),
        "simulate rate.safetensors -o x.nc --stimulus one.csv",
        "has 1 along `input`, but the network takes 3",
    ),
    "spikes of a rate network": (
        lambda m: ddm2snn.simulate(m.rate, spikes=True),
        "simulate rate.safetensors -o x.nc --spikes",
        "no spikes to record. Convert it first",
    ),
    "window that ends before it begins": (
        lambda m: SpikeSelection((3, 1)),
        "simulate snn.safetensors -o x.nc --spike-window 3 1",
        "0 <= first < last",
    ),
    "text for a selection of spikes": (
        lambda m: ddm2snn.simulate(m.snn, spikes="all"),
        None,
        "a SpikeSelection as spikes, got a str",
    ),
    "networks to compare": (
        lambda m: ddm2snn.compare(m.rate, m.snn),
        "compare rate.safetensors snn.safetensors -o out",
        "RateNetwork",
    ),
    "arrays without an interval": (lambda m: ddm2snn.compare(m.a.samples, m.a.samples), None, "Give it as every"),
    "recordings of other rank": (
        lambda m: ddm2snn.compare(m.a, m.thin),
        "compare a.nc thin.nc -o out",
        "rank 1, the reference 2. Compare recordings of one system",
    ),
    "recordings of other intervals": (
        lambda m: ddm2snn.compare(m.a, m.slow),
        "compare a.nc slow.nc -o out",
        "each 0.2",
        "the same `every`",
    ),
    "reference for its own floor": (
        lambda m: ddm2snn.compare(m.a, m.b, floor=m.a),
        "compare a.nc b.nc --floor a.nc -o out",
        "is the reference itself",
        "its own `seed`",
    ),
    "too long a burn-in": (
        lambda m: ddm2snn.compare(m.a, m.b, burn_in=100),
        "compare a.nc b.nc -o out --burn-in 100",
        "0 samples remain",
        "shorten the burn-in",
    ),
    "wells of another rank": (
        lambda m: ddm2snn.compare(m.a, m.b, wells=[[0.0]]),
        "compare a.nc b.nc -o out --wells [[0]]",
        "shape (well, 2), got (1, 1)",
    ),
    "file for a folder": (
        lambda m: ddm2snn.run("vanderpol", "notes.txt"),
        "compare a.nc b.nc -o notes.txt",
        "Cannot write into the folder notes.txt",
    ),
    "misspelt key of a recipe": (
        lambda m: Recipe(sytem="lorenz"),
        "run typo.toml -o out",
        "unknown key sytem; known here are system, seed",
    ),
    "recipe without a system": (
        lambda m: Recipe(seed=1),
        "run none.toml -o out",
        "key system is missing and must be set",
    ),
    "number out of range in a recipe": (
        lambda m: Recipe(system="lorenz", simulation={"trials": -1}),
        "run negative.toml -o out",
        "simulation.trials",
        "got -1",
    ),
    "unknown format": (
        lambda m: ddm2snn.export(m.snn, "x.nir", format="onnx"),
        "export snn.safetensors -o x.nir --format onnx",
        "no format 'onnx'; known are nir",
    ),
    "rate network to export": (
        lambda m: ddm2snn.export(m.rate, "x.nir"),
        "export rate.safetensors -o x.nir",
        "SpikingNetwork",
    ),
    "weights without their meaning": (
        lambda m: ddm2snn.import_network("w.npz"),
        "import w.npz -o x.safetensors",
        "Give activation: tanh, relu",
    ),
    "weights of no known kind": (
        lambda m: ddm2snn.import_network("notes.txt"),
        "import notes.txt -o x.safetensors",
        "notes.txt is of no known kind; known are .npz",
    ),
    "no structure": (
        lambda m: ddm2snn.restructure(m.rate, m.snn, 0.5),
        "restructure snn.safetensors -o x.safetensors --rate rate.safetensors",
        "restructure needs",
    ),
    "percents for a share": (
        lambda m: Sparse(50),
        "restructure snn.safetensors -o x.safetensors --rate rate.safetensors --sparse 50",
        "share above 0 and up to 1, got 50",
    ),
    "misspelt damage": (
        lambda m: ddm2snn.stress(m.snn, m.rate, levels={"neuron": [0.1]}),
        "stress snn.safetensors --rate rate.safetensors -o x.csv --levels neuron=0.1",
        "no damage 'neuron'; known are neurons",
    ),
    "damage without levels": (
        None,
        "stress snn.safetensors --rate rate.safetensors -o x.csv --levels neurons",
        "such as neurons=0.1,0.2",
    ),
    "negative noise": (
        lambda m: ddm2snn.plan(m.rate, noise=-1),
        "plan rate.safetensors --noise -1",
        "plan.noise must be a finite number above zero",
    ),
    "spiking network to analyse": (
        lambda m: analyse(m.snn),
        "analyse snn.safetensors -o out",
        "RateNetwork",
        "SpikingNetwork",
    ),
    "bias of another length": (
        lambda m: m.rate_of(bias=np.zeros(4)),
        None,
        "bias has 4 along `unit`, but left_vectors has 5",
    ),
    "weights that are no numbers": (
        lambda m: m.rate_of(bias=np.full(5, np.nan)),
        None,
        "RateNetwork.bias holds 5 value(s) that are NaN",
    ),
}
TEXTS = {
    "mine.py": FILE, "notes.txt": "these are words\n" * 9, "in.csv": "time,a\n0,1\n", "one.csv": "0,1\n1,2\n",
    "quiet.py": "from ddm2snn import System\ndecay = System(name='decay', rank=1, drift=lambda z: -z, diffusion=0.1)\n"
    "bad = System(name='bad', rank=2, drift=lambda z: z[..., 0], diffusion=0.1)\n",
    "file.toml": "system = 'mine.py'\n", "typo.toml": "sytem = 'lorenz'\n", "none.toml": "seed = 1\n",
    "negative.toml": "system = 'lorenz'\n[simulation]\ntrials = -1\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(rate_of, spiking_of):
    def recording(seed, every=0.1, rank=2):
        latent = np.random.default_rng(seed).standard_normal((4, 200, rank))
        return Recording.from_arrays(latent, every=every, time_unit_s=1.0)

    recordings = {"a": recording(1), "b": recording(2), "thin": recording(3, rank=1), "slow": recording(4, every=0.2)}
    return SimpleNamespace(rate=rate_of(), snn=spiking_of(), rate_of=rate_of, **recordings)


@pytest.fixture(scope="module")
def filled(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    made.rate.save(folder / "rate.safetensors")
    made.snn.save(folder / "snn.safetensors")
    for name in ("a", "b", "thin", "slow"):
        getattr(made, name).save(folder / f"{name}.nc")
    np.savez(folder / "w.npz", W=np.eye(4))
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    return folder


def one_line_with(text, words):
    assert "\n" not in text
    assert len(text) < 320, f"{len(text)} characters"
    for word in words:
        assert word in text, text


@pytest.mark.parametrize("mistake", [name for name, (call, *_) in MISTAKES.items() if call])
def test_the_library_answers_in_one_line(mistake, made, filled, monkeypatch):
    monkeypatch.chdir(filled)
    call, _, *words = MISTAKES[mistake]
    before = sorted(filled.iterdir())
    with pytest.raises(InputError) as caught:
        call(made)
    one_line_with(str(caught.value), words)
    assert str(caught.value).endswith(".")
    assert sorted(filled.iterdir()) == before


@pytest.mark.parametrize("mistake", [name for name, (_, line, *_) in MISTAKES.items() if line])
def test_the_command_line_answers_in_one_line(mistake, cli, filled, monkeypatch):
    monkeypatch.chdir(filled)
    _, line, *words = MISTAKES[mistake]
    before = sorted(filled.iterdir())
    code, out, err = cli(*shlex.split(line))
    *progress, last = err.strip().splitlines()
    assert (code, out) == (2, "")
    assert all(re.search(r" \.\.\.$|\(some .*\)$", line) for line in progress), err
    assert last.startswith("Error: ")
    one_line_with(last, words)
    assert sorted(filled.iterdir()) == before


def test_there_are_forty_of_each():
    assert sum(call is not None for call, *_ in MISTAKES.values()) >= 40
    assert sum(line is not None for _, line, *_ in MISTAKES.values()) >= 40
