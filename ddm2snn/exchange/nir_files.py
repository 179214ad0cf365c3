"""NIR files: graphs in HDF5, and beside each a sidecar (JSON) with the whole network, much of which NIR cannot hold.

Files are written with NIR's own library. They are read without it, as data only, since they may come from anywhere.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from ddm2snn.base.arrays import array_fields, arrays_of
from ddm2snn.base.files import damage_refused, digest_of, require_file
from ddm2snn.base.foreign import Allowance, Content, read_apart, refuse_elsewhere
from ddm2snn.base.stored import check_header, make_header, parse_json, settings_of
from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.exchange.nir_graph import Graph, Node
from ddm2snn.load import rebuild_spiking
from ddm2snn.network import SpikingNetwork

_MOST_NODES, _MOST_EDGES, _LONGEST_TEXT = 1000, 10_000, 1000
_KINDS = ("Affine", "CubaLIF", "Input", "LI", "LIF", "Linear", "Output", "Scale")
_DIGEST = "file_sha256"
_REMEDY = "Remove it to import what the file holds."
T = TypeVar("T", h5py.Group, h5py.Dataset)


def graph_bytes(graph: Graph) -> bytes:
    """Content of a NIR file (HDF5)."""
    try:
        nir: Any = import_module("nir")
    except ImportError as error:
        raise InputError("NIR files are written with the package nir. Install ddm2snn[nir].") from error
    nodes: dict[str, Any] = {}
    for name, node in graph.nodes.items():
        arrays: dict[str, Any] = dict(node.arrays)
        if node.kind in ("Input", "Output"):
            side = node.kind.lower()
            arrays = {f"{side}_type": {side: arrays["shape"]}}
        nodes[name] = getattr(nir, node.kind)(**arrays)
    content = nir.NIRGraph(nodes=nodes, edges=list(graph.edges), metadata=dict(graph.metadata))
    buffer = io.BytesIO()
    nir.write(buffer, content)
    return buffer.getvalue()


def read_graph(path: Path | str) -> Graph:
    """Read the graph of a NIR file in a process of its own.

    Refused are files that are missing, damaged, no NIR files, announce more numbers than they can hold, keep them in
    another file, or have nodes that this reader does not know.
    """
    existing = require_file(path)
    with damage_refused(existing, "a NIR file"):
        about, arrays = read_apart(graph_content, existing)
        nodes = {
            name: Node(kind, {p: arrays[f"{name}/{p}"] for p in parameters})
            for name, (kind, parameters) in about["nodes"].items()
        }
        return Graph(nodes, tuple((a, b) for a, b in about["edges"]), about["metadata"])


def graph_content(path: Path) -> Content:
    """Graph of a NIR file in the process of the caller: kind and parameters of each node, edges, metadata; arrays."""
    with damage_refused(path, "a NIR file"), h5py.File(path, "r") as file:
        root = _item(path, file, "node", h5py.Group)
        if _text(path, root, "type") != "NIRGraph":
            raise FileRefusedError(f"{path} holds a single NIR node, no graph. Export a graph.")
        allowance = Allowance(path)
        group = _item(path, root, "nodes", h5py.Group)
        if len(group) > _MOST_NODES:
            raise FileRefusedError(f"{path} has {len(group)} nodes; this reader takes {_MOST_NODES} at most.")
        nodes = {name: _node(path, _item(path, group, name, h5py.Group), allowance) for name in map(str, group)}
        edges = list(_edges(path, root, nodes, allowance))
        metadata = dict(_metadata(path, _item(path, root, "metadata", h5py.Group))) if "metadata" in root else {}
    about = {name: (node.kind, list(node.arrays)) for name, node in nodes.items()}
    arrays = {f"{name}/{key}": array for name, node in nodes.items() for key, array in node.arrays.items()}
    return {"nodes": about, "edges": edges, "metadata": metadata}, arrays


def _item(path: Path, group: h5py.Group, name: str, kind: type[T]) -> T:
    """Group or dataset of a group; a link out of the file is not followed."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise FileRefusedError(f"{path} is no NIR file: it has no {name!r} in {group.name!r}.")
    item = group[name]
    if not isinstance(item, kind):
        what = kind.__name__.lower()
        raise FileRefusedError(f"{path} is no NIR file: {item.name!r} is no {what}. Write it with nir.")
    if isinstance(item, h5py.Dataset):
        refuse_elsewhere(path, item)
    return item


def _text(path: Path, parent: h5py.Group, name: str) -> str:
    item = _item(path, parent, name, h5py.Dataset)
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
    item = _item(path, group, name, h5py.Dataset)
    if item.dtype.kind not in "iuf":
        raise FileRefusedError(f"{path}: {item.name!r} must hold numbers, found {item.dtype}. Write it with nir.")
    allowance.take_dataset(item)
    numbers = np.asarray(item[()])
    if not np.isfinite(numbers).all():
        raise FileRefusedError(f"{path}: {item.name!r} holds NaN or infinity; every entry must be finite. Repair it.")
    return np.asarray(numbers, dtype=np.int64 if numbers.dtype.kind in "iu" else np.float64)


def _edges(path: Path, root: h5py.Group, nodes: dict[str, Node], allowance: Allowance) -> Iterator[tuple[str, str]]:
    item = _item(path, root, "edges", h5py.Dataset)
    if item.ndim != 2 or item.shape[1] != 2 or h5py.check_string_dtype(item.dtype) is None:
        raise FileRefusedError(f"{path} is no NIR file: its edges must be pairs of names, found shape {item.shape}.")
    if item.shape[0] > _MOST_EDGES or item.dtype.itemsize > _LONGEST_TEXT:
        raise FileRefusedError(f"{path} announces {item.shape[0]} edges of {item.dtype}; {_MOST_EDGES} are the most.")
    allowance.take_dataset(item)
    for row in range(item.shape[0]):  # one by one, since all of them may refer to the same long text
        source, target = item.asstr()[row]
        for name in (source, target):
            if name not in nodes:
                raise FileRefusedError(f"{path} has an edge to {name[:80]!r}, which is no node of it.")
        yield str(source), str(target)


def _metadata(path: Path, group: h5py.Group) -> Iterator[tuple[str, str | float]]:
    for name in map(str, group):
        item = _item(path, group, name, h5py.Dataset)
        if item.shape != () or item.dtype.itemsize > _LONGEST_TEXT:
            continue
        if h5py.check_string_dtype(item.dtype) is not None:
            yield name, str(item.asstr()[()])[:_LONGEST_TEXT]
        elif item.dtype.kind in "iuf":
            yield name, float(item[()])


def sidecar_of(path: Path | str) -> Path:
    """Where the sidecar of a file lies: ``net.nir.json`` beside ``net.nir``."""
    return Path(path).with_name(Path(path).name + ".json")


def is_sidecar(path: Path) -> bool:
    """Whether a file is the sidecar of an export, which may be replaced with it."""
    content = parse_json(path.read_bytes(), str(path))
    return content["type"] == SpikingNetwork.__name__ and "fingerprint" in content


def sidecar_bytes(network: SpikingNetwork, graph: bytes, *, lost: Sequence[str], form: Mapping[str, Any]) -> bytes:
    """Content of the sidecar of a NIR file whose content is `graph`.

    It gets the network, what is `lost` in sentences with numbers, the `form` in which the file was written, and the
    file's checksum.
    """
    arrays = {
        name: {"shape": list(array.shape), "values": array.ravel().tolist()}
        for name, array in arrays_of(network).items()
    }
    header = make_header("SpikingNetwork", network.fingerprint, settings=settings_of(network))
    digest = hashlib.sha256(graph).hexdigest()
    content = {**header, "form": dict(form), "lost": list(lost), _DIGEST: digest, "arrays": arrays}
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


def read_sidecar(path: Path) -> SpikingNetwork:
    """Network of the sidecar of a NIR file, which is not opened: its checksum makes no HDF5 of others harmless.

    A sidecar that is damaged, or whose checksum does not fit the file, is refused.
    """
    sidecar = require_file(sidecar_of(require_file(path)))
    header = check_header(parse_json(sidecar.read_bytes(), f"{sidecar} is damaged: it", _REMEDY), sidecar)
    if header["type"] != "SpikingNetwork":
        kind = header["type"]
        raise FileRefusedError(f"{sidecar} is the sidecar of a {kind!r}; a SpikingNetwork's is needed. {_REMEDY}")
    values = header.get("arrays")
    if not isinstance(values, dict) or _DIGEST not in header:
        raise FileRefusedError(f"{sidecar} is damaged: it has no arrays or no checksum. {_REMEDY}")
    if header[_DIGEST] != digest_of(path):
        raise FileRefusedError(
            f"{path} is damaged, or was changed after {sidecar.name} was written. Remove that to import what NIR holds."
        )
    fields = array_fields(SpikingNetwork)
    dtypes = {name: fields[name][0] if name in fields else np.float64 for name in values}
    arrays = {n: _array(sidecar, n, values[n], dtype) for n, dtype in dtypes.items() if n in fields or "." in n}
    try:
        return rebuild_spiking(header, arrays, sidecar)
    except FileRefusedError as error:
        raise FileRefusedError(f"{error} Remove it to import what the file beside it holds.") from error


def _array(path: Path, name: str, value: object, dtype: type) -> np.ndarray:
    try:
        return np.array(value["values"], dtype=dtype).reshape(value["shape"])  # pyright: ignore[reportIndexIssue, reportOptionalSubscript] - caught
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise FileRefusedError(f"{path} is damaged: {name} is no array. {_REMEDY}") from error
