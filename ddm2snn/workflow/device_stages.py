"""Stages of the ladder on a device: the network without rounding, and with the rounding of the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ddm2snn.backend import Backend, find_backend
from ddm2snn.hardware import HardwareConfig, find_hardware

if TYPE_CHECKING:
    from ddm2snn.workflow.recipe import Recipe


@dataclass(frozen=True)
class DeviceStage:
    """A conversion for a device and the run of its network.

    Each stage has a conversion of its own, with the device in the loop that decoders are solved in, so that the
    difference between two stages is that of the devices and not of decoders made for another one.

    Parameters
    ----------
    name
        Such as "loihi1-emulator-simreal" (floating point) or "loihi1-emulator-sim".
    previous
        Name of the stage before.
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
        """The device that decoders are solved on and that runs: one without bits where nothing is rounded."""
        return self.config.unrounded if self.target == "simreal" else self.config

    @property
    def network_file(self) -> str:
        """File of the network that was converted for this stage."""
        return f"spiking-{self.name}.safetensors"

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
