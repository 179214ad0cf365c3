"""The verb: a spiking network in, the spiking network that a device would run and what rounding did to it out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.hardware.device import device_of, machine_of, per_compartment, relay_weights
from ddm2snn.hardware.registers import check_precision
from ddm2snn.neuron import LoihiLIF

if TYPE_CHECKING:
    from ddm2snn.base.hardware_config import HardwareConfig
    from ddm2snn.hardware.device import Machine
    from ddm2snn.hardware.registers import Registers, Rounding
    from ddm2snn.network import SpikingNetwork


@dataclass(frozen=True)
class Quantisation:
    """A network in a device's numbers, and what rounding did (JSON values)."""

    network: SpikingNetwork
    diagnostics: Mapping[str, Any]


def quantise(
    network: SpikingNetwork,
    config: HardwareConfig,
    *,
    rounding: Rounding = "deterministic",
    rng: np.random.Generator | None = None,
) -> Quantisation:
    r"""Round encoders, biases, decoders, thresholds and decays as a device does.

    Every block of the device has a power of two in common, every weight is a whole number of few bits times it. What
    comes back is in the units of the network that went in: encoders and biases in units of the rounded threshold,
    decoders per Hz, and time constants that have the rounded decays,

    .. math:: \tau = -dt / \ln(1 - \delta / 2^b).

    The decode neurons between latents and encoders, and their delay, are no part of a SpikingNetwork: the backend
    "quantised" runs them as well. Without bits the network comes back as it is.

    Parameters
    ----------
    network
        The network; left as it is.
    config
        The device.
    rounding, rng
        "deterministic" rounds weights to the nearest, "stochastic" up or down by chance, right on average; the
        latter needs `rng`.

    Raises
    ------
    InputError
        Where the device cannot hold it.
    """
    if not network.neuron.runs_on_loihi or network.diffusion_decoders is not None:
        raise InputError(
            f"A device holds LIF neurons and constant diffusion, got {network.neuron.name}"
            f"{' and diffusion_decoders' if network.diffusion_decoders is not None else ''}. Convert with --neuron lif."
        )
    if not check_precision(config.precision):
        return Quantisation(network, {"hardware": config.name, "rounding": None})
    device = device_of(network, config, network.dt_s)
    machine = machine_of(network, device, rounding=rounding, rng=rng)
    relay, rank, dt_s = device.relay, network.rank, network.dt_s
    # axons of the first on neurons, one for each latent, carry the encoders; other decode neurons carry the same
    threshold = per_compartment(machine.population, "threshold")
    share = per_compartment(machine.population, "per_voltage") / threshold  # of the threshold that was asked for
    encoders = np.zeros((network.neurons, rank))
    for group, head in enumerate(relay.heads):  # each group of decode neurons has weights of its own: their mean
        weights = np.concatenate([part.weights[group] / part.per_weight for part in machine.population], axis=1)
        encoders += (weights[:rank] * dt_s * (relay.share / relay.output)[head, None] * share).T
    bias = np.concatenate([part.bias / part.per_current for part in machine.population]) * share
    scale = per_compartment(machine.relay, "per_weight")[relay.heads] * relay.gain[relay.heads] / dt_s
    to_relay = zip(relay_weights(machine), scale, strict=True)
    decoders = np.concatenate([weights[:, :rank] / own for weights, own in to_relay]).T
    kept = machine.population[0].voltage_kept
    neuron = LoihiLIF(-dt_s / np.log(kept), network.neuron.refractory_s, config.precision.decay_bits or 12)
    found = dataclasses.replace(
        network,
        encoders=encoders,
        bias=bias,
        decoders=decoders,
        neuron=neuron,
        time_unit_s=float(-dt_s / np.log(device.kept)),
        provenance={**network.provenance, "quantised": {"hardware": config.name, "rounding": rounding}},
    )
    return Quantisation(found, _diagnostics(network, found, machine, config, rounding))


def _diagnostics(
    network: SpikingNetwork, found: SpikingNetwork, machine: Machine, config: HardwareConfig, rounding: Rounding
) -> dict[str, Any]:
    """Bits lost, shares of weights that were clipped or became zero, and relative errors."""
    bits = config.precision.weight_bits or 0

    def of(parts: tuple[Registers, ...]) -> dict[str, Any]:
        exponents = [exponent for part in parts for exponent in part.exponents]
        lost = [max(0, -(9 - bits + exponent)) for exponent in exponents]  # what the exponent shifts out
        return {
            "bits_lost": max(lost),
            "bits_left": bits - max(lost),
            "saturated_share": float(np.mean([part.saturated for part in parts])),
            "flushed_share": float(np.mean([part.flushed for part in parts])),
            "exponents": exponents,
        }

    def error(name: str) -> float:
        before, after = getattr(network, name), getattr(found, name)
        return float(np.linalg.norm(after - before) / max(np.linalg.norm(before), 1e-300))

    return {
        "hardware": config.name,
        "rounding": rounding,
        "encoders": of(machine.population) | {"relative_error": error("encoders")},
        "decoders": of(machine.relay) | {"relative_error": error("decoders")},
        "bias": {"relative_error": error("bias")},
        "tau_membrane_s": found.neuron.single_tau_s,
        "time_unit_s": found.time_unit_s,
    }
