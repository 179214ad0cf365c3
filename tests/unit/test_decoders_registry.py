"""One registry of decoders for API, recipe and command line; a way of one's own is one class."""

# `load` returns one of several types, and classes in the registry have settings of their own; the tests know which:
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import ddm2snn
from ddm2snn import Calibrated, Direct, InputError, Population, Static, TrainedReadout
from ddm2snn.base.arrays import check_positive
from ddm2snn.base.least_squares import fit_ridge
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import stream
from ddm2snn.conversion import DECODERS, Decoders, Diagnostics, Ensemble, find_decoders
from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.decoders import Problem, Solution
from ddm2snn.conversion.population import encode
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.errors import FileRefusedError
from ddm2snn.network import to_internal
from ddm2snn.workflow.recipe import ConversionSettings

QUICK = {"backend": "reference", "time_unit_s": 0.2, "seed": 3}


@dataclass(frozen=True)
class OnCurves:
    """Least squares of the read-out on the neurons' rates, as a third party would write it."""

    name: ClassVar[str] = "on-curves"

    ridge: float = 1e-4

    def __post_init__(self) -> None:
        check_positive("OnCurves", ridge=self.ridge)

    def check(self, rate: ddm2snn.RateNetwork, population: Population | None, *, in_loop: bool) -> Population:
        if in_loop:
            raise InputError("OnCurves knows nothing of a device. Leave hardware out.")
        return population or Population(6)

    def visited(self, rate: ddm2snn.RateNetwork, seed: int) -> np.ndarray:
        return to_internal(rate, stationary_states(rate, seed))

    def place(
        self, rate: ddm2snn.RateNetwork, population: Population, clock: Clock, states: np.ndarray, seed: int
    ) -> tuple[Ensemble, Mapping[str, float]]:
        return encode(rate, population, clock, states, stream(seed, "on curves")), {}

    def rise(self, rate: ddm2snn.RateNetwork, states: np.ndarray, time_unit_s: float) -> float:
        return 0.0

    def pilot(self, problem: Problem, progress: Progress) -> None:
        """Curves know nothing of spikes."""

    def solve(self, problem: Problem, progress: Progress) -> Solution:
        rates_hz = problem.ensemble.rates_hz(problem.states)
        target = problem.rate.internal_readout(problem.states)
        weights = fit_ridge(rates_hz, target, self.ridge)
        error = np.sqrt(((rates_hz @ weights - target) ** 2).mean(axis=0) / (problem.velocity**2).mean(axis=0))
        progress(1.0)
        return Solution(weights.T, problem.rate.diffusion_factor, {"drift_error": error.tolist(), "largest": 1.5})


@pytest.fixture(scope="module")
def own(quick_rate):
    return ddm2snn.convert(quick_rate, decoders=OnCurves(ridge=1e-5), **QUICK)


@pytest.fixture
def registered(monkeypatch):
    """The class in the registry, as one line in `DECODERS` would have it."""
    monkeypatch.setitem(DECODERS, OnCurves.name, OnCurves)


@pytest.fixture(scope="module")
def lif_rate(quick):
    """A network that every kind of decoders converts, direct ones included."""
    settings = dataclasses.replace(quick, activation="lif")
    decay = ddm2snn.System(name="decay", rank=1, drift=lambda z: -z, diffusion=1.0)
    return ddm2snn.train(decay, units=8, seed=5, training=settings)


@pytest.mark.parametrize(("name", "kind"), DECODERS.items())
def test_the_registry_holds_decoders_by_their_names(name, kind):
    assert kind.name == name
    assert isinstance(kind(), Decoders)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert find_decoders(name) == kind()  # pyright: ignore[reportCallIssue] - a dataclass


def test_these_are_the_ways_that_there_are():
    assert list(DECODERS.values()) == [Calibrated, Static, TrainedReadout, Direct]


@pytest.mark.parametrize("name", DECODERS)
def test_api_recipe_and_command_line_know_the_same_names(cli, lif_rate, tmp_path, name):
    settings = ConversionSettings(decoders=name)
    assert type(settings.kind_of_decoders()) is DECODERS[name]
    by_name = ddm2snn.convert(lif_rate, decoders=name, population=settings.population(), **QUICK).network
    by_object = ddm2snn.convert(lif_rate, decoders=DECODERS[name](), **QUICK).network
    assert by_name.fingerprint == by_object.fingerprint
    assert by_name.provenance["decoders"]["kind"] == name
    lif_rate.save(tmp_path / "rate.safetensors")
    arguments = ("--decoders", name, "--backend", "reference", "--time-unit-s", 0.2, "--seed", 3)
    code, _, err = cli("convert", "rate.safetensors", "-o", "snn.safetensors", *arguments)
    assert code == 0, err
    assert ddm2snn.load(tmp_path / "snn.safetensors").fingerprint == by_name.fingerprint


def test_the_command_line_help_names_them(cli):
    code, out, _ = cli("convert", "--help")
    assert code == 0
    for name in DECODERS:
        assert name in out


def test_the_former_name_of_the_trained_readout_still_works(cli, quick_rate, tmp_path):
    assert find_decoders("kept", ridge=0.02) == TrainedReadout(ridge=0.02)
    assert ConversionSettings(decoders="kept", ridge=0.02).kind_of_decoders() == TrainedReadout(ridge=0.02)
    quick_rate.save(tmp_path / "rate.safetensors")
    arguments = ("--decoders", "kept", "--backend", "reference", "--time-unit-s", 0.2)
    code, _, err = cli("convert", "rate.safetensors", "-o", "snn.safetensors", *arguments)
    assert code == 0, err
    assert ddm2snn.load(tmp_path / "snn.safetensors").provenance["decoders"]["kind"] == "trained"


@pytest.mark.parametrize("name", ["calibrated", "static", "trained"])
def test_a_ridge_of_a_recipe_takes_effect(tmp_path, name):
    (tmp_path / "recipe.toml").write_text(f'system = "lorenz"\n[conversion]\ndecoders = "{name}"\nridge = 0.003\n')
    recipe = ddm2snn.Recipe.read(tmp_path / "recipe.toml")
    assert recipe.conversion.kind_of_decoders() == DECODERS[name](ridge=0.003)  # pyright: ignore[reportCallIssue] - of the three
    assert ddm2snn.Recipe(system="lorenz").conversion.kind_of_decoders() == Calibrated(), (
        "without one it is chosen on held-out trajectories"
    )


def test_decoders_that_have_no_ridge_refuse_one(refuses, tmp_path):
    with refuses(InputError, "Decoders 'direct' have no setting ridge; they have none"):
        find_decoders("direct", ridge=0.01)
    (tmp_path / "recipe.toml").write_text('[conversion]\ndecoders = "direct"\nridge = 0.01\n', encoding="utf-8")
    with refuses(FileRefusedError, "recipe.toml", "conversion", "'direct' have no setting ridge"):
        ddm2snn.Recipe.read(tmp_path / "recipe.toml")


def test_unknown_settings_come_with_those_that_there_are(refuses):
    with refuses(InputError, "'static' have no setting rounds, duration; they have ridge, compensate_lag"):
        find_decoders("static", rounds=2, duration=3.0)


def test_unknown_names_come_with_the_known(refuses, cli, quick_rate, tmp_path):
    known = "There are no decoders 'exact'; known are calibrated, static, trained, direct."
    with refuses(InputError, known):
        find_decoders("exact")
    with refuses(InputError, known):
        ddm2snn.convert(quick_rate, decoders="exact")
    (tmp_path / "recipe.toml").write_text('[conversion]\ndecoders = "exact"\n', encoding="utf-8")
    with refuses(FileRefusedError, "'exact'; known are calibrated, static, trained, direct"):
        ddm2snn.Recipe.read(tmp_path / "recipe.toml")
    quick_rate.save(tmp_path / "rate.safetensors")
    code, out, err = cli("convert", "rate.safetensors", "-o", "snn.safetensors", "--decoders", "exact")
    assert (code, out) == (2, "")
    assert known in err


@pytest.mark.parametrize(("bad", "got"), [(OnCurves, "the class OnCurves"), (object(), "a object"), (3, "a int")])
def test_what_finds_no_decoders_is_refused(refuses, quick_rate, bad, got):
    words = "convert needs decoders such as Calibrated() or the name of some, got"
    with refuses(InputError, words, got):
        ddm2snn.convert(quick_rate, decoders=bad)


def test_a_way_of_ones_own_converts(own, quick_rate):
    assert isinstance(OnCurves(), Decoders)
    network = own.network
    assert network.neurons == 6 * quick_rate.units
    assert network.provenance["decoders"] == {"kind": "on-curves", "ridge": 1e-5}
    assert max(own.diagnostics.drift_error) < 0.2
    assert own.diagnostics.rank_audit.rank == 2
    assert own.diagnostics.lag is not None

    def spread(some):
        samples = ddm2snn.simulate(some, duration=20.0, trials=16, seed=1).samples
        return samples[:, 250:].std(axis=(0, 1))

    expected = spread(quick_rate)
    # drift errors of some per cent, as with the trained read-out
    assert np.allclose(spread(network), expected, rtol=0.1)
    silent = dataclasses.replace(network, decoders=0.5 * network.decoders)
    assert np.abs(spread(silent) / expected - 1.0).max() > 0.1, "half of the decoders must show"


def test_what_it_reports_beside_the_known_is_kept(own, tmp_path):
    assert own.diagnostics.largest == 1.5
    own.network.save(tmp_path / "snn.safetensors")
    loaded = ddm2snn.SpikingNetwork.load(tmp_path / "snn.safetensors")
    assert Diagnostics.of(loaded) == own.diagnostics
    assert Diagnostics.of(loaded).largest == 1.5


def test_its_own_refusals_are_heeded(refuses, quick_rate):
    with refuses(InputError, "OnCurves knows nothing of a device"):
        ddm2snn.convert(quick_rate, decoders=OnCurves(), hardware="loihi1-emulator")


@pytest.mark.usefixtures("registered")
def test_one_line_in_the_registry_is_enough(cli, own, quick_rate, tmp_path):
    by_name = ddm2snn.convert(quick_rate, decoders="on-curves", **QUICK)
    assert by_name.network.provenance["decoders"] == {"kind": "on-curves", "ridge": 1e-4}
    recipe = ConversionSettings(decoders="on-curves", ridge=1e-5)
    assert recipe.kind_of_decoders() == OnCurves(ridge=1e-5)
    assert ddm2snn.convert(quick_rate, decoders=recipe.kind_of_decoders(), **QUICK).network.fingerprint == (
        own.network.fingerprint
    )
    quick_rate.save(tmp_path / "rate.safetensors")
    arguments = ("--decoders", "on-curves", "--backend", "reference", "--time-unit-s", 0.2, "--seed", 3)
    code, _, err = cli("convert", "rate.safetensors", "-o", "snn.safetensors", *arguments)
    assert code == 0, err
    assert ddm2snn.load(tmp_path / "snn.safetensors").fingerprint == by_name.network.fingerprint
