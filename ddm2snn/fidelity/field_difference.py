"""Difference between the drift and diffusion fields of two processes, for the report's table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.fidelity.measures import ReferenceSamples
from ddm2snn.fidelity.measures.drift_field import (
    Field,
    FieldSums,
    covariances,
    estimate_field,
    field_grid,
    field_sums,
)

if TYPE_CHECKING:
    from jaxtyping import Float

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
        Mean tensors of second differences, shape (rank, rank): G G^T and, in both, the bend of the drift over the lag,
        which `Diffusion` leaves out.
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

    def __repr__(self) -> str:
        """Leading numbers only."""
        return (
            f"FieldDifference(drift_rmse={self.drift_rmse:.3g}, drift_floor={self.drift_floor:.3g}, "
            f"drift_scale={self.drift_scale:.4g}, diffusion_ratio={self.diffusion_ratio:.4g}, cells={self.cells})"
        )

    def as_json(self) -> dict[str, Any]:
        """Numbers and lists."""
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}


def recorded_differences(
    reference: Recording, tests: Mapping[str, Recording], burn_in: float = 0.0
) -> tuple[float, dict[str, FieldDifference]]:
    """Lag in rate time units at which fields are measured, and the differences of recordings by name.

    Recordings that cannot be compared, for want of samples in any cell or of few enough latents, are left out.

    Examples
    --------
    >>> from ddm2snn.recording import Recording
    >>> def walk(seed):
    ...     z = np.zeros((8, 501, 1))
    ...     noise = np.random.default_rng(seed).standard_normal(z.shape)
    ...     for t in range(500):
    ...         z[:, t + 1] = 0.9 * z[:, t] + 0.4 * noise[:, t]
    ...     return Recording.from_arrays(z, every=0.1, time_unit_s=0.1)
    >>> lag, differences = recorded_differences(walk(0), {"again": walk(1)})
    >>> lag, 0.8 < differences["again"].diffusion_ratio < 1.2
    (0.1, True)
    """
    start = round(burn_in / reference.every) if burn_in else 0
    samples = reference.samples[:, start:]
    lag = ReferenceSamples.of([samples], reference.every).lag
    differences = {}
    try:
        grid = field_grid(samples)
        of_reference = field_sums(samples, reference.every, grid, lag)
    except InputError:
        return lag * reference.every, {}
    for name, test in tests.items():
        try:
            of_test = field_sums(test.samples[:, start:], reference.every, grid, lag)
            differences[name] = field_difference(of_test, of_reference)
        except InputError:
            continue
    return lag * reference.every, differences


def field_difference(test: FieldSums, reference: FieldSums, *, fewest: int = 100) -> FieldDifference:
    r"""Compare fields over the cells in which both processes have at least `fewest` samples.

    .. math:: r^2 = \frac{\sum_c w_c |\hat f_c - \hat g_c|^2}{\sum_c w_c (|\hat g_c|^2 - \operatorname{se}^2_c)},
        \qquad \text{floor}^2 = \frac{\sum_c w_c (\operatorname{se}^2(\hat f_c) + \operatorname{se}^2(\hat g_c))}
        {\sum_c w_c (|\hat g_c|^2 - \operatorname{se}^2_c)}

    with f the test's drift, g the reference's, both per standard deviation of the latents, and w_c the
    reference's samples per cell. Where the two processes populate a cell unevenly, f is moved to the mean position
    of the reference's samples along the slope of g within the cell, and the floor grows by what that slope does not
    know.

    Raises
    ------
    InputError
        Where no cell holds enough samples of both, or the grids differ.
    """
    if test.count.shape[1] != reference.count.shape[1] or (test.grid.low != reference.grid.low).any():
        raise InputError("field_difference needs sums on one grid; make both with the reference's field_grid.")
    f, g = estimate_field(test), estimate_field(reference)
    common = f.settled(fewest) & g.settled(fewest)
    if not common.any():
        raise InputError(
            f"No cell holds {fewest} samples of both recordings. Record longer, or use fewer bins in field_grid."
        )
    scale = (reference.grid.high - reference.grid.low) / 4
    slope, inverse = _slope(g, reference)
    offset = (f.position - g.position)[common]
    test_error = _residual_variance(test, f, slope)[common] / scale**2
    error = _residual_variance(reference, g, slope)[common] / scale**2
    moved = (f.drift[common] - np.einsum("ci,cij->cj", offset, slope[common])) / scale
    drift = g.drift[common] / scale
    of_slope = error * np.einsum("ci,cij,cj->c", offset, inverse[common], offset)[:, None]
    weight = g.count[common] / g.count[common].sum()

    def mean(values: np.ndarray) -> float:
        return float(weight @ values.sum(axis=-1))

    size = max(mean(drift**2 - error), np.finfo(float).tiny)
    floor, square = mean(test_error + error + of_slope), mean((moved - drift) ** 2)
    tensors = [np.tensordot(weight, field.diffusion[common], axes=1) for field in (f, g)]
    of_test, of_reference = (float((np.diag(tensor) / scale**2).sum()) for tensor in tensors)
    return FieldDifference(
        drift_rmse=float(np.sqrt(square / size)),
        drift_floor=float(np.sqrt(floor / size)),
        drift_bias=float(np.sqrt(max(0.0, square - floor) / size)),
        drift_scale=mean(moved * drift) / size,
        drift_shift=weight @ (moved - drift) * scale,
        diffusion_ratio=of_test / of_reference if of_reference > 0 else float("nan"),
        diffusion_test=tensors[0],
        diffusion_reference=tensors[1],
        cells=int(common.sum()),
        share=float(g.count[common].sum() / reference.count.sum()),
    )


def _slope(
    field: Field, sums: FieldSums
) -> tuple[Float[np.ndarray, "cell rank rank"], Float[np.ndarray, "cell rank rank"]]:
    """Regression of the drift on the position within each cell, and the inverse covariance of the position."""
    count = np.maximum(field.count, 1.0)
    position, drift = (total.sum(axis=0) / count[:, None] for total in (sums.position, sums.drift))
    spread, slope = covariances(count, position, drift, sums.spread.sum(axis=0), sums.slope.sum(axis=0))
    least = 1e-3 * sums.grid.width**2 / 12  # of an even spread: noiseless chaos fills cells with a thin sheet
    inverse = np.linalg.inv(spread + np.diag(least))
    return inverse @ slope, inverse


def _residual_variance(
    sums: FieldSums, field: Field, slope: Float[np.ndarray, "cell rank rank"]
) -> Float[np.ndarray, "cell rank"]:
    """Squared standard error of the drift at a fixed position: what positions within the cell explain is left out."""
    weight = np.ones(len(sums.count))
    with np.errstate(divide="ignore", invalid="ignore"):
        about = sums.drift - sums.count[..., None] * field.drift
        where = sums.position - sums.count[..., None] * (field.position - sums.grid.centres)
        residual = about - np.einsum("tci,cij->tcj", where, slope)
        visitors = weight @ (sums.count > 0)
        factor = visitors / (visitors - 1) / field.count**2
        return factor[:, None] * np.tensordot(weight, residual**2, axes=1)
