"""Entropy production measured along trajectories."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.analysis.diffusion import Tensor, diffusivity
from ddm2snn.analysis.estimate import Estimate
from ddm2snn.analysis.features import Features
from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift

_FOLDS = 4
_BLOCKS = 32
_FEATURES = ((0, 1.0), (40, 0.7), (120, 0.4))  # bumps and their width, from coarse to fine
_RIDGE = 1e-6


def entropy_production_along(
    path: Float[np.ndarray, "trial time rank"],
    every: float,
    tensor: Tensor,
    *,
    irreversible: Drift | None = None,
    rng: np.random.Generator,
) -> Estimate:
    r"""Entropy production from stationary trajectories and their diffusion, without the drift.

    .. math:: \Phi = \Big\langle \frac{f_\text{irr}^\top D^{-1} \circ dz}{dt} \Big\rangle, \qquad
        \big\langle \varphi \circ dz \big\rangle / dt = \langle \varphi f_\text{irr}\rangle

    with the Stratonovich product :math:`\circ`, the mean of both ends of a step, which changes sign with
    time. Given f_irr, the first average is the estimate. Otherwise f_irr is fitted as a sum of features by
    the second on three quarters of the trajectories, and the first is taken on the rest; as the two are
    independent, only what the features cannot express is missing, none of the noise of the fit. Averages
    over steps of one and of two samples are extrapolated to steps of none, so that the bias is of the
    order of the square of `every` over the relaxation times. Sources: Frishman, Ronceray, Phys. Rev. X 10,
    021009 (2020); Li, Horowitz, Gingrich, Fakhri, Nat. Commun. 10 (2019); the extrapolation is Richardson's.

    Parameters
    ----------
    path
        Stationary trajectories, shape (trial, time, rank).
    every
        Sampling interval, time units.
    tensor
        G G^T as a function of arrays (..., rank).
    irreversible
        f_irr where it is known, for example `Irreversibility.irreversible`.
    rng
        Places features, draws the bootstrap over blocks of trials.

    Raises
    ------
    InputError
        Where the diffusion tensor is singular or the trajectories cannot be used.
    """
    check_positive("entropy_production_along", every=every)
    z = np.asarray(path, dtype=np.float64)
    if z.ndim != 3 or z.shape[0] < _FOLDS or z.shape[1] < 3 or not np.isfinite(z).all():
        raise InputError(
            f"entropy_production_along needs {_FOLDS} finite trajectories or more of 3 samples or more, "
            f"shape (trial, time, rank); got shape {z.shape}."
        )
    blocks = np.array_split(np.arange(len(z)), min(_BLOCKS, len(z)))
    if irreversible is not None:
        values = np.array([_gain(z[b], every, tensor, irreversible)[0] for b in blocks])
    else:
        fits = [_left_out(z, every, tensor, blocks, choice, rng) for choice in _FEATURES]
        values, _ = max(fits, key=lambda fit: fit[1])
    return Estimate.of_blocks(values, np.array([float(len(b)) for b in blocks]), rng)


def _velocity_product(
    weight: Float[np.ndarray, "sample left"], z: Float[np.ndarray, "trial time rank"], every: float
) -> Float[np.ndarray, "left rank"]:
    """Mean of `weight` o dz / dt, shape (left, rank), extrapolated to steps of no length."""
    folded = weight.reshape(*z.shape[:2], -1)
    mean = []
    for lag in (1, 2):
        middle = 0.5 * (folded[:, lag:] + folded[:, :-lag]).reshape(-1, folded.shape[-1])
        step = (z[:, lag:] - z[:, :-lag]).reshape(-1, z.shape[-1])
        mean.append(middle.T @ step / (lag * every * len(step)))
    return 2 * mean[0] - mean[1]


def _gain(z: Float[np.ndarray, "trial time rank"], every: float, tensor: Tensor, field: Drift) -> tuple[float, float]:
    """Mean of F D^-1 o dz / dt, and of F D^-1 F."""
    flow = field(z)
    force = np.linalg.solve(diffusivity(tensor, z), flow[..., None])[..., 0]
    current = np.trace(_velocity_product(force, z, every))
    return float(current), float((force * flow).sum(axis=-1).mean())


def _left_out(
    z: Float[np.ndarray, "trial time rank"],
    every: float,
    tensor: Tensor,
    blocks: list[np.ndarray],
    choice: tuple[int, float],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " block"], float]:
    """Estimate of each block of trials by a fit to the other folds; how good the fits are."""
    points = z.reshape(-1, z.shape[-1])
    features = Features.on(points[:: -(-len(points) // 20000)], bumps=choice[0], width=choice[1], rng=rng)
    sums = [_moments(features, z[block], every) for block in blocks]
    fold = np.arange(len(blocks)) * _FOLDS // len(blocks)
    values, score = np.empty(len(blocks)), 0.0
    for number in range(_FOLDS):
        gram = np.sum([g for (g, _), f in zip(sums, fold, strict=True) if f != number], axis=0)
        product = np.sum([p for (_, p), f in zip(sums, fold, strict=True) if f != number], axis=0)
        weights = np.linalg.solve(gram + _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), product)
        for index in np.flatnonzero(fold == number):
            current, power = _gain(z[blocks[index]], every, tensor, lambda x, w=weights: _with_one(features, x) @ w)
            values[index] = current
            score += 2 * current - power  # Phi less the squared error of the fit
    return values, score


def _moments(
    features: Features, z: Float[np.ndarray, "trial time rank"], every: float
) -> tuple[Float[np.ndarray, "feature feature"], Float[np.ndarray, "feature rank"]]:
    """Sums over trials of the means over time of features times features, and times the velocity."""
    phi = _with_one(features, z).reshape(-1, features.count + 1)
    return len(z) * (phi.T @ phi) / len(phi), len(z) * _velocity_product(phi, z, every)


def _with_one(features: Features, z: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... feature"]:
    values = features.value(z)
    return np.concatenate([np.ones((*values.shape[:-1], 1)), values], axis=-1)
