"""The stochastic van der Pol oscillator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float


def van_der_pol(mu: float = 1.0, noise: float = 0.1) -> System:
    r"""Relaxation oscillator driven by white noise in both variables.

    .. math:: dx = y\,dt + \sigma\,dw_1, \qquad dy = (\mu (1 - x^2) y - x)\,dt + \sigma\,dw_2

    Parameters
    ----------
    mu
        Nonlinearity; 1 in Nartallo-Kaluarachchi, Lambiotte, Goriely, arXiv 2602.14885.
    noise
        sigma, per square root of the time unit (our choice: the noise level of the paper is not at hand).

    Examples
    --------
    >>> system = van_der_pol()
    >>> dict(system.known)
    {'period': 6.6633, 'amplitude': 2.0086}
    >>> system.drift(np.array([2.0, 0.0]))
    array([ 0., -2.])
    """

    def drift(z: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        x, y = z[..., 0], z[..., 1]
        return np.stack([y, mu * (1 - x**2) * y - x], axis=-1)

    # Period and amplitude of the noise-free cycle at mu = 1, e.g. Strogatz, Nonlinear Dynamics, section 7.6.
    known = {"period": 6.6633, "amplitude": 2.0086} if mu == 1.0 else {}
    return System(
        name="vanderpol",
        rank=2,
        drift=drift,
        diffusion=noise,
        initial=lambda rng, count: rng.uniform(-2.0, 2.0, (count, 2)),
        units=64,
        known=known,
        summary="stochastic van der Pol oscillator, (y, mu (1 - x^2) y - x), mu = 1, noise 0.1",
    )
