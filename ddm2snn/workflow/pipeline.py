"""The verb run: the whole way from a target system to a report, in steps that are done once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.files import make_folder
from ddm2snn.fidelity.lyapunov import APART, FEWEST_LATENTS, SPIKES_APART
from ddm2snn.systems import System, find_system
from ddm2snn.workflow.actions import (
    PAIR_DURATION,
    PAIRS,
    RASTER_DURATION,
    RATE_FILE,
    SPIKES_FILE,
    Actions,
    pair_files,
    spiking_file,
    target_files,
)
from ddm2snn.workflow.device_stages import DeviceStage, device_stages
from ddm2snn.workflow.recipe import Recipe
from ddm2snn.workflow.steps import Announce, Step, perform

if TYPE_CHECKING:
    from ddm2snn.backend import Backend


def run(recipe: Recipe | System | str, folder: Path | str, *, announce: Announce | None = None) -> dict[str, Any]:
    """Train, convert, simulate, compare and report; return the content of summary.json.

    A step whose inputs did not change is not done again, and an interrupted run goes on where it stopped.

    Parameters
    ----------
    recipe
        A Recipe, the name of a system, or a System (which then gets the default recipe).
    folder
        Folder of all files; created if missing.
    announce
        Is told of each step.

    Raises
    ------
    InputError
        Where recipe, system or folder cannot be used.

    Examples
    --------
    The default recipe of a system takes some minutes: ``run("vanderpol", "out")``. What cannot be used is refused
    before any step is done:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     run(Recipe(system="lorenz", hardware=["loihi9"]), folder)
    Traceback (most recent call last):
    ddm2snn.errors.InputError: There is no hardware configuration 'loihi9'; ...
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
    """The steps of a recipe: what each needs, and the settings that its files depend on.

    Names of steps and of files, and the keys of settings, are written into the folder: with others, the folders of
    earlier runs would not resume.
    """

    recipe: Recipe
    system: System
    folder: Path

    def steps(self) -> list[Step]:
        recipe = self.recipe
        train_settings = {"system": self._system_identity(), "seed": recipe.seed, **recipe.training.model_dump()}
        steps = [Step("train", (), train_settings, (RATE_FILE,), self._actions.train)]
        steps += [self._simulation(f"rate-{i + 1}", "train", RATE_FILE, "rate") for i in range(recipe.reference_runs)]
        steps.append(self._target_step())
        for backend in recipe.backends:
            network, conversion = spiking_file(backend), f"convert {backend}"
            settings = {**recipe.conversion.model_dump(), "backend": backend, "seed": recipe.seed}
            action = partial(self._actions.convert, network, backend, None)
            steps.append(Step(conversion, ("train",), settings, (network,), action))
            steps.append(self._simulation(backend, conversion, network, backend))
        for stage in self._stages:
            steps += self._stage_steps(stage)
        steps.append(self._raster_step(recipe.backends[0]))
        if self.system.rank >= FEWEST_LATENTS:
            steps.append(self._pair_step("rate", "train", RATE_FILE))
            steps += [self._pair_step(b, f"convert {b}", spiking_file(b)) for b in recipe.backends]
        needs = ("train", *(s.name for s in steps if s.name.startswith(("convert", "simulate"))))
        outputs, settings = ("report.html", "summary.json"), {"recipe": recipe.model_dump(mode="json")}
        steps.append(Step("report", needs, settings, outputs, partial(self._actions.report, self._stages)))
        return steps

    @cached_property
    def _actions(self) -> Actions:
        return Actions(self.recipe, self.system, self.folder)

    @cached_property
    def _stages(self) -> list[DeviceStage]:
        return device_stages(self.recipe.hardware, self.recipe.backends[0])

    def _simulation(self, name: str, need: str, network: str, backend: str | Backend) -> Step:
        settings = {**self.recipe.simulation.model_dump(), "seed": self.recipe.seed}
        action = partial(self._actions.simulate, name, network, backend)
        return Step(f"simulate {name}", (need,), settings, (f"{name}.nc",), action)

    def _stage_steps(self, stage: DeviceStage) -> list[Step]:
        """Conversion and run of a stage of the ladder on a device."""
        recipe, name, device = self.recipe, f"convert {stage.name}", stage.settings(self.recipe)
        convert = partial(self._actions.convert, stage.network_file, None, stage.in_loop)
        backend = stage.backend(emulator=recipe.emulator)
        simulate = partial(self._actions.simulate, stage.name, stage.network_file, backend)
        files = (f"{stage.name}.nc",)
        return [
            Step(name, ("train",), recipe.conversion.model_dump() | device, (stage.network_file,), convert),
            Step(f"simulate {stage.name}", (name,), recipe.simulation.model_dump() | device, files, simulate),
        ]

    def _target_step(self) -> Step:
        """As many runs of the target itself as of the rate network: the first stage of the ladder."""
        files = target_files(self.recipe.reference_runs)
        settings = {**self.recipe.simulation.model_dump(), "seed": self.recipe.seed, "system": self._system_identity()}
        return Step("simulate target", ("train",), settings, files, self._actions.simulate_target)

    def _raster_step(self, backend: str) -> Step:
        """One short trial with its spikes, for the figure."""
        settings = {"every": self.recipe.simulation.every, "seed": self.recipe.seed, "duration": RASTER_DURATION}
        action = partial(self._actions.simulate_spikes, spiking_file(backend), backend)
        return Step(f"simulate spikes of {backend}", (f"convert {backend}",), settings, (SPIKES_FILE,), action)

    def _pair_step(self, backend: str, need: str, network: str) -> Step:
        """Pairs of runs with the same noise from states close to each other, for the Lyapunov exponent."""
        settings = {
            "seed": self.recipe.seed, "duration": PAIR_DURATION, "trials": PAIRS, "apart": [APART, SPIKES_APART],
            "every": self.recipe.simulation.every,
        }  # fmt: skip
        action = partial(self._actions.simulate_pairs, network, backend)
        return Step(f"simulate twins on {backend}", (need,), settings, pair_files(backend), action)

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
