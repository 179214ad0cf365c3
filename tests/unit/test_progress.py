"""Progress of the verbs and the log: silent by default, shown where they are asked for."""

from __future__ import annotations

import logging

import pytest

import ddm2snn


@pytest.fixture
def terminal(monkeypatch):
    """A terminal for stderr, as far as rich can see."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


def of_each_verb(rate, snn):
    return {
        "train": lambda **how: ddm2snn.train(
            "vanderpol", units=4, training=ddm2snn.Training(points=100, iterations=2, holdout=100), **how
        ),
        "convert": lambda **how: ddm2snn.convert(rate, population=2, decoders="static", time_unit_s=0.1, **how),
        "simulate on rate": lambda **how: ddm2snn.simulate(rate, duration=1, trials=1, **how),
        "simulate on reference": lambda **how: ddm2snn.simulate(snn, duration=1, trials=1, **how),
        "restructure": lambda **how: ddm2snn.restructure(rate, snn, ddm2snn.Sparse(0.5), **how),
    }


@pytest.mark.parametrize("name", of_each_verb(None, None))
def test_each_verb_shows_a_bar_and_logs_only_where_asked(name, quick_rate, quick_spiking, terminal, capsys, caplog):
    call = of_each_verb(quick_rate, quick_spiking)[name]
    call()
    assert capsys.readouterr() == ("", "")
    with caplog.at_level(logging.INFO, logger="ddm2snn"):
        call(progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert name in err
    assert "%" in err
    begun, *_, done = (record.getMessage() for record in caplog.records if record.getMessage().startswith(name))
    assert begun == f"{name} ..."
    assert done.startswith(f"{name}: done in ")


def test_a_function_is_told_of_the_share(quick_rate):
    shares = []
    ddm2snn.simulate(quick_rate, duration=5, trials=1, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] > 0.9


@pytest.mark.parametrize("place", ["before", "behind"])
def test_a_command_is_quiet_or_verbose(cli, quick_rate, tmp_path, place):
    quick_rate.save(tmp_path / "r.safetensors")
    command = ("simulate", "r.safetensors", "-o", "x.nc", "--duration", 1)
    plain = cli(*command)[2]
    quiet, verbose = (cli(*((o, *command) if place == "before" else (*command, o)))[2] for o in ("-q", "-v"))
    assert plain.startswith("simulate on rate ...\nsimulate on rate: done in")
    assert quiet == ""
    assert len(verbose.splitlines()) == 4
    assert ":" in verbose.splitlines()[1].split(" simulate on rate ...")[0]
    assert not logging.getLogger("ddm2snn").handlers
