"""The whole way from a target system to a report, in steps that are done once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.analysis.jacobian import network_jacobian
from ddm2snn.backend import Backend
from ddm2snn.base.files import make_folder
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import child_seed
from ddm2snn.conversion import Calibrated, Kept, Population, Static, convert
from ddm2snn.fidelity.ladder import RATE, TARGET, build_ladder
from ddm2snn.fidelity.lyapunov import (
    APART,
    FEWEST_LATENTS,
    SPIKES_APART,
    Exponent,
    drift_exponent,
    twin_exponent,
    twin_starts,
)  # fmt: skip
from ddm2snn.load import load_as
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.recording import Recording
from ddm2snn.simulate import record_system, simulate
from ddm2snn.systems import System, find_system
from ddm2snn.training import Training, train
from ddm2snn.workflow.recipe import ConversionSettings, Recipe
from ddm2snn.workflow.report import Page
from ddm2snn.workflow.rungs import DeviceRung, device_rungs
from ddm2snn.workflow.steps import Announce, Step, perform, versions
from ddm2snn.workflow.tables import conversion_table, training_table

if TYPE_CHECKING:
    from ddm2snn.conversion.kinds import Decoders
    from ddm2snn.hardware import HardwareConfig

_RATE = "rate.safetensors"
_RASTER_DURATION = 10.0  # in rate time units
_TWIN_DURATION, _TWINS = 10.0, 32  # in rate time units; pairs of trials


def run(recipe: Recipe | System | str, folder: Path | str, *, announce: Announce | None = None) -> dict[str, Any]:
    """Train, convert, simulate, compare and report; return the content of summary.json.

    Steps whose inputs did not change are not done again, and an interrupted run goes on where it stopped.

    Parameters
    ----------
    recipe
        A Recipe, the name of a system, or a System (which then gets the default recipe).
    folder
        Where everything is written; created if missing.
    announce
        Hears of each step.

    Raises
    ------
    InputError
        Where recipe, system or folder cannot be used.
    """
    system = recipe if isinstance(recipe, System) else None
    if not isinstance(recipe, Recipe):
        recipe = Recipe(system=recipe.name if isinstance(recipe, System) else recipe)
    target = make_folder(folder)
    pipeline = _Pipeline(recipe, system or find_system(recipe.system), target)
    perform(pipeline.steps(), target, announce or Announce())
    return json.loads((target / "summary.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class _Pipeline:
    """The steps of a recipe; each reads the files of the steps that it needs."""

    recipe: Recipe
    system: System
    folder: Path

    def steps(self) -> list[Step]:
        recipe = self.recipe
        train_settings = {"system": self._system_identity(), "seed": recipe.seed, **recipe.training.model_dump()}
        steps = [Step("train", (), train_settings, (_RATE,), self._train)]
        steps += [self._simulation(f"rate-{i + 1}", "train", _RATE, "rate") for i in range(recipe.reference_runs)]
        steps.append(self._target_step())
        for backend in recipe.backends:
            network, made = f"spiking-{backend}.safetensors", f"convert {backend}"
            settings = {**recipe.conversion.model_dump(), "backend": backend, "seed": recipe.seed}
            steps.append(Step(made, ("train",), settings, (network,), self._convert(backend, network)))
            steps.append(self._simulation(backend, made, network, backend))
        steps += self._device_steps()
        steps.append(self._raster_step(recipe.backends[0]))
        if self.system.rank >= FEWEST_LATENTS:
            steps.append(self._twin_step("rate", "train", _RATE))
            steps += [self._twin_step(b, f"convert {b}", f"spiking-{b}.safetensors") for b in recipe.backends]
        needs = ("train", *(s.name for s in steps if s.name.startswith(("convert", "simulate"))))
        outputs = ("report.html", "summary.json")
        steps.append(Step("report", needs, {"recipe": recipe.model_dump(mode="json")}, outputs, self._report))
        return steps

    def _simulation(self, name: str, need: str, network: str, backend: str) -> Step:
        settings = {**self.recipe.simulation.model_dump(), "seed": self.recipe.seed}
        return Step(f"simulate {name}", (need,), settings, (f"{name}.nc",), self._run(name, network, backend))

    @property
    def _rungs(self) -> list[DeviceRung]:
        return device_rungs(self.recipe.hardware, self.recipe.backends[0])

    def _device_steps(self) -> list[Step]:
        """A conversion and a run for each rung of the ladder on a device."""
        recipe, steps = self.recipe, []
        for rung in self._rungs:
            made, network, device = f"convert {rung.name}", rung.network_file, rung.settings(recipe)
            convert = self._convert(None, network, rung.in_loop)
            steps.append(Step(made, ("train",), recipe.conversion.model_dump() | device, (network,), convert))
            action = self._run(rung.name, network, rung.backend(emulator=recipe.emulator))
            settings = recipe.simulation.model_dump() | device
            steps.append(Step(f"simulate {rung.name}", (made,), settings, (f"{rung.name}.nc",), action))
        return steps

    def _target_step(self) -> Step:
        """The target itself, as often as the rate network: the first rung of the ladder."""
        files = tuple(f"target-{i + 1}.nc" for i in range(self.recipe.reference_runs))
        settings = {**self.recipe.simulation.model_dump(), "seed": self.recipe.seed, "system": self._system_identity()}
        return Step("simulate target", ("train",), settings, files, self._run_target(files))

    def _raster_step(self, backend: str) -> Step:
        """One short trial with its spikes, for the figure."""
        name, file = f"simulate spikes of {backend}", "spikes.nc"
        action = self._run("spikes", f"spiking-{backend}.safetensors", backend, spikes=True)
        settings = {"every": self.recipe.simulation.every, "seed": self.recipe.seed, "duration": _RASTER_DURATION}
        return Step(name, (f"convert {backend}",), settings, (file,), action)

    def _twin_step(self, backend: str, need: str, network: str) -> Step:
        """Two runs with the same noise from states close to each other, for the Lyapunov exponent."""
        files = _twin_files(backend)
        settings = {
            "seed": self.recipe.seed,
            "duration": _TWIN_DURATION,
            "trials": _TWINS,
            "apart": [APART, SPIKES_APART],
        }
        settings["every"] = self.recipe.simulation.every
        return Step(f"simulate twins on {backend}", (need,), settings, files, self._run_twins(backend, network, files))

    def _system_identity(self) -> dict[str, Any]:
        """Name, diffusion and the drift at fixed points: enough to notice that a user's file has changed."""
        probe = np.linspace(-1.7, 2.3, 7 * self.system.rank).reshape(7, self.system.rank)
        drift = self.system.checked_drift(probe)
        return {
            "name": self.system.name,
            "units": self.system.units,
            "drift": [repr(float(value)) for value in drift.ravel()],
            "diffusion": [repr(float(value)) for value in self.system.factor(probe).ravel()],
        }

    def _train(self, progress: Progress) -> None:
        settings = self.recipe.training
        network = train(
            self.system, units=settings.units, seed=self.recipe.seed, progress=progress,
            training=Training(error=settings.error, ridge=settings.ridge),
        )  # fmt: skip
        network.save(self.folder / _RATE)

    def _convert(
        self, backend: str | None, output: str, hardware: HardwareConfig | None = None
    ) -> Callable[[Progress], None]:
        settings = self.recipe.conversion

        def action(progress: Progress) -> None:
            conversion = convert(
                load_as(self.folder / _RATE, RateNetwork),
                population=Population(settings.neurons_per_unit, settings.max_rates_hz),
                decoders=_decoders(settings),
                backend=backend,
                hardware=hardware,
                time_unit_s=settings.time_unit_s,
                dt_s=settings.dt_s,
                seed=self.recipe.seed,
            )
            conversion.network.save(self.folder / output)

        return action

    def _run_target(self, files: tuple[str, ...]) -> Callable[[Progress], None]:
        settings = self.recipe.simulation

        def action(progress: Progress) -> None:
            starts = load_as(self.folder / _RATE, RateNetwork).initial_latent
            for index, file in enumerate(files):
                recording = record_system(
                    self.system, starts, duration=settings.burn_in + settings.duration, every=settings.every,
                    trials=settings.trials, seed=child_seed(self.recipe.seed, "simulate", file),
                    progress=lambda share, done=index: progress((done + share) / len(files)),
                )  # fmt: skip
                recording.save(self.folder / file)

        return action

    def _run(
        self, name: str, network: str, backend: str | Backend, *, spikes: bool = False
    ) -> Callable[[Progress], None]:
        settings, kind = self.recipe.simulation, RateNetwork if backend == "rate" else SpikingNetwork

        def action(progress: Progress) -> None:
            recording = simulate(
                load_as(self.folder / network, kind),
                backend=backend,
                duration=_RASTER_DURATION if spikes else settings.burn_in + settings.duration,
                trials=1 if spikes else settings.trials,
                seed=child_seed(self.recipe.seed, "simulate", name),
                every=settings.every,
                spikes=spikes,
                progress=progress,
            )
            recording.save(self.folder / f"{name}.nc")

        return action

    def _run_twins(self, backend: str, network: str, files: tuple[str, str]) -> Callable[[Progress], None]:
        kind = RateNetwork if backend == "rate" else SpikingNetwork

        def action(progress: Progress) -> None:
            loaded = load_as(self.folder / network, kind)
            apart = APART if backend == "rate" else SPIKES_APART
            starts = twin_starts(loaded.initial_latent, _TWINS, self.recipe.seed, apart)
            for index, (file, initial) in enumerate(zip(files, starts, strict=True)):
                recording = simulate(
                    loaded, backend=backend, duration=_TWIN_DURATION, trials=_TWINS, initial_latent=initial,
                    seed=child_seed(self.recipe.seed, "simulate", f"twins {backend}"),
                    every=self.recipe.simulation.every, progress=lambda share, done=index: progress((done + share) / 2),
                )  # fmt: skip
                recording.save(self.folder / file)

        return action

    def _exponents(self, rate: RateNetwork, progress: Progress) -> list[Exponent]:
        """Of the drift fields and of twin runs, where there are latents enough for chaos."""
        if self.system.rank < FEWEST_LATENTS:
            return []
        starts = rate.initial_latent
        found = [
            drift_exponent(TARGET, self.system.checked_drift, starts, progress=lambda share: progress(0.5 * share)),
            drift_exponent(RATE, rate.drift, starts, network_jacobian(rate), lambda s: progress(0.5 + 0.5 * s)),
        ]
        for backend in ("rate", *self.recipe.backends):
            twins = (load_as(self.folder / file, Recording) for file in _twin_files(backend))
            found.append(twin_exponent(RATE if backend == "rate" else backend, *twins))
        return found

    def _report(self, progress: Progress) -> None:
        rates, targets = (
            [load_as(self.folder / f"{kind}-{i + 1}.nc", Recording) for i in range(self.recipe.reference_runs)]
            for kind in ("rate", "target")
        )
        rungs = self._rungs
        names = (*self.recipe.backends, *(rung.name for rung in rungs))
        tests = {name: load_as(self.folder / f"{name}.nc", Recording) for name in names}
        reports, ladder = build_ladder(
            targets, rates, tests, burn_in=self.recipe.simulation.burn_in, seed=self.recipe.seed,
            wells=_wells(self.system), previous={rung.name: rung.previous for rung in rungs},
            progress=lambda share: progress(0.8 * share),
        )  # fmt: skip
        rate = load_as(self.folder / _RATE, RateNetwork)
        files = {name: f"spiking-{name}.safetensors" for name in self.recipe.backends}
        files |= {rung.name: rung.network_file for rung in rungs}
        networks = {name: load_as(self.folder / file, SpikingNetwork) for name, file in files.items()}
        page = Page(
            title=f"{self.system.name}: from {rate.units} rate units to {_count(networks)} spiking neurons",
            subtitle=self.system.summary or f"rank {self.system.rank}",
            recordings={RATE: rates[0], **tests, TARGET: targets[0]},
            reports=reports,
            ladder=ladder,
            rasters={self.recipe.backends[0]: load_as(self.folder / "spikes.nc", Recording)},
            command=f"ddm2snn run {self.recipe.system} -o {self.folder.name}\n\n{self.recipe.as_toml()}",
            tables=[training_table(rate), conversion_table(networks)],
            networks=networks,
            exponents=self._exponents(rate, lambda share: progress(0.8 + 0.1 * share)),
            summary={
                "recipe": self.recipe.model_dump(mode="json"),
                "training": {"fingerprint": rate.fingerprint, **rate.provenance},
                "conversions": {n: {"fingerprint": s.fingerprint, **s.provenance} for n, s in networks.items()},
                "versions": versions(),
            },
        )
        page.write(self.folder)


def _twin_files(backend: str) -> tuple[str, str]:
    return f"twins-{backend}-1.nc", f"twins-{backend}-2.nc"


def _decoders(settings: ConversionSettings) -> Decoders:
    """Way of finding decoders that a recipe asks for."""
    if settings.decoders == "static":
        return Static(ridge=settings.ridge)
    return Kept(ridge=settings.ridge) if settings.decoders == "kept" else Calibrated()


def _wells(system: System) -> np.ndarray | None:
    """Memories of a system, where it has two or more."""
    found = system.known.get("memories")
    return found if found is not None and len(found) > 1 else None


def _count(networks: Mapping[str, SpikingNetwork]) -> str:
    return " / ".join(sorted({str(network.neurons) for network in networks.values()}))
