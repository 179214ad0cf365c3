"""The target of training: a stochastic differential equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.frozen import as_count

if TYPE_CHECKING:
    from jaxtyping import Float

Drift = Callable[["Float[np.ndarray, '... rank']"], "Float[np.ndarray, '... rank']"]
Sampler = Callable[[np.random.Generator, int], "Float[np.ndarray, 'sample rank']"]


def _standard_normal(rank: int) -> Sampler:
    return lambda rng, count: rng.standard_normal((count, rank))


@dataclass(frozen=True, eq=False)
class System:
    r"""A target SDE :math:`dz = f(z)\,dt + G\,dw` in the user's own units.

    Parameters
    ----------
    name
        Lower-case name.
    rank
        Dimension k of z.
    drift
        f on arrays (..., rank).
    diffusion
        The factor G: a number (times the identity) or a (rank, rank) matrix; the tensor is G G^T.
    initial
        Draws starting points: ``initial(rng, count)`` of shape (count, rank); standard normal by default.
    units
        Number of rate units that training uses unless told.
    known
        What is known in closed form or from the literature, for tests and reports.
    summary
        One line with the equation and its source.
    """

    name: str
    rank: int
    drift: Drift
    diffusion: float | Float[np.ndarray, "rank rank"] = 0.0
    initial: Sampler | None = None
    units: int = 128
    known: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", as_count("System.rank", self.rank))
        object.__setattr__(self, "units", as_count("System.units", self.units))
        if not callable(self.drift):
            raise InputError(f"System.drift must be a function of arrays (..., rank), got {self.drift!r}.")
        factor = self._factor()
        factor.setflags(write=False)
        object.__setattr__(self, "diffusion", factor)
        object.__setattr__(self, "known", MappingProxyType(dict(self.known)))

    def _factor(self) -> Float[np.ndarray, "rank rank"]:
        if callable(self.diffusion):
            raise InputError("System.diffusion as a function of z is not supported yet; give a number or a matrix.")
        try:
            factor = np.array(self.diffusion, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"System.diffusion must be a number or a matrix, got {self.diffusion!r}.") from error
        if not np.isfinite(factor).all():
            raise InputError("System.diffusion holds NaN or infinity; every entry must be finite.")
        if factor.ndim == 0:
            factor = factor * np.eye(self.rank)
        if factor.shape != (self.rank, self.rank):
            raise InputError(f"System.diffusion must have shape ({self.rank}, {self.rank}), got {factor.shape}.")
        return factor

    @property
    def diffusion_factor(self) -> Float[np.ndarray, "rank rank"]:
        """The factor G."""
        return np.asarray(self.diffusion)

    def starts(self, rng: np.random.Generator, count: int) -> Float[np.ndarray, "sample rank"]:
        """Draw `count` starting points."""
        points = np.asarray((self.initial or _standard_normal(self.rank))(rng, count), dtype=np.float64)
        if points.shape != (count, self.rank):
            raise InputError(f"System.initial must return shape ({count}, {self.rank}), got {points.shape}.")
        return points

    def checked_drift(self, latent: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "... rank"]:
        """Drift at `latent`, refused where the user's function returns another shape."""
        with np.errstate(all="ignore"):
            values = np.asarray(self.drift(latent), dtype=np.float64)
        if values.shape != np.shape(latent):
            raise InputError(
                f"System {self.name}: drift of an array {np.shape(latent)} has shape {values.shape}. "
                "It must act on arrays (..., rank) and return the same shape."
            )
        return values
