"""Matrices of low rank as the product of two factors, never formed unless asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import freeze_arrays
from ddm2snn.base.html import fields_table

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class LowRank:
    r"""A matrix :math:`M = L R^\top` of rank k, with products in O(N k).

    Parameters
    ----------
    left
        L, shape (row, rank).
    right
        R, shape (column, rank).

    Examples
    --------
    >>> import numpy as np
    >>> matrix = LowRank(left=np.array([[1.0], [2.0], [3.0]]), right=np.array([[1.0], [-1.0]]))
    >>> matrix
    LowRank(shape=(3, 2), rank=1)
    >>> matrix @ np.array([5.0, 2.0])
    array([3., 6., 9.])
    >>> np.array([1.0, 0.0, 1.0]) @ matrix
    array([ 4., -4.])
    >>> matrix.T.shape
    (2, 3)
    >>> matrix.singular_values().round(3)
    array([5.292])
    >>> matrix.dense()
    array([[ 1., -1.],
           [ 2., -2.],
           [ 3., -3.]])
    """

    left: Float[np.ndarray, "row rank"]
    right: Float[np.ndarray, "column rank"]

    __array_ufunc__ = None  # `array @ matrix` asks `__rmatmul__` below

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def __repr__(self) -> str:
        return f"LowRank(shape={self.shape}, rank={self.left.shape[1]})"

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self.left), len(self.right)

    @property
    def T(self) -> LowRank:  # noqa: N802 - NumPy's name
        """The transpose."""
        return LowRank(self.right, self.left)

    def __matmul__(self, other: Float[np.ndarray, "column ..."]) -> Float[np.ndarray, "row ..."]:
        """Product with a vector or a matrix of columns."""
        return self.left @ (self.right.T @ other)

    def __rmatmul__(self, other: Float[np.ndarray, "... row"]) -> Float[np.ndarray, "... column"]:
        """Product with a vector or any array of rows; ``x @ M.T`` is M x for each row x."""
        return (other @ self.left) @ self.right.T

    def singular_values(self) -> Float[np.ndarray, " rank"]:
        r"""Singular values, largest first, in O(N k^2).

        :math:`L = Q_L R_L,\; R = Q_R R_R \Rightarrow \sigma(L R^\top) = \sigma(R_L R_R^\top)`.
        """
        return np.linalg.svd(np.linalg.qr(self.left).R @ np.linalg.qr(self.right).R.T, compute_uv=False)

    def dense(self) -> Float[np.ndarray, "row column"]:
        """The matrix itself."""
        return self.left @ self.right.T
