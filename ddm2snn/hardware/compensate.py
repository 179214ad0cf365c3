"""Decoders on a device's grid, where what one of them loses to rounding the others make up for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.hardware.blocks import Block, lost_share
from ddm2snn.hardware.layout import layout_of
from ddm2snn.hardware.registers import registers_of

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.hardware.device import Device


def grid_of(decoders: Float[np.ndarray, "rank neuron"], device: Device) -> tuple[Float[np.ndarray, " rank"], float]:
    """Step of the grid of each latent's decoders, and the largest whole number of steps; an infinite one without bits.

    Where input from the host has larger weights than any decoder, the grid in use is another one and nothing is gained.
    """
    precision, relay = device.config.precision, device.relay
    if precision.weight_bits is None:
        return np.zeros(len(decoders)), np.inf
    gain = np.abs(relay.gain[: len(decoders)])
    weights = (decoders.T * gain / device.dt_s).astype(np.float32)
    block = Block(
        "decoders", (weights,), np.full(len(decoders), np.abs(relay.bias_hz).max(), dtype=np.float32),
        1.0 / device.dt_s, lost_share(device.time_unit_s, device.dt_s), 0.0, 0, False,
    )  # fmt: skip
    found = registers_of(block, precision)
    lost = max(0, -(9 - precision.weight_bits + found.exponents[0]))
    unit = 2.0 ** (6 + max(0, 9 - precision.weight_bits + found.exponents[0]))
    return unit / found.per_weight * device.dt_s / gain, 2.0 ** (precision.weight_bits - 1 - lost) - 1.0


def compensated(
    decoders: Float[np.ndarray, "rank neuron"], gram: Float[np.ndarray, "neuron neuron"], ridge: float, device: Device
) -> Float[np.ndarray, "rank neuron"]:
    r"""Round decoders one after the other, and move those still to come to where the error is smallest.

    With :math:`H^{-1} = U^\top U` of the regression's Gram matrix, decoder j rounded to q adds
    :math:`-(d_j - q) U_{ji} / U_{jj}` to each later decoder i (Hassibi, Stork, NIPS 1992; column by column as Frantar
    et al., GPTQ, ICLR 2023). Largest decoders come first, and the very largest stays: it sets the grid.
    """
    if len(layout_of(decoders.shape[1], len(decoders), device.config).groups) > 1:
        return decoders  # the grid of each group follows from its decoders: it would move while they are rounded
    step, most = grid_of(decoders, device)
    if not step.all():
        return decoders
    scaled = decoders / step[:, None]
    order = np.argsort(-np.abs(scaled).max(axis=0), kind="stable")
    matrix = gram[np.ix_(order, order)].copy()
    matrix[np.diag_indices(len(order))] += ridge * np.trace(matrix) / len(order)
    upper = np.linalg.cholesky(np.linalg.inv(matrix)).T
    left, found = scaled[:, order].copy(), np.empty_like(scaled)
    for place, neuron in enumerate(order):
        found[:, neuron] = np.clip(np.round(left[:, place]), -most, most)
        error = (left[:, place] - found[:, neuron]) / upper[place, place]
        left[:, place + 1 :] -= error[:, None] * upper[place, place + 1 :]
    row, largest = np.unravel_index(np.abs(scaled).argmax(), scaled.shape)
    found[row, largest] = scaled[row, largest]  # rounds to the largest whole number again
    return found * step[:, None]
