"""Settings of a whole run, from a TOML file or from a system's name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tomli_w
from pydantic import Field, field_validator, model_validator

from ddm2snn.backend import RATE, backend_names
from ddm2snn.base.settings import Settings, read_settings
from ddm2snn.conversion.decoders import find_decoders
from ddm2snn.errors import InputError

_Count = Annotated[int, Field(gt=0)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrainingSettings(Settings):
    """Section [training]: rate units (the system's own number unless given), drift error or ridge."""

    units: _Count | None = None
    error: _Positive = 1e-3
    ridge: _Positive | None = None


class ConversionSettings(Settings):
    """Section [conversion]: neurons and their largest rates, decoders and their ridge, time unit and step.

    A setting that is None has the default of `ddm2snn.Population` or of the decoders.
    """

    neurons_per_unit: _Count | _Positive | None = None
    max_rates_hz: tuple[_Positive, _Positive] | None = None
    decoders: str = "calibrated"
    ridge: _Positive | None = None
    time_unit_s: _Positive | None = None
    dt_s: _Positive = 1e-3

    @model_validator(mode="after")
    def _known_decoders(self) -> ConversionSettings:
        try:
            find_decoders(self.decoders, **({} if self.ridge is None else {"ridge": self.ridge}))
        except InputError as error:
            raise ValueError(str(error).rstrip(".")) from error
        return self


class SimulationSettings(Settings):
    """Section [simulation]: rate time units recorded and left out before, sampling interval, trials."""

    duration: _Positive = 40.0
    burn_in: _Share = 4.0
    every: _Positive = 0.02
    trials: _Count = 64


class Recipe(Settings):
    r"""The whole way from a target system to a report.

    Parameters
    ----------
    system
        Built-in name or ``path/to/file.py:attribute``, relative to the recipe's folder.
    seed
        Seed of everything.
    backends
        Spiking backends to convert for and run on.
    hardware
        Devices, by name or the path of a .toml file, to convert for in the loop and to run on as well.
    emulator
        Whether nengo-loihi itself runs those that it targets, which takes a hundred times as long as the project's own
        arithmetic with the same spikes.
    reference_runs
        Independent runs of the rate network; the floor is the mean distance over their pairs.
    training, conversion, simulation
        Sections of settings.

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

    system: str = "vanderpol"
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
        recipe = read_settings(path, cls)
        file, separator, attribute = recipe.system.rpartition(":")
        if separator and file.endswith(".py"):
            recipe = recipe.model_copy(update={"system": f"{(Path(path).parent / file).resolve()}:{attribute}"})
        folder = Path(path).parent
        devices = tuple(str((folder / name).resolve()) if name.endswith(".toml") else name for name in recipe.hardware)
        return recipe.model_copy(update={"hardware": devices})

    def as_toml(self) -> str:
        """TOML text with all settings; those that are None are left out."""
        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))
