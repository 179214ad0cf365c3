r"""Colour of noise: a filter :math:`(\gamma s^2 + \alpha s + \omega^2) / (s^2 + \beta s + \omega^2)` for each source.

A colour is an array (source, 4) of :math:`\alpha`, :math:`\beta`, :math:`\omega` and :math:`\gamma`, with s per rate
time unit. At low frequencies the gain is one, at high ones :math:`\gamma`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    Colour = Float[np.ndarray, "source coefficient"]


def power_gain(colour: Colour, frequency: Float[np.ndarray, " frequency"]) -> Float[np.ndarray, "frequency source"]:
    """Gain of power of each filter at frequencies per rate time unit.

    Examples
    --------
    >>> power_gain(np.array([[1.0, 2.0, 6.0, 0.5]]), np.array([1e-3, 6.0 / (2 * np.pi), 1e3])).round(3).ravel()
    array([1.  , 2.5 , 0.25])
    """
    alpha, beta, omega, gamma = colour.T
    square = (2.0 * np.pi * frequency[:, None]) ** 2
    above, below = ((omega**2 - each * square) ** 2 for each in (gamma, 1.0))
    return (above + alpha**2 * square) / (below + beta**2 * square)


def digital_sections(colour: Colour, step: float) -> Float[np.ndarray, "source coefficient"]:
    r"""Digital sections (b0, b1, b2, a1, a2) of the filters, for steps in rate time units.

    .. math:: x_n = b_0 \xi_n + b_1 \xi_{n-1} + b_2 \xi_{n-2} - a_1 x_{n-1} - a_2 x_{n-2},

    by the bilinear transform that is exact at :math:`\omega`.
    """
    alpha, beta, omega, gamma = colour.T
    warped = omega / np.tan(0.5 * omega * step)  # stands for s at z = -1
    below, above = (omega**2 + each * warped**2 for each in (1.0, gamma))
    numerator = above + alpha * warped, 2.0 * (omega**2 - gamma * warped**2), above - alpha * warped
    denominator = 2.0 * (omega**2 - warped**2), below - beta * warped
    return np.stack([*numerator, *denominator], axis=1) / (below + beta * warped)[:, None]


def filter_of(sections: Float[np.ndarray, "source coefficient"] | None) -> Callable[[np.ndarray], np.ndarray]:
    """Fresh filters at rest: a function that takes the white numbers of a step, (..., source), and colours them.

    Without sections the numbers stay white.
    """
    if sections is None:
        return lambda white: white
    b0, b1, b2, a1, a2 = sections.T
    before = earlier = np.zeros(len(sections))

    def colour(white: np.ndarray) -> np.ndarray:
        nonlocal before, earlier
        out = b0 * white + before
        before, earlier = b1 * white - a1 * out + earlier, b2 * white - a2 * out
        return out

    return colour
