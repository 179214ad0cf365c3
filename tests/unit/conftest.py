"""Small objects made by hand, and the form that every refusal must have."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

import ddm2snn
from ddm2snn import LIF, RateNetwork, Recording, Spikes, SpikingNetwork, Training


@pytest.fixture(scope="session")
def rate_of() -> Callable[..., RateNetwork]:
    """Builder of a rate network of rank 2 with 5 units and 3 inputs; fields can be replaced."""
    return _rate


@pytest.fixture(scope="session")
def spiking_of() -> Callable[..., SpikingNetwork]:
    """Builder of a spiking network of rank 2 with 20 neurons in 5 units; fields can be replaced."""
    return _spiking


@pytest.fixture(scope="session")
def recording_of() -> Callable[..., Recording]:
    """Builder of a recording of 2 trials, 6 samples, rank 2, with or without spikes."""
    return _recording


@pytest.fixture(scope="session")
def refuses() -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Context that demands one error of a kind, in one finished line that holds all the words."""
    return _refuses


@pytest.fixture(scope="session")
def quick() -> Training:
    """Settings that train badly but in a fraction of a second."""
    return Training(points=400, iterations=15, holdout=300)


@pytest.fixture(scope="session")
def quick_rate(quick: Training) -> RateNetwork:
    """Van der Pol in 8 units, good enough to oscillate."""
    return ddm2snn.train("vanderpol", units=8, seed=5, training=quick)


@pytest.fixture(scope="session")
def quick_spiking(quick_rate: RateNetwork) -> SpikingNetwork:
    """The same in 32 neurons, for the reference backend on its grid."""
    return ddm2snn.convert(quick_rate, backend="reference", time_unit_s=0.1, dt_s=5e-4, seed=5).network


@pytest.fixture
def cli(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run one command in an empty folder; return exit code, stdout and stderr."""
    from ddm2snn.cli.main import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_info:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return exit_info.value.code, out, err  # pyright: ignore[reportReturnType] - ours are numbers

    return call


@pytest.fixture
def animal(tmp_path: Path) -> Path:
    """An NWB file as a laboratory writes one: a position, a pupil, units and trials."""
    pynwb = pytest.importorskip("pynwb")
    rng, path = np.random.default_rng(0), tmp_path / "animal.nwb"
    file = pynwb.NWBFile("a session", "x", datetime(2020, 1, 1, tzinfo=UTC), notes="sunny")
    place = pynwb.behavior.SpatialSeries(
        name="place", data=np.cumsum(rng.standard_normal((1000, 2)), axis=0), reference_frame="corner", rate=50.0,
        starting_time=2.0, conversion=0.01,
    )  # fmt: skip
    module = file.create_processing_module("behavior", "where it went")
    module.add(pynwb.behavior.Position(spatial_series=place))
    times = np.arange(1000) / 50 + 2.0
    file.add_acquisition(pynwb.TimeSeries(name="pupil", data=rng.random(1000), unit="mm", timestamps=times))
    for start in (4.0, 10.0, 16.0):
        file.add_trial(start_time=start, stop_time=start + 5.0)
    for _ in range(3):
        file.add_unit(spike_times=np.sort(rng.uniform(0, 22, 100)))
    with pynwb.NWBHDF5IO(path, "w") as writer:
        writer.write(file)
    return path


@contextlib.contextmanager
def _refuses(kind: type[Exception], *words: str) -> Iterator[None]:
    with pytest.raises(kind) as caught:
        yield
    text = str(caught.value)
    assert "\n" not in text, f"an error is one line, got {text!r}"
    assert text.endswith("."), f"an error is a finished sentence, got {text!r}"
    for word in words:
        assert word in text, f"{word!r} is missing in {text!r}"


def _rate(**fields: object) -> RateNetwork:
    rng = np.random.default_rng(17)
    content = {
        "left_vectors": rng.standard_normal((5, 2)),
        "right_vectors": rng.standard_normal((5, 2)),
        "bias": rng.standard_normal(5),
        "diffusion_factor": rng.standard_normal((2, 2)),
        "input_map": rng.standard_normal((2, 3)),
        "latent_offset": np.array([1.5, -40.0]),
        "latent_scale": np.array([0.5, 3.0]),
        "initial_latent": rng.standard_normal((4, 2)),
        "provenance": {"system": "by hand", "seed": 17},
    }
    return RateNetwork(**{**content, **fields})  # pyright: ignore[reportArgumentType]


def _spiking(**fields: object) -> SpikingNetwork:
    rng, rate = np.random.default_rng(18), _rate()
    unit = np.repeat(np.arange(5), 4)
    content = {
        "encoders": rng.standard_normal((20, 1)) * rate.left_vectors[unit],
        "bias": rng.standard_normal(20),
        "decoders": rng.standard_normal((2, 20)),
        "unit": unit,
        "rate_left_vectors": rate.left_vectors,
        "diffusion_factor": rate.diffusion_factor,
        "input_map": rate.input_map,
        "latent_offset": rate.latent_offset,
        "latent_scale": rate.latent_scale,
        "initial_latent": rate.initial_latent,
        "neuron": LIF(tau_membrane_s=0.03, refractory_s=0.004),
        "time_unit_s": 0.1,
        "dt_s": 0.001,
        "spike_timing": "grid",
        "backend": "reference",
        "rate_fingerprint": rate.fingerprint,
        "provenance": {"system": "by hand", "nested": {"list": [1, 2.5, None, True]}},
    }
    return SpikingNetwork(**{**content, **fields})  # pyright: ignore[reportArgumentType]


def _recording(*, spikes: bool = False, seed: int = 19, **fields: object) -> Recording:
    rng = np.random.default_rng(seed)
    table = Spikes.sorted(rng.random(7), rng.integers(20, size=7), rng.integers(2, size=7)) if spikes else None
    content = {"every": 0.1, "time_unit_s": 0.2, "spikes": table, "provenance": {"backend": "reference", "seed": 3}}
    return Recording.from_arrays(rng.standard_normal((2, 6, 2)), **{**content, **fields})
