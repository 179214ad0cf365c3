"""Spike timing, and the checks of steps and rates that neuron models share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

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


def check_refractory(owner: str, refractory_s: float, dt_s: float, timing: SpikeTiming) -> None:
    """Refuse a time step that is longer than the refractory period or, on a grid, no divisor of it."""
    check_positive(owner, dt_s=dt_s)
    if refractory_s == 0:
        return
    if dt_s > refractory_s * (1 + 1e-9):
        raise InputError(
            f"dt_s = {dt_s:g} is longer than the refractory period of {refractory_s:g} s. Use dt_s <= {refractory_s:g}."
        )
    steps = round(refractory_s / dt_s)
    if timing == "grid" and abs(steps * dt_s - refractory_s) > 1e-6 * refractory_s:
        raise InputError(
            f"refractory_s = {refractory_s:g} is not a whole number of steps of dt_s = {dt_s:g}. "
            f"Use dt_s = {refractory_s / steps:g}."
        )


def check_reachable(owner: str, rate_hz: Float[np.ndarray, ...], refractory_s: float) -> None:
    """Refuse rates that no current gives: zero, below, or as high as the refractory period forbids."""
    if not ((rate_hz > 0) & (rate_hz * refractory_s < 1)).all():
        limit = f"above 0 and below {1 / refractory_s:g} Hz (1 / refractory_s)" if refractory_s else "above 0"
        raise InputError(f"{owner} can fire at rates {limit}, asked for {rate_hz.min():g} to {rate_hz.max():g} Hz.")


class Refractory:
    """What neuron models share that have a leaky membrane and a refractory period."""

    threshold_current: ClassVar[float] = 1.0
    """Largest constant current at which the neuron stays silent."""

    tau_membrane_s: float
    refractory_s: float

    @property
    def longest_step_s(self) -> float:
        """Longest time step that a simulator may take; any where there is no refractory period."""
        return self.refractory_s or float("inf")

    def timing_on(self, simulator: SpikeTiming) -> SpikeTiming:
        """How spikes are timed on a simulator of a given timing: as it times them.

        Without a refractory period on the grid of every simulator: what of a step lies behind a spike is lost.
        """
        return simulator if self.refractory_s else "grid"

    def check_step(self, dt_s: float, timing: SpikeTiming) -> None:
        """Refuse a time step that is longer than the refractory period or, on a grid, no divisor of it."""
        check_refractory(type(self).__name__, self.refractory_s, dt_s, timing)

    def refractory_steps(self, dt_s: float) -> int:
        """Whole number of steps in the refractory period; refused where there is none."""
        self.check_step(dt_s, "grid")
        return round(self.refractory_s / dt_s)

    def voltage_kept(self, dt_s: float) -> float:
        """Share of a voltage's distance from its current that is left after one step."""
        return float(np.exp(-dt_s / self.tau_membrane_s))
