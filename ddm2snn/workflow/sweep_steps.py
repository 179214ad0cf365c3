"""Steps of a sweep: those of all its runs, each once, in a folder of its own named by what it depends on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ddm2snn.base.files import write_text
from ddm2snn.base.progress import Announce, Progress
from ddm2snn.errors import InputError
from ddm2snn.exchange.recording_formats import library
from ddm2snn.fidelity.compare import prepare_reference
from ddm2snn.fidelity.reference import Reference
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.recording import Recording
from ddm2snn.workflow.pipeline import judge, steps_of
from ddm2snn.workflow.recipe import Recipe
from ddm2snn.workflow.source import Source
from ddm2snn.workflow.steps import Step, is_done, perform, step_key, versions
from ddm2snn.workflow.sweep_grid import Point

LOCK = ".sweep.lock"
"""File that one sweep holds at a time; the system releases it where a sweep is killed."""
STEPS = "steps"
"""Folder of the folders of steps."""
COMPARISON = "comparison.json"
SECONDS = "seconds.txt"
"""File with the seconds that a step took."""
_CONVERT, _SIMULATE, _COMPARE = "convert ", "simulate ", "compare "
_NEEDS = "needs"  # entry of the settings of a step in its own folder
_SHOWN = 16  # digits of a digest in the name of a folder [choice]


class UnfitWorkerError(InputError):
    """A worker has other versions than the machine that asks for the work, or does not see its folder."""


@dataclass(frozen=True)
class Task:
    """One step of some runs: its key is the digest of its settings, of the keys of what it needs, and of versions.

    Runs whose recipes agree in all that the step depends on have one task, and so do the same runs of a later sweep.
    """

    step: Step
    key: str
    recipe: Recipe
    needs: tuple[Task, ...]

    def __repr__(self) -> str:
        return f"Task({self.folder})"

    @property
    def folder(self) -> str:
        """Name of its folder: that of the step, and the first digits of the key."""
        return f"{re.sub(r'[^a-z0-9-]+', '-', self.step.name.lower())}-{self.key[:_SHOWN]}"

    @property
    def network(self) -> str:
        """Backend or stage on a device, for a comparison."""
        return self.step.name.removeprefix(_COMPARE)

    def need(self, name: str) -> Task:
        """The task that it needs, by the name of its step."""
        return next(task for task in self.needs if task.step.name == name)

    @property
    def conversion(self) -> Task:
        """The conversion that a comparison judges."""
        return self.need(f"{_CONVERT}{self.network}")

    @property
    def rounds(self) -> bool:
        """Whether the network of a comparison is on a device that rounds weights."""
        device = self.conversion.step.settings.get("hardware")
        return device is not None and device["precision"]["weight_bits"] is not None

    @property
    def references(self) -> tuple[Task, ...]:
        """The runs of the rate network that a comparison needs."""
        return tuple(task for task in self.needs if task.step.name in _references(self.recipe))

    @property
    def shared_key(self) -> str:
        """Digest of what a comparison shares with others: the runs of the rate network, and how they are compared."""
        settings = self.step.settings
        return step_key(
            {"burn_in": settings["burn_in"], "seed": settings["seed"]},
            {task.step.name: task.key for task in self.references},
            {},
        )

    def is_done(self, root: Path) -> bool:
        """Whether its files are there as they were written."""
        return is_done(self.step, self.key, root / STEPS / self.folder)

    def missing(self, root: Path) -> Iterator[Task]:
        """Those of the tasks that it needs, and itself, which are not done: each behind what it needs."""
        if not self.is_done(root):
            for need in self.needs:
                yield from need.missing(root)
            yield self


def comparisons(points: Sequence[Point]) -> list[tuple[Point, Task]]:
    """The runs of a grid: its points and the comparison of each of their networks, each comparison once.

    A setting of devices alone, such as `weight_bits`, makes no further runs of networks that run on none.
    """
    made_with, runs = versions(), {}
    tasks: dict[str, Task] = {}
    for point in points:
        of_recipe: dict[str, Task] = {}
        for step in _steps(point.recipe, Path()):
            if all(need in of_recipe for need in step.needs):
                task = _task(step, point.recipe, [of_recipe[need] for need in step.needs], made_with)
                of_recipe[step.name] = tasks.setdefault(task.key, task)
        for name, task in of_recipe.items():
            if name.startswith(_COMPARE):
                runs.setdefault(task.key, (point, task))
    return list(runs.values())


def _task(step: Step, recipe: Recipe, needs: Sequence[Task], made_with: Mapping[str, str]) -> Task:
    """Task of a step; in its own folder the step needs no other."""
    alone = replace(step, needs=(), settings=_settings(step, {need.step.name: need.key for need in needs}))
    return Task(alone, step_key(alone.settings, {}, made_with), recipe, tuple(needs))


def _steps(recipe: Recipe, folder: Path, prepared: Reference | None = None) -> list[Step]:
    """Steps that a sweep takes from a run of the recipe, and a comparison of each spiking network."""
    steps = steps_of(recipe, folder)
    names = [step.name.removeprefix(_CONVERT) for step in steps if step.name.startswith(_CONVERT)]
    kept = {*_references(recipe), *(f"{_SIMULATE}{name}" for name in names), *(f"{_CONVERT}{name}" for name in names)}
    first = [step for step in steps if not step.needs]
    settings = {"burn_in": recipe.simulation.burn_in, "seed": recipe.seed}
    if recipe.trials is not None:
        settings |= recipe.trials.model_dump(include={"boundary", "threshold"})
    return [
        *first,
        *(step for step in steps if step.name in kept),
        *(
            Step(
                f"{_COMPARE}{name}",
                (*(step.name for step in first), f"{_CONVERT}{name}", f"{_SIMULATE}{name}", *_references(recipe)),
                settings,
                (COMPARISON,),
                partial(_compare, recipe, name, folder, prepared),
            )
            for name in names
        ),
    ]


def _references(recipe: Recipe) -> list[str]:
    return [f"{_SIMULATE}rate-{i + 1}" for i in range(recipe.reference_runs)]


def _compare(recipe: Recipe, name: str, folder: Path, prepared: Reference | None, progress: Progress) -> None:
    """Write the comparison of a network's run with those of its rate network."""
    first, *floor = _recordings(recipe, folder)
    test = Recording.load(folder / f"{name}.nc")
    report = judge(Source.of(recipe), first, {name: test}, floor, prepared)[0]
    network = SpikingNetwork.load(folder / f"spiking-{name}.safetensors")
    rate = RateNetwork.load(folder / "rate.safetensors")
    content = {
        "neurons": network.neurons,
        "missed": [*rate.origin.missed, *network.origin.missed],
        "prominence": {measure.name: measure.entry.prominence for measure in report.measures},
        **report.as_json(),
    }
    write_text(folder / COMPARISON, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _recordings(recipe: Recipe, folder: Path) -> list[Recording]:
    return [Recording.load(folder / f"rate-{i + 1}.nc") for i in range(recipe.reference_runs)]


@dataclass(frozen=True)
class Order:
    """What a worker is told of a task: names, digests and folders, from which it makes the step anew.

    `needs` holds, by the name of a step, its key, its folder and its files.
    """

    root: Path
    folder: str
    recipe: Recipe
    name: str
    key: str
    needs: Mapping[str, tuple[str, str, tuple[str, ...]]]

    @classmethod
    def of(cls, task: Task, root: Path) -> Order:
        """Order for a task in the folder of a sweep."""
        needs = {need.step.name: (need.key, need.folder, need.step.outputs) for need in task.needs}
        return cls(root, task.folder, task.recipe, task.step.name, task.key, needs)

    def do(self, prepared: Reference | None, *done: object) -> None:
        """On a worker: do the step in its folder, unless it was done before; the steps that it needs are `done`.

        Raises
        ------
        UnfitWorkerError
            Where the worker does not see the folder, or its versions are others.
        """
        step = self._step(prepared)
        folder = self._own_folder()
        folder.mkdir(parents=True, exist_ok=True)
        for _, other, files in self.needs.values():
            for file in files:
                _link(folder / file, self.root / STEPS / other / file)
        done_before, began = is_done(step, self.key, folder), time.perf_counter()
        with _alone():
            perform([step], folder, Announce())
        if not done_before:
            write_text(folder / SECONDS, f"{time.perf_counter() - began:.3f}\n")

    def prepare(self, *done: object) -> Reference | None:
        """On a worker: what this comparison and all others with the same runs of the rate network share.

        None for trials of a task, whose comparisons share nothing that takes long.
        """
        self._step(None)
        if self.recipe.trials is not None:
            return None
        files = {name: self.root / STEPS / folder / files[0] for name, (_, folder, files) in self.needs.items()}
        first, *floor = (Recording.load(files[name]) for name in _references(self.recipe))
        wells, burn_in = Source.of(self.recipe).memories, self.recipe.simulation.burn_in
        with _alone():
            return prepare_reference(first, floor, burn_in=burn_in, seed=self.recipe.seed, wells=wells)

    def _own_folder(self) -> Path:
        return self.root / STEPS / self.folder

    def _step(self, prepared: Reference | None) -> Step:
        """The step, if this machine has what the machine that asks has."""
        host = socket.gethostname()
        if not (self.root / LOCK).exists():
            raise UnfitWorkerError(
                f"The worker on {host} does not see the folder {self.root}. Take one that all machines share."
            )
        step = next(step for step in _steps(self.recipe, self._own_folder(), prepared) if step.name == self.name)
        alone = replace(step, needs=(), settings=_settings(step, {name: need[0] for name, need in self.needs.items()}))
        if step_key(alone.settings, {}, versions()) != self.key:
            raise UnfitWorkerError(
                f"The worker on {host} has another version of ddm2snn, of a package or of the system's file than the "
                "machine that asks. Install the same on both."
            )
        return alone


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Work as outside of Dask: xarray else asks the scheduler for a lock. Warnings are of simulators.

    What a result misses stands in it.
    """
    with library("dask", "sweep").config.set(scheduler="synchronous"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _settings(step: Step, keys: Mapping[str, str]) -> dict[str, Any]:
    """Settings of a step in its own folder: runs differ by the step's name too, and what it needs is named by keys."""
    return {**step.settings, "step": step.name, _NEEDS: dict(keys)}


def _link(link: Path, file: Path) -> None:
    """Have a file of another step in a folder, by a link that outlives a move of both."""
    target = Path(os.path.relpath(file, link.parent))
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
