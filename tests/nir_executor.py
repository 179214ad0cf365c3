"""Runs a NIR graph by the definitions of its nodes alone: a reader of exported files that shares no code with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import InputError
from ddm2snn.exchange.nir_files import read_graph
from ddm2snn.exchange.nir_graph import Graph, Node

if TYPE_CHECKING:
    from jaxtyping import Float

_SPIKING = ("LIF", "CubaLIF")


class NirExecutor:
    r"""A NIR graph in time steps h.

    .. math:: v \leftarrow k v + (1 - k)(v_{leak} + R I), \qquad z = [v > v_{threshold}],\; v \leftarrow v_{reset}

    and synapses :math:`I \leftarrow k I + (1-k)\,w_{in} S` likewise. In a file in continuous time
    :math:`k = e^{-h/\tau}`, exact for an input that is constant over the step, and a spike counts 1/h, a pulse of area
    1. In a file for readers in steps :math:`k = 1 - h/\tau`, forward Euler as they do, and a spike counts 1. What
    leaves a spiking node reaches other nodes one step later, and outputs at once.

    Parameters
    ----------
    graph
        The graph, or the path of its file.
    dt_s
        Step h in seconds; by default what the file says.
    trials
        Number of copies that run side by side.

    Raises
    ------
    InputError
        Where the file does not say its step, or the graph has a cycle without a neuron in it.
    """

    def __init__(self, graph: Graph | Path | str, *, dt_s: float | None = None, trials: int = 1) -> None:
        self.graph = graph if isinstance(graph, Graph) else read_graph(graph)
        metadata = self.graph.metadata
        self.per_step = metadata.get("spikes") == "per step"
        step_s = dt_s if dt_s is not None else metadata.get("step_s" if self.per_step else "dt_s")
        if not isinstance(step_s, float | int) or not (np.isfinite(step_s) and step_s > 0):
            raise InputError("This NIR file does not say its time step. Give dt_s in seconds.")
        self.dt_s, self.trials = float(step_s), trials
        self._order, self._output = _order(self.graph)
        self._feeding = {name: [s for s, target in self.graph.edges if target == name] for name in self.graph.nodes}
        try:
            self._steps = {name: self._step_of(node) for name, node in self.graph.nodes.items()}
        except KeyError as error:
            raise InputError(f"A node of this NIR graph lacks its parameter {error}. Write it anew.") from error
        self._fired = {
            name: np.zeros((trials, *node.arrays["v_threshold"].shape))
            for name, node in self.graph.nodes.items()
            if node.kind in _SPIKING
        }

    def step(self, inputs: Float[np.ndarray, "trial input"]) -> Float[np.ndarray, "trial output"]:
        """Go on by one step with the value of the input node, and return that of the output node."""
        values, fired = dict(self._fired), {}  # values of spiking nodes start as those of the step before
        for name in self._order:
            kind, sources = self.graph.nodes[name].kind, self._feeding[name]
            visible = {**values, **fired} if kind == "Output" else values
            total = sum((visible[source] for source in sources), np.zeros((self.trials, 1)))
            total = inputs if kind == "Input" else total
            try:
                (fired if kind in _SPIKING else values)[name] = self._steps[name](total)
            except ValueError as error:  # NumPy's, of shapes that do not go together
                raise InputError(
                    f"The node {name!r} of this NIR graph cannot take what it is fed with: {error}."
                ) from error
        self._fired = fired
        return values[self._output]

    def run(self, inputs: Float[np.ndarray, "trial step input"]) -> Float[np.ndarray, "trial step output"]:
        """Outputs of consecutive steps."""
        return np.stack([self.step(inputs[:, step]) for step in range(inputs.shape[1])], axis=1)

    def _decay(self, tau_s: np.ndarray) -> np.ndarray:
        return 1.0 - self.dt_s / tau_s if self.per_step else np.exp(-self.dt_s / tau_s)

    def _step_of(self, node: Node) -> Callable[[np.ndarray], np.ndarray]:
        arrays = node.arrays
        if node.kind in ("Affine", "Linear"):
            weight, bias = arrays["weight"], arrays.get("bias", 0.0)
            return lambda x: x @ weight.T + bias
        if node.kind == "Scale":
            return lambda x: x * arrays["scale"]
        if node.kind in ("Input", "Output"):
            return lambda x: x
        if node.kind == "LI":
            return _Leak(self._decay(arrays["tau"]), arrays["v_leak"], arrays["r"])
        tau = arrays["tau_mem"] if node.kind == "CubaLIF" else arrays["tau"]
        synapse = None
        if node.kind == "CubaLIF":
            synapse = _Leak(self._decay(arrays["tau_syn"]), np.zeros(1), arrays.get("w_in", np.ones(1)))
        height = 1.0 if self.per_step else 1.0 / self.dt_s
        return _Spiking(_Leak(self._decay(tau), arrays["v_leak"], arrays["r"]), synapse, arrays, height)


class _Leak:
    """A filter with its value."""

    def __init__(self, decay: np.ndarray, rest: np.ndarray, gain: np.ndarray) -> None:
        self.decay, self.rest, self.gain = decay, rest, gain
        self.value: np.ndarray = np.zeros(1)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.value = self.decay * self.value + (1.0 - self.decay) * (self.rest + self.gain * x)
        return self.value


class _Spiking:
    """Neurons with a threshold, behind a synapse or not."""

    def __init__(self, membrane: _Leak, synapse: _Leak | None, arrays: Mapping[str, np.ndarray], height: float) -> None:
        self.membrane, self.synapse, self.height = membrane, synapse, height
        self.threshold = arrays["v_threshold"]
        self.reset = arrays.get("v_reset", np.zeros_like(self.threshold))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        voltage = self.membrane(x if self.synapse is None else self.synapse(x))
        fired = voltage > self.threshold
        self.membrane.value = np.where(fired, self.reset, voltage)
        return fired * self.height


def _order(graph: Graph) -> tuple[list[str], str]:
    """Nodes in an order in which each follows what it needs of the same step, and the output."""
    outputs = [name for name, node in graph.nodes.items() if node.kind == "Output"]
    if len(outputs) != 1:
        raise InputError(f"This NIR graph has {len(outputs)} outputs; the executor takes one. Join them.")
    needs: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for source, target in graph.edges:
        if graph.nodes[source].kind not in _SPIKING or graph.nodes[target].kind == "Output":
            needs[target].add(source)
    try:
        return list(TopologicalSorter(needs).static_order()), outputs[0]
    except CycleError as error:
        raise InputError(
            f"This NIR graph has a cycle without a neuron in it ({', '.join(error.args[1])}), which no order of steps "
            "can run. Put a spiking node in it."
        ) from error
