"""Reversible and irreversible drift of a linear process, in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.analysis.diffusion import constant_tensor, diffusivity
from ddm2snn.base.arrays import freeze_arrays
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class LinearIrreversibility:
    """Matrices of the two parts of a linear drift.

    Parameters
    ----------
    reversible, irreversible
        -D S^-1 and B + D S^-1, shape (rank, rank), per time unit.
    covariance
        S, stationary, shape (rank, rank).
    entropy_production
        Phi, per time unit, in units of Boltzmann's constant.
    """

    reversible: Float[np.ndarray, "rank rank"]
    irreversible: Float[np.ndarray, "rank rank"]
    covariance: Float[np.ndarray, "rank rank"]
    entropy_production: float

    def __post_init__(self) -> None:
        freeze_arrays(self)


def linear_irreversibility(
    matrix: Float[np.ndarray, "rank rank"], tensor: Float[np.ndarray, "rank rank"]
) -> LinearIrreversibility:
    r"""Split the drift of :math:`dz = B z\,dt + G\,dw`.

    .. math:: B S + S B^\top + G G^\top = 0, \quad B_\text{rev} = -D S^{-1}, \quad B_\text{irr} = B + D S^{-1}, \quad
        \Phi = \operatorname{tr}(B_\text{irr}^\top D^{-1} B_\text{irr} S)

    with :math:`D = G G^\top / 2`. Sources: Gardiner, Handbook of Stochastic Methods, section 4.5; Godreche,
    Luck, J. Phys. A 52 (2019).

    Parameters
    ----------
    matrix
        B, shape (rank, rank).
    tensor
        G G^T, shape (rank, rank).

    Raises
    ------
    InputError
        Where the process never settles or a direction carries no noise.
    """
    from scipy.linalg import solve_continuous_lyapunov

    b, full = np.array(matrix, dtype=np.float64), np.array(tensor, dtype=np.float64)
    if b.ndim != 2 or b.shape[0] != b.shape[1] or full.shape != b.shape:
        raise InputError(f"matrix and tensor must be square and alike, got shapes {b.shape} and {full.shape}.")
    if np.linalg.eigvals(b).real.max() >= 0:
        raise InputError("The eigenvalues of the matrix must have negative real parts; this process never settles.")
    half = diffusivity(constant_tensor(full), np.zeros(len(b)))
    covariance = solve_continuous_lyapunov(b, -full)
    reversible = -half @ np.linalg.inv(covariance)
    irreversible = b - reversible
    rate = np.trace(irreversible.T @ np.linalg.solve(half, irreversible) @ covariance)
    return LinearIrreversibility(reversible, irreversible, covariance, float(rate))
