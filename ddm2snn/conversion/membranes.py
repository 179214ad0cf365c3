"""Compiled membranes of every neuron model: many trajectories at once, the reference's semantics.

The loops over trials, time and neurons are spelled out in each kernel. One loop around a step function that differs
took 1.9 instead of 0.5 ns for each LIF neuron and step, since its stores to the state keep the compiler from
vectorising, and Numba does not find such a closure in its cache again, which costs each process 1.5 s.
A decay for each neuron where all have the same took 1.0 to 1.4 times as long, hence `_of_neuron`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numba
import numpy as np
from numba.extending import overload

from ddm2snn.neuron import AdaptiveLIF, HeterogeneousLIF, NeuronModel, RectifiedLinear

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.clock import Clock

Kernel = Callable[..., None]
_HALVINGS = 52  # of a step, to find a crossing in it to the last bit


def membrane_of(
    neuron: NeuronModel, clock: Clock, voltage: Float[np.ndarray, "trial neuron"]
) -> tuple[Kernel, tuple[float | np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Kernel of a neuron model, its constants, and its state at given voltages."""
    dt_s, timing = clock.dt_s, neuron.timing_on(clock.spike_timing)
    start, wait = voltage.copy(), np.zeros_like(voltage)
    if isinstance(neuron, RectifiedLinear):
        return _linear, (dt_s / neuron.tau_membrane_s,), (start,)
    if isinstance(neuron, HeterogeneousLIF):
        taus_s = neuron.taus_s(voltage)
        if timing == "interpolated":
            return _interpolated, (dt_s, taus_s, neuron.refractory_s), (start, wait)
        return _on_grid, (np.exp(-dt_s / taus_s), float(neuron.refractory_steps(dt_s))), (start,)
    steps = (neuron.voltage_kept(dt_s), float(neuron.refractory_steps(dt_s))) if timing == "grid" else ()
    if isinstance(neuron, AdaptiveLIF):
        raised = np.zeros_like(voltage)
        if timing == "interpolated":
            constants = (
                dt_s,
                neuron.tau_membrane_s,
                neuron.refractory_s,
                neuron.tau_threshold_s,
                neuron.threshold_jump,
            )
            return _adaptive_interpolated, constants, (start, wait, raised)
        threshold = (float(np.exp(-dt_s / neuron.tau_threshold_s)), neuron.threshold_jump)
        return _adaptive_on_grid, (*steps, *threshold), (start, raised)
    if timing == "interpolated":
        taus_s = np.full(voltage.shape[1], neuron.tau_membrane_s)
        return _interpolated, (dt_s, taus_s, neuron.refractory_s), (start, wait)
    return _on_grid, steps, (start,)


@numba.njit(cache=True)
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


@numba.njit(cache=True)
def _add_pooled(filtered: np.ndarray, pool: np.ndarray, row: np.ndarray) -> None:
    """Add each neuron's filtered spike train to its column."""
    for j in range(len(pool)):
        row[pool[j]] += filtered[j]


def _of_neuron(constant: float | np.ndarray, neuron: int) -> float:
    """A constant that neurons share, or that of one of them: which, a kernel knows when it is compiled."""
    return constant[neuron] if isinstance(constant, np.ndarray) else constant


@overload(_of_neuron)
def _compiled_of_neuron(constant, neuron) -> Callable[..., float]:  # noqa: ANN001 - Numba compares the signatures
    del neuron
    if isinstance(constant, numba.types.Array):
        return lambda constant, neuron: constant[neuron]
    return lambda constant, neuron: constant


@numba.njit(parallel=True, cache=True)
def _on_grid(
    path: np.ndarray,
    encoders: np.ndarray,
    bias: np.ndarray,
    membrane: tuple[float | np.ndarray, float],
    decay: float,
    jump: float,
    stride: int,
    pool: np.ndarray,
    voltage: np.ndarray,
    filtered: np.ndarray,
    out: np.ndarray,
) -> None:
    """Spikes rounded up to the grid; membrane: decay of one step (of all neurons or of each), refractory steps.

    Refractory neurons hold the steps that are left as a negative voltage: one array less to go through, and selections
    that the compiler vectorises, took the time to a third.
    """
    neurons = len(bias)
    membrane_decay, refractory_steps = membrane
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, r = voltage[trial], filtered[trial]
        for step in range(path.shape[1]):
            currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                before = v[j]
                x = current[j] + (before - current[j]) * _of_neuron(membrane_decay, j)
                x = x if x > 0.0 else 0.0
                x = x if before >= 0.0 else before + 1.0
                fired = x > 1.0
                v[j] = -refractory_steps if fired else x
                r[j] = r[j] * decay + (jump if fired else 0.0)
            if (step + 1) % stride == 0:
                _add_pooled(r, pool, out[trial, step // stride])


@numba.njit(parallel=True, cache=True)
def _interpolated(
    path: np.ndarray,
    encoders: np.ndarray,
    bias: np.ndarray,
    membrane: tuple[float, np.ndarray, float],
    decay: float,
    jump: float,
    stride: int,
    pool: np.ndarray,
    voltage: np.ndarray,
    wait: np.ndarray,
    filtered: np.ndarray,
    out: np.ndarray,
) -> None:
    """Spikes within the step; membrane: step, time constants and refractory period in seconds."""
    neurons = len(bias)
    dt_s, taus_s, refractory_s = membrane
    whole = np.exp(-dt_s / taus_s)
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, w, r = voltage[trial], wait[trial], filtered[trial]
        for step in range(path.shape[1]):
            currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                r[j] *= decay
                if w[j] >= dt_s:
                    w[j] -= dt_s
                    continue
                kept = whole[j] if w[j] <= 0.0 else np.exp(-(dt_s - w[j]) / taus_s[j])
                x = max(current[j] + (v[j] - current[j]) * kept, 0.0)
                w[j] = 0.0
                if x > 1.0:
                    w[j] = refractory_s + taus_s[j] * np.log1p((1.0 - x) / (current[j] - 1.0))
                    r[j] += jump
                    x = 0.0
                v[j] = x
            if (step + 1) % stride == 0:
                _add_pooled(r, pool, out[trial, step // stride])


@numba.njit(parallel=True, cache=True)
def _linear(
    path: np.ndarray,
    encoders: np.ndarray,
    bias: np.ndarray,
    membrane: tuple[float],
    decay: float,
    jump: float,
    stride: int,
    pool: np.ndarray,
    voltage: np.ndarray,
    filtered: np.ndarray,
    out: np.ndarray,
) -> None:
    """No leak, one spike at most in a step; membrane: voltage per current in one step."""
    neurons = len(bias)
    per_step = membrane[0]
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, r = voltage[trial], filtered[trial]
        for step in range(path.shape[1]):
            currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                push = current[j] if current[j] > 0.0 else 0.0
                x = v[j] + push * per_step
                fired = x > 1.0
                rest = x - 1.0 if x < 2.0 else 1.0
                v[j] = rest if fired else x
                r[j] = r[j] * decay + (jump if fired else 0.0)
            if (step + 1) % stride == 0:
                _add_pooled(r, pool, out[trial, step // stride])


@numba.njit(parallel=True, cache=True)
def _adaptive_on_grid(
    path: np.ndarray,
    encoders: np.ndarray,
    bias: np.ndarray,
    membrane: tuple[float, float, float, float],
    decay: float,
    jump: float,
    stride: int,
    pool: np.ndarray,
    voltage: np.ndarray,
    raised: np.ndarray,
    filtered: np.ndarray,
    out: np.ndarray,
) -> None:
    """Spikes rounded up to the grid; membrane: decay of one step, refractory steps, decay and jump of the threshold.

    Refractory neurons as in `_on_grid`.
    """
    neurons = len(bias)
    membrane_decay, refractory_steps, threshold_decay, threshold_jump = membrane
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, h, r = voltage[trial], raised[trial], filtered[trial]
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
                r[j] = r[j] * decay + (jump if fired else 0.0)
            if (step + 1) % stride == 0:
                _add_pooled(r, pool, out[trial, step // stride])


@numba.njit(parallel=True, cache=True)
def _adaptive_interpolated(
    path: np.ndarray,
    encoders: np.ndarray,
    bias: np.ndarray,
    membrane: tuple[float, float, float, float, float],
    decay: float,
    jump: float,
    stride: int,
    pool: np.ndarray,
    voltage: np.ndarray,
    wait: np.ndarray,
    raised: np.ndarray,
    filtered: np.ndarray,
    out: np.ndarray,
) -> None:
    """Spikes within the step; membrane: step, time constant, refractory period, time constant and jump of threshold."""
    neurons = len(bias)
    dt_s, tau_s, refractory_s, tau_threshold_s, threshold_jump = membrane
    whole, threshold_decay = np.exp(-dt_s / tau_s), np.exp(-dt_s / tau_threshold_s)
    for trial in numba.prange(path.shape[0]):
        current = np.empty(neurons)
        v, w, h, r = voltage[trial], wait[trial], raised[trial], filtered[trial]
        for step in range(path.shape[1]):
            currents(path[trial, step], encoders, bias, current)
            for j in range(neurons):
                r[j] *= decay
                before = h[j]
                h[j] = before * threshold_decay
                if w[j] >= dt_s:
                    w[j] -= dt_s
                    continue
                waited = w[j]
                kept = whole if waited <= 0.0 else np.exp(-(dt_s - waited) / tau_s)
                x = max(current[j] + (v[j] - current[j]) * kept, 0.0)
                w[j] = 0.0
                if x > 1.0 + h[j]:
                    crossing = _crossing(current[j], v[j], before, waited, dt_s, tau_s, tau_threshold_s)
                    w[j] = refractory_s - (dt_s - crossing)
                    h[j] += threshold_jump * np.exp(-(dt_s - crossing) / tau_threshold_s)
                    r[j] += jump
                    x = 0.0
                v[j] = x
            if (step + 1) % stride == 0:
                _add_pooled(r, pool, out[trial, step // stride])


@numba.njit(cache=True)
def _crossing(
    current: float, voltage: float, raised: float, waited: float, dt_s: float, tau_s: float, tau_threshold_s: float
) -> float:
    """Time in a step at which the voltage meets the threshold, by halving."""
    lower, upper = waited, dt_s
    for _ in range(_HALVINGS):
        middle = 0.5 * (lower + upper)
        reached = current + (voltage - current) * np.exp(-(middle - waited) / tau_s)
        if reached > 1.0 + raised * np.exp(-middle / tau_threshold_s):
            upper = middle
        else:
            lower = middle
    return upper
