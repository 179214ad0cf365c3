"""The verb run: the whole way from a target system to a report, in steps that are done once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ddm2snn.analysis.flow import network_jacobian
from ddm2snn.analysis.lyapunov import (
    APART,
    FEWEST_LATENTS,
    SPIKES_APART,
    Exponent,
    drift_exponent,
    twin_exponent,
    twin_starts,
)
from ddm2snn.backend import Backend
from ddm2snn.base.files import new_folder, remove_stale
from ddm2snn.base.processes import at_once
from ddm2snn.base.progress import Announce, Console, Progress
from ddm2snn.base.randomness import child_seed
from ddm2snn.conversion import convert
from ddm2snn.errors import InputError
from ddm2snn.fidelity.compare import compare_each
from ddm2snn.fidelity.conditions import compare_conditions
from ddm2snn.fidelity.ladder import RATE, TARGET, build_ladder
from ddm2snn.fidelity.reference import Reference
from ddm2snn.fidelity.report import FidelityReport
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.recording import Recording
from ddm2snn.simulate import simulate
from ddm2snn.systems import System
from ddm2snn.workflow.recipe import DeviceStage, Recipe, device_stages
from ddm2snn.workflow.report import FIGURES, PAGE_FILES, Page
from ddm2snn.workflow.source import Source, first_trial, record_system
from ddm2snn.workflow.steps import STATE, Step, perform, versions
from ddm2snn.workflow.tables import conversion_table, training_table

if TYPE_CHECKING:
    from ddm2snn.hardware import HardwareConfig

_LOCK = ".run.lock"  # released by the system where a run is killed
_RATE_FILE, _SPIKES_FILE = "rate.safetensors", "spikes.nc"
_RASTER_DURATION = 10.0  # of the run whose spikes are shown, in rate time units
_PAIR_DURATION, _PAIRS = 10.0, 32  # of the runs of perturbed pairs, in rate time units, and their number


def run(recipe: Recipe | System | str, folder: Path | str, *, progress: Announce | bool = False) -> dict[str, Any]:
    """Train, convert, simulate, compare and report; return the content of summary.json.

    A step whose inputs did not change is not done again, and an interrupted run goes on where it stopped.

    Parameters
    ----------
    recipe
        A Recipe, or a name or file as `Recipe.of` takes it, or a System. What has no recipe gets the default one.
    folder
        Folder of all files; created if missing.
    progress
        Whether to show the steps, or what is told of them.

    Returns
    -------
    dict
        The content of summary.json: findings, reports and every number.

    Raises
    ------
    InputError
        Where recipe, system or folder cannot be used, or another run works in the folder.

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
        recipe = Recipe(system=recipe.name) if isinstance(recipe, System) else Recipe.of(recipe)
    target = Path(folder)
    pipeline = _Pipeline(recipe, Source.of(recipe, system), target)
    try:
        with new_folder(target, notes=(_LOCK, STATE)), FileLock(target / _LOCK, timeout=0):
            for place in (target, target / FIGURES):
                remove_stale(place, older_than_s=0.0)
            with contextlib.closing(Console()) as console:
                told = console if progress is True else progress or Announce()
                perform(pipeline.steps(), target, told, at_once())
    except Timeout as error:
        raise InputError(f"Another run works in {target}. Wait for its end, or choose another folder.") from error
    return json.loads((target / "summary.json").read_text(encoding="utf-8"))


def steps_of(recipe: Recipe, folder: Path) -> list[Step]:
    """Steps of a run of a recipe, which read and write files of `folder`; none of them is done.

    >>> [step.name for step in steps_of(Recipe(system="lorenz", backends=["nengo"], reference_runs=2), Path("out"))][:5]
    ['train', 'simulate rate-1', 'simulate rate-2', 'simulate target', 'convert nengo']
    """
    return _Pipeline(recipe, Source.of(recipe), folder).steps()


def judge(
    source: Source,
    reference: Recording,
    tests: Mapping[str, Recording],
    floor: Sequence[Recording],
    prepared: Reference | None = None,
) -> list[FidelityReport]:
    """Compare recordings with a reference as a recipe says: as processes, or as trials of a task."""
    recipe, trials = source.recipe, source.recipe.trials
    if trials is None:
        settings = {"burn_in": recipe.simulation.burn_in, "seed": recipe.seed, "wells": source.memories}
        return compare_each(reference, tests, floor=floor, prepared=prepared, **settings)
    settings = {"boundary": trials.boundary, "threshold": trials.threshold, "seed": recipe.seed}
    return [compare_conditions(reference, t, floor=floor, label=n, **settings) for n, t in tests.items()]


@dataclass(frozen=True)
class _Pipeline:
    """The steps of a recipe: what each needs, the settings that its files depend on, and what it does.

    Actions read the files of earlier steps and write their own. Names of steps and of files, and the keys of
    settings, are written into the folder: with others, the folders of earlier runs would not resume.
    """

    recipe: Recipe
    source: Source
    folder: Path

    def steps(self) -> list[Step]:
        recipe, seed, source = self.recipe, {"seed": self.recipe.seed}, self.source
        steps = [Step(source.step, (), source.settings, (_RATE_FILE,), self._make_rate)]
        runs = [f"rate-{i + 1}" for i in range(recipe.reference_runs)]
        steps += [self._simulation(name, source.step, _RATE_FILE, "rate", seed) for name in runs]
        if source.system is not None:
            target = {**recipe.simulation.model_dump(), **seed, **source.of_trials, "system": source.identity}
            files = self._target_files
            steps.append(Step("simulate target", (source.step,), target, files, self._simulate_target))
        for backend in recipe.backends:
            steps.append(self._conversion(backend, {"backend": backend, **seed}, backend=backend))
            steps.append(self._simulation(backend, f"convert {backend}", _spiking_file(backend), backend, seed))
        for stage in self._stages:
            name, device, runs = stage.name, stage.settings(recipe), stage.backend(emulator=recipe.emulator)
            steps.append(self._conversion(name, device, hardware=stage.in_loop))
            steps.append(self._simulation(name, f"convert {name}", _spiking_file(name), runs, device))
        steps.append(self._raster_step(recipe.backends[0]))
        if self._has_exponents:
            steps.append(self._pair_step("rate", source.step, _RATE_FILE))
            steps += [self._pair_step(b, f"convert {b}", _spiking_file(b)) for b in recipe.backends]
        needs = (source.step, *(s.name for s in steps if s.name.startswith(("convert", "simulate"))))
        settings = {"recipe": recipe.without_folders.model_dump(mode="json")}
        return [*steps, Step("report", needs, settings, PAGE_FILES, self._report, FIGURES, alone=True)]

    @cached_property
    def _stages(self) -> list[DeviceStage]:
        return device_stages(self.recipe.hardware, self.recipe.backends[0], self.recipe.weight_bits)

    @property
    def _target_files(self) -> tuple[str, ...]:
        """Files of the target SDE, where there is a system."""
        return tuple(f"target-{i + 1}.nc" for i in range(self.recipe.reference_runs if self.source.system else 0))

    @property
    def _has_exponents(self) -> bool:
        """Whether there are latents enough for chaos, and no inputs that drive it."""
        return self.source.rank >= FEWEST_LATENTS and self.source.trials is None

    def _conversion(
        self, name: str, settings: Mapping[str, Any], backend: str | None = None, hardware: HardwareConfig | None = None
    ) -> Step:
        """Conversion for a backend, or for a stage on a device."""
        asked, file = self.recipe.conversion, _spiking_file(name)

        def action(progress: Progress) -> None:
            rate = self._rate_network()
            conversion = convert(
                rate,
                population=asked.population(),
                decoders=asked.kind_of_decoders(self.source.trials_for(rate)),
                backend=backend,
                hardware=hardware,
                time_unit_s=asked.time_unit_s,
                dt_s=asked.dt_s,
                seed=self.recipe.seed,
            )
            conversion.network.save(self.folder / file)

        settings = {**asked.model_dump(), **settings, **self.source.of_trials}
        return Step(f"convert {name}", (self.source.step,), settings, (file,), action)

    def _simulation(
        self, name: str, need: str, network: str, backend: str | Backend, settings: Mapping[str, Any]
    ) -> Step:
        run, file = self.recipe.simulation, f"{name}.nc"
        asked = {"duration": run.burn_in + run.duration, "trials": run.trials} if self.source.trials is None else {}
        action = partial(self._simulate, file, network, backend, name, **asked)
        settings = {**run.model_dump(), **settings, **self.source.of_trials}
        return Step(f"simulate {name}", (need,), settings, (file,), action)

    def _raster_step(self, backend: str) -> Step:
        """One short trial with its spikes, for the figure."""
        settings = {"every": self.recipe.simulation.every, "seed": self.recipe.seed, "duration": _RASTER_DURATION}
        settings |= self.source.of_trials
        asked = {"duration": _RASTER_DURATION} if self.source.trials is None else {}
        action = partial(
            self._simulate, _SPIKES_FILE, _spiking_file(backend), backend, "spikes", trials=1, spikes=True, **asked
        )
        return Step(f"simulate spikes of {backend}", (f"convert {backend}",), settings, (_SPIKES_FILE,), action)

    def _pair_step(self, backend: str, need: str, network: str) -> Step:
        """Runs with the same noise from stationary states and from perturbed ones, for the Lyapunov exponent."""
        settings = {
            "seed": self.recipe.seed, "duration": _PAIR_DURATION, "trials": _PAIRS, "apart": [APART, SPIKES_APART],
            "every": self.recipe.simulation.every,
        }  # fmt: skip

        def action(progress: Progress) -> None:
            distance = APART if backend == "rate" else SPIKES_APART
            starts = twin_starts(self._network(network, backend).initial_latent, _PAIRS, self.recipe.seed, distance)
            for index, (file, initial) in enumerate(zip(_pair_files(backend), starts, strict=True)):
                self._simulate(
                    file, network, backend, f"twins {backend}", lambda share, done=index: progress((done + share) / 2),
                    duration=_PAIR_DURATION, trials=_PAIRS, initial_latent=initial,
                )  # fmt: skip

        return Step(f"simulate twins on {backend}", (need,), settings, _pair_files(backend), action)

    def _make_rate(self, progress: Progress) -> None:
        self.source.rate_network(progress).save(self.folder / _RATE_FILE)

    def _simulate_target(self, progress: Progress) -> None:
        settings, rate = self.recipe.simulation, self._rate_network()
        files, trials = self._target_files, self.source.trials_for(rate)
        lasts, count = settings.burn_in + settings.duration, settings.trials
        if trials is not None:
            lasts, count = trials.duration or lasts, trials.trials or count
        for index, file in enumerate(files):
            recording = record_system(
                self.source.target, rate.initial_latent, time_scale=rate.time_scale, every=settings.every,
                duration=lasts, trials=count, stimulus=trials,
                seed=child_seed(self.recipe.seed, "simulate", file),
                progress=lambda share, done=index: progress((done + share) / len(files)),
            )  # fmt: skip
            recording.save(self.folder / file)

    def _simulate(
        self, file: str, network: str, backend: str | Backend, label: str, progress: Progress,
        **settings: Any,  # noqa: ANN401 - as `simulate` takes them
    ) -> None:  # fmt: skip
        """Run a network with settings of `simulate`; runs of one label have the same noise."""
        of_file = self._network(network, backend)
        trials = self.source.trials_for(of_file)
        recording = simulate(
            of_file, backend=backend, seed=child_seed(self.recipe.seed, "simulate", label),
            every=self.recipe.simulation.every, progress=progress,
            stimulus=trials if trials is None or "trials" not in settings else first_trial(trials), **settings,
        )  # fmt: skip
        recording.save(self.folder / file)

    def _report(self, progress: Progress) -> None:
        recipe, shared = self.recipe, self.recipe.without_folders
        rates = [self._recording(f"rate-{i + 1}.nc") for i in range(recipe.reference_runs)]
        targets = [self._recording(file) for file in self._target_files]
        files = {name: _spiking_file(name) for name in recipe.backends}
        files |= {stage.name: _spiking_file(stage.name) for stage in self._stages}
        tests = {name: self._recording(f"{name}.nc") for name in files}
        reports, ladder = build_ladder(
            targets, rates, tests, judge=partial(judge, self.source),
            previous={stage.name: stage.previous for stage in self._stages},
            progress=lambda share: progress(0.5 * share),
        )  # fmt: skip
        rate = self._rate_network()
        networks = {name: SpikingNetwork.load(self.folder / file) for name, file in files.items()}
        neurons = " / ".join(sorted({str(network.neurons) for network in networks.values()}))
        page = Page(
            title=f"{self.source.name}: from {rate.units} rate units to {neurons} spiking neurons",
            subtitle=self.source.summary,
            recordings={RATE: rates[0], **tests, **({TARGET: targets[0]} if targets else {})},
            reports=reports,
            ladder=ladder,
            rasters={recipe.backends[0]: self._recording(_SPIKES_FILE)},
            command=f"ddm2snn run {shared.command} -o out\n\n{shared.as_toml().rstrip()}",
            tables=[*([training_table(rate)] if self.source.system else []), conversion_table(networks)],
            networks=networks,
            missed=[*rate.origin.missed, *(f"{n}: {text}" for n, s in networks.items() for text in s.origin.missed)],
            rate=rate,
            trials=self.source.trials_for(rate),
            exponents=self._exponents(rate, lambda share: progress(0.5 + 0.1 * share)),
            summary={
                "recipe": shared.model_dump(mode="json"),
                "training": {"fingerprint": rate.fingerprint, **rate.provenance},
                "conversions": {
                    n: {"fingerprint": s.fingerprint, **s.provenance}
                    | ({} if s.hardware is None else {"hardware": s.hardware.as_json()})
                    for n, s in networks.items()
                },
                "versions": versions(),
            },
        )
        page.write(self.folder, lambda share: progress(0.6 + 0.4 * share))

    def _exponents(self, rate: RateNetwork, progress: Progress) -> list[Exponent]:
        """Lyapunov exponents of the drift fields and of perturbed pairs, where there are latents enough."""
        if not self._has_exponents:
            return []
        rate, starts, exponents = rate.in_rate_time, rate.initial_latent, []
        if self.source.system is not None:
            target = self.source.system.in_time(rate.time_scale)
            exponents.append(drift_exponent(TARGET, target.checked_drift, starts, progress=lambda s: progress(s / 2)))
        exponents.append(
            drift_exponent(RATE, rate.drift, starts, network_jacobian(rate), lambda s: progress(0.5 + s / 2))
        )
        for backend in ("rate", *self.recipe.backends):
            pair = (self._recording(file) for file in _pair_files(backend))
            exponents.append(twin_exponent(RATE if backend == "rate" else backend, *pair))
        return exponents

    def _rate_network(self) -> RateNetwork:
        return RateNetwork.load(self.folder / _RATE_FILE)

    def _network(self, file: str, backend: str | Backend) -> RateNetwork | SpikingNetwork:
        return (RateNetwork if backend == "rate" else SpikingNetwork).load(self.folder / file)

    def _recording(self, file: str) -> Recording:
        return Recording.load(self.folder / file)


def _spiking_file(name: str) -> str:
    """File of the network that was converted for a backend or a stage on a device."""
    return f"spiking-{name}.safetensors"


def _pair_files(backend: str) -> tuple[str, str]:
    """Files of perturbed pairs: the first of each pair, and the second."""
    return f"twins-{backend}-1.nc", f"twins-{backend}-2.nc"
