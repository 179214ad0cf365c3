"""Error of the drift that spikes decode: the part that repeats where the state does, and the random part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.conversion.driving import EVERY

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ddm2snn.network import RateNetwork

# cells over four deviations, by rank: those of the comparison's drift field, to which a test holds them [derived]
_BINS = {1: 40, 2: 16, 3: 8, 4: 6}
_COARSEST = 4  # cells beyond rank 4 [choice]
_FEWEST = 4.0  # trials that a cell must be visited by, as many as equal visits would make of them [choice]
_MOST_SAMPLES = 250_000  # of all trials [cost]


@dataclass(frozen=True, eq=False)
class DriftError:
    """Root mean squares relative to the drift, per latent.

    Parameters
    ----------
    repeatable
        Mean error on cells of the state space, without the scatter of these means. Zero where there is only scatter.
    standard_error
        Its standard error.
    random
        What is left beside the mean of each cell, in means over 0.1 rate time units.
    """

    repeatable: Float[np.ndarray, " rank"]
    standard_error: Float[np.ndarray, " rank"]
    random: Float[np.ndarray, " rank"]


def drift_error_of(
    rate: RateNetwork,
    filtered_error: Float[np.ndarray, "trial sample rank"],
    z: Float[np.ndarray, "trial sample rank"],
    every: float,
) -> DriftError:
    r"""Error e of the drift by cells, from the error behind the synaptic filter.

    The filter of one rate time unit is taken off again, :math:`e_n = (\zeta_{n+1} - a \zeta_n) / (1 - a)` with
    :math:`a = e^{-h}`, which is the mean of e over the interval h. With sums :math:`s_{ic}` of e over the
    :math:`n_{ic}` samples of trial i in cell c, the repeatable part is

    .. math:: \sum_c \frac{n_c}{n} \frac{\sum_{i \neq j} s_{ic} s_{jc}}{\sum_{i \neq j} n_{ic} n_{jc}},

    the mean product of the errors of two trials in one cell: what is random has other signs in another trial, and
    adds nothing. Its standard error is that of the jackknife over trials. (Cross-validation by all pairs of trials
    instead of by two halves.)

    Parameters
    ----------
    rate
        The rate network, whose drift the error is relative to.
    filtered_error
        :math:`\zeta` in internal units, of independent trials.
    z
        States that it belongs to, internal units.
    every
        Rate time units between samples: short beside what the state takes to cross a cell.

    Examples
    --------
    >>> from ddm2snn import Training, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> rng = np.random.default_rng(0)
    >>> z, noise = rng.standard_normal((2, 64, 1000, 2))
    >>> error = drift_error_of(rate, 0.01 * noise, z, every=0.1)  # noise alone
    >>> bool((error.repeatable < error.random).all())
    True
    """
    stride = -(-filtered_error[..., 0].size // _MOST_SAMPLES)
    filtered_error, z, every = filtered_error[:, ::stride], z[:, ::stride], stride * every
    decay = np.exp(-every)
    error = (filtered_error[:, 1:] - decay * filtered_error[:, :-1]) / (1.0 - decay)
    place = 0.5 * (z[:, 1:] + z[:, :-1])
    states = place.reshape(-1, rate.rank)
    drift = np.sqrt(((rate.internal_readout(states) - states) ** 2).mean(axis=0))
    cells = _cells(place)
    square, variance = _repeatable(error, cells)
    repeatable = np.sqrt(np.maximum(square, 0.0))
    upwards = np.sqrt(repeatable**2 + np.sqrt(variance)) - repeatable
    span = min(max(1, round(EVERY / every)), error.shape[1])
    random = _random(error, cells, span)
    return DriftError(*(each / drift for each in (repeatable, upwards, random)))


def _random(
    error: Float[np.ndarray, "trial sample rank"], cells: Int[np.ndarray, "trial sample"], span: int
) -> Float[np.ndarray, " rank"]:
    """Root mean square of means over `span` samples, each less the mean of its cell."""
    count, rest = np.bincount(cells.ravel()), np.empty_like(error)
    for latent, column in enumerate(np.moveaxis(error, -1, 0)):
        rest[..., latent] = column - (np.bincount(cells.ravel(), column.ravel()) / count)[cells]
    whole = rest[:, : rest.shape[1] // span * span]
    return np.sqrt((whole.reshape(len(whole), -1, span, whole.shape[-1]).mean(axis=2) ** 2).mean(axis=(0, 1)))


def _cells(place: Float[np.ndarray, "trial sample rank"]) -> Int[np.ndarray, "trial sample"]:
    """Number of the cell of each state; beyond two deviations there is one cell to each side."""
    rank = place.shape[-1]
    bins = _BINS.get(rank, _COARSEST)
    mean, width = place.mean(axis=(0, 1)), 4.0 * place.std(axis=(0, 1)) / bins
    number = np.floor((place - mean) / np.maximum(width, np.finfo(float).tiny)) + bins // 2 + 1
    index = np.clip(number, 0, bins + 1).astype(np.int64)
    cells = np.zeros(index.shape[:-1], dtype=np.int64)
    for column in np.moveaxis(index, -1, 0):  # the number of a cell among all would be too large in many dimensions
        cells = np.unique(cells * (bins + 2) + column, return_inverse=True)[1].reshape(cells.shape)
    return cells


def _repeatable(
    error: Float[np.ndarray, "trial sample rank"], cells: Int[np.ndarray, "trial sample"]
) -> tuple[Float[np.ndarray, " rank"], Float[np.ndarray, " rank"]]:
    """Mean product of two trials' errors in one cell, and the variance of this estimate."""
    trials, size = len(error), int(cells.max()) + 1
    flat = (cells + size * np.arange(trials)[:, None]).ravel()
    count = np.bincount(flat, minlength=trials * size).reshape(trials, size).astype(float)
    sums = np.stack(
        [np.bincount(flat, column.ravel(), trials * size).reshape(trials, size) for column in np.moveaxis(error, -1, 0)]
    )
    total = count.sum(axis=0)
    visited = total**2 >= _FEWEST * (count**2).sum(axis=0)
    if not visited.any():
        return np.zeros(len(sums)), np.full(len(sums), np.inf)
    count, sums, total = count[:, visited], sums[..., visited], total[visited]

    def pairs(values: np.ndarray) -> np.ndarray:
        """Sum over pairs of trials, of all and of all but one: (1 + trial, cell)."""
        whole, squares = values.sum(axis=-2, keepdims=True), (values**2).sum(axis=-2, keepdims=True)
        without = (whole - values) ** 2 - (squares - values**2)
        return np.concatenate([whole**2 - squares, without], axis=-2)

    weight = np.concatenate([total[None], total - count])
    mean = (weight * pairs(sums) / pairs(count)).sum(axis=-1) / weight.sum(axis=-1)
    left_out = mean[:, 1:]
    scatter = ((left_out - left_out.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    return mean[:, 0], (trials - 1) / trials * scatter
