"""The spiking neurons of a conversion: where they are placed, of which model, in which time scales."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.conversion.clock import Clock
from ddm2snn.conversion.driving import Drive
from ddm2snn.hardware.chip import DeviceDrive
from ddm2snn.neuron import NeuronModel

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.hardware.device import Device
    from ddm2snn.network import SpikingNetwork

_PART_BYTES = 2**23  # curves are some three times as fast where their temporaries stay in the cache [cost]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Spiking neurons that read the latents, without decoders yet; latents are in internal units.

    Parameters
    ----------
    encoders
        E, shape (neuron, rank): rows of Gamma times a factor each.
    bias
        beta, shape (neuron,), in units of the threshold current.
    unit
        Rate unit of each neuron, shape (neuron,).
    neuron
        Neuron model.
    clock
        Time scales of the simulation that decoders are solved for.
    device
        Device that decoders are solved on; None for a simulator in floating point.

    Examples
    --------
    >>> from ddm2snn.neuron import LIF
    >>> clock = Clock(time_unit_s=0.1, dt_s=0.001, spike_timing="interpolated")
    >>> ensemble = Ensemble(np.array([[1.0], [-1.0]]), np.array([1.0, 1.0]), np.array([0, 0]), LIF(), clock)
    >>> z = np.array([[-1.0], [0.5]])
    >>> ensemble.currents(z)
    array([[0. , 2. ],
           [1.5, 0.5]])
    >>> ensemble.rates_hz(z).round(1)
    array([[ 0. , 63. ],
           [41.7,  0. ]])
    >>> ensemble.timed(Clock(0.1, 0.001, "grid")).rates_hz(z).round(1)  # intervals are whole steps
    array([[ 0. , 62.5],
           [41.7,  0. ]])
    """

    encoders: Float[np.ndarray, "neuron rank"]
    bias: Float[np.ndarray, " neuron"]
    unit: Int[np.ndarray, " neuron"]
    neuron: NeuronModel
    clock: Clock
    device: Device | None = None

    @classmethod
    def of(cls, network: SpikingNetwork) -> Ensemble:
        """Neurons of a converted network, in its own internal latents."""
        clock = Clock(network.time_unit_s, network.dt_s, network.spike_timing, rise_s=network.rise_s)
        return cls(network.encoders, network.bias, network.unit, network.neuron, clock)

    def __repr__(self) -> str:
        return f"Ensemble(neurons={self.neurons}, neuron={self.neuron!r}, clock={self.clock!r})"

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return len(self.bias)

    def timed(self, clock: Clock, device: Device | None = None) -> Ensemble:
        """The same neurons in other time scales, on a device where one is given."""
        return replace(self, clock=clock, device=device)

    def currents(self, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "sample neuron"]:
        """Input currents E z + beta at internal latents."""
        return z @ self.encoders.T + self.bias

    def rates_hz(
        self, z: Float[np.ndarray, "sample rank"], velocity: Float[np.ndarray, "sample rank"] | None = None
    ) -> Float[np.ndarray, "sample neuron"]:
        r"""Firing rates in Hz at latents that stand still, F(J), or that move, :math:`F(J + \ell\,\dot J)`.

        Parameters
        ----------
        z
            Internal latents.
        velocity
            Their speed in internal units per rate time unit. The lead :math:`\ell` is the time by which the neurons'
            spikes run ahead of a moving current.
        """
        current = self.currents(z)
        if velocity is not None:
            speed_per_s = velocity / self.clock.time_unit_s
            lead_s = np.clip(self.neuron.lead_s(current), 0.0, self.neuron.longest_lead_s)
            current = current + lead_s * (speed_per_s @ self.encoders.T)
        return self.neuron.rate_hz(current, timing=self.clock.spike_timing, dt_s=self.clock.dt_s)

    def mean_rates_hz(self, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, " neuron"]:
        """Mean firing rate in Hz of each neuron over latents that stand still."""
        return np.concatenate([some.rates_hz(z).mean(axis=0) for _, some in self.parts(len(z))])

    def drive(
        self, voltage: Float[np.ndarray, "trial neuron"], columns: Int[np.ndarray, " neuron"]
    ) -> Drive | DeviceDrive:
        """Neurons to be driven open loop from membrane voltages, on the device where there is one.

        `columns` holds the column of the output to which each neuron's filtered spike train is added.
        """
        if self.device is None:
            return Drive(self, voltage, columns)
        return DeviceDrive.of_neurons(self.device, self.encoders, self.bias, self.neuron, voltage, columns)

    def parts(self, samples: int) -> Iterator[tuple[slice, Ensemble]]:
        """Consecutive neurons in parts so small that one number for each neuron and sample takes 8 MiB at most."""
        most = max(1, _PART_BYTES // (8 * samples))
        for first in range(0, self.neurons, most):
            part = slice(first, first + most)
            neuron = self.neuron.part(part)
            yield (
                part,
                replace(self, encoders=self.encoders[part], bias=self.bias[part], unit=self.unit[part], neuron=neuron),
            )

    def shared_columns(self, most: int) -> tuple[Int[np.ndarray, " neuron"], int]:
        """Column of each neuron where at most `most` decoders are solved for, and the number of columns.

        A neuron has a column of its own where there is room. Otherwise neighbours share one: neurons of one unit and
        polarity, in the order of the current that they get at the origin, relative to their gain.
        """
        if self.neurons <= most:
            return np.arange(self.neurons), self.neurons
        size = np.linalg.norm(self.encoders, axis=1)
        _, first, inverse = np.unique(self.unit, return_index=True, return_inverse=True)
        side = np.sign((self.encoders * self.encoders[first[inverse]]).sum(axis=1))  # as the first neuron of the unit
        threshold = (self.bias - self.neuron.threshold_current) / np.maximum(size, 1e-300)
        order = np.lexsort((threshold, side, self.unit))
        starts = np.flatnonzero(
            np.diff(self.unit[order], prepend=-1).astype(bool) | np.diff(side[order], prepend=np.nan).astype(bool)
        )
        lengths = np.diff(np.append(starts, self.neurons))
        shared = int(np.ceil(self.neurons / max(1, most - len(starts))))
        groups = np.concatenate([np.arange(length) // shared for length in lengths])
        new = np.diff(groups, prepend=-1).astype(bool)
        new[starts] = True
        columns = np.empty(self.neurons, dtype=np.int64)
        columns[order] = np.cumsum(new) - 1
        return columns, int(new.sum())
