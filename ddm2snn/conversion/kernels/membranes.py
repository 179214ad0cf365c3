"""Compiled membranes of every neuron model: many trajectories at once, the reference's semantics.

Each kernel has its own loops over trials, time and neurons. One loop around a step function of each model took 1.9
instead of 0.5 ns for each LIF neuron and step, since its stores to the state keep the compiler from vectorising, and
Numba does not find such a closure in its cache again, which costs each process 1.5 s.

Kernels take tuples and unpack them before the loops, which then are the machine code of plain arguments:

- `inputs`: weights of the latents, shape (rank, neuron), and bias, shape (neuron,), of the neurons' input currents.
- `constants`: numbers of the neuron model in a step; each kernel names its own.
- `synapses`: decay of the synaptic filter in a step, that of its rise (0 where it rises at once), what a spike adds,
  and the column of the output for each neuron.
- `state`: voltage, filtered spikes, what of them is still to rise, seconds to wait and raised threshold, shapes
  (trial, neuron); what a model does not use has no columns. On a grid, refractory neurons hold the number of steps that
  are left as a negative voltage: one array less to go through, and selections that the compiler vectorises, took the
  time to a third.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba.extending import overload

from ddm2snn.base.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.neuron import NeuronModel, SpikeTiming

_NOTHING = 1e-200  # of filtered spikes [code]
_HALVINGS = 52  # of a step, to find a crossing in it to the last bit [derived]


Membrane = tuple[Callable[..., None], tuple, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
"""Kernel of a neuron model, its constants in a step, and the state of its neurons."""


def membrane_of(
    neuron: NeuronModel, dt_s: float, timing: SpikeTiming, voltage: Float[np.ndarray, "trial neuron"]
) -> Membrane:
    """Compiled membranes of a neuron model, on a simulator of a given timing, from given voltages on."""
    return _MEMBRANES[neuron.name](neuron, dt_s, neuron.timing_on(timing), voltage)


def _leaky(neuron: Any, dt_s: float, timing: SpikeTiming, voltage: np.ndarray) -> Membrane:  # noqa: ANN401
    """Membranes of `LIF` and, always on a grid, `LoihiLIF`."""
    if timing == "grid":
        constants = neuron.decay_factor(dt_s), float(neuron.refractory_steps(dt_s))
        return _leaky_on_grid, constants, _state_at(voltage)
    taus_s = np.array(np.broadcast_to(neuron.tau_membrane_s, voltage.shape[1]))
    return _leaky_within_steps, (dt_s, taus_s, neuron.refractory_s), _state_at(voltage, "wait_s")


def _rectified_linear(neuron: Any, dt_s: float, timing: SpikeTiming, voltage: np.ndarray) -> Membrane:  # noqa: ANN401
    """Membranes of `RectifiedLinear`."""
    return _without_leak, (dt_s / neuron.tau_membrane_s,), _state_at(voltage)


def _adaptive(neuron: Any, dt_s: float, timing: SpikeTiming, voltage: np.ndarray) -> Membrane:  # noqa: ANN401
    """Membranes of `AdaptiveLIF`."""
    if timing == "grid":
        leak = neuron.decay_factor(dt_s), float(neuron.refractory_steps(dt_s))
        threshold = neuron.threshold_factor(dt_s), neuron.threshold_jump
        return _adaptive_on_grid_steps, (*leak, *threshold), _state_at(voltage, "raised")
    leak = dt_s, neuron.tau_membrane_s, neuron.refractory_s
    threshold = neuron.tau_threshold_s, neuron.threshold_jump
    return _adaptive_within_steps, (*leak, *threshold), _state_at(voltage, "wait_s", "raised")


def _state_at(voltage: np.ndarray, *used: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """State at given voltages, with everything else at zero, and with the arrays beside voltages that are used."""
    wait_s, raised = (np.zeros_like(voltage if name in used else voltage[:, :0]) for name in ("wait_s", "raised"))
    return voltage.copy(), np.zeros_like(voltage), np.zeros_like(voltage), wait_s, raised


_MEMBRANES: dict[str, Callable[..., Membrane]] = {
    "lif": _leaky,
    "loihi-lif": _leaky,
    "rectified-linear": _rectified_linear,
    "adaptive-lif": _adaptive,
}
"""Membranes by the name of the neuron model."""


@compiled()
def currents(latent: np.ndarray, encoders: np.ndarray, bias: np.ndarray, current: np.ndarray) -> None:
    """Input current of each neuron, written into `current`: three latents in each pass over the neurons."""
    first = len(latent) % 3
    if first == 0:
        current[:] = bias
    elif first == 1:
        z = latent[0]
        for j in range(len(bias)):
            current[j] = bias[j] + z * encoders[0, j]
    else:
        y, z = latent[0], latent[1]
        for j in range(len(bias)):
            current[j] = bias[j] + y * encoders[0, j] + z * encoders[1, j]
    for c in range(first, len(latent), 3):
        x, y, z = latent[c], latent[c + 1], latent[c + 2]
        for j in range(len(bias)):
            current[j] += x * encoders[c, j] + y * encoders[c + 1, j] + z * encoders[c + 2, j]


@compiled()
def _add_to_columns(filtered: np.ndarray, columns: np.ndarray, row: np.ndarray) -> None:
    """Add each neuron's filtered spike train to its column."""
    for j in range(len(columns)):
        row[columns[j]] += filtered[j]


@compiled()
def _faded(value: float, decay: float) -> float:
    """What is left of a value, or zero where that is next to nothing: numbers below the normal ones are slow."""
    left = value * decay
    return left if left > _NOTHING else 0.0


def _of_neuron(constant: float | np.ndarray, neuron: int) -> float:
    """A constant that all neurons share, or that of one of them.

    Which of the two it is, compiled code knows from the type: an array of equal numbers for a shared decay took 1.0 to
    1.4 times as long.
    """
    return constant[neuron] if isinstance(constant, np.ndarray) else constant


@overload(_of_neuron)
def _compiled_of_neuron(constant: Any, neuron: Any) -> Callable[..., float]:  # noqa: ANN401 - types of Numba's
    # Numba compares the signatures with this one, annotations included
    def own(constant: Any, neuron: Any) -> float:  # noqa: ANN401
        return constant[neuron]

    def shared(constant: Any, neuron: Any) -> float:  # noqa: ANN401
        return constant

    return own if isinstance(constant, numba.types.Array) else shared


@compiled(parallel=True)
def _leaky_on_grid(
    path: np.ndarray, inputs: tuple, constants: tuple, synapses: tuple, stride: int, state: tuple, out: np.ndarray
) -> None:
    """Leaky membranes with spikes rounded up to the grid; constants are decay (one, or each) and refractory steps."""
    encoders, bias = inputs
    membrane_decay, refractory_steps = constants
    decay, rise_decay, jump, columns = synapses
    voltage, filtered, rising, _, _ = state
    neurons = len(bias)
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, r, q = voltage[trial], filtered[trial], rising[trial]
        for step in range(path.shape[1]):
            currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                before = v[j]
                x = current[j] + (before - current[j]) * _of_neuron(membrane_decay, j)
                x = x if x > 0.0 else 0.0
                x = x if before >= 0.0 else before + 1.0
                fired = x > 1.0
                v[j] = -refractory_steps if fired else x
                q[j] = _faded(q[j], rise_decay) + (jump if fired else 0.0)
                r[j] = r[j] * decay + q[j]
            if (step + 1) % stride == 0:
                _add_to_columns(r, columns, out[trial, step // stride])


@compiled(parallel=True)
def _leaky_within_steps(
    path: np.ndarray, inputs: tuple, constants: tuple, synapses: tuple, stride: int, state: tuple, out: np.ndarray
) -> None:
    """Leaky membranes with spikes within the step; constants are step, time constants and refractory period."""
    encoders, bias = inputs
    dt_s, taus_s, refractory_s = constants
    decay, rise_decay, jump, columns = synapses
    voltage, filtered, rising, wait_s, _ = state
    neurons = len(bias)
    whole_step = np.exp(-dt_s / taus_s)
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, w, r, q = voltage[trial], wait_s[trial], filtered[trial], rising[trial]
        for step in range(path.shape[1]):
            currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                q[j] = _faded(q[j], rise_decay)
                if w[j] >= dt_s:
                    w[j] -= dt_s
                    continue
                factor = whole_step[j] if w[j] <= 0.0 else np.exp(-(dt_s - w[j]) / taus_s[j])
                x = max(current[j] + (v[j] - current[j]) * factor, 0.0)
                w[j] = 0.0
                if x > 1.0:
                    w[j] = refractory_s + taus_s[j] * np.log1p((1.0 - x) / (current[j] - 1.0))
                    q[j] += jump
                    x = 0.0
                v[j] = x
            for j in range(neurons):
                r[j] = r[j] * decay + q[j]
            if (step + 1) % stride == 0:
                _add_to_columns(r, columns, out[trial, step // stride])


@compiled(parallel=True)
def _without_leak(
    path: np.ndarray, inputs: tuple, constants: tuple, synapses: tuple, stride: int, state: tuple, out: np.ndarray
) -> None:
    """Membranes without leak, with one spike at most in a step; the constant is the voltage per current in a step."""
    encoders, bias = inputs
    decay, rise_decay, jump, columns = synapses
    voltage, filtered, rising, _, _ = state
    (per_step,) = constants
    neurons = len(bias)
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, r, q = voltage[trial], filtered[trial], rising[trial]
        for step in range(path.shape[1]):
            currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                push = current[j] if current[j] > 0.0 else 0.0
                x = v[j] + push * per_step
                fired = x > 1.0
                rest = x - 1.0 if x < 2.0 else 1.0
                v[j] = rest if fired else x
                q[j] = _faded(q[j], rise_decay) + (jump if fired else 0.0)
                r[j] = r[j] * decay + q[j]
            if (step + 1) % stride == 0:
                _add_to_columns(r, columns, out[trial, step // stride])


@compiled(parallel=True)
def _adaptive_on_grid_steps(
    path: np.ndarray, inputs: tuple, constants: tuple, synapses: tuple, stride: int, state: tuple, out: np.ndarray
) -> None:
    """Leaky membranes with an adaptive threshold, with spikes rounded up to the grid."""
    encoders, bias = inputs
    membrane_decay, refractory_steps, threshold_decay, threshold_jump = constants
    decay, rise_decay, jump, columns = synapses
    voltage, filtered, rising, _, raised = state
    neurons = len(bias)
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, h, r, q = voltage[trial], raised[trial], filtered[trial], rising[trial]
        for step in range(path.shape[1]):
            currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                before = v[j]
                x = current[j] + (before - current[j]) * membrane_decay
                x = x if x > 0.0 else 0.0
                x = x if before >= 0.0 else before + 1.0
                above_rest = h[j] * threshold_decay
                fired = x > 1.0 + above_rest
                v[j] = -refractory_steps if fired else x
                h[j] = above_rest + (threshold_jump if fired else 0.0)
                q[j] = _faded(q[j], rise_decay) + (jump if fired else 0.0)
                r[j] = r[j] * decay + q[j]
            if (step + 1) % stride == 0:
                _add_to_columns(r, columns, out[trial, step // stride])


@compiled(parallel=True)
def _adaptive_within_steps(
    path: np.ndarray, inputs: tuple, constants: tuple, synapses: tuple, stride: int, state: tuple, out: np.ndarray
) -> None:
    """Leaky membranes with an adaptive threshold, with spikes within the step."""
    encoders, bias = inputs
    dt_s, tau_s, refractory_s, tau_threshold_s, threshold_jump = constants
    decay, rise_decay, jump, columns = synapses
    voltage, filtered, rising, wait_s, raised = state
    neurons = len(bias)
    whole_step, threshold_decay = np.exp(-dt_s / tau_s), np.exp(-dt_s / tau_threshold_s)
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, w, h = voltage[trial], wait_s[trial], raised[trial]
        r, q = filtered[trial], rising[trial]
        for step in range(path.shape[1]):
            currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                q[j] = _faded(q[j], rise_decay)
                before = h[j]
                h[j] = before * threshold_decay
                if w[j] >= dt_s:
                    w[j] -= dt_s
                    continue
                waited = w[j]
                factor = whole_step if waited <= 0.0 else np.exp(-(dt_s - waited) / tau_s)
                x = max(current[j] + (v[j] - current[j]) * factor, 0.0)
                w[j] = 0.0
                if x > 1.0 + h[j]:
                    crossing_s = _crossing_s(constants, current[j], v[j], before, waited)
                    w[j] = refractory_s - (dt_s - crossing_s)
                    h[j] += threshold_jump * np.exp(-(dt_s - crossing_s) / tau_threshold_s)
                    q[j] += jump
                    x = 0.0
                v[j] = x
            for j in range(neurons):
                r[j] = r[j] * decay + q[j]
            if (step + 1) % stride == 0:
                _add_to_columns(r, columns, out[trial, step // stride])


@compiled()
def _crossing_s(constants: tuple, current: float, voltage: float, raised: float, waited_s: float) -> float:
    """Time in a step at which the voltage meets the threshold, by halving."""
    dt_s, tau_s, _, tau_threshold_s, _ = constants
    lower, upper = waited_s, dt_s
    for _ in range(_HALVINGS):
        middle = 0.5 * (lower + upper)
        reached = current + (voltage - current) * np.exp(-(middle - waited_s) / tau_s)
        if reached > 1.0 + raised * np.exp(-middle / tau_threshold_s):
            upper = middle
        else:
            lower = middle
    return upper
