"""Spiking neuron models, each with its rate response."""

from __future__ import annotations

from ddm2snn.neuron.adaptive_lif import AdaptiveLIF
from ddm2snn.neuron.heterogeneous_lif import HeterogeneousLIF
from ddm2snn.neuron.lif import LIF
from ddm2snn.neuron.loihi_lif import LoihiLIF
from ddm2snn.neuron.rectified_linear import RectifiedLinear
from ddm2snn.neuron.timing import SpikeTiming

NeuronModel = LIF | RectifiedLinear | AdaptiveLIF | LoihiLIF | HeterogeneousLIF
"""Any neuron model: a closed union."""

NEURON_MODELS: dict[str, type[NeuronModel]] = {
    "lif": LIF,
    "rectified-linear": RectifiedLinear,
    "adaptive-lif": AdaptiveLIF,
    "loihi-lif": LoihiLIF,
    "heterogeneous-lif": HeterogeneousLIF,
}
"""Neuron models by the name under which they are stored and chosen."""


def part_of(neuron: NeuronModel, some: slice) -> NeuronModel:
    """Model of consecutive neurons of a population."""
    return neuron.part(some) if isinstance(neuron, HeterogeneousLIF) else neuron


__all__ = [
    "LIF",
    "NEURON_MODELS",
    "AdaptiveLIF",
    "HeterogeneousLIF",
    "LoihiLIF",
    "NeuronModel",
    "RectifiedLinear",
    "SpikeTiming",
    "part_of",
]
