"""Ways of finding decoders, and their registry.

A new way is one file beside these, with a frozen dataclass that has the methods of
`ddm2snn.conversion.decoders.protocol.Decoders`, and one line in `DECODERS`.
"""

from __future__ import annotations

import dataclasses

from ddm2snn.conversion.decoders.calibrated import Calibrated
from ddm2snn.conversion.decoders.direct import Direct
from ddm2snn.conversion.decoders.protocol import Decoders, Problem, Solution
from ddm2snn.conversion.decoders.static import Static
from ddm2snn.conversion.decoders.trained import TrainedReadout
from ddm2snn.errors import InputError

DECODERS: dict[str, type[Decoders]] = {kind.name: kind for kind in (Calibrated, Static, TrainedReadout, Direct)}
"""Ways of finding decoders by the name that command line, recipes and `convert` know."""

_FORMER_NAMES = {"kept": "trained"}  # as recipes and scripts of the first version have it


def find_decoders(name: str, **settings: object) -> Decoders:
    """Decoders by name, with settings of theirs.

    Raises
    ------
    InputError
        Where there are none of this name, or they have no such setting.

    Examples
    --------
    >>> find_decoders("static", ridge=0.02)
    Static(ridge=0.02, compensate_lag=True, stimulus=None)
    """
    kind = DECODERS.get(_FORMER_NAMES.get(name, name))
    if kind is None:
        raise InputError(f"There are no decoders {name!r}; known are {', '.join(DECODERS)}.")
    fields = [field.name for field in dataclasses.fields(kind)]  # pyright: ignore[reportArgumentType] - all are
    unknown = [setting for setting in settings if setting not in fields]
    if unknown:
        raise InputError(
            f"Decoders {name!r} have no setting {', '.join(unknown)}; they have {', '.join(fields) or 'none'}."
        )
    return kind(**settings)


__all__ = [
    "DECODERS",
    "Calibrated",
    "Decoders",
    "Direct",
    "Problem",
    "Solution",
    "Static",
    "TrainedReadout",
    "find_decoders",
]
