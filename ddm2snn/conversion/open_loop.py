"""Neurons driven along given latents: many trajectories at once, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.conversion.kernels.membranes import Filter, Inputs, membrane_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.conversion.population import Encoding
    from ddm2snn.hardware.device import DeviceDrive
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
    return clockwork.device.drive(encoding.encoders, encoding.bias, neuron, voltage, pool)


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
        decay, self._parts = clockwork.decay, []
        for first in range(0, len(pool), _PART):
            some = slice(first, first + _PART)
            membrane = membrane_of(neuron.part(some), clockwork.dt_s, clockwork.timing, voltage[:, some])
            inputs = Inputs(np.ascontiguousarray(encoding.encoders[some].T), encoding.bias[some])
            self._parts.append((membrane, inputs, Filter(decay, (1.0 - decay) / clockwork.dt_s, pool[some])))

    def advance(
        self, path: Float[np.ndarray, "trial step rank"], stride: int
    ) -> Float[np.ndarray, "trial sample column"]:
        """Filtered spike trains in Hz, pooled, after every `stride` steps along the internal latents `path`."""
        out = np.zeros((len(path), path.shape[1] // stride, self.columns))
        for membrane, inputs, synapses in self._parts:
            membrane.kernel(path, inputs, membrane.constants, synapses, stride, membrane.state, out)
        return out
