"""Tuned populations: gains and thresholds that let the neurons' curves add up to the drift."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.randomness import stream
from ddm2snn.base.threads import add_gram, workers
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.conversion.population import Population, encode
from ddm2snn.neuron import NeuronModel

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.clock import Clock
    from ddm2snn.network import RateNetwork

_MOST_NEURONS = 1024  # beyond, random thresholds are dense enough, and each step costs neurons cubed [cost]
_POINTS_PER_NEURON, _FEWEST_POINTS = 6, 2000  # of the least squares [cost]
_SMEAR, _REACH_OF_POINTS = 0.15, 1.25  # of the points that neurons cover; see `widened` [choice]
_WIDTHS = (0.05, 0.01)  # of the smoothed threshold, in units of the threshold current: coarse, then fine [choice]
_RIDGE = 1e-6  # relative to the mean square of the rates [choice]
# largest factor on a gain; largest shift of a threshold in standard deviations of its input [choice]
_REACH, _SHIFT = 3.0, 1.5
_STEPS = 12_000  # neurons times steps at each width, within [cost]
_FEWEST, _MOST = 20, 100  # steps [cost]
_ROUGH_POINTS, _ROUGH_PER_NEURON, _ROUGH_ROWS = 500, 4, 256  # of those, where neurons are tuned roughly [cost]
_ROWS = 32  # at once, so that what is computed stays in the cache: eight times as fast for 1,024 neurons [cost]


@dataclass(frozen=True, eq=False)
class _Problem:
    r"""Projected least squares in the logarithms of gains and in shifts of the current.

    :math:`J_j = g_j e^{a_j} (x_j - \bar x_j) + \bar J_j + s_j b_j` with x the input of the neuron's unit.
    """

    neuron: NeuronModel
    centred: Float[np.ndarray, "sample neuron"]
    middle: Float[np.ndarray, " neuron"]
    gain: Float[np.ndarray, " neuron"]
    step: Float[np.ndarray, " neuron"]
    target: Float[np.ndarray, "sample rank"]
    threads: Executor
    rows: int = _ROWS

    def loss(self, parameters: Float[np.ndarray, " parameter"], width: float) -> tuple[float, np.ndarray]:
        """Loss after solving for the decoders, and its gradient; the decoders' own does not count."""
        from scipy.linalg import cho_factor, cho_solve

        grown, shifted = np.split(parameters, 2)
        gain = self.gain * np.exp(grown)
        offset = self.middle + shifted * self.step
        samples, neurons = self.centred.shape
        rate, slope = np.empty((samples, neurons)), np.empty((samples, neurons))

        def fill(rows: slice) -> None:
            rate[rows], slope[rows] = self.neuron.smooth_rates(gain * self.centred[rows] + offset, width)

        self._each_block(fill)
        gram = np.zeros((neurons, neurons))
        add_gram(gram, rate)
        gram /= samples
        ridge = _RIDGE * np.trace(gram) / neurons
        gram[np.diag_indices(neurons)] += ridge
        decoders = cho_solve(cho_factor(gram, overwrite_a=True), rate.T @ self.target / samples)
        miss, size = rate @ decoders - self.target, float((decoders**2).sum())
        weight = _RIDGE * size / neurons

        def slopes(rows: slice) -> np.ndarray:
            along = miss[rows] @ decoders.T
            along += weight * rate[rows]
            along *= slope[rows]
            return np.stack([(along * self.centred[rows]).sum(axis=0), along.sum(axis=0)])

        by_gain, by_shift = sum(self._each_block(slopes), np.zeros((2, neurons)))
        gradient = 2.0 / samples * np.concatenate([gain * by_gain, self.step * by_shift])
        return float((miss**2).sum()) / samples + ridge * size, gradient

    def _each_block(self, work: Callable[[slice], Any]) -> list[Any]:
        """Results of blocks of samples, in their order; blocks that stay in the cache."""
        blocks = (slice(first, first + self.rows) for first in range(0, len(self.centred), self.rows))
        return list(self.threads.map(work, blocks))


def around(states: Float[np.ndarray, "sample rank"], seed: int) -> Float[np.ndarray, "sample rank"]:
    """Stationary states, widened: the points that neurons cover."""
    return widened(states, stream(seed, "conversion", "points"))


def widened(z: Float[np.ndarray, "sample rank"], rng: np.random.Generator) -> Float[np.ndarray, "sample rank"]:
    """Points in internal units, some of them moved to where noise can lead.

    Half of the points stay as they are, three eighths move by 0.15 times normal numbers, and one eighth is scaled
    outwards by a factor of up to 1.25.

    Examples
    --------
    >>> z = np.ones((8, 1))
    >>> moved = widened(z, np.random.default_rng(0))
    >>> int((moved == z).sum()), bool(1.0 <= moved[-1, 0] <= 1.25)
    (4, True)
    """
    out = z.copy()
    shifted, scaled = np.split(np.arange(len(z) // 2, len(z)), [3 * len(z) // 8])
    out[shifted] += _SMEAR * rng.standard_normal((len(shifted), z.shape[1]))
    out[scaled] *= rng.uniform(1.0, _REACH_OF_POINTS, (len(scaled), 1))
    return out


def place(
    rate: RateNetwork,
    population: Population,
    clock: Clock,
    states: Float[np.ndarray, "sample rank"],
    seed: int,
    *,
    roughly: bool = False,
) -> tuple[Ensemble, dict[str, float]]:
    """Place neurons around stationary states, tune them where the population asks for it, and say what tuning did.

    Neurons that are tuned `roughly`, over fewer points and so faster, say how noisy a population will be.
    """
    ensemble = encode(rate, population, clock, around(states, seed), stream(seed, "conversion", "encoders"))
    if not population.tuned or not ensemble.neuron.tunable or ensemble.neurons > _MOST_NEURONS:
        return ensemble, {}
    fewest, each = (_ROUGH_POINTS, _ROUGH_PER_NEURON) if roughly else (_FEWEST_POINTS, _POINTS_PER_NEURON)
    count = max(fewest, each * ensemble.neurons)
    rng = stream(seed, "conversion", "tuning points")
    some = states[np.resize(rng.permutation(len(states)), count)]  # some twice where there are too few
    return tune(rate, ensemble, widened(some, rng), rows=_ROUGH_ROWS if roughly else _ROWS)


def tune(
    rate: RateNetwork, ensemble: Ensemble, z: Float[np.ndarray, "sample rank"], *, rows: int = _ROWS
) -> tuple[Ensemble, dict[str, float]]:
    r"""Move gains and thresholds so that :math:`D F(E z + \beta)` can follow :math:`W_s\phi(\Gamma z + b)`.

    Random thresholds leave an error that no decoder removes, since each curve has a kink where its neuron falls
    silent. Minimised over gains :math:`g_j` and biases :math:`\beta_j` is

    .. math:: \min_D \langle|D F(J) - y|^2\rangle + \lambda |D|^2

    by variable projection (Golub, Pereyra, SIAM J. Numer. Anal. 10, 1973) with each latent of the target y
    relative to its drift, over the internal latents `z`. Encoders stay rows of Gamma times a factor of the sign they
    had. The losses before and after, both with the finer threshold, come back beside the neurons. So many `rows` of
    points are worked on at once.
    """
    unit, gamma = ensemble.unit, rate.left_vectors
    x = (z @ gamma.T + rate.bias)[:, unit]
    square = (gamma[unit] ** 2).sum(axis=1)
    used = square > 0
    gain = np.where(used, (ensemble.encoders * gamma[unit]).sum(axis=1) / np.where(used, square, 1.0), 0.0)
    mean, offset = x.mean(axis=0), ensemble.bias - gain * rate.bias[unit]
    readout = rate.internal_readout(z)
    scale = np.sqrt(((readout - z) ** 2).mean(axis=0))
    with ThreadPoolExecutor(workers()) as threads:
        problem = _Problem(
            ensemble.neuron, x - mean, offset + gain * mean, gain, np.abs(gain) * x.std(axis=0),
            readout / np.where(scale, scale, 1), threads, rows,
        )  # fmt: skip
        place = _minimum(problem)
        before, after = (problem.loss(at, _WIDTHS[-1])[0] for at in (np.zeros_like(place), place))
    grown, shifted = np.split(place, 2)
    moved = gain * np.exp(grown)
    bias = problem.middle + shifted * problem.step - moved * (mean - rate.bias[unit])
    losses = {"loss_before": before, "loss_after": after}
    if after >= before:
        return ensemble, losses
    return replace(ensemble, encoders=moved[:, None] * gamma[unit], bias=bias), losses


def _minimum(problem: _Problem) -> Float[np.ndarray, " parameter"]:
    """Logarithms of factors on the gains, and shifts of the thresholds, that lose least: coarse first, then fine."""
    from scipy.optimize import minimize

    neurons = len(problem.gain)
    place = np.zeros(2 * neurons)
    bounds = [(-np.log(_REACH), np.log(_REACH))] * neurons + [(-_SHIFT, _SHIFT)] * neurons
    for width in _WIDTHS:
        unit_of_loss = max(problem.loss(place, width)[0], np.finfo(float).tiny)

        def relative(
            parameters: np.ndarray, width: float = width, size: float = unit_of_loss
        ) -> tuple[float, np.ndarray]:
            value, gradient = problem.loss(parameters, width)
            return value / size, gradient / size

        most = int(np.clip(_STEPS // neurons, _FEWEST, _MOST))
        options = {"maxfun": most, "maxcor": 30, "ftol": 1e-4, "gtol": 1e-9}
        place = minimize(relative, place, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return place
