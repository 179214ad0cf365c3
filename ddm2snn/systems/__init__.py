"""Target systems, built in and of the user's own."""

from __future__ import annotations

import ast
import difflib
import runpy
from collections.abc import Callable
from pathlib import Path

from ddm2snn.base.files import damage_refused, require_file
from ddm2snn.errors import InputError
from ddm2snn.systems.chaos import dadras, from_dysts, lorenz
from ddm2snn.systems.landscape import memories, quartic_wells, sequence
from ddm2snn.systems.oscillators import stuart_landau, van_der_pol
from ddm2snn.systems.solvable import anisotropic, ornstein_uhlenbeck
from ddm2snn.systems.system import System, forced

BUILT_IN: dict[str, Callable[[], System]] = {
    "anisotropic": anisotropic,
    "dadras": dadras,
    "doublewell": lambda: quartic_wells(1),
    "fourwell": lambda: quartic_wells(2),
    "lorenz": lorenz,
    "ornsteinuhlenbeck": ornstein_uhlenbeck,
    "sequence": sequence,
    "stuartlandau": stuart_landau,
    "vanderpol": van_der_pol,
}

__all__ = [
    "BUILT_IN", "System", "anisotropic", "dadras", "find_system", "forced", "from_dysts", "lorenz", "memories",
    "ornstein_uhlenbeck", "quartic_wells", "sequence", "stuart_landau", "van_der_pol",
]  # fmt: skip


def find_system(name: str) -> System:
    """Built-in system by name, or a user's own.

    Parameters
    ----------
    name
        That of a built-in system such as ``vanderpol``; ``dysts:Name`` for a chaotic flow of the collection dysts, as
        `from_dysts` takes it; or ``path/to/file.py:attribute`` for a `System` in a Python file, which is executed.

    Returns
    -------
    System
        The system, which `train` takes.

    Raises
    ------
    InputError
        Where there is no such system, or the file does not yield one.

    Examples
    --------
    >>> find_system("vanderpol")
    System(name='vanderpol', rank=2, diffusion=constant, units=64, known=[period, amplitude])
    >>> sorted(BUILT_IN)[:3]
    ['anisotropic', 'dadras', 'doublewell']
    """
    if name in BUILT_IN:
        return BUILT_IN[name]()
    path, separator, attribute = name.rpartition(":")
    if separator and path.endswith(".py"):
        return _from_file(require_file(path), attribute)
    if path == "dysts":
        return from_dysts(attribute)
    if name.endswith(".py"):
        assigned = _assigned(require_file(name))
        raise InputError(
            f"{name} is a file: name the System in it as well, such as {name}:{(assigned or ['attribute'])[-1]}. "
            f"It assigns {', '.join(assigned) or 'no names'}."
        )
    if name.endswith(".toml"):
        raise InputError(
            f"{name} is no system. If it is a recipe, read it with Recipe.read or give it to `ddm2snn run`."
        )
    meant = "".join(f"Did you mean {other}? " for other in difflib.get_close_matches(name, BUILT_IN, 1))
    raise InputError(
        f"There is no system {name!r}. {meant}Built in: {', '.join(sorted(BUILT_IN))}; chaotic flows: dysts:Name; "
        "your own: path/to/file.py:attribute."
    )


def _assigned(path: Path) -> list[str]:
    """Names that a Python file assigns at its top level, which is not executed; those of calls alone where some are."""
    with damage_refused(path, "Python"):
        body = ast.parse(path.read_bytes()).body
    assignments = [node for node in body if isinstance(node, ast.Assign)]
    calls = [node for node in assignments if isinstance(node.value, ast.Call)] or assignments
    return [target.id for node in calls for target in node.targets if isinstance(target, ast.Name)]


def _from_file(path: Path, attribute: str) -> System:
    """Execute a Python file and return the system in it."""
    try:
        content = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path} failed while it ran: {type(error).__name__}: {reason}. Repair it first.") from error
    if attribute not in content:
        systems = sorted(key for key, value in content.items() if isinstance(value, System))
        raise InputError(f"{path} has no attribute {attribute!r}; systems in it: {', '.join(systems) or 'none'}.")
    if not isinstance(content[attribute], System):
        kind = type(content[attribute]).__name__
        raise InputError(f"{path}:{attribute} is a {kind}, not a ddm2snn.System. Give the name of a System.")
    return content[attribute]
