"""Decode neurons: the spiking neurons that hold the latents on a chip and pass them on to the encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import freeze_arrays

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.base.hardware_config import DecodeNeuronSettings

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

    Where one core cannot take the axons of all neurons, each group of neurons has decode neurons of its own, which hold
    what that group decodes, with a radius of its own; encoders add the groups up.

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
        R, shape (group, rank), internal latent units; a group's decode neurons are consecutive.
    readout_s
        c.
    """

    latent: Int[np.ndarray, " neuron"]
    side: Float[np.ndarray, " neuron"]
    bias_hz: Float[np.ndarray, " neuron"]
    radius: Float[np.ndarray, "group rank"]
    swing_hz: float
    readout_s: float

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @property
    def neurons(self) -> int:
        """Number of decode neurons."""
        return len(self.latent)

    @property
    def groups(self) -> int:
        """Number of groups of decode neurons."""
        return len(self.radius)

    def of(self, group: int) -> slice:
        """Decode neurons of a group."""
        size = self.neurons // self.groups
        return slice(group * size, (group + 1) * size)

    @property
    def own_radius(self) -> Float[np.ndarray, " neuron"]:
        """Radius of the group and latent of each neuron."""
        return np.concatenate([self.radius[g][self.latent[self.of(g)]] for g in range(self.groups)])

    @property
    def share(self) -> Float[np.ndarray, " neuron"]:
        """Share of its latent that a neuron holds where nothing tells groups apart, as at the start and for input."""
        return self.own_radius / self.radius.sum(axis=0)[self.latent]

    @property
    def heads(self) -> Int[np.ndarray, "group rank"]:
        """First on neuron of each latent in each group: its current tells what the group holds."""
        rank = self.radius.shape[1]
        return np.arange(self.groups)[:, None] * (self.neurons // self.groups) + np.arange(rank)

    @property
    def gain(self) -> Float[np.ndarray, " neuron"]:
        """Current in Hz for each internal unit of the neuron's latent, with its sign."""
        return self.side * self.swing_hz / self.own_radius

    @property
    def output(self) -> Float[np.ndarray, " neuron"]:
        """Internal units of the neuron's latent for each Hz of its spike train, with its sign."""
        return self.side * self.own_radius * self.readout_s


def radius_of(settings: DecodeNeuronSettings, latents: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, " rank"]:
    """Radius that follows from internal latents that a network visits."""
    size = np.quantile(np.abs(latents), settings.radius_quantile, axis=0)
    return settings.radius_margin * np.maximum(size, 1e-6)


def relay_for(settings: DecodeNeuronSettings, radius: Float[np.ndarray, "group rank"], dt_s: float) -> Relay:
    """Decode neurons of some radius in each group."""
    (groups, rank), pairs = radius.shape, settings.pairs_per_latent
    bias_hz = np.linspace(*settings.bias_hz, pairs) if pairs > 1 else np.array([np.mean(settings.bias_hz)])
    swing_hz = settings.swing_hz
    place = np.linspace(-1.0, 1.0, _PLACES)
    on, off = (_rate_hz(bias_hz[:, None] + sign * swing_hz * place, dt_s).sum(axis=0) for sign in (1.0, -1.0))
    return Relay(
        latent=np.tile(np.arange(rank), 2 * pairs * groups),
        side=np.tile(np.repeat([1.0, -1.0], rank), pairs * groups),
        bias_hz=np.tile(np.repeat(bias_hz, 2 * rank), groups),
        radius=radius,
        swing_hz=swing_hz,
        readout_s=float(place @ (on - off) / ((on - off) @ (on - off))),
    )


def _rate_hz(current_hz: Float[np.ndarray, "..."], dt_s: float) -> Float[np.ndarray, "..."]:
    """Mean rate of an integrate-and-fire neuron that forgets what is above threshold."""
    above = np.maximum(current_hz, 0.0)
    return above / (1.0 + 0.5 * above * dt_s)
