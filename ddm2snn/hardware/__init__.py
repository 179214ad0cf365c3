"""Target devices: their settings and limits, and what they make of a network.

`ddm2snn.hardware.quantise.quantise`, `ddm2snn.hardware.place.place` and `ddm2snn.hardware.energy.energy_of_run` take a
network and a configuration.
"""

from ddm2snn.hardware.config import HardwareConfig, find_hardware, hardware_names

__all__ = ["HardwareConfig", "find_hardware", "hardware_names"]
