"""Systems as users write them, in their own units and clocks: for the tests and for `benchmarks/own_systems.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ddm2snn import System
from ddm2snn.systems import forced

STIFF = ("vdp mu 30", "vdp mu 100")


def stack(*parts: Any) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def van_der_pol(size: float = 1.0, time: float = 1.0, mu: float = 1.0, noise: float = 0.1) -> System:
    """Oscillator in units of `size` and `time`."""

    def drift(z: np.ndarray) -> np.ndarray:
        x, y = z[..., 0] / size, z[..., 1] / size
        return size / time * stack(y, mu * (1 - x**2) * y - x)

    return System("oscillator", 2, drift, diffusion=noise * size / np.sqrt(time), units=64)


def hodgkin_huxley(current: float = 10.0) -> Callable[[np.ndarray], np.ndarray]:
    """Squid axon in mV and ms with three gates; J. Physiol. 117 (1952), rest at -65 mV."""

    def ramp(x: np.ndarray, width: float) -> np.ndarray:
        ratio = x / width
        small = np.abs(ratio) < 1e-6
        return np.where(small, width * (1 - ratio / 2), x / np.expm1(np.where(small, 1.0, ratio)))

    def drift(z: np.ndarray) -> np.ndarray:
        v, m, h, n = np.moveaxis(z, -1, 0)
        a_m, b_m = 0.1 * ramp(-(v + 40), 10), 4 * np.exp(-(v + 65) / 18)
        a_h, b_h = 0.07 * np.exp(-(v + 65) / 20), 1 / (1 + np.exp(-(v + 35) / 10))
        a_n, b_n = 0.01 * ramp(-(v + 55), 10), 0.125 * np.exp(-(v + 65) / 80)
        ionic = 120 * m**3 * h * (v - 50) + 36 * n**4 * (v + 77) + 0.3 * (v + 54.4)
        return stack(current - ionic, a_m * (1 - m) - b_m * m, a_h * (1 - h) - b_h * h, a_n * (1 - n) - b_n * n)

    return drift


def morris_lecar(z: np.ndarray, current: float = 90.0) -> np.ndarray:
    """Barnacle muscle in mV and ms; Biophys. J. 35 (1981)."""
    v, w = z[..., 0], z[..., 1]
    m, rest = 0.5 * (1 + np.tanh((v + 1.2) / 18)), 0.5 * (1 + np.tanh((v - 2) / 30))
    ionic = 4.4 * m * (v - 120) + 8 * w * (v + 84) + 2 * (v + 60)
    return stack((current - ionic) / 20, 0.04 * (rest - w) * np.cosh((v - 2) / 60))


def lorenz96(z: np.ndarray) -> np.ndarray:
    return (np.roll(z, -1, -1) - np.roll(z, 2, -1)) * np.roll(z, 1, -1) - z + 8.0


def coupled(z: np.ndarray) -> np.ndarray:
    """Two oscillators of different speed."""
    x, y, u, v = np.moveaxis(z, -1, 0)
    return stack(y, (1 - x**2) * y - x + 0.3 * (u - x), v, (1 - u**2) * v - 1.3 * u + 0.3 * (x - u))


def hindmarsh_rose(z: np.ndarray) -> np.ndarray:
    """Bursts; Proc. R. Soc. B 221 (1984)."""
    x, y, w = np.moveaxis(z, -1, 0)
    return stack(y - x**3 + 3 * x**2 - w + 2.0, 1 - 5 * x**2 - y, 0.006 * (4 * (x + 1.6) - w))


def fitzhugh_nagumo(current: float) -> Callable[[np.ndarray], np.ndarray]:
    def drift(z: np.ndarray) -> np.ndarray:
        v, w = z[..., 0], z[..., 1]
        return stack(v - v**3 / 3 - w + current, 0.08 * (v + 0.7 - 0.8 * w))

    return drift


def duffing(t: Any, z: Any) -> list[Any]:
    x, v = z
    return [v, x - x**3 - 0.3 * v + 0.5 * np.cos(1.2 * t)]


def _linear(rank: int) -> np.ndarray:
    mixed = np.random.default_rng(3).standard_normal((rank, rank))
    return -np.eye(rank) + 0.25 * (mixed - mixed.T)


LINEAR = _linear(10)
LORENZ = lambda z: stack(  # noqa: E731
    10 * (z[..., 1] - z[..., 0]), z[..., 0] * (28 - z[..., 2]) - z[..., 1], z[..., 0] * z[..., 1] - 8 / 3 * z[..., 2]
)

TRAINED: dict[str, System] = {
    "slow decay": System("slow", 1, lambda z: -z / 2000, diffusion=0.1, units=64),
    **{f"vdp time 1e{p:+d}": van_der_pol(time=10.0**p) for p in (-6, -3, 3, 6)},
    **{f"vdp size 1e{p:+d}": van_der_pol(size=10.0**p) for p in (-9, -6, -3, 9)},
    "vdp mu 30": van_der_pol(mu=30.0),
    "vdp mu 30, no noise": van_der_pol(mu=30.0, noise=0.0),
    "vdp mu 100": van_der_pol(mu=100.0),
    "Hodgkin-Huxley": System("hh", 4, hodgkin_huxley(), diffusion=np.diag([0.5, 0.005, 0.005, 0.005]), units=256),
    "Morris-Lecar": System("ml", 2, morris_lecar, diffusion=np.diag([0.5, 0.002]), units=64),
    "Hindmarsh-Rose": System("hr", 3, hindmarsh_rose, diffusion=0.01, units=256),
    "FitzHugh-Nagumo": System("fhn", 2, fitzhugh_nagumo(0.5), diffusion=0.05, units=64),
    "FitzHugh-Nagumo, excitable": System("fhn", 2, fitzhugh_nagumo(0.3), diffusion=0.05, units=64),
    "Lorenz": System("lorenz", 3, LORENZ, diffusion=0.1, units=256),
    "Lorenz-96, 5 sites": System("l96", 5, lorenz96, diffusion=0.1, units=256),
    "Lorenz-96, 6 sites": System("l96", 6, lorenz96, diffusion=0.1, units=256),
    "coupled oscillators": System("coupled", 4, coupled, diffusion=0.1, units=256),
    "ring": System("ring", 2, lambda z: z * (1 - (z**2).sum(axis=-1, keepdims=True)), diffusion=0.2, units=64),
    "decision": System("decision", 1, lambda z: z - z**3 + 0.05, diffusion=0.5, units=64),
    "linear, rank 10": System("linear", 10, lambda z: z @ LINEAR.T, diffusion=0.5, units=256),
    "square-root noise": System(
        "sqrt", 1, lambda z: 1.0 - z, diffusion=lambda z: 0.5 * np.sqrt(np.maximum(z, 0.0))[..., None], units=64
    ),
    "forced Duffing": forced(duffing, period=2 * np.pi / 1.2, rank=2, diffusion=0.02, units=256),
}
"""Systems that training takes."""


def pointwise(z: Any) -> Any:
    x, y = z
    return np.array([y, (1 - x**2) * y - x])


def in_place(z: Any) -> Any:
    z[..., 0] = -z[..., 0]
    z[..., 1] = -z[..., 1]
    return z


REFUSED: dict[str, tuple[System, str]] = {
    "drifting": (System("drifting", 1, lambda z: 1 + 0 * z, diffusion=0.2), "latent 0 moves on and on"),
    "growing": (System("growing", 1, lambda z: z, diffusion=0.2), "still grow"),
    "phase": (
        System("phase", 2, lambda z: stack(1.0 + 0 * z[..., 0], np.sin(z[..., 0]) - z[..., 1]), diffusion=0.1),
        "use (cos, sin) of it",
    ),
    "pendulum": (System("pendulum", 2, lambda z: stack(z[..., 1], -np.sin(z[..., 0])), diffusion=0.0), "undamped"),
    "rest": (System("rest", 2, lambda z: -z, diffusion=0.0), "is constant in the stationary state"),
    "deep wells": (System("wells", 1, lambda z: 20 * (z - z**3), diffusion=0.1), "basins that do not mix"),
    "of one point": (System("points", 2, pointwise, diffusion=0.1), "System.from_pointwise"),
    "in place": (System("in_place", 2, in_place, diffusion=0.5), "must not change its argument"),
}
"""Systems that it refuses, and words of the reason."""
