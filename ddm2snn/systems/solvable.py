"""Processes whose stationary moments and entropy production have closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float

    Matrix = Float[np.ndarray, "rank rank"]

_MATRIX = ((-1.0, 1.0), (-1.0, -1.0))
_FACTOR = ((0.5, 0.0), (0.2, 0.4))


def ornstein_uhlenbeck(matrix: Matrix | tuple = _MATRIX, factor: Matrix | tuple = _FACTOR) -> System:
    r"""Linear drift, constant diffusion: :math:`dz = B z\,dt + G\,dw`.

    Stationary covariance S from :math:`B S + S B^\top + G G^\top = 0`; entropy production rate, with
    :math:`D = G G^\top / 2`,

    .. math:: \Phi = \operatorname{tr}\big[(B + D S^{-1})^\top D^{-1} (B + D S^{-1})\, S\big],

    which is zero just where the process is reversible. Source: Gardiner, Handbook of Stochastic Methods,
    section 4.5; Godreche, Luck, J. Phys. A 52 (2019).

    The eigenvalues of the `matrix` B must have negative real parts; `factor` is G.

    Examples
    --------
    >>> turning = ornstein_uhlenbeck([[-1.0, 2.0], [-2.0, -1.0]], [[1.0, 0.0], [0.0, 1.0]])
    >>> turning.known["covariance"]
    array([[0.5, 0. ],
           [0. , 0.5]])
    >>> turning.known["entropy_production"]  # 2 turn^2 / leak
    8.0
    """
    from scipy.linalg import solve_continuous_lyapunov

    b, g = np.array(matrix, dtype=np.float64), np.array(factor, dtype=np.float64)
    if b.ndim != 2 or b.shape[0] != b.shape[1] or g.shape != b.shape:
        raise InputError(f"matrix and factor must be square and alike, got shapes {b.shape} and {g.shape}.")
    if np.linalg.eigvals(b).real.max() >= 0:
        raise InputError("The eigenvalues of the matrix must have negative real parts; this process never settles.")
    covariance = solve_continuous_lyapunov(b, -g @ g.T)
    known = {"covariance": covariance, "entropy_production": _entropy_production(b, g, covariance)}
    root = np.linalg.cholesky(covariance)
    return System(
        name="ornsteinuhlenbeck",
        rank=len(b),
        drift=lambda z: z @ b.T,
        diffusion=g,
        initial=lambda rng, count: rng.standard_normal((count, len(b))) @ root.T,
        time_scale=1.0,
        units=64,
        known=known,
        summary="rotating Ornstein-Uhlenbeck process with anisotropic noise",
    )


def _entropy_production(b: Matrix, g: Matrix, covariance: Matrix) -> float:
    """Entropy production rate per time unit; infinite where a noiseless direction carries a current."""
    diffusion = g @ g.T / 2
    irreversible = b + diffusion @ np.linalg.inv(covariance)
    if np.linalg.matrix_rank(diffusion) < len(b):
        return float("inf") if np.abs(irreversible).max() > 1e-12 else 0.0
    return float(np.trace(irreversible.T @ np.linalg.solve(diffusion, irreversible) @ covariance))


def anisotropic(stretch: float = 3.0, noise: float = 0.8) -> System:
    r"""Standard normal stationary density, under noise that is stronger along the radius than across it.

    .. math::
        D(z) = \sigma^2 \Big(I + \frac{\alpha\, z z^\top}{1 + |z|^2}\Big), \qquad
        f = \tfrac12 \big(D\,\nabla\log p + \nabla\cdot D\big), \qquad p(z) = \frac{e^{-|z|^2/2}}{2\pi}

    in the sense of Ito, so the probability current :math:`f p - \tfrac12 \nabla\cdot(D p)` vanishes
    everywhere: p is stationary and the process is in equilibrium. The eigenvalues of D are
    :math:`\sigma^2` across the radius and :math:`\sigma^2 (1 + \alpha r^2 / (1 + r^2))` along it, its
    off-diagonal element is :math:`\sigma^2 \alpha\, x y / (1 + r^2)`. Written out,

    .. math:: f = \frac{\sigma^2}{2} \Big[ -1 + \alpha\,\frac{3 - r^2}{1 + r^2}
        - \frac{2 \alpha\, r^2}{(1 + r^2)^2} \Big] z.

    For :math:`\alpha > 1/3` the drift points away from the origin, although the origin is the likeliest
    state: a model that matches the drift but has constant noise has its density on a ring. The factor G is
    the lower-triangular one of Cholesky, which is smooth in z. Source of the drift: Gardiner, Handbook of
    Stochastic Methods, section 5.3.5 (potential conditions). D and p are our choice.

    The `stretch` alpha, above zero, is how much stronger the noise far out is along the radius; the `noise` sigma is
    per square root of the time unit.

    Examples
    --------
    >>> system = anisotropic()
    >>> system
    System(name='anisotropic', rank=2, diffusion=by state, units=64, known=[density, covariance, entropy_production])
    >>> factor = system.factor(np.array([1.0, 0.0]))  # stronger along x, the radius, than along y
    >>> factor.round(3)
    array([[1.265, 0.   ],
           [0.   , 0.8  ]])
    """
    check_positive("anisotropic", stretch=stretch, noise=noise)

    def drift(z: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        square = (z**2).sum(axis=-1, keepdims=True)
        outward = stretch * (3.0 - square) / (1.0 + square) - 2.0 * stretch * square / (1.0 + square) ** 2
        return 0.5 * noise**2 * (outward - 1.0) * z

    def factor(z: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2 2"]:
        x, y = z[..., 0], z[..., 1]
        pull = stretch / (1.0 + x**2 + y**2)
        first = np.sqrt(1.0 + pull * x**2)
        lower = pull * x * y / first
        second = np.sqrt(1.0 + pull * (x**2 + y**2)) / first  # the determinant is the product of the eigenvalues
        rows = [np.stack([first, np.zeros_like(first)], axis=-1), np.stack([lower, second], axis=-1)]
        return noise * np.stack(rows, axis=-2)

    return System(
        name="anisotropic",
        rank=2,
        drift=drift,
        diffusion=factor,
        initial=lambda rng, count: rng.standard_normal((count, 2)),
        time_scale=1.0,
        units=64,
        known={
            "density": lambda z: np.exp(-0.5 * (z**2).sum(axis=-1)) / (2 * np.pi),
            "covariance": np.eye(2),
            "entropy_production": 0.0,
        },
        summary=f"normal density under noise {noise:g} that is sqrt(1 + {stretch:g} r^2 / (1 + r^2)) times "
        "stronger along the radius",
    )
