"""Dense recurrent matrices as the product of two factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.exchange.weight_file import WeightFile

_NUMERICAL_RANK = 1e-6  # relative error of factors that are as good as W
_LARGEST_ERROR = 0.1  # of factors of a rank that was asked for, unless a tolerance was too


def factors_of(file: WeightFile, dense: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Factors of a dense W, of the rank that was asked for or of its numerical rank, with their relative error."""
    mapping = file.mapping
    left, right, error = factored(dense, mapping.rank, mapping.tolerance or _NUMERICAL_RANK)
    allowed = _LARGEST_ERROR if mapping.tolerance is None else mapping.tolerance
    if mapping.rank is not None and error > allowed:
        enough = factored(dense, None, allowed)[0].shape[1]
        raise InputError(
            f"{file.path}: factors of rank {mapping.rank} miss W by {error:.2g} of its size (Frobenius norm), more "
            f"than {allowed:g}. Give rank = {enough} or more, or tolerance = {error:.2g} to have it so."
        )
    return left, right, {"factorisation_error": error}


def factored(
    weights: Float[np.ndarray, "unit unit"], rank: int | None = None, tolerance: float = 1e-6
) -> tuple[Float[np.ndarray, "unit rank"], Float[np.ndarray, "unit rank"], float]:
    r"""Left and right vectors of :math:`W \approx \Gamma W_s`, the best of their rank (Eckart, Young, 1936).

    Parameters
    ----------
    weights
        W; row i holds what unit i receives.
    rank
        Rank of the factors; None for the smallest whose relative Frobenius error is within `tolerance`.
    tolerance
        See `rank`.

    Returns
    -------
    left_vectors, right_vectors
        :math:`\Gamma = U_k\sqrt n`, :math:`W_s^\top = V_k S_k/\sqrt n`: entries of the left vectors are of order one.
    error
        :math:`|W - \Gamma W_s|_F / |W|_F`.

    Examples
    --------
    >>> left, right, error = factored(np.diag([2.0, 1.0, 0.0]))
    >>> left.shape, bool(np.allclose(left @ right.T, np.diag([2.0, 1.0, 0.0])))
    ((3, 2), True)
    """
    units = len(weights)
    if weights.ndim != 2 or weights.shape[1] != units or not units:
        raise InputError(f"A recurrent matrix must be square, got shape {weights.shape}. Name another array.")
    u, s, vt = np.linalg.svd(weights)
    if not s[0] > 0:
        raise InputError("The recurrent matrix is zero: there is nothing to factor. Name another array.")
    errors = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1], 0.0) / np.sum(s**2))  # of rank 0, 1, ...
    if rank is None:
        rank = int(np.argmax(errors <= tolerance))
    if not 1 <= rank <= units:
        raise InputError(
            f"A matrix of {units} units has factors of rank 1 to {units}, not {rank}. Ask for one of these."
        )
    return u[:, :rank] * np.sqrt(units), vt[:rank].T * s[:rank] / np.sqrt(units), float(errors[rank])
