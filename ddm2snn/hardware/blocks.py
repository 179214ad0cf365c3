"""What goes onto cores, in floating point: the neurons of a network in parts, and its decode neurons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.hardware.layout import layout_of

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.base.hardware_config import HardwareConfig
    from ddm2snn.hardware.relay import Relay
    from ddm2snn.network import SpikingNetwork
    from ddm2snn.neuron import NeuronModel


@dataclass(frozen=True, eq=False)
class Block:
    r"""Compartments of one core in continuous numbers, of 32 bits as the builder of nengo-loihi keeps them.

    .. math:: u' = (1 - \delta_u) u + \delta_u \textstyle\sum w, \qquad
        v' = (1 - \delta_v) v + \sigma (u' + \beta), \qquad \sigma = \delta_v \text{ or } 1

    Parameters
    ----------
    name
        For messages and tables.
    synapses
        Groups of weights, each of shape (axon, compartment); groups may have exponents of their own.
    bias
        beta, shape (compartment,).
    threshold
        Voltage above which a compartment fires.
    current_decay, voltage_decay
        Shares delta that are lost in one step.
    refractory_steps
        Steps for which the voltage is held at zero after a spike.
    leaky
        Whether sigma is the voltage's decay: a leaky neuron; otherwise 1, a sum.
    """

    name: str
    synapses: tuple[Float[np.ndarray, "axon compartment"], ...]
    bias: Float[np.ndarray, " compartment"]
    threshold: float
    current_decay: float
    voltage_decay: float
    refractory_steps: int
    leaky: bool


def lost_share(tau_s: float, dt_s: float) -> float:
    """1 - exp(-dt / tau), and all of it where there is no filter, in 32 bits."""
    return float(np.float32(1.0 if tau_s == 0 else -np.expm1(-dt_s / tau_s)))


def population_blocks(
    encoders: Float[np.ndarray, "neuron rank"],
    bias: Float[np.ndarray, " neuron"],
    neuron: NeuronModel,
    relay: Relay,
    config: HardwareConfig,
    dt_s: float,
) -> list[Block]:
    """The neurons of a network, driven by decode neurons: weights are their output times encoders."""
    weights = (encoders[:, relay.latent] * relay.output / dt_s).T
    groups = [weights[relay.of(group)] for group in range(relay.groups)]
    tau_s, refractory_s = neuron.single_tau_s, neuron.refractory_s
    return [
        Block(
            name=f"neurons {part.start} to {part.stop - 1}",
            synapses=tuple(np.ascontiguousarray(group[:, part], dtype=np.float32) for group in groups),
            bias=bias[part].astype(np.float32),
            threshold=1.0,
            current_decay=lost_share(config.decode_neurons.filter_s, dt_s),
            voltage_decay=lost_share(tau_s, dt_s),
            refractory_steps=round(refractory_s / dt_s),
            leaky=True,
        )
        for part in layout_of(len(bias), encoders.shape[1], config).population
    ]


def relay_blocks(
    network: SpikingNetwork,
    relay: Relay,
    config: HardwareConfig,
    dt_s: float,
    amplitude: Float[np.ndarray, " rank"] | None,
) -> list[Block]:
    """The decode neurons: weights are decoders, and where there is input, its amplitude, times their gain.

    Input comes as one spike of a pair of axons for each latent and step: plus or minus `amplitude`, of which each group
    of decode neurons takes its share.
    """
    transform = network.decoders.T[:, relay.latent] * (relay.side / relay.own_radius)
    decoded, given = (transform / dt_s) * relay.swing_hz, []
    if amplitude is not None:
        size = relay.side * amplitude[relay.latent] / relay.radius.sum(axis=0)[relay.latent]
        positive = np.equal.outer(np.arange(network.rank), relay.latent) * size
        given = [np.vstack([positive, -positive]) * relay.swing_hz]
    return [
        Block(
            name=f"decode neurons {part.start} to {part.stop - 1}",
            synapses=tuple(
                np.ascontiguousarray(weights[:, part], dtype=np.float32) for weights in (decoded[group.neurons], *given)
            ),
            bias=relay.bias_hz[part].astype(np.float32),
            threshold=float(np.float32(1.0 / dt_s)),
            current_decay=lost_share(network.time_unit_s, dt_s),
            voltage_decay=0.0,
            refractory_steps=0,
            leaky=False,
        )
        for group in layout_of(network.neurons, network.rank, config).groups
        for part in group.relay
    ]


def check_filter(config: HardwareConfig, time_unit_s: float) -> None:
    """Refuse a filter behind the decode neurons that is slower than the latents."""
    filter_s = config.decode_neurons.filter_s
    if filter_s >= time_unit_s:
        raise InputError(
            f"decode_neurons.filter_s = {filter_s:g} of {config.name} is no shorter than the time unit of "
            f"{time_unit_s:g} s, which it would replace. Use a longer time unit or a shorter filter."
        )
