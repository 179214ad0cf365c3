"""A device in this project's own arithmetic: whole numbers as nengo-loihi's emulator has them, or any other bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import Unsupported
from ddm2snn.base.progress import Progress
from ddm2snn.hardware import HardwareConfig, find_hardware
from ddm2snn.hardware.chip import drive_device, prepare, run_device
from ddm2snn.hardware.place import device_gaps
from ddm2snn.network import SpikingNetwork
from ddm2snn.neuron import SpikeTiming
from ddm2snn.schedule import OpenLoop, Schedule, Trace
from ddm2snn.stimulus import Stimulus

if TYPE_CHECKING:
    from jaxtyping import Float


class QuantisedBackend:
    """A device's registers, decode neurons and delays in compiled loops; spikes equal those of nengo-loihi's emulator.

    Parameters
    ----------
    hardware
        Name of a hardware configuration, the path of one, or the configuration; by default the one that the network
        was converted for, or loihi1-emulator.
    """

    name = "quantised"
    spike_timing: SpikeTiming = "grid"

    def __init__(self, hardware: str | HardwareConfig | None = None) -> None:
        self.hardware = find_hardware(hardware) if isinstance(hardware, str) else hardware

    def __repr__(self) -> str:
        return f"QuantisedBackend(hardware={self.hardware and self.hardware.name!r})"

    def _config(self, network: SpikingNetwork) -> HardwareConfig:
        """The device that was asked for, the network's own, or Loihi 1 as it is emulated."""
        return self.hardware or network.hardware or find_hardware()

    def unsupported(self, network: SpikingNetwork, *, dt_s: float, stimulus: Stimulus) -> list[Unsupported]:
        """Neuron models and diffusions that the device lacks, and limits of its cores."""
        return device_gaps(network, self._config(network), dt_s)

    def run(self, schedule: Schedule, progress: Progress) -> Trace:
        """Simulate; see `ddm2snn.backend.Backend.run`."""
        config = self._config(schedule.network)
        latent, spikes, counts = run_device(schedule, prepare(schedule, config), progress)
        counted = dict(zip(("neurons", "decode_neurons", "inputs"), counts.sum(axis=0).tolist(), strict=True))
        options = {"hardware": config.as_json(), "spike_counts": counted}
        return Trace(latent, spikes, versions={"numpy": np.__version__}, options=options)

    def drive(self, loop: OpenLoop) -> Iterator[Float[np.ndarray, "time neuron"]]:
        """Open loop, decode neurons and their delay included; see `ddm2snn.backend.Backend.drive`."""
        return drive_device(loop, self._config(loop.network))
