"""Flipped bits, full disks, shared folders, limits and load: what the command line makes of each, as tables.

    python tests/fuzz/audit.py [--parts flips disk shared limits load] [--flips 1000] [-o FOLDER]

`flips` changes single bits of sound files and reads them. `disk` writes every kind of file on a full disk of a few KiB
(a tmpfs; needs root). `shared` starts several processes at once. `limits` takes away what a command expects of its
machine. `load` prints wall time and peak memory of large runs. Exits 1 where a row is not as it must be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import forked_reader  # noqa: E402
import mutants  # noqa: E402
import readers  # noqa: E402

import ddm2snn  # noqa: E402
from ddm2snn.base import foreign  # noqa: E402
from ddm2snn.errors import InputError  # noqa: E402

OWN = ("rate.safetensors", "spiking.safetensors", "stimulus.safetensors", "recording.nc", "import .h5, own schema",
       "import .nir")  # fmt: skip
FOREIGN = ("import .npz", "import .mat", "import .h5", "import .pt", "import .safetensors")
MOST_S = 5.0  # of processor time
LOOK_S = 0.02  # between two looks at the memory of a process
FOLDERS_PER_PROCESS = 300


@dataclass(frozen=True)
class Row:
    """One line of a table, and whether it is as it must be."""

    what: str
    came: str
    right: bool


@dataclass(frozen=True)
class Ended:
    """A command that ended: exit code, last line, number of lines on stderr, wall time and peak memory."""

    code: int
    said: str
    lines: int
    seconds: float
    mib: float

    @property
    def in_one_line(self) -> bool:
        """Whether it was refused, in words."""
        return self.code == 2 and self.said.startswith("Error") and "Traceback" not in self.said

    def words(self) -> str:
        """Exit code and what was said."""
        return f"{self.code}: {self.said[:100]}" if self.code else "done"


def command(
    *given: str, env: Mapping[str, str | None] | None = None, before: Callable[[], object] | None = None
) -> Ended:
    """Run `ddm2snn` with arguments; a variable of the environment that is None is taken away."""
    begin, peak_kib = time.monotonic(), 0
    settings = {key: value for key, value in {**os.environ, **(env or {})}.items() if value is not None}
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ddm2snn.cli", *given], stdout=subprocess.DEVNULL, stderr=output, env=settings,
            preexec_fn=before,
        )  # fmt: skip
        while process.poll() is None:
            peak_kib = max(peak_kib, _peak_kib(process.pid))
            time.sleep(LOOK_S)
        output.seek(0)
        said = output.read()
    lines = [line for line in said.strip().splitlines() if line.startswith(("Error", "Traceback", "Usage"))]
    last = "Traceback" if "Traceback" in said else (said.strip().splitlines() or [""])[-1]
    return Ended(process.returncode, last, len(lines), time.monotonic() - begin, peak_kib / 1024)


def _peak_kib(process: int) -> int:
    """Most memory that a process has had since it began; that of its parent counts where the system is asked later."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
    return 0


def flips(count: int) -> Iterator[Row]:
    """Single bits of files: found, without effect, or other content without a word."""
    for name in (*OWN, *FOREIGN):
        reader, came = readers.READERS[name], Counter()
        sound = readers.sound_folder(name)
        first = min((file.name for file in sound.iterdir()), key=len)
        content, expected = (sound / first).read_bytes(), readers.fingerprint(reader.read(sound / first))
        for seed in range(count):
            with tempfile.TemporaryDirectory(prefix="audit-") as folder:
                path = Path(shutil.copytree(sound, Path(folder) / "files")) / first
                path.write_bytes(mutants.flip(random.Random(f"{name} {seed}"), content))
                began = time.process_time()
                try:
                    same = readers.fingerprint(reader.read(path)) == expected
                    came["no effect" if same else "changed"] += 1
                except InputError:
                    came["found"] += 1
                came["hang"] += time.process_time() - began > MOST_S
        parts = ", ".join(f"{kind} {came[kind]}" for kind in ("found", "no effect", "changed", "hang"))
        yield Row(f"{name}, {count} bits", parts, not came["hang"] and not (name in OWN and came["changed"]))


@contextlib.contextmanager
def small_disk(kib: int) -> Iterator[Path]:
    """A disk of a few KiB."""
    with tempfile.TemporaryDirectory(prefix="disk-") as place:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", place], check=True)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)


def disk(files: Path) -> Iterator[Row]:
    """Every kind of file on a disk without room: one line, nothing left."""
    rate, snn = str(files / "rate.safetensors"), str(files / "snn.safetensors")
    short = ("--duration", "40", "--trials", "16", "--every", "0.02")
    tries = {
        "train": ("train", "vanderpol", "--units", "64", "--error", "0.1"),
        "import": ("import", str(files / "weights.npz"), "--factor", "1", "--activation", "tanh", "--filtered",
                   "currents"),
        "convert": ("convert", rate, "--decoders", "static"),
        "simulate": ("simulate", snn, "--backend", "reference", *short),
        "simulate --spikes": ("simulate", snn, "--backend", "reference", "--spikes", *short),
        "simulate on brian2": ("simulate", snn, "--backend", "brian2", *short),
        "compare": ("compare", str(files / "a.nc"), str(files / "b.nc")),
        "analyse": ("analyse", rate),
        **{f"export {form}": ("export", snn, "--format", form) for form in ("nir", "hdf5", "brian2", "nengo", "pynn")},
        "export csv": ("export", str(files / "a.nc"), "--format", "csv"),
    }  # fmt: skip
    for name, given in tries.items():
        came, right = [], True
        for kib in (4, 12):
            with small_disk(kib) as place:
                suffix = {"export nir": "x.nir", "export hdf5": "x.h5", "export csv": "x.csv"}.get(name)
                suffix = suffix or ("x.py" if name.startswith("export") else
                                    {"compare": "x", "analyse": "x"}.get(name.split()[0], "x.safetensors"))  # fmt: skip
                suffix = "x.nc" if name.startswith("simulate") else suffix
                ended = command(*given, "-o", str(place / suffix))
                left = [str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()]
                right &= ended.code == 0 or (ended.in_one_line and not left)
                came.append(f"{ended.words()}{f', left {left}' if left and ended.code else ''}")
        yield Row(f"{name}, 4 and 12 KiB", "; ".join(came), right)


def shared(files: Path) -> Iterator[Row]:
    """Processes that want the same folder, or the same program."""
    recipe, out = files / "recipe.toml", files / "shared"
    recipe.write_text(
        'system = "vanderpol"\nbackends = ["reference"]\n[training]\nunits = 8\nerror = 0.5\n[conversion]\n'
        'neurons_per_unit = 2\ndecoders = "static"\ntime_unit_s = 0.1\n[simulation]\nduration = 4.0\nburn_in = 1.0\n'
        "trials = 2\n",
        encoding="utf-8",
    )
    start = [sys.executable, "-m", "ddm2snn.cli"]

    def six(*given: str, env: Mapping[str, str] | None = None) -> list[tuple[int, str]]:
        some = [
            subprocess.Popen(
                [*start, *(part.replace("%", str(i)) for part in given)], stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})},
            )
            for i in range(6)
        ]  # fmt: skip
        said = [process.communicate()[1] for process in some]
        return [(p.returncode, (s.strip().splitlines() or [""])[-1]) for p, s in zip(some, said, strict=True)]

    ended = six("run", str(recipe), "-o", str(out))
    done = sum(code == 0 for code, _ in ended)
    refused = sum(code == 2 and "Another run works" in said for code, said in ended)
    yield Row(
        "six `run` into one folder", f"{done} done, {refused} told that another works", done + refused == 6 and done > 0
    )

    code = (
        "import sys; from ddm2snn.base.files import make_folder\n"
        f"for i in range({FOLDERS_PER_PROCESS}): make_folder(sys.argv[1])"
    )
    some = [subprocess.Popen([sys.executable, "-c", code, str(files / "made")]) for _ in range(6)]
    failed = sum(process.wait() != 0 for process in some)
    yield Row(f"six processes make one folder {FOLDERS_PER_PROCESS} times", f"{failed} refused", not failed)

    cache = {"DDM2SNN_CACHE": str(files / "programs"), "DDM2SNN_CACHE_MIB": "256"}
    given = ("simulate", str(files / "snn.safetensors"), "--backend", "brian2", "--duration", "2",
             "--backend-option", "mode=cpp_standalone")  # fmt: skip
    ended = six(*given, "-o", str(files / "six-%.nc"), env=cache)
    fingerprints = {ddm2snn.load(files / f"six-{i}.nc").fingerprint for i in range(6) if ended[i][0] == 0}
    programs = len([path for path in (files / "programs").glob("*") if path.is_dir()])
    yield Row("six compiled runs, empty cache",
              f"{sum(code == 0 for code, _ in ended)} done, {programs} programs, {len(fingerprints)} distinct results",
              all(code == 0 for code, _ in ended) and len(fingerprints) == 1)  # fmt: skip


def limits(files: Path) -> Iterator[Row]:
    """Machines that lack something."""
    snn, rate, out = str(files / "snn.safetensors"), str(files / "rate.safetensors"), files / "limits"
    out.mkdir(exist_ok=True)
    long = ("simulate", snn, "--backend", "brian2", "--duration", "2", "-o", str(out / "x.nc"))
    compiled = (*long, "--backend-option", "mode=cpp_standalone")
    short = ("simulate", snn, "--backend", "reference", "--duration", "1", "-o", str(out / "y.nc"))
    bare = {"PATH": str(files / "no-tools"), "CC": None, "CXX": None}

    def limited(kind: int, size: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(kind, (size, size))

    def row(what: str, ended: Ended, *, refused: bool | None = None) -> Row:
        right = ended.code == 0 or ended.in_one_line if refused is None else ended.in_one_line == refused
        return Row(what, ended.words(), right and (refused is not False or ended.code == 0))

    yield row("no compiler, mode by default", command(*long, env=bare), refused=False)
    yield row("no compiler, cpp_standalone asked for",
              command(*compiled, env=bare), refused=True)  # fmt: skip
    yield row("no HOME", command(*short, env={"HOME": None}), refused=False)
    yield row("HOME that cannot be", command(*short, env={"HOME": "/dev/null/x"}))
    yield row("TMPDIR missing", command(*short, env={"TMPDIR": "/nonexistent"}), refused=False)
    yield row("cache that cannot be", command(*compiled, env={"DDM2SNN_CACHE": "/dev/null/x"}), refused=True)
    unbounded = {"DDM2SNN_CACHE_MIB": "inf", "DDM2SNN_CACHE": str(files / "empty")}
    yield row("DDM2SNN_CACHE_MIB=inf", command(*compiled, env=unbounded), refused=True)
    with small_disk(64) as place:
        yield row("cache on a full disk", command(*compiled, env={"DDM2SNN_CACHE": str(place / "c")}), refused=True)
    yield row("file-size limit of 1 KiB", command(*short, before=limited(resource.RLIMIT_FSIZE, 1024)), refused=True)
    yield row("-o below a file", command(*short[:-1], f"{snn}/x.nc"), refused=True)
    yield row("-o on a folder", command(*short[:-1], str(out)), refused=True)
    for number in (64, 20):
        ended = command(*short, before=limited(resource.RLIMIT_NOFILE, number))
        yield row(f"{number} open files", ended, refused=False)
    for trials in ("1000000", "100000000", "1000000000"):
        given = (*short[:-3], "1000", "--trials", trials, "-o", str(out / "z.nc"))
        yield row(f"{int(trials):,} trials", command(*given), refused=True)
    huge = ("train", "vanderpol", "--units", "1000000", "-o", str(out / "t.safetensors"))
    yield row("train --units 1000000", command(*huge), refused=True)
    yield row("--dt-s 1e-300", command(*short, "--dt-s", "1e-300"), refused=True)
    (out / "y.nc").unlink()
    ended = command(*short, before=lambda: os.umask(0o077))
    mode = (out / "y.nc").stat().st_mode & 0o777
    yield Row("umask 077", f"{ended.words()}, mode {mode:04o}", mode == 0o600)
    private = out / "p.nc"
    private.write_text("old", encoding="utf-8")
    private.chmod(0o600)
    ended = command(*short[:-1], str(private))
    mode = private.stat().st_mode & 0o777
    yield Row("output over an own file of mode 0600", f"{ended.words()}, mode {mode:04o}", mode == 0o600)
    os.mkfifo(out / "fifo")
    ended = command("export", snn, "-o", str(out / "fifo"), "--format", "hdf5")
    yield Row("-o on a FIFO", f"{ended.words()}", ended.in_one_line and (out / "fifo").is_fifo())
    yield row("output is the input", command("simulate", rate, "-o", rate, "--duration", "1"), refused=True)


def load(files: Path) -> Iterator[Row]:
    """Wall time and peak memory of large runs."""
    small, rate = str(files / "snn.safetensors"), str(files / "rate.safetensors")
    huge, out = str(files / "huge.safetensors"), str(files / "out.nc")
    runs = {
        "1,000 trials of 12 neurons, 20 time units, reference":
            ("simulate", small, "--backend", "reference", "--trials", "1000", "--duration", "20", "-o", out),
        "1,000 trials of 12 neurons, 20 time units, nengo":
            ("simulate", small, "--backend", "nengo", "--trials", "1000", "--duration", "20", "-o", out),
        "rate network, 16 trials, 1e6 samples":
            ("simulate", rate, "--trials", "16", "--duration", "625", "--every", "0.01", "-o", out),
        "convert static to 200,016 neurons":
            ("convert", rate, "--neurons-per-unit", "3125.25", "--decoders", "static", "-o", huge),
        "simulate these for 2 time units, brian2":
            ("simulate", huge, "--backend", "brian2", "--duration", "2", "-o", out),
    }  # fmt: skip
    for what, given in runs.items():
        ended = command(*given)
        yield Row(what, f"{ended.seconds:.0f} s, {ended.mib:,.0f} MiB; {ended.words()}", ended.code == 0)
    rng = np.random.default_rng(0)
    for name in ("c", "d"):
        latent = np.cumsum(rng.standard_normal((50, 50_000, 2)), axis=1) * 0.01
        latent -= np.linspace(0, 1, 50_000)[None, :, None] * latent[:, -1:]
        ddm2snn.Recording.from_arrays(latent, every=0.02, time_unit_s=0.1, provenance={}).save(files / f"{name}.nc")
    ended = command("compare", str(files / "c.nc"), str(files / "d.nc"), "-o", str(files / "cmp"))
    yield Row("compare two recordings of 2.5e6 states", f"{ended.seconds:.0f} s, {ended.mib:,.0f} MiB; {ended.words()}",
              ended.code == 0 or ended.in_one_line)  # fmt: skip


def inputs(files: Path) -> None:
    """Networks and recordings that the parts use."""
    readers.shared.build_spiking(rank=2, neurons=12).save(files / "snn.safetensors")
    rate = ddm2snn.train("vanderpol", units=64, training=ddm2snn.Training(error=0.1))
    rate.save(files / "rate.safetensors")
    for seed, name in enumerate("ab"):
        ddm2snn.simulate(rate, trials=8, duration=10.0, seed=seed).save(files / f"{name}.nc")
    readers.write_arrays(files / "weights.npz", readers.weights())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("flips", "disk", "shared", "limits", "load")
    parser.add_argument("--parts", nargs="*", default=list(parts), choices=parts)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path, help="folder for audit.json")
    given = parser.parse_args()
    foreign._run = forked_reader.run
    readers.quick_imports()
    wrong, everything = 0, []
    with tempfile.TemporaryDirectory(prefix="audit-") as work:
        files = Path(work)
        inputs(files)
        for part in given.parts:
            rows = flips(given.flips) if part == "flips" else globals()[part](files)
            for row in rows:
                print(f"{part:7} {row.what:55} {'' if row.right else 'WRONG '}{row.came}", flush=True)
                wrong += not row.right
                everything.append({"part": part, "what": row.what, "came": row.came, "right": row.right})
    if given.output is not None:
        given.output.mkdir(parents=True, exist_ok=True)
        (given.output / "audit.json").write_text(json.dumps(everything, indent=1), encoding="utf-8")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
