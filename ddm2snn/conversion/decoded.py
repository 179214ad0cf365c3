"""Decoded: decoders together with the noise to inject besides and what was found on the way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.diffusion_factor import DiffusionFactor
    from ddm2snn.conversion.noise_budget import NoiseBudget
    from ddm2snn.network import SpikingNetwork


@dataclass(frozen=True, eq=False)
class Decoded:
    """What is decoded, and what each way of finding decoders reports.

    Parameters
    ----------
    decoders
        D, shape (rank, neuron), internal latent units per Hz.
    diffusion_factor
        Factor of the noise to inject, shape (rank, rank), internal units.
    found
        Diagnostics: JSON values.
    constant
        What the decoded spikes lack everywhere, shape (rank,), internal units; None where they lack nothing.
    factor
        Decoders of a diffusion factor that depends on the state; None where it is constant.
    """

    decoders: Float[np.ndarray, "rank neuron"]
    diffusion_factor: Float[np.ndarray, "rank rank"]
    found: Mapping[str, Any] = field(default_factory=dict)
    constant: Float[np.ndarray, " rank"] | None = None
    factor: DiffusionFactor | None = None


def noise_found(budget: NoiseBudget) -> dict[str, Any]:
    """Diagnostics of a noise budget: JSON values."""
    return {
        "target": budget.target.tolist(),
        "spikes": budget.spikes.tolist(),
        "spikes_over_target": budget.excess,
    }


def curve_error(
    decoded: Float[np.ndarray, "sample rank"],
    target: Float[np.ndarray, "sample rank"],
    velocity: Float[np.ndarray, "sample rank"],
) -> list[float]:
    """Root mean square of what is decoded less what should be, relative to the drift, per latent."""
    return np.sqrt(((decoded - target) ** 2).mean(axis=0) / (velocity**2).mean(axis=0)).tolist()


def with_constant(network: SpikingNetwork, constant: Float[np.ndarray, " rank"]) -> SpikingNetwork:
    r"""Add a constant to what the spikes decode, without a spike.

    With :math:`z = z' + c` the equation :math:`T\dot z = -z + D s + c + \dots` becomes
    :math:`T\dot z' = -z' + D s + \dots`: biases grow by E c, and the origin of the latents moves by c.
    """
    return dataclasses.replace(
        network,
        bias=network.bias + network.encoders @ constant,
        latent_offset=network.latent_offset + network.latent_scale * constant,
    )
