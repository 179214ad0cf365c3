"""Neuron models as files hold them."""

from __future__ import annotations

import dataclasses

from ddm2snn.errors import InputError
from ddm2snn.neuron import NEURON_MODELS, NeuronModel


def stored_neuron(settings: object) -> NeuronModel:
    """Neuron model of the name and the parameters that a file holds."""
    parameters = dict(settings) if isinstance(settings, dict) else {}
    name = parameters.pop("model", None)
    if not isinstance(name, str) or name not in NEURON_MODELS:
        raise InputError(f"There is no neuron model {name!r}; known models are {', '.join(NEURON_MODELS)}.")
    names = [field.name for field in dataclasses.fields(NEURON_MODELS[name])]
    if set(parameters) - set(names):
        raise InputError(
            f"Neuron model {name} has the parameters {', '.join(names)}; found {', '.join(parameters) or 'none'}."
        )
    return NEURON_MODELS[name](**parameters)
