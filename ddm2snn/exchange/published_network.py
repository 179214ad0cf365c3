"""Low-rank networks as their files state them, in continuous or discrete time, and the states that they visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ddm2snn.base.least_squares import fit_ridge
from ddm2snn.errors import InputError
from ddm2snn.neuron.activation import activate
from ddm2snn.systems.integration import heun_step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ddm2snn.neuron.activation import Activation

_TIME, _STEP = 40.0, 2.0**-4  # time units: of a run, and of its steps
_FEWEST_STEPS = 1000  # where no leak tells how long a time unit is
_SAMPLES = 256  # of a trial
_MOST_TRIALS, _FEWEST_TRIALS = 64, 8
_MOST_CELLS = 2**18  # trials times units times sixteens of latents: some seconds for all steps
_HOLD = 10.0  # time units for which a random input lasts, on average
_REST = 0.3  # share of random inputs that are zero
_STATES = 1024  # that a network is left at
_SMALL_START = 0.1  # where networks that leave every bound are started once more
_NO_VARIANCE = 1e-14  # of the largest: what rounding leaves of none
_FELT_AT = 256  # states at which units' noise is followed to the latents
_NODES = 16  # of the mean over noise
_RIDGE = 1e-8
_LEAST_LEAK = 0.05  # per time unit, from where on a constant moves the origin
_BOUND = 1e6  # times the size of the starts


@dataclass(frozen=True, eq=False)
class PublishedNetwork:
    r"""A network with k latents y, as its file states it.

    .. math::
        \dot y = -y + R^\top\phi(Ly + b) + c + Bu + \text{noise}, \qquad
        y' = A y + a\,(R^\top\phi(Ly + b) + c + Bu) + \text{noise},

    in continuous time where `step` is None, else in steps a. The noise has the covariance `noise` per time unit.

    Parameters
    ----------
    left, right
        L and R, shape (unit, rank).
    bias
        b, shape (unit,).
    input_map
        B, shape (rank, input).
    noise
        Covariance per time unit, shape (rank, rank).
    activation
        Pointwise :math:`\phi`.
    step
        a, time units per step.
    linear
        A, shape (rank,); 1 - a by default.
    constant
        c, shape (rank,); zero by default.
    direct_inputs
        Whether inputs themselves, not the last latents that follow them, reach the units: within a step.
    start
        y at the beginning of a trial, shape (rank,), where the file states it.
    offset
        What the file's latents are more than y, shape (rank,).
    output_vectors, output_bias
        :math:`C^\top`, shape (unit, output), and d, shape (output,), of :math:`C\phi(Ly + b) + d`, or None.
    unit_variance
        Variance of each unit's input by noise that is in no latent, shape (unit,); zero by default.
    facts
        What the file says about its form: JSON values.
    """

    left: Float[np.ndarray, "unit rank"]
    right: Float[np.ndarray, "unit rank"]
    bias: Float[np.ndarray, " unit"]
    input_map: Float[np.ndarray, "rank input"]
    noise: Float[np.ndarray, "rank rank"]
    activation: Literal["tanh", "relu"] = "tanh"
    step: float | None = None
    linear: Float[np.ndarray, " rank"] | None = None
    constant: Float[np.ndarray, " rank"] | float = 0.0
    direct_inputs: bool = False
    start: Float[np.ndarray, " rank"] | None = None
    offset: Float[np.ndarray, " rank"] | float = 0.0
    output_vectors: Float[np.ndarray, "unit output"] | None = None
    output_bias: Float[np.ndarray, " output"] | None = None
    unit_variance: Float[np.ndarray, " unit"] | float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def with_origin_moved(self) -> PublishedNetwork:
        """The same network with its constant in the origin of the latents, of those that have a leak to speak of."""
        leak = np.ones(self.rank) if self.step is None else (1.0 - self.decay) / self.step
        moved = np.abs(leak) > _LEAST_LEAK
        offset = np.where(moved, self.constant / np.where(moved, leak, 1.0), 0.0)
        return replace(
            self, bias=self.bias + self.left @ offset, constant=np.where(moved, 0.0, self.constant),
            offset=self.offset + offset, start=None if self.start is None else self.start - offset,
        )  # fmt: skip

    def of_units(self, units: Bool[np.ndarray, " unit"]) -> PublishedNetwork:
        """The same network of some of its units, without outputs."""
        return replace(
            self, left=self.left[units], right=self.right[units], bias=self.bias[units], output_vectors=None,
            output_bias=None, unit_variance=0.0,
        )  # fmt: skip

    def under_noise(self, states: Float[np.ndarray, "sample rank"]) -> PublishedNetwork:
        r"""The network whose units have in the mean what noise outside the latents makes of them, at given states.

        Units of inputs :math:`x + \xi` have :math:`\langle\phi(x + \xi)\rangle` in the mean, which the read-out R then
        decodes from :math:`\phi(x)` by regression. How :math:`\phi(x + \xi)` scatters about it is left out.
        """
        if not np.any(self.unit_variance):
            return self
        inputs = states @ self.left.T + self.bias
        outputs = activate(self.activation, inputs)
        missed = (_mean_output(self.activation, inputs, np.sqrt(self.unit_variance)) - outputs) @ self.right
        return replace(self, right=self.right + fit_ridge(outputs, missed, _RIDGE), unit_variance=0.0)

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """Left and right vectors, biases, input map and noise."""
        return self.left, self.right, self.bias, self.input_map, self.noise

    @property
    def rank(self) -> int:
        """Number k of latents, those of inputs among them."""
        return self.left.shape[1]

    @property
    def decay(self) -> Float[np.ndarray, " rank"]:
        """A: what a step leaves of each latent."""
        return np.full(self.rank, 1.0 - (self.step or 0.0)) if self.linear is None else self.linear

    @property
    def has_leak(self) -> bool:
        """Whether the linear part is that of the form, which needs no units."""
        return self.linear is None

    def push(
        self, y: Float[np.ndarray, "... rank"], u: Float[np.ndarray, "... input"]
    ) -> Float[np.ndarray, "... rank"]:
        """What units, constant and inputs add to the latents per time unit."""
        seen = y
        if self.direct_inputs:
            seen = np.concatenate([y[..., : self.rank - u.shape[-1]], u], axis=-1)
        outputs = activate(self.activation, seen @ self.left.T + self.bias)
        return outputs @ self.right + u @ self.input_map.T + self.constant

    def after_step(
        self, y: Float[np.ndarray, "... rank"], u: Float[np.ndarray, "... input"]
    ) -> Float[np.ndarray, "... rank"]:
        """Latents after a step of discrete time, without noise."""
        return y * self.decay + (self.step or 0.0) * self.push(y, u)

    def advance(
        self, y: Float[np.ndarray, "trial rank"], u: Float[np.ndarray, "trial input"], noise: np.ndarray
    ) -> Float[np.ndarray, "trial rank"]:
        """Latents after a step of `pace`; `noise` is the noise of the step."""
        if self.step is not None:
            return self.after_step(y, u) + noise
        return heun_step(lambda z: self.push(z, u) - z, y, _STEP, noise)

    @property
    def pace(self) -> float:
        """Time units per step of a run."""
        return _STEP if self.step is None else self.step


def _mean_output(
    activation: Activation, inputs: Float[np.ndarray, "sample unit"], deviation: Float[np.ndarray, " unit"] | float
) -> Float[np.ndarray, "sample unit"]:
    """Mean of phi over normal noise of its input, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    mean = np.zeros_like(inputs)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        mean += weight * activate(activation, inputs + node * deviation)
    return mean


@dataclass(frozen=True, eq=False)
class Visits:
    """States that a network visits, of shape (sample, rank), with the inputs at them, (sample, input).

    Parameters
    ----------
    states, inputs
        Of all trials; inputs are drawn where a network has some.
    scale
        Standard deviation of each latent; 1 where it does not move.
    kept
        Up to 1,024 states that the network is left at.
    rests
        Whether the network comes to rest without input: never where it has noise.
    """

    states: Float[np.ndarray, "sample rank"]
    inputs: Float[np.ndarray, "sample input"]
    scale: Float[np.ndarray, " rank"]
    kept: Float[np.ndarray, "kept rank"]
    rests: bool


def visits_of(network: PublishedNetwork, rng: np.random.Generator) -> Visits:
    """Run a network from random starts, at which the units' inputs are of order one, and from the start of its trials.

    Half of the trials of a network with inputs have random ones: normal numbers that last ten time units on average, or
    zero. The states are those of the last quarter of the time, or of all of it where the network rests or has inputs.

    Raises
    ------
    InputError
        Where a latent reaches no unit, or latents grow without bound.
    """
    size = np.sqrt((network.left**2).mean(axis=0))
    if not (size > 0).all():
        raise InputError("A latent reaches no unit: its left vector is zero. Leave it out.")
    trials = _MOST_CELLS // (len(network.left) * -(-network.rank // 16))
    trials = min(_MOST_TRIALS, max(_FEWEST_TRIALS, trials))
    start = rng.standard_normal((trials, network.rank)) / size
    for smaller in (1.0, _SMALL_START):
        path, inputs = _run(network, _starts(network, smaller * start), rng)
        if np.isfinite(path).all() and np.abs(path[-1]).max() <= _BOUND * (1.0 + np.abs(start).max()):
            break
    else:
        raise InputError("The network's latents grow without bound. Check the factor of m n^T and the activation.")
    alone = path[:, : trials - trials // 2] if inputs.shape[-1] else path
    late = slice(-len(path) // 4, None)
    own = slice(0, network.rank - inputs.shape[-1])  # latents that follow inputs come last
    still = alone[late, :, own].std(axis=(0, 1)) < 1e-3 * alone[:, :, own].std(axis=(0, 1))
    rests = not network.noise.any() and bool(still.all())
    kept = slice(None) if rests or inputs.shape[-1] else late
    states = path[kept].reshape(-1, network.rank)
    spread = states.std(axis=0)
    return Visits(
        states, inputs[kept].reshape(len(states), -1), np.where(spread > 0, spread, 1.0),
        states[rng.permutation(len(states))[:_STATES]], rests,
    )  # fmt: skip


def noise_vectors(
    network: PublishedNetwork, units: int, count: int, rng: np.random.Generator
) -> Float[np.ndarray, "unit latent"]:
    r"""Directions in which noise of the first `units` moves the latents most, beside the span of the latents' own.

    Noise :math:`\xi` of the units' inputs reaches the latents as :math:`R^\top\operatorname{diag}(\phi'(x))\,\xi` to
    first order. The directions are the first principal ones of the rows of that matrix, at states that the network
    visits, less their projections on L. There are `count` of them, or as many as carry anything.
    """
    visited = visits_of(network, rng).states
    inputs = visited[rng.integers(len(visited), size=_FELT_AT)] @ network.left.T + network.bias
    outputs = activate(network.activation, inputs)
    slopes = 1.0 - outputs**2 if network.activation == "tanh" else np.sign(outputs)
    copies = len(network.left) // units  # clipped relus are two units each
    felt = (slopes[:, :, None] * network.right)[:, : copies * units]
    rows = felt.reshape(len(felt), copies, units, -1).sum(axis=1).swapaxes(0, 1).reshape(units, -1)
    left = network.left[:units]
    directions, sizes, _ = np.linalg.svd(rows - left @ np.linalg.lstsq(left, rows, rcond=None)[0], full_matrices=False)
    return directions[:, : min(count, int((sizes > np.sqrt(_NO_VARIANCE) * np.linalg.norm(rows)).sum()))]


def _starts(network: PublishedNetwork, start: Float[np.ndarray, "trial rank"]) -> Float[np.ndarray, "trial rank"]:
    """Random starts, a quarter of them put where the trials of the file start."""
    if network.start is not None:
        start = start.copy()
        start[:: len(start) // max(1, len(start) // 4)] = network.start
    return start


def _run(
    network: PublishedNetwork, y: Float[np.ndarray, "trial rank"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "time trial rank"], Float[np.ndarray, "time trial input"]]:
    """States and inputs of a run; its last half of trials is driven where there are inputs."""
    pace, count = network.pace, network.input_map.shape[1]
    steps = max(round(_TIME / pace), 1 if network.has_leak else _FEWEST_STEPS)
    stride = max(1, steps // _SAMPLES)
    noise = _noise(network, rng, len(y))
    driven = np.arange(len(y)) >= len(y) - len(y) // 2
    u = np.zeros((len(y), count))
    path, inputs = [], []
    for step in range(steps):
        if count:
            new = driven & ((rng.random(len(y)) < pace / _HOLD) | (step == 0))
            drawn = rng.standard_normal(u.shape) * (rng.random((len(y), 1)) >= _REST)
            u = np.where(new[:, None], drawn, u)
        if step % stride == 0:
            path.append(y)
            inputs.append(u)
        y = network.advance(y, u, noise())
    return np.array(path), np.array(inputs)


def _noise(network: PublishedNetwork, rng: np.random.Generator, trials: int) -> Callable[[], np.ndarray]:
    """Noise of a step, drawn anew at each call."""
    if not network.noise.any():
        return lambda: np.zeros((trials, network.rank))
    root = root_of(network.noise * network.pace)
    return lambda: rng.standard_normal((trials, network.rank)) @ root.T


def root_of(covariance: Float[np.ndarray, "rank rank"]) -> Float[np.ndarray, "rank rank"]:
    """Lower-triangular root of a covariance, of one that is singular too.

    >>> root_of(np.array([[4.0, 2.0], [2.0, 1.0]])).round(6) + 0.0
    array([[2., 0.],
           [1., 0.]])
    """
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    values = np.where(values > _NO_VARIANCE * values[-1], values, 0.0)
    upper = np.linalg.qr((vectors * np.sqrt(values)).T).R
    return (upper * np.where(np.diag(upper) < 0, -1.0, 1.0)[:, None]).T
