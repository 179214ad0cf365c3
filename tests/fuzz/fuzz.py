"""Mutants of every reader's files, in processes that may hang or crash; `python tests/fuzz/fuzz.py` prints a table.

python tests/fuzz/fuzz.py --count 20000 --seed 1           every reader
python tests/fuzz/fuzz.py --reader "import .mat" --mutant 17   one mutant, with its traceback

A mutant is *refused* in one line, *accepted*, or one of the faults: *changed* (a file of ours with other content and
without a word), *other* (an exception that is no InputError, or words of more than a line), *hang* (more than 5 s of
processor time), *crash*, and *memory* (more than 192 MiB and 300 bytes for each byte of the file). Libraries that read
foreign files run in forks, with the bounds that they have in use.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import forked_reader  # noqa: E402
import readers  # noqa: E402

from ddm2snn.base import foreign  # noqa: E402
from ddm2snn.errors import InputError  # noqa: E402

KINDS = ("refused", "accepted", "changed", "other", "hang", "crash", "memory")
FAULTS = KINDS[2:]
MOST_S, MOST_WALL_S = 5.0, 90.0  # of one mutant: processor time, and wall time on a busy machine
LONGEST_LINE = 620
SPARE, PER_BYTE = 3 * 2**26, 300  # memory that a file may take
CEILING = 3 * 2**30  # address space of a worker above what it has at the start


def outcome(name: str, seed: int, folder: Path) -> tuple[str, str]:
    """Read one mutant: its kind, and words."""
    path, rewritten = readers.mutant(name, seed, folder)
    size, reader = path.stat().st_size, readers.READERS[name]
    before, began = _peak(reset=True), time.process_time()
    try:
        found, text = "accepted", readers.fingerprint(reader.read(path))
        sound = _sound_fingerprint(name)
        if reader.own and not rewritten and text != sound:
            found = "changed"
    except InputError as error:
        found, text = "refused", str(error)
        if len(text) > LONGEST_LINE or not text.isprintable():
            found = "other"
    except BaseException:  # noqa: BLE001 - that is what is looked for
        found, text = "other", traceback.format_exc()
    if time.process_time() - began > MOST_S:
        return "hang", text
    if _peak() - before > SPARE + PER_BYTE * size:
        return "memory", text
    return found, text


_sound: dict[str, str] = {}


def _sound_fingerprint(name: str) -> str:
    if name not in _sound:
        folder = readers.sound_folder(name)
        path = folder / min((file.name for file in folder.iterdir()), key=len)
        _sound[name] = readers.fingerprint(readers.READERS[name].read(path))
    return _sound[name]


def _peak(*, reset: bool = False) -> int:
    """Most memory of this process since it was reset, in bytes; 0 where the system does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def _work(pipe: Connection, name: str, seeds: range) -> None:
    """Read mutants one after the other and say what came of each: a process of its own, which may die."""
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + CEILING
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    _sound_fingerprint(name)
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            pipe.send((seed, *outcome(name, seed, Path(folder))))
    pipe.close()


def outcomes(name: str, seeds: range) -> Iterator[tuple[int, str, str]]:
    """Seed, kind and words of each mutant of a reader."""
    context = multiprocessing.get_context("fork")
    todo = seeds
    readers.sound_folder(name)
    while todo:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(theirs, name, todo))
        worker.start()
        theirs.close()
        seed, fault = todo[0] - 1, ""
        while not fault:
            try:
                if not ours.poll(MOST_WALL_S):
                    fault = "hang"
                    break
                seed, kind, text = ours.recv()
                yield seed, kind, text
            except EOFError:
                fault = "crash"
        worker.kill()
        worker.join()
        todo = range(seed + 1, seeds.stop)
        if todo:
            yield todo[0], fault, f"exit code {worker.exitcode}"
            todo = todo[1:]


def table(name: str, count: int, seed: int, keep: list[dict[str, object]]) -> Counter[str]:
    """Kinds of `count` mutants of a reader, from those of a seed on; faults are added to `keep`."""
    seen: Counter[str] = Counter()
    first = seed * 10**6
    for number, kind, text in outcomes(name, range(first, first + count)):
        seen[kind] += 1
        if kind in FAULTS:
            keep.append({"reader": name, "mutant": number, "kind": kind, "text": text[-2000:]})
    return seen


def prepare() -> None:
    """Read foreign files in forks, and imported networks quickly."""
    foreign._run = forked_reader.run
    readers.quick_imports()


def main() -> None:
    """Print the table, and the faults as lines of JSON on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="mutants of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=list(readers.READERS))
    parser.add_argument("--mutant", type=int, help="show this one")
    given = parser.parse_args()
    prepare()
    if given.mutant is not None:
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        print(folder, *outcome((given.reader or list(readers.READERS))[0], given.mutant, folder), sep="\n")
        return
    print("| reader | inputs |", " | ".join(KINDS), "|")
    print("|---|---|", "|".join("---" for _ in KINDS), "|")
    faults = 0
    for name in given.reader or readers.READERS:
        kept: list[dict[str, object]] = []
        seen = table(name, given.count, given.seed, kept)
        print(f"| {name} | {sum(seen.values()):,} |", " | ".join(f"{seen[kind]:,}" for kind in KINDS), "|", flush=True)
        for fault in kept:
            print(json.dumps(fault), file=sys.stderr, flush=True)
        faults += len(kept)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
