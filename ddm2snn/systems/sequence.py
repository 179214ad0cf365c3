"""Memories visited in a fixed cyclic order by a nonequilibrium current."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.systems.landscape import memories, mixture_score, relative_weights
from ddm2snn.systems.system import System

if TYPE_CHECKING:
    from jaxtyping import Float


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

    Parameters
    ----------
    count
        Number of memories.
    strength
        alpha, angular velocity of the current where the density is lowest along the ring.
    radius, width, noise
        Radius of the ring, width of the Gaussians, sigma.

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
        units=128,
        known=dict(still.known),
        summary=f"{count} memories on a ring in cyclic order, current of strength {strength:g}, noise {noise:g}",
    )
