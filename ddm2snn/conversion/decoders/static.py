"""Static decoders: regularised least squares on the neurons' curves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.base.html import fields_table
from ddm2snn.base.least_squares import fit_penalised, solve_penalised
from ddm2snn.base.threads import add_gram
from ddm2snn.conversion.decoders.protocol import Decoders, Problem, Solution, curve_error, refuse_device
from ddm2snn.conversion.diffusion_factor import static_factor
from ddm2snn.conversion.population import Population
from ddm2snn.conversion.trajectories import Visited, regression_target, visited_under
from ddm2snn.conversion.tuning import around

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.base.progress import Progress
    from ddm2snn.conversion.ensemble import Ensemble
    from ddm2snn.network import RateNetwork
    from ddm2snn.stimulus import Stimulus


@dataclass(frozen=True)
class Static(Decoders):
    """Regularised least squares on the f-I curve of the simulator that will run the network.

    All of the rate network's diffusion is injected. Where it depends on the state, its factor is decoded as well.

    Parameters
    ----------
    ridge
        Regularisation as a share of the highest rate, as in the Neural Engineering Framework
        (Eliasmith, Anderson, Neural Engineering, 2003): rates are treated as if they carried noise of
        this size.
    compensate_lag
        Whether to regress against the rates that neurons have while the latent moves along the flow.
    stimulus
        Input of the trials that the neurons are to follow; without one, stationary trajectories.

    Examples
    --------
    >>> from ddm2snn import Training, convert, train
    >>> rate = train("ornsteinuhlenbeck", units=8, training=Training(ridge=1e-6, points=400, holdout=200))
    >>> made = convert(rate, population=Population(2, tuned=False), decoders=Static(ridge=0.02), time_unit_s=0.1)
    >>> made.network.decoders.shape, max(made.diagnostics.drift_error) < 0.3
    ((2, 16), True)
    >>> made.diagnostics.noise is None  # curves know nothing of the spikes' noise
    True
    """

    name: ClassVar[str] = "static"

    ridge: float = 0.01
    compensate_lag: bool = True
    stimulus: Stimulus | None = None

    _repr_html_ = fields_table

    def __post_init__(self) -> None:
        check_positive("Static", ridge=self.ridge)

    def check(self, rate: RateNetwork, population: Population | None, *, in_loop: bool) -> Population:
        """Any population; no device."""
        if in_loop:
            refuse_device(self, "Static decoders are solved")
        return population or Population()

    def visited(self, rate: RateNetwork, seed: int) -> Float[np.ndarray, "sample rank"] | Visited:
        """Stationary states, or what trials under `stimulus` visit."""
        return visited_under(rate, self.stimulus, seed)

    def solve(self, problem: Problem, progress: Progress) -> Solution:
        """Solve at states around the stationary ones, and judge at these."""
        rate, ensemble, states = problem.rate, problem.ensemble, problem.states
        points = around(states, problem.seed)
        decoders, decoded = self.decode(rate, ensemble, points, states)
        target = regression_target(rate, states, ensemble.clock)
        diagnostics = {"drift_error": curve_error(decoded, target, problem.velocity)}
        if rate.diffusion_readout is None:
            return Solution(decoders, rate.diffusion_factor, diagnostics)
        factor = static_factor(rate, ensemble, points, problem.visited, self.ridge, problem.rng("diffusion"))
        return Solution(decoders, factor.constant, diagnostics | {"diffusion": factor.diagnostics}, factor=factor)

    def decode(
        self,
        rate: RateNetwork,
        ensemble: Ensemble,
        z: Float[np.ndarray, "sample rank"],
        judged: Float[np.ndarray, "sample rank"],
    ) -> tuple[Float[np.ndarray, "rank neuron"], Float[np.ndarray, "sample rank"]]:
        """Decoders solved for at the states `z`, and what they decode at the states `judged`.

        Memory is that of the curves where there are no more neurons than samples. Otherwise it is that of a matrix
        (sample, sample) and of the curves of some of the neurons.
        """

        def curves(
            states: Float[np.ndarray, "sample rank"],
        ) -> Iterator[tuple[slice, Float[np.ndarray, "sample part"]]]:
            velocity = rate.internal_readout(states) - states if self.compensate_lag else None
            for part, some in ensemble.parts(len(states)):
                yield part, some.rates_hz(states, velocity)

        target = regression_target(rate, z, ensemble.clock)
        if ensemble.neurons <= len(z):
            decoders = solve_static(np.concatenate([part for _, part in curves(z)], axis=1), target, self.ridge)
        else:
            decoders = _solve_in_parts(lambda: curves(z), target, ensemble.neurons, self.ridge)
        return decoders, sum(
            (rates_hz @ decoders[:, part].T for part, rates_hz in curves(judged)), np.zeros_like(judged)
        )


def _solve_in_parts(
    curves: Callable[[], Iterable[tuple[slice, Float[np.ndarray, "sample part"]]]],
    target: Float[np.ndarray, "sample rank"],
    neurons: int,
    ridge: float,
) -> Float[np.ndarray, "rank neuron"]:
    r"""What `solve_static` finds, from curves of some neurons at a time.

    :math:`D = y^\top (A A^\top + \lambda)^{-1} A` with :math:`A A^\top` the sum over the parts.
    """
    samples, highest = len(target), 1e-12
    gram = np.zeros((samples, samples))
    for _, rates_hz in curves():
        add_gram(gram, rates_hz.T)
        highest = max(highest, float(rates_hz.max()))
    weights = solve_penalised(gram, target, samples * (ridge * highest) ** 2, overwrite=True)
    decoders = np.empty((target.shape[1], neurons))
    for part, rates_hz in curves():
        decoders[:, part] = weights.T @ rates_hz
    return decoders


def solve_static(
    rates_hz: Float[np.ndarray, "sample neuron"], target: Float[np.ndarray, "sample rank"], ridge: float
) -> Float[np.ndarray, "rank neuron"]:
    r"""Decoders :math:`D = \arg\min \langle|A D^\top - y|^2\rangle + (\text{ridge}\,\max A)^2 |D|^2`.

    >>> rates_hz = np.array([[0.0, 50.0], [50.0, 0.0]])
    >>> (rates_hz @ solve_static(rates_hz, np.array([[1.0], [-1.0]]), ridge=1e-3).T).round(3)
    array([[ 1.],
           [-1.]])
    """
    return fit_penalised(rates_hz, target, len(rates_hz) * (ridge * max(rates_hz.max(), 1e-12)) ** 2).T
