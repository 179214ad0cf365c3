"""Target devices: their settings and limits, and what they make of a network.

`ddm2snn.hardware.quantise.quantise`, `ddm2snn.hardware.place.place` and `ddm2snn.hardware.energy.energy_of_run` take a
network and a configuration. Names here are imported where they are first used: the command line stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddm2snn.hardware.config import HardwareConfig, find_hardware, hardware_names

__all__ = ["HardwareConfig", "find_hardware", "hardware_names"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in __all__:
        raise AttributeError(f"module 'ddm2snn.hardware' has no attribute {name!r}")
    return getattr(import_module("ddm2snn.hardware.config"), name)
