r"""Diffusion tensors :math:`G G^\top`: symmetric, none of their eigenvalues below zero, and possibly singular."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

_SINGULAR = 1e-12  # eigenvalues below this share of the largest count as none


def symmetric_factor(tensor: Float[np.ndarray, "... rank rank"]) -> Float[np.ndarray, "... rank rank"]:
    r"""Symmetric factor S of a tensor, :math:`S S^\top = S^2` = `tensor`.

    Examples
    --------
    >>> symmetric_factor(np.diag([4.0, 0.0]))
    array([[2., 0.],
           [0., 0.]])
    """
    values, vectors = np.linalg.eigh(tensor)
    return (vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def common_axes(
    tensor: Float[np.ndarray, "... rank rank"], reference: Float[np.ndarray, "... rank rank"]
) -> tuple[Float[np.ndarray, "... rank"], Float[np.ndarray, "... rank rank"], Float[np.ndarray, "... rank rank"]]:
    r"""Diagonalise a tensor T and a reference R together; R may be singular.

    :math:`R = A A^\top` and, within the directions in which R has noise, :math:`T = A\,\mathrm{diag}(r)\,A^\top`.
    Columns of A and B that belong to directions without noise are zero.

    Returns
    -------
    ratios
        r, rising, shape (..., rank): the noise of T over that of R along each axis.
    axes
        A, shape (..., rank, rank), one axis per column.
    duals
        B with :math:`B^\top A = 1`, shape (..., rank, rank): along its columns :math:`B^\top T B = \mathrm{diag}(r)`.

    Examples
    --------
    >>> ratios, axes, duals = common_axes(np.diag([3.0, 1.0]), reference=np.diag([4.0, 4.0]))
    >>> ratios
    array([0.25, 0.75])
    >>> np.allclose(axes @ axes.T, np.diag([4.0, 4.0]))
    True
    """
    values, vectors = np.linalg.eigh(reference)
    used = values > _SINGULAR * np.maximum(values.max(axis=-1, keepdims=True), 1e-300)
    size = np.sqrt(np.where(used, values, 1.0))[..., None, :]
    vectors = np.where(used[..., None, :], vectors, 0.0)
    root, inverse = vectors * size, vectors / size
    ratios, turned = np.linalg.eigh(np.swapaxes(inverse, -1, -2) @ tensor @ inverse)
    return ratios, root @ turned, inverse @ turned


def largest_ratio(tensor: Float[np.ndarray, "rank rank"], reference: Float[np.ndarray, "rank rank"]) -> float | None:
    """Largest ratio of a tensor to a reference in any direction; None where a direction of the reference has no noise.

    Examples
    --------
    >>> largest_ratio(np.diag([3.0, 1.0]), reference=np.diag([4.0, 4.0]))
    0.75
    >>> largest_ratio(np.eye(2), reference=np.diag([1.0, 0.0])) is None
    True
    """
    from scipy.linalg import eigh

    if np.linalg.eigvalsh(reference).min() <= _SINGULAR * max(float(np.trace(reference)), 1e-300):
        return None
    return float(eigh(tensor, reference, eigvals_only=True).max())
