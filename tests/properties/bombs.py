"""Small files that announce, or unpack to, more than they hold; run as a program it imports each and measures.

python bombs.py FOLDER     prints a line of JSON for each file of the folder
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import h5py

UNPACKED = 2**28  # bytes, of which each bomb has some 260 thousand


@cache
def packed(size: int) -> bytes:
    """So many zeros behind deflate, made without them in memory."""
    packer, block = zlib.compressobj(1), bytes(2**20)
    return b"".join([*(packer.compress(block) for _ in range(size // len(block))), packer.flush()])


def chunked(path: Path, shape: tuple[int, int], chunk: tuple[int, int], name: str = "W") -> None:
    """A dataset of zeros, each of its chunks deflated."""
    content = packed(8 * chunk[0] * chunk[1])
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        item = file.create_dataset(name, shape=shape, maxshape=(None, None), chunks=chunk, dtype="f8", compression=9)
        for row in range(0, shape[0], chunk[0]):
            item.id.write_direct_chunk((row, 0), content)


def h5_array(path: Path) -> None:
    chunked(path, (2**13, 2**12), (2**11, 2**12))


def h5_chunk_larger_than_its_dataset(path: Path) -> None:
    chunked(path, (2, 2), (2**13, 2**12))


def h5_many_arrays_unwritten(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in range(40):
            file.create_dataset(f"a{number}", shape=(2**11, 2**11), dtype="f8")


def h5_groups_in_groups(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group: h5py.Group = file
        for _ in range(1500):
            group = group.create_group("g")


def h5_links_that_climb(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["W"] = h5py.ExternalLink("../../../../etc/passwd", "/")
        file["m"] = h5py.SoftLink("../../n")


def h5_virtual_parts_of_other_files(path: Path) -> None:
    layout = h5py.VirtualLayout(shape=(4, 4), dtype="f8")
    layout[:] = h5py.VirtualSource("../../../secret.h5", "W", shape=(4, 4))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("W", layout)


def npz_array(path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (8192, 4096), }".ljust(117) + b"\n"
    zipped(path, "W.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header, UNPACKED)


def npz_header(path: Path) -> None:
    zipped(path, "W.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", UNPACKED), UNPACKED)


def npz_text(path: Path) -> None:
    zipped(path, "W.npy", b"no array", UNPACKED)


def zipped(path: Path, member: str, start: bytes, zeros: int) -> None:
    archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open(member, "w", force_zip64=True) as file:
        file.write(start)
        for _ in range(zeros // 2**20):
            file.write(bytes(2**20))


def matlab(path: Path, kind: int, nested: bytes = b"") -> None:
    """One compressed variable of MATLAB 5: zeros, or a cell with `nested` as its head and zeros behind."""
    size = UNPACKED

    def element(kind: int, content: bytes) -> bytes:
        return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)

    def head(kind: int, rows: int, columns: int) -> bytes:
        return (
            element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack("<ii", rows, columns)) + element(1, b"W")
        )

    numbers = head(6, size // 8, 1) + struct.pack("<II", 9, size)
    inner = numbers if kind == 6 else head(kind, 1, 1) + struct.pack("<II", 14, len(numbers) + size) + numbers
    packer = zlib.compressobj(1)
    parts = [packer.compress(struct.pack("<II", 14, len(inner) + size) + inner)]
    parts += [packer.compress(bytes(2**20)) for _ in range(size // 2**20)]
    content = b"".join([*parts, packer.flush()])
    start = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49)
    path.write_bytes(start + struct.pack("<II", 15, len(content)) + content)


def mat_array(path: Path) -> None:
    matlab(path, 6)


def mat_cell(path: Path) -> None:
    matlab(path, 1)


def pt_view_of_one_number(path: Path) -> None:
    import torch

    torch.save({"W": torch.zeros(1).expand(2**13, 2**12)}, path)


def pt_records(path: Path) -> None:
    import torch

    buffer = io.BytesIO()
    torch.save({"W": torch.zeros(2)}, buffer)
    with zipfile.ZipFile(buffer) as sound:
        held = {name: sound.read(name) for name in sound.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("archive/data/1", "w") as file,
    ):
        for _ in range(UNPACKED // 2**20):
            file.write(bytes(2**20))


def nir_chunk_larger_than_its_dataset(path: Path) -> None:
    chunked(path, (2, 6), (2**13, 2**12), "node/nodes/decode/weight")


def nir_edges_of_one_long_name(path: Path) -> None:
    """Each of 10,000 edges refers to one text of a megabyte."""
    with h5py.File(path, "a") as file:
        del file["node/edges"]
        item = file.create_dataset("node/edges", shape=(10_000, 2), dtype=h5py.string_dtype(), chunks=(10_000, 2))
        item[0] = ["x" * 2**20, "input"]
        reference = item.id.read_direct_chunk((0, 0))[1][:16]
        item.id.write_direct_chunk((0, 0), reference * 20_000)


BOMBS: dict[str, tuple[Callable[[Path], None], str]] = {
    "array.h5": (h5_array, "more than a file of its size can hold"),
    "chunk.h5": (h5_chunk_larger_than_its_dataset, "more than a file of its size can hold"),
    "unwritten.h5": (h5_many_arrays_unwritten, "has no numbers for it"),
    "groups.h5": (h5_groups_in_groups, "cannot be read|holds no array"),
    "links.h5": (h5_links_that_climb, "holds no array of numbers"),
    "virtual.h5": (h5_virtual_parts_of_other_files, "in another file"),
    "array.npz": (npz_array, "more than a file of its size can hold"),
    "header.npz": (npz_header, "announces a header"),
    "text.npz": (npz_text, "cannot be read as .npz"),
    "array.mat": (mat_array, "more than a file of its size can hold"),
    "cell.mat": (mat_cell, "announces compressed variables, more than"),
    "view.pt": (pt_view_of_one_number, "more than a file of its size can hold"),
    "records.pt": (pt_records, "more than a file of its size can hold"),
    "chunk.nir": (nir_chunk_larger_than_its_dataset, "more than a file of its size can hold"),
    "edges.nir": (nir_edges_of_one_long_name, "is no node of it"),
}
"""By name of the file: what makes it, of NIR what changes a sound one, and words of its refusal."""


def main() -> None:
    """Import all files of a folder after sound ones, which load the libraries."""
    import torch

    from ddm2snn import ArrayMapping, InputError, import_network

    folder = Path(sys.argv[1])
    meaning = ArrayMapping(activation="tanh", filtered="currents")
    torch.set_num_threads(1)

    def refusal(path: Path) -> str:
        try:
            import_network(path, None if path.suffix == ".nir" else meaning)
        except InputError as error:
            return str(error)
        return ""

    peak_kib = 0
    for path in sorted(folder.iterdir(), key=lambda path: (not path.name.startswith("sound"), path.name)):
        before_s = time.process_time()
        said = refusal(path)
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"file": path.name, "said": said, "more": 1024 * (highest - peak_kib),
                          "seconds": time.process_time() - before_s}))  # fmt: skip
        peak_kib = highest


if __name__ == "__main__":
    main()
