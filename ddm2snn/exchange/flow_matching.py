"""Networks in discrete time as flows: a drift whose flow over one step is the published map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.base.least_squares import solve_penalised
from ddm2snn.neuron.activation import activate

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.exchange.published_network import PublishedNetwork, Visits

_MOST_SAMPLES, _FEWEST_SAMPLES = 4096, 512  # visited states
_MOST_NUMBERS = 2**20  # of outputs of units at visited states, and of Jacobians
_PERTURBATION = 0.03  # of the spread: a kick off the trajectories, a step before each fourth state
_RIDGES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)
_MISSES = 2  # ridges without a gain, behind which no further ones are tried
_ROUNDS = 12  # most corrections for each ridge
_GAIN = 0.98  # of the error: a correction that leaves more of it is the last
_COARSE = 0.25  # decay per substep of the flow
_LEAST_DECAY = 1e-3
_ENOUGH = 0.05  # error from where on further units are tried, and corrections along the flow
_WORTH = 0.8  # of the error: what further units must lower it to
_MORE_UNITS = 128
_LINEAR, _SLOPES = 0.1, (0.3, 1.5)  # slopes of further tanh units, linear and others, per standard deviation
_MOST_STATES, _FEWEST_STATES = 256, 16  # at which the effect of the noise is averaged
_Solver = Callable[[np.ndarray, float], np.ndarray]


@dataclass(frozen=True, eq=False)
class Matched:
    """Parts of a rate network whose flow over a step is a published map.

    Parameters
    ----------
    left, right, bias, input_map
        As in `ddm2snn.RateNetwork`, in the units of the file.
    noise
        Covariance per time unit, whose effect over a step is that of the published noise.
    error
        Root mean squared difference between flow and map over the length of a step with its noise, both in spreads of
        the latents, on visited states that the match has not seen.
    input_error
        The same where inputs change: a map lets them reach the units a step late, a flow at once.
    euler_error
        As `error`, of the published weights as they are.
    """

    left: Float[np.ndarray, "unit rank"]
    right: Float[np.ndarray, "unit rank"]
    bias: Float[np.ndarray, " unit"]
    input_map: Float[np.ndarray, "rank input"]
    noise: Float[np.ndarray, "rank rank"]
    error: float
    input_error: float
    euler_error: float


def matched(network: PublishedNetwork, visits: Visits, rng: np.random.Generator) -> Matched:
    r"""Match the read-out of a network in discrete time so that its flow over one step is the network's map.

    Of :math:`\dot y = -y + R^\top\phi(Ly + b) + Bu`, with u constant over a step a, R and B are corrected by what flow
    and map differ by, per time unit, on visited states: :math:`R, B \mathrel{+}= \arg\min |R^\top\phi + Bu -
    (F(y, u) - \Phi_a(y, u))/a|`, until the difference on other states no longer falls. The first correction is the
    second term of the modified equation of Euler's method (Hairer, Lubich, Wanner, Geometric Numerical Integration,
    2006, section IX.1). Where that leaves much, the outputs are taken in the mean along the flow. Units are
    added where the network's own cannot express the flow: always where its linear part is not the leak, else where that
    lowers the error.
    """
    sample = _Sample.of(network, visits, rng)
    euler = sample.judged(network.left, network.bias, network.right, network.input_map)
    best = sample.fit(network.left, network.bias, network.right) if network.has_leak else euler
    if not best.error <= _ENOUGH:
        left, bias, right = _further_units(network, visits, rng)
        left, bias = np.vstack([network.left, left]), np.append(network.bias, bias)
        begins = [0.0] if network.has_leak else [0.0, 1.0]
        tries = [sample.fit(left, bias, np.vstack([network.right, begin * right])) for begin in begins]
        larger = min(tries, key=lambda fit: fit.error)
        best = larger if larger.error < _WORTH * best.error else best
    best = sample.refined(best)
    noise = _continuous_noise(network, best, sample.states)
    return Matched(best.left, best.right, best.bias, best.input_map, noise, best.error, best.input_error, euler.error)


@dataclass(frozen=True, eq=False)
class _Fit:
    """A network of the form, what its flow misses the map by, and its error.

    `input_error` is that of recurrent latents where inputs change.
    """

    left: np.ndarray
    bias: np.ndarray
    right: np.ndarray
    input_map: np.ndarray
    difference: np.ndarray
    error: float
    input_error: float


@dataclass(frozen=True, eq=False)
class _Sample:
    """Visited states with inputs, where the map leads from them, which of them judge, and where inputs are held.

    A held input is one that the latents behind it have reached.
    """

    network: PublishedNetwork
    states: np.ndarray
    inputs: np.ndarray
    ends: np.ndarray
    judging: np.ndarray
    held: np.ndarray

    @classmethod
    def of(cls, network: PublishedNetwork, visits: Visits, rng: np.random.Generator) -> _Sample:
        """Draw states, some of them off the trajectories, so that the flow comes back to them."""
        most = min(_MOST_SAMPLES, max(_FEWEST_SAMPLES, _MOST_NUMBERS // len(network.left)))
        chosen = rng.permutation(len(visits.states))[:most]
        states, inputs, place = visits.states[chosen].copy(), visits.inputs[chosen], np.arange(len(chosen))
        moved = place % 4 == 3
        kick = _PERTURBATION * visits.scale * rng.standard_normal(states[moved].shape)
        states[moved] = network.after_step(states[moved] + kick, inputs[moved])
        held = place % 8 >= 4
        inputs = np.where(held[:, None], states[:, network.rank - inputs.shape[1] :], inputs)
        return cls(network, states, inputs, network.after_step(states, inputs), place % 4 == 1, held)

    def judged(self, left: np.ndarray, bias: np.ndarray, right: np.ndarray, input_map: np.ndarray) -> _Fit:
        """A network of the form with its error, on the states that judge."""
        difference = self.ends - self._flow(left, bias, right, input_map)
        if not np.isfinite(difference).all():
            return _Fit(left, bias, right, input_map, difference, np.inf, np.inf)
        followers = slice(self.network.rank - self.inputs.shape[1], None)  # latents that follow inputs
        own, held = slice(0, followers.start), self.held | (self.inputs.shape[1] == 0)
        error = self._relative(difference, self.judging & held, own)
        changed = self._relative(difference, self.judging & ~held, own)
        error = max(error, self._relative(difference, self.judging & ~held, followers))
        return _Fit(left, bias, right, input_map, difference, error, changed)

    def _relative(self, difference: np.ndarray, chosen: np.ndarray, latents: slice) -> float:
        """Root mean squared difference over the length of a step with its noise, in spreads of some latents."""
        spread = self.states.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)[latents]
        noise = (self.network.step or 1.0) * np.diag(self.network.noise)[latents]
        lengths = ((self.ends - self.states)[chosen, latents] ** 2).mean(axis=0) + noise if chosen.any() else noise
        missed = (difference[chosen, latents] ** 2).mean(axis=0) if chosen.any() else 0.0 * noise
        length = (lengths / spread**2).sum()
        return float(np.sqrt((missed / spread**2).sum() / length)) if length > 0 else 0.0

    def _flow(self, left: np.ndarray, bias: np.ndarray, right: np.ndarray, input_map: np.ndarray) -> np.ndarray:
        """Ends of the flow over a step, by the classical Runge-Kutta method."""
        fastest = -np.log(np.maximum(np.abs(self.network.decay), _LEAST_DECAY)).max()
        pieces = max(2, int(np.ceil(fastest / _COARSE)))
        h, push = (self.network.step or 1.0) / pieces, self.inputs @ input_map.T

        def drift(y: np.ndarray) -> np.ndarray:
            return activate(self.network.activation, y @ left.T + bias) @ right - y + push

        y = self.states
        for _ in range(pieces):
            first = drift(y)
            second = drift(y + 0.5 * h * first)
            third = drift(y + 0.5 * h * second)
            y = y + h / 6.0 * (first + 2.0 * second + 2.0 * third + drift(y + h * third))
        return y

    def fit(self, left: np.ndarray, bias: np.ndarray, right: np.ndarray) -> _Fit:
        """Correct read-out and input map until the error on states that are not fitted no longer falls."""
        best = self.judged(left, bias, right, self.network.input_map)
        if not np.isfinite(best.difference).all():
            return best
        solve = self._solver(best, along=False)
        return self._corrected(best, lambda _: solve)

    def refined(self, fit: _Fit) -> _Fit:
        """Go on with corrections, where much is left, by what units put out along the flow, not at its beginning."""
        if not _ENOUGH < fit.error < np.inf:
            return fit
        return self._corrected(fit, lambda at: self._solver(at, along=True))

    def _corrected(self, best: _Fit, solver: Callable[[_Fit], _Solver]) -> _Fit:
        units, misses = len(best.left), 0
        for ridge in _RIDGES:
            at, before = best, best.error
            for _ in range(_ROUNDS):
                change = solver(at)(at.difference[~self.judging] / (self.network.step or 1.0), ridge)
                corrected = self.judged(
                    best.left, best.bias, at.right + change[:units], at.input_map + change[units:].T
                )
                last = not corrected.error < _GAIN * at.error
                at = corrected
                best = min(best, at, key=lambda fit: fit.error)
                if last:
                    break
            misses = 0 if best.error < _GAIN * before else misses + 1
            if misses == _MISSES:
                break
        return best

    def _solver(self, fit: _Fit, *, along: bool) -> _Solver:
        """Ridge regression on outputs of units and inputs, at the states that do not judge.

        They are those at the beginning of the step or, `along` the flow, their mean by Simpson's rule, of which the
        leak takes the more the earlier they are.
        """
        fitted, step = ~self.judging, self.network.step or 1.0
        start, end = self.states[fitted], (self.ends - fit.difference)[fitted]
        places = [(start, np.exp(-step)), (0.5 * (start + end), 4.0 * np.exp(-0.5 * step)), (end, 1.0)]
        whole = sum(weight for _, weight in places) / 6.0
        if not along:
            places, whole = [(start, 6.0)], 1.0
        outputs = np.zeros((len(start), len(fit.left)))
        for place, weight in places:
            outputs += weight / 6.0 * activate(self.network.activation, place @ fit.left.T + fit.bias)
        columns = np.hstack([outputs, whole * self.inputs[fitted]])
        wide = columns.shape[1] > len(columns)
        gram = columns @ columns.T if wide else columns.T @ columns
        size = np.trace(gram) / columns.shape[1]

        def solve(target: np.ndarray, ridge: float) -> np.ndarray:
            if wide:
                return columns.T @ solve_penalised(gram, target, ridge * size)
            return solve_penalised(gram, columns.T @ target, ridge * size)

        return solve


def _further_units(
    network: PublishedNetwork, visits: Visits, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "unit rank"], Float[np.ndarray, " unit"], Float[np.ndarray, "unit rank"]]:
    r"""Rows, biases and read-outs of units that make the decay A of a linear network, and of units in any direction.

    The flow of :math:`\dot y = (\ln A / a) y` leaves A in a step a: units add :math:`1 + \ln A / a` to the leak.
    """
    axes, middle = np.eye(network.rank), visits.states.mean(axis=0)
    rows = rng.standard_normal((_MORE_UNITS, network.rank)) / visits.scale
    rows /= np.linalg.norm(rows * visits.scale, axis=1, keepdims=True)
    if network.activation == "relu":  # y = relu(y) - relu(-y)
        linear, middle = np.vstack([axes, -axes]) / visits.scale, 0.0 * middle
    else:
        linear = _LINEAR * axes / visits.scale
        rows *= rng.uniform(*_SLOPES, size=(_MORE_UNITS, 1))
    needed = 1.0 + np.log(np.maximum(network.decay, _LEAST_DECAY)) / (network.step or 1.0)
    size = visits.scale / (_LINEAR if network.activation == "tanh" else 1.0)
    right = np.sign(linear) * (needed * size)
    places = visits.states[rng.integers(len(visits.states), size=_MORE_UNITS)]
    if network.activation == "relu":  # within a step of a kink of the map, the flow has none
        near = slice(0, _MORE_UNITS // 2)
        kinks = rng.integers(len(network.left), size=_MORE_UNITS // 2)
        rows[near] = network.left[kinks]
        moved = (network.after_step(visits.states, visits.inputs) - visits.states).std(axis=0)
        places[near] = 0.0
        shift = rng.uniform(-1.0, 1.0, len(kinks)) * np.sqrt((rows[near] ** 2) @ moved**2)
        biases = -np.append(linear @ middle, (rows * places).sum(axis=1))
        biases[len(linear) : len(linear) + len(kinks)] = network.bias[kinks] + shift
    else:
        biases = -np.append(linear @ middle, (rows * places).sum(axis=1))
    return np.vstack([linear, rows]), biases, np.vstack([right, np.zeros_like(rows)])


def _continuous_noise(network: PublishedNetwork, fit: _Fit, states: np.ndarray) -> Float[np.ndarray, "rank rank"]:
    r"""Covariance per time unit that has, over a step, the effect of the published noise C at its end.

    :math:`\langle E^{-1} C E^{-\top}\rangle` over states, with :math:`E = e^{Ja/2}` and J the drift's Jacobian: the
    midpoint rule for :math:`\int_0^a e^{Js} D e^{J^\top s} ds = a C`.
    """
    if not network.noise.any():
        return network.noise
    from scipy.linalg import expm

    rank = network.rank
    z = states[: max(_FEWEST_STATES, min(_MOST_STATES, _MOST_NUMBERS // rank**3))]
    response = activate(network.activation, z @ fit.left.T + fit.bias)
    slope = 1.0 - response**2 if network.activation == "tanh" else np.sign(response)
    jacobians = np.einsum("uk,su,ul->skl", fit.right, slope, fit.left, optimize=True) - np.eye(rank)
    back = expm(-0.5 * (network.step or 1.0) * jacobians)
    return (back @ network.noise @ np.swapaxes(back, -1, -2)).mean(axis=0)
