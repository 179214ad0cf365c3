"""Piecewise-constant input over time, the same in all trials or one for each, which may be conditions of a task."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive, freeze_arrays
from ddm2snn.base.files import require_file
from ddm2snn.base.html import fields_table
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.base.stored import Stored
from ddm2snn.errors import FileRefusedError, InputError

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Stimulus(Stored):
    """Piecewise-constant input: `values[..., i, :]` from `times[i]` until the next time, zero before the first.

    The network's input map turns it into the latent input u(t) of
    ``dz = (-z + W_s phi(Gamma z + b) + u(t)) dt + G dw``; by default the two are the same.

    Parameters
    ----------
    times
        Strictly increasing switching times in rate time units, shape (time,).
    values
        Input from each time on, in system units per rate time unit: shape (time, input) where all trials get the same,
        (trial, time, input) where each has its own.
    duration
        Length of a trial in rate time units, where the stimulus sets it.
    conditions
        Condition of the task that each trial of `values` belongs to, by its name; empty for trials without.
    repeats
        How often each of these trials is run: first all of the first, then all of the second and so on.
    initial_latent
        Where each of these trials starts, system units, shape (trial, rank); None for stationary states.

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
    >>> Stimulus(times=[0.0], values=np.array([[[0.1]], [[-0.1]]])).at(np.array([0.0, 1.0]), inputs=1)[..., 0]
    array([[ 0.1,  0.1],
           [-0.1, -0.1]])
    >>> Stimulus()
    Stimulus(empty)
    """

    times: Float[np.ndarray, " time"] = field(default_factory=lambda: np.zeros(0))
    values: Float[np.ndarray, "*trial time input"] = field(default_factory=lambda: np.zeros((0, 0)))
    duration: float | None = None
    conditions: tuple[str, ...] = field(default=(), metadata={"optional": True})
    repeats: int = field(default=1, metadata={"optional": True})
    initial_latent: Float[np.ndarray, "trial rank"] | None = None

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        freeze_arrays(self)
        if (np.diff(self.times) <= 0).any():
            raise InputError("Stimulus.times must increase strictly; sort them and drop repetitions.")
        if self.duration is not None:
            check_positive("Stimulus", duration=self.duration)
        object.__setattr__(self, "repeats", as_count("Stimulus.repeats", self.repeats))
        object.__setattr__(self, "conditions", tuple(self.conditions))
        own = len(self.values) if self.values.ndim == 3 else 0
        if (self.conditions or self.repeats > 1 or self.initial_latent is not None) and not own:
            raise InputError(
                "Stimulus.conditions, repeats and initial_latent are about trials, and its values have no axis of "
                f"trials: shape {self.values.shape}. Give values of shape (trial, time, input)."
            )
        if self.conditions and (len(self.conditions) != own or not all(isinstance(n, str) for n in self.conditions)):
            raise InputError(
                f"Stimulus.conditions must name the condition of each of {own} trials, got {self.conditions}."
            )

    def __repr__(self) -> str:
        if self.empty:
            return "Stimulus(empty)"
        first, last = self.times[0], self.times[-1]
        own = "" if self.trials is None else f"trials={self.trials}, "
        own += f"conditions={len(set(self.conditions))}, " if self.conditions else ""
        return f"Stimulus({own}switches={len(self.times)}, inputs={self.values.shape[-1]}, from {first:g} to {last:g})"

    @property
    def empty(self) -> bool:
        """Whether there is no input at all."""
        return self.times.size == 0

    @property
    def trials(self) -> int | None:
        """Number of trials that have inputs of their own, repeats counted; None where all have the same."""
        return len(self.values) * self.repeats if self.values.ndim == 3 else None

    @property
    def starts(self) -> Float[np.ndarray, "trial rank"] | None:
        """Where each trial starts, repeats counted; None for stationary states."""
        return None if self.initial_latent is None else np.repeat(self.initial_latent, self.repeats, axis=0)

    def at(self, times: Float[np.ndarray, " sample"], inputs: int) -> Float[np.ndarray, "*trial sample input"]:
        """Input at `times` (rate time units) for a network that takes `inputs` numbers."""
        if self.empty:
            return np.zeros((len(times), inputs))
        if self.values.shape[-1] != inputs:
            raise InputError(
                f"Stimulus.values has {self.values.shape[-1]} along `input`, but the network takes {inputs}."
            )
        # a nanounit of slack, so that a switch on the time grid is not lost to rounding
        index = np.searchsorted(self.times, np.asarray(times) + 1e-9, side="right") - 1
        given = np.where((index >= 0)[:, None], self.values[..., np.maximum(index, 0), :], 0.0)
        return given if self.repeats == 1 else np.repeat(given, self.repeats, axis=0)

    def of_each(self, times: Float[np.ndarray, " sample"], input_map: Float[np.ndarray, "rank input"]) -> TrialInput:
        """Latent input of each trial at `times` (rate time units)."""
        given = replace(self, repeats=1).at(times, input_map.shape[1])
        by_trial = given if given.ndim == 3 else given[None]
        return TrialInput(np.swapaxes(by_trial @ input_map.T, 0, 1), self.repeats)

    def in_rate_time(self, time_scale: float) -> Stimulus:
        """The same input, given in a system's own time of which `time_scale` units are one rate time unit.

        >>> Stimulus(times=[0.0, 50.0], values=[[0.1], [0.0]]).in_rate_time(10.0)
        Stimulus(switches=2, inputs=1, from 0 to 5)
        """
        duration = None if self.duration is None else self.duration / time_scale
        return replace(self, times=self.times / time_scale, values=self.values * time_scale, duration=duration)

    @classmethod
    def of_trials(cls, trials: Sequence[Stimulus] | Mapping[str, Stimulus], *, repeats: int = 1) -> Stimulus:
        """Put the stimuli of single trials together, in their order; each switches at its own times.

        A mapping names each of them, as the condition of a task.

        Raises
        ------
        InputError
            Where one of them has inputs of several trials already, another number of inputs, or none at all.

        Examples
        --------
        >>> steps = [Stimulus(times=[start], values=[[1.0]]) for start in (0.0, 2.0)]
        >>> together = Stimulus.of_trials(steps)
        >>> together
        Stimulus(trials=2, switches=2, inputs=1, from 0 to 2)
        >>> together.values[..., 0]
        array([[1., 1.],
               [0., 1.]])
        >>> Stimulus.of_trials(dict(zip(("early", "late"), steps)), repeats=100)
        Stimulus(trials=200, conditions=2, switches=2, inputs=1, from 0 to 2)
        """
        names = tuple(trials) if isinstance(trials, Mapping) else ()
        trials = list(trials.values()) if isinstance(trials, Mapping) else trials
        if not trials or any(each.empty or each.trials is not None for each in trials):
            raise InputError("Stimulus.of_trials takes one stimulus for each trial, none of them empty.")
        times = np.unique(np.concatenate([each.times for each in trials]))
        inputs = trials[0].values.shape[-1]
        durations = [each.duration for each in trials if each.duration is not None]
        values = np.stack([each.at(times, inputs) for each in trials])
        duration = max(durations, default=None)
        return cls(times=times, values=values, duration=duration, conditions=names, repeats=repeats)

    @classmethod
    def within(
        cls,
        lowest: Sequence[float],
        highest: Sequence[float],
        *,
        trials: int = 64,
        duration: float = 40.0,
        hold: float = 4.0,
        seed: int = 0,
    ) -> Stimulus:
        """Random inputs within a box, drawn anew every `hold` rate time units: for networks whose trials are unknown.

        Examples
        --------
        >>> stimulus = Stimulus.within([-1.0], [1.0], trials=2, duration=8.0)
        >>> stimulus
        Stimulus(trials=2, switches=2, inputs=1, from 0 to 4)
        >>> bool((abs(stimulus.values) <= 1.0).all()), stimulus.duration
        (True, 8.0)
        """
        check_positive("Stimulus", duration=duration, hold=hold)
        low, high = (np.atleast_1d(np.asarray(bound, dtype=np.float64)) for bound in (lowest, highest))
        if low.ndim != 1 or low.shape != high.shape or not (low <= high).all():
            raise InputError(f"Stimulus.within needs lowest <= highest for each input, got {lowest} and {highest}.")
        times = np.arange(0.0, duration, hold)
        shape = as_count("trials", trials), len(times), len(low)
        values = stream(check_seed(seed), "stimulus", "within").uniform(low, high, shape)
        return cls(times=times, values=values, duration=duration)

    @classmethod
    def towards(
        cls,
        places: Float[np.ndarray, "place rank"],
        *,
        strength: float = 1.0,
        hold: float = 5.0,
        rest: float = 5.0,
        repeats: int = 16,
    ) -> Stimulus:
        """Switch between memories: from the place before, an input towards each place, and then none.

        The input is `strength` times the place for `hold` rate time units; it tilts the energy of a landscape such as
        ``fourwell`` (arXiv 2602.14885, Figure 5). Each place is a condition.

        Examples
        --------
        >>> from ddm2snn.systems import BUILT_IN
        >>> wells = BUILT_IN["fourwell"]().known["memories"]
        >>> switches = Stimulus.towards(wells)
        >>> switches
        Stimulus(trials=64, conditions=4, switches=2, inputs=2, from 0 to 5)
        >>> switches.conditions[0], switches.initial_latent[0].tolist()
        ('to -1 -1', [1.0, 1.0])
        """
        check_positive("Stimulus", strength=strength, hold=hold, rest=rest)
        centres = np.asarray(places, dtype=np.float64)
        if centres.ndim != 2 or len(centres) < 2:
            raise InputError(f"Stimulus.towards needs two places or more, of shape (place, rank), got {centres.shape}.")
        return cls(
            times=np.array([0.0, hold]),
            values=np.stack([strength * centres, np.zeros_like(centres)], axis=1),
            duration=hold + rest,
            conditions=tuple("to " + " ".join(f"{v:.3g}" for v in place) for place in centres),
            repeats=repeats,
            initial_latent=np.roll(centres, 1, axis=0),
        )

    @classmethod
    def load(cls, path: Path | str) -> Stimulus:
        """Read what `save` wrote, or a CSV table: time in the first column, one column per input.

        A folder holds one table for each condition, in the order of their names.
        """
        if Path(path).is_dir():
            tables = sorted(file for file in Path(path).iterdir() if file.suffix.lower() == ".csv")
            if not tables:
                raise FileRefusedError(f"{path} is a folder without a .csv file. Put one for each trial into it.")
            return cls.of_trials({table.stem: cls.load(table) for table in tables})
        if Path(path).suffix.lower() != ".csv":
            return super().load(path)
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


class TrialInput:
    """Latent input of each trial at some times; the trials of a condition share what `distinct` has of it.

    Row n, or rows of a slice, have the shape (trial, rank), or (1, rank) where all trials get the same.

    Examples
    --------
    >>> given = TrialInput(np.array([[[0.0], [1.0]], [[0.5], [2.0]]]), repeats=2)
    >>> given[1].ravel()
    array([0.5, 0.5, 2. , 2. ])
    >>> given[:2].shape, given.condition(trial=3)
    ((2, 4, 1), 1)
    """

    def __init__(self, distinct: Float[np.ndarray, "step condition rank"], repeats: int = 1) -> None:
        self.distinct, self.repeats = distinct, repeats

    def __getitem__(self, steps: int | slice) -> Float[np.ndarray, "*step trial rank"]:
        rows = self.distinct[steps]
        return rows if self.repeats == 1 else np.repeat(rows, self.repeats, axis=-2)

    def condition(self, trial: int) -> int:
        """Which of the distinct inputs a trial gets."""
        return trial // self.repeats % self.distinct.shape[1]
