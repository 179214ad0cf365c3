"""What the steps of a run do: each action reads the files of earlier steps and writes its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.analysis.jacobian import network_jacobian
from ddm2snn.backend import Backend
from ddm2snn.base.progress import Progress
from ddm2snn.base.randomness import child_seed
from ddm2snn.conversion import Decoders, Population, convert, find_decoders
from ddm2snn.fidelity.ladder import RATE, TARGET, build_ladder
from ddm2snn.fidelity.lyapunov import (
    APART,
    FEWEST_LATENTS,
    SPIKES_APART,
    Exponent,
    drift_exponent,
    twin_exponent,
    twin_starts,
)
from ddm2snn.load import load_as
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.recording import Recording
from ddm2snn.simulate import record_system, simulate
from ddm2snn.systems import System
from ddm2snn.training import Training, train
from ddm2snn.workflow.device_stages import DeviceStage
from ddm2snn.workflow.recipe import ConversionSettings, Recipe
from ddm2snn.workflow.report import Page
from ddm2snn.workflow.steps import versions
from ddm2snn.workflow.tables import conversion_table, training_table

if TYPE_CHECKING:
    from ddm2snn.hardware import HardwareConfig

RATE_FILE, SPIKES_FILE = "rate.safetensors", "spikes.nc"
RASTER_DURATION = 10.0
"""Length of the run whose spikes are shown, in rate time units."""
PAIR_DURATION, PAIRS = 10.0, 32
"""Length of the runs of perturbed pairs in rate time units, and their number."""


def spiking_file(backend: str) -> str:
    """File of the network that was converted for a backend."""
    return f"spiking-{backend}.safetensors"


def target_files(count: int) -> tuple[str, ...]:
    """Files of the runs of the target."""
    return tuple(f"target-{i + 1}.nc" for i in range(count))


def pair_files(backend: str) -> tuple[str, str]:
    """Files of perturbed pairs: the first of each pair, and the second."""
    return f"twins-{backend}-1.nc", f"twins-{backend}-2.nc"


@dataclass(frozen=True)
class Actions:
    """Actions of a recipe's steps in a folder."""

    recipe: Recipe
    system: System
    folder: Path

    def train(self, progress: Progress) -> None:
        """Train the rate network."""
        settings = self.recipe.training
        network = train(
            self.system, units=settings.units, seed=self.recipe.seed, progress=progress,
            training=Training(error=settings.error, ridge=settings.ridge),
        )  # fmt: skip
        network.save(self.folder / RATE_FILE)

    def convert(self, output: str, backend: str | None, hardware: HardwareConfig | None, progress: Progress) -> None:
        """Convert the rate network for a backend or a device."""
        settings = self.recipe.conversion
        conversion = convert(
            self._rate_network(),
            population=_population(settings),
            decoders=_decoders(settings),
            backend=backend,
            hardware=hardware,
            time_unit_s=settings.time_unit_s,
            dt_s=settings.dt_s,
            seed=self.recipe.seed,
        )
        conversion.network.save(self.folder / output)

    def simulate_target(self, progress: Progress) -> None:
        """Record the target system."""
        settings, starts = self.recipe.simulation, self._rate_network().initial_latent
        files = target_files(self.recipe.reference_runs)
        for index, file in enumerate(files):
            recording = record_system(
                self.system, starts, duration=settings.burn_in + settings.duration, every=settings.every,
                trials=settings.trials, seed=child_seed(self.recipe.seed, "simulate", file),
                progress=lambda share, done=index: progress((done + share) / len(files)),
            )  # fmt: skip
            recording.save(self.folder / file)

    def simulate(self, name: str, network: str, backend: str | Backend, progress: Progress) -> None:
        """Run a network."""
        settings = self.recipe.simulation
        recording = simulate(
            self._network(network, backend), backend=backend, duration=settings.burn_in + settings.duration,
            trials=settings.trials, seed=child_seed(self.recipe.seed, "simulate", name), every=settings.every,
            progress=progress,
        )  # fmt: skip
        recording.save(self.folder / f"{name}.nc")

    def simulate_spikes(self, network: str, backend: str, progress: Progress) -> None:
        """Run one short trial that records spikes."""
        recording = simulate(
            self._network(network, backend), backend=backend, duration=RASTER_DURATION, trials=1,
            seed=child_seed(self.recipe.seed, "simulate", "spikes"), every=self.recipe.simulation.every, spikes=True,
            progress=progress,
        )  # fmt: skip
        recording.save(self.folder / SPIKES_FILE)

    def simulate_pairs(self, network: str, backend: str, progress: Progress) -> None:
        """Run a network twice with the same noise, from stationary states and from perturbed ones."""
        loaded = self._network(network, backend)
        distance = APART if backend == "rate" else SPIKES_APART
        starts = twin_starts(loaded.initial_latent, PAIRS, self.recipe.seed, distance)
        for index, (file, initial) in enumerate(zip(pair_files(backend), starts, strict=True)):
            recording = simulate(
                loaded, backend=backend, duration=PAIR_DURATION, trials=PAIRS, initial_latent=initial,
                seed=child_seed(self.recipe.seed, "simulate", f"twins {backend}"), every=self.recipe.simulation.every,
                progress=lambda share, done=index: progress((done + share) / 2),
            )  # fmt: skip
            recording.save(self.folder / file)

    def report(self, stages: Sequence[DeviceStage], progress: Progress) -> None:
        """Compare all recordings and write the report page; `stages` are those on devices."""
        recipe = self.recipe
        rates = [self._recording(f"rate-{i + 1}.nc") for i in range(recipe.reference_runs)]
        targets = [self._recording(file) for file in target_files(recipe.reference_runs)]
        files = {name: spiking_file(name) for name in recipe.backends}
        files |= {stage.name: stage.network_file for stage in stages}
        tests = {name: self._recording(f"{name}.nc") for name in files}
        reports, ladder = build_ladder(
            targets, rates, tests, burn_in=recipe.simulation.burn_in, seed=recipe.seed, wells=_wells(self.system),
            previous={stage.name: stage.previous for stage in stages},
            progress=lambda share: progress(0.8 * share),
        )  # fmt: skip
        rate = self._rate_network()
        networks = {name: load_as(self.folder / file, SpikingNetwork) for name, file in files.items()}
        page = Page(
            title=f"{self.system.name}: from {rate.units} rate units to {_counts(networks)} spiking neurons",
            subtitle=self.system.summary or f"rank {self.system.rank}",
            recordings={RATE: rates[0], **tests, TARGET: targets[0]},
            reports=reports,
            ladder=ladder,
            rasters={recipe.backends[0]: self._recording(SPIKES_FILE)},
            command=f"ddm2snn run {recipe.system} -o {self.folder.name}\n\n{recipe.as_toml().rstrip()}",
            tables=[training_table(rate), conversion_table(networks)],
            networks=networks,
            exponents=self._exponents(rate, lambda share: progress(0.8 + 0.1 * share)),
            summary={
                "recipe": recipe.model_dump(mode="json"),
                "training": {"fingerprint": rate.fingerprint, **rate.provenance},
                "conversions": {
                    n: {"fingerprint": s.fingerprint, **s.provenance}
                    | ({} if s.hardware is None else {"hardware": s.hardware.as_json()})
                    for n, s in networks.items()
                },
                "versions": versions(),
            },
        )
        page.write(self.folder)

    def _exponents(self, rate: RateNetwork, progress: Progress) -> list[Exponent]:
        """Lyapunov exponents of the drift fields and of perturbed pairs, where the system has latents enough."""
        if self.system.rank < FEWEST_LATENTS:
            return []
        starts = rate.initial_latent
        exponents = [
            drift_exponent(TARGET, self.system.checked_drift, starts, progress=lambda share: progress(0.5 * share)),
            drift_exponent(RATE, rate.drift, starts, network_jacobian(rate), lambda s: progress(0.5 + 0.5 * s)),
        ]
        for backend in ("rate", *self.recipe.backends):
            pair = (self._recording(file) for file in pair_files(backend))
            exponents.append(twin_exponent(RATE if backend == "rate" else backend, *pair))
        return exponents

    def _rate_network(self) -> RateNetwork:
        return load_as(self.folder / RATE_FILE, RateNetwork)

    def _network(self, file: str, backend: str | Backend) -> RateNetwork | SpikingNetwork:
        return load_as(self.folder / file, RateNetwork if backend == "rate" else SpikingNetwork)

    def _recording(self, file: str) -> Recording:
        return load_as(self.folder / file, Recording)


def _decoders(settings: ConversionSettings) -> Decoders:
    """Kind of decoders that a recipe asks for."""
    return find_decoders(settings.decoders, **({} if settings.ridge is None else {"ridge": settings.ridge}))


def _population(settings: ConversionSettings) -> Population | None:
    """Population that a recipe asks for; None where it names neither neurons nor rates."""
    fields = {"neurons_per_unit": settings.neurons_per_unit, "max_rates_hz": settings.max_rates_hz}
    named = {name: value for name, value in fields.items() if value is not None}
    return Population(**named) if named else None  # pyright: ignore[reportArgumentType] - by the names above


def _wells(system: System) -> np.ndarray | None:
    """Memories of a system, where it has two or more."""
    memories = system.known.get("memories")
    return memories if memories is not None and len(memories) > 1 else None


def _counts(networks: Mapping[str, SpikingNetwork]) -> str:
    """Numbers of neurons, each once."""
    return " / ".join(sorted({str(network.neurons) for network in networks.values()}))
