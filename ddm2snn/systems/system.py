"""The target of training: a stochastic differential equation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.errors import InputError
from ddm2snn.systems.user_functions import of_points, refuse_dependence_on_time, values_of, with_time

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.scales import Scales

    Latents = Float[np.ndarray, "... rank"]
    Tensors = Float[np.ndarray, "... rank rank"]
    States = Float[np.ndarray, "sample rank"]
    Paths = Float[np.ndarray, "trial time rank"]

Drift = Callable[["Latents"], "Latents"]
Factor = Callable[["Latents"], "Tensors"]
Sampler = Callable[[np.random.Generator, int], "States"]


@dataclass(frozen=True, eq=False)
class System:
    r"""A target SDE :math:`dz = f(z)\,dt + G(z)\,dw` in the sense of Ito, in the user's own units.

    Parameters
    ----------
    name, rank
        Name in files and reports, and dimension of z.
    drift
        f on arrays (..., rank).
    diffusion
        The factor G: a number (times the identity), a (rank, rank) matrix, or a function of arrays
        (..., rank) that returns (..., rank, rank); the tensor is G G^T.
    initial
        Draws starting points: ``initial(rng, count)`` of shape (count, rank). By default they are looked for at every
        size; give them where states lie in several basins, or where the drift is not defined around zero.
    time_scale
        Units of the system's time in one rate time unit; found from how fast the states move where it is None.
    domain
        Lowest and highest value of each latent, of shape (rank,), between which drift and diffusion must hold too,
        such as where inputs lead; by default they must around the stationary states alone.
    units
        Number of rate units that training uses unless told.
    known
        What is known in closed form or from the literature, for tests and reports.
    summary
        One line with the equation and its source.
    latent_names
        Name of each latent with its unit, such as ``("V (mV)", "w")``, for the axes of figures.

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
    time_scale: float | None = None
    units: int = 128
    known: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    domain: tuple[Float[np.ndarray, " rank"], Float[np.ndarray, " rank"]] | None = None
    latent_names: tuple[str, ...] = ()

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        object.__setattr__(self, "rank", as_count("System.rank", self.rank))
        object.__setattr__(self, "units", as_count("System.units", self.units))
        if self.time_scale is not None:
            check_positive("System", time_scale=self.time_scale)
        object.__setattr__(self, "latent_names", tuple(map(str, self.latent_names)))
        if self.latent_names and len(self.latent_names) != self.rank:
            raise InputError(f"System.latent_names must be {self.rank} names, got {self.latent_names}.")
        if not callable(self.drift):
            raise InputError(f"System.drift must be a function of arrays (..., rank), got {self.drift!r}.")
        if not callable(self.diffusion):
            object.__setattr__(self, "diffusion", self._constant_factor(self.diffusion))
        object.__setattr__(self, "known", MappingProxyType(dict(self.known)))
        if self.domain is not None:
            low, high = (np.broadcast_to(np.asarray(bound, dtype=np.float64), self.rank) for bound in self.domain)
            if not (np.isfinite(high - low).all() and (low < high).all()):
                raise InputError(f"System.domain must be lowest < highest for each latent, got {self.domain}.")
            object.__setattr__(self, "domain", (low, high))

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
    def has_scales(self) -> bool:
        """Whether the system says itself where it starts and how fast it is, so that neither is looked for."""
        return self.time_scale is not None and self.initial is not None

    @property
    def constant_factor(self) -> Float[np.ndarray, "rank rank"] | None:
        """The factor G where it does not depend on the state, else None."""
        return None if callable(self.diffusion) else np.asarray(self.diffusion)

    @property
    def noise(self) -> Float[np.ndarray, "rank rank"] | Factor:
        """Factor as `ddm2snn.systems.integration.integrate` takes it: the matrix, or the checked function."""
        constant = self.constant_factor
        return self.factor if constant is None else constant

    def factor(self, latent: Latents) -> Tensors:
        """Factor G at `latent`, shape (..., rank, rank); a function that returns another shape is refused."""
        shape = (*np.shape(latent), self.rank)
        if not callable(self.diffusion):
            return np.broadcast_to(np.asarray(self.diffusion), shape)
        return values_of(self.diffusion, f"System {self.name}: diffusion", latent, shape)

    def starts(self, rng: np.random.Generator, count: int) -> States:
        """Draw `count` starting points, shape (count, rank)."""
        drawn = rng.standard_normal((count, self.rank)) if self.initial is None else self.initial(rng, count)
        points = np.asarray(drawn, dtype=np.float64)
        if points.shape != (count, self.rank):
            raise InputError(f"System.initial must return shape ({count}, {self.rank}), got {points.shape}.")
        return points

    def checked_drift(self, latent: Latents) -> Latents:
        """Drift f at `latent`, shape (..., rank); a function that returns another shape is refused."""
        return values_of(self.drift, f"System {self.name}: drift", latent, np.shape(latent))

    def in_scales(self, scales: Scales) -> System:
        """The same system in internal coordinates ``z = (latent - origin) / size`` and internal time."""
        origin, size, time = scales.origin, scales.size, scales.time
        if scales.trivial:
            return replace(self, time_scale=1.0)
        pool, factor, root = scales.states, self.constant_factor, float(np.sqrt(time))

        def initial(rng: np.random.Generator, count: int) -> States:
            if pool is not None:
                return pool[rng.integers(len(pool), size=count)]
            starts = self.starts(rng, count)
            return starts if self.initial is None else (starts - origin) / size

        def inner_factor(z: Latents) -> Tensors:
            return self.factor(origin + size * z) * (root / size[:, None])

        return replace(
            self,
            drift=lambda z: self.checked_drift(origin + size * z) * (time / size),
            diffusion=inner_factor if factor is None else factor * (root / size[:, None]),
            initial=initial,
            time_scale=1.0,
            domain=None if self.domain is None else tuple((bound - origin) / size for bound in self.domain),
        )

    def in_time(self, time_scale: float) -> System:
        """The same system with `time_scale` units of its time as its new unit."""
        if time_scale == 1.0:
            return self
        factor, root = self.constant_factor, float(np.sqrt(time_scale))
        diffusion = root * factor if factor is not None else lambda z: root * self.factor(z)
        return replace(self, drift=lambda z: time_scale * self.checked_drift(z), diffusion=diffusion, time_scale=1.0)

    @classmethod
    def from_pointwise(
        cls,
        function: Callable[..., Any],
        *,
        rank: int,
        name: str | None = None,
        **others: Any,  # noqa: ANN401
    ) -> System:
        """System whose drift is written for one point: f(z), or f(t, z) as SciPy's solvers take it.

        The function takes a point of shape (rank,) and returns rank numbers as an array, a list or a tensor of torch.
        It may be compiled by Numba. It is called once for many points where that gives the same, else once for each.
        By default the name is that of the function. The others are parameters of `System`, the diffusion among them.

        Raises
        ------
        InputError
            Where f(t, z) depends on t, or fails.

        Examples
        --------
        >>> def van_der_pol(t, z):
        ...     x, y = z
        ...     return [y, (1 - x**2) * y - x]
        >>> System.from_pointwise(van_der_pol, rank=2, diffusion=0.1).checked_drift(np.ones((3, 2))).tolist()
        [[1.0, -1.0], [1.0, -1.0], [1.0, -1.0]]
        """
        name = _name_of(function) if name is None else name
        timed = with_time(function)
        if timed is function:
            refuse_dependence_on_time(timed, rank, name)
        return cls(name=name, rank=rank, drift=of_points(timed, rank), **others)


def forced(
    function: Callable[..., Any],
    *,
    period: float,
    rank: int,
    diffusion: float | Float[np.ndarray, "rank rank"] = 0.0,
    name: str | None = None,
    **others: Any,  # noqa: ANN401 - parameters of System
) -> System:
    r"""System that is driven periodically: its phase becomes two more latents, :math:`(\cos, \sin)` of it.

    .. math:: dz = f(t, z)\,dt + G\,dw, \qquad t = \theta / \omega, \qquad \omega = 2\pi / \text{period}, \\
        \dot c = -\omega s + \omega (1 - c^2 - s^2) c, \qquad \dot s = \omega c + \omega (1 - c^2 - s^2) s.

    Parameters
    ----------
    function
        f(t, z) of one point z of shape (rank,), without the latents of the phase.
    period
        Period of f in t, in units of the system's time.
    rank, diffusion
        Number of latents without those of the phase, and their diffusion, a number or a matrix; the phase has no noise.
    name
        Name of the system; by default that of the function.
    others
        Further parameters of `System`.

    Returns
    -------
    System
        The system, whose rank is `rank` + 2.

    Raises
    ------
    InputError
        Where the period is no number above zero, or `System` refuses a parameter.

    Examples
    --------
    >>> def duffing(t, z):
    ...     x, v = z
    ...     return [v, x - x**3 - 0.3 * v + 0.5 * np.cos(1.2 * t)]
    >>> system = forced(duffing, period=2 * np.pi / 1.2, rank=2, diffusion=0.02)
    >>> system
    System(name='duffing', rank=4, diffusion=constant, units=128, known=[])
    >>> system.checked_drift(np.array([0.0, 0.0, 1.0, 0.0])).round(3).tolist()  # at phase zero
    [0.0, 0.5, 0.0, 1.2]
    """
    check_positive("forced", period=period)
    if callable(diffusion):
        raise InputError("forced takes a constant diffusion, a number or a matrix, got a function.")
    name = _name_of(function) if name is None else name
    inner, omega = of_points(function, rank), 2.0 * np.pi / period

    def drift(z: Latents) -> Latents:
        cosine, sine = z[..., rank], z[..., rank + 1]
        driven = inner(z[..., :rank], np.arctan2(sine, cosine) % (2.0 * np.pi) / omega)
        back = omega * (1.0 - cosine**2 - sine**2)
        phase = [back * cosine - omega * sine, back * sine + omega * cosine]
        return np.concatenate([driven, np.stack(phase, axis=-1)], axis=-1)

    factor = np.zeros((rank + 2, rank + 2))
    factor[:rank, :rank] = System(name=name, rank=rank, drift=inner, diffusion=diffusion).constant_factor
    return System(name=name, rank=rank + 2, drift=drift, diffusion=factor, **others)


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", "own")).strip("<>")
