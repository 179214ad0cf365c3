"""Neurons driven along given latents: compiled, many trajectories at once, the reference's semantics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

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
        self.voltage = voltage.copy()
        self.wait = np.zeros_like(voltage)
        self.filtered = np.zeros_like(voltage)
        self.pool, self.columns = pool, int(pool.max()) + 1
        self.encoders = np.ascontiguousarray(encoding.encoders.T)
        self.bias = encoding.bias
        dt_s = clockwork.dt_s
        decay = float(np.exp(-dt_s / clockwork.time_unit_s))
        self._filter = (decay, (1.0 - decay) / dt_s)
        self._grid = clockwork.timing == "grid"
        if self._grid:
            decay_of_membrane = float(np.exp(-dt_s / neuron.tau_membrane_s))
            self._membrane = (decay_of_membrane, float(neuron.refractory_steps(dt_s)), 0.0)
        else:
            self._membrane = (dt_s, neuron.tau_membrane_s, neuron.refractory_s)

    def advance(
        self, path: Float[np.ndarray, "trial step rank"], stride: int
    ) -> Float[np.ndarray, "trial sample column"]:
        """Filtered spike trains in Hz, pooled, after every `stride` steps along the internal latents `path`."""
        out = np.zeros((len(path), path.shape[1] // stride, self.columns))
        kernel = _on_grid if self._grid else _interpolated
        kernel(
            path, self.encoders, self.bias, self._membrane, *self._filter, stride, self.pool, self.voltage, self.wait,
            self.filtered, out,
        )  # fmt: skip
        return out


@numba.njit(cache=True)
def _currents(latent: np.ndarray, encoders: np.ndarray, bias: np.ndarray, current: np.ndarray) -> None:
    """Input current of each neuron, written into `current`."""
    current[:] = bias
    for c in range(len(latent)):
        z = latent[c]
        for j in range(len(bias)):
            current[j] += z * encoders[c, j]


@numba.njit(cache=True)
def _add_pooled(filtered: np.ndarray, pool: np.ndarray, row: np.ndarray) -> None:
    """Add each neuron's filtered spike train to its column."""
    for j in range(len(pool)):
        row[pool[j]] += filtered[j]


@numba.njit(parallel=True, cache=True)
def _on_grid(
    path: np.ndarray,
    encoders: np.ndarray,
    bias: np.ndarray,
    membrane: tuple[float, float, float],
    decay: float,
    jump: float,
    stride: int,
    pool: np.ndarray,
    voltage: np.ndarray,
    wait: np.ndarray,
    filtered: np.ndarray,
    out: np.ndarray,
) -> None:
    """Spikes rounded up to the grid; membrane: decay of one step, refractory steps."""
    neurons = len(bias)
    membrane_decay, refractory_steps, _ = membrane
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, w, r = voltage[trial], wait[trial], filtered[trial]
        for step in range(path.shape[1]):
            _currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                x = current[j] + (v[j] - current[j]) * membrane_decay
                x = max(x, 0.0) if w[j] < 0.5 else 0.0
                fired = x > 1.0
                v[j] = 0.0 if fired else x
                w[j] = refractory_steps if fired else max(w[j] - 1.0, 0.0)
                r[j] = r[j] * decay + (jump if fired else 0.0)
            if (step + 1) % stride == 0:
                _add_pooled(r, pool, out[trial, step // stride])


@numba.njit(parallel=True, cache=True)
def _interpolated(
    path: np.ndarray,
    encoders: np.ndarray,
    bias: np.ndarray,
    membrane: tuple[float, float, float],
    decay: float,
    jump: float,
    stride: int,
    pool: np.ndarray,
    voltage: np.ndarray,
    wait: np.ndarray,
    filtered: np.ndarray,
    out: np.ndarray,
) -> None:
    """Spikes within the step; membrane: step, time constant and refractory period in seconds."""
    neurons = len(bias)
    dt_s, tau_s, refractory_s = membrane
    whole = np.exp(-dt_s / tau_s)
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, w, r = voltage[trial], wait[trial], filtered[trial]
        for step in range(path.shape[1]):
            _currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                r[j] *= decay
                if w[j] >= dt_s:
                    w[j] -= dt_s
                    continue
                kept = whole if w[j] <= 0.0 else np.exp(-(dt_s - w[j]) / tau_s)
                x = max(current[j] + (v[j] - current[j]) * kept, 0.0)
                w[j] = 0.0
                if x > 1.0:
                    w[j] = refractory_s + tau_s * np.log1p((1.0 - x) / (current[j] - 1.0))
                    r[j] += jump
                    x = 0.0
                v[j] = x
            if (step + 1) % stride == 0:
                _add_pooled(r, pool, out[trial, step // stride])
