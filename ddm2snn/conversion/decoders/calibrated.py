"""Calibrated decoders: regression on the spikes that the neurons themselves emit along the rate network's paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ddm2snn.base.arrays import as_count, check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.base.least_squares import NormalEquations
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.conversion.clock import natural_rise_s
from ddm2snn.conversion.decoders.protocol import (
    Decoders,
    Problem,
    Solution,
    drift_diagnostics,
    injecting,
    noise_diagnostics,
)
from ddm2snn.conversion.diffusion_factor import calibrate_factor, spikes_by_state
from ddm2snn.conversion.driving import ClosedLoop, DrivenBlock, driven
from ddm2snn.conversion.noise_budget import NoiseBudget, measure_budget, with_lost_spikes
from ddm2snn.conversion.population import Population
from ddm2snn.conversion.trajectories import Visited, drawn, latents_of, visited_under
from ddm2snn.errors import InputError
from ddm2snn.hardware.quantise import compensated, in_groups, rounded_decoders

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.network import RateNetwork
    from ddm2snn.stimulus import Stimulus

_RIDGES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)  # of which the one with the least held-out error is taken [choice]
Held = Callable[[np.ndarray], np.ndarray]
_SHORTEST_PILOT, _PILOT_BUDGET_DURATION = 500.0, 12.0  # rate time units [cost]


@dataclass(frozen=True, eq=False)
class Regression:
    """Decoders D of a calibration in internal latent units per Hz, and the numbers behind them.

    `gram` is the sum over samples of filtered spikes times filtered spikes; column: neurons that share one decoder.
    `curve` is what `ddm2snn.conversion.diagnostics.Calibration` has as `held_out_error`.
    """

    decoders: Float[np.ndarray, "rank neuron"]
    ridge: float
    samples: int
    gram: Float[np.ndarray, "column column"]
    curve: dict[str, list[float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Everything but the arrays."""
        return {"ridge": self.ridge, "samples": self.samples, "held_out_error": self.curve}


@dataclass(frozen=True)
class Calibrated(Decoders):
    """Decoders regressed on filtered spikes along stationary trajectories of the rate network.

    The neurons are driven open loop, in the time steps and with the spike timing of the simulator that
    will run the network, so that lags, grid effects, refractoriness and the rise of the synapses are in the regressors.
    The spectrum of the spikes' noise is measured, and what it leaves of the rate network's diffusion is injected. Where
    the diffusion depends on the state, its factor is decoded from the spikes as well.

    Parameters
    ----------
    duration
        Rate time units of trajectories in total; by default 4 for each neuron, within 2,000 and 8,000.
    trajectories
        Independent trajectories that share the duration; the first quarter is held out to choose the ridge.
    ridge
        Regularisation relative to the mean square of the filtered spike trains. By default the one of six values
        (1e-3 to 1e-8) with the smallest held-out error; that error contains bias and spike noise.
    perturbed
        Share of the trajectories that are moved to places between stationary states, every 3 rate time units in the
        mean. Held-out and other trajectories are among them; see `ddm2snn.conversion.trajectories.Trajectories`.
    most_decoders
        Largest number of decoders to solve for. A population with more neurons shares them: neurons of a
        unit with neighbouring thresholds have one in common.
    rounds
        Closed-loop rounds. In each the spiking network runs by itself with the decoders found so far, and what it
        visits joins the regression (`ddm2snn.conversion.driving.ClosedLoop`; the idea is that of DAgger: Ross,
        Gordon, Bagnell, AISTATS 2011). A round takes one to two times as long as all the rest. For van der Pol it
        lowered the bias of the drift in the closed loop by 3 to 28 %, and moved neither D_stsp nor D_H beyond the
        spread of simulations.
    rise_s
        Seconds in which synapses rise, 0 for at once; by default `ddm2snn.conversion.clock.natural_rise_s`. Those of a
        device have no rise.
    stimulus
        Input of the trials that the neurons are to follow; without one, stationary trajectories.
    spike_loss
        Share of the spikes that will get lost on their way to the latents, each by chance. What arrives then decodes
        the drift, and less noise is injected by what the loss brings along.

    Examples
    --------
    >>> from ddm2snn import Training, convert, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> decoders = Calibrated(duration=200.0)
    >>> made = convert(rate, population=Population(2, tuned=False), decoders=decoders, time_unit_s=0.1)
    >>> made.network.decoders.shape, made.diagnostics.calibration.ridge <= 1e-3
    ((2, 16), True)
    >>> max(made.diagnostics.drift_error) < 0.5
    True
    >>> Calibrated().duration_for(neurons=16), Calibrated().duration_for(neurons=800)
    (2000.0, 3200.0)
    """

    name: ClassVar[str] = "calibrated"

    duration: float | None = None
    trajectories: int = 64
    ridge: float | None = None
    most_decoders: int = 8192
    perturbed: float = 0.25
    rounds: int = 0
    rise_s: float | None = None
    stimulus: Stimulus | None = None
    spike_loss: float = 0.0

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        if self.rise_s is not None and not 0 <= self.rise_s < np.inf:
            raise InputError(f"Calibrated.rise_s must be 0 or a time above zero, got {self.rise_s!r}.")
        if not 0 <= self.spike_loss < 1:
            raise InputError(f"Calibrated.spike_loss must be a share from 0 to below 1, got {self.spike_loss!r}.")
        for name in ("duration", "ridge"):
            if getattr(self, name) is not None:
                check_positive("Calibrated", **{name: getattr(self, name)})
        for name in ("trajectories", "most_decoders"):
            object.__setattr__(self, name, as_count(f"Calibrated.{name}", getattr(self, name)))
        if isinstance(self.rounds, bool) or not isinstance(self.rounds, int) or self.rounds < 0:
            raise InputError(f"Calibrated.rounds must be 0 or a whole number above zero, got {self.rounds!r}.")
        if not 0 <= self.perturbed <= 1:
            raise InputError(f"Calibrated.perturbed must be a share between 0 and 1, got {self.perturbed}.")
        if self.trajectories < 4:
            raise InputError(f"Calibrated.trajectories must be 4 or more, got {self.trajectories}.")

    def duration_for(self, neurons: int) -> float:
        """Rate time units of trajectories in total for a number of neurons."""
        return self.duration or float(np.clip(4 * neurons, 2000, 8000))

    def check(self, rate: RateNetwork, population: Population | None, *, in_loop: bool) -> Population:
        """Any population; no rise or rounds on a device, and no rounds where the diffusion depends on the state."""
        if self.rise_s and in_loop:
            raise InputError(
                f"The synapses of a device have no rise, but Calibrated.rise_s = {self.rise_s:g} was asked for. "
                "Leave it or hardware out."
            )
        if self.rounds and in_loop:
            raise InputError(
                f"Only calibrated decoders without rounds are solved in the loop of a device, got {self!r}. "
                "Choose Calibrated(rounds=0), or leave hardware out."
            )
        if self.rounds and rate.diffusion_readout is not None:
            raise InputError(
                f"This rate network's diffusion depends on the state, which closed-loop rounds do not inject; rounds "
                f"is {self.rounds}. Convert with Calibrated(rounds=0)."
            )
        if self.spike_loss and (in_loop or rate.diffusion_readout is not None):
            raise InputError(
                f"Lost spikes are known neither to a device nor to a diffusion that depends on the state, but "
                f"Calibrated.spike_loss = {self.spike_loss:g} was asked for. Leave it out."
            )
        return population or Population()

    def visited(self, rate: RateNetwork, seed: int) -> Float[np.ndarray, "sample rank"] | Visited:
        """Stationary states, or what trials under `stimulus` visit."""
        return visited_under(rate, self.stimulus, seed)

    def rise(self, rate: RateNetwork, states: Float[np.ndarray, "sample rank"], time_unit_s: float) -> float:
        """The rise that was asked for, or what suits the motion."""
        if self.rise_s is None:
            return natural_rise_s(rate, states, time_unit_s)
        if self.rise_s >= time_unit_s:
            raise InputError(
                f"Calibrated.rise_s = {self.rise_s:g} is no shorter than the time unit of {time_unit_s:g} s, in which "
                "synapses decay. Use a shorter rise or a longer time unit."
            )
        return self.rise_s

    def pilot(self, problem: Problem, progress: Progress) -> NoiseBudget:
        """Measure the spikes' noise with decoders of a shorter calibration."""
        rate, ensemble, states = problem.rate, problem.ensemble, problem.visited
        duration = max(_SHORTEST_PILOT, self.duration_for(ensemble.neurons) / 4)
        shorter = replace(self, duration=duration, rounds=0)
        regression = shorter.calibrate(rate, ensemble, states, problem.rng("pilot"), lambda s: progress(0.2 * s))
        rng = problem.rng("pilot noise budget")
        return measure_budget(rate, ensemble, regression.decoders, states, rng, duration=_PILOT_BUDGET_DURATION)

    def solve(self, problem: Problem, progress: Progress) -> Solution:
        """Calibrate along paths of the rate network, whose noise is that of the closed loop, and measure the budget."""
        rate, ensemble, states = problem.rate, problem.ensemble, problem.visited
        rng = problem.rng("calibration")
        regression = self.calibrate(rate, ensemble, states, rng, lambda s: progress(0.2 + 0.7 * s))
        decoders = regression.decoders
        if ensemble.device is not None and len(regression.gram) == ensemble.neurons:  # no decoder is shared
            decoders = compensated(decoders, regression.gram, regression.ridge, ensemble.device)
        held = _as_held(ensemble)
        budget = measure_budget(rate, ensemble, held(decoders), states, problem.rng("noise budget"))
        if self.spike_loss:
            budget = with_lost_spikes(budget, ensemble, decoders, problem.states, self.spike_loss)
            decoders = decoders / (1.0 - self.spike_loss)
        diagnostics = {
            **drift_diagnostics(budget.drift),
            "calibration": regression.as_json(),
            "noise": noise_diagnostics(budget),
        }
        if rate.diffusion_readout is None:
            progress(1.0)
            return injecting(budget, decoders, diagnostics, ensemble)
        spikes = spikes_by_state(rate, ensemble, decoders, states, problem.rng("spikes by state"))
        factor = calibrate_factor(rate, ensemble, states, spikes, self, problem.rng("diffusion"))
        progress(1.0)
        return Solution(decoders, factor.constant, diagnostics | {"diffusion": factor.diagnostics}, factor=factor)

    def calibrate(
        self,
        rate: RateNetwork,
        ensemble: Ensemble,
        states: Float[np.ndarray, "sample rank"] | Visited,
        rng: np.random.Generator,
        progress: Progress = no_progress,
    ) -> Regression:
        r"""Solve :math:`\min_D \langle|D\tilde r - \tilde y|^2\rangle + \lambda|D|^2` along trajectories.

        :math:`\tilde r` are the spike trains and :math:`\tilde y` the target of
        `ddm2snn.conversion.trajectories.Trajectories`, both filtered with the synaptic time constant. This takes the
        RAM of one Gram matrix for training and one for held-out samples. Closed-loop rounds inject the noise of `rate`.

        Where each spike is lost with the probability p, these are the decoders of the spikes that are expected to
        arrive; those of single spikes are 1 / (1 - p) times as large. The loss is noise of the regressors of variance
        :math:`p\, r_j / (2(1-p)(T+\tau_r))`, with rates :math:`r_j`, time unit T and rise :math:`\tau_r`.
        """
        columns, count = ensemble.shared_columns(self.most_decoders)
        lost = (
            np.bincount(columns, self._lost_variance(ensemble, latents_of(states)), count) if self.spike_loss else None
        )
        duration = self.duration_for(ensemble.neurons) / self.trajectories
        training, held_out = (NormalEquations.empty(count, rate.rank) for _ in range(2))
        parts = self.rounds + 1
        blocks = driven(rate, ensemble, states, columns, self.trajectories, duration, rng, self.perturbed)
        take_in(blocks, training, held_out, lambda share: progress(share / parts))
        held = _as_held(ensemble)
        regression = solve_decoders(training, held_out, self.ridge, lost, held)
        for part in range(1, parts):
            start, _ = drawn(states, self.trajectories, rng)
            loop = ClosedLoop(rate, ensemble, regression.decoders, columns, rate.diffusion_factor, start, rng)
            take_in(loop.blocks(duration), training, held_out, lambda s, part=part: progress((part + s) / parts))
            regression = solve_decoders(training, held_out, self.ridge, lost, held)
        return replace(regression, decoders=regression.decoders[:, columns])

    def _lost_variance(
        self, ensemble: Ensemble, states: Float[np.ndarray, "sample rank"]
    ) -> Float[np.ndarray, " neuron"]:
        """Variance of each neuron's filtered spikes, in Hz^2, that is due to lost ones."""
        memory_s = 2.0 * (ensemble.clock.time_unit_s + ensemble.clock.rise_s)
        return self.spike_loss / (1.0 - self.spike_loss) * ensemble.mean_rates_hz(states) / memory_s


def _as_held(ensemble: Ensemble) -> Held:
    """What becomes of decoders that a device rounds each for itself; others are rounded with compensation, later."""
    device = ensemble.device
    if device is None or not in_groups(ensemble.neurons, ensemble.encoders.shape[1], device):
        return np.asarray
    return lambda decoders: rounded_decoders(decoders, device)


def take_in(
    blocks: Iterator[DrivenBlock], training: NormalEquations, held_out: NormalEquations, progress: Progress
) -> None:
    """Add blocks of samples; those of the first quarter of the trials are held out."""
    for block in blocks:
        quarter = len(block.target) // 4
        for equations, part in ((held_out, slice(0, quarter)), (training, slice(quarter, None))):
            spikes_hz, target = block.spikes_hz[part], block.target[part]
            equations.add(spikes_hz.reshape(-1, spikes_hz.shape[-1]), target.reshape(-1, target.shape[-1]))
        progress(block.share)


def solve_decoders(
    training: NormalEquations,
    held_out: NormalEquations,
    given: float | None,
    lost: Float[np.ndarray, " column"] | None = None,
    held: Held = np.asarray,
) -> Regression:
    """Decoders by column, with the given ridge or with the best of `_RIDGES` on held-out samples.

    `lost` is the variance of filtered spikes that is due to lost ones, and `held` what becomes of decoders on a device.
    """
    if lost is not None:
        training, held_out = training.with_noise(lost), held_out.with_noise(lost)
    ridges = _RIDGES if given is None else (given,)
    errors = {ridge: held_out.error(held(training.solve(ridge).T).T) for ridge in ridges}
    best = min(errors, key=lambda r: float(errors[r].sum()))
    everything = training + held_out
    return Regression(
        decoders=everything.solve(best).T,
        ridge=best,
        samples=everything.samples,
        curve={f"{r:g}": np.sqrt(e).tolist() for r, e in errors.items()},
        gram=everything.gram,
    )
