"""Limits of a device: models that it has, what a core holds, what registers count; each with need and remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.backend import Unsupported, step_gaps
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from ddm2snn.base.hardware_config import HardwareConfig
    from ddm2snn.hardware.layout import Core
    from ddm2snn.network import SpikingNetwork

PER_CORE = {
    "compartments": "compartments_per_core",
    "input_axons": "input_axons_per_core",
    "output_axons": "output_axons_per_core",
    "synapse_bits": "synapse_bits_per_core",
    "compartment_configs": "compartment_configs_per_core",
    "thresholds": "thresholds_per_core",
}
"""What a core uses, and the limit of it."""
BOARD_ONLY = ("compartment_configs", "thresholds")
"""Those that an emulator does not check."""


def check_core(core: Core, config: HardwareConfig) -> None:
    """Refuse a core that holds more than the device has room for."""
    for resource, name in PER_CORE.items():
        limit, need = getattr(config.capacity, name), getattr(core, resource)
        if limit is not None and need > limit:
            raise InputError(
                f"{config.name} has {limit} {resource.replace('_', ' ')} per core; {core.name} need {need}. "
                f"Spread them over {-(-need // limit)} cores, or use a device with capacity.{name} >= {need}."
            )


def refuse_model_gaps(network: SpikingNetwork, config: HardwareConfig) -> None:
    """Refuse a network that a device cannot compute, wherever it is placed."""
    gaps = step_gaps(network, network.dt_s, "grid") or model_gaps(network, config, network.dt_s)
    if gaps:
        raise InputError(" ".join(map(str, gaps)))


def model_gaps(network: SpikingNetwork, config: HardwareConfig, dt_s: float) -> list[Unsupported]:
    """Gaps that no placement mends: neuron models, diffusion that depends on the state, and ranges of registers."""
    if not network.neuron.runs_on_loihi:
        reason = f"{config.name} has LIF or LoihiLIF with one membrane time constant"
        return [Unsupported(f"{network.neuron.name} neurons", reason, "Convert LIF neurons")]
    if network.diffusion_decoders is not None:
        reason = "spikes would have to multiply noise, which no synapse does"
        return [Unsupported("diffusion_decoders", reason, 'Use backend="brian2" or "nengo"')]
    return range_gaps(network, config, dt_s)


def range_gaps(network: SpikingNetwork, config: HardwareConfig, dt_s: float) -> list[Unsupported]:
    """What the registers of refractory period and decays cannot count."""
    precision, neuron, gaps = config.precision, network.neuron, []
    refractory_s, longest = neuron.refractory_s, precision.longest_refractory_steps
    if longest is not None and round(refractory_s / dt_s) + 1 > longest:
        most = (longest - 1) * dt_s
        gaps.append(Unsupported(
            "refractory_s", f"its register counts {longest - 1} steps of {dt_s:g} s, {refractory_s:g} s are "
            f"{round(refractory_s / dt_s)}", f"Use refractory_s <= {most:g}"
        ))  # fmt: skip
    for name, tau_s in (("time_unit_s", network.time_unit_s), ("tau_membrane_s", neuron.single_tau_s)):
        gaps += decay_gaps(name, tau_s, config, dt_s)
    return gaps


def decay_gaps(name: str, tau_s: float, config: HardwareConfig, dt_s: float) -> list[Unsupported]:
    """A time constant whose decay in one step is less than the least that its register holds."""
    bits = config.precision.decay_bits
    if bits is None or -np.expm1(-dt_s / tau_s) >= 2.0**-bits * (1 - 1e-9):
        return []
    longest_s, lost = longest_decay_s(config, dt_s), -np.expm1(-dt_s / tau_s) * 2**bits
    return [Unsupported(
        name, f"{tau_s:g} s lose {lost:.3g} of 2^{bits} in a step of {dt_s:g} s, and a register of {bits} bits holds "
        "no less than one", f"Use {name} <= {longest_s:.10g}, or a longer dt_s",
    )]  # fmt: skip


def longest_decay_s(config: HardwareConfig, dt_s: float) -> float:
    """Longest time constant in seconds that the decay register holds; infinite where there is none.

    Examples
    --------
    >>> from ddm2snn import find_hardware
    >>> round(longest_decay_s(find_hardware("loihi1-emulator"), dt_s=0.001), 4)
    4.0955
    """
    bits = config.precision.decay_bits
    return np.inf if bits is None else float(-dt_s / np.log1p(-(2.0**-bits)))
