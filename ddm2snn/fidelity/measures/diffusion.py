"""Diffusion at several lags, less the reference's flow, and the ripple that short lags see on top of it."""

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
from ddm2snn.fidelity.measures.measure import Entry, Measure, Numbers, ReferenceSamples
from ddm2snn.fidelity.samples import check_samples, thinned

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ddm2snn.fidelity.samples import Samples, Weights

_SOURCES = ("michalet2010",)
_LAGS = (0.02, 0.05, 0.1, 0.5, 1.0)  # rate time units [choice]
_FEWEST_LAGS = 4  # of the longest lag in a trial [choice]
_COARSE = 0.3  # relative difference that is coarse [choice]
_COARSE_RIPPLE = _COARSE * 0.1  # a coarse difference of the diffusion at lag 0.1 [derived]
# of the fit of the flow
_FOLDS = 8  # of trials [choice]
_MOST_TERMS = 84  # degree 11 in rank 2, 6 in rank 3 [cost]
_SAMPLES_PER_TERM = 20  # at the least [choice]
_CHOOSING = 40_000  # samples, for the choice of the degree [cost]
_RIDGE = 1e-9  # relative to the mean square of the terms [choice]
# times the mean; three are usual for an outlier, five leave 99.9 % of a planar normal process [derived]
_HIGH_LEVERAGE = 5.0


@dataclass(frozen=True, eq=False)
class Diffusion(Measure):
    r"""Diffusion tensor from displacements less the reference's flow, at each lag and as a fit over lags.

    .. math:: D(\ell) = \frac{1}{\ell} \Big\langle \Big(\sum_n r_n\Big) \Big(\sum_n r_n\Big)^\top \Big\rangle, \qquad
        D(\ell) \approx D_0 + \frac{2 v}{\ell} + c \ell

    with r the residuals of `Flow` over the samples of one lag, which counts as long as the flow is known in it. The
    reference has the same D at every lag: the variance of the next sample given the present one, per time, which is
    :math:`G G^\top` where sampling is fine against the drift. A test whose latents carry an additional noise of
    variance v that is not integrated, as the filtered spikes of a network do, has 2 v / lag more. One whose drift
    differs departs from the reference in proportion to the lag, while that is short against the motion. So the fit
    gives the diffusion :math:`D_0` and the *ripple* v apart from both. It weighs each lag by 1 / lag, as D scatters,
    and leaves c out where there are two lags only. Ripple also enters the displacement that the flow predicts, which
    adds :math:`v |\nabla m|^2` per sample to :math:`D_0`: little, unless sampling is coarse against the drift.

    Distances are Frobenius norms of differences, in units of the reference's deviations and relative to the
    reference's norm, so that one latent of several shows. That of the ripple is :math:`|2 v - 2 v'| / |D_0'|`: the
    lag at which it would equal the diffusion.

    Lags are 0.02, 0.05, 0.1, 0.5 and 1 rate time units, rounded to samples, up to a quarter of a trial.

    Source: martingale increments after Doob; the fit is that of localisation noise in single-particle tracking:
    Michalet, Phys. Rev. E 82 (2010).

    Examples
    --------
    >>> noise = np.random.default_rng(0).standard_normal((16, 2001, 1))
    >>> Diffusion.of(ReferenceSamples.of([noise], every=0.1)).lags
    (1, 5, 10)
    """

    flow: Flow
    scale: Float[np.ndarray, " rank"]
    every: float
    lags: tuple[int, ...]

    @classmethod
    def of(cls, reference: ReferenceSamples) -> Diffusion | None:
        """None where the reference has one trial or too few samples for a flow."""
        samples, every = reference.samples, reference.every
        longest = max(1, (samples.shape[1] - 1) // _FEWEST_LAGS)
        lags = sorted({min(max(1, round(lag / every)), longest) for lag in _LAGS})
        try:
            flow = Flow.of(samples)
        except InputError:
            return None
        return cls(flow, samples.std(axis=(0, 1)), every, tuple(lags))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Diffusion and ripple of the fit, then the diffusion at each lag."""
        fitted = (
            Entry("diffusion", "diffusion without ripple", "relative", _COARSE, "change", prominence=1, aspect="noise",
                  sources=_SOURCES),
            Entry("ripple", "ripple over diffusion", "time units", _COARSE_RIPPLE, "change", "ripple", aspect="noise",
                  sources=_SOURCES),
        )  # fmt: skip
        at = tuple(
            Entry(f"diffusion_{lag:g}", f"diffusion at lag {lag:g}", "relative", _COARSE, "lag", subject="diffusion",
                  aspect="noise", sources=_SOURCES)
            for lag in np.array(self.lags) * self.every
        )  # fmt: skip
        return (*fitted, *at) if len(at) > 1 else at

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial lag column"]:
        """Products of sums over each lag, in units of the reference's deviations, and the time that is known in it."""
        residuals, known = self.flow.residuals(samples)
        path, clock = np.cumsum(residuals / self.scale, axis=1), np.cumsum(known, axis=1) * self.every
        columns = []
        for lag in self.lags:
            moved, time = path[:, lag:] - path[:, :-lag], clock[:, lag:] - clock[:, :-lag]
            products = (np.swapaxes(moved, 1, 2) @ moved).reshape(len(samples), -1) / moved.shape[1]
            columns.append(np.column_stack([products, time.mean(axis=1)]))
        return np.stack(columns, axis=1)

    def values(self, summary: np.ndarray, weights: Weights) -> Float[np.ndarray, "selection lag rank rank"]:
        """Tensors per rate time unit at each lag; NaN where the flow knows no state that was visited."""
        mean, rank = np.asarray(super().values(summary, weights)), len(self.scale)
        time = np.where(mean[..., -1:] > 0, mean[..., -1:], np.nan)
        return (mean[..., :-1] / time).reshape(*mean.shape[:2], rank, rank)

    @cached_property
    def _fit(self) -> Float[np.ndarray, "number lag"]:
        """What each lag contributes to the diffusion and to twice the ripple."""
        lag = np.array(self.lags) * self.every
        columns = np.stack([np.ones(len(lag)), 1 / lag, lag][: len(lag)], axis=1)
        return np.linalg.solve(columns.T / lag @ columns, columns.T / lag)[:2]

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float, ...]:
        """NaN where the reference has no noise at all."""
        size = np.linalg.norm(reference, axis=(1, 2))
        if not size.all():
            return (float("nan"),) * len(self.entries)
        at = np.linalg.norm(test - reference, axis=(1, 2)) / size
        if len(at) == 1:
            return (float(at[0]),)
        of_test, of_reference = (np.tensordot(self._fit, x, axes=1) for x in (test, reference))
        fitted = np.linalg.norm(of_test - of_reference, axis=(1, 2)) / np.linalg.norm(of_reference[0])
        return (*map(float, fitted), *map(float, at))

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Numbers, ...]:
        """Traces in squared reference deviations per rate time unit; None of the ripple, which is near zero."""
        at = list(zip(*(map(float, np.trace(x, axis1=1, axis2=2)) for x in (test, reference)), strict=True))
        if len(at) == 1:
            return tuple(at)
        fitted = tuple(float(np.trace(np.tensordot(self._fit[0], x, axes=1))) for x in (test, reference))
        return ((fitted[0], fitted[1]), None, *at)


@dataclass(frozen=True, eq=False)
class Flow:
    r"""Mean displacement over one sample, as polynomials of the state, fitted to the reference.

    .. math:: m(z) = \operatorname{E}[z_{n+1} - z_n \mid z_n = z], \qquad r_n = z_{n+1} - z_n - m(z_n)

    The residuals r of the reference are noise alone, however coarse the sampling: no integral of the drift is
    approximated. Trials are dealt into `folds`, and the displacement of trial i is predicted by the fit that left out
    the trials i, i + folds, ... of the reference. So its own noise is in no prediction of a reference's trial either,
    and trials of reference and test compare fairly. The degree is that which predicts left-out trials best.

    Where the reference hardly comes, the fit knows no displacement: states of more than five times the mean leverage
    :math:`p(z)^\top (\sum p p^\top)^{-1} p(z)`, with p the polynomials, count as unknown and have a residual of
    zero. What is unknown depends on the present state alone, so that residuals stay independent of the past.

    Parameters
    ----------
    low, high
        Range of the reference in system units, shape (rank,).
    degree
        Of the polynomials, products of Chebyshev's over the range.
    weights
        Shape (fold, term, rank).
    whitening
        Matrix of each fold that turns the polynomials into numbers whose sum of squares is the leverage over its mean,
        shape (fold, term, term).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> z = np.zeros((8, 2001, 1))
    >>> for n in range(2000):
    ...     z[:, n + 1] = 0.9 * z[:, n] + 0.1 * rng.standard_normal((8, 1))
    >>> flow = Flow.of(z)
    >>> flow
    Flow(rank=1, degree=1, folds=8)
    >>> residuals, known = flow.residuals(z)
    >>> residuals[known].std().round(2), known.mean().round(2)
    (np.float64(0.1), np.float64(1.0))
    """

    low: Float[np.ndarray, " rank"]
    high: Float[np.ndarray, " rank"]
    degree: int
    weights: Float[np.ndarray, "fold term rank"]
    whitening: Float[np.ndarray, "fold term term"]

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
        degree = cls._empty(low, high, highest, folds)._best(reference)
        gram, moment, _ = cls._empty(low, high, degree, folds)._sums(reference, np.arange(length - 1))
        left_out = gram.sum(axis=0) - gram
        terms = left_out.shape[1]
        ridge = _RIDGE * np.trace(left_out, axis1=1, axis2=2)[:, None, None] / terms * np.eye(terms)
        samples = left_out[:, 0, 0]  # the first polynomial is one
        root = np.linalg.inv(np.linalg.cholesky(left_out + ridge))
        return cls(low, high, degree, _left_out(gram, moment), root * np.sqrt(samples / terms)[:, None, None])

    @classmethod
    def _empty(cls, low: Float[np.ndarray, " rank"], high: Float[np.ndarray, " rank"], degree: int, folds: int) -> Flow:
        """Without any displacement."""
        terms = comb(len(low) + degree, degree)
        return cls(low, high, degree, np.zeros((folds, terms, len(low))), np.zeros((folds, terms, terms)))

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

    def residuals(
        self, samples: Samples
    ) -> tuple[Float[np.ndarray, "trial step rank"], Bool[np.ndarray, "trial step"]]:
        """Displacements less those of the flow, and where the flow is known."""
        moved = np.diff(samples, axis=1)
        known = np.empty(moved.shape[:2], dtype=bool)
        for trial, z in enumerate(samples):
            fold, values = trial % len(self.weights), self._terms(z[:-1])
            known[trial] = ((self.whitening[fold] @ values) ** 2).sum(axis=0) <= _HIGH_LEVERAGE
            moved[trial] -= values.T @ self.weights[fold]
        moved[~known] = 0.0
        return moved, known

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
