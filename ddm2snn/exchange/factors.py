"""Factors of a dense recurrent matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

TOLERANCE = 1e-6


def factored(
    weights: Float[np.ndarray, "unit unit"], rank: int | None = None, tolerance: float = TOLERANCE
) -> tuple[Float[np.ndarray, "unit rank"], Float[np.ndarray, "unit rank"], float]:
    r"""Left and right vectors of :math:`W \approx \Gamma W_s`, the best of their rank (Eckart, Young, 1936).

    Parameters
    ----------
    weights
        W, row by row what a unit receives.
    rank
        Rank to keep; by default the smallest whose relative Frobenius error is within `tolerance`.
    tolerance
        See `rank`.

    Returns
    -------
    left_vectors, right_vectors
        :math:`\Gamma = U_k\sqrt n`, :math:`W_s^\top = V_k S_k/\sqrt n`: entries of the left vectors are of order one.
    error
        :math:`|W - \Gamma W_s|_F / |W|_F`.
    """
    units = len(weights)
    if weights.ndim != 2 or weights.shape[1] != units:
        raise InputError(f"A recurrent matrix must be square, got shape {weights.shape}. Name another array.")
    u, s, vt = np.linalg.svd(weights)
    if not s[0] > 0:
        raise InputError("The recurrent matrix is zero: there is nothing to factor. Name another array.")
    left_out = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1], 0.0) / np.sum(s**2))
    if rank is None:
        rank = int(np.argmax(left_out <= tolerance))
    if not 1 <= rank <= units:
        raise InputError(
            f"A matrix of {units} units has factors of rank 1 to {units}, not {rank}. Ask for one of these."
        )
    return u[:, :rank] * np.sqrt(units), vt[:rank].T * s[:rank] / np.sqrt(units), float(left_out[rank])
