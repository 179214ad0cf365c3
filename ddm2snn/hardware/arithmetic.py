"""Compiled steps of a chip: neurons and decode neurons in the arithmetic and the timing of nengo-loihi's emulator.

Whole numbers are kept in float64, which holds products of 24-bit states and 12-bit decays exactly. A spike arrives one
step after it was fired.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
def _wrapped(x: float, limit: float) -> float:
    """Two's complement with a given limit."""
    return x if -limit <= x < limit else (x + limit) % (2.0 * limit) - limit


@numba.njit(cache=True)
def _advance(
    arrived: np.ndarray,
    bias: np.ndarray,
    threshold: np.ndarray,
    constants: tuple[float, float, float, float, float, float, bool],
    current: np.ndarray,
    voltage: np.ndarray,
    wait: np.ndarray,
    fired: np.ndarray,
) -> int:
    """One step of compartments; constants: kept current and voltage, refractory steps, three limits, whole or not."""
    current_kept, voltage_kept, refractory, input_limit, state_limit, voltage_limit, whole = constants
    count = 0
    for j in range(len(bias)):
        if whole:
            u = np.trunc(current[j] * current_kept) + _wrapped(arrived[j], input_limit)
            u = _wrapped(u, state_limit)
            v = np.trunc(voltage[j] * voltage_kept) + _wrapped(u + bias[j], state_limit)
        else:
            u = current[j] * current_kept + arrived[j]
            v = voltage[j] * voltage_kept + u + bias[j]
        v = min(max(v, 0.0), voltage_limit) if wait[j] < 0.5 else 0.0
        spike = v > threshold[j]
        current[j] = u
        voltage[j] = 0.0 if spike else v
        wait[j] = refractory if spike else max(wait[j] - 1.0, 0.0)
        if spike:
            fired[count] = j
            count += 1
    return count


@numba.njit(cache=True)
def _collect(fired: np.ndarray, count: int, weights: np.ndarray, arrived: np.ndarray) -> None:
    """Sum of the weights of all axons that spiked, into `arrived`."""
    arrived[:] = 0.0
    for s in range(count):
        row = weights[fired[s]]
        for j in range(len(arrived)):
            arrived[j] += row[j]


@numba.njit(cache=True)
def _collect_in_groups(
    fired: np.ndarray, count: int, weights: np.ndarray, first: np.ndarray, arrived: np.ndarray
) -> None:
    """As `_collect`, where the weights of an axon begin at its own place, `first`."""
    arrived[:] = 0.0
    for s in range(count):
        row, begin = weights[fired[s]], first[fired[s]]
        for j in range(len(row)):
            arrived[begin + j] += row[j]


@numba.njit(parallel=True, cache=True)
def closed_loop(
    bits: np.ndarray,
    population: tuple,
    relay: tuple,
    first: np.ndarray,
    heads: np.ndarray,
    inputs: np.ndarray,
    stride: int,
    offset: int,
    population_state: tuple,
    relay_state: tuple,
    latent: np.ndarray,
    raster: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Steps of the whole chip on many trials.

    bits: sign of the input spike of each latent, zero for none, shape (trial, step, rank). population and relay:
    (weights of the axons that arrive there, bias, threshold, constants). first: decode neuron at which the weights of
    each neuron begin. States: current, voltage, wait, fired, number of fired, each by trial. latent: currents of the
    decode neurons `heads`, shape (group, rank), after every `stride` steps from `offset`, shape (trial, sample, group,
    rank). raster: spikes, shape (trial, step, neuron), or with no steps. counts:
    spikes of neurons, of decode neurons and of inputs, shape (trial, 3).
    """
    to_population, bias, threshold, constants = population
    to_relay, relay_bias, relay_threshold, relay_constants = relay
    rank = bits.shape[2]
    for trial in numba.prange(bits.shape[0]):
        u, v, w, fired, number = (
            population_state[0][trial], population_state[1][trial], population_state[2][trial],
            population_state[3][trial], population_state[4],
        )  # fmt: skip
        ru, rv, rw, rfired, rnumber = (
            relay_state[0][trial], relay_state[1][trial], relay_state[2][trial], relay_state[3][trial], relay_state[4],
        )  # fmt: skip
        arrived, relay_arrived = np.empty(len(bias)), np.empty(len(relay_bias))
        for step in range(bits.shape[1]):
            _collect(rfired, rnumber[trial], to_population, arrived)
            _collect_in_groups(fired, number[trial], to_relay, first, relay_arrived)
            for d in range(rank):
                bit = bits[trial, step, d]
                if bit != 0:
                    row = inputs[d if bit > 0 else rank + d]
                    counts[trial, 2] += 1
                    for j in range(len(relay_arrived)):
                        relay_arrived[j] += row[j]
            number[trial] = _advance(arrived, bias, threshold, constants, u, v, w, fired)
            rnumber[trial] = _advance(relay_arrived, relay_bias, relay_threshold, relay_constants, ru, rv, rw, rfired)
            counts[trial, 0] += number[trial]
            counts[trial, 1] += rnumber[trial]
            if raster.shape[1] > 0:
                for s in range(number[trial]):
                    raster[trial, step, fired[s]] = 1
            place = step + offset
            if place % stride == 0:
                for g in range(len(heads)):
                    for d in range(rank):
                        latent[trial, place // stride, g, d] = ru[heads[g, d]]


@numba.njit(parallel=True, cache=True)
def open_loop(
    path: np.ndarray,
    population: tuple,
    gain: np.ndarray,
    of_latent: np.ndarray,
    relay: tuple,
    decay: float,
    jump: float,
    stride: int,
    pool: np.ndarray,
    population_state: tuple,
    relay_state: tuple,
    filtered: np.ndarray,
    out: np.ndarray,
) -> None:
    """Decode neurons at given latents drive the neurons; filtered spike trains, pooled, after every `stride` steps.

    path: latents, shape (trial, step, rank). gain, of_latent: current of each decode neuron per unit of its latent.
    """
    weights, bias, threshold, constants = population
    relay_bias, relay_threshold, relay_constants = relay
    for trial in numba.prange(path.shape[0]):
        u, v, w, fired, number = (
            population_state[0][trial], population_state[1][trial], population_state[2][trial],
            population_state[3][trial], population_state[4],
        )  # fmt: skip
        ru, rv, rw, rfired, rnumber = (
            relay_state[0][trial], relay_state[1][trial], relay_state[2][trial], relay_state[3][trial], relay_state[4],
        )  # fmt: skip
        r = filtered[trial]
        arrived, given = np.empty(len(bias)), np.empty(len(relay_bias))
        for step in range(path.shape[1]):
            _collect(rfired, rnumber[trial], weights, arrived)
            for j in range(len(given)):
                given[j] = gain[j] * path[trial, step, of_latent[j]]
            number[trial] = _advance(arrived, bias, threshold, constants, u, v, w, fired)
            rnumber[trial] = _advance(given, relay_bias, relay_threshold, relay_constants, ru, rv, rw, rfired)
            for j in range(len(r)):
                r[j] *= decay
            for s in range(number[trial]):
                r[fired[s]] += jump
            if (step + 1) % stride == 0:
                row = out[trial, step // stride]
                for j in range(len(r)):
                    row[pool[j]] += r[j]
