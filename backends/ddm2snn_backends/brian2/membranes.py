"""Membranes of every neuron model as Brian2 code: one update, one threshold and one reset for each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ddm2snn.neuron import NeuronModel

Constants = dict[str, "float | np.ndarray"]
"""Constants of a membrane by name: a number for all neurons, or an array over the neurons of one trial."""


@dataclass(frozen=True)
class Membrane:
    """Lines of Brian2 code for a group with a voltage `v`; `update` finds the input in `current`."""

    declared: tuple[str, ...]
    update: tuple[str, ...]
    threshold: str
    reset: tuple[str, ...]
    constants: tuple[str, ...]


# A neuron waits at negative voltages, which count its refractory steps down: one array for both, so one pass of
# memory. Comparisons with whole numbers, and no `clip`: floating-point literals would turn single precision to double.
_LEAKY = Membrane(
    declared=("v : 1",),
    update=(
        "moved = current + (v - current) * membrane_decay",
        "v = int(v < 0) * (v + int(v < 0)) + int(v >= 0) * int(moved > 0) * moved",
    ),
    threshold="v > 1",
    reset=("v = -refractory_steps",),
    constants=("membrane_decay", "refractory_steps"),
)
_LINEAR = Membrane(
    declared=("v : 1",),
    update=("v = v + int(current > 0) * current * per_step",),
    threshold="v > 1",
    reset=("v = clip(v - 1, 0, 1)",),
    constants=("per_step",),
)
_ADAPTIVE = Membrane(
    declared=(*_LEAKY.declared, "raised : 1"),
    update=(*_LEAKY.update, "raised = raised * threshold_decay"),
    threshold="v > 1 + raised",
    reset=(*_LEAKY.reset, "raised += threshold_jump"),
    constants=(*_LEAKY.constants, "threshold_decay", "threshold_jump"),
)


def _leaky_constants(neuron: Any, dt_s: float) -> Constants:  # noqa: ANN401 - each table entry knows its model
    return {"membrane_decay": neuron.decay_factor(dt_s), "refractory_steps": float(neuron.refractory_steps(dt_s))}


def _linear_constants(neuron: Any, dt_s: float) -> Constants:  # noqa: ANN401
    return {"per_step": dt_s / neuron.tau_membrane_s}


def _adaptive_constants(neuron: Any, dt_s: float) -> Constants:  # noqa: ANN401
    threshold = {"threshold_decay": neuron.threshold_factor(dt_s), "threshold_jump": neuron.threshold_jump}
    return _leaky_constants(neuron, dt_s) | threshold


MEMBRANES = {"lif": _LEAKY, "loihi-lif": _LEAKY, "rectified-linear": _LINEAR, "adaptive-lif": _ADAPTIVE}
"""Code by the name of the neuron model."""

_CONSTANTS: dict[str, Callable[[Any, float], Constants]] = {
    "lif": _leaky_constants, "loihi-lif": _leaky_constants, "rectified-linear": _linear_constants,
    "adaptive-lif": _adaptive_constants,
}  # fmt: skip


def constants_of(neuron: NeuronModel, dt_s: float) -> Constants:
    """Values of the constants of a neuron model in steps of `dt_s`."""
    return _CONSTANTS[neuron.name](neuron, dt_s)


def own_constants(neuron: NeuronModel, dt_s: float) -> tuple[str, ...]:
    """Names of the constants that each neuron has its own."""
    return tuple(name for name, value in constants_of(neuron, dt_s).items() if np.ndim(value))
