"""Settings of a whole run, from a TOML file or from a system's name, and the stages on the devices that they name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import Field, field_validator, model_validator

from ddm2snn.backend import RATE, Backend, backend_names, find_backend
from ddm2snn.base.settings import Count, NotNegative, Positive, Settings, read_settings
from ddm2snn.conversion.decoders import Decoders, find_decoders
from ddm2snn.conversion.population import Population
from ddm2snn.errors import InputError
from ddm2snn.hardware import HardwareConfig, find_hardware


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

    def kind_of_decoders(self) -> Decoders:
        """Decoders of the name, with the ridge and the rise if they are given."""
        return find_decoders(self.decoders, **self.model_dump(include={"ridge", "rise_s"}, exclude_none=True))

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


class Recipe(Settings):
    r"""The whole way from a target system to a report.

    Parameters
    ----------
    system
        Built-in name or ``path/to/file.py:attribute``, relative to the recipe's folder. `run` executes that file.
    backends
        Spiking backends to convert for and run on.
    hardware
        Devices, by name or the path of a .toml file, to convert for in the loop and to run on as well.
    emulator
        Whether nengo-loihi itself runs those that it targets, which takes a hundred times as long as the project's own
        arithmetic with the same spikes.
    reference_runs
        Independent runs of the rate network; the floor is the mean distance over their pairs.
    seed
        Seed of all randomness.
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

    system: str
    seed: Annotated[int, Field(ge=0)] = 0
    backends: tuple[str, ...] = ("brian2", "nengo")
    hardware: tuple[str, ...] = ()
    emulator: bool = False
    reference_runs: Annotated[int, Field(ge=2)] = 4
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

    @classmethod
    def read(cls, path: Path | str) -> Recipe:
        """Read and validate a TOML file; an unknown key is refused with the list of the known ones.

        A path in the file is relative to its folder.
        """
        return read_settings(path, cls)._with_files(lambda name: (Path(path).parent / name).resolve())

    @property
    def program(self) -> Path | None:
        """Python file with the system, which `run` executes; None where the system is none of the user's own."""
        file, separator, _ = self.system.rpartition(":")
        return Path(file) if separator and file.endswith(".py") else None

    @property
    def without_folders(self) -> Recipe:
        """The same recipe with the names of its files alone: equal in every folder, and telling nothing of it."""
        return self._with_files(lambda name: Path(name).name)

    def _with_files(self, moved: Callable[[str], Path | str]) -> Recipe:
        """The same recipe with other names of its files."""
        file, separator, attribute = self.system.rpartition(":")
        system = f"{moved(file)}:{attribute}" if separator and file.endswith(".py") else self.system
        devices = tuple(str(moved(name)) if name.endswith(".toml") else name for name in self.hardware)
        return self.model_copy(update={"system": system, "hardware": devices})

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


def device_stages(hardware: Sequence[str], floating: str) -> list[DeviceStage]:
    """Stages of devices, by name or path, behind the spiking network in floating point.

    A device with a simulator of its own has two: its decode neurons, filter and delay without rounding, then with it.
    Others are run by the quantised reference alone.
    """
    stages: list[DeviceStage] = []
    for name in hardware:
        config = find_hardware(name)
        if config.target != "quantised":
            real = DeviceStage(f"{config.name}-simreal", floating, config, "simreal")
            stages += [real, DeviceStage(f"{config.name}-sim", real.name, config, "sim")]
        else:
            stages.append(DeviceStage(f"{config.name}-quantised", floating, config, "sim"))
    return stages
