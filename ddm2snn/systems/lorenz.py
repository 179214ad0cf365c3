"""The stochastic Lorenz system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float


def lorenz(sigma: float = 10.0, rho: float = 28.0, beta: float = 8.0 / 3.0, noise: float = 0.1) -> System:
    r"""Lorenz's convection model, driven by white noise.

    .. math:: f(x, y, z) = (\sigma (y - x),\; x (\rho - z) - y,\; x y - \beta z)

    Source: Lorenz, J. Atmos. Sci. 20 (1963); as a target of drift-diffusion matching in arXiv 2602.14885.

    Parameters
    ----------
    sigma, rho, beta
        The usual parameters. (A widely copied spiking example of Lorenz's system has one term too many, which
        amounts to rho = 38.5.)
    noise
        Per square root of the time unit, in each variable (our choice).

    Examples
    --------
    >>> system = lorenz()
    >>> system.known["lyapunov"]
    (0.9056, 0.0, -14.5723)
    >>> system.drift(np.array([1.0, 1.0, 1.0])).round(3)
    array([ 0.   , 26.   , -1.667])
    """

    def drift(state: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "... 3"]:
        x, y, z = state[..., 0], state[..., 1], state[..., 2]
        return np.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z], axis=-1)

    usual = (sigma, rho, beta) == (10.0, 28.0, 8.0 / 3.0)
    # Lyapunov spectrum: Sprott, Chaos and Time-Series Analysis (2003), appendix A
    known = {"lyapunov": (0.9056, 0.0, -14.5723), "mean_z": 23.55, "deviations": (7.92, 9.01, 8.62)} if usual else {}
    return System(
        name="lorenz",
        rank=3,
        drift=drift,
        diffusion=noise,
        initial=lambda rng, count: rng.normal([0.0, 0.0, 25.0], [8.0, 8.0, 8.0], (count, 3)),
        units=512,
        known=known,
        summary="stochastic Lorenz system, sigma = 10, rho = 28, beta = 8/3, noise 0.1",
    )
