"""Target devices: their settings and limits, and what they make of a network.

Configurations that ship are found by name, a user's own by path. `ddm2snn.hardware.quantise.quantise`,
`ddm2snn.hardware.place.place` and `ddm2snn.hardware.workload.workload_of_run` take a network and a configuration.
"""

from __future__ import annotations

from pathlib import Path

from ddm2snn.base.hardware_config import HardwareConfig
from ddm2snn.base.settings import read_settings
from ddm2snn.errors import InputError

__all__ = ["HardwareConfig", "find_hardware", "hardware_file", "hardware_names", "shipped_folder"]


def shipped_folder() -> Path:
    """Folder of the configurations that ship: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "hardware_configs"
    return inside if inside.is_dir() else package.parent / "hardware_configs"


def hardware_names() -> list[str]:
    """Names of the configurations that ship."""
    return sorted(path.stem for path in shipped_folder().glob("*.toml"))


def find_hardware(name: str = "loihi1-emulator") -> HardwareConfig:
    """Read a shipped configuration by name, or a user's own by path (ending in .toml).

    Parameters
    ----------
    name
        Name of a shipped configuration, or the path of a .toml file.

    Returns
    -------
    HardwareConfig
        The configuration, checked.

    Raises
    ------
    InputError
        Where there is none, or the file does not validate.

    Examples
    --------
    >>> find_hardware("loihi1-kapoho-bay")
    HardwareConfig('loihi1-kapoho-bay', target='nengo-loihi', weight_bits=8, compartments_per_core=1024, chips=2)
    >>> hardware_names()
    ['ideal', 'loihi1-emulator', 'loihi1-kapoho-bay', 'loihi1-nahuku32', 'loihi2-like']
    """
    return read_settings(hardware_file(name), HardwareConfig)


def hardware_file(name: str) -> Path:
    """File of a configuration: that of a shipped name, or `name` itself where it ends in .toml."""
    if name.endswith(".toml"):
        return Path(name)
    if name not in hardware_names():
        raise InputError(
            f"There is no hardware configuration {name!r}; known are {', '.join(hardware_names())}, "
            "or the path of a .toml file."
        )
    return shipped_folder() / f"{name}.toml"
