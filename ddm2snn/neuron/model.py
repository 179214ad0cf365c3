"""What every neuron model has: a rate response, the time steps that it takes, and parts of a population."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SpikeTiming = Literal["grid", "interpolated"]
"""How a simulator times spikes: rounded up to its time grid, or interpolated within the step."""


class SpikingModel(ABC):
    """Base of the neuron models: frozen dataclasses of parameters, with voltage 0 at reset and 1 at threshold.

    A new model derives from this class, has a line in `ddm2snn.neuron.NEURON_MODELS`, and a line with its membrane in
    the tables of the compiled kernels (`ddm2snn.conversion.kernels.membranes`) and of each backend that runs it.
    """

    name: ClassVar[str]
    """Name under which the model is stored and chosen on the command line."""
    sources: ClassVar[tuple[str, ...]] = ()
    """Keys of `ddm2snn.exchange.citations.references`."""
    threshold_current: ClassVar[float] = 1.0
    """Largest constant current at which the neuron stays silent."""
    tunable: ClassVar[bool] = False
    """Whether the model has `smooth_rates`, by which populations are tuned."""

    tau_membrane_s: Any
    refractory_s: float = 0.0
    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        check_positive(type(self).__name__, **vars(self))  # models with parameters of other kinds check for themselves

    def rate_hz(
        self, current: Float[np.ndarray, ...], *, timing: SpikeTiming = "interpolated", dt_s: float | None = None
    ) -> Float[np.ndarray, ...]:
        """Steady firing rate at constant current, in continuous time or on the time grid of a simulator.

        Raises
        ------
        InputError
            Where there is no such timing, or a grid with no step, or one that the refractory period forbids.
        """
        if timing not in get_args(SpikeTiming):
            raise InputError(f"There is no spike timing {timing!r}; known are {', '.join(get_args(SpikeTiming))}.")
        if timing == "interpolated":
            return self._rate_hz(np.asarray(current, dtype=np.float64), None)
        if dt_s is None:
            raise InputError(
                f"{type(self).__name__}.rate_hz on a grid needs dt_s, the step of the simulator; none was given."
            )
        self.check_step(dt_s, "grid")
        return self._rate_hz(np.asarray(current, dtype=np.float64), dt_s)

    @abstractmethod
    def _rate_hz(self, current: Float[np.ndarray, ...], step_s: float | None) -> Float[np.ndarray, ...]:
        """Rate at constant current; on the time grid where there is a step."""

    @abstractmethod
    def lead_s(self, current: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Time by which an asynchronous population runs ahead of a slowly moving current."""

    @abstractmethod
    def current_at_rate(self, rate_hz: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Current at which the neuron fires steadily at `rate_hz` in continuous time."""

    def smooth_rates(
        self, current: Float[np.ndarray, "sample neuron"], width: float
    ) -> tuple[Float[np.ndarray, "sample neuron"], Float[np.ndarray, "sample neuron"]]:
        """Rates with a threshold that is smoothed over `width`, in any unit, and their slopes in the current."""
        raise InputError(f"{type(self).__name__} has no smooth rates. Use one of the models that are tunable.")

    @property
    def runs_on_loihi(self) -> bool:
        """Whether a compartment of a Loihi-like device computes the model: LIF with one decay for all neurons."""
        return False

    @property
    def plain_lif(self) -> bool:
        """Whether the model is the LIF in continuous time, with one time constant for all neurons."""
        return False

    @property
    def single_tau_s(self) -> float:
        """Membrane time constant of all neurons; refused where they have time constants of their own."""
        if not isinstance(self.tau_membrane_s, int | float | np.number):
            raise InputError(
                f"{type(self).__name__} neurons have membrane time constants of their own here, where one for all is "
                "needed. Use a number as tau_membrane_s."
            )
        return float(self.tau_membrane_s)

    @property
    def longest_lead_s(self) -> float:
        """Bound on `lead_s`, beyond which the slow-current expansion behind it no longer holds."""
        return 0.004

    @property
    def longest_step_s(self) -> float:
        """Longest time step that a simulator may take; any where there is no refractory period."""
        return self.refractory_s or float("inf")

    def for_neurons(self, count: int) -> Self:
        """Model of `count` neurons: distributions become arrays, and arrays of another length are refused."""
        return self

    def part(self, some: slice | Int[np.ndarray, " neuron"]) -> Self:
        """Model of some of the neurons of a population."""
        return self

    def timing_on(self, simulator: SpikeTiming) -> SpikeTiming:
        """How spikes are timed on a simulator of a given timing: as it times them.

        Without a refractory period spikes fall on the grid of every simulator, since the rest of a step after a spike
        is lost.
        """
        return simulator if self.refractory_s else "grid"

    def check_step(self, dt_s: float, timing: SpikeTiming) -> None:
        """Refuse a time step that is longer than the refractory period or, on a grid, no divisor of it."""
        check_positive(type(self).__name__, dt_s=dt_s)
        refractory_s = self.refractory_s
        if refractory_s == 0:
            return
        if dt_s > refractory_s * (1 + 1e-9):
            raise InputError(
                f"dt_s = {dt_s:g} is longer than the refractory period of {refractory_s:g} s. "
                f"Use dt_s <= {refractory_s:g}."
            )
        steps = round(refractory_s / dt_s)
        if timing == "grid" and abs(steps * dt_s - refractory_s) > 1e-6 * refractory_s:
            raise InputError(
                f"refractory_s = {refractory_s:g} is not a whole number of steps of dt_s = {dt_s:g}. "
                f"Use dt_s = {refractory_s / steps:g}."
            )

    def check_rates(self, rate_hz: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
        """Rates as an array; refused are those that no current gives: zero, below, or forbidden after a spike."""
        rate, limit = np.asarray(rate_hz, dtype=np.float64), "finite rates above 0 Hz"
        if self.refractory_s:
            limit = f"rates above 0 and below {1 / self.refractory_s:g} Hz (1 / refractory_s)"
        if not (np.isfinite(rate) & (rate > 0)).all() or (rate * self.refractory_s >= 1).any():
            raise InputError(
                f"{type(self).__name__} can fire at {limit}, asked for {rate.min():g} to {rate.max():g} Hz."
            )
        return rate

    def refractory_steps(self, dt_s: float) -> int:
        """Whole number of steps in the refractory period; a step that does not divide it is refused."""
        self.check_step(dt_s, "grid")
        return round(self.refractory_s / dt_s)
