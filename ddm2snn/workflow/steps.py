"""Steps of a run that are done once: a graph of their needs, and a record of the steps done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddm2snn.backend import backend_versions
from ddm2snn.base import package_version
from ddm2snn.base.arrays import canonical_json
from ddm2snn.base.files import digest_of, write_text
from ddm2snn.base.processes import Processes
from ddm2snn.base.progress import Announce, Progress
from ddm2snn.base.stored import parse_json
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.load import load

if TYPE_CHECKING:
    import networkx as nx

Action = Callable[[Progress], None]
"""Work of a step, which reports its progress."""
STATE = "steps.json"
_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Step:
    """One step: the steps that it needs, the settings that its result depends on, its files and its work.

    Files without a digest in the record, such as figures, lie in its `folder`. Work that itself goes on in several
    processes is done `alone`.
    """

    name: str
    needs: tuple[str, ...]
    settings: Mapping[str, Any]
    outputs: tuple[str, ...]
    action: Action
    folder: str | None = None
    alone: bool = False


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


def perform(steps: list[Step], folder: Path, announce: Announce, at_once: int = 1) -> None:
    """Do the steps that were not done before with the same settings and inputs, several at once where they may be.

    With 1 at once they are done in this process, one after the other, else each in a process of its own.

    Raises
    ------
    FileRefusedError
        Where a file that is none of these steps' would be written over.
    """
    read, state = _read_state(folder), {}
    there = {step.name: _digests(folder, step.outputs) for step in steps}
    if read is not None:
        state = read
        _keep_others(steps, state, there, folder)
    waiting, finished, keys = _in_order(steps, longest_first=at_once > 1), set[str](), dict[str, str]()
    made_with = versions()
    with Processes({step.name: step.action for step in steps}, at_once) as processes:
        while waiting or processes.working:
            ready = [step for step in waiting if finished.issuperset(step.needs)]
            ready = [step for step in ready if not step.alone or not processes.working]
            if not ready or processes.working >= at_once:
                name, _ = processes.wait()
                step = next(step for step in steps if step.name == name)
            else:
                step = ready[0]
                waiting.remove(step)
                inputs = {need: state[need]["outputs"] for need in step.needs}
                keys[step.name] = step_key(step.settings, inputs, made_with)
                record, progress = state.get(step.name, {}), announce.start(step.name)
                if record.get("key") == keys[step.name] and record.get("outputs") == there[step.name]:
                    announce.finish(step.name, done_before=True)
                    finished.add(step.name)
                    continue
                # where it is killed, they are still its own
                _record(folder, state, step.name, "", dict.fromkeys(step.outputs))
                if not step.alone:
                    processes.begin(step.name, progress, among=processes.working + len(ready))
                    continue
                step.action(progress)
            _record(folder, state, step.name, keys[step.name], _digests(folder, step.outputs))
            announce.finish(step.name, done_before=False)
            finished.add(step.name)


def _in_order(steps: list[Step], *, longest_first: bool) -> list[Step]:
    """Steps behind those that they need: as listed, or first those with the longest way to the end."""
    import networkx as nx

    graph = step_graph(steps)
    way: dict[str, int] = {}
    for name in reversed(list(nx.topological_sort(graph))):
        way[name] = 1 + max((way[after] for after in graph.successors(name)), default=0)
    listed = [step.name for step in steps].index
    names = nx.lexicographical_topological_sort(graph, key=lambda n: (-way[n] if longest_first else 0, listed(n)))
    return [graph.nodes[name]["step"] for name in names]


def step_key(settings: Mapping[str, Any], inputs: Mapping[str, Any], made_with: Mapping[str, str]) -> str:
    """Digest of all that a step's result depends on: settings, what stands for its inputs, and `versions`."""
    return hashlib.sha256(canonical_json([dict(made_with), dict(settings), dict(inputs)]).encode()).hexdigest()


def is_done(step: Step, key: str, folder: Path) -> bool:
    """Whether `perform` would find a step with this key done in `folder`, its files being as they were written.

    >>> is_done(Step("train", (), {}, ("rate.safetensors",), print), "1f", Path("nowhere"))
    False
    """
    record = (_read_state(folder) or {}).get(step.name, {})
    return record.get("key") == key and record["outputs"] == _digests(folder, step.outputs)


@contextlib.contextmanager
def own_files(command: str, folder: Path, outputs: Sequence[str], figures: str | None = None) -> Iterator[None]:
    """Keep files of others, as `perform` does, from a command that writes all its `outputs` in the context."""
    read, state = _read_state(folder), {}
    if read is not None:
        state, step = read, Step(command, (), {}, tuple(outputs), lambda _: None, figures)
        _keep_others([step], state, {command: _digests(folder, outputs)}, folder)
    _record(folder, state, command, "", dict.fromkeys(outputs))
    try:
        yield
    finally:
        there = _digests(folder, outputs)
        _record(folder, state, command, "", {name: digest for name, digest in there.items() if digest is not None})


def _record(folder: Path, state: dict[str, Any], name: str, key: str, outputs: Mapping[str, str | None]) -> None:
    state[name] = {"key": key, "outputs": outputs}
    write_text(folder / STATE, json.dumps(state, indent=1, sort_keys=True) + "\n")


def _keep_others(
    steps: list[Step], state: Mapping[str, Any], there: Mapping[str, Mapping[str, str | None]], folder: Path
) -> None:
    """Refuse to write over files that no step has written, or that somebody has changed since and that are whole."""
    for step in steps:
        written = state.get(step.name, {}).get("outputs", {})
        for name, digest in there[step.name].items():
            path, before = folder / name, written.get(name, "none of ours")
            changed = before not in (None, digest) and (name not in written or _is_whole(path))
            if os.path.lexists(path) and changed:
                raise FileRefusedError(
                    f"{path} is not what this command has written in this folder, and would be lost. Move it to "
                    "another place, or choose another folder."
                )
        figures = folder / (step.folder or STATE)
        if step.name not in state and figures.is_dir() and any(figures.iterdir()):
            raise FileRefusedError(f"The folder {figures} holds files of others. Choose another folder.")


def _is_whole(path: Path) -> bool:
    """Whether a file can be read, so that it is no damaged one."""
    try:
        if path.suffix == ".png":
            return _PNG_END in path.read_bytes()
        if path.suffix == ".html":
            return path.read_bytes().rstrip().endswith(b"</html>")
        parse_json(path.read_bytes(), str(path)) if path.suffix == ".json" else load(path)
    except (InputError, OSError):
        return False
    return True


def _read_state(folder: Path) -> dict[str, Any] | None:
    """Record of the steps done before; None where it cannot be read, so that every step is done again."""
    try:
        state = parse_json((folder / STATE).read_bytes(), STATE)
    except FileNotFoundError:
        return {}
    except FileRefusedError:
        return None
    records = state.items() if isinstance(state, dict) else ()
    return {name: record for name, record in records if _is_record(record)}


def _is_record(value: object) -> bool:
    return isinstance(value, dict) and "key" in value and isinstance(value.get("outputs"), dict)


def _digests(folder: Path, names: Sequence[str]) -> dict[str, str | None]:
    paths = {name: folder / name for name in names}
    return {name: digest_of(path) if path.is_file() else None for name, path in paths.items()}


def versions() -> dict[str, str]:
    """Versions of the packages and backends that results depend on, and the kind of machine."""
    packages = ("torch", "numpy", "brian2", "nengo", "matplotlib")
    return {
        **backend_versions(),
        "ddm2snn": package_version(),
        "machine": platform.machine(),
        **{name: version(name) for name in packages},
    }
