"""Allotment: how many neurons each rate unit gets where their number is no multiple of the units'."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.network import RateNetwork


def importance(rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, " unit"]:
    r"""How a unit moves the drift: :math:`|W_{s,i}|` times the deviation of :math:`\phi(x_i)` over `z`; (unit,)."""
    return np.linalg.norm(rate.right_vectors, axis=1) * rate.hidden(z).std(axis=0)


def allot(total: int, weight: Float[np.ndarray, " unit"]) -> Int[np.ndarray, " unit"]:
    r"""Neurons of each unit, `total` in all, shape (unit,).

    Minimises :math:`\sum_i w_i^2 / n_i`, the error of units whose own errors are independent and fall with the
    number of their neurons: each next neuron goes where :math:`w_i / \sqrt{n_i (n_i + 1)}` is largest, which
    is Neyman's allocation in whole numbers, and the method of equal proportions (Wright, Am. Stat. 66, 2012). A
    unit without a neuron comes before any second neuron, so that with fewer neurons than units the heaviest
    units get one each.
    """
    count = np.zeros(len(weight), dtype=np.int64)
    # negative priorities, since the heap gives the smallest; ties by the order of units
    first = sorted(range(len(weight)), key=lambda unit: (-weight[unit], unit))[:total]
    count[first] = 1
    heap = [(-float(weight[unit]) / np.sqrt(2.0), unit) for unit in first]
    heapq.heapify(heap)
    for _ in range(total - len(first)):
        _, unit = heap[0]
        count[unit] += 1
        heapq.heapreplace(heap, (-float(weight[unit]) / np.sqrt(count[unit] * (count[unit] + 1.0)), unit))
    return count
