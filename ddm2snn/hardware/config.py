"""Settings and limits of one target device, read from a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ddm2snn.errors import InputError
from ddm2snn.settings import Settings, read_settings

_Count = Annotated[int, Field(gt=0)]
_Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Precision(Settings):
    """Bits of what a device stores; None where it computes in floating point."""

    weight_bits: _Count | None = None
    state_bits: _Count | None = None
    bias_bits: _Count | None = None
    decay_bits: _Count | None = None


class Capacity(Settings):
    """What fits where; None where there is no limit."""

    compartments_per_core: _Count | None = None
    input_axons_per_core: _Count | None = None
    output_axons_per_core: _Count | None = None
    synapse_bits_per_core: _Count | None = None
    cores_per_chip: _Count | None = None
    chips: _Count | None = None


class HardwareConfig(Settings):
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
        return read_settings(name, HardwareConfig)
    if name not in hardware_names():
        raise InputError(
            f"There is no hardware configuration {name!r}; known are {', '.join(hardware_names())}, "
            "or the path of a .toml file."
        )
    return read_settings(shipped_folder() / f"{name}.toml", HardwareConfig)
