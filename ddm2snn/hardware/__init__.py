"""Target devices: their settings and limits."""

from ddm2snn.hardware.config import HardwareConfig, find_hardware, hardware_names

__all__ = ["HardwareConfig", "find_hardware", "hardware_names"]
