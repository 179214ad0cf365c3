"""Neurons driven along given latents: many trajectories at once, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.conversion.membranes import membrane_of

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.conversion.decoders import Clockwork
    from ddm2snn.conversion.population import Encoding
    from ddm2snn.neuron import NeuronModel


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
        self._kernel, self._constants, self._state = membrane_of(neuron, clockwork, voltage)
        self.filtered = np.zeros_like(voltage)
        self.pool, self.columns = pool, int(pool.max()) + 1
        self.encoders = np.ascontiguousarray(encoding.encoders.T)
        self.bias = encoding.bias
        decay = float(np.exp(-clockwork.dt_s / clockwork.time_unit_s))
        self._filter = (decay, (1.0 - decay) / clockwork.dt_s)

    def advance(
        self, path: Float[np.ndarray, "trial step rank"], stride: int
    ) -> Float[np.ndarray, "trial sample column"]:
        """Filtered spike trains in Hz, pooled, after every `stride` steps along the internal latents `path`."""
        out = np.zeros((len(path), path.shape[1] // stride, self.columns))
        self._kernel(
            path, self.encoders, self.bias, self._constants, *self._filter, stride, self.pool, *self._state,
            self.filtered, out,
        )  # fmt: skip
        return out
