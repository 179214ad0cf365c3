"""Rungs of the ladder on a device: the network without rounding, and as the device runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ddm2snn.backend import Backend, find_backend
from ddm2snn.hardware.config import HardwareConfig, find_hardware

if TYPE_CHECKING:
    from ddm2snn.workflow.recipe import Recipe


@dataclass(frozen=True)
class DeviceRung:
    """One way of running a network that was converted for a device.

    Parameters
    ----------
    name
        Such as "loihi1-emulator-simreal" (floating point) or "loihi1-emulator-sim". Each has a conversion of its own in
        its own loop: what a rung loses is then not what other decoders would have lost.
    previous
        Name of the rung before.
    config
        The device.
    target
        nengo-loihi's word for the arithmetic: "simreal" without rounding, "sim" with it.
    """

    name: str
    previous: str
    config: HardwareConfig
    target: str

    @property
    def in_loop(self) -> HardwareConfig:
        """The device that decoders are solved on and that runs: without bits where nothing is rounded."""
        return self.config.unrounded if self.target == "simreal" else self.config

    @property
    def network_file(self) -> str:
        """File of the network that was converted for it."""
        return f"spiking-{self.name}.safetensors"

    def backend(self, *, emulator: bool) -> Backend:
        """The project's own arithmetic, or with `emulator` the backend that the device names as its target."""
        return find_backend(self.config.target if emulator else "quantised", hardware=self.in_loop)

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """What network and recording depend on, beside the sections of the recipe."""
        device = self.in_loop.as_json()
        return {"seed": recipe.seed, "hardware": device, "target": self.target, "emulator": recipe.emulator}


def device_rungs(hardware: Sequence[str], floating: str) -> list[DeviceRung]:
    """Rungs of devices, by name or path, behind the spiking network in floating point.

    A device with a simulator of its own has two: its decode neurons, filter and delay without rounding, then with it.
    Others are run by the quantised reference alone.
    """
    rungs: list[DeviceRung] = []
    for given in hardware:
        config = find_hardware(given)
        if config.target != "quantised":
            real = DeviceRung(f"{config.name}-simreal", floating, config, "simreal")
            rungs += [real, DeviceRung(f"{config.name}-sim", real.name, config, "sim")]
        else:
            rungs.append(DeviceRung(f"{config.name}-quantised", floating, config, "sim"))
    return rungs
