"""The syntax trees of a checkout, and what is asked of their nodes."""

from __future__ import annotations

import ast
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Module(NamedTuple):
    """A file of the package: its path from the root of the checkout, its text and its tree."""

    path: str
    text: str
    tree: ast.Module


class Tree:
    """The syntax trees of a checkout's package and adapters."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        paths = sorted(path for folder in ("ddm2snn", "backends") for path in (root / folder).rglob("*.py"))
        texts = [path.read_text() for path in paths]
        self.modules = [
            Module(path.relative_to(root).as_posix(), text, ast.parse(text))
            for path, text in zip(paths, texts, strict=True)
        ]

    @cached_property
    def functions(self) -> list[tuple[Module, Function]]:
        """Every function and method, nested ones included."""
        return [(m, n) for m in self.modules for n in ast.walk(m.tree) if isinstance(n, Function)]

    @cached_property
    def library_functions(self) -> list[tuple[Module, Function]]:
        """Those outside the command line."""
        return [(m, n) for m, n in self.functions if "/cli/" not in m.path and "/commands/" not in m.path]

    def classes(self) -> list[tuple[Module, ast.ClassDef]]:
        """Every class."""
        return [(m, n) for m in self.modules for n in ast.walk(m.tree) if isinstance(n, ast.ClassDef)]


def parameters(function: Function) -> list[str]:
    """Names of a function's parameters, without self and cls."""
    arguments = function.args
    names = [a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
    return [name for name in names if name not in ("self", "cls")]


def length(node: ast.stmt) -> int:
    """Lines of a statement; of a definition from its `def` or `class` on."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def code_length(function: Function) -> int:
    """Lines of a function without its docstring."""
    return length(function) - (length(function.body[0]) if ast.get_docstring(function) else 0)


def name_of(node: ast.expr) -> str:
    """The last name of a name, an attribute or a call of one."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
