"""Membranes of every neuron model as Brian2 code: one update, one threshold and one reset for each step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ddm2snn.neuron import AdaptiveLIF, NeuronModel, RectifiedLinear


@dataclass(frozen=True)
class Membrane:
    """Lines of Brian2 code for a group with a voltage `v`; `update` finds the input in `current`."""

    declared: tuple[str, ...]
    update: tuple[str, ...]
    threshold: str
    reset: tuple[str, ...]
    namespace: dict[str, float]


def membrane_of(neuron: NeuronModel, dt_s: float) -> Membrane:
    """Code of a neuron model in steps of `dt_s`."""
    if isinstance(neuron, RectifiedLinear):
        return Membrane(
            declared=("v : 1",),
            update=("v = v + clip(current, 0, inf) * per_step",),
            threshold="v > 1",
            reset=("v = clip(v - 1, 0, 1)",),
            namespace={"per_step": dt_s / neuron.tau_membrane_s},
        )
    leaky = Membrane(
        declared=("v : 1", "wait : 1"),
        update=(
            "v = clip(current + (v - current) * membrane_decay, 0, inf) * int(wait < 0.5)",
            "wait = clip(wait - 1, 0, inf)",
        ),
        threshold="v > 1",
        reset=("v = 0", "wait = refractory_steps"),
        namespace={
            "membrane_decay": neuron.voltage_kept(dt_s),
            "refractory_steps": float(neuron.refractory_steps(dt_s)),
        },
    )
    if not isinstance(neuron, AdaptiveLIF):
        return leaky
    return Membrane(
        declared=(*leaky.declared, "raised : 1"),
        update=(*leaky.update, "raised = raised * threshold_decay"),
        threshold="v > 1 + raised",
        reset=(*leaky.reset, "raised += threshold_jump"),
        namespace={
            **leaky.namespace,
            "threshold_decay": float(np.exp(-dt_s / neuron.tau_threshold_s)),
            "threshold_jump": neuron.threshold_jump,
        },
    )
