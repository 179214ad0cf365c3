"""Limit cycles of noise-free flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.analysis.flow import Jacobian, central_jacobian
from ddm2snn.base.arrays import check_positive, freeze_arrays
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift

_RELATIVE, _ABSOLUTE = 1e-9, 1e-11  # of the integrator; returns are compared a thousand times more coarsely
_CLOSED = 1e-6
_POINTS = 400


@dataclass(frozen=True, eq=False)
class LimitCycle:
    """An attracting periodic orbit.

    Its `period` is in time units of the drift. The `orbit` is equally spaced in time over one period; the last point
    meets the first. Of the complex Floquet `multipliers`, by falling size, one is 1, along the orbit; the others have a
    size below 1 where the cycle attracts.
    """

    period: float
    orbit: Float[np.ndarray, "time rank"]
    multipliers: np.ndarray

    def __post_init__(self) -> None:
        freeze_arrays(self)
        self.multipliers.setflags(write=False)

    def __repr__(self) -> str:
        return f"LimitCycle(period={self.period:.6g}, rank={self.orbit.shape[1]})"

    def as_json(self) -> dict[str, Any]:
        """Period, extremes and multipliers as JSON values."""
        return {
            "period": self.period,
            "minimum": self.orbit.min(axis=0).tolist(),
            "maximum": self.orbit.max(axis=0).tolist(),
            "floquet_multipliers": [{"real": float(m.real), "imaginary": float(m.imag)} for m in self.multipliers],
        }


def find_cycle(
    drift: Drift, start: Float[np.ndarray, " rank"], *, duration: float = 200.0, jacobian: Jacobian | None = None
) -> LimitCycle | None:
    r"""Limit cycle that the noise-free flow from `start` ends on; None where it ends on none.

    The first half of `duration` is left for transients. A plane through the point reached then, across the
    flow, is the Poincare section; its crossings are located by the integrator's events (DOP853, relative
    tolerance 1e-9). The flow is periodic where the last crossing equals an earlier one within 1e-6 of the
    size of the orbit, and the time between the two is the period. Floquet multipliers are the eigenvalues
    of M(T), :math:`\dot M = J(z(t)) M,\ M(0) = 1`. Source: Guckenheimer, Holmes, Nonlinear Oscillations
    (1983), section 1.5.

    The `duration`, in time units of the drift, must hold six periods at least. Without a `jacobian` of the drift its
    central differences are taken.

    Raises
    ------
    InputError
        Where a setting makes no sense or the flow leaves the range of finite numbers.

    Examples
    --------
    >>> def hopf(z):
    ...     turned = np.stack([-z[..., 1], z[..., 0]], axis=-1)
    ...     return z * (1.0 - (z**2).sum(axis=-1, keepdims=True)) + 2.0 * turned
    >>> find_cycle(hopf, np.array([0.5, 0.0]), duration=40.0)
    LimitCycle(period=3.14159, rank=2)
    """
    check_positive("find_cycle", duration=duration)
    z = np.array(start, dtype=np.float64)
    if z.ndim != 1 or not np.isfinite(z).all():
        raise InputError(f"find_cycle needs one finite start of shape (rank,), got shape {z.shape}.")
    settled = _flow(drift, z, duration / 2).y[:, -1]
    speed = np.linalg.norm(drift(settled))
    if speed * duration <= _CLOSED * max(1.0, np.abs(settled).max()):
        return None  # a fixed point
    times, crossings, size = _crossings(drift, settled, duration / 2)
    if len(times) < 2:
        return None
    gaps = np.linalg.norm(crossings[:-1] - crossings[-1], axis=1)
    equal = np.flatnonzero(gaps <= _CLOSED * size)
    if len(equal) == 0:
        return None
    period = float(times[-1] - times[equal[-1]])
    return _with_multipliers(drift, jacobian or central_jacobian(drift), crossings[-1], period)


def _flow(drift: Drift, start: np.ndarray, duration: float, **options: Any) -> Any:  # noqa: ANN401 - SciPy's result
    from scipy.integrate import solve_ivp

    solution = solve_ivp(
        lambda _, z: drift(z), (0.0, duration), start, method="DOP853", rtol=_RELATIVE, atol=_ABSOLUTE, **options
    )
    if not solution.success or not np.isfinite(solution.y).all():
        raise InputError(f"The noise-free flow could not be followed for {duration:g} time units: {solution.message}")
    return solution


def _crossings(
    drift: Drift, place: Float[np.ndarray, " rank"], duration: float
) -> tuple[Float[np.ndarray, " crossing"], Float[np.ndarray, "crossing rank"], float]:
    """Times and places of crossings, along the flow, of the plane through `place`; the size of the orbit."""
    normal = drift(place) / np.linalg.norm(drift(place))

    def section(_: float, z: np.ndarray) -> float:
        return float(normal @ (z - place))

    section.direction = 1.0  # pyright: ignore[reportFunctionMemberAccess] - SciPy reads this attribute
    solution = _flow(drift, place, duration, events=section)
    size = float(np.linalg.norm(np.ptp(solution.y, axis=1)))
    return solution.t_events[0], solution.y_events[0].reshape(-1, len(place)), size


def _with_multipliers(drift: Drift, jacobian: Jacobian, place: Float[np.ndarray, " rank"], period: float) -> LimitCycle:
    """Follow the orbit and its tangent map once around."""
    rank = len(place)

    def joint(packed: np.ndarray) -> np.ndarray:
        z, tangent = packed[:rank], packed[rank:].reshape(rank, rank)
        return np.concatenate([drift(z), (jacobian(z) @ tangent).ravel()])

    begin = np.concatenate([place, np.eye(rank).ravel()])
    solution = _flow(joint, begin, period, t_eval=np.linspace(0.0, period, _POINTS + 1))
    values = np.linalg.eigvals(solution.y[rank:, -1].reshape(rank, rank)).astype(complex)
    return LimitCycle(period, solution.y[:rank].T, values[np.lexsort((-np.imag(values), -np.abs(values)))])
