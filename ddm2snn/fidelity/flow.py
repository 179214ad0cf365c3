"""The flow of a reference over one sampling interval, fitted to its samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import freeze_arrays
from ddm2snn.base.least_squares import solve_ridge
from ddm2snn.errors import InputError
from ddm2snn.fidelity.samples import check_samples, thinned

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.fidelity.samples import Samples

_FOLDS = 8
_MOST_TERMS = 84  # degree 11 in rank 2, 6 in rank 3
_SAMPLES_PER_TERM = 20
_CHOOSING = 40_000  # samples, for the choice of the degree
_RIDGE = 1e-9


@dataclass(frozen=True, eq=False)
class Flow:
    r"""Mean displacement over one sample, as polynomials of the state, fitted to the reference.

    .. math:: m(z) = \operatorname{E}[z_{n+1} - z_n \mid z_n = z], \qquad r_n = z_{n+1} - z_n - m(z_n)

    The residuals r of the reference are noise alone, however coarse the sampling: no integral of the drift is
    approximated. Trials are dealt into `folds`, and the displacement of trial i is predicted by the fit that left out
    the trials i, i + folds, ... of the reference. So its own noise is in no prediction of a reference's trial either,
    and trials of reference and test compare fairly. The degree is that which predicts left-out trials best. States
    beyond the reference's range take the displacement at the range's edge.

    Parameters
    ----------
    low, high
        Range of the reference in system units, shape (rank,).
    degree
        Of the polynomials, products of Chebyshev's over the range.
    weights
        Shape (fold, term, rank).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = np.zeros((8, 2001, 1))
    >>> for n in range(2000):
    ...     z[:, n + 1] = 0.9 * z[:, n] + 0.1 * rng.standard_normal((8, 1))
    >>> flow = Flow.of(z)
    >>> flow
    Flow(rank=1, degree=1, folds=8)
    >>> flow.residuals(z).std().round(3)
    np.float64(0.1)
    """

    low: Float[np.ndarray, " rank"]
    high: Float[np.ndarray, " rank"]
    degree: int
    weights: Float[np.ndarray, "fold term rank"]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def __repr__(self) -> str:
        """Sizes only."""
        return f"Flow(rank={len(self.low)}, degree={self.degree}, folds={len(self.weights)})"

    @classmethod
    def of(cls, reference: Samples) -> Flow:
        """Fit to the trials of a reference, two or more.

        Raises
        ------
        InputError
            For one trial, or fewer than 20 samples for each term of a linear flow.
        """
        check_samples("Flow", {"reference": reference}, shortest=2)
        trials, length, rank = reference.shape
        most = min(_MOST_TERMS, trials * (length - 1) // _SAMPLES_PER_TERM)
        if trials < 2 or most < rank + 1:
            raise InputError(
                f"A flow of rank {rank} needs two trials and {_SAMPLES_PER_TERM * (rank + 1)} samples, got "
                f"{trials} of {length}. Record more."
            )
        highest = 1
        while comb(rank + highest + 1, rank) <= most:
            highest += 1
        low, high, folds = reference.min(axis=(0, 1)), reference.max(axis=(0, 1)), min(_FOLDS, trials)
        widest = cls(low, high, highest, np.zeros((folds, comb(rank + highest, rank), rank)))
        degree = widest._best(reference)
        chosen = cls(low, high, degree, np.zeros((folds, comb(rank + degree, rank), rank)))
        gram, moment, _ = chosen._sums(reference, np.arange(length - 1))
        return cls(low, high, degree, _left_out(gram, moment))

    def _best(self, reference: Samples) -> int:
        """Degree whose fits predict the left-out trials best: least sum of the logarithms of the mean squares."""
        trials, length, rank = reference.shape
        gram, moment, square = self._sums(reference, thinned(length - 1, trials, _CHOOSING))
        errors = []
        for degree in range(1, self.degree + 1):
            terms = comb(rank + degree, rank)
            some, its = gram[:, :terms, :terms], moment[:, :terms]
            w = _left_out(some, its)
            predicted = np.einsum("ftr,fts,fsr->r", w, some, w) - 2 * np.einsum("ftr,ftr->r", w, its)
            errors.append(np.log(np.maximum(square + predicted, np.finfo(float).tiny)).sum())
        return 1 + int(np.argmin(errors))

    def _sums(
        self, samples: Samples, at: Int[np.ndarray, " time"]
    ) -> tuple[Float[np.ndarray, "fold term other"], Float[np.ndarray, "fold term rank"], Float[np.ndarray, " rank"]]:
        """Products of the terms with themselves and with the displacements of each fold; sum of their squares."""
        folds, terms, rank = self.weights.shape
        gram, moment, square = np.zeros((folds, terms, terms)), np.zeros((folds, terms, rank)), np.zeros(rank)
        for trial, z in enumerate(samples):
            values, moved = self._terms(z[at]), z[at + 1] - z[at]
            gram[trial % folds] += values @ values.T
            moment[trial % folds] += values @ moved
            square += (moved**2).sum(axis=0)
        return gram, moment, square

    def residuals(self, samples: Samples) -> Float[np.ndarray, "trial step rank"]:
        """Displacements less those of the flow."""
        moved = np.diff(samples, axis=1)
        for trial, z in enumerate(samples):
            moved[trial] -= self._terms(z[:-1]).T @ self.weights[trial % len(self.weights)]
        return moved

    @cached_property
    def _powers(self) -> list[tuple[int, int]]:
        """For each term after the first: the term of one degree less, and the latent that follows in the product."""
        rank = len(self.low)
        terms = [c for d in range(self.degree + 1) for c in combinations_with_replacement(range(rank), d)]
        place = {term: index for index, term in enumerate(terms)}
        return [(place[tuple(x for x in term if x != term[-1])], term.count(term[-1]) * rank + term[-1])
                for term in terms[1:]]  # fmt: skip

    def _terms(self, state: Float[np.ndarray, "sample rank"]) -> Float[np.ndarray, "term sample"]:
        """Products of Chebyshev polynomials, ordered by degree."""
        extent = np.where(self.high > self.low, self.high - self.low, 1.0)
        x = np.clip(2 * (state - self.low) / extent - 1, -1.0, 1.0).T
        single = [np.ones_like(x), x]
        for _ in range(self.degree - 1):
            single.append(2 * x * single[-1] - single[-2])
        factors = np.concatenate(single)  # row: degree x rank + latent
        values = np.ones((1 + len(self._powers), x.shape[1]))
        for index, (rest, factor) in enumerate(self._powers, start=1):
            np.multiply(values[rest], factors[factor], out=values[index])
        return values


def _left_out(
    gram: Float[np.ndarray, "fold term other"], moment: Float[np.ndarray, "fold term rank"]
) -> Float[np.ndarray, "fold term rank"]:
    """Weights fitted without each fold."""
    of_all, all_moments = gram.sum(axis=0), moment.sum(axis=0)
    return np.stack([solve_ridge(of_all - g, all_moments - m, _RIDGE) for g, m in zip(gram, moment, strict=True)])
