"""The target of training: a stochastic differential equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import as_count
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

Drift = Callable[["Float[np.ndarray, '... rank']"], "Float[np.ndarray, '... rank']"]
Factor = Callable[["Float[np.ndarray, '... rank']"], "Float[np.ndarray, '... rank rank']"]
Sampler = Callable[[np.random.Generator, int], "Float[np.ndarray, 'sample rank']"]


@dataclass(frozen=True, eq=False)
class System:
    r"""A target SDE :math:`dz = f(z)\,dt + G(z)\,dw` in the sense of Ito, in the user's own units.

    Parameters
    ----------
    name
        Lower-case name.
    rank
        Dimension k of z.
    drift
        f on arrays (..., rank).
    diffusion
        The factor G: a number (times the identity), a (rank, rank) matrix, or a function of arrays
        (..., rank) that returns (..., rank, rank); the tensor is G G^T.
    initial
        Draws starting points: ``initial(rng, count)`` of shape (count, rank); standard normal by default.
    units
        Number of rate units that training uses unless told.
    known
        What is known in closed form or from the literature, for tests and reports.
    summary
        One line with the equation and its source.

    Examples
    --------
    >>> decay = System(name="decay", rank=2, drift=lambda z: -z, diffusion=0.5)
    >>> decay
    System(name='decay', rank=2, diffusion=constant, units=128, known=[])
    >>> decay.factor(np.zeros(2))
    array([[0.5, 0. ],
           [0. , 0.5]])
    >>> decay.checked_drift(np.ones((3, 2))).shape
    (3, 2)
    """

    name: str
    rank: int
    drift: Drift
    diffusion: float | Float[np.ndarray, "rank rank"] | Factor = 0.0
    initial: Sampler | None = None
    units: int = 128
    known: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", as_count("System.rank", self.rank))
        object.__setattr__(self, "units", as_count("System.units", self.units))
        if not callable(self.drift):
            raise InputError(f"System.drift must be a function of arrays (..., rank), got {self.drift!r}.")
        if not callable(self.diffusion):
            object.__setattr__(self, "diffusion", self._constant_factor(self.diffusion))
        object.__setattr__(self, "known", MappingProxyType(dict(self.known)))

    def __repr__(self) -> str:
        diffusion = "constant" if self.constant_factor is not None else "by state"
        return (
            f"System(name={self.name!r}, rank={self.rank}, diffusion={diffusion}, units={self.units}, "
            f"known=[{', '.join(self.known)}])"
        )

    def _constant_factor(self, diffusion: object) -> Float[np.ndarray, "rank rank"]:
        """Number or matrix as a read-only matrix."""
        try:
            factor = np.array(diffusion, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"System.diffusion must be a number, a matrix or a function, got {diffusion!r}."
            ) from error
        if not np.isfinite(factor).all():
            raise InputError("System.diffusion holds NaN or infinity; every entry must be finite.")
        if factor.ndim == 0:
            factor = factor * np.eye(self.rank)
        if factor.shape != (self.rank, self.rank):
            raise InputError(f"System.diffusion must have shape ({self.rank}, {self.rank}), got {factor.shape}.")
        factor.setflags(write=False)
        return factor

    @property
    def constant_factor(self) -> Float[np.ndarray, "rank rank"] | None:
        """The factor G where it does not depend on the state, else None."""
        return None if callable(self.diffusion) else np.asarray(self.diffusion)

    @property
    def noise(self) -> Float[np.ndarray, "rank rank"] | Factor:
        """Factor as `ddm2snn.systems.integration.integrate` takes it: the matrix, or the checked function."""
        constant = self.constant_factor
        return self.factor if constant is None else constant

    def factor(self, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank rank"]:
        """Factor G at `latent`, shape (..., rank, rank).

        Raises
        ------
        InputError
            Where the user's function returns another shape.
        """
        shape = (*np.shape(latent), self.rank)
        if not callable(self.diffusion):
            return np.broadcast_to(np.asarray(self.diffusion), shape)
        with np.errstate(all="ignore"):
            values = np.asarray(self.diffusion(latent), dtype=np.float64)
        if values.shape != shape:
            raise InputError(
                f"System {self.name}: diffusion of an array {np.shape(latent)} has shape {values.shape}. "
                f"It must act on arrays (..., rank) and return (..., rank, rank), here {shape}."
            )
        return values

    def starts(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "sample rank"]:
        """Draw `count` starting points, shape (count, rank)."""
        drawn = rng.standard_normal((count, self.rank)) if self.initial is None else self.initial(rng, count)
        points = np.asarray(drawn, dtype=np.float64)
        if points.shape != (count, self.rank):
            raise InputError(f"System.initial must return shape ({count}, {self.rank}), got {points.shape}.")
        return points

    def checked_drift(self, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank"]:
        """Drift f at `latent`, shape (..., rank).

        Raises
        ------
        InputError
            Where the user's function returns another shape.
        """
        with np.errstate(all="ignore"):
            values = np.asarray(self.drift(latent), dtype=np.float64)
        if values.shape != np.shape(latent):
            raise InputError(
                f"System {self.name}: drift of an array {np.shape(latent)} has shape {values.shape}. "
                "It must act on arrays (..., rank) and return the same shape."
            )
        return values
