"""Spiking neuron models, each with its rate response."""

from __future__ import annotations

import dataclasses

from ddm2snn.errors import InputError
from ddm2snn.neuron.adaptive_lif import AdaptiveLIF
from ddm2snn.neuron.lif import LIF, LogNormal
from ddm2snn.neuron.loihi_lif import LoihiLIF
from ddm2snn.neuron.model import SpikeTiming, SpikingModel
from ddm2snn.neuron.rectified_linear import RectifiedLinear

NeuronModel = LIF | RectifiedLinear | AdaptiveLIF | LoihiLIF
"""Any neuron model: a closed union."""

NEURON_MODELS: dict[str, type[NeuronModel]] = {
    model.name: model for model in (LIF, RectifiedLinear, AdaptiveLIF, LoihiLIF)
}
"""Neuron models by the name under which they are stored and chosen."""

_BEFORE_ARRAYS = {"tau_membrane_s": 0.02, "refractory_s": 0.002, "tau_spread": 0.25, "first_neuron": 0}
"""Parameters of the model "heterogeneous-lif" of format version 1, and their defaults."""


def find_neuron(name: str) -> NeuronModel:
    """Neuron model of a name, with the parameters that it has by default.

    The name "heterogeneous-lif" is that of a `LIF` whose membrane time constants are `LogNormal`.

    Examples
    --------
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


def stored_neuron(settings: object, neurons: int) -> NeuronModel:
    """Neuron model of the name and the parameters that a file holds, for a population of `neurons`.

    Format version 1 has a model "heterogeneous-lif", whose log-normal time constants are an array of a `LIF` now.
    """
    parameters = dict(settings) if isinstance(settings, dict) else {}
    name = parameters.pop("model", None)
    if not isinstance(name, str) or name not in (*NEURON_MODELS, "heterogeneous-lif"):
        raise InputError(f"There is no neuron model {name!r}; known models are {', '.join(NEURON_MODELS)}.")
    model = NEURON_MODELS.get(name)
    names = _BEFORE_ARRAYS if model is None else [field.name for field in dataclasses.fields(model)]
    if set(parameters) - set(names):
        raise InputError(
            f"Neuron model {name} has the parameters {', '.join(names)}; found {', '.join(parameters) or 'none'}."
        )
    if model is not None:
        return model(**parameters)
    parameters = _BEFORE_ARRAYS | parameters
    distribution = LogNormal(parameters["tau_membrane_s"], parameters["tau_spread"])
    return LIF(distribution.quantiles(neurons, parameters["first_neuron"]), parameters["refractory_s"])


__all__ = [
    "LIF", "NEURON_MODELS", "AdaptiveLIF", "LogNormal", "LoihiLIF", "NeuronModel", "RectifiedLinear", "SpikeTiming",
    "SpikingModel", "find_neuron", "stored_neuron",
]  # fmt: skip
