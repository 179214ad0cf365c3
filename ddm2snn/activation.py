"""Pointwise activations of rate units, and what each stands for when the unit becomes a spiking neuron."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from ddm2snn.neuron import LIF

if TYPE_CHECKING:
    from jaxtyping import Float

Activation = Literal["tanh", "relu", "lif"]

LIF_UNIT = LIF()
"""Neuron whose rate response is the activation "lif"."""


def activate(activation: Activation, x: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    r"""Output of units with state x.

    - ``tanh``: :math:`\tanh x`.
    - ``relu``: :math:`\max(0, x)`, which is the rate of a rectified linear neuron (integrate-and-fire
      without leak and refractory period) in units of its gain.
    - ``lif``: :math:`t_\text{ref} F(x)` in 0 to 1, with F the rate in Hz of `LIF_UNIT` at the constant
      current x (threshold 1).
    """
    if activation == "tanh":
        return np.tanh(x)
    if activation == "relu":
        return np.maximum(x, 0.0)
    return LIF_UNIT.refractory_s * LIF_UNIT.rate_hz(x)
