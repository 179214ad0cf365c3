"""Decode neurons: the spiking neurons that hold the latents on a chip and pass them on to the encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import freeze_arrays
from ddm2snn.base.hardware_config import DecodeNeuronSettings
from ddm2snn.network import SpikingNetwork, to_internal

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_READOUT_POINTS = 201  # latents from -radius to radius over which the read-out is fitted
_STATES, _STEPS, _SETTLED, _STEP = 32, 60, 30, 0.1  # states, steps of 0.1 time units, those left out
_LEAST_SHARE = 0.25  # of an equal share: a group much smaller than others has weights that no exponent fits


@dataclass(frozen=True, eq=False)
class DecodeNeurons:
    r"""Pairs of on and off neurons between decoders and encoders.

    A chip passes spikes only. The current of a decode neuron, low-passed with the synaptic time constant, is the
    latent; the neuron integrates and fires with that current,

    .. math:: J_r = b_r + g\,s_r\,z_{d(r)}/R_{d(r)} \text{ in Hz}, \qquad
        \hat z_d = R_d\,c \sum_{r:\,d(r)=d} s_r\,(\text{its spike train in Hz}), \qquad s_r = \pm 1.

    A spike resets the voltage to zero, so that at a constant current the period is :math:`\lceil 1/(J_r\,dt) \rceil`
    steps, half a step more than 1/J on average. Pairs differ in their currents b at latent zero, which keeps them out
    of step, and c is the least-squares read-out of :math:`1/(1/J + dt/2)` over latents within the radius.

    Where one core cannot take the axons of all neurons, each group of neurons has decode neurons of its own. They hold
    what that group decodes, with a radius of its own, and encoders add the groups up.

    In these symbols `latent` is d, `side` s, `bias_hz` b, `radius` R in internal units, `readout_s` c and `swing_hz` g,
    the change of the current from latent zero to the radius. A group's decode neurons are consecutive.

    Examples
    --------
    >>> from ddm2snn import find_hardware
    >>> settings = find_hardware("loihi1-emulator").decode_neurons
    >>> decode = DecodeNeurons.of_radius(settings, radius=np.array([[2.0, 3.0]]), dt_s=0.001)
    >>> decode
    DecodeNeurons(40 neurons, rank 2, 1 group(s))
    >>> decode.gain[:4]  # Hz for each unit of latents 0 and 1: on neurons, then off neurons
    array([ 150.,  100., -150., -100.])
    """

    latent: Int[np.ndarray, " neuron"]
    side: Float[np.ndarray, " neuron"]
    bias_hz: Float[np.ndarray, " neuron"]
    radius: Float[np.ndarray, "group rank"]
    swing_hz: float
    readout_s: float

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @classmethod
    def of_radius(
        cls, settings: DecodeNeuronSettings, radius: Float[np.ndarray, "group rank"], dt_s: float
    ) -> DecodeNeurons:
        """Decode neurons of a device's settings, with the radius of each group."""
        (groups, rank), pairs = radius.shape, settings.pairs_per_latent
        bias_hz = np.linspace(*settings.bias_hz, pairs) if pairs > 1 else np.array([np.mean(settings.bias_hz)])
        swing_hz = settings.swing_hz
        z = np.linspace(-1.0, 1.0, _READOUT_POINTS)
        on, off = (_rate_hz(bias_hz[:, None] + sign * swing_hz * z, dt_s).sum(axis=0) for sign in (1.0, -1.0))
        return cls(
            latent=np.tile(np.arange(rank), 2 * pairs * groups),
            side=np.tile(np.repeat([1.0, -1.0], rank), pairs * groups),
            bias_hz=np.tile(np.repeat(bias_hz, 2 * rank), groups),
            radius=radius,
            swing_hz=swing_hz,
            readout_s=float(z @ (on - off) / ((on - off) @ (on - off))),
        )

    def __repr__(self) -> str:
        return f"DecodeNeurons({self.neurons} neurons, rank {self.rank}, {self.groups} group(s))"

    @property
    def neurons(self) -> int:
        """Number of decode neurons."""
        return len(self.latent)

    @property
    def rank(self) -> int:
        """Number of latents."""
        return self.radius.shape[1]

    @property
    def groups(self) -> int:
        """Number of groups of decode neurons."""
        return len(self.radius)

    @property
    def total_radius(self) -> Float[np.ndarray, " rank"]:
        """Size of a latent beyond which decode neurons saturate: the radii of all groups."""
        return self.radius.sum(axis=0)

    def of_group(self, group: int) -> slice:
        """Decode neurons of a group."""
        size = self.neurons // self.groups
        return slice(group * size, (group + 1) * size)

    @property
    def own_radius(self) -> Float[np.ndarray, " neuron"]:
        """Radius of the group and the latent of each neuron."""
        return np.concatenate([self.radius[g][self.latent[self.of_group(g)]] for g in range(self.groups)])

    @property
    def share(self) -> Float[np.ndarray, " neuron"]:
        """Share of its latent that a neuron holds while nothing tells groups apart: at the start, and of input."""
        return self.own_radius / self.total_radius[self.latent]

    @property
    def first_on(self) -> Int[np.ndarray, "group rank"]:
        """First on neuron of each latent in each group: its current is what the group holds of the latent."""
        return np.arange(self.groups)[:, None] * (self.neurons // self.groups) + np.arange(self.rank)

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


def shared_radius(
    network: SpikingNetwork,
    groups: list[slice],
    settings: DecodeNeuronSettings,
    whole: Float[np.ndarray, " rank"],
    dt_s: float,
) -> Float[np.ndarray, "group rank"]:
    r"""Radius of each group of neurons, from its part of the latents along flows of mean rates.

    .. math:: T \dot z_g = -z_g + D_g F(E z + \beta), \qquad z = \sum_g z_g,

    with the closed-form rates F, from states that the network starts from and equal shares. A radius is at least a
    quarter of an equal share, and all together are no less than `whole`, the radius of the latents with their noise.
    """
    start = to_internal(network, network.initial_latent)
    start = start[np.linspace(0, len(start) - 1, min(_STATES, len(start))).astype(int)]
    parts, decay, settled = np.stack([start / len(groups)] * len(groups)), np.exp(-_STEP), []
    for step in range(_STEPS):
        current = parts.sum(axis=0) @ network.encoders.T + network.bias
        rates_hz = network.neuron.rate_hz(current, timing="grid", dt_s=dt_s)
        decoded = np.stack([rates_hz[:, group] @ network.decoders[:, group].T for group in groups])
        parts = decay * parts + (1.0 - decay) * decoded
        if step >= _SETTLED:
            settled.append(parts)
    radius = np.stack([radius_of(settings, part) for part in np.concatenate(settled, axis=1)])
    radius = np.maximum(radius, _LEAST_SHARE * whole / len(groups))
    return radius * np.maximum(whole / radius.sum(axis=0), 1.0)


def _rate_hz(current_hz: Float[np.ndarray, "..."], dt_s: float) -> Float[np.ndarray, "..."]:
    """Mean rate of an integrate-and-fire neuron that forgets what is above threshold."""
    above = np.maximum(current_hz, 0.0)
    return above / (1.0 + 0.5 * above * dt_s)
