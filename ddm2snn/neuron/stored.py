"""Neuron models as files hold them."""

from __future__ import annotations

import dataclasses

from ddm2snn.errors import InputError
from ddm2snn.neuron import LIF, NEURON_MODELS, LogNormal, NeuronModel

_BEFORE_ARRAYS = {"tau_membrane_s": 0.02, "refractory_s": 0.002, "tau_spread": 0.25, "first_neuron": 0}
"""Parameters of the model "heterogeneous-lif" of format version 1, and their defaults."""


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
