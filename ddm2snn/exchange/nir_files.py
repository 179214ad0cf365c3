"""NIR files: written with NIR's own library, read without it, since what others wrote is not to be trusted."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.files import require_file, whole_file
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.allowance import Allowance, refuse_elsewhere
from ddm2snn.exchange.nir_graph import Graph, Node

if TYPE_CHECKING:
    import h5py

_MOST_NODES, _MOST_EDGES, _LONGEST_TEXT = 1000, 10_000, 1000
_KINDS = ("Affine", "CubaLIF", "Input", "LI", "LIF", "Linear", "Output", "Scale")


def write_graph(graph: Graph, path: Path | str) -> None:
    """Write a NIR file (HDF5) whole or not at all."""
    nir = _library()
    nodes: dict[str, Any] = {}
    for name, node in graph.nodes.items():
        arrays = dict(node.arrays)
        if node.kind in ("Input", "Output"):
            side = node.kind.lower()
            nodes[name] = getattr(nir, node.kind)(**{f"{side}_type": {side: arrays["shape"]}})
        else:
            nodes[name] = getattr(nir, node.kind)(**arrays)
    made = nir.NIRGraph(nodes=nodes, edges=list(graph.edges), metadata=dict(graph.metadata))
    with whole_file(path) as temporary:
        nir.write(temporary, made)


def _library() -> Any:  # noqa: ANN401 - nir is optional
    try:
        return import_module("nir")
    except ImportError as error:
        raise InputError("NIR files are written with the package nir. Install ddm2snn[nir].") from error


def read_graph(path: Path | str) -> Graph:
    """Read a NIR file, as data only.

    Raises
    ------
    FileRefusedError
        Where the file is missing, damaged, no NIR file, announces more numbers than it can hold, keeps them in another
        file, or has nodes that this reader does not know.
    """
    import h5py

    found = require_file(path)
    try:
        with h5py.File(found, "r") as file:
            return _graph(found, file)
    except FileRefusedError:
        raise
    except Exception as error:  # whatever HDF5 raises on a damaged file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FileRefusedError(f"{found} cannot be read as a NIR file: {reason}. Write it anew.") from error


def _graph(path: Path, file: h5py.File) -> Graph:
    root = _group(path, file, "node")
    if _text(path, root, "type") != "NIRGraph":
        raise FileRefusedError(f"{path} holds a single NIR node, no graph. Export a graph.")
    allowance = Allowance(path)
    held = _group(path, root, "nodes")
    if len(held) > _MOST_NODES:
        raise FileRefusedError(f"{path} has {len(held)} nodes; this reader takes {_MOST_NODES} at most.")
    nodes = {name: _node(path, _group(path, held, name), allowance) for name in map(str, held)}
    edges = tuple(_edges(path, root, nodes, allowance))
    metadata = dict(_metadata(path, _group(path, root, "metadata"))) if "metadata" in root else {}
    return Graph(nodes, edges, metadata)


def _item(path: Path, group: h5py.Group, name: str) -> Any:  # noqa: ANN401 - a group or a dataset
    """Item that lies in this very file: links that lead elsewhere are not followed."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise FileRefusedError(f"{path} is no NIR file: it has no {name!r} in {group.name!r}.")
    return group[name]


def _group(path: Path, parent: h5py.Group, name: str) -> h5py.Group:
    import h5py

    item = _item(path, parent, name)
    if not isinstance(item, h5py.Group):
        raise FileRefusedError(f"{path} is no NIR file: {item.name!r} is no group. Write it with nir.")
    return item


def _dataset(path: Path, parent: h5py.Group, name: str) -> h5py.Dataset:
    import h5py

    item = _item(path, parent, name)
    if not isinstance(item, h5py.Dataset):
        raise FileRefusedError(f"{path} is no NIR file: {item.name!r} is no dataset. Write it with nir.")
    refuse_elsewhere(path, item)
    return item


def _text(path: Path, parent: h5py.Group, name: str) -> str:
    import h5py

    item = _dataset(path, parent, name)
    if item.shape != () or h5py.check_string_dtype(item.dtype) is None or item.dtype.itemsize > _LONGEST_TEXT:
        raise FileRefusedError(f"{path} is no NIR file: {item.name!r} is no text. Write it with nir.")
    return str(item.asstr()[()])[:_LONGEST_TEXT]


def _node(path: Path, group: h5py.Group, allowance: Allowance) -> Node:
    kind = _text(path, group, "type")
    if kind not in _KINDS:
        raise FileRefusedError(
            f"{path} has the node {group.name!r} of type {kind!r}; this reader knows {', '.join(_KINDS)}."
        )
    names = [str(name) for name in group if name not in ("type", "metadata")]
    return Node(kind, {name: _numbers(path, group, name, allowance) for name in names})


def _numbers(path: Path, group: h5py.Group, name: str, allowance: Allowance) -> np.ndarray:
    item = _dataset(path, group, name)
    if item.dtype.kind not in "iuf":
        raise FileRefusedError(f"{path}: {item.name!r} must hold numbers, found {item.dtype}. Write it with nir.")
    allowance.take_dataset(item)
    numbers = np.asarray(item[()])
    if not np.isfinite(numbers).all():
        raise FileRefusedError(f"{path}: {item.name!r} holds NaN or infinity; every entry must be finite. Repair it.")
    return np.asarray(numbers, dtype=np.int64 if numbers.dtype.kind in "iu" else np.float64)


def _edges(path: Path, root: h5py.Group, nodes: dict[str, Node], allowance: Allowance) -> Iterator[tuple[str, str]]:
    import h5py

    item = _dataset(path, root, "edges")
    if item.ndim != 2 or item.shape[1] != 2 or h5py.check_string_dtype(item.dtype) is None:
        raise FileRefusedError(f"{path} is no NIR file: its edges must be pairs of names, found shape {item.shape}.")
    if item.shape[0] > _MOST_EDGES or item.dtype.itemsize > _LONGEST_TEXT:
        raise FileRefusedError(f"{path} announces {item.shape[0]} edges of {item.dtype}; {_MOST_EDGES} are the most.")
    allowance.take_dataset(item)
    for row in range(item.shape[0]):  # one by one: all may refer to one long text
        source, target = item.asstr()[row]
        for name in (source, target):
            if name not in nodes:
                raise FileRefusedError(f"{path} has an edge to {name[:80]!r}, which is no node of it.")
        yield str(source), str(target)


def _metadata(path: Path, group: h5py.Group) -> Iterator[tuple[str, str | float]]:
    import h5py

    for name in map(str, group):
        item = _dataset(path, group, name)
        if item.shape != () or item.dtype.itemsize > _LONGEST_TEXT:
            continue
        if h5py.check_string_dtype(item.dtype) is not None:
            yield name, str(item.asstr()[()])[:_LONGEST_TEXT]
        elif item.dtype.kind in "iuf":
            yield name, float(item[()])
