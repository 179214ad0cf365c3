"""Figures of the code base, read from its syntax trees: `python tests/architecture.py` prints them as a table.

`TABLE` holds the figures of commit 1841eed, before the redesign, and what the redesign aims at.
`tests/unit/test_architecture.py` holds the present figures as limits, so that none of them grows again.

What some of the figures count:

- *Four together*: functions with parameters `rate`, `encoding`, `neuron` and `clockwork`.
- *Broken import contracts*: those of `[tool.importlinter]` in pyproject.toml, which see imports inside functions too.
- *Isinstance outside the room*: calls of `isinstance` that name a class of decoders outside `conversion/decoders`, a
  measure outside `fidelity/measures` or a neuron model outside `neuron`, once for each call.
- *Read by string key*: `x["key"]` and `x.get("key")` of a name or an attribute `diagnostics` or `provenance`, the
  further keys of the same chain included; assignments to a key are none.
- *Contract lines of an adapter*: lines of the signatures of `unsupported`, `run` and `drive` and of the calls of
  `schedule` and `open_loop`, the most of any adapter. Nothing else in an adapter is the same in each of them.
- *Lines that only tests reach*: definitions whose name occurs in no living code. Living are the public names, the
  entry points, the statements of modules and, with each living definition, every definition of a name that it uses.
  Public methods of living classes are living. So are definitions under a third party's decorator and methods of
  classes with a third party's base.
- *Other files*: files that use the name of one kind of decoders (the trained read-out), one neuron model
  (`AdaptiveLIF`) or one measure (the maximum mean discrepancy) or, in the core, its short name in quotes. The file that
  defines it and mere imports of it are left out. A new one would have to be entered in as many.
- *Longest function*: from `def` to its last line, without its docstring.

The figures of 1841eed for names found, other files, contract lines, string keys and lines that only tests reach were
counted by hand and a little more widely than here, where this script gives 472, 7, 6 and 2, 30, 19 and 387.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from living_code import only_tests_reach
from syntax_trees import ROOT, Definition, Function, Tree, code_length, name_of, parameters

# measure: its figure at 1841eed, its target
TABLE = {
    "lines": (26819, 24800),
    "files": (205, 180),
    "classes": (204, 180),
    "loose modules": (25, 9),
    "functions over 9 parameters": (14, 2),
    "most parameters": (16, 10),
    "four together": (18, 0),
    "broken import contracts": (8, 0),
    "own imports inside functions": (58, 15),
    "other files, decoders": (10, 1),
    "other files, neuron model": (8, 5),
    "other files, measure": (4, 1),
    "isinstance outside the room": (44, 10),
    "read by string key": (30, 0),
    "unsupported per simulate": (2, 1),
    "contract lines of an adapter": (26, 6),
    "lines that only tests reach": (525, 0),
    "names found": (543, 60),
    "lines of repr(rate)": (146, 6),
    "doctest lines": (0, 150),
    "percent annotated": (100, 100),
    "percent documented": (100, 100),
    "assert statements": (0, 0),
    "longest file": (400, 400),
    "longest function": (71, 70),
}
MORE_IS_BETTER = {"doctest lines", "percent annotated", "percent documented"}

# where the classes of each kind are defined, and the names that they had in other files before the redesign
ROOMS = {"decoders": "ddm2snn/conversion/decoders", "measures": "ddm2snn/fidelity/measures", "neuron": "ddm2snn/neuron"}
EARLIER_CLASSES = {
    "decoders": {"Static", "Calibrated", "Kept", "Direct"},
    "measures": {
        *("Transport", "Matching", "States", "Discrepancy", "Separation", "Moments", "Spectrum", "Correlation"),
        *("Oscillation", "Switching", "Fields", "Entropy", "Currents"),
    },
    "neuron": set(),
}
SPECIMENS = {
    "other files, decoders": ({"Kept", "TrainedReadout"}, {"kept", "trained"}),
    "other files, neuron model": ({"AdaptiveLIF"}, {"adaptive-lif"}),
    "other files, measure": ({"MeanDiscrepancy"}, {"mmd"}),
}
OWN = ("ddm2snn", "ddm2snn_backends")


# --- imports


def own_imports_in_functions(tree: Tree) -> list[str]:
    """`file:line module` of each import of an own module inside a function outside the command line."""
    places = {}
    for module, function in tree.library_functions:
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] in OWN):
                places[module.path, node.lineno] = "." * node.level + (node.module or "")
            if isinstance(node, ast.Import) and any(alias.name.split(".")[0] in OWN for alias in node.names):
                places[module.path, node.lineno] = node.names[0].name
    return [f"{path}:{line} {name}" for (path, line), name in places.items()]


def broken_contracts(root: Path = ROOT) -> int:
    """Contracts of import-linter that do not hold."""
    if importlib.util.find_spec("importlinter") is None:
        raise ModuleNotFoundError("import-linter is not installed. Install ddm2snn[test] or import-linter.")
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=root, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    counts = re.search(r"(\d+) kept, (\d+) broken", done.stdout)
    if counts is None:
        raise RuntimeError(f"import-linter did not finish: {done.stdout}{done.stderr}")
    return int(counts[2])


# --- kinds of objects


def isinstance_outside(tree: Tree) -> list[str]:
    """`file:line class` of each isinstance over decoders, measures and neuron models outside their room."""
    room_of = {name: room for room, names in EARLIER_CLASSES.items() for name in names}
    home = defaultdict(set)
    for module, node in tree.classes():
        for room, folder in ROOMS.items():
            if module.path.startswith(folder):
                room_of[node.name] = room
        home[node.name].add(module.path)
    hits = []
    for module in tree.modules:
        for node in ast.walk(module.tree):
            if not (isinstance(node, ast.Call) and name_of(node.func) == "isinstance" and len(node.args) == 2):
                continue
            for name in (part for part in ast.walk(node.args[1]) if isinstance(part, ast.Name | ast.Attribute)):
                room = room_of.get(name_of(name))
                if room and not module.path.startswith(ROOMS[room]) and module.path not in home[name_of(name)]:
                    hits.append(f"{module.path}:{node.lineno} {name_of(name)}")
                    break
    return hits


def files_naming(tree: Tree, names: set[str], texts: set[str]) -> list[str]:
    """Files that use one of these classes or, in the core, hold its short name, without those that define it."""
    own = {m.path for m, node in tree.classes() if node.name in names}
    if not own:
        raise RuntimeError(f"no class is called {' or '.join(sorted(names))}: change SPECIMENS")
    using = []
    for module in tree.modules:
        nodes = list(ast.walk(module.tree))
        used = {name_of(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
        if module.path.startswith("ddm2snn/"):
            constants = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            used |= {min(names)} if constants & texts else set()
        if used & names and module.path not in own:
            using.append(module.path)
    return using


def string_keys(tree: Tree) -> list[str]:
    """`file:line key` of each reading of diagnostics or provenance by a constant string."""
    hits = []
    for module in tree.modules:
        for node in ast.walk(module.tree):
            key, base = _key_read(node)
            while (inner := _key_read(base)[1]) is not None:
                base = inner
            if base is not None and name_of(base).lstrip("_") in ("diagnostics", "provenance"):
                hits.append(f"{module.path}:{base.lineno} {key}")
    return hits


def _key_read(node: ast.AST | None) -> tuple[str | None, ast.expr | None]:
    """The constant string and the object of `object["string"]` or `object.get("string", ...)`."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        key, value = node.slice, node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        key, value = node.args[0], node.func.value
    else:
        return None, None
    return (key.value, value) if isinstance(key, ast.Constant) and isinstance(key.value, str) else (None, None)


# --- adapters


def contract_lines(tree: Tree) -> dict[str, int]:
    """Lines of each adapter's class that repeat the contract."""
    adapters = set(re.findall(r'"ddm2snn_backends[\w.]*:(\w+)"', (tree.root / "pyproject.toml").read_text()))
    counts = {}
    for module, node in tree.classes():
        if not module.path.startswith("backends/") or node.name not in adapters:
            continue
        lines = set()
        for method in ast.walk(node):
            if isinstance(method, Function) and method.name in ("unsupported", "run", "drive"):
                lines |= set(range(method.lineno, method.body[0].lineno))
            if isinstance(method, ast.Call) and name_of(method.func) in ("schedule", "open_loop"):
                lines |= set(range(method.lineno, (method.end_lineno or method.lineno) + 1))
        counts[node.name] = len(lines)
    return counts


# --- what runs


def runtime_figures() -> dict[str, int]:
    """Lines of a rate network's repr and the backend's gaps asked for by one simulation, from the checkout itself."""
    import numpy as np

    import ddm2snn

    rng = np.random.default_rng(0)
    coordinates = {
        "diffusion_factor": np.zeros((2, 2)),
        "input_map": np.eye(2),
        "latent_offset": np.zeros(2),
        "latent_scale": np.ones(2),
        "initial_latent": np.zeros((1, 2)),
    }
    gamma = rng.standard_normal((64, 2))
    rate = ddm2snn.RateNetwork(
        left_vectors=gamma, right_vectors=rng.standard_normal((64, 2)), bias=np.zeros(64), **coordinates
    )
    network = ddm2snn.SpikingNetwork(
        encoders=gamma, bias=np.ones(64), decoders=np.zeros((2, 64)), unit=np.arange(64), rate_left_vectors=gamma,
        neuron=ddm2snn.LIF(), time_unit_s=0.1, dt_s=1e-3, spike_timing="grid", backend="reference",
        rate_fingerprint="made by hand", **coordinates,
    )  # fmt: skip

    reference: Any = type(ddm2snn.find_backend("reference"))

    class Counting(reference):
        asked: ClassVar[list[object]] = []

        def unsupported(self, *args, **options):
            self.asked.append(args)
            return super().unsupported(*args, **options)

    backend = Counting()
    ddm2snn.simulate(network, backend=backend, duration=0.1, trials=1)
    return {"lines of repr(rate)": len(repr(rate).splitlines()), "unsupported per simulate": len(backend.asked)}


# --- guards


def annotated(tree: Tree) -> tuple[int, int]:
    """Functions with every parameter and the result annotated, and all functions."""
    whole = 0
    for _, function in tree.functions:
        arguments = function.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        parts = [a for a in given if a is not None and a.arg not in ("self", "cls")]
        whole += function.returns is not None and all(a.annotation is not None for a in parts)
    return whole, len(tree.functions)


def documented(tree: Tree) -> tuple[int, int]:
    """Public modules, classes, functions and methods with a docstring, and all of them."""
    nodes: list[ast.Module | Definition] = []
    for module in tree.modules:
        nodes.append(module.tree)
        for node in module.tree.body:
            if isinstance(node, Definition) and not node.name.startswith("_"):
                nodes.append(node)
                if isinstance(node, ast.ClassDef):
                    nodes += [n for n in node.body if isinstance(n, Function) and not n.name.startswith("_")]
    return sum(ast.get_docstring(node) is not None for node in nodes), len(nodes)


def prompts(tree: ast.Module) -> int:
    """Lines of a module's docstrings that begin with the prompt of an example."""
    texts = (ast.get_docstring(n) or "" for n in ast.walk(tree) if isinstance(n, ast.Module | Definition))
    return sum(line.lstrip().startswith(">>>") for text in texts for line in text.splitlines())


def figures(root: Path = ROOT) -> dict[str, int]:
    """Every figure of a checkout that syntax trees tell, and those of a run where it is the one imported."""
    tree = Tree(root)
    counts = Counter(
        n.id for m in tree.modules for n in ast.walk(m.tree) if isinstance(n, ast.Name) and n.id == "found"
    )
    sizes = [len(parameters(n)) for _, n in tree.library_functions]
    together = {"rate", "encoding", "neuron", "clockwork"}
    part_annotated, part_documented = annotated(tree), documented(tree)
    measured = {
        "lines": sum(m.text.count("\n") for m in tree.modules),
        "files": len(tree.modules),
        "classes": len(tree.classes()),
        "loose modules": sum(re.fullmatch(r"ddm2snn/(?!__init__)\w+\.py", m.path) is not None for m in tree.modules),
        "functions over 9 parameters": sum(size > 9 for size in sizes),
        "most parameters": max(sizes),
        "four together": sum(together <= set(parameters(n)) for _, n in tree.functions),
        "broken import contracts": broken_contracts(root),
        "own imports inside functions": len(own_imports_in_functions(tree)),
        **{measure: len(files_naming(tree, *names)) for measure, names in SPECIMENS.items()},
        "isinstance outside the room": len(isinstance_outside(tree)),
        "read by string key": len(string_keys(tree)),
        "contract lines of an adapter": max(contract_lines(tree).values()),
        "lines that only tests reach": sum(only_tests_reach(tree).values()),
        "names found": counts["found"],
        **runtime_figures(),
        "doctest lines": sum(prompts(m.tree) for m in tree.modules),
        "percent annotated": 100 * part_annotated[0] // part_annotated[1],
        "percent documented": 100 * part_documented[0] // part_documented[1],
        "assert statements": sum(isinstance(n, ast.Assert) for m in tree.modules for n in ast.walk(m.tree)),
        "longest file": max(m.text.count("\n") for m in tree.modules),
        "longest function": max(code_length(n) for _, n in tree.functions),
    }
    return {measure: measured[measure] for measure in TABLE}


def places(root: Path = ROOT) -> Iterator[str]:
    """What stands behind the figures that name places, one a line."""
    tree = Tree(root)
    listed = {
        "over 9 parameters": [
            f"{m.path}:{n.lineno} {n.name} {len(parameters(n))}"
            for m, n in tree.library_functions
            if len(parameters(n)) > 9
        ],
        "own import inside a function": own_imports_in_functions(tree),
        "isinstance outside the room": isinstance_outside(tree),
        "read by string key": string_keys(tree),
        "contract lines": [f"{name} {count}" for name, count in contract_lines(tree).items()],
        "only tests reach": [f"{place} {lines}" for place, lines in only_tests_reach(tree).items()],
        **{measure: files_naming(tree, *names) for measure, names in SPECIMENS.items()},
    }
    for measure, lines in listed.items():
        yield from (f"{measure}: {line}" for line in lines)


def main() -> None:
    """Print the table; with `--places` what stands behind it too."""
    if "--places" in sys.argv:
        print("\n".join(places()), end="\n\n")
    try:
        present = figures()
    except ModuleNotFoundError as error:
        sys.exit(str(error))
    print("| measure | at 1841eed | now | target |\n|---|---|---|---|")
    for measure, now in present.items():
        earlier, target = TABLE[measure]
        print(f"| {measure} | {earlier:,} | {now:,} | {'>=' if measure in MORE_IS_BETTER else '<='} {target:,} |")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
