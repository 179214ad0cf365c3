"""Fixed points of a drift with their stability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.analysis.flow import Jacobian, central_jacobian
from ddm2snn.base.arrays import freeze_arrays
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift, States

_HYPERBOLIC = 1e-6  # real parts below this share of the largest eigenvalue decide nothing
_ITERATIONS = 60
_REACH = 1.5  # half widths of the range of the starts


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """A zero of the drift.

    Its `place` is in the units of the drift's argument, the `jacobian` of the drift there per time unit.
    """

    place: Float[np.ndarray, " rank"]
    jacobian: Float[np.ndarray, "rank rank"]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def __repr__(self) -> str:
        place = ", ".join(f"{coordinate:.3g}" for coordinate in np.round(self.place, 12) + 0.0)
        return f"FixedPoint(kind={self.kind!r}, place=[{place}])"

    @property
    def eigenvalues(self) -> np.ndarray:
        """Complex eigenvalues of the Jacobian, per time unit, by falling real part."""
        values = np.linalg.eigvals(self.jacobian).astype(complex)
        return values[np.lexsort((-np.imag(values), -np.real(values)))]

    @property
    def kind(self) -> str:
        """Stable or unstable node or focus, saddle, saddle focus, centre, or not hyperbolic.

        Source: Strogatz, Nonlinear Dynamics and Chaos, chapter 5.
        """
        values = self.eigenvalues
        size = np.abs(values).max()
        growth, turn = np.real(values), np.imag(values)
        turning = bool((np.abs(turn) > _HYPERBOLIC * size).any())
        resting = np.abs(growth) <= _HYPERBOLIC * size
        if resting.any():
            return "centre" if len(values) == 2 and turning else "not hyperbolic"
        if (growth < 0).all():
            return "stable focus" if turning else "stable node"
        if (growth > 0).all():
            return "unstable focus" if turning else "unstable node"
        return "saddle focus" if turning else "saddle"

    def as_json(self) -> dict[str, Any]:
        """Place, kind and eigenvalues as JSON values."""
        return {
            "place": self.place.tolist(),
            "kind": self.kind,
            "eigenvalues": [{"real": float(v.real), "imaginary": float(v.imag)} for v in self.eigenvalues],
        }


def find_fixed_points(drift: Drift, starts: States, *, jacobian: Jacobian | None = None) -> tuple[FixedPoint, ...]:
    """Zeros of a drift by damped Newton iteration from many starts at once.

    Each start follows the Newton direction, its length halved until the residual falls (Nocedal, Wright,
    Numerical Optimization, section 11.2). Zeros closer together than 1e-6 of the spread of the starts are
    one. A search from samples can miss zeros. Zeros further from the middle of the starts than 1.5 half widths of
    their range are left out: a trained drift is not fitted there.

    Without a `jacobian` of the drift its central differences are taken.

    Raises
    ------
    InputError
        Where the starts are no array (sample, rank) of finite numbers.

    Examples
    --------
    >>> for point in find_fixed_points(lambda z: z - z**3, np.linspace(-1.5, 1.5, 20)[:, None]):
    ...     print(point)
    FixedPoint(kind='stable node', place=[-1])
    FixedPoint(kind='unstable node', place=[0])
    FixedPoint(kind='stable node', place=[1])
    """
    z = np.array(starts, dtype=np.float64)
    if z.ndim != 2 or 0 in z.shape or not np.isfinite(z).all():
        raise InputError(f"find_fixed_points needs finite starts of shape (sample, rank), got shape {z.shape}.")
    slopes = jacobian or central_jacobian(drift)
    low, high = z.min(axis=0), z.max(axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2, 1e-9 * (1 + np.abs(low)))
    typical = np.linalg.norm(drift(z) / half, axis=1).max()
    with np.errstate(all="ignore"):  # a start that runs away does not arrive, see below
        for _ in range(_ITERATIONS):
            z = _damped_step(drift, slopes, z, half)
        residual = np.linalg.norm(drift(z) / half, axis=1)
        arrived = (residual <= 1e-9 * max(typical, 1e-300)) & (np.abs((z - middle) / half) <= _REACH).all(axis=1)
    places = _distinct(z[arrived], half)
    return tuple(FixedPoint(place=place, jacobian=slopes(place)) for place in places)


def _damped_step(drift: Drift, jacobian: Jacobian, z: States, half: Float[np.ndarray, " rank"]) -> States:
    """One Newton step of each point, no longer than the range, halved until the residual falls."""
    value = drift(z)
    # the pseudo-inverse, since a solver would stop at any singular Jacobian
    slopes = np.nan_to_num(jacobian(z), posinf=0.0, neginf=0.0)
    step = -np.einsum("sij,sj->si", np.linalg.pinv(slopes), value)
    step /= np.maximum(1.0, np.linalg.norm(step / half, axis=1, keepdims=True))
    size = np.linalg.norm(value / half, axis=1)
    best, share = z.copy(), 1.0
    unmoved = np.ones(len(z), dtype=bool)
    for _ in range(12):
        candidate = z[unmoved] + share * step[unmoved]
        better = np.linalg.norm(drift(candidate) / half, axis=1) < size[unmoved]
        moved = np.flatnonzero(unmoved)[better]
        best[moved] = candidate[better]
        unmoved[moved] = False
        share /= 2
        if not unmoved.any():
            break
    return best


def _distinct(points: States, half: Float[np.ndarray, " rank"]) -> list[np.ndarray]:
    """Points that are further than 1e-6 half widths from every earlier one, in lexical order."""
    distinct: list[np.ndarray] = []
    for point in points:
        if all(np.abs((point - other) / half).max() > 1e-6 for other in distinct):
            distinct.append(point)
    return sorted(distinct, key=lambda place: tuple(np.round(place / half, 6)))
