"""A small network in registers, of 32 neurons and 32 decode neurons, that any simulator of Loihi can be given."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from ddm2snn.hardware import arithmetic

STEPS, NEURONS, INPUTS = 10_000, 32, 8
_DECAY_REGISTERS = {"population": (164, 745), "decode": (41, 220)}  # of current and voltage, lost out of 4096
_REFRACTORY = {"population": 2, "decode": 0}
_THRESHOLDS = {"population": 120_000, "decode": 80_000}  # times 64


class ChipExample(NamedTuple):
    """Weights in registers, even mantissas times 64, and steps at which each input axon brings a spike."""

    to_population: np.ndarray
    to_decode: np.ndarray
    from_inputs: np.ndarray
    signs: np.ndarray


def chip_example(seed: int = 1) -> ChipExample:
    """Mixed signs with more excitation, so that neither currents nor voltages stay below zero for long."""
    rng = np.random.default_rng(seed)

    def weights(sources: int, low: int, high: int) -> np.ndarray:
        return 64.0 * 2.0 * rng.integers(low, high, size=(sources, NEURONS))

    signs = rng.choice([-1, 0, 1], p=[0.15, 0.7, 0.15], size=(STEPS, INPUTS)).astype(np.int8)
    return ChipExample(weights(NEURONS, 0, 90), weights(NEURONS, -60, 40), weights(2 * INPUTS, 40, 127), signs)


def registers() -> dict[str, dict[str, int]]:
    """Decays lost out of 4096, refractory steps and mantissas of thresholds of both kinds."""
    return {
        kind: {
            "current": _DECAY_REGISTERS[kind][0], "voltage": _DECAY_REGISTERS[kind][1],
            "refractory": _REFRACTORY[kind], "threshold": _THRESHOLDS[kind],
        }
        for kind in _DECAY_REGISTERS
    }  # fmt: skip


def run_example(example: ChipExample) -> tuple[np.ndarray, np.ndarray]:
    """Steps and neurons that fire in the compiled loop: the population, and the number of spikes of each kind."""

    def compartments(kind: str, weights: np.ndarray) -> arithmetic.Compartments:
        has = registers()[kind]
        decays = 1 - has["current"] / 4096, 1 - has["voltage"] / 4096
        constants = (*decays, float(has["refractory"]), 2.0**21, 2.0**23, 2.0**23 - 1, True)
        return arithmetic.Compartments(
            weights, np.zeros(NEURONS), np.full(NEURONS, has["threshold"] * 64.0), constants,
            np.zeros((1, NEURONS)), np.zeros((1, NEURONS)), np.zeros((1, NEURONS)),
            np.zeros((1, NEURONS), dtype=np.int64), np.zeros(1, dtype=np.int64),
        )  # fmt: skip

    population, decode = compartments("population", example.to_population), compartments("decode", example.to_decode)
    links = arithmetic.Links(
        np.zeros(NEURONS, dtype=np.int64), np.zeros((1, INPUTS), dtype=np.int64), example.from_inputs
    )
    raster, counts = np.zeros((1, STEPS, NEURONS), dtype=np.uint8), np.zeros((1, 3), dtype=np.int64)
    latent = np.zeros((1, STEPS, 1, INPUTS))
    results = arithmetic.Results(latent, raster, counts)
    arithmetic.closed_loop(example.signs[None], population, decode, links, 1, 0, results)
    return np.argwhere(raster[0]), counts[0]


def digest(spikes: np.ndarray) -> str:
    """Fingerprint of a table of steps and neurons."""
    return hashlib.sha256(np.ascontiguousarray(spikes, dtype="<i8").tobytes()).hexdigest()[:16]
