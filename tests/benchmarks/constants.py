"""Constants of conversion and comparison: value, origin, and what half and twice of each do to results.

    python tests/benchmarks/constants.py [--only clock noise_spectrum._WHITE] [--duration 1000] [--trials 32] [--all]
        [--list] -o FOLDER

A constant is a name in capitals at the top level of a module in conversion/ or fidelity/ whose value holds a number.
The comment beside or above it (or the string below) says what it is, and in brackets where it comes from:

- `literature`: a published value, or one in common use;
- `derived`: follows from an equation, a number format or another constant;
- `measured`: set on measurements of the systems named, which are no fair judges of it;
- `choice`: nobody measured it, a round number more often than not;
- `cost`: time, memory or the scatter of an estimate;
- `code`: a name for something, or for display.

The tree of every module is searched for constants, so that a new one cannot be forgotten; one without an origin is an
error. Each constant that carries results (neither cost nor code, unless --all) is halved and doubled in processes of
its own, by a line behind it: a seeded van der Pol in 32 units is converted, simulated and compared. Whole numbers stay
whole and above zero, tuples are scaled entry by entry. A constant of the comparison judges the network of the
unchanged code. The first row is the unchanged code, and its scatter over three seeds of conversion and simulation says
what is more than chance: a result in bold is further from it than three standard deviations.

Writes FOLDER/constants.md and .json after each constant, and goes on with what is there.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import importlib.machinery
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
PARTS = ("ddm2snn/conversion", "ddm2snn/fidelity")
KINDS = ("literature", "derived", "measured", "choice", "cost", "code")
NO_RESULTS = ("cost", "code")
SEEDS, SIGMAS = 3, 3.0
RESULTS = {"drift_error": "drift error (%)", "noise": "spike noise / target", "time_unit_s": "time unit (s)",
           "excess": "largest excess"}  # fmt: skip
_NAME = re.compile(r"_?[A-Z][A-Z0-9_]*")
_ORIGIN = re.compile(rf"\[({'|'.join(KINDS)})(?:: ([^\]]+))?\]")


@dataclass(frozen=True)
class Constant:
    """A number with a name: its module, line, text of the value, and comment."""

    module: str
    name: str
    line: int
    value: str
    comment: str

    @property
    def key(self) -> str:
        """Module within the package, and name."""
        return f"{self.module.removeprefix('ddm2snn.')}.{self.name}"

    @property
    def origin(self) -> str | None:
        """What stands in brackets; None where nothing does."""
        found = _ORIGIN.search(self.comment)
        return found.group(0)[1:-1] if found else None

    @property
    def meaning(self) -> str:
        """The comment without its origin."""
        return _ORIGIN.sub("", self.comment).strip()

    @property
    def carries_results(self) -> bool:
        """Whether it is more than cost or a name."""
        return self.origin is not None and self.origin.split(":")[0] not in NO_RESULTS


def constants(root: Path = ROOT, parts: Sequence[str] = PARTS) -> Iterator[Constant]:
    """All constants of the modules below some folders."""
    for part in parts:
        for path in sorted((root / part).rglob("*.py")):
            module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            yield from constants_of(path.read_text(encoding="utf-8"), module)


def constants_of(text: str, module: str) -> Iterator[Constant]:
    """Constants of one module's text."""
    comments = {
        token.start[0]: token
        for token in tokenize.generate_tokens(StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    body = ast.parse(text).body
    for index, node in enumerate(body):
        names = names_of(node)
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if not names or value is None:
            continue
        lines = [number for number in range(node.lineno, (node.end_lineno or node.lineno) + 1) if number in comments]
        above = node.lineno - 1
        while above in comments and not comments[above].line[: comments[above].start[1]].strip():
            lines.insert(0, above)
            above -= 1
        said = [comments[number].string.lstrip("# ") for number in lines]
        below = body[index + 1] if index + 1 < len(body) else None
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            said.append(below.value.value)
        entries = value.elts if isinstance(value, ast.Tuple) and len(names) > 1 else [value] * len(names)
        for name, entry in zip(names, entries, strict=True):
            if any(map(_is_number, ast.walk(entry))):
                yield Constant(module, name, node.lineno, ast.unparse(entry), " ".join(said))


def names_of(node: ast.stmt) -> tuple[str, ...]:
    """Names in capitals that a statement assigns, or none."""
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return ()
    flat = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    names = tuple(part.id for part in flat if isinstance(part, ast.Name))
    return names if names and all(map(_NAME.fullmatch, names)) else ()


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def scaled(value: Any, factor: float) -> Any:
    """Value times a factor, entry by entry; what is no number stays."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return max(1, round(value * factor))
    if isinstance(value, tuple):
        return tuple(scaled(entry, factor) for entry in value)
    if isinstance(value, dict):
        return {key: scaled(entry, factor) for key, entry in value.items()}
    return value if isinstance(value, str) else value * factor


class ScalingLoader(importlib.machinery.SourceFileLoader):
    """Loader of one module in which the value of a name is scaled as soon as it is assigned."""

    name_to_scale, factor = "", 1.0

    def get_code(self, fullname: str) -> CodeType:
        """Compile the changed tree, never a cached one."""
        tree = ast.parse(Path(self.path).read_text(encoding="utf-8"))
        for index, node in enumerate(tree.body):
            if self.name_to_scale in names_of(node):
                line = f"{self.name_to_scale} = _scaled_constant({self.name_to_scale}, {self.factor!r})"
                tree.body[index + 1 : index + 1] = ast.parse(line).body
                break
        else:
            raise ImportError(f"{fullname} has no constant {self.name_to_scale}.")
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class ScalingFinder:
    """Finder of that module, before all others."""

    def __init__(self, module: str, name: str, factor: float) -> None:
        self.module, self.name, self.factor = module, name, factor

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Its specification, or None for other modules."""
        if name != self.module:
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        if found is None or found.origin is None:
            return None
        loader = ScalingLoader(name, found.origin)
        loader.name_to_scale, loader.factor = self.name, self.factor
        package = found.submodule_search_locations
        return importlib.util.spec_from_file_location(name, found.origin, loader=loader,
                                                      submodule_search_locations=package)  # fmt: skip


def install(module: str, name: str, factor: float) -> None:
    """Scale a constant of a module that is not imported yet, in this process."""
    setattr(builtins, "_scaled_constant", scaled)  # noqa: B010 - the changed module finds it there
    sys.meta_path.insert(0, ScalingFinder(module, name, factor))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Size:
    """Calibration and runs, in rate time units, and trials."""

    duration: float = 1000.0
    run: float = 24.0
    trials: int = 32


def results(folder: Path, size: Size, seed: int, *, convert: bool) -> dict[str, Any]:
    """Results of a conversion, or of the network of the folder, and of its comparison."""
    from ddm2snn_backends.reference import ReferenceBackend

    import ddm2snn
    from ddm2snn.conversion import Diagnostics

    warnings.simplefilter("ignore")
    rate, kept = ddm2snn.RateNetwork.load(folder / "rate.safetensors"), folder / f"spiking-{seed}.safetensors"
    if convert:
        network = ddm2snn.convert(rate, decoders=ddm2snn.Calibrated(duration=size.duration), seed=seed).network
    else:
        network = ddm2snn.SpikingNetwork.load(kept)
    if not kept.exists():
        network.save(kept)
    settings = {"duration": size.run, "trials": size.trials, "every": 0.02}
    first, *others = (ddm2snn.simulate(rate, seed=100 * seed + n, **settings) for n in range(1, 4))
    stand_in = ReferenceBackend(network.spike_timing)  # the same spikes, quicker
    test = ddm2snn.simulate(network, backend=stand_in, seed=100 * seed + 50, **settings)
    worst = max(ddm2snn.compare(first, test, floor=others, burn_in=4.0).measures, key=lambda m: m.excess)
    diagnostics = Diagnostics.of(network)
    if diagnostics is None or diagnostics.noise is None:
        raise RuntimeError("The conversion measured no noise.")
    return {
        "drift_error": 100 * max(diagnostics.drift_error), "noise": diagnostics.noise.spikes_over_target,
        "time_unit_s": network.time_unit_s, "excess": worst.excess, "worst": worst.name,
    }  # fmt: skip


def child(folder: Path, size: Size, seed: int, constant: Constant | None, factor: float) -> dict[str, Any]:
    """Results of another process, in which a constant is scaled; what it says last where it fails."""
    content = {
        "folder": str(folder), "size": asdict(size), "seed": seed, "factor": factor,
        "module": constant and constant.module, "name": constant and constant.name,
    }  # fmt: skip
    given = [sys.executable, __file__, "--child", json.dumps(content)]
    with tempfile.TemporaryDirectory() as cache:  # compiled loops hold constants as they were
        compiled = {"NUMBA_CACHE_DIR": cache} if constant is not None and ".kernels." in constant.module else {}
        done = subprocess.run(given, capture_output=True, text=True, check=False, env={**os.environ, **compiled})
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def as_child(content: dict[str, Any]) -> None:
    """Print the results of this process."""
    module = content["module"]
    if module is not None:
        install(module, content["name"], content["factor"])
    convert = module is None or module.startswith("ddm2snn.conversion")
    print(json.dumps(results(Path(content["folder"]), Size(**content["size"]), content["seed"], convert=convert)))


def cell(found: dict[str, Any], result: str, base: list[dict[str, Any]]) -> str:
    """A result, bold where it is further from the unchanged code's than chance."""
    if "failed" in found:
        return "refused"
    values = [each[result] for each in base]
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)) ** 0.5
    text = f"{found[result]:.3g}"
    return f"**{text}**" if abs(found[result] - mean) > max(SIGMAS * deviation, 1e-9 * abs(mean)) else text


def table(base: list[dict[str, Any]], rows: dict[str, dict[str, Any]], every: Sequence[Constant]) -> str:
    """Markdown."""
    head = ["constant", "value", "meaning", "origin", *(f"{label}: half, twice" for label in RESULTS.values())]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    if base:
        ranges = [f"{min(b[r] for b in base):.3g} to {max(b[r] for b in base):.3g}" for r in RESULTS]
        lines.append(f"| unchanged, {len(base)} seeds | | | | {' | '.join(ranges)} |")
    for constant in every:
        measured = rows.get(constant.key)
        cells = [""] * len(RESULTS)
        if measured is not None:
            cells = [", ".join(cell(measured[side], r, base) for side in ("half", "twice")) for r in RESULTS]
        text = [f"`{constant.key}`", f"`{constant.value}`", constant.meaning, constant.origin or "**none**", *cells]
        lines.append(f"| {' | '.join(part.replace('|', '/') for part in text)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """List constants, or measure what they do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[""], help="parts of MODULE.NAME to measure; all by default")
    parser.add_argument("--duration", type=float, default=Size.duration, help="of calibration, rate time units")
    parser.add_argument("--run", type=float, default=Size.run, help="of a trial, rate time units")
    parser.add_argument("--trials", type=int, default=Size.trials)
    parser.add_argument("--all", action="store_true", help="also those of cost and code")
    parser.add_argument("--list", action="store_true", help="measure nothing")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    if given.child is not None:
        as_child(given.child)
        return
    every = list(constants())
    missing = [constant for constant in every if constant.origin is None]
    if missing:
        sys.exit("\n".join(f"{c.module}:{c.line} {c.name} has no origin in brackets." for c in missing))
    if given.list or given.output is None:
        print(table([], {}, every))
        return
    given.output.mkdir(parents=True, exist_ok=True)
    file, size = given.output / "constants.json", Size(given.duration, given.run, given.trials)
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"base": [], "rows": {}}
    if not (given.output / "rate.safetensors").exists():
        import ddm2snn

        ddm2snn.train("vanderpol", units=32, seed=1).save(given.output / "rate.safetensors")

    def write() -> None:
        file.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        file.with_suffix(".md").write_text(table(kept["base"], kept["rows"], every), encoding="utf-8")

    for seed in range(len(kept["base"]), SEEDS):
        kept["base"].append(child(given.output, size, seed, None, 1.0))
        if "failed" in kept["base"][-1]:
            sys.exit(f"The unchanged code failed: {kept['base'][-1]['failed']}")
        write()
    for constant in every:
        wanted = (given.all or constant.carries_results) and any(part in constant.key for part in given.only)
        if wanted and constant.key not in kept["rows"]:
            sides = {"half": 0.5, "twice": 2.0}
            kept["rows"][constant.key] = {
                side: child(given.output, size, 0, constant, factor) for side, factor in sides.items()
            }
            write()
            print(f"{constant.key}: {kept['rows'][constant.key]}", flush=True)


if __name__ == "__main__":
    main()
