"""Which part of a spiking network's diffusion its spikes bring along, and which is injected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import freeze_arrays
from ddm2snn.conversion.diagnostics import Diagnostics
from ddm2snn.network import to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.network import SpikingNetwork


@dataclass(frozen=True, eq=False)
class NoiseShare:
    """Variances of the latents' noise, in squared system units per rate time unit, shape (rank,).

    Parameters
    ----------
    target
        Diagonal of G G^T of the rate network.
    injected
        Of what the spiking network adds as noise, mean over its stationary states where it depends on the state.
    spikes
        Of what its spikes bring along, measured open loop over windows of half a time unit; None where the
        conversion did not measure it, as with static decoders.
    """

    target: Float[np.ndarray, " rank"]
    injected: Float[np.ndarray, " rank"]
    spikes: Float[np.ndarray, " rank"] | None = None

    def __post_init__(self) -> None:
        freeze_arrays(self)

    @classmethod
    def of(cls, network: SpikingNetwork) -> NoiseShare:
        """From the network and what its conversion measured."""
        scale = network.latent_scale**2
        factor = network.internal_factor(to_internal(network, network.initial_latent))
        injected = (factor**2).sum(axis=-1).mean(axis=0) * scale
        diagnostics = Diagnostics.of(network)
        if diagnostics is None or diagnostics.noise is None:  # without a budget, all of the target's noise is injected
            return cls(injected, injected)
        target, spikes = (
            np.diag(np.array(tensor)) * scale for tensor in (diagnostics.noise.target, diagnostics.noise.spikes)
        )
        return cls(target, injected, spikes)

    def as_json(self) -> dict[str, Any]:
        """Lists; None where the conversion measured nothing."""
        spikes = None if self.spikes is None else self.spikes.tolist()
        return {"target": self.target.tolist(), "injected": self.injected.tolist(), "spikes": spikes}
