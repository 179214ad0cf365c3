"""Membranes of every neuron model as Brian2 code: one update, one threshold and one reset for each step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ddm2snn.neuron import AdaptiveLIF, HeterogeneousLIF, NeuronModel, RectifiedLinear

Kind = Literal["rectified", "leaky", "heterogeneous", "adaptive"]


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
        "moved = current + (v - current) * voltage_kept",
        "v = int(v < 0) * (v + int(v < 0)) + int(v >= 0) * int(moved > 0) * moved",
    ),
    threshold="v > 1",
    reset=("v = -refractory_steps",),
    constants=("voltage_kept", "refractory_steps"),
)

MEMBRANES: dict[Kind, Membrane] = {
    "rectified": Membrane(
        declared=("v : 1",),
        update=("v = v + int(current > 0) * current * per_step",),
        threshold="v > 1",
        reset=("v = clip(v - 1, 0, 1)",),
        constants=("per_step",),
    ),
    "leaky": _LEAKY,
    "heterogeneous": replace(_LEAKY, declared=("v : 1", "voltage_kept : 1"), constants=("refractory_steps",)),
    "adaptive": Membrane(
        declared=(*_LEAKY.declared, "raised : 1"),
        update=(*_LEAKY.update, "raised = raised * threshold_kept"),
        threshold="v > 1 + raised",
        reset=(*_LEAKY.reset, "raised += threshold_jump"),
        constants=(*_LEAKY.constants, "threshold_kept", "threshold_jump"),
    ),
}


def kind_of(neuron: NeuronModel) -> Kind:
    """Which of the membranes a neuron model has."""
    if isinstance(neuron, RectifiedLinear):
        return "rectified"
    if isinstance(neuron, HeterogeneousLIF):
        return "heterogeneous"
    return "adaptive" if isinstance(neuron, AdaptiveLIF) else "leaky"


def constants_of(neuron: NeuronModel, dt_s: float, neurons: int) -> dict[str, float | np.ndarray]:
    """Values of the membrane's constants in steps of `dt_s`, and of those that each of the neurons has its own."""
    if isinstance(neuron, RectifiedLinear):
        return {"per_step": dt_s / neuron.tau_membrane_s}
    found: dict[str, float | np.ndarray] = {"refractory_steps": float(neuron.refractory_steps(dt_s))}
    if isinstance(neuron, HeterogeneousLIF):
        return found | {"voltage_kept": np.exp(-dt_s / neuron.taus_s(np.empty(neurons)))}
    found["voltage_kept"] = neuron.voltage_kept(dt_s)
    if isinstance(neuron, AdaptiveLIF):
        found["threshold_kept"] = float(np.exp(-dt_s / neuron.tau_threshold_s))
        found["threshold_jump"] = neuron.threshold_jump
    return found
