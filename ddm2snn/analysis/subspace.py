"""The affine subspace that the full state lives in, recovered from trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import as_count, freeze_arrays
from ddm2snn.errors import InputError
from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import RateNetwork
    from ddm2snn.systems.system import Latents

MOST_SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class Subspace:
    r"""Affine subspace :math:`x = m + C y` found by principal component analysis.

    `mean` is m, and `components` the orthonormal columns of C by falling variance, as many as `rank`. `deviations` are
    the standard deviations along every principal axis: the singular values of the centred data over the square root of
    the number of samples.
    """

    mean: Float[np.ndarray, " unit"]
    components: Float[np.ndarray, "unit component"]
    deviations: Float[np.ndarray, " axis"]

    def __post_init__(self) -> None:
        freeze_arrays(self)

    def __repr__(self) -> str:
        return f"Subspace(units={len(self.mean)}, rank={self.rank})"

    @property
    def rank(self) -> int:
        """Number of components that are larger than rounding."""
        return self.components.shape[1]

    def coordinates(self, state: Float[np.ndarray, "... unit"]) -> Float[np.ndarray, "... component"]:
        """Coordinates y of full states, shape (..., component)."""
        return (np.asarray(state) - self.mean) @ self.components

    def latents(self, network: RateNetwork, state: Float[np.ndarray, "... unit"]) -> Latents:
        r"""Latents of `network` in system units, read off the coordinates y of full states; shape (..., rank).

        .. math:: z = o + \Lambda\,\Gamma^+ (m - b + C y)

        with offset o and scales :math:`\Lambda` of the latents and the pseudo-inverse of :math:`\Gamma`. Principal
        components leave rotation, scale and origin of the latents open; (Gamma, b) fix them.

        Raises
        ------
        InputError
            Where subspace and network differ in the number of units, or the columns of Gamma are dependent.
        """
        if network.units != len(self.mean):
            raise InputError(
                f"The subspace has {len(self.mean)} units, the network {network.units}. Give the network it came from."
            )
        projector = latent_projector(network) * network.latent_scale[:, None]
        offset = network.latent_offset + projector @ (self.mean - network.bias)
        return self.coordinates(state) @ (projector @ self.components).T + offset


def latent_projector(network: RateNetwork) -> Float[np.ndarray, "rank unit"]:
    r""":math:`\Gamma^+`, the map from full states (less b) to internal latents; needs independent columns."""
    dimensions = int(np.linalg.matrix_rank(network.left_vectors))
    if dimensions < network.rank:
        raise InputError(
            f"The {network.rank} columns of left_vectors span {dimensions} dimension(s), so the full state does not "
            "determine the latents. Remove dependent columns."
        )
    return np.linalg.pinv(network.left_vectors)


def full_state(network: RateNetwork, latent: Latents) -> Float[np.ndarray, "... unit"]:
    r"""State :math:`x = \Gamma z + b` of every unit, shape (..., unit), at latents in system units."""
    return to_internal(network, latent) @ network.left_vectors.T + network.bias


def recover_subspace(state: Float[np.ndarray, "trial time unit"], *, most: int = MOST_SAMPLES) -> Subspace:
    """Recover the affine subspace of full-state trajectories by principal component analysis.

    By a singular value decomposition of the (sample, unit) data, so that no matrix of units by units is formed.
    A component counts towards the rank where its singular value exceeds what rounding of the states can
    leave: machine precision times the longer side of the data times the norm of its rows. (The paper
    recovers latents up to an affine map: arXiv 2602.14885.)

    The decomposition sees `most` samples at most, evenly spaced ones.

    Raises
    ------
    InputError
        Where the trajectories have another number of axes, are not finite or do not move.

    Examples
    --------
    >>> latent = np.random.default_rng(0).standard_normal((2, 50, 1))
    >>> recover_subspace(latent @ np.ones((1, 8)) + 3.0)
    Subspace(units=8, rank=1)
    """
    x = np.asarray(state, dtype=np.float64)
    if x.ndim != 3 or 0 in x.shape or not np.isfinite(x).all():
        raise InputError(
            f"recover_subspace needs finite trajectories of shape (trial, time, unit), got shape {x.shape}."
        )
    flat = x.reshape(-1, x.shape[-1])
    flat = flat[:: -(-len(flat) // as_count("recover_subspace.most", most))]
    mean = flat.mean(axis=0)
    _, singular, axes = np.linalg.svd(flat - mean, full_matrices=False)
    rounding = np.finfo(np.float64).eps * max(flat.shape) * max(np.linalg.norm(flat), singular[0])
    rank = int((singular > rounding).sum())
    if rank == 0:
        raise InputError("The trajectories do not move, so they span no subspace. Give trajectories with dynamics.")
    return Subspace(mean=mean, components=axes[:rank].T, deviations=singular / np.sqrt(len(flat)))
