"""Neurons driven along given latents: many trajectories at once, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.conversion.membranes import membrane_of
from ddm2snn.hardware.chip import DeviceDrive
from ddm2snn.neuron import part_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.conversion.population import Encoding
    from ddm2snn.neuron import NeuronModel


def drive_of(
    encoding: Encoding,
    neuron: NeuronModel,
    clockwork: Clockwork,
    voltage: Float[np.ndarray, "trial neuron"],
    pool: Int[np.ndarray, " neuron"],
) -> Drive | DeviceDrive:
    """Neurons to be driven, on the device where there is one in the loop."""
    if clockwork.device is None:
        return Drive(encoding, neuron, clockwork, voltage, pool)
    return DeviceDrive.of_neurons(clockwork.device, encoding.encoders, encoding.bias, neuron, voltage, pool)


_PART = 4096  # neurons: their state stays in the cache from step to step, which takes a quarter off the time


class Drive:
    """Membranes and filtered spike trains of one population on many trajectories, driven block by block.

    Agrees with `drive` of the reference backend up to rounding, which the tests hold it to.

    Parameters
    ----------
    encoding, neuron
        The population.
    clockwork
        Time unit, step and spike timing.
    voltage
        Membrane voltages at the start, shape (trial, neuron).
    pool
        Column of the output to which each neuron's filtered spike train is added, shape (neuron,).
    """

    def __init__(
        self,
        encoding: Encoding,
        neuron: NeuronModel,
        clockwork: Clockwork,
        voltage: Float[np.ndarray, "trial neuron"],
        pool: Int[np.ndarray, " neuron"],
    ) -> None:
        self.columns = int(pool.max()) + 1
        self._parts = []
        for first in range(0, len(pool), _PART):
            some = slice(first, first + _PART)
            kernel, constants, state = membrane_of(part_of(neuron, some), clockwork, voltage[:, some])
            encoders = np.ascontiguousarray(encoding.encoders[some].T)
            filtered = np.zeros_like(state[0])
            self._parts.append((kernel, (encoders, encoding.bias[some], constants), (pool[some], *state, filtered)))
        decay = clockwork.decay
        self._filter = (decay, (1.0 - decay) / clockwork.dt_s)

    def advance(
        self, path: Float[np.ndarray, "trial step rank"], stride: int
    ) -> Float[np.ndarray, "trial sample column"]:
        """Filtered spike trains in Hz, pooled, after every `stride` steps along the internal latents `path`."""
        out = np.zeros((len(path), path.shape[1] // stride, self.columns))
        for kernel, population, state in self._parts:
            kernel(path, *population, *self._filter, stride, *state, out)
        return out
