"""Settings of a whole run, from a TOML file or from a name, and the stages on the devices that they name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ddm2snn.backend import RATE, Backend, backend_names, find_backend
from ddm2snn.base.settings import WHOLE, Count, NotNegative, Positive, Settings, read_settings
from ddm2snn.conversion.decoders import Decoders, find_decoders
from ddm2snn.conversion.population import Population
from ddm2snn.errors import InputError
from ddm2snn.exchange import ArrayMapping
from ddm2snn.hardware import HardwareConfig, find_hardware
from ddm2snn.stimulus import Stimulus


class TrainingSettings(Settings):
    """Section [training]: rate units (the system's own number unless given), drift error or ridge."""

    units: Count | None = None
    error: Positive = 1e-3
    ridge: Positive | None = None


class ConversionSettings(Settings):
    """Section [conversion]: neurons and their largest rates, decoders and their ridge, time unit, rise and step.

    A setting that is None has the default of `ddm2snn.Population` or of the decoders.
    """

    neurons_per_unit: Count | Positive | None = None
    max_rates_hz: tuple[Positive, Positive] | None = None
    decoders: str = "calibrated"
    ridge: Positive | None = None
    time_unit_s: Positive | None = None
    rise_s: NotNegative | None = None
    dt_s: Positive = 1e-3

    @model_validator(mode="after")
    def _known_decoders(self) -> ConversionSettings:
        try:
            self.kind_of_decoders()
        except InputError as error:
            raise ValueError(str(error).rstrip(".")) from error
        return self

    def kind_of_decoders(self, stimulus: Stimulus | None = None) -> Decoders:
        """Decoders of the name, with the ridge and the rise if they are given, and with the trials if they know any."""
        given = self.model_dump(include={"ridge", "rise_s"}, exclude_none=True)
        decoders = find_decoders(self.decoders, **given)
        if stimulus is None or not hasattr(decoders, "stimulus"):
            return decoders
        return find_decoders(self.decoders, **given, stimulus=replace(stimulus, repeats=1))

    def population(self) -> Population | None:
        """Neurons of each unit; None where neither their number nor their rates are set."""
        named = self.model_dump(include={"neurons_per_unit", "max_rates_hz"}, exclude_none=True)
        return Population(**named) if named else None


class SimulationSettings(Settings):
    """Section [simulation]: rate time units recorded and left out before, sampling interval, trials."""

    duration: Positive = 40.0
    burn_in: NotNegative = 4.0
    every: Positive = 0.02
    trials: Count = 64


MEMORIES = "memories"
"""Trials of a recipe that lead through the memories of its system: `ddm2snn.Stimulus.towards`."""
_NETWORKS = (".safetensors", ".zip", ".npz", ".mat", ".h5", ".hdf5", ".pt", ".pth", ".pkl")  # suffixes of their files


class TrialSettings(Settings):
    """Section [trials]: the trials of a task, as `ddm2snn.Stimulus` has them.

    The `stimulus` is a file, or a folder with a table for each condition, or "memories": an input towards each memory
    of the system, of `strength`, for `hold` rate time units, and then none for as many as `rest`. `conditions` name the
    trials of a file that does not, and `repeats` says how often each is run; without either, each condition has as many
    trials as the section [simulation] says, which also says how long they last where the file does not. Times are in
    rate time units, or in the system's own with `system_time`. `boundary` and `threshold` are those of
    `ddm2snn.compare_conditions`.
    """

    stimulus: str
    conditions: tuple[str, ...] = ()
    repeats: Count | None = None
    strength: Positive = 1.0
    hold: Positive = 5.0
    rest: Positive = 5.0
    system_time: bool = False
    boundary: float = 0.0
    threshold: Positive | None = None


class Recipe(Settings):
    r"""The whole way from a target system, or from a network, to a report.

    Parameters
    ----------
    system
        Built-in name or ``path/to/file.py:attribute``, relative to the recipe's folder. `run` executes that file.
    network
        File or card of a rate network in place of a system, or a file of weights that `import_network` reads.
    mapping
        What a file of weights does not say; see `ddm2snn.ArrayMapping`.
    backends
        Spiking backends to convert for and run on.
    hardware
        Devices, by name or the path of a .toml file, to convert for in the loop and to run on as well.
    weight_bits
        Bits of a weight with its sign on these devices, in the place of their own.
    emulator
        Whether nengo-loihi itself runs those that it targets, which takes a hundred times as long as the project's own
        arithmetic with the same spikes.
    reference_runs
        Independent runs of the rate network; the floor is the mean distance over their pairs.
    seed
        Seed of all randomness.
    trials
        Trials of a task; see `TrialSettings`. All networks run them, and are compared by condition.
    training, conversion, simulation
        Sections of settings; see `TrainingSettings`, `ConversionSettings` and `SimulationSettings`.

    Examples
    --------
    >>> recipe = Recipe(system="lorenz", simulation={"trials": 16})
    >>> recipe
    Recipe(system='lorenz', simulation=SimulationSettings(trials=16))
    >>> print(recipe.as_toml().split("\n\n")[-1], end="")
    [simulation]
    duration = 40.0
    burn_in = 4.0
    every = 0.02
    trials = 16
    """

    system: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    backends: tuple[str, ...] = ("brian2", "nengo")
    hardware: tuple[str, ...] = ()
    weight_bits: Annotated[int, Field(ge=2, le=16)] | None = None
    emulator: bool = False
    reference_runs: Annotated[int, Field(ge=2)] = 4
    network: str | None = None
    mapping: ArrayMapping | None = None
    trials: TrialSettings | None = None
    training: TrainingSettings = TrainingSettings()
    conversion: ConversionSettings = ConversionSettings()
    simulation: SimulationSettings = SimulationSettings()

    @field_validator("backends")
    @classmethod
    def _installed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        spiking = [name for name in backend_names() if name != RATE]
        unknown = [name for name in value if name not in spiking]
        if unknown or not value or len(set(value)) != len(value):
            raise ValueError(f"must name each backend once, out of {', '.join(spiking)}")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Recipe:
        problem = None
        if self.system is None and self.network is None:
            problem = "key system is missing and must be set, or network in its place"
        elif self.system is not None and self.network is not None:
            problem = "system and network both say what to start from; leave one out"
        elif self.network is not None and "training" in self.model_fields_set:
            problem = "a network is not trained again; leave [training] out, or give a system in place of network"
        elif self.network is None and self.mapping is not None:
            problem = "[mapping] says what a file of weights leaves open; give network, or leave it out"
        if problem is not None:
            raise PydanticCustomError(WHOLE, problem)
        return self

    @classmethod
    def of(cls, what: str) -> Recipe:
        """Recipe of a TOML file, of a file or card of a network, or of a system by its name.

        Examples
        --------
        >>> Recipe.of("lorenz"), Recipe.of("mine.py:spiral"), Recipe.of("rate.safetensors")
        (Recipe(system='lorenz'), Recipe(system='mine.py:spiral'), Recipe(network='rate.safetensors'))
        """
        if what.endswith(".toml"):
            return cls.read(what)
        of_network = Path(what).suffix.lower() in _NETWORKS or Path(what).is_dir()
        return cls(network=what) if of_network else cls(system=what)

    @classmethod
    def read(cls, path: Path | str) -> Recipe:
        """Read and validate a TOML file; an unknown key is refused with the list of the known ones.

        A path in the file is relative to its folder.
        """
        return read_settings(path, cls).beside(path)

    def beside(self, path: Path | str) -> Recipe:
        """The same recipe with its files by their whole paths, those in it being relative to the folder of `path`."""
        return self._with_files(lambda name: (Path(path).parent / name).resolve())

    @property
    def program(self) -> Path | None:
        """Python file with the system, which `run` executes; None where the system is none of the user's own."""
        file, separator, _ = (self.system or "").rpartition(":")
        return Path(file) if separator and file.endswith(".py") else None

    @property
    def without_folders(self) -> Recipe:
        """The same recipe with the names of its files alone: equal in every folder, and telling nothing of it."""
        return self._with_files(lambda name: Path(name).name)

    def _with_files(self, moved: Callable[[str], Path | str]) -> Recipe:
        """The same recipe with other names of its files."""
        system, network, trials = self.system, self.network, self.trials
        if (program := self.program) is not None:
            system = f"{moved(str(program))}:{str(system).rpartition(':')[2]}"
        if network is not None:
            network = str(moved(network))
        if trials is not None and trials.stimulus != MEMORIES:
            trials = trials.model_copy(update={"stimulus": str(moved(trials.stimulus))})
        devices = tuple(str(moved(name)) if name.endswith(".toml") else name for name in self.hardware)
        update = {"system": system, "network": network, "trials": trials, "hardware": devices}
        return self.model_copy(update={name: value for name, value in update.items() if value != getattr(self, name)})

    @property
    def command(self) -> str:
        """What `ddm2snn run` is given for it: a name says all of some recipes."""
        return "recipe.toml" if self.trials or self.mapping else self.system or self.network or ""

    def as_toml(self) -> str:
        """TOML text with all settings; those that are None are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


@dataclass(frozen=True)
class DeviceStage:
    """A conversion for a device and the run of its network.

    Each stage has a conversion of its own, with the device in the loop that decoders are solved in, so that the
    difference between two stages is that of the devices and not of decoders made for another one.

    Its name is such as "loihi1-emulator-simreal" (floating point) or "loihi1-emulator-sim"; `previous` is that of the
    stage before. The `target` is nengo-loihi's word for the arithmetic: "simreal" without rounding, "sim" with it.
    """

    name: str
    previous: str
    config: HardwareConfig
    target: str

    @property
    def in_loop(self) -> HardwareConfig:
        """The device that decoders are solved on and that runs: one without bits where nothing is rounded."""
        return self.config.unrounded if self.target == "simreal" else self.config

    def backend(self, *, emulator: bool) -> Backend:
        """Backend of the run: the project's own arithmetic, or with `emulator` the device's target."""
        return find_backend(self.config.target if emulator else "quantised", hardware=self.in_loop)

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """Settings that network and recording depend on, besides the sections of the recipe."""
        device = self.in_loop.as_json()
        return {"seed": recipe.seed, "hardware": device, "target": self.target, "emulator": recipe.emulator}


def device_stages(hardware: Sequence[str], floating: str, weight_bits: int | None = None) -> list[DeviceStage]:
    """Stages of devices, by name or path, behind the spiking network in floating point.

    A device with a simulator of its own has two: its decode neurons, filter and delay without rounding, then with it.
    Others are run by the quantised reference alone. Other `weight_bits` than their own are refused for devices that
    compute in floating point.
    """
    stages: list[DeviceStage] = []
    for name in hardware:
        config = find_hardware(name)
        if weight_bits is not None:
            config = _with_weight_bits(config, weight_bits)
        if config.target != "quantised":
            real = DeviceStage(f"{config.name}-simreal", floating, config, "simreal")
            stages += [real, DeviceStage(f"{config.name}-sim", real.name, config, "sim")]
        else:
            stages.append(DeviceStage(f"{config.name}-quantised", floating, config, "sim"))
    return stages


def _with_weight_bits(config: HardwareConfig, bits: int) -> HardwareConfig:
    """The same device with other weights."""
    if config.precision.weight_bits is None:
        raise InputError(f"{config.name} has weights in floating point, but weight_bits is {bits}. Leave it out.")
    return config.model_copy(update={"precision": config.precision.model_copy(update={"weight_bits": bits})})
