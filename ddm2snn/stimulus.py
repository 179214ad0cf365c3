"""Piecewise-constant input over time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import freeze_arrays
from ddm2snn.base.files import require_file
from ddm2snn.base.stored import fingerprint_of, read_as, save_arrays
from ddm2snn.errors import FileRefusedError, InputError

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Stimulus:
    """Piecewise-constant input: `values[i]` from `times[i]` until the next time, zero before the first.

    The network's input map turns it into the latent input u(t) of
    ``dz = (-z + W_s phi(Gamma z + b) + u(t)) dt + G dw``; by default the two are the same.

    The `times` increase strictly, in rate time units; the `values`, shape (time, input), are in system units per rate
    time unit.

    Examples
    --------
    >>> import numpy as np
    >>> pulse = Stimulus(times=np.array([1.0, 2.0]), values=np.array([[0.5, -0.5], [0.0, 0.0]]))
    >>> pulse
    Stimulus(switches=2, inputs=2, from 1 to 2)
    >>> pulse.at(np.array([0.0, 1.5, 3.0]), inputs=2)
    array([[ 0. ,  0. ],
           [ 0.5, -0.5],
           [ 0. ,  0. ]])
    >>> Stimulus()
    Stimulus(empty)
    """

    times: Float[np.ndarray, " time"] = field(default_factory=lambda: np.zeros(0))
    values: Float[np.ndarray, "time input"] = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        freeze_arrays(self)
        if (np.diff(self.times) <= 0).any():
            raise InputError("Stimulus.times must increase strictly; sort them and drop repetitions.")

    def __repr__(self) -> str:
        if self.empty:
            return "Stimulus(empty)"
        first, last = self.times[0], self.times[-1]
        return f"Stimulus(switches={len(self.times)}, inputs={self.values.shape[1]}, from {first:g} to {last:g})"

    @property
    def empty(self) -> bool:
        """Whether there is no input at all."""
        return self.times.size == 0

    @property
    def fingerprint(self) -> str:
        """Hash of the content."""
        return fingerprint_of(self)

    def at(self, times: Float[np.ndarray, " sample"], inputs: int) -> Float[np.ndarray, "sample input"]:
        """Input at `times` (rate time units) for a network that takes `inputs` numbers."""
        if self.empty:
            return np.zeros((len(times), inputs))
        if self.values.shape[1] != inputs:
            raise InputError(
                f"Stimulus.values has {self.values.shape[1]} along `input`, but the network takes {inputs}."
            )
        # a nanounit of slack, so that a switch on the time grid is not lost to rounding
        index = np.searchsorted(self.times, np.asarray(times) + 1e-9, side="right") - 1
        return np.where((index >= 0)[:, None], self.values[np.maximum(index, 0)], 0.0)

    def in_rate_time(self, time_scale: float) -> Stimulus:
        """The same input, given in a system's own time of which `time_scale` units are one rate time unit.

        >>> Stimulus(times=[0.0, 50.0], values=[[0.1], [0.0]]).in_rate_time(10.0)
        Stimulus(switches=2, inputs=1, from 0 to 5)
        """
        return Stimulus(times=self.times / time_scale, values=self.values * time_scale)

    def save(self, path: Path | str) -> None:
        """Write as safetensors."""
        save_arrays(self, path)

    @classmethod
    def load(cls, path: Path | str) -> Stimulus:
        """Read what `save` wrote, or a CSV table: time in the first column, one column per input."""
        if Path(path).suffix.lower() != ".csv":
            return read_as(path, cls)
        file = require_file(path)
        form = "Each line needs the time in the first column and an input in each further one, separated by commas"
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="loadtxt: input contained no data")
                table = np.loadtxt(file, delimiter=",", ndmin=2, comments="#")
        except ValueError as error:
            raise FileRefusedError(
                f"{file} is no table of numbers ({str(error).split('; use `usecols`')[0]}). {form}."
            ) from error
        if table.size == 0 or table.shape[1] < 2:
            lack = "no rows" if table.size == 0 else "times alone"
            raise FileRefusedError(f"{file} holds {lack}; a stimulus needs a time and its inputs in each row. {form}.")
        try:
            return cls(times=table[:, 0], values=table[:, 1:])
        except InputError as error:
            raise FileRefusedError(f"{file} cannot be used: {error}") from error
