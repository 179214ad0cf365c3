"""Compiled steps of rate networks: paths of many trials at once, each in a thread of its own."""

from __future__ import annotations

import math

import numba
import numpy as np

from ddm2snn.base.compiled import compiled
from ddm2snn.conversion.kernels.membranes import currents
from ddm2snn.neuron.activation import LIF_UNIT

CODES = {"tanh": 0, "relu": 1, "lif": 2}  # of activations in compiled loops [code]
_LEAK = LIF_UNIT.single_tau_s / LIF_UNIT.refractory_s  # [derived]
_FAR = 20.0  # from where on tanh is 1 in double precision [derived]
_SQUARINGS = 10  # so that eight terms of a series give tanh in double precision [derived]
# of the exponential series [derived]
_C2, _C3, _C4, _C5, _C6, _C7, _C8 = (1.0 / math.factorial(n) for n in range(2, 9))


@compiled(fastmath={"reassoc", "contract"})
def outputs(z: np.ndarray, gamma: np.ndarray, bias: np.ndarray, activation: int, out: np.ndarray) -> None:
    """Outputs of the units at a latent; gamma has shape (rank, unit).

    tanh x = 1 - 2 / (e^2x + 1), within 1e-12, with e^2x as a series of degree 8 at 2^-10 of its argument, squared ten
    times: arithmetic that the compiler vectorises, which takes a sixth of the time of the library's function.
    """
    currents(z, gamma, bias, out)
    if activation == 0:
        for j in range(len(bias)):
            y = out[j]
            y = y if y > -_FAR else -_FAR
            y = (y if y < _FAR else _FAR) * (2.0 / 2**_SQUARINGS)
            e = _C4 + y * (_C5 + y * (_C6 + y * (_C7 + y * _C8)))
            e = 1.0 + y * (1.0 + y * (_C2 + y * (_C3 + y * e)))
            for _ in range(_SQUARINGS):
                e *= e
            out[j] = 1.0 - 2.0 / (e + 1.0)
    elif activation == 1:
        for j in range(len(bias)):
            out[j] = max(out[j], 0.0)
    else:
        for j in range(len(bias)):
            above = out[j] - 1.0
            out[j] = 1.0 / (1.0 + _LEAK * np.log1p(1.0 / above)) if above > 0.0 else 0.0


@compiled(parallel=True, fastmath={"reassoc", "contract"})
def follow_paths(units: tuple, times: tuple, shocks: tuple, z: np.ndarray, eta: np.ndarray, course: tuple) -> None:
    """Go on along trajectories, as `Trajectories` says; z and eta, shape (trial, rank), are changed.

    Units are those of a rate network with drift W_s phi(Gamma z + b) - z. `factor_readout` has no units where the
    diffusion is constant. Times are the fine step, how many of them a step of the drift has, the decay of the filter in
    one, and the size of its noise. Shocks are normal numbers, shape (trial, step, rank), which intervals begin
    elsewhere, (trial, sample), and where, and the inputs in them, (trial, sample, rank) or no samples of them. The
    course is written: path (trial, step, rank), filtered targets and states (trial, sample, rank).
    """
    gamma, bias, readout, factor, factor_readout, activation = units
    step, fine, decay, spread = times
    normals, moved, places, inputs = shocks
    driven = inputs.shape[1] > 0
    path, target, states = course
    rank, count = gamma.shape
    span = fine * step
    stride = path.shape[1] // moved.shape[1]
    for trial in numba.prange(len(z)):
        x, noise, h = z[trial], eta[trial], np.empty(count)
        slope, bend, ahead, walked = np.empty(rank), np.empty(rank), np.empty(rank), np.empty(rank)
        spread_factor, xi = np.empty((rank, rank)), np.empty((fine, rank))
        for sample in range(moved.shape[1]):
            if moved[trial, sample]:
                for c in range(rank):
                    noise[c] += places[trial, sample, c] - x[c]
                    x[c] = places[trial, sample, c]
            for first in range(sample * stride, (sample + 1) * stride, fine):
                outputs(x, gamma, bias, activation, h)
                for c in range(rank):
                    slope[c] = np.dot(readout[c], h) - x[c]
                    if driven:
                        slope[c] += inputs[trial, sample, c]
                    for d in range(rank):
                        spread_factor[c, d] = factor[c, d]
                        if factor_readout.shape[2] > 0:
                            spread_factor[c, d] += np.dot(factor_readout[c, d], h)
                        spread_factor[c, d] *= spread
                for c in range(rank):
                    walked[c] = 0.0
                    for s in range(fine):
                        xi[s, c] = 0.0
                        for d in range(rank):
                            xi[s, c] += spread_factor[c, d] * normals[trial, first + s, d]
                        walked[c] += xi[s, c]
                    ahead[c] = x[c] + span * slope[c] + walked[c]
                outputs(ahead, gamma, bias, activation, h)
                for c in range(rank):
                    bend[c] = (np.dot(readout[c], h) - ahead[c] - slope[c]) / (2.0 * span)
                    if driven:
                        bend[c] += inputs[trial, sample, c] / (2.0 * span)
                    walked[c] = 0.0
                    for s in range(fine):
                        time = s * step
                        path[trial, first + s, c] = x[c] + time * (slope[c] + time * bend[c]) + walked[c]
                        walked[c] += xi[s, c]
                        noise[c] = decay * noise[c] + xi[s, c]
                        if driven:
                            noise[c] += (1.0 - decay) * inputs[trial, sample, c]
                    x[c] += span * (slope[c] + span * bend[c]) + walked[c]
            for c in range(rank):
                states[trial, sample, c] = x[c]
                target[trial, sample, c] = x[c] - noise[c]
