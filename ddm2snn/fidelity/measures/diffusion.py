"""Diffusion at several lags, and the ripple that short lags see on top of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.flow import Flow
from ddm2snn.fidelity.measures.measure import Entry, Measure, Numbers, ReferenceSamples

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.fidelity.samples import Samples, Weights

_LAGS = (0.02, 0.05, 0.1, 0.5, 1.0)  # rate time units [choice]
_FEWEST_LAGS = 4  # of the longest lag in a trial [choice]
_COARSE = 0.3  # relative difference that is coarse [choice]
_COARSE_RIPPLE = _COARSE * 0.1  # a coarse difference of the diffusion at lag 0.1 [derived]


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
            Entry("diffusion", "diffusion without ripple", "relative", _COARSE, "change", prominence=1),
            Entry("ripple", "ripple over diffusion", "time units", _COARSE_RIPPLE, "change", "ripple"),
        )
        at = tuple(
            Entry(f"diffusion_{lag:g}", f"diffusion at lag {lag:g}", "relative", _COARSE, "lag", subject="diffusion")
            for lag in np.array(self.lags) * self.every
        )
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
