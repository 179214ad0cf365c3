"""Steps of a run that are done once: a graph of their needs, and a record of the steps done."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddm2snn.backend import backend_versions
from ddm2snn.base.arrays import canonical_json
from ddm2snn.base.files import write_text
from ddm2snn.base.progress import Announce, Progress
from ddm2snn.base.stored import parse_json
from ddm2snn.base.version import package_version
from ddm2snn.errors import FileRefusedError

if TYPE_CHECKING:
    import networkx as nx

Action = Callable[[Progress], None]
"""Work of a step, which reports its progress."""
_STATE = "steps.json"


@dataclass(frozen=True)
class Step:
    """One step: the steps that it needs, the settings that its result depends on, its files and its work."""

    name: str
    needs: tuple[str, ...]
    settings: Mapping[str, Any]
    outputs: tuple[str, ...]
    action: Action


def step_graph(steps: list[Step]) -> nx.DiGraph:
    """Steps as a directed graph, with an edge from each step to those that need it.

    >>> train = Step("train", (), {}, ("rate.safetensors",), print)
    >>> convert = Step("convert", ("train",), {}, ("spiking.safetensors",), print)
    >>> list(step_graph([train, convert]).edges)
    [('train', 'convert')]
    """
    import networkx as nx

    graph = nx.DiGraph()
    for step in steps:
        graph.add_node(step.name, step=step)
        graph.add_edges_from((need, step.name) for need in step.needs)
    return graph


def perform(steps: list[Step], folder: Path, announce: Announce) -> None:
    """Do the steps that were not done before with the same settings and inputs."""
    import networkx as nx

    state = _read_state(folder)
    graph = step_graph(steps)
    keys: dict[str, str] = {}
    for name in nx.lexicographical_topological_sort(graph, key=[step.name for step in steps].index):
        step: Step = graph.nodes[name]["step"]
        inputs = {need: state[need]["outputs"] for need in step.needs}
        keys[name] = hashlib.sha256(canonical_json([versions(), dict(step.settings), inputs]).encode()).hexdigest()
        record = state.get(name, {})
        done = record.get("key") == keys[name] and record.get("outputs") == _digests(folder, step.outputs)
        progress = announce.start(name)
        if not done:
            step.action(progress)
            state[name] = {"key": keys[name], "outputs": _digests(folder, step.outputs)}
            write_text(folder / _STATE, json.dumps(state, indent=1, sort_keys=True) + "\n")
        announce.finish(name, done_before=done)


def _read_state(folder: Path) -> dict[str, Any]:
    """Record of the steps done before; empty where it cannot be read, so that every step is done again."""
    try:
        state = parse_json((folder / _STATE).read_bytes(), _STATE)
    except (FileNotFoundError, FileRefusedError):
        return {}
    records = state.items() if isinstance(state, dict) else ()
    return {name: record for name, record in records if isinstance(record, dict) and {"key", "outputs"} <= {*record}}


def _digests(folder: Path, names: tuple[str, ...]) -> dict[str, str | None]:
    paths = {name: folder / name for name in names}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None for name, path in paths.items()
    }


@cache
def _threads() -> str:
    """Threads of PyTorch before any work, which changes their number for a while."""
    import torch

    return str(torch.get_num_threads())


def versions() -> dict[str, str]:
    """Versions of the packages and backends that results depend on, the kind of machine, and threads of training."""
    packages = ("torch", "numpy", "brian2", "nengo", "matplotlib")
    return {
        **backend_versions(),
        "ddm2snn": package_version(),
        "machine": platform.machine(),
        "threads": _threads(),  # sums of another order make other networks
        **{name: version(name) for name in packages},
    }
