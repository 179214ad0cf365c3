"""Which definitions of the package are reached without its tests."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from syntax_trees import Definition, Tree, length, name_of

# decorators that register nothing: a definition that carries them lives only where somebody uses it
PLAIN_DECORATORS = {
    *("dataclass", "property", "cached_property", "staticmethod", "classmethod", "cache", "lru_cache"),
    *("contextmanager", "runtime_checkable", "compiled", "njit", "jit", "vectorize", "no_grad", "final", "setter"),
}


def only_tests_reach(tree: Tree) -> dict[str, int]:
    """Lines of each definition that no living code names; `architecture` says what lives."""
    public = set(re.findall(r"import (\w+) as", (tree.root / "ddm2snn/__init__.pyi").read_text()))
    entries = set(re.findall(r":(\w+)\"", (tree.root / "pyproject.toml").read_text()))
    pages = " ".join(p.read_text() for p in (tree.root / "ddm2snn").rglob("*") if p.suffix in (".html", ".j2", ".toml"))
    definitions: dict[str, list[tuple[str, Definition]]] = defaultdict(list)
    used = (
        public | entries | set(re.findall(r"\w+", pages)) | {"__getattr__", "__dir__", "_repr_html_"}
    )  # which notebooks call
    nested: dict[Definition, list[Definition]] = defaultdict(list)
    for module in tree.modules:
        for node in module.tree.body:
            if not isinstance(node, Definition):
                used |= _names(node)
                continue
            definitions[node.name].append((module.path, node))
            for method in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(method, Definition):
                    definitions[method.name].append((module.path, method))
                    nested[node].append(method)
    own = {name for name, places in definitions.items() if any(isinstance(n, ast.ClassDef) for _, n in places)}
    alive = _living(definitions, nested, used, own)
    dead = {}
    for places in definitions.values():
        for path, node in places:
            owner = next((c for c, methods in nested.items() if node in methods), None)
            if node not in alive and (owner is None or owner in alive):
                dead[f"{path}:{node.lineno} {node.name}"] = length(node)
    return dead


def _living(
    definitions: dict[str, list[tuple[str, Definition]]],
    nested: dict[Definition, list[Definition]],
    used: set[str],
    own: set[str],
) -> set[Definition]:
    alive: set[Definition] = set()
    waiting = [n for places in definitions.values() for _, n in places if n.name in used or _registered(n)]
    while waiting:
        node = waiting.pop()
        if node in alive:
            continue
        alive.add(node)
        parts: list[ast.AST] = [node]
        if isinstance(node, ast.ClassDef):
            foreign = any(name_of(base) not in own | {"Protocol", "Generic", "NamedTuple"} for base in node.bases)
            waiting += [m for m in nested[node] if foreign or not re.match("_(?!_)", m.name)]
            parts = [*node.bases, *node.decorator_list, *(p for p in node.body if not isinstance(p, Definition))]
        names = set().union(*map(_names, parts))
        for name in names - used:
            waiting.extend(n for _, n in definitions.get(name, ()))
        used |= names
    return alive


def _registered(node: Definition) -> bool:
    return any(name_of(decorator) not in PLAIN_DECORATORS for decorator in node.decorator_list)


def _names(node: ast.AST) -> set[str]:
    """Names that a piece of code uses; imports and definitions are no uses."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    names |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
    texts = (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return names | {text for text in texts if text.isidentifier()}  # for getattr and tables of names
