"""Damaged and hostile NIR files and sidecars: refused in one line, nothing executed, nothing huge allocated."""

from __future__ import annotations

import json
import pickle
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nir_executor import NirExecutor

from ddm2snn import ArrayMapping, InputError, SpikingNetwork, export, import_network
from ddm2snn.errors import FileRefusedError
from ddm2snn.exchange.nir_files import sidecar_of

Change = Callable[[h5py.Group], None]


@pytest.fixture(scope="module")
def sound(make_spiking, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "net.nir"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        export(make_spiking(rank=2, neurons=6), path)
    return path


def refusal(path: Path) -> str:
    """Words of the refusal, empty where the file could be read; any other error passes through."""
    try:
        assert isinstance(import_network(path), SpikingNetwork)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("beside", [True, False])
def test_a_sound_file_is_read(sound: Path, tmp_path: Path, beside: bool) -> None:
    (tmp_path / "net.nir").write_bytes(sound.read_bytes())
    if beside:
        (tmp_path / "net.nir.json").write_bytes(sidecar_of(sound).read_bytes())
    assert refusal(tmp_path / "net.nir") == ""


@settings(max_examples=60, deadline=10_000)  # ms
@given(cut=st.floats(0, 1), flips=st.lists(st.floats(0, 0.999), max_size=6), beside=st.booleans())
def test_damage_is_refused_or_harmless(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, cut: float, flips: list[float], beside: bool
) -> None:
    """Of the file or of its sidecar; with one whole the other must fit it, or the network is refused."""
    folder = tmp_path_factory.mktemp("damaged")
    whole = {"net.nir": sound.read_bytes(), "net.nir.json": sidecar_of(sound).read_bytes()}
    damaged = "net.nir.json" if beside else "net.nir"
    content = bytearray(whole[damaged])
    for flip in flips:
        content[int(flip * len(content))] ^= 0x55
    whole[damaged] = bytes(content) if flips else bytes(content[: round(cut * len(content))])
    for name, held in whole.items():
        if beside or name == "net.nir":
            (folder / name).write_bytes(held)
    assert "\n" not in refusal(folder / "net.nir")


def replace(name: str, **content: object) -> Change:
    def change(root: h5py.Group) -> None:
        del root[name]
        root.create_dataset(name, **content)

    return change


def outside(root: h5py.Group) -> None:
    del root["nodes/decode/weight"]
    root["nodes/decode/weight"] = h5py.ExternalLink("../../../etc/passwd", "/")


def raw(root: h5py.Group) -> None:
    del root["nodes/decode/weight"]
    root.create_dataset("nodes/decode/weight", shape=(2, 6), dtype="f8", external=[("/etc/passwd", 0, 96)])


def circle(root: h5py.Group) -> None:
    del root["nodes/decode"]
    root["nodes/decode"] = root


def many(root: h5py.Group) -> None:
    for number in range(1001):
        root.create_group(f"nodes/more{number}")


def edges(*more: tuple[str, str]) -> Change:
    def change(root: h5py.Group) -> None:
        given = [*map(tuple, root["edges"].asstr()[()]), *more]  # pyright: ignore
        del root["edges"]
        root.create_dataset("edges", data=np.array(given, dtype=object), dtype=h5py.string_dtype())

    return change


HUGE = 10**7
CHANGES: dict[str, tuple[Change, str]] = {
    "huge weights": (
        replace("nodes/decode/weight", shape=(HUGE, HUGE), dtype="f8", chunks=(100, 100)),
        "more than 4 GiB",
    ),
    "a hundred MB of nothing": (
        replace("nodes/decode/weight", shape=(2, HUGE), dtype="f8", chunks=(2, 9)),
        "more than",
    ),
    "a long text": (replace("nodes/decode/type", shape=(), dtype="S2000000000"), "no text|cannot be read"),
    "many edges": (replace("edges", shape=(HUGE, 2), dtype="S8", chunks=(100, 2)), "10000 are the most"),
    "many nodes": (many, "1000 at most"),
    "text for numbers": (replace("nodes/decode/weight", data="numbers"), "must hold numbers"),
    "an object": (replace("nodes/decode/weight", data=np.void(pickle.dumps({}))), "must hold numbers"),
    "complex numbers": (replace("nodes/decode/weight", data=np.ones((2, 6), complex)), "must hold numbers"),
    "not a number": (replace("nodes/decode/weight", data=np.full((2, 6), np.nan)), "NaN or infinity"),
    "a vector for a matrix": (replace("nodes/decode/weight", data=np.ones(6)), r"must be \(rank, neuron\)"),
    "a number for a matrix": (replace("nodes/encode/weight", data=1.0), "weight must have shape"),
    "no numbers at all": (replace("nodes/decode/weight", data=np.ones((0, 6))), r"must be \(rank, neuron\)"),
    "another number of neurons": (replace("nodes/encode/weight", data=np.ones((7, 2))), "must have shape"),
    "times that differ": (replace("nodes/neurons/tau_syn", data=np.arange(1.0, 7.0)), "differs between neurons"),
    "a time of zero": (replace("nodes/neurons/tau_syn", data=np.zeros(6)), "no more than a step"),
    "thresholds at reset": (replace("nodes/neurons/v_threshold", data=np.zeros(6)), "do not lie above the reset"),
    "an unknown node": (replace("nodes/decode/type", data="__import__('os')"), "this reader knows"),
    "a single node": (replace("type", data="Affine"), "no graph"),
    "a number for a group": (replace("nodes", data=1.0), "is no group"),
    "edges of numbers": (replace("edges", data=np.ones((3, 2))), "pairs of names"),
    "a link to another file": (outside, "has no 'weight'"),
    "numbers in another file": (raw, "in another file"),
    "a group in itself": (circle, "of type 'NIRGraph'"),
    "an edge to nothing": (edges(("decode", "../../x")), "is no node of it"),
    "a second loop": (edges(("neurons", "encode")), "no graph of the factored form"),
    "a loop of its own": (edges(("neurons", "neurons")), "no graph of the factored form"),
    "a loop of latents": (edges(("encode", "decode")), "no graph of the factored form"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_no_network_is_refused_in_one_line(sound: Path, tmp_path: Path, name: str) -> None:
    """By the importer and by the executor's reader, in less memory than the file announces."""
    change, said = CHANGES[name]
    path = tmp_path / "net.nir"
    path.write_bytes(sound.read_bytes())
    with h5py.File(path, "a") as file:
        change(file["node"])  # pyright: ignore[reportArgumentType]
    tracemalloc.start()
    with pytest.raises(InputError, match=said) as caught:
        import_network(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 2**26


def test_the_executor_refuses_shapes_that_do_not_fit(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    path.write_bytes(sound.read_bytes())
    with h5py.File(path, "a") as file:
        replace("nodes/encode/weight", data=np.ones((7, 2)))(file["node"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="node 'encode'"):
        NirExecutor(path).run(np.zeros((1, 3, 2)))


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", pickle.dumps({"node": 1}), b"{}", b"\x00" * 4096])
def test_other_files_under_this_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.nir").write_bytes(content)
    with pytest.raises(FileRefusedError, match=r"net\.nir cannot be read as a NIR file"):
        import_network(tmp_path / "net.nir", ArrayMapping(spikes="per step", dt_s=1e-3))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["arrays"].update(unit={"shape": [10**12], "values": [1]}), "unit is no array"),
        (lambda c: c["arrays"].update(unit="../../x"), "unit is no array"),
        (lambda c: c["arrays"].pop("unit"), "unknown field"),
        (lambda c: c["arrays"].update(decoders={"shape": [2, 6], "values": [1.0] * 12}), "fingerprint"),
        (lambda c: c["settings"].update(neuron={"model": "os.system"}), "no neuron model"),
        (lambda c: c.update(type="Recording"), "a SpikingNetwork's is needed"),
        (lambda c: c.update(format_version=99), "Install a newer ddm2snn"),
        (lambda c: c.pop("arrays"), "no arrays or no checksum"),
        (lambda c: c.pop("file_sha256"), "no arrays or no checksum"),
    ],
)
def test_sidecars_are_not_trusted(sound: Path, tmp_path: Path, change: Callable[[dict], object], said: str) -> None:
    path = tmp_path / "net.nir"
    path.write_bytes(sound.read_bytes())
    content = json.loads(sidecar_of(sound).read_text())
    change(content)
    sidecar_of(path).write_text(json.dumps(content))
    with pytest.raises(InputError, match=said):
        import_network(path)
