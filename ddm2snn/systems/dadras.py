"""The stochastic Dadras-Momeni system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float


def dadras(
    a: float = 3.0, b: float = 2.7, c: float = 1.7, d: float = 2.0, e: float = 9.0, noise: float = 0.1
) -> System:
    r"""Chaotic flow whose attractor has two to four scrolls, driven by white noise.

    .. math:: f(x, y, z) = (y - a x + b y z,\; c y - x z + z,\; d x y - e z)

    Source: Dadras, Momeni, Phys. Lett. A 373 (2009); as a target of drift-diffusion matching in
    arXiv 2602.14885. The noise, per square root of the time unit, is our choice.

    Examples
    --------
    >>> dadras().drift(np.array([1.0, 1.0, 1.0]))
    array([ 0.7,  1.7, -7. ])
    """

    def drift(state: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
        x, y, z = state[..., 0], state[..., 1], state[..., 2]
        return np.stack([y - a * x + b * y * z, c * y - x * z + z, d * x * y - e * z], axis=-1)

    return System(
        name="dadras",
        rank=3,
        drift=drift,
        diffusion=noise,
        units=1024,
        summary="stochastic Dadras-Momeni system, a, b, c, d, e = 3, 2.7, 1.7, 2, 9, noise 0.1",
    )
