"""Spiking neuron models, each with its rate response."""

from __future__ import annotations

from ddm2snn.errors import InputError
from ddm2snn.neuron.adaptive_lif import AdaptiveLIF
from ddm2snn.neuron.lif import LIF
from ddm2snn.neuron.log_normal import LogNormal
from ddm2snn.neuron.loihi_lif import LoihiLIF
from ddm2snn.neuron.model import SpikingModel
from ddm2snn.neuron.rectified_linear import RectifiedLinear
from ddm2snn.neuron.timing import SpikeTiming

NeuronModel = LIF | RectifiedLinear | AdaptiveLIF | LoihiLIF
"""Any neuron model: a closed union."""

NEURON_MODELS: dict[str, type[NeuronModel]] = {
    model.name: model for model in (LIF, RectifiedLinear, AdaptiveLIF, LoihiLIF)
}
"""Neuron models by the name under which they are stored and chosen."""


def find_neuron(name: str) -> NeuronModel:
    """Neuron model of a name, with the parameters that it has by default.

    The name "heterogeneous-lif" is that of a `LIF` whose membrane time constants are `LogNormal`.

    Raises
    ------
    InputError
        Where there is no model of that name.

    Examples
    --------
    >>> from ddm2snn.neuron import find_neuron
    >>> find_neuron("rectified-linear")
    RectifiedLinear(tau_membrane_s=0.02)
    >>> find_neuron("heterogeneous-lif")
    LIF(tau_membrane_s=LogNormal(median_s=0.02, spread=0.25), refractory_s=0.002)
    """
    models = {name: model() for name, model in NEURON_MODELS.items()}
    models["heterogeneous-lif"] = LIF(tau_membrane_s=LogNormal())
    if name not in models:
        raise InputError(f"There is no neuron model {name!r}; known are {', '.join(models)}.")
    return models[name]


__all__ = [
    "LIF",
    "NEURON_MODELS",
    "AdaptiveLIF",
    "LogNormal",
    "LoihiLIF",
    "NeuronModel",
    "RectifiedLinear",
    "SpikeTiming",
    "SpikingModel",
    "find_neuron",
]
