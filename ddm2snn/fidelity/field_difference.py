"""Difference between the drift and diffusion fields of two processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.battery import field_lag
from ddm2snn.fidelity.kramers_moyal import Field, FieldSums, estimate_field, field_grid, lagged_sums

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.recording import Recording


@dataclass(frozen=True, eq=False)
class FieldDifference:
    """Drift bias and diffusion of a test relative to a reference, over the cells that both visit.

    Parameters
    ----------
    drift_rmse
        Root-mean-square difference of the drifts over the reference's root-mean-square drift.
    drift_floor
        What sampling alone makes of it, from the standard errors.
    drift_bias
        The root of the squares' difference, zero where the rmse does not exceed its floor.
    drift_scale
        Regression of the test's drift on the reference's: 0.95 for a process that is 5 % slower everywhere.
    drift_shift
        Mean difference of the drifts, in system units per rate time unit, shape (rank,).
    diffusion_ratio
        Trace of the test's diffusion tensor over the reference's, both in the reference's standard units.
    diffusion_test, diffusion_reference
        Mean tensors G G^T, shape (rank, rank).
    cells, share
        Cells compared, and the share of the reference's samples that lie in them.
    """

    drift_rmse: float
    drift_floor: float
    drift_bias: float
    drift_scale: float
    drift_shift: Float[np.ndarray, " rank"]
    diffusion_ratio: float
    diffusion_test: Float[np.ndarray, "rank rank"]
    diffusion_reference: Float[np.ndarray, "rank rank"]
    cells: int
    share: float

    def as_json(self) -> dict[str, Any]:
        """Numbers and lists."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


def recorded_differences(
    reference: Recording, tests: Mapping[str, Recording], burn_in: float = 0.0
) -> tuple[float, dict[str, FieldDifference]]:
    """Differences of the fields of recordings, by name, and the lag in rate time units at which they were measured.

    Those that cannot be compared, for want of samples in any cell or of few enough latents, are left out.
    """
    start = round(burn_in / reference.every) if burn_in else 0
    samples = reference.samples[:, start:]
    lag = field_lag(samples)
    found = {}
    try:
        grid = field_grid(samples)
        known = lagged_sums(samples, reference.every, grid, lag)
    except InputError:
        return lag * reference.every, {}
    for name, test in tests.items():
        try:
            sums = lagged_sums(test.samples[:, start:], reference.every, grid, lag)
            found[name] = field_difference(sums, known)
        except InputError:
            continue
    return lag * reference.every, found


def field_difference(
    test: FieldSums,
    reference: FieldSums,
    weights: Float[np.ndarray, " trial"] | None = None,
    *,
    fewest: int = 100,
) -> FieldDifference:
    r"""Compare fields over the cells in which either process has at least `fewest` samples.

    .. math:: r^2 = \frac{\sum_c w_c |\hat f_c - \hat g_c|^2}{\sum_c w_c (|\hat g_c|^2 - \operatorname{se}^2_c)},
        \qquad \text{floor}^2 = \frac{\sum_c w_c (\operatorname{se}^2(\hat f_c) + \operatorname{se}^2(\hat g_c))}
        {\sum_c w_c (|\hat g_c|^2 - \operatorname{se}^2_c)}

    with f the test's drift, g the reference's, both per standard deviation of the latents, and w_c the
    reference's samples per cell. Where the two processes populate a cell unevenly, f is moved to the mean position
    of the reference's samples along the slope of g within the cell, and the floor grows by what that slope does not
    know.

    Parameters
    ----------
    test, reference
        Of `field_sums` on the same grid with the same order.
    weights
        Of the test's trials, for resampling; by default each counts once.
    fewest
        Samples that a cell must hold of either process.

    Raises
    ------
    InputError
        Where no cell holds enough samples of both, or the grids differ.
    """
    if test.count.shape[1] != reference.count.shape[1] or (test.grid.low != reference.grid.low).any():
        raise InputError("field_difference needs sums on one grid; make both with the reference's field_grid.")
    f, g = estimate_field(test, weights), estimate_field(reference)
    chosen = f.settled(fewest) & g.settled(fewest)
    if not chosen.any():
        raise InputError(
            f"No cell holds {fewest} samples of both recordings. Record longer, or use fewer bins in field_grid."
        )
    scale = (reference.grid.high - reference.grid.low) / 4
    square, floor, size, scaling, shift = _drift_difference(test, reference, weights, (f, g), chosen, scale)
    weight = g.count[chosen] / g.count[chosen].sum()
    tensors = [np.tensordot(weight, field.diffusion[chosen], axes=1) for field in (f, g)]
    of_test, of_reference = (float((np.diag(tensor) / scale**2).sum()) for tensor in tensors)
    return FieldDifference(
        drift_rmse=float(np.sqrt(square / size)),
        drift_floor=float(np.sqrt(floor / size)),
        drift_bias=float(np.sqrt(max(0.0, square - floor) / size)),
        drift_scale=scaling / size,
        drift_shift=shift,
        diffusion_ratio=of_test / of_reference if of_reference > 0 else float("nan"),
        diffusion_test=tensors[0],
        diffusion_reference=tensors[1],
        cells=int(chosen.sum()),
        share=float(g.count[chosen].sum() / reference.count.sum()),
    )


def _drift_difference(
    test: FieldSums,
    reference: FieldSums,
    weights: Float[np.ndarray, " trial"] | None,
    fields: tuple[Field, Field],
    chosen: Bool[np.ndarray, " cell"],
    scale: Float[np.ndarray, " rank"],
) -> tuple[float, float, float, float, Float[np.ndarray, " rank"]]:
    """Mean squares of the difference, of its standard error and of the reference's drift; product; mean difference."""
    f, g = fields
    slope, inverse = _slopes(g, reference)
    slope = inverse @ slope
    offset = (f.position - g.position)[chosen]
    error = _residual_variance(test, f, slope, weights)[chosen] / scale**2
    known_error = _residual_variance(reference, g, slope, None)[chosen] / scale**2
    drift = (f.drift[chosen] - np.einsum("ci,cij->cj", offset, slope[chosen])) / scale
    known = g.drift[chosen] / scale
    extra = known_error * np.einsum("ci,cij,cj->c", offset, inverse[chosen], offset)[:, None]
    weight = g.count[chosen] / g.count[chosen].sum()

    def mean(values: np.ndarray) -> float:
        return float(weight @ values.sum(axis=-1))

    size = max(mean(known**2 - known_error), np.finfo(float).tiny)
    floor = mean(error + known_error + extra)
    return mean((drift - known) ** 2), floor, size, mean(drift * known), weight @ (drift - known) * scale


def _slopes(
    field: Field, sums: FieldSums
) -> tuple[Float[np.ndarray, "cell rank rank"], Float[np.ndarray, "cell rank rank"]]:
    """Covariance of position and drift within each cell, and the inverse covariance of position."""
    count = np.maximum(field.count, 1.0)[:, None, None]
    position, drift = sums.position.sum(axis=0)[..., None] / count, sums.drift.sum(axis=0)[:, None] / count
    spread = sums.spread.sum(axis=0) / count - position * np.swapaxes(position, 1, 2)
    slope = sums.slope.sum(axis=0) / count - position * drift
    least = 1e-3 * sums.grid.width**2 / 12  # of an even spread: noiseless chaos fills cells with a thin sheet
    return slope, np.linalg.inv(spread + np.diag(least))


def _residual_variance(
    sums: FieldSums,
    field: Field,
    slope: Float[np.ndarray, "cell rank rank"],
    weights: Float[np.ndarray, " trial"] | None,
) -> Float[np.ndarray, "cell rank"]:
    """Squared standard error of the drift at a fixed position: what positions within the cell explain is left out."""
    weight = np.ones(len(sums.count)) if weights is None else weights
    with np.errstate(divide="ignore", invalid="ignore"):
        about = sums.drift - sums.count[..., None] * field.drift
        where = sums.position - sums.count[..., None] * (field.position - sums.grid.centres)
        residual = about - np.einsum("tci,cij->tcj", where, slope)
        visitors = (weight > 0) @ (sums.count > 0).astype(np.float64)
        factor = visitors / (visitors - 1) / field.count**2
        return factor[:, None] * np.tensordot(weight, residual**2, axes=1)
