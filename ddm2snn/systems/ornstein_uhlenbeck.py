"""The Ornstein-Uhlenbeck process, whose moments and entropy production have closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float

_MATRIX = ((-1.0, 1.0), (-1.0, -1.0))
_FACTOR = ((0.5, 0.0), (0.2, 0.4))


def ornstein_uhlenbeck(
    matrix: Float[np.ndarray, "rank rank"] | tuple = _MATRIX, factor: Float[np.ndarray, "rank rank"] | tuple = _FACTOR
) -> System:
    r"""Linear drift, constant diffusion: :math:`dz = B z\,dt + G\,dw`.

    Stationary covariance S from :math:`B S + S B^\top + G G^\top = 0`; entropy production rate, with
    :math:`D = G G^\top / 2`,

    .. math:: \Phi = \operatorname{tr}\big[(B + D S^{-1})^\top D^{-1} (B + D S^{-1})\, S\big],

    which is zero just where the process is reversible. Source: Gardiner, Handbook of Stochastic Methods,
    section 4.5; Godreche, Luck, J. Phys. A 52 (2019).

    Parameters
    ----------
    matrix
        B, whose eigenvalues must have negative real parts.
    factor
        G.

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
        units=64,
        known=known,
        summary="rotating Ornstein-Uhlenbeck process with anisotropic noise",
    )


def _entropy_production(
    b: Float[np.ndarray, "rank rank"], g: Float[np.ndarray, "rank rank"], covariance: Float[np.ndarray, "rank rank"]
) -> float:
    """Entropy production rate per time unit; infinite where a noiseless direction carries a current."""
    diffusion = g @ g.T / 2
    irreversible = b + diffusion @ np.linalg.inv(covariance)
    if np.linalg.matrix_rank(diffusion) < len(b):
        return float("inf") if np.abs(irreversible).max() > 1e-12 else 0.0
    return float(np.trace(irreversible.T @ np.linalg.solve(diffusion, irreversible) @ covariance))
