"""Lyapunov spectra of noise-free flows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.analysis.jacobian import Jacobian, central_jacobian
from ddm2snn.base.arrays import as_count, check_positive, freeze_arrays
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Drift


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """Lyapunov exponents, per time unit, by falling value.

    Parameters
    ----------
    exponents
        Mean over trajectories, shape (rank,).
    standard_error
        Of these means, from the scatter over independent trajectories, shape (rank,).

    Examples
    --------
    >>> lorenz = LyapunovSpectrum(np.array([0.906, 0.0, -14.572]), np.zeros(3))
    >>> lorenz
    LyapunovSpectrum(exponents=[0.906, 0, -14.6])
    >>> round(lorenz.kaplan_yorke_dimension, 3)
    2.062
    """

    exponents: Float[np.ndarray, " rank"]
    standard_error: Float[np.ndarray, " rank"]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def __repr__(self) -> str:
        return f"LyapunovSpectrum(exponents=[{', '.join(f'{value:.3g}' for value in self.exponents)}])"

    @property
    def kaplan_yorke_dimension(self) -> float:
        """Kaplan-Yorke dimension: where the sum of the leading exponents, interpolated, falls below zero."""
        total = np.cumsum(self.exponents)
        count = int((np.maximum.accumulate(total < 0)).argmax()) if (total < 0).any() else len(total)
        if count in (0, len(total)):
            return float(count)
        return count + float(total[count - 1] / -self.exponents[count])

    def as_json(self) -> dict[str, Any]:
        """Exponents, standard errors and dimension as JSON values."""
        return {
            "exponents": self.exponents.tolist(),
            "standard_error": self.standard_error.tolist(),
            "kaplan_yorke_dimension": self.kaplan_yorke_dimension,
        }


def lyapunov_spectrum(
    drift: Drift,
    starts: Float[np.ndarray, "trial rank"],
    *,
    dt: float,
    duration: float,
    burn_in: float,
    jacobian: Jacobian | None = None,
    stretch: int = 5,
    progress: Progress = no_progress,
) -> LyapunovSpectrum:
    r"""Lyapunov spectrum by orthonormalised tangent vectors along independent trajectories.

    State and tangent vectors, :math:`\dot z = f(z),\ \dot Q = J(z) Q`, take Runge-Kutta steps of order 4
    together; every `stretch` steps :math:`Q = Q' R` is orthonormalised, and the exponents are the mean of
    :math:`\log|R_{ii}|` over time. Source: Benettin, Galgani, Giorgilli, Strelcyn, Meccanica 15 (1980).

    Parameters
    ----------
    drift
        f on arrays (..., rank).
    starts
        Initial states, shape (trial, rank), two trials or more for a standard error.
    dt
        Time step.
    duration, burn_in
        Time that is averaged over and time before, in the time units of the drift.
    jacobian
        Jacobian of the drift; central differences by default.
    stretch
        Steps between orthonormalisations.
    progress
        Called with the finished share.

    Raises
    ------
    InputError
        Where a setting makes no sense or a trajectory leaves the range of finite numbers.

    Examples
    --------
    >>> matrix = np.array([[-1.0, 0.0], [0.0, -2.0]])
    >>> lyapunov_spectrum(lambda z: z @ matrix, np.ones((2, 2)), dt=0.05, duration=20.0, burn_in=20.0)
    LyapunovSpectrum(exponents=[-1, -2])
    """
    check_positive("lyapunov_spectrum", dt=dt, duration=duration)
    every = as_count("lyapunov_spectrum.stretch", stretch)
    z = np.array(starts, dtype=np.float64)
    if z.ndim != 2 or 0 in z.shape or not (np.isfinite(burn_in) and burn_in >= 0):
        raise InputError(
            f"lyapunov_spectrum needs starts of shape (trial, rank), got {z.shape}, and burn_in >= 0, got {burn_in}."
        )
    slopes = jacobian or central_jacobian(drift)
    q = np.broadcast_to(np.eye(z.shape[1]), (*z.shape, z.shape[1])).copy()
    before, rounds = int(np.ceil(burn_in / dt / every)), max(1, round(duration / dt / every))
    growth = np.zeros_like(z)
    for turn in range(before + rounds):
        for _ in range(every):
            z, q = _tangent_step(drift, slopes, z, q, dt)
        if not np.isfinite(z).all():
            raise InputError(
                f"A trajectory left the range of finite numbers by time {turn * every * dt:g}. Use a shorter step dt."
            )
        q, r = np.linalg.qr(q)
        if turn >= before:
            # a direction that shrinks to nothing would give minus infinity
            growth += np.log(np.maximum(np.abs(np.diagonal(r, axis1=-2, axis2=-1)), 1e-300))
        if turn % 64 == 0:
            progress(turn / (before + rounds))
    progress(1.0)
    each = growth / (rounds * every * dt)
    order = np.argsort(-each.mean(axis=0), kind="stable")
    error = each.std(axis=0, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.zeros(z.shape[1])
    return LyapunovSpectrum(exponents=each.mean(axis=0)[order], standard_error=error[order])


def _tangent_step(
    drift: Drift,
    jacobian: Jacobian,
    z: Float[np.ndarray, "trial rank"],
    q: Float[np.ndarray, "trial rank rank"],
    dt: float,
) -> tuple[Float[np.ndarray, "trial rank"], Float[np.ndarray, "trial rank rank"]]:
    """One Runge-Kutta step of order 4 of states and tangent vectors together."""
    k1, m1 = drift(z), jacobian(z) @ q
    middle = z + 0.5 * dt * k1
    k2, m2 = drift(middle), jacobian(middle) @ (q + 0.5 * dt * m1)
    middle = z + 0.5 * dt * k2
    k3, m3 = drift(middle), jacobian(middle) @ (q + 0.5 * dt * m2)
    end = z + dt * k3
    k4, m4 = drift(end), jacobian(end) @ (q + dt * m3)
    return z + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4), q + dt / 6 * (m1 + 2 * m2 + 2 * m3 + m4)
