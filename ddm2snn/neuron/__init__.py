"""Spiking neuron models, each with its rate response."""

from __future__ import annotations

from ddm2snn.neuron.adaptive_lif import AdaptiveLIF
from ddm2snn.neuron.lif import LIF
from ddm2snn.neuron.loihi_lif import LoihiLIF
from ddm2snn.neuron.rectified_linear import RectifiedLinear
from ddm2snn.neuron.timing import SpikeTiming

NeuronModel = LIF | RectifiedLinear | AdaptiveLIF | LoihiLIF
"""Any neuron model: a closed union."""

NEURON_MODELS: dict[str, type[NeuronModel]] = {
    "lif": LIF,
    "rectified-linear": RectifiedLinear,
    "adaptive-lif": AdaptiveLIF,
    "loihi-lif": LoihiLIF,
}
"""Neuron models by the name under which they are stored and chosen."""

__all__ = [
    "LIF",
    "NEURON_MODELS",
    "AdaptiveLIF",
    "LoihiLIF",
    "NeuronModel",
    "RectifiedLinear",
    "SpikeTiming",
]
