"""What groups of neurons hold of the latents, where each has decode neurons of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.hardware.relay import radius_of
from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.base.hardware_config import DecodeNeuronSettings
    from ddm2snn.network import SpikingNetwork

_STATES, _STEPS, _SETTLED, _STEP = 32, 60, 30, 0.1  # states, steps of 0.1 time units, those left out
_LEAST = 0.25  # of an equal share: weights of a group that is much smaller than others have no exponent


def shared_radius(
    network: SpikingNetwork,
    groups: list[slice],
    settings: DecodeNeuronSettings,
    whole: Float[np.ndarray, " rank"],
    dt_s: float,
) -> Float[np.ndarray, "group rank"]:
    r"""Radius of each group of neurons, from the partial latents along flows of mean rates.

    .. math:: T \dot z_g = -z_g + D_g F(E z + \beta), \qquad z = \sum_g z_g,

    with the closed-form rates F, from states that the network starts from and equal shares. At least a quarter of an
    equal share, and in sum no less than the radius `whole` of the latents, which noise has been part of.
    """
    start = to_internal(network, network.initial_latent)
    start = start[np.linspace(0, len(start) - 1, min(_STATES, len(start))).astype(int)]
    held, decay, found = np.stack([start / len(groups)] * len(groups)), np.exp(-_STEP), []
    for step in range(_STEPS):
        current = held.sum(axis=0) @ network.encoders.T + network.bias
        rates_hz = network.neuron.rate_hz(current, timing="grid", dt_s=dt_s)
        decoded = np.stack([rates_hz[:, group] @ network.decoders[:, group].T for group in groups])
        held = decay * held + (1.0 - decay) * decoded
        if step >= _SETTLED:
            found.append(held)
    settled = np.concatenate(found, axis=1)
    radius = np.stack([radius_of(settings, partial) for partial in settled])
    radius = np.maximum(radius, _LEAST * whole / len(groups))
    return radius * np.maximum(whole / radius.sum(axis=0), 1.0)
