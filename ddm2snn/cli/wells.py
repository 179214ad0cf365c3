"""Wells of the option --wells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.errors import FileRefusedError, InputError
from ddm2snn.systems import find_system

if TYPE_CHECKING:
    from jaxtyping import Float

_FORMS = "Give JSON such as [[-1, 0], [1, 0]], a .json or .csv file with a centre per row, or a system with memories."


def read_wells(text: str) -> Float[np.ndarray, "well rank"]:
    """Centres of wells from JSON text, from a file of JSON or CSV, or the memories of a system by its name.

    Parameters
    ----------
    text
        Value of the option.

    Raises
    ------
    InputError
        Where it is none of these, a system has no memories, or the numbers are no table.
    """
    stripped = text.strip()
    if stripped.startswith("["):
        return _table(stripped, "--wells")
    path = Path(text)
    if path.suffix in (".json", ".csv"):
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FileRefusedError(f"Cannot read the wells in {path}: {error}. {_FORMS}") from error
        if path.suffix == ".csv":
            content = json.dumps([line.split(",") for line in content.splitlines() if line.strip()])
        return _table(content, str(path))
    memories = find_system(text).known.get("memories")
    if memories is None:
        raise InputError(f"The system {text} has no memories to be wells. {_FORMS}")
    return np.asarray(memories, dtype=np.float64)


def _table(content: str, owner: str) -> Float[np.ndarray, "well rank"]:
    try:
        table = np.array(json.loads(content), dtype=np.float64)
    except (json.JSONDecodeError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{owner} holds no table of numbers, a centre per row. {_FORMS}") from error
    if table.ndim != 2:
        raise InputError(f"{owner} holds numbers of shape {table.shape}, not (well, rank). {_FORMS}")
    return table
