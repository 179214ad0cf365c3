"""Steps of a run that are done once: a graph of what needs what, and a record of what was done."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddm2snn.backend import backend_versions
from ddm2snn.base.arrays import canonical_json
from ddm2snn.base.files import write_text
from ddm2snn.base.progress import Progress
from ddm2snn.base.version import package_version

if TYPE_CHECKING:
    import networkx as nx

_STATE = "steps.json"


@dataclass(frozen=True)
class Step:
    """One step: what it needs, the settings that its result depends on, what it writes and how."""

    name: str
    needs: tuple[str, ...]
    settings: Mapping[str, Any]
    outputs: tuple[str, ...]
    action: Callable[[Progress], None]


class Announce:
    """Receives what a run is doing; this one says nothing, the command line shows it."""

    def start(self, name: str) -> Progress:
        """Begin a step and return its progress function."""
        return lambda share: None

    def finish(self, name: str, *, done_before: bool) -> None:
        """End a step; `done_before` tells that nothing had to be done."""


def step_graph(steps: list[Step]) -> nx.DiGraph:
    """Steps as a directed graph, an edge from each step to those that need it."""
    import networkx as nx

    graph = nx.DiGraph()
    for step in steps:
        graph.add_node(step.name, step=step)
        graph.add_edges_from((need, step.name) for need in step.needs)
    return graph


def perform(steps: list[Step], folder: Path, announce: Announce) -> None:
    """Do what was not done before with the same settings and inputs."""
    import networkx as nx

    state = _read_state(folder)
    graph = step_graph(steps)
    keys: dict[str, str] = {}
    for name in nx.lexicographical_topological_sort(graph, key=[step.name for step in steps].index):
        step: Step = graph.nodes[name]["step"]
        inputs = {need: state[need]["outputs"] for need in step.needs}
        keys[name] = hashlib.sha256(canonical_json([versions(), dict(step.settings), inputs]).encode()).hexdigest()
        found = state.get(name, {})
        done = found.get("key") == keys[name] and found.get("outputs") == _digests(folder, step.outputs)
        progress = announce.start(name)
        if not done:
            step.action(progress)
            state[name] = {"key": keys[name], "outputs": _digests(folder, step.outputs)}
            write_text(folder / _STATE, json.dumps(state, indent=1, sort_keys=True) + "\n")
        announce.finish(name, done_before=done)


def _read_state(folder: Path) -> dict[str, Any]:
    """Read what was done before; an unreadable record only means that everything is done again."""
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return state if isinstance(state, dict) else {}


def _digests(folder: Path, names: tuple[str, ...]) -> dict[str, str | None]:
    paths = {name: folder / name for name in names}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None for name, path in paths.items()
    }


def versions() -> dict[str, str]:
    """Versions that results depend on, those of installed backends too, and the kind of machine."""
    packages = ("torch", "numpy", "brian2", "nengo", "matplotlib")
    return {
        **backend_versions(),
        "ddm2snn": package_version(),
        "machine": platform.machine(),
        **{name: version(name) for name in packages},
    }
