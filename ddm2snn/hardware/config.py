"""Settings and limits of one target device, read from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.settings import explain
from ddm2snn.storage import require_file

_Count = Annotated[int, Field(gt=0)]
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Precision(_Section):
    """Bits of what a device stores; None where it computes in floating point."""

    weight_bits: _Count | None = None
    state_bits: _Count | None = None
    bias_bits: _Count | None = None
    decay_bits: _Count | None = None


class Capacity(_Section):
    """What fits where; None where there is no limit."""

    compartments_per_core: _Count | None = None
    input_axons_per_core: _Count | None = None
    output_axons_per_core: _Count | None = None
    synapse_bits_per_core: _Count | None = None
    cores_per_chip: _Count | None = None
    chips: _Count | None = None


class HardwareConfig(_Section):
    """One target device.

    Parameters
    ----------
    name, summary, source
        Stable name, one line, and where the numbers come from.
    step_s
        Time step in seconds where the device fixes it.
    precision
        Bits of weights, states, biases and decays.
    capacity
        Compartments, axons and synapse memory per core, cores and chips.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    summary: str
    source: str
    step_s: _Seconds | None = None
    precision: Precision = Precision()
    capacity: Capacity = Capacity()

    @classmethod
    def read(cls, path: Path | str) -> HardwareConfig:
        """Read and validate a TOML file; an unknown key is refused with the list of the known ones."""
        found = require_file(path)
        try:
            content = tomllib.loads(found.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FileRefusedError(f"{found} is no TOML file: {error}.") from error
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise FileRefusedError(f"{found}: {explain(error, cls)}") from error

    def as_json(self) -> dict[str, Any]:
        """Every setting, as JSON values."""
        return self.model_dump(mode="json")


def shipped_folder() -> Path:
    """Folder of the configurations that ship: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "hardware_configs"
    return inside if inside.is_dir() else package.parent / "hardware_configs"


def hardware_names() -> list[str]:
    """Names of the configurations that ship."""
    return sorted(path.stem for path in shipped_folder().glob("*.toml"))


def find_hardware(name: str) -> HardwareConfig:
    """Read a shipped configuration by name, or a user's own by path (ending in .toml).

    Raises
    ------
    InputError
        Where there is none, or the file does not validate.
    """
    if name.endswith(".toml"):
        return HardwareConfig.read(name)
    if name not in hardware_names():
        raise InputError(
            f"There is no hardware configuration {name!r}; known are {', '.join(hardware_names())}, "
            "or the path of a .toml file."
        )
    return HardwareConfig.read(shipped_folder() / f"{name}.toml")
