"""What a spiking network loses in a format without refractory period and noise, in numbers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.network import to_internal
from ddm2snn.neuron import LIF

if TYPE_CHECKING:
    from ddm2snn.network import SpikingNetwork


@dataclass(frozen=True)
class RefractoryLoss:
    r"""What changes without the refractory period, by the exact curves of rate against current.

    Parameters
    ----------
    before_hz, after_hz
        Mean rate over neurons and over the states that the network carries, with and without it.
    readout_error
        Root mean square of :math:`D (F_0(J) - F(J))` over that of the drift :math:`D F(J) - z`: how wrong the dynamics
        become where decoders stay.
    """

    before_hz: float
    after_hz: float
    readout_error: float


@np.errstate(all="ignore")  # numbers for a sentence, of networks that may hold anything finite
def refractory_loss(network: SpikingNetwork) -> RefractoryLoss | None:
    """Numbers of the loss; None where the network has no refractory period to lose."""
    neuron = network.neuron
    if not isinstance(neuron, LIF) or not neuron.refractory_s:
        return None
    z = to_internal(network, network.initial_latent)
    current = z @ network.encoders.T + network.bias
    free = dataclasses.replace(neuron, refractory_s=0.0)
    try:
        neuron.check_step(network.dt_s, network.spike_timing)
        timing, of_free = network.spike_timing, "grid"
    except InputError:  # a step that no simulator takes: curves in continuous time
        timing, of_free = "interpolated", "interpolated"
    with_hz = neuron.rate_hz(current, timing=timing, dt_s=network.dt_s)
    without_hz = free.rate_hz(current, timing=of_free, dt_s=network.dt_s)
    drift = with_hz @ network.decoders.T - z
    moved = (without_hz - with_hz) @ network.decoders.T
    size = float(np.sqrt((drift**2).mean()))
    return RefractoryLoss(
        before_hz=float(with_hz.mean()),
        after_hz=float(without_hz.mean()),
        readout_error=float(np.sqrt((moved**2).mean())) / size if size > 0 else float("inf"),
    )


@np.errstate(all="ignore")
def losses(network: SpikingNetwork) -> list[str]:
    """Sentences on what NIR leaves out of a network, each with its numbers; none where it leaves out nothing."""
    said = []
    loss = refractory_loss(network)
    if loss is not None:
        more = f" ({loss.after_hz / loss.before_hz - 1:+.0%})" if loss.before_hz > 0 else ""
        said.append(
            f"NIR has no refractory period: without its {1e3 * network.neuron.refractory_s:g} ms the mean rate goes "
            f"from {loss.before_hz:.3g} to {loss.after_hz:.3g} Hz{more}, which changes the drift by "
            f"{loss.readout_error:.2g} of its size. Solve the decoders for that with without_refractory."
        )
    if network.diffusion_factor.any():
        spread = np.sqrt((network.diffusion_factor**2).sum(axis=1)) * network.latent_scale
        sizes = ", ".join(f"{value:.3g}" for value in spread)
        said.append(
            f"NIR has no noise: {sizes} per latent, in system units per square root of the time unit, stay out; the "
            "sidecar has the factor, which the input node can be fed with."
        )
    return said
