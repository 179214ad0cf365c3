"""What a run starts from: a system to train on, or a network that there is, and the trials of its task."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import stream
from ddm2snn.base.threads import one_thread
from ddm2snn.errors import InputError
from ddm2snn.exchange import import_network, read_stimulus
from ddm2snn.fidelity.conditions import FEWEST_TRIALS
from ddm2snn.network import RateNetwork, SpikingNetwork
from ddm2snn.recording import Recording
from ddm2snn.schedule import step_count
from ddm2snn.simulate import sampling_stride
from ddm2snn.stimulus import Stimulus
from ddm2snn.systems import System, find_system
from ddm2snn.systems.integration import integrate
from ddm2snn.training import Training, train
from ddm2snn.workflow.recipe import MEMORIES, Recipe

if TYPE_CHECKING:
    from jaxtyping import Float

_OWN = (".safetensors", ".zip", "")  # suffixes of networks that `load` reads; a card in a folder has none


@dataclass(frozen=True, eq=False)
class Source:
    """The system or the network of a recipe, and the trials that it names, in the time that they are given in."""

    recipe: Recipe
    system: System | None
    network: RateNetwork | None
    trials: Stimulus | None

    @classmethod
    def of(cls, recipe: Recipe, system: System | None = None) -> Source:
        """Find the system, unless it is given, or read the network; read the trials.

        Raises
        ------
        InputError
            Where there is no such system, a file cannot be used, or trials and network do not belong together.
        """
        network = None
        if recipe.network is not None:
            network = _read_network(recipe.network, recipe)
        elif system is None:
            system = find_system(str(recipe.system))
        source = cls(recipe, system, network, None)
        if recipe.trials is None:
            return source
        trials = _read_trials(recipe, system)
        trials.at(np.zeros(1), source.rank if network is None else network.input_map.shape[1])
        if trials.initial_latent is not None and trials.initial_latent.shape[1] != source.rank:
            raise InputError(
                f"The trials start at {trials.initial_latent.shape[1]} latents, and {source.name} has {source.rank}. "
                "Give others, or leave initial_latent out."
            )
        return replace(source, trials=trials)

    @property
    def name(self) -> str:
        """Name of the system, or that of the network's file."""
        return self.system.name if self.system is not None else Path(str(self.recipe.network)).stem

    @property
    def rank(self) -> int:
        """Number of latents."""
        return self._there.rank

    @property
    def units(self) -> int:
        """Number of rate units."""
        return self.recipe.training.units or self._there.units

    @property
    def target(self) -> System:
        """The system, of a source that has one."""
        if self.system is None:
            raise InputError(f"{self.name} is a network without a system. Give a recipe with one.")
        return self.system

    @property
    def _there(self) -> System | RateNetwork:
        return self.target if self.network is None else self.network

    @property
    def summary(self) -> str:
        """One line on it."""
        return (self.system.summary if self.system is not None else "") or f"rank {self.rank}"

    @property
    def step(self) -> str:
        """Name of the step that makes the rate network."""
        return "train" if self.network is None else "network"

    @property
    def settings(self) -> dict[str, Any]:
        """What the rate network depends on."""
        if self.network is not None:
            return {"network": self.network.fingerprint}
        return {"system": self.identity, "seed": self.recipe.seed, **self.recipe.training.model_dump()}

    @property
    def identity(self) -> dict[str, Any]:
        """Name, diffusion and the drift at fixed points: enough to notice that a user's file has changed."""
        system, probe = self.target, np.linspace(-1.7, 2.3, 7 * self.rank).reshape(7, self.rank)
        return {
            "name": system.name,
            "units": system.units,
            "time_scale": system.time_scale,
            "drift": [repr(float(value)) for value in system.checked_drift(probe).ravel()],
            "diffusion": [repr(float(value)) for value in system.factor(probe).ravel()],
        }

    @property
    def memories(self) -> Float[np.ndarray, "well rank"] | None:
        """Centres of the wells of the system, where it has several."""
        centres = None if self.system is None else self.system.known.get("memories")
        return centres if centres is not None and len(centres) > 1 else None

    def rate_network(self, progress: Progress) -> RateNetwork:
        """Train, or take what is there."""
        if self.network is not None:
            return self.network
        settings = self.recipe.training
        return train(
            self.target, units=settings.units, seed=self.recipe.seed, progress=progress,
            training=Training(error=settings.error, ridge=settings.ridge),
        )  # fmt: skip

    @property
    def of_trials(self) -> dict[str, Any]:
        """What recordings depend on besides the sections of the recipe: the trials."""
        if self.trials is None or self.recipe.trials is None:
            return {}
        return {"stimulus": self.trials.fingerprint, "system_time": self.recipe.trials.system_time}

    def trials_for(self, network: RateNetwork | SpikingNetwork) -> Stimulus | None:
        """Trials in rate time units, with their length."""
        if self.trials is None or self.recipe.trials is None:
            return None
        trials = self.trials.in_rate_time(network.time_scale) if self.recipe.trials.system_time else self.trials
        return trials if trials.duration is not None else replace(trials, duration=self.recipe.simulation.duration)


def first_trial(trials: Stimulus) -> Stimulus:
    """The first of some trials alone, once."""
    initial = trials.initial_latent
    return replace(
        trials, values=trials.values[:1], conditions=trials.conditions[:1], repeats=1,
        initial_latent=None if initial is None else initial[:1],
    )  # fmt: skip


def _read_network(path: str, recipe: Recipe) -> RateNetwork:
    """Network of a file or card of ours, or of a file of weights."""
    if recipe.mapping is None and Path(path).suffix.lower() in _OWN:
        return RateNetwork.load(path)
    network = import_network(path, recipe.mapping, seed=recipe.seed)
    if not isinstance(network, RateNetwork):
        raise InputError(f"{path} holds a spiking network, and a recipe starts from a rate network. Give that.")
    return network


def _read_trials(recipe: Recipe, system: System | None) -> Stimulus:
    """Trials of a recipe, each with the name of its condition, and of each condition enough to be compared."""
    settings = recipe.trials
    if settings is None:
        return Stimulus()
    if settings.stimulus == MEMORIES:
        memories = None if system is None else system.known.get("memories")
        if memories is None:
            raise InputError(
                f"trials.stimulus is {MEMORIES!r}, but {recipe.system or recipe.network} has none that are known. Give "
                "a file of trials, or a system with memories such as fourwell."
            )
        trials = Stimulus.towards(memories, strength=settings.strength, hold=settings.hold, rest=settings.rest)
    else:
        trials = read_stimulus(settings.stimulus)
    if trials.empty:
        raise InputError(f"The trials in {settings.stimulus} have no input. Give their inputs, or leave [trials] out.")
    if trials.trials is None:
        trials = replace(trials, values=trials.values[None], conditions=(Path(settings.stimulus).stem,))
    if settings.conditions:
        trials = replace(trials, conditions=settings.conditions)
    if not trials.conditions:
        raise InputError(
            f"The {len(trials.values)} trials in {settings.stimulus} have no names of their conditions. Give "
            "trials.conditions, one name for each."
        )
    alone = len(set(trials.conditions)) == len(trials.conditions) and trials.repeats == 1
    repeats = settings.repeats or (recipe.simulation.trials if alone else trials.repeats)
    name, fewest = Counter(trials.conditions).most_common()[-1]
    if fewest * repeats < FEWEST_TRIALS:
        raise InputError(
            f"Condition {name!r} of {settings.stimulus} is run {fewest * repeats} time(s), and {FEWEST_TRIALS} are "
            "needed. Give trials.repeats."
        )
    return replace(trials, repeats=repeats)


def record_system(
    system: System,
    starts: Float[np.ndarray, "sample rank"],
    *,
    duration: float,
    every: float,
    trials: int,
    seed: int,
    time_scale: float = 1.0,
    stimulus: Stimulus | None = None,
    progress: Progress = no_progress,
) -> Recording:
    """Integrate the target SDE itself, sampled as `simulate` would; a rate time unit is taken as one second.

    Initial states are drawn from `starts`, unless the stimulus has them. Its inputs add to the drift. `time_scale` is
    that of a network: units of the system's time in one rate time unit.
    """
    system, given = system.in_time(time_scale), stimulus or Stimulus()
    check_positive("record_system", duration=duration, every=every)
    trials = as_count("trials", trials)
    rng = stream(seed, "target", system.name)
    initial = starts[rng.integers(len(starts), size=trials)] if given.starts is None else given.starts
    stride = sampling_stride(every, system.checked_drift, starts)
    step = every / stride
    steps, forcing = step_count(duration, step), None
    if not given.empty:
        forcing = given.of_each(np.arange(steps) * step, np.eye(system.rank)).__getitem__
    with one_thread(solving=False):
        latent = integrate(
            system.checked_drift, system.noise, initial, dt=step, steps=steps, stride=stride, rng=rng,
            forcing=forcing, progress=progress,
        )  # fmt: skip
    provenance = {
        "backend": "target SDE", "system": system.name, "seed": seed, "step": step, "numpy": np.__version__,
        **({"conditions": list(given.conditions)} if given.conditions else {}),
    }  # fmt: skip
    return Recording.from_arrays(latent, every=every, time_unit_s=1.0, time_scale=time_scale, provenance=provenance)
