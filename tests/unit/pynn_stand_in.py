"""As much of PyNN's NEST as an exported script calls, written from NEST's documentation: tests without 60 MB of it.

`tests/conformance/test_pynn_in_nest.py` runs the same scripts in NEST itself, where it is installed.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np


class Node:
    def __init__(self, global_id: int) -> None:
        self.global_id = global_id


class Nodes:
    """NEST's iaf_psc_delta, for constant currents: exact over a step, voltage not below V_min."""

    def __init__(self, size: int, **cell: float) -> None:
        self.cell, self.current, self.first = cell, np.zeros(size), 7
        self.voltage, self.floor, self.wait = np.zeros(size), np.full(size, -np.inf), np.zeros(size, dtype=int)

    def __getitem__(self, index: int) -> Node:
        return Node(self.first + index)

    def set(self, states: list[dict[str, float]]) -> None:
        self.voltage, self.floor = (np.array([state[name] for state in states]) for name in ("V_m", "V_min"))

    def step(self, dt_ms: float) -> np.ndarray:
        decay = np.exp(-dt_ms / self.cell["tau_m"])
        rest = self.current * self.cell["tau_m"] / self.cell["cm"]
        voltage = np.maximum(rest + (self.voltage - rest) * decay, self.floor)
        free, self.wait = self.wait == 0, np.maximum(self.wait - 1, 0)
        self.voltage = np.where(free, voltage, self.voltage)
        fired = free & (self.voltage >= self.cell["v_thresh"])
        self.voltage[fired] = self.cell["v_reset"]
        self.wait[fired] = round(self.cell["tau_refrac"] / dt_ms)
        return np.flatnonzero(fired) + self.first


class Recorder:
    n_events = 0

    def __init__(self) -> None:
        self.senders: list[int] = []

    @property
    def events(self) -> dict[str, list[int]]:
        return {"senders": self.senders}

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "n_events":
            self.senders = []


def stand_ins() -> dict[str, ModuleType]:
    """Modules by name, for `sys.modules`."""
    nest, pynn, sim = ModuleType("nest"), ModuleType("pyNN"), ModuleType("pyNN.nest")
    world: dict = {"connected": {}, "running": False}

    class Population:
        def __init__(self, size: int, cell: dict, label: str) -> None:
            self.node_collection = world["nodes"] = Nodes(size, **cell)

        def set(self, i_offset: np.ndarray) -> None:
            self.node_collection.current = np.array(i_offset, dtype=float)

    def run(time_ms: float) -> None:
        steps = round(time_ms / world["timestep"])
        for _ in range(steps if world["running"] else steps + 1):  # PyNN goes ahead by the smallest delay
            world["recorder"].senders.extend(world["nodes"].step(world["timestep"]))
        world["running"] = True

    def setup(timestep: float, min_delay: float, spike_precision: str) -> None:
        assert timestep == min_delay
        assert spike_precision == "on_grid"
        world.update(timestep=timestep, running=False)

    def create(model: str) -> Recorder:
        assert model == "spike_recorder"
        world["recorder"] = Recorder()
        return world["recorder"]

    def connect(source: Nodes, target: Recorder) -> None:
        assert (source, target) == (world["nodes"], world["recorder"])

    given = {"setup": setup, "run": run, "Population": Population, "IF_curr_delta": dict}
    for module, content in ((sim, given), (nest, {"Create": create, "Connect": connect}), (pynn, {"nest": sim})):
        module.__dict__.update(content)
    return {"nest": nest, "pyNN": pynn, "pyNN.nest": sim}
