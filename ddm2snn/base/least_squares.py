r"""Ridge regression: :math:`\min_w |X w - y|^2 + \lambda |w|^2`, solved by the normal equations.

`X` has shape (sample, column), `y` shape (sample, target), `w` shape (column, target). The *Gram matrix* is
:math:`X^\top X`, the *moment* :math:`X^\top y`; both may be means instead of sums. A *penalty* is the number
:math:`\lambda` itself. A *ridge* is a penalty relative to the mean of the Gram matrix's diagonal, so that it means the
same in any unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.threads import add_gram

if TYPE_CHECKING:
    from jaxtyping import Float


def solve_penalised(
    gram: Float[np.ndarray, "column column"],
    moment: Float[np.ndarray, "column target"],
    penalty: float,
    *,
    overwrite: bool = False,
) -> Float[np.ndarray, "column target"]:
    r"""Solve :math:`(G + \lambda) w = m` by a Cholesky factorisation.

    Parameters
    ----------
    gram, moment
        G and m.
    penalty
        :math:`\lambda`, above zero, so that the matrix is positive definite.
    overwrite
        Whether the memory of G may be used, which saves a copy.

    Examples
    --------
    >>> solve_penalised(np.diag([1.0, 3.0]), np.array([[2.0], [4.0]]), penalty=1.0)
    array([[1.],
           [1.]])
    """
    from scipy.linalg import cho_factor, cho_solve

    matrix = gram if overwrite else gram.copy()
    matrix[np.diag_indices(len(matrix))] += penalty
    factor = cho_factor(matrix, overwrite_a=True, check_finite=False)
    return cho_solve(factor, moment, check_finite=False)


def solve_ridge(
    gram: Float[np.ndarray, "column column"], moment: Float[np.ndarray, "column target"], ridge: float
) -> Float[np.ndarray, "column target"]:
    """Solve the normal equations with a ridge, by an LU factorisation: the Gram matrix may be slightly asymmetric.

    Examples
    --------
    >>> solve_ridge(np.diag([1.0, 3.0]), np.array([3.0, 10.0]), ridge=1.0)
    array([1., 2.])
    """
    return np.linalg.solve(gram + ridge * np.trace(gram) / len(gram) * np.eye(len(gram)), moment)


def fit_ridge(
    regressors: Float[np.ndarray, "sample column"], target: Float[np.ndarray, "sample target"], ridge: float = 1e-6
) -> Float[np.ndarray, "column target"]:
    """Coefficients of a few regressors, by least squares with a ridge.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> fit_ridge(x, x @ [[5.0], [2.0]]).round(3)
    array([[5.],
           [2.]])
    """
    return solve_ridge(regressors.T @ regressors / len(regressors), regressors.T @ target / len(regressors), ridge)


def fit_penalised(
    regressors: Float[np.ndarray, "sample column"], target: Float[np.ndarray, "sample target"], penalty: float
) -> Float[np.ndarray, "column target"]:
    r"""Coefficients that minimise :math:`|X w - y|^2 + \lambda |w|^2`, for any number of columns.

    Where there are more columns than samples, :math:`w = X^\top (X X^\top + \lambda)^{-1} y` needs the smaller matrix.

    Examples
    --------
    >>> fit_penalised(np.eye(2), np.array([[2.0], [4.0]]), penalty=1.0)
    array([[1.],
           [2.]])
    """
    samples, columns = regressors.shape
    rows = regressors if columns <= samples else regressors.T
    gram = np.zeros((rows.shape[1], rows.shape[1]))
    add_gram(gram, rows)
    if columns <= samples:
        return solve_penalised(gram, regressors.T @ target, penalty, overwrite=True)
    return regressors.T @ solve_penalised(gram, target, penalty, overwrite=True)


def fit_with_constant(
    regressors: Float[np.ndarray, "sample column"], target: Float[np.ndarray, " sample"], penalty: float
) -> tuple[Float[np.ndarray, " column"], float, float]:
    r"""Coefficients w and constant c that minimise the loss :math:`\langle (X w + c - y)^2 \rangle + \lambda |w|^2`.

    The constant carries no penalty. Returns w, c and the loss.

    Examples
    --------
    >>> weights, constant, loss = fit_with_constant(np.array([[0.0], [1.0]]), np.array([3.0, 5.0]), penalty=0.0)
    >>> weights.round(6), round(constant, 6)
    (array([2.]), 3.0)
    """
    mean, level = regressors.mean(axis=0), target.mean()
    centred, wanted = regressors - mean, target - level
    moment = centred.T @ wanted / len(wanted)
    gram = centred.T @ centred / len(wanted)
    weights = np.linalg.solve(gram + max(penalty, 1e-300) * np.eye(len(gram)), moment)
    return weights, float(level - mean @ weights), float(wanted @ wanted / len(wanted) - moment @ weights)


@dataclass
class NormalEquations:
    """Least squares on samples that come in parts: memory does not grow with their number.

    Parameters
    ----------
    gram, moment
        Sums over samples of regressors times regressors, and of regressors times targets.
    square
        Sums over samples of squared targets.
    samples
        Number of samples.

    Examples
    --------
    >>> equations = NormalEquations.empty(columns=2, targets=1)
    >>> for x in (np.eye(2), 2 * np.eye(2)):
    ...     equations.add(x, x @ [[3.0], [4.0]])
    >>> equations
    NormalEquations(columns=2, targets=1, samples=4)
    >>> equations.solve(ridge=1e-9).round(3)
    array([[3.],
           [4.]])
    """

    gram: Float[np.ndarray, "column column"]
    moment: Float[np.ndarray, "column target"]
    square: Float[np.ndarray, " target"]
    samples: int = 0

    @classmethod
    def empty(cls, columns: int, targets: int) -> NormalEquations:
        """No samples yet."""
        return cls(np.zeros((columns, columns)), np.zeros((columns, targets)), np.zeros(targets))

    def __repr__(self) -> str:
        columns, targets = self.moment.shape
        return f"NormalEquations(columns={columns}, targets={targets}, samples={self.samples})"

    def __add__(self, other: NormalEquations) -> NormalEquations:
        return NormalEquations(
            self.gram + other.gram, self.moment + other.moment, self.square + other.square, self.samples + other.samples
        )

    def add(self, regressors: Float[np.ndarray, "sample column"], target: Float[np.ndarray, "sample target"]) -> None:
        """Take in samples."""
        add_gram(self.gram, regressors)
        self.moment += regressors.T @ target
        self.square += (target**2).sum(axis=0)
        self.samples += len(target)

    def with_noise(self, variance: Float[np.ndarray, " column"]) -> NormalEquations:
        """What is expected where independent noise of a variance is added to each regressor of every sample.

        >>> equations = NormalEquations.empty(columns=1, targets=1)
        >>> equations.add(np.array([[1.0], [-1.0]]), np.array([[2.0], [-2.0]]))
        >>> equations.with_noise(np.array([1.0])).solve(ridge=0.0)  # half of the regressor is noise
        array([[1.]])
        """
        gram = self.gram.copy()
        gram[np.diag_indices(len(gram))] += self.samples * variance
        return replace(self, gram=gram)

    def penalty(self, ridge: float) -> float:
        """Penalty that a ridge stands for; above zero even where every regressor is zero."""
        return ridge * max(float(np.diag(self.gram).mean()), 1e-12 * self.samples)

    def solve(self, ridge: float) -> Float[np.ndarray, "column target"]:
        """Coefficients by least squares with a ridge."""
        return solve_penalised(self.gram, self.moment, self.penalty(ridge))

    def error(self, weights: Float[np.ndarray, "column target"]) -> Float[np.ndarray, " target"]:
        """Mean squared error of any coefficients, per target."""
        explained = (weights * (self.gram @ weights)).sum(axis=0) - 2.0 * (weights * self.moment).sum(axis=0)
        return np.maximum(explained + self.square, 0.0) / max(self.samples, 1)
