"""What moves the states: drift and diffusion fields, entropy production, probability current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.fidelity.entropy_rate import CurrentBasis, CurrentMoments, current_moments, entropy_rate
from ddm2snn.fidelity.family import Entry, Number
from ddm2snn.fidelity.grid import Grid
from ddm2snn.fidelity.kramers_moyal import field_grid, lagged_sums
from ddm2snn.fidelity.probability_current import current_sums

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.fidelity.family import Samples, Weights

_PER_CELL = 200  # samples of one recording that a cell should hold in the mean
_FEWEST = 50  # samples that a cell must hold of one recording of the reference in the mean
_BUMPS = 20
_MOMENTS = 64  # eight of these many samples per trial tell the order of the rate
_HIGHEST_RANK = 4  # beyond it, samples do not fill cells


@dataclass(frozen=True, eq=False)
class RunField:
    """Fields of one selection of trials in units of the reference's deviations.

    Parameters
    ----------
    count, drift, error, position
        Samples, mean drift, its squared standard error, mean position in the cell; shape (cell, ...).
    spread, slope
        Covariance of position with itself and with the drift.
    diffusion
        Trace of the diffusion tensor.
    """

    count: Float[np.ndarray, " cell"]
    drift: Float[np.ndarray, "cell rank"]
    error: Float[np.ndarray, "cell rank"]
    position: Float[np.ndarray, "cell rank"]
    spread: Float[np.ndarray, "cell rank rank"]
    slope: Float[np.ndarray, "cell rank rank"]
    diffusion: Float[np.ndarray, " cell"]


@dataclass(frozen=True, eq=False)
class Fields:
    r"""Drift and diffusion fields on cells, by `lagged_sums` of second order.

    Three distances, each from sums over the cells that hold 50 samples of a recording of the reference in the mean and
    are visited by two trials of both, weighted by the reference's samples w_c:

    .. math:: \text{drift}^2 = \frac{\sum_c w_c |\hat f_c - \hat g_c|^2}{S}, \quad
        \text{scale} = \Big|\frac{\sum_c w_c \hat f_c \cdot \hat g_c}{S} - 1\Big|, \quad
        S = \sum_c w_c (|\hat g_c|^2 - \operatorname{se}^2_c)

    and the relative difference of the mean traces of the diffusion tensor. As in `field_difference`, the test's drift f
    is moved to the mean position of the reference's samples along the slope of its drift g.
    """

    grid: Grid
    cells: Int[np.ndarray, " chosen"]
    scale: Float[np.ndarray, " rank"]
    every: float
    stride: int
    costly = False

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Drift, its scale, diffusion: spikes are shot noise at short lags, so the lag stands in the name."""
        return (
            Entry("drift", "drift field (rmse)", "relative", 0.7),
            Entry("drift_scale", "drift along the reference's", "relative", 0.3),
            Entry("diffusion", f"diffusion (trace) at lag {self.stride * self.every:g}", "relative", 0.3),
        )

    @classmethod
    def of(cls, reference: Samples, every: float, trials: int, stride: int = 1) -> Fields | None:
        """Cells that `trials` trials fill, lag of `stride` samples; None above rank 4 or below two full cells."""
        _, length, rank = reference.shape
        if rank > _HIGHEST_RANK:
            return None
        bins = int((trials * length / _PER_CELL) ** (1 / rank))
        if bins < 2:
            return None
        grid = field_grid(reference)
        grid = grid if grid.bins <= bins else field_grid(reference, bins)
        found = grid.cells(reference)
        count = np.bincount(found[found >= 0], minlength=grid.size)
        # fixed cells, so that a selection of fewer trials looks at the same ones
        cells = np.flatnonzero(count >= _FEWEST * len(reference) / trials)
        return cls(grid, cells, reference.std(axis=(0, 1)), every, stride) if len(cells) else None

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial cell column"]:
        """Sums per trial and cell, and the squares that standard errors need, as columns of one array."""
        sums = lagged_sums(samples, self.every, self.grid, self.stride)
        drift, position = sums.drift / self.scale, sums.position / self.scale
        square = 1 / self.scale[:, None] / self.scale
        count = sums.count[..., None]
        flat = (*sums.count.shape, -1)
        trace = np.einsum("tcii,i->tc", sums.diffusion, 1 / self.scale**2)[..., None]
        columns = [count, (count > 0) * 1.0, count**2, drift, drift**2, drift * count, position,
                   (sums.spread * square).reshape(flat), (sums.slope * square).reshape(flat), trace]  # fmt: skip
        return np.concatenate(columns, axis=-1)[:, self.cells]

    def values(self, summary: np.ndarray, weights: Weights) -> Sequence[RunField]:
        """Fields of each selection."""
        rank = len(self.scale)
        sizes = [1, 1, 1, rank, rank, rank, rank, rank**2, rank**2, 1]
        visited = (weights > 0) @ summary[..., 1]
        found = []
        for total, visitors in zip(np.tensordot(weights, summary, axes=1), visited, strict=True):
            count, _, squares, drift, of_drift, cross, position, spread, slope, trace = np.split(
                total, np.cumsum(sizes)[:-1], axis=-1
            )
            n = np.maximum(count, 1.0)
            mean, place = drift / n, position / n
            with np.errstate(divide="ignore", invalid="ignore"):
                # a cell without visitors has no drift, rather than one of zero without error
                factor = np.where(visitors > 1, visitors / (visitors - 1), np.nan)[:, None]
                error = factor * np.maximum(of_drift - 2 * mean * cross + mean**2 * squares, 0.0) / n**2
            about = spread.reshape(-1, rank, rank) / n[..., None] - place[..., None] * place[:, None]
            along = slope.reshape(-1, rank, rank) / n[..., None] - place[..., None] * mean[:, None]
            found.append(RunField(count[:, 0], mean, error, place, about, along, trace[:, 0] / n[:, 0]))
        return found

    def _compared(self, f: RunField, g: RunField) -> tuple[float, float, float, float] | None:
        """Squared difference and product of the drifts over S, and both traces; None without a common cell."""
        chosen = np.flatnonzero(np.isfinite(f.error[:, 0]) & np.isfinite(g.error[:, 0]))
        if not len(chosen):
            return None
        weight = g.count[chosen] / g.count[chosen].sum()
        least = np.diag(1e-3 * (self.grid.width / self.scale) ** 2 / 12)
        slope = np.linalg.solve(g.spread[chosen] + least, g.slope[chosen])
        offset = f.position[chosen] - g.position[chosen]
        moved = f.drift[chosen] - np.einsum("ci,cij->cj", offset, slope)
        known = g.drift[chosen]
        size = float(weight @ (known**2 - g.error[chosen]).sum(axis=-1))
        size = max(size, 1e-3 * float(weight @ (known**2).sum(axis=-1)), np.finfo(float).tiny)
        rmse = float(weight @ ((moved - known) ** 2).sum(axis=-1)) / size
        product = float(weight @ (moved * known).sum(axis=-1)) / size
        # the estimate of a drift and its error share their noise only within one recording
        return rmse, product, float(weight @ f.diffusion[chosen]), float(weight @ g.diffusion[chosen])

    def distances(self, test: RunField, reference: RunField) -> tuple[float, ...]:
        """Drift, scale, diffusion."""
        found = self._compared(test, reference)
        if found is None:
            return (float("nan"),) * 3
        rmse, product, here, there = found
        return np.sqrt(rmse), abs(product - 1.0), abs(here / there - 1.0) if there > 0 else float("nan")

    def numbers(self, test: RunField, reference: RunField) -> tuple[Number, ...]:
        """Scale of the drift beside one; traces in squared reference deviations per rate time unit."""
        found = self._compared(test, reference)
        return (None, (found[1], 1.0), found[2:]) if found else (None,) * 3


@dataclass(frozen=True, eq=False)
class Entropy:
    """Difference of the entropy production rates in k_B per rate time unit."""

    basis: CurrentBasis
    every: float
    stride: int
    coarse: float
    costly = False

    @classmethod
    def of(cls, reference: Samples, every: float, stride: int = 1) -> Entropy | None:
        """Lag of `stride` samples; None in a rank so high, or a recording so short, that products are not resolved."""
        rank = reference.shape[2]
        currents = (1 + rank + _BUMPS) * rank
        if currents * 10 > reference.shape[0] * reference.shape[1] or rank > 2 * _HIGHEST_RANK:
            return None
        basis = CurrentBasis.of(reference, _BUMPS)
        plain = cls(basis, every, stride, 0.2)
        found = entropy_rate(plain.summarise(reference[:, : 8 * _MOMENTS]))[0] if len(reference) > 1 else 0.0
        return replace(plain, coarse=max(0.5 * abs(float(found)), 0.2))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The rate; informative where chance is below half of the reference's."""
        return (Entry("entropy_production", "entropy production rate", "k_B per time unit", self.coarse),)

    def summarise(self, samples: Samples) -> CurrentMoments:
        """Moments of currents per trial."""
        parts = [
            current_moments(samples[:, phase :: self.stride], self.stride * self.every, self.basis)
            for phase in range(self.stride)
        ]
        return CurrentMoments(*(np.mean([getattr(p, name) for p in parts], axis=0) for name in ("rate", "noise")))

    def values(self, summary: CurrentMoments, weights: Weights) -> Float[np.ndarray, " run"]:
        """Rates; a selection that counts trials once is a recording of its own, down to the correction for chance."""
        found = np.empty(len(weights))
        for run, weight in enumerate(weights):
            chosen = np.flatnonzero(weight)
            once = weight.max(initial=0.0) <= 1.0
            moments = CurrentMoments(summary.rate[chosen], summary.noise[chosen]) if once else summary
            if len(moments.rate) < 2:
                found[run] = np.nan
                continue
            found[run] = entropy_rate(moments, None if once else weight[None])[0]
        return found

    def distances(self, test: float, reference: float) -> tuple[float]:
        """Absolute difference."""
        return (float(abs(test - reference)),)

    def numbers(self, test: float, reference: float) -> tuple[Number]:
        """In k_B per rate time unit."""
        return ((float(test), float(reference)),)


@dataclass(frozen=True, eq=False)
class Currents:
    r"""Difference of the stationary probability currents on the cells of `Fields`.

    .. math:: \text{current} = \sum_c |J_c - J'_c| \, V_c, \qquad J_c \text{ of `current_sums`},

    each latent in standard deviations of the reference and :math:`V_c` the volume of a cell: the speed, in standard
    deviations per rate time unit, at which probability flows otherwise than in the reference. Its numbers are the same
    sum over one process's own current, which chance alone makes larger than zero in equilibrium.
    """

    fields: Fields
    coarse: float
    costly = False

    @classmethod
    def of(cls, reference: Samples, fields: Fields) -> Currents | None:
        """On the same cells at the same lag; None in rank 1, where no current goes round."""
        if reference.shape[2] < 2:
            return None
        found = cls(fields, 0.2)
        value = found.values(found.summarise(reference), np.ones((1, len(reference))))[0]
        return replace(found, coarse=max(0.5 * _speed(value), 0.2))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The current; informative where chance is below half of the reference's."""
        return (Entry("current", "probability current", "reference sd per time unit", self.coarse),)

    def summarise(self, samples: Samples) -> Float[np.ndarray, "trial cell rank"]:
        """Current through each cell times its volume, per trial."""
        fields = self.fields
        parts = [
            current_sums(samples[:, phase :: fields.stride], fields.stride * fields.every, fields.grid)
            for phase in range(fields.stride)
        ]
        total = np.sum([part.total for part in parts], axis=0)[:, None, None]
        moved = np.sum([part.displacement for part in parts], axis=0)[:, fields.cells]
        return moved / total / fields.scale

    def values(self, summary: np.ndarray, weights: Weights) -> Float[np.ndarray, "run cell rank"]:
        """Means over trials."""
        return np.tensordot(weights, summary, axes=1) / weights.sum(axis=1)[:, None, None]

    def distances(self, test: np.ndarray, reference: np.ndarray) -> tuple[float]:
        """Mean speed of the difference."""
        return (_speed(test - reference),)

    def numbers(self, test: np.ndarray, reference: np.ndarray) -> tuple[Number]:
        """Mean speeds."""
        return ((_speed(test), _speed(reference)),)


def _speed(current: Float[np.ndarray, "cell rank"]) -> float:
    return float(np.linalg.norm(current, axis=1).sum())
