"""Activation functions as the analyses see them: value, slope and the integral of the inverse."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.neuron.activation import activate

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork

_KNOWN = ("tanh", "relu")


def activated(network: RateNetwork, state: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "... unit"]:
    r""":math:`\phi(x)` of each unit; `state` x in internal units, shape (..., unit)."""
    _known(network)
    return activate(network.activation, state)


def slope(network: RateNetwork, state: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "... unit"]:
    r""":math:`\phi'(x)` of each unit; zero at the kink of a rectifier."""
    if _known(network) == "tanh":
        return 1.0 - np.tanh(state) ** 2
    return (np.asarray(state) > 0).astype(np.float64)


def inverse_integral(network: RateNetwork, state: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "... unit"]:
    r""":math:`\int_0^{\phi(x)}\phi^{-1}(s)\,ds = x\phi(x) - \int_0^x\phi(y)\,dy` of each unit.

    For tanh this is :math:`\phi\,\mathrm{artanh}\,\phi + \tfrac12\log(1 - \phi^2)`, written with x itself so
    that saturated units lose no digits; for a rectifier :math:`\phi^2/2`.
    """
    if _known(network) == "tanh":
        size = np.abs(state)
        # log cosh x = |x| + log(1 + exp(-2|x|)) - log 2 does not overflow
        return state * np.tanh(state) - (size + np.log1p(np.exp(-2.0 * size)) - np.log(2.0))
    return np.maximum(state, 0.0) ** 2 / 2


def known_activation(network: RateNetwork) -> bool:
    """Whether the activation is one that the analyses have in closed form."""
    return network.activation in _KNOWN


def _known(network: RateNetwork) -> str:
    if not known_activation(network):
        raise InputError(
            f"This analysis needs phi in closed form: {' or '.join(_KNOWN)}; the network's activation is "
            f"{network.activation!r}. Train with one of these to use it."
        )
    return network.activation
