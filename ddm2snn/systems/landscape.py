"""Memories: minima of an energy in equilibrium, or places that a current visits in a fixed cyclic order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.systems.system import Latents


def quartic_wells(rank: int, noise: float = 0.5) -> System:
    r"""Wells at :math:`(\pm 1, \ldots, \pm 1)`: ``doublewell`` for rank 1, ``fourwell`` for rank 2.

    .. math:: f = -\nabla U, \quad U(z) = \sum_i \tfrac14 z_i^4 - \tfrac12 z_i^2, \qquad
        p(z) \propto e^{-2 U(z) / \sigma^2}

    An input u tilts the energy to U - u . z; above :math:`2/\sqrt{27}` in a dimension it leaves one well
    there. Source: the usual quartic double well, e.g. Gardiner, Handbook of Stochastic Methods, chapter 9.

    Examples
    --------
    >>> quartic_wells(1).known["memories"]
    array([[-1.],
           [ 1.]])
    >>> quartic_wells(2)
    System(name='fourwell', rank=2, diffusion=constant, units=128, known=[energy, memories])
    """
    check_positive("quartic_wells", noise=noise)
    name = {1: "doublewell", 2: "fourwell"}.get(rank, f"{2**rank}wells")
    return System(
        name=name,
        rank=rank,
        drift=lambda z: z - z * z * z,  # NumPy takes twenty times as long for z**3
        diffusion=noise,
        initial=lambda rng, count: rng.choice([-1.0, 1.0], (count, rank)) + 0.3 * rng.standard_normal((count, rank)),
        time_scale=1.0,
        units=128,
        known={
            "energy": lambda z: (z**4 / 4 - z**2 / 2).sum(axis=-1),
            "memories": np.array(np.meshgrid(*[[-1.0, 1.0]] * rank)).reshape(rank, -1).T,
        },
        summary=f"quartic landscape with {2**rank} wells at (+-1, ...), noise {noise:g}",
    )


def mixture_log_density(
    z: Latents, memories: Float[np.ndarray, "memory rank"], width: float
) -> tuple[Float[np.ndarray, "..."], Latents]:
    r"""Logarithm, up to a constant, of a sum of Gaussians of equal weight, and its gradient.

    .. math:: \log p = \log \sum_m e^{z \cdot z_m / s^2 - |z_m|^2 / 2 s^2} - |z|^2 / 2 s^2
    """
    z = np.asarray(z, dtype=np.float64)
    top, share = relative_weights(z, memories, width)
    square = sum(z[..., axis] ** 2 for axis in range(z.shape[-1]))
    return top + np.log(share.sum(axis=0)) - square / (2 * width**2), mixture_score(z, share, memories, width)


def relative_weights(
    z: Latents, memories: Float[np.ndarray, "memory rank"], width: float
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "memory ..."]]:
    r"""Logarithm of the largest Gaussian at z, and the ratio of each to it.

    The factor :math:`e^{-|z|^2 / 2 s^2}` that they share is left out. Memories come first, since NumPy is
    several times slower along a last axis that is short; no product of matrices either, which would round
    single states otherwise than many.
    """
    each = (slice(None), *[None] * (z.ndim - 1))
    exponent = -((memories**2).sum(axis=1) / (2 * width**2))[each]
    for axis, along in enumerate(memories.T):
        exponent = exponent + (along / width**2)[each] * z[..., axis]
    top = exponent.max(axis=0)
    return top, np.exp(exponent - top)


def mixture_score(
    z: Latents,
    share: Float[np.ndarray, "memory ..."],
    memories: Float[np.ndarray, "memory rank"],
    width: float,
) -> Latents:
    r"""Gradient of :math:`\log p`: :math:`(\sum_m w_m z_m / \sum_m w_m - z) / s^2` with w the weights `share`."""
    total = share.sum(axis=0)
    each = (slice(None), *[None] * (share.ndim - 1))
    mean = [(along[each] * share).sum(axis=0) / total for along in memories.T]
    return (np.stack(mean, axis=-1) - z) / width**2


def memories(places: Float[np.ndarray, "memory rank"], *, width: float = 0.3, noise: float = 0.8) -> System:
    r"""Landscape whose stationary density is a sum of Gaussians at given places.

    .. math:: f = \tfrac{\sigma^2}{2}\nabla\log p, \qquad p(z) \propto \sum_m e^{-|z - z_m|^2 / 2 s^2}

    so p is stationary exactly and the process is in equilibrium. An input u tilts the energy,
    :math:`U - u \cdot z`, so that the memory furthest along u becomes its global minimum.

    The `places` are more than a `width` s apart; the `noise` is sigma.

    Examples
    --------
    >>> system = memories(np.array([[0.0, 0.0], [2.0, 0.0]]))
    >>> energy = system.known["energy"]
    >>> bool(energy(np.array([2.0, 0.0])) < energy(np.array([1.0, 0.0])))
    True
    """
    centres = np.array(places, dtype=np.float64)
    if centres.ndim != 2 or 0 in centres.shape or not np.isfinite(centres).all():
        raise InputError(f"memories needs places of shape (memory, rank), finite, got shape {centres.shape}.")
    check_positive("memories", width=width, noise=noise)
    count, rank = centres.shape
    return System(
        name="memories",
        rank=rank,
        drift=lambda z: 0.5 * noise**2 * mixture_log_density(z, centres, width)[1],
        diffusion=noise,
        initial=lambda rng, n: centres[rng.integers(count, size=n)] + width * rng.standard_normal((n, rank)),
        time_scale=1.0,
        units=128,
        known={"energy": lambda z: -0.5 * noise**2 * mixture_log_density(z, centres, width)[0], "memories": centres},
        summary=f"landscape with {count} memories, a sum of Gaussians of width {width:g}, noise {noise:g}",
    )


def sequence(
    count: int = 4, strength: float = 3.0, *, radius: float = 1.0, width: float = 0.3, noise: float = 0.8
) -> System:
    r"""Memories on a ring, visited one after the other.

    .. math:: f = \tfrac{\sigma^2}{2}\nabla\log p + \alpha\,\frac{q(|z|)}{p(z)}\,A z, \qquad
        A = \begin{pmatrix}0 & -1\\ 1 & 0\end{pmatrix}

    with p a sum of Gaussians at `count` places on a ring and q(r) its value at radius r halfway between
    two of them. The second part carries the current :math:`q(|z|) A z`, which is divergence free, so p is
    stationary at every strength; at strength zero the process is in equilibrium. (Our construction of the
    autonomous sequences of arXiv 2602.14885.)

    The `strength` alpha is the angular velocity of the current where the density is lowest along the ring; the `width`
    is that of the Gaussians, the `noise` sigma.

    Examples
    --------
    >>> ring = sequence(4)
    >>> ring.known["memories"].round(3) + 0.0
    array([[ 1.,  0.],
           [ 0.,  1.],
           [-1.,  0.],
           [ 0., -1.]])
    """
    if not isinstance(count, int) or count < 2:
        raise InputError(f"A sequence needs two memories or more, got {count!r}.")
    angle = 2 * np.pi * np.arange(count) / count
    places = radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    still = memories(places, width=width, noise=noise)
    between = np.array([np.cos(np.pi / count), np.sin(np.pi / count)])

    def drift(z: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        x, y = z[..., 0], z[..., 1]
        radius = np.sqrt(x**2 + y**2)
        # state and place halfway share their radius, so what `relative_weights` leaves out cancels in q / p
        top, share = relative_weights(np.stack([z, radius[..., None] * between]), places, width)
        total = share.sum(axis=0)
        turn = strength * np.exp(top[1] - top[0]) * total[1] / total[0]
        gradient = mixture_score(z, share[:, 0], places, width)
        return 0.5 * noise**2 * gradient + np.stack([-turn * y, turn * x], axis=-1)

    return System(
        name="sequence",
        rank=2,
        drift=drift,
        diffusion=noise,
        initial=still.initial,
        time_scale=1.0,
        units=128,
        known=dict(still.known),
        summary=f"{count} memories on a ring in cyclic order, current of strength {strength:g}, noise {noise:g}",
    )
