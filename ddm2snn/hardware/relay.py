"""Decode neurons: the spiking neurons that hold the latents on a chip and pass them on to the encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.frozen import freeze_arrays

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.hardware.config import DecodeNeurons

_PLACES = 201  # latents from -radius to radius, to find the read-out


@dataclass(frozen=True, eq=False)
class Relay:
    r"""Pairs of on and off neurons between decoders and encoders.

    A chip passes spikes only. The current of a compartment, low-passed with the synaptic time constant, is the latent;
    an integrate-and-fire neuron with that current hands it on,

    .. math:: J_r = b_r + g\,s_r\,z_{d(r)}/R_{d(r)} \text{ in Hz}, \qquad
        \hat z_d = R_d\,c \sum_{r:\,d(r)=d} s_r\,(\text{its spike train in Hz}), \qquad s_r = \pm 1.

    A voltage is reset to zero, so that at a current that stands still a neuron has the period
    :math:`\lceil 1/(J_r\,dt) \rceil` steps, half a step more than 1/J on average. Pairs therefore differ in their
    currents b at latent zero, which keeps them out of step, and c is the least-squares read-out of
    :math:`1/(1/J + dt/2)` over latents within the radius.

    Parameters
    ----------
    latent
        d, the latent of each neuron, shape (neuron,).
    side
        s, shape (neuron,): 1 for on, -1 for off neurons.
    bias_hz
        b, shape (neuron,).
    swing_hz
        g, change of the current from latent zero to the radius.
    radius
        R, shape (rank,), internal latent units.
    readout_s
        c.
    """

    latent: Int[np.ndarray, " neuron"]
    side: Float[np.ndarray, " neuron"]
    bias_hz: Float[np.ndarray, " neuron"]
    radius: Float[np.ndarray, " rank"]
    swing_hz: float
    readout_s: float

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def neurons(self) -> int:
        """Number of decode neurons."""
        return len(self.latent)

    @property
    def gain(self) -> Float[np.ndarray, " neuron"]:
        """Current in Hz for each internal unit of the neuron's latent, with its sign."""
        return self.side * self.swing_hz / self.radius[self.latent]

    @property
    def output(self) -> Float[np.ndarray, " neuron"]:
        """Internal units of the neuron's latent for each Hz of its spike train, with its sign."""
        return self.side * self.radius[self.latent] * self.readout_s


def relay_for(settings: DecodeNeurons, latents: Float[np.ndarray, "sample rank"], dt_s: float) -> Relay:
    """Decode neurons whose radius follows from internal latents that the network visits."""
    size = np.quantile(np.abs(latents), settings.radius_quantile, axis=0)
    radius = settings.radius_margin * np.maximum(size, 1e-6)
    rank, pairs = latents.shape[1], settings.pairs_per_latent
    bias_hz = np.linspace(*settings.bias_hz, pairs) if pairs > 1 else np.array([np.mean(settings.bias_hz)])
    swing_hz = settings.swing_hz
    place = np.linspace(-1.0, 1.0, _PLACES)
    on, off = (_rate_hz(bias_hz[:, None] + sign * swing_hz * place, dt_s).sum(axis=0) for sign in (1.0, -1.0))
    return Relay(
        latent=np.tile(np.arange(rank), 2 * pairs),
        side=np.tile(np.repeat([1.0, -1.0], rank), pairs),
        bias_hz=np.repeat(bias_hz, 2 * rank),
        radius=radius,
        swing_hz=swing_hz,
        readout_s=float(place @ (on - off) / ((on - off) @ (on - off))),
    )


def _rate_hz(current_hz: Float[np.ndarray, "..."], dt_s: float) -> Float[np.ndarray, "..."]:
    """Mean rate of an integrate-and-fire neuron that forgets what is above threshold."""
    above = np.maximum(current_hz, 0.0)
    return above / (1.0 + 0.5 * above * dt_s)
