"""Oscillators driven by noise: van der Pol's, and the normal form of a Hopf bifurcation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float


def van_der_pol(mu: float = 1.0, noise: float = 0.1) -> System:
    r"""Relaxation oscillator driven by white noise in both variables.

    .. math:: dx = y\,dt + \sigma\,dw_1, \qquad dy = (\mu (1 - x^2) y - x)\,dt + \sigma\,dw_2

    The nonlinearity mu and the noise sigma, per square root of the time unit, are our choice: arXiv 2602.14885, which
    matches noisy van der Pol oscillators, is no source of either value.

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
        time_scale=1.0,
        units=64,
        known=known,
        summary="stochastic van der Pol oscillator, (y, mu (1 - x^2) y - x), mu = 1, noise 0.1",
        latent_names=("x", "y"),
    )


def stuart_landau(
    mu: float = 1.0, omega: float = 1.5, beta: float = 0.5, *, noise: float = 0.2, growth: float = 1.0
) -> System:
    r"""Normal form of a Hopf bifurcation, driven by noise whose strength depends on the radius.

    .. math::
        dz = \big[(\mu + i\omega) z - (1 + i\beta) |z|^2 z\big]\,dt
        + \sigma \sqrt{1 + \kappa |z|^2}\; (dw_1 + i\,dw_2), \qquad z = x + i y \in \mathbb{C}

    in the sense of Ito; the latents are x and y. Without noise, z tends to a circle of radius
    :math:`\sqrt\mu` with period :math:`2\pi / |\omega - \beta\mu|`. With it, the Fokker-Planck equation of
    the radius has no current, so that :math:`v = 1 + \kappa r^2` has a gamma distribution cut off below one:

    .. math:: p(v) \propto v^{a - 1} e^{-v / \theta}, \quad v \ge 1, \qquad
        \theta = \kappa^2 \sigma^2, \quad a = (1 + \mu\kappa) / \theta

    ``known["radial_density"]`` is the density of the radius, normalised over r > 0 (a function of arrays),
    ``known["mean_square_radius"]`` the mean of r^2. Source: the drift, e.g. Kuramoto, Chemical Oscillations,
    Waves, and Turbulence (1984), section 2.2; the noise, its strength and the density are ours.

    `mu` is the distance from the bifurcation, above zero, `omega` the angular velocity at the origin, which falls with
    the squared radius by `beta`. The `noise` sigma is per square root of the time unit; `growth` is kappa.

    Examples
    --------
    >>> system = stuart_landau()
    >>> round(system.known["period"], 4), round(float(system.known["mean_square_radius"]), 4)
    (6.2832, 1.0)
    """
    check_positive("stuart_landau", mu=mu, noise=noise, growth=growth)
    turn = omega - beta * mu
    if turn == 0 or not np.isfinite(turn):
        raise InputError(
            f"stuart_landau with omega = {omega!r}, beta = {beta!r}, mu = {mu!r} does not turn on its cycle. "
            "Choose omega other than beta * mu, both finite."
        )

    def drift(z: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        x, y = z[..., 0], z[..., 1]
        square = x**2 + y**2
        grow, rotate = mu - square, omega - beta * square
        return np.stack([grow * x - rotate * y, grow * y + rotate * x], axis=-1)

    def factor(z: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2 2"]:
        strength = noise * np.sqrt(1.0 + growth * (z**2).sum(axis=-1))
        return strength[..., None, None] * np.eye(2)

    def initial(rng: np.random.Generator, count: int) -> Float[np.ndarray, "sample 2"]:
        angle = rng.uniform(0.0, 2 * np.pi, count)
        circle = np.sqrt(mu) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return circle + noise * rng.standard_normal((count, 2))

    return System(
        name="stuartlandau",
        rank=2,
        drift=drift,
        diffusion=factor,
        initial=initial,
        time_scale=1.0,
        units=64,
        known={"period": 2 * np.pi / abs(turn), "amplitude": np.sqrt(mu), **_radius(mu, noise, growth)},
        summary=f"Stuart-Landau oscillator, mu = {mu:g}, omega = {omega:g}, beta = {beta:g}, "
        f"noise {noise:g} sqrt(1 + {growth:g} r^2)",
        latent_names=("x", "y"),
    )


def _radius(mu: float, noise: float, growth: float) -> dict[str, Any]:
    """Density of the radius and mean of its square, from the gamma distribution of 1 + growth r^2."""
    from scipy.stats import gamma

    theta = (growth * noise) ** 2
    shape = (1.0 + mu * growth) / theta
    above_one = gamma.sf(1.0, shape, scale=theta)

    def radial_density(radius: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        r = np.asarray(radius, dtype=np.float64)
        inside = gamma.pdf(1.0 + growth * r**2, shape, scale=theta) * 2.0 * growth * r / above_one
        return np.where(r > 0, inside, 0.0)

    # v times its density of shape a is, up to the factor a theta, the density of shape a + 1
    mean = shape * theta * gamma.sf(1.0, shape + 1.0, scale=theta) / above_one
    return {"radial_density": radial_density, "mean_square_radius": (mean - 1.0) / growth}
