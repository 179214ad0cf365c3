"""What a way of finding decoders must be able to do, what it is given and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from ddm2snn.base.randomness import stream
from ddm2snn.conversion.trajectories import Visited, latents_of, visited_under
from ddm2snn.conversion.tuning import place
from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.base.progress import Progress
    from ddm2snn.conversion.clock import Clock
    from ddm2snn.conversion.diffusion_factor import DiffusionFactor
    from ddm2snn.conversion.drift_error import DriftError
    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.conversion.noise_budget import MeasuredNoise, NoiseBudget
    from ddm2snn.conversion.population import Population
    from ddm2snn.network import RateNetwork


@dataclass(frozen=True, eq=False)
class Problem:
    """What decoders are to be found for: a rate network, where it goes, in internal units, and the neurons."""

    rate: RateNetwork
    ensemble: Ensemble
    visited: Float[np.ndarray, "sample rank"] | Visited
    seed: int

    @property
    def states(self) -> Float[np.ndarray, "sample rank"]:
        """States that are visited, whatever inputs lead there."""
        return latents_of(self.visited)

    def rng(self, name: str) -> np.random.Generator:
        """Random stream of one part of the work; no part moves the numbers of another."""
        return stream(self.seed, "conversion", name)

    @property
    def velocity(self) -> Float[np.ndarray, "sample rank"]:
        """Drift of the rate network at the states, internal units per rate time unit."""
        return self.rate.internal_readout(self.states) - self.states


@dataclass(frozen=True, eq=False)
class Solution:
    r"""Decoders, the noise to inject beside them, and what was learned on the way.

    Parameters
    ----------
    decoders
        D, shape (rank, neuron), internal latent units per Hz. Rates r of neurons that follow the latent z must decode
        :math:`D r = W_s\phi(\Gamma z + b)`, which is `Problem.velocity` plus z, since the leak is in the loop already;
        `ddm2snn.conversion.trajectories.regression_target` corrects it for the finite step.
    diffusion_factor
        Factor of the noise to inject, shape (rank, rank), internal units; the constant part where it depends on the
        state.
    diagnostics
        JSON values by the names of the fields of `ddm2snn.conversion.diagnostics.Diagnostics`; `drift_error` is
        always among them.
    constant
        What the decoded spikes lack everywhere, shape (rank,), internal units; None where they lack nothing.
    factor
        Decoders of a diffusion factor that depends on the state; None where it is constant.
    noise_colour
        Colour of the noise to inject, as `ddm2snn.SpikingNetwork` has it; None for white noise.
    """

    decoders: Float[np.ndarray, "rank neuron"]
    diffusion_factor: Float[np.ndarray, "rank rank"]
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    constant: Float[np.ndarray, " rank"] | None = None
    factor: DiffusionFactor | None = None
    noise_colour: Float[np.ndarray, "rank coefficient"] | None = None


@runtime_checkable
class Decoders(Protocol):
    """A way of finding decoders: a frozen dataclass of its settings, with a name and the methods below.

    `ddm2snn.conversion.decoders.DECODERS` lists those that command line and recipes know by name. `convert` takes any
    object that has these methods, and calls them in this order. A class that derives from this one inherits
    `visited`, `place`, `rise` and `pilot`.
    """

    name: ClassVar[str]

    def check(self, rate: RateNetwork, population: Population | None, *, in_loop: bool) -> Population:
        """Return the population to place, the default one where none is given.

        Parameters
        ----------
        rate, population
            What `convert` was given.
        in_loop
            Whether a device is in the loop.

        Raises
        ------
        InputError
            Where these decoders cannot convert that.
        """
        ...

    def visited(self, rate: RateNetwork, seed: int) -> Float[np.ndarray, "sample rank"] | Visited:
        """Where the neurons are to follow the rate network: its stationary states, internal units."""
        return visited_under(rate, None, seed)

    def place(
        self,
        rate: RateNetwork,
        population: Population,
        clock: Clock,
        states: Float[np.ndarray, "sample rank"],
        seed: int,
    ) -> tuple[Ensemble, Mapping[str, float]]:
        """Place neurons around stationary states (internal units), and say what tuning them did, if anything."""
        return place(rate, population, clock, states, seed)

    def rise(self, rate: RateNetwork, states: Float[np.ndarray, "sample rank"], time_unit_s: float) -> float:
        """Seconds in which synapses rise that these decoders are solved behind; 0 for those that know of none."""
        return 0.0

    def pilot(self, problem: Problem, progress: Progress) -> NoiseBudget | None:
        """Measure the spikes' noise in a first, short solution, from which the time unit is chosen.

        None for decoders that need no such measurement; the time unit then stays the first choice.
        """
        return None

    def solve(self, problem: Problem, progress: Progress) -> Solution:
        """Find decoders."""
        ...


def curve_error(
    decoded: Float[np.ndarray, "sample rank"],
    target: Float[np.ndarray, "sample rank"],
    velocity: Float[np.ndarray, "sample rank"],
) -> list[float]:
    """Root mean square of what is decoded less what should be, relative to the drift, per latent.

    >>> curve_error(np.ones((4, 1)), np.full((4, 1), 0.75), velocity=np.ones((4, 1)))
    [0.25]
    """
    return np.sqrt(((decoded - target) ** 2).mean(axis=0) / (velocity**2).mean(axis=0)).tolist()


def injecting(
    budget: MeasuredNoise,
    decoders: Float[np.ndarray, "rank neuron"],
    diagnostics: Mapping[str, Any],
    ensemble: Ensemble,
    constant: Float[np.ndarray, " rank"] | None = None,
) -> Solution:
    """Solution with the noise that a budget leaves, coloured but on a device, whose host sends white noise."""
    factor, colour = budget.spectrum.injection if ensemble.device is None else (budget.spectrum.white, None)
    return Solution(decoders, factor, diagnostics, constant, noise_colour=colour)


def drift_diagnostics(error: DriftError) -> dict[str, Any]:
    """Errors of the drift, repeatable and random, as `ddm2snn.conversion.diagnostics.Diagnostics` holds them."""
    return {
        "drift_error": error.repeatable.tolist(),
        "drift_standard_error": error.standard_error.tolist(),
        "drift_random": error.random.tolist(),
    }


def noise_diagnostics(budget: MeasuredNoise) -> dict[str, Any]:
    """The noise of a budget as `ddm2snn.conversion.diagnostics.Noise` holds it."""
    return {
        "target": budget.target.tolist(),
        "spikes": budget.spikes.tolist(),
        "spikes_over_target": budget.spike_noise_ratio,
        "spectrum": budget.spectrum.as_json(),
    }


def refuse_device(decoders: Decoders, how: str) -> None:
    """Refuse a device in the loop, for decoders that are found without driving neurons."""
    raise InputError(
        f"{how} on curves, which know nothing of a device, got {decoders!r}. "
        "Choose Calibrated(rounds=0), or leave hardware out."
    )


def refuse_diffusion_by_state(rate: RateNetwork, decoders: Decoders) -> None:
    """Refuse a rate network whose diffusion depends on the state, for decoders that cannot carry it."""
    if rate.diffusion_readout is not None:
        raise InputError(
            f"This rate network's diffusion depends on the state, which {type(decoders).__name__} decoders cannot "
            "carry. Convert with Calibrated or Static decoders."
        )
