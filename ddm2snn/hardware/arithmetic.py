"""Compiled steps of a chip: neurons and decode neurons in the arithmetic and the timing of nengo-loihi's emulator.

Whole numbers are float64, which holds products of 24-bit states and 12-bit decays exactly. A spike arrives one step
after it was fired.

Numba knows classes by name in its calls: two classes of one name cost 0.2 ms a call.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from ddm2snn.base.compiled import compiled


@compiled(inline="always")
def _wrapped(x: float, limit: float) -> float:
    """Two's complement with a given limit."""
    return x if -limit <= x < limit else (x + limit) % (2.0 * limit) - limit


Constants = tuple[float, float, float, float, float, float, bool]
"""Constants of a step, the same for all compartments of a kind.

Factors by which current and voltage decay, refractory steps, limits of input, states and voltage, and whether all are
whole numbers. A plain tuple, since Numba takes no named one into the body of a parallel loop.
"""


class Compartments(NamedTuple):
    """Compartments of a kind, and their state.

    weights: those of the axons that arrive, shape (axon, compartment). current, voltage, wait: shape (trial,
    compartment), the last in refractory steps. fired, number: who fired last in a row for each trial, and how many.
    """

    weights: np.ndarray
    bias: np.ndarray
    threshold: np.ndarray
    constants: Constants
    current: np.ndarray
    voltage: np.ndarray
    wait: np.ndarray
    fired: np.ndarray
    number: np.ndarray


class Links(NamedTuple):
    """How neurons and input reach decode neurons.

    first: decode neuron at which the weights of each neuron begin. first_on: decode neurons whose currents tell the
    latents, shape (group, rank). inputs: weights of the input axons, shape (2 rank, decode neuron).
    """

    first: np.ndarray
    first_on: np.ndarray
    inputs: np.ndarray


class Results(NamedTuple):
    """What is written.

    latent: currents of the decode neurons `first_on`, shape (trial, sample, group, rank). raster: spikes, shape (trial,
    step, neuron), or with no steps. counts: spikes of neurons, of decode neurons and of inputs, shape (trial, 3).
    """

    latent: np.ndarray
    raster: np.ndarray
    counts: np.ndarray


class OpenLinks(NamedTuple):
    """How given latents reach decode neurons, and what filters the neurons' spikes.

    gain, latent: current of each decode neuron per unit of its latent, and the number of that latent. decay, jump: of
    the filter in a step, and at a spike. columns, filtered: output column of each neuron, and the filter's state.
    """

    gain: np.ndarray
    latent: np.ndarray
    decay: float
    jump: float
    columns: np.ndarray
    filtered: np.ndarray


@compiled()
def _advance(
    arrived: np.ndarray, bias: np.ndarray, threshold: np.ndarray, constants: Constants,
    current: np.ndarray, voltage: np.ndarray, wait: np.ndarray, fired: np.ndarray,
) -> int:  # fmt: skip
    """One step of the compartments of a trial at what has arrived: write who fired and return their number."""
    current_decay, voltage_decay, refractory_steps, input_limit, state_limit, voltage_limit, whole = constants
    count = 0
    for j in range(len(bias)):
        if whole:
            u = np.trunc(current[j] * current_decay) + _wrapped(arrived[j], input_limit)
            u = _wrapped(u, state_limit)
            v = np.trunc(voltage[j] * voltage_decay) + _wrapped(u + bias[j], state_limit)
        else:
            u = current[j] * current_decay + arrived[j]
            v = voltage[j] * voltage_decay + u + bias[j]
        v = min(max(v, 0.0), voltage_limit) if wait[j] < 0.5 else 0.0
        spike = v > threshold[j]
        current[j] = u
        voltage[j] = 0.0 if spike else v
        wait[j] = refractory_steps if spike else max(wait[j] - 1.0, 0.0)
        if spike:
            fired[count] = j
            count += 1
    return count


@compiled()
def _collect(fired: np.ndarray, count: int, weights: np.ndarray, first: np.ndarray, arrived: np.ndarray) -> None:
    """Sum of the weights of all axons that spiked, into `arrived`; those of an axon begin at its place in `first`."""
    arrived[:] = 0.0
    for s in range(count):
        row, begin = weights[fired[s]], first[fired[s]]
        for j in range(len(row)):
            arrived[begin + j] += row[j]


@compiled(parallel=True)
def closed_loop(
    bits: np.ndarray,
    population: Compartments,
    decode: Compartments,
    links: Links,
    stride: int,
    offset: int,
    results: Results,
) -> None:
    """Steps of the whole chip on many trials; latents are written after every `stride` steps from `offset`.

    bits: sign of the input spike of each latent, zero for none, shape (trial, step, rank).
    """
    weights, bias, threshold, constants, current, voltage, wait, fired, number = population
    decode_weights, decode_bias, decode_threshold, decode_constants = decode[:4]
    decode_current, decode_voltage, decode_wait, decode_fired, decode_number = decode[4:]
    first, first_on, inputs = links
    latent, raster, counts = results
    rank, at_zero = bits.shape[2], np.zeros(len(decode_bias), dtype=np.int64)
    for trial in numba.prange(bits.shape[0]):
        u, v, w, f = current[trial], voltage[trial], wait[trial], fired[trial]
        du, dv, dw, df = decode_current[trial], decode_voltage[trial], decode_wait[trial], decode_fired[trial]
        arrived, decode_arrived = np.empty(len(bias)), np.empty(len(decode_bias))
        for step in range(bits.shape[1]):
            _collect(df, decode_number[trial], weights, at_zero, arrived)
            _collect(f, number[trial], decode_weights, first, decode_arrived)
            for d in range(rank):
                bit = bits[trial, step, d]
                if bit != 0:
                    row = inputs[d if bit > 0 else rank + d]
                    counts[trial, 2] += 1
                    for j in range(len(decode_arrived)):
                        decode_arrived[j] += row[j]
            number[trial] = _advance(arrived, bias, threshold, constants, u, v, w, f)
            decode_number[trial] = _advance(
                decode_arrived, decode_bias, decode_threshold, decode_constants, du, dv, dw, df
            )
            counts[trial, 0] += number[trial]
            counts[trial, 1] += decode_number[trial]
            if raster.shape[1] > 0:
                for s in range(number[trial]):
                    raster[trial, step, f[s]] = 1
            place = step + offset
            if place % stride == 0:
                for g in range(len(first_on)):
                    for d in range(rank):
                        latent[trial, place // stride, g, d] = du[first_on[g, d]]


@compiled(parallel=True)
def open_loop(
    path: np.ndarray,
    population: Compartments,
    decode: Compartments,
    links: OpenLinks,
    stride: int,
    out: np.ndarray,
) -> None:
    """Decode neurons at given latents drive the neurons; filtered spike trains, pooled, after every `stride` steps.

    path: latents, shape (trial, step, rank).
    """
    weights, bias, threshold, constants, current, voltage, wait, fired, number = population
    _, decode_bias, decode_threshold, decode_constants = decode[:4]
    decode_current, decode_voltage, decode_wait, decode_fired, decode_number = decode[4:]
    gain, of_latent, decay, jump, columns, filtered = links
    at_zero = np.zeros(len(decode_bias), dtype=np.int64)
    for trial in numba.prange(path.shape[0]):
        u, v, w, f = current[trial], voltage[trial], wait[trial], fired[trial]
        du, dv, dw, df = decode_current[trial], decode_voltage[trial], decode_wait[trial], decode_fired[trial]
        r = filtered[trial]
        arrived, from_latent = np.empty(len(bias)), np.empty(len(decode_bias))
        for step in range(path.shape[1]):
            _collect(df, decode_number[trial], weights, at_zero, arrived)
            for j in range(len(from_latent)):
                from_latent[j] = gain[j] * path[trial, step, of_latent[j]]
            number[trial] = _advance(arrived, bias, threshold, constants, u, v, w, f)
            decode_number[trial] = _advance(
                from_latent, decode_bias, decode_threshold, decode_constants, du, dv, dw, df
            )
            for j in range(len(r)):
                r[j] *= decay
            for s in range(number[trial]):
                r[f[s]] += jump
            if (step + 1) % stride == 0:
                row = out[trial, step // stride]
                for j in range(len(r)):
                    row[columns[j]] += r[j]
