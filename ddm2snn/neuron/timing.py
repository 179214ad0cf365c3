"""When a simulator says that a neuron fired."""

from __future__ import annotations

from typing import Literal, get_args

from ddm2snn.errors import InputError

SpikeTiming = Literal["grid", "interpolated"]
"""How a simulator times spikes: rounded up to its time grid, or interpolated within the step."""


def step_of_grid(owner: str, timing: SpikeTiming, dt_s: float | None) -> float | None:
    """Step of the time grid that rates are asked for, None for continuous time.

    Raises
    ------
    InputError
        Where there is no such timing, or a grid without a step.
    """
    if timing not in get_args(SpikeTiming):
        raise InputError(f"There is no spike timing {timing!r}; known are {', '.join(get_args(SpikeTiming))}.")
    if timing == "grid" and dt_s is None:
        raise InputError(f"{owner}.rate_hz on a grid needs dt_s, the step of the simulator; none was given.")
    return dt_s if timing == "grid" else None
