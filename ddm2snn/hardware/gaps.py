"""What a device cannot do for a network, in the words of a backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ddm2snn.backend import Unsupported
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.base.hardware_config import HardwareConfig
    from ddm2snn.network import SpikingNetwork


def device_gaps(network: SpikingNetwork, config: HardwareConfig, dt_s: float) -> list[Unsupported]:
    """Gaps of every device: neuron models, diffusion that depends on the state, registers and limits."""
    from ddm2snn.hardware.device import device_of, machine_of
    from ddm2snn.hardware.limits import range_gaps
    from ddm2snn.hardware.place import place

    if not network.neuron.runs_on_loihi:
        has = f"{config.name} has LIF or LoihiLIF with one membrane time constant"
        return [Unsupported(f"{network.neuron.name} neurons", has, "Convert with --neuron lif")]
    if network.diffusion_decoders is not None:
        reason = "spikes would have to multiply noise, which no synapse does"
        return [Unsupported("diffusion_decoders", reason, "Use --backend brian2 or nengo")]
    if gaps := range_gaps(network, config, dt_s):
        return gaps
    try:
        machine_of(network, device_of(network, config, dt_s))
        place(network, config)
    except InputError as error:
        return [Unsupported("hardware", f"{config.name} cannot hold it", str(error).rstrip("."))]
    return []


def refuse_gaps(network: SpikingNetwork, config: HardwareConfig) -> None:
    """Refuse a network that the device cannot hold, before anything is built."""
    gaps = device_gaps(network, config, network.dt_s)
    if gaps:
        raise InputError(" ".join(map(str, gaps)))
