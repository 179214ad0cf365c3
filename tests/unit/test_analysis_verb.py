"""The verb analyse: what it finds, what it leaves out and why, and what it writes."""

import json

import numpy as np
import pytest

import ddm2snn
from ddm2snn.analysis import analyse
from ddm2snn.plots.analysis import analysis_figures
from ddm2snn.workflow.report import write_analysis


@pytest.fixture(scope="module")
def oscillator():
    return ddm2snn.train("vanderpol", units=24, seed=0, training=ddm2snn.Training(points=1500, iterations=60))


@pytest.fixture(scope="module")
def analysis(oscillator):
    return analyse(oscillator, seed=3)


@pytest.mark.slow
def test_an_oscillator_is_understood(analysis):
    found = analysis.as_json()
    assert found["subspace"]["rank"] == 2
    assert found["subspace"]["recovery_error"] < 1e-12
    assert found["cycle"]["period"] == pytest.approx(6.6633, rel=2e-3)
    assert [point["kind"] for point in found["fixed_points"]] == ["unstable focus"]
    assert found["lyapunov"]["exponents"][0] == pytest.approx(0, abs=0.01)
    production = found["entropy_production"]
    assert production["low"] < production["value"] < production["high"]
    assert found["left_out"] == {}
    assert len(analysis.lines()) == 6


def test_the_same_seed_finds_the_same(oscillator, analysis):
    seen = []
    again = analyse(oscillator, seed=3, progress=seen.append)
    assert again.as_json() == analysis.as_json()
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_everything_is_written_whole(analysis, tmp_path):
    paths = write_analysis(analysis, tmp_path / "new" / "folder")
    names = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert names == [
        "analysis.json", "fixed-points.png", "irreversibility.png", "lyapunov.png", "subspace.png", "symmetry.png",
    ]  # fmt: skip
    assert sorted(path.name for path in paths) == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths if path.suffix == ".png")
    text = (tmp_path / "new" / "folder" / "analysis.json").read_text()
    assert json.loads(text) == analysis.as_json()


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_a_network_without_noise_says_what_was_left_out(make_rate, rank, tmp_path):
    # rank 1 to 4: each figure must cope
    found = analyse(make_rate(rank=rank, units=10, initial_latent=np.random.default_rng(0).standard_normal((40, rank))))
    reason = "checked for up to 3" if rank == 4 else "singular"
    assert reason in found.left_out["irreversibility"]
    assert "cycle" in found.left_out
    assert found.as_json()["entropy_production"] is None
    assert any(line.startswith("left out, irreversibility:") for line in found.lines())
    assert "irreversibility" not in analysis_figures(found)
    write_analysis(found, tmp_path)


def test_an_activation_without_an_energy_is_left_out(make_rate):
    found = analyse(make_rate(rank=2, units=8, activation="lif"))
    assert "no energy" in found.left_out["symmetry"]
    assert found.as_json()["symmetry"] is None
    assert "symmetry" not in analysis_figures(found)


def test_the_projection_reaches_numbers_and_figures(make_rate, tmp_path):
    network = make_rate(rank=2, units=10, initial_latent=np.random.default_rng(0).standard_normal((40, 2)))
    default, older = analyse(network), analyse(network, projection="pseudo-inverse")
    assert default.projection == "gradient-flow"
    first, second = (found.as_json()["symmetry"] for found in (default, older))
    assert second["projection"] == "pseudo-inverse"
    for name in ("symmetric", "antisymmetric"):
        assert first["latent_drift"][name] != pytest.approx(second["latent_drift"][name], rel=1e-3)
    assert first["latent_drift"]["whole"] == pytest.approx(second["latent_drift"]["whole"])
    images = [analysis_figures(found)["symmetry"] for found in (default, older)]
    for path, image in zip((tmp_path / "default.png", tmp_path / "older.png"), images, strict=True):
        image.savefig(path, metadata={"Software": None})
    assert (tmp_path / "default.png").read_bytes() != (tmp_path / "older.png").read_bytes()
    with pytest.raises(ddm2snn.InputError, match="'orthogonal'; known are gradient-flow, pseudo-inverse"):
        analyse(network, projection="orthogonal")  # pyright: ignore[reportArgumentType] - refused


def test_the_command_takes_the_projection(make_rate, tmp_path, cli):
    start = np.random.default_rng(0).standard_normal((40, 2))
    make_rate(rank=2, units=10, initial_latent=start).save(tmp_path / "rate.safetensors")
    words = ["analyse", str(tmp_path / "rate.safetensors"), "-o", str(tmp_path / "out"), "--json", "--projection"]
    code, out, _ = cli(*words, "pseudo-inverse")
    assert code == 0
    assert json.loads(out)["symmetry"]["projection"] == "pseudo-inverse"
    code, out, err = cli(*words, "orthogonal")
    assert (code, out) == (2, "")
    assert "'orthogonal'; known are gradient-flow, pseudo-inverse" in err
    assert "Traceback" not in err


def test_other_things_are_refused(make_spiking):
    with pytest.raises(ddm2snn.InputError, match="needs a RateNetwork, got SpikingNetwork"):
        analyse(make_spiking())
