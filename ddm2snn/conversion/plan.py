"""The verb plan: how many neurons, and how long a time unit, a wanted fidelity takes, and what that costs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ddm2snn.backend import Backend, find_backend
from ddm2snn.base.arrays import check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.base.progress import Progress, reported
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.base.threads import one_thread
from ddm2snn.conversion.clock import Clock, natural_time_unit_s, two_digits, whole_hundredths
from ddm2snn.conversion.convert import check_convertible
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.conversion.population import Population
from ddm2snn.conversion.prediction import Motion, Prediction, optimistic, predict
from ddm2snn.conversion.trajectories import stationary_states
from ddm2snn.conversion.tuning import place
from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork, to_internal
from ddm2snn.neuron import LIF, NeuronModel

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

_LADDER = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 32)  # neurons per unit that are tried [choice]
_LONGER = (1, 2, 5, 10)  # time units that are tried, relative to the shortest sensible one [choice]
_MOST_NEURONS = 8192  # that are planned for [cost]
# optimistic predictions over a bound: beyond reach above the one, well within below the other [measured: vanderpol]
_SURE, _NEAR = 1.5, 0.1


@dataclass(frozen=True)
class Option:
    """One way to convert, with what is predicted of it.

    Parameters
    ----------
    neurons_per_unit, neurons, time_unit_s, max_rates_hz
        The settings: what `convert` takes, and the number of neurons they make.
    spikes_over_target
        Predicted spike noise over the target's diffusion, in the worst direction, without the rise of synapses, behind
        which there is less; None where one has no noise.
    drift_error
        Predicted error of the drift that repeats where the state does, relative to the drift, worst latent.
    spikes_per_time_unit
        Predicted cost: spikes of all neurons in one rate time unit.
    mean_rate_hz
        Predicted mean rate of a neuron.
    meets
        Whether the request is met.
    """

    neurons_per_unit: float
    neurons: int
    time_unit_s: float
    max_rates_hz: tuple[float, float]
    spikes_over_target: float | None
    drift_error: float
    spikes_per_time_unit: float
    mean_rate_hz: float
    meets: bool

    def lines(self) -> list[str]:
        """Settings, prediction and cost in words."""
        loud = self.spikes_over_target
        noise = "" if loud is None else f"spike noise {loud:.2g} of the target's and "
        low_hz, high_hz = self.max_rates_hz
        return [
            f"{self.neurons_per_unit:g} neurons per unit ({self.neurons} in all), time_unit_s = {self.time_unit_s:g}, "
            f"largest rates {low_hz:g} to {high_hz:g} Hz before tuning",
            f"predicted: {noise}relative drift error {self.drift_error:.2g}, for "
            f"{self.spikes_per_time_unit:.4g} spikes per rate time unit, {self.mean_rate_hz:.3g} Hz per neuron",
        ]


@dataclass(frozen=True)
class Plan:
    """The cheapest option that meets a request, and all that were looked at.

    Parameters
    ----------
    chosen
        The option with the fewest spikes per rate time unit among those that meet the request.
    options
        Every option that was predicted, in the order tried.
    neuron
        Neuron model.

    Examples
    --------
    >>> option = Option(2, 16, 0.5, (100.0, 200.0), 0.2, 0.05, 136.0, 34.0, meets=True)
    >>> print(Plan(option, (option,), LIF()))
      neurons/unit  neurons  time unit (s)  noise/target  drift error  spikes/time unit  mean rate (Hz)
    * 2             16       0.5            0.2           0.05         136               34
    """

    chosen: Option
    options: tuple[Option, ...]
    neuron: NeuronModel

    _repr_html_ = fields_table

    def __repr__(self) -> str:
        """The chosen option, and how many there were."""
        return f"Plan(out of {len(self.options)} options:\n{self.chosen!r})"

    def __str__(self) -> str:
        """Table of the options."""
        return "\n".join(self.lines())

    @property
    def population(self) -> Population:
        """What `convert` takes, beside ``time_unit_s=plan.chosen.time_unit_s``."""
        return Population(self.chosen.neurons_per_unit, self.chosen.max_rates_hz, self.neuron)

    def as_json(self) -> dict[str, Any]:
        """Chosen option and all options: JSON values."""
        return {"chosen": dataclasses.asdict(self.chosen), "options": [dataclasses.asdict(o) for o in self.options]}

    def lines(self) -> list[str]:
        """A table of the options, the chosen one marked."""
        head = "  neurons/unit  neurons  time unit (s)  noise/target  drift error  spikes/time unit  mean rate (Hz)"
        return [head, *(f"{'*' if option == self.chosen else ' '} {_row(option)}" for option in self.options)]


def _row(option: Option) -> str:
    noise = "-" if option.spikes_over_target is None else f"{option.spikes_over_target:.3g}"
    return (
        f"{option.neurons_per_unit:<12g}  {option.neurons:<7}  {option.time_unit_s:<13g}  {noise:<12}  "
        f"{option.drift_error:<11.2g}  {option.spikes_per_time_unit:<16.4g}  {option.mean_rate_hz:.3g}"
    )


def plan(
    rate: RateNetwork,
    *,
    noise: float | None = 0.25,
    drift_error: float | None = None,
    neurons_per_unit: float | None = None,
    time_unit_s: float | None = None,
    max_rates_hz: tuple[float, float] = (100.0, 200.0),
    neuron: NeuronModel | None = None,
    backend: str | Backend = "brian2",
    dt_s: float = 1e-3,
    seed: int = 0,
    progress: Progress | bool = False,
) -> Plan:
    """Find the conversion with the fewest spikes that keeps spike noise and drift error within bounds.

    Nothing is simulated: noise, error and cost are predicted from the neurons' curves. A longer time unit saves neurons
    and spikes, but takes as much longer to simulate. Rates act as the time unit does, and are taken as given.

    Parameters
    ----------
    rate
        The trained network.
    noise
        Largest spike noise over the target's diffusion, its mean along trajectories, in the worst direction; above
        0.25 less than three quarters of the noise would be left to inject. None for no bound.
    drift_error
        Largest repeatable error of the drift, relative to the drift, worst latent; None for no bound.
    neurons_per_unit, time_unit_s
        Fixed, where given; else found.
    max_rates_hz, neuron
        As in `Population`.
    backend, dt_s, seed, progress
        As in `convert`.

    Returns
    -------
    Plan
        The cheapest option within the bounds, and all that were predicted.

    Raises
    ------
    InputError
        Where nothing that may be chosen meets the request, with the closest that was found and what it would take;
        where there is no request; and where no noise of spikes is small, since a direction of the target has none.

    Examples
    --------
    >>> from ddm2snn import Training, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> planned = plan(rate, noise=0.25, neurons_per_unit=2, time_unit_s=0.05)
    >>> planned.chosen.neurons, planned.chosen.meets, planned.chosen.spikes_over_target < 0.25
    (16, True, True)
    >>> planned.population == Population(2)
    True
    """
    check_seed(seed)
    check_convertible(rate)
    bounds = {name: bound for name, bound in (("noise", noise), ("drift_error", drift_error)) if bound is not None}
    if not bounds:
        raise InputError("plan needs a bound on noise or on drift_error, got neither. Give one, such as noise=0.25.")
    check_positive("plan", **bounds, dt_s=dt_s, **({} if time_unit_s is None else {"time_unit_s": time_unit_s}))
    neuron = neuron or LIF()
    timing = neuron.timing_on((find_backend(backend) if isinstance(backend, str) else backend).spike_timing)
    neuron.check_step(dt_s, timing)
    with one_thread(), reported(progress, "plan") as report:
        states = to_internal(rate, stationary_states(rate, seed))
        base_s = natural_time_unit_s(rate, states)
        longer_s = dict.fromkeys(whole_hundredths(base_s * longer, dt_s) for longer in _LONGER)
        times_s = list(longer_s) if time_unit_s is None else [time_unit_s]
        ladder = [m for m in _LADDER if m * rate.units <= _MOST_NEURONS] or [1]
        multiples = ladder if neurons_per_unit is None else [neurons_per_unit]
        clock = Clock(base_s, dt_s, timing)
        motion = Motion.of(rate, clock, states, stream(seed, "plan", "trajectories"))
        search = _Search(rate, noise, drift_error, max_rates_hz, neuron, clock, states, motion, seed)
        options: list[Option] = []
        for index, multiple in enumerate(multiples):
            for unit_s in times_s:
                if unit_s == times_s[0] or search.worth(options[-1], unit_s, options):
                    options.append(search.option(multiple, unit_s))
            report((index + 1) / len(multiples))
            if options[-1].meets and options[-1].time_unit_s == times_s[0]:
                break  # more neurons cost more spikes
            if index == 0 and len(multiples) > 1 and not any(option.meets for option in options):
                search.check_reach(multiples[-1], times_s[0] if noise is None else times_s[-1], options)
        report(1.0)
    meeting = [option for option in options if option.meets]
    if not meeting:
        raise InputError(search.refusal(options))
    return Plan(min(meeting, key=lambda option: option.spikes_per_time_unit), tuple(options), neuron)


@dataclass
class _Search:
    """Options of one network, each predicted once, and the bounds on noise and drift error, of which one is given."""

    rate: RateNetwork
    noise: float | None
    drift_error: float | None
    max_rates_hz: tuple[float, float]
    neuron: NeuronModel
    clock: Clock
    states: Float[np.ndarray, "sample rank"]
    motion: Motion
    seed: int
    ensembles: dict[float, Ensemble] = field(default_factory=dict)
    options: dict[tuple[float, float], Option] = field(default_factory=dict)

    def option(self, multiple: float, time_unit_s: float) -> Option:
        """What is predicted of a number of neurons per unit and a time unit."""
        if (multiple, time_unit_s) not in self.options:
            self.options[multiple, time_unit_s] = self._predicted(predict, multiple, time_unit_s)
        return self.options[multiple, time_unit_s]

    def check_reach(self, multiple: float, time_unit_s: float, options: list[Option]) -> None:
        """Refuse early what even the most neurons and the longest time unit do not meet."""
        best = min(map(self.share_of_bounds, options))
        if best * options[0].neurons_per_unit <= multiple:
            return  # in reach: noise and error fall in proportion to the number of neurons at the least
        bound = self._predicted(optimistic, multiple, time_unit_s)
        reached = self.share_of_bounds(bound)
        if reached > _SURE:
            raise InputError(self.refusal([bound], at_least=True))
        # the full prediction of the best case takes long, and is needed anyway where only many neurons may do
        if reached > _NEAR and not self.option(multiple, time_unit_s).meets:
            raise InputError(self.refusal([*options, self.option(multiple, time_unit_s)]))

    def _predicted(self, how: Callable[..., Prediction], multiple: float, time_unit_s: float) -> Option:
        population = Population(multiple, self.max_rates_hz, self.neuron)
        if multiple not in self.ensembles:
            self.ensembles[multiple], _ = place(self.rate, population, self.clock, self.states, self.seed, roughly=True)
        ensemble = self.ensembles[multiple].timed(dataclasses.replace(self.clock, time_unit_s=time_unit_s))
        prediction = how(self.rate, ensemble, self.states, self.motion)
        ratio, error = prediction.spike_noise_ratio, float(prediction.drift.repeatable.max())
        if self.noise is not None and ratio is None:
            raise InputError(
                f"noise = {self.noise:g} is relative to the target's diffusion, but the target has a direction without "
                "noise. Give noise=None and a bound on drift_error."
            )
        return Option(
            neurons_per_unit=population.neurons_per_unit,
            neurons=ensemble.neurons,
            time_unit_s=float(time_unit_s),
            max_rates_hz=population.max_rates_hz,
            spikes_over_target=ratio,
            drift_error=error,
            spikes_per_time_unit=prediction.spikes_per_time_unit,
            mean_rate_hz=prediction.mean_rate_hz,
            meets=not self.too_loud(ratio) and (self.drift_error is None or error <= self.drift_error),
        )

    def too_loud(self, ratio: float | None) -> bool:
        """Whether spikes are noisier than allowed."""
        return self.noise is not None and ratio is not None and ratio > self.noise

    def worth(self, last: Option, time_unit_s: float, options: list[Option]) -> bool:
        """Whether a longer time unit for the same neurons may meet the request, at fewer spikes than what does."""
        if last.meets or self.noise is None or not self.too_loud(last.spikes_over_target):
            return False  # only noise gets much smaller with the time unit
        longer = time_unit_s / last.time_unit_s
        spikes = min((option.spikes_per_time_unit for option in options if option.meets), default=math.inf)
        # noise falls with the square of the time unit at the most
        hopeful = (last.spikes_over_target or 0.0) / longer**2 <= self.noise
        return hopeful and last.spikes_per_time_unit * longer < spikes

    def share_of_bounds(self, option: Option) -> float:
        """Largest of noise and drift error, each over its bound."""
        loud = 0.0 if self.noise is None else (option.spikes_over_target or 0.0) / self.noise
        return max(loud, 0.0 if self.drift_error is None else option.drift_error / self.drift_error)

    def refusal(self, options: list[Option], *, at_least: bool = False) -> str:
        """What was asked, what came closest, what it would take, and what to do."""
        bounds = {"noise": self.noise, "drift_error": self.drift_error}
        asked = [f"{name} <= {bound:g}" for name, bound in bounds.items() if bound is not None]
        best = min(options, key=self.share_of_bounds)
        reached = [] if best.spikes_over_target is None else [f"noise {best.spikes_over_target:.2g}"]
        reached += [f"drift_error {best.drift_error:.2g}"]
        return (
            f"No conversion looked at meets {' and '.join(asked)}: closest is {best.neurons_per_unit:g} neurons "
            f"per unit with time_unit_s = {best.time_unit_s:g}, predicted {' and '.join(reached)}"
            f"{' at least' if at_least else ''}. {self._needed(best, at_least=at_least)} "
            "Allow more noise or error, or give more neurons per unit or a longer time unit."
        )

    def _needed(self, best: Option, *, at_least: bool) -> str:
        # both fall about in proportion to the number of neurons, and noise with the square of the time unit at the most
        loud = 1.0 if self.noise is None else max((best.spikes_over_target or 0.0) / self.noise, 1.0)
        off = 1.0 if self.drift_error is None else max(best.drift_error / self.drift_error, 1.0)
        text = f"It would take some {two_digits(best.neurons_per_unit * max(loud, off)):g} neurons per unit"
        if loud > 1:
            text += f", or time_unit_s = {two_digits(best.time_unit_s * math.sqrt(loud)):g}"
            text += f" and {two_digits(best.neurons_per_unit * off):g} neurons per unit" if off > 1 else ""
        return f"{text}{', or more' if at_least else ''}."
