"""What Nengo lacks: its LIF in few passes, other neuron models, and one matrix for each of many trials."""
# pyright: reportArgumentType=false, reportIncompatibleMethodOverride=false, reportOperatorIssue=false
# pyright: reportCallIssue=false, reportIndexIssue=false, reportAttributeAccessIssue=false, reportReturnType=false
# nengo declares numbers by descriptors with a sentinel type, and its own subclasses take more state than their base

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import nengo
import numpy as np
from nengo.builder import Builder
from nengo.builder.operator import DotInc, Reset
from nengo.builder.signal import Signal
from nengo.dists import Choice, Uniform
from nengo.exceptions import BuildError
from nengo.neurons import NeuronType
from nengo.params import IntParam, NdarrayParam, NumberParam
from nengo.transforms import Transform

from ddm2snn.base.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float
    from nengo.builder import Model

    from ddm2snn.neuron import NeuronModel

_HALVINGS = 52  # of a step, to find a crossing in it to the last bit


def neuron_type(neuron: NeuronModel, voltage: Float[np.ndarray, "trial neuron"], dt_s: float) -> NeuronType:
    """Nengo's type for a neuron model whose neurons start at given voltages, one trial after the other."""
    start = {"initial_state": {"voltage": voltage.ravel()}}
    return _TYPES[neuron.name](neuron, len(voltage), dt_s, start)


def _lif(neuron: Any, trials: int, dt_s: float, start: dict[str, Any]) -> NeuronType:  # noqa: ANN401 - see _TYPES
    if neuron.plain_lif:
        return CompiledLIF(tau_rc=neuron.tau_membrane_s, tau_ref=neuron.refractory_s, **start)
    return CompiledLIF(np.tile(neuron.tau_membrane_s, trials), tau_ref=neuron.refractory_s, **start)


def _rectified_linear(neuron: Any, trials: int, dt_s: float, start: dict[str, Any]) -> NeuronType:  # noqa: ANN401
    return OneSpikeRectifiedLinear(neuron.tau_membrane_s, **start)


def _adaptive(neuron: Any, trials: int, dt_s: float, start: dict[str, Any]) -> NeuronType:  # noqa: ANN401
    return AdaptiveThresholdLIF(
        tau_threshold=neuron.tau_threshold_s, jump=neuron.threshold_jump, tau_rc=neuron.tau_membrane_s,
        tau_ref=neuron.refractory_s, **start,
    )  # fmt: skip


def _loihi(neuron: Any, trials: int, dt_s: float, start: dict[str, Any]) -> NeuronType:  # noqa: ANN401
    return SteppedLIF(
        neuron.decay(dt_s), neuron.refractory_steps(dt_s), tau_rc=neuron.tau_membrane_s, tau_ref=neuron.refractory_s,
        **start,
    )  # fmt: skip


_TYPES: dict[str, Callable[[Any, int, float, dict[str, Any]], NeuronType]] = {
    "lif": _lif,
    "rectified-linear": _rectified_linear,
    "adaptive-lif": _adaptive,
    "loihi-lif": _loihi,
}
"""Makers of Nengo's types by the name of the neuron model."""


class CompiledLIF(nengo.LIF):
    """Nengo's LIF to the last bit, in few passes over the neurons where Nengo's step takes some twenty.

    NumPy takes the exponentials and logarithms here as well, since those of a compiled loop may differ in the last bit,
    but only for neurons that leave their refractory period or fire in this step. `taus` are the membrane time constants
    of the neurons in seconds; None where all have `tau_rc`.
    """

    taus = NdarrayParam("taus", shape=("*",), optional=True)

    def __init__(self, taus: np.ndarray | None = None, **of_lif: Any) -> None:  # noqa: ANN401
        super().__init__(**of_lif)
        self.taus = taus

    def step(
        self, dt: float, J: np.ndarray, output: np.ndarray, voltage: np.ndarray, refractory_time: np.ndarray
    ) -> None:
        """Go on by one step; `refractory_time` is, as in Nengo's LIF, one step longer right after a spike."""
        taus, lost = _shared(dt, self.tau_rc) if self.taus is None else (self.taus, np.expm1(-dt / self.taus))
        late, exponents = _charge(dt, taus, lost, J, voltage, refractory_time)
        height = self.amplitude / dt
        fired, ratios = _fire(height, self.min_voltage, late, np.expm1(exponents), J, voltage, output)
        _reset(dt, taus, self.tau_ref, fired, np.log1p(ratios), voltage, refractory_time)


@functools.cache
def _shared(dt: float, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """Time constant of all neurons, and minus the share that a voltage loses in a step, as arrays of one number."""
    return np.full(1, tau), np.expm1(np.full(1, -dt / tau))


@compiled()
def _charge(
    dt: float, taus: np.ndarray, lost: np.ndarray, J: np.ndarray, voltage: np.ndarray, refractory_time: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bring neurons that are free for the whole step to its end; return those free for a part, with part / -tau."""
    shared, of_all = len(lost) == 1, lost[0]
    for j in range(len(voltage)):
        wait = refractory_time[j] - dt
        refractory_time[j] = wait
        share = of_all if shared else lost[j]
        voltage[j] -= (J[j] - voltage[j]) * (share if wait <= 0.0 else 0.0)
    late, exponents, count = np.empty(len(voltage), np.int64), np.empty(len(voltage)), 0
    for j in range(len(voltage)):
        wait = refractory_time[j]
        if wait > 0.0 and wait < dt:
            late[count] = j
            exponents[count] = -(dt - wait) / (taus[0] if shared else taus[j])
            count += 1
    return late[:count], exponents[:count]


@compiled()
def _fire(
    height: float, floor: float, late: np.ndarray, lost: np.ndarray, J: np.ndarray, voltage: np.ndarray,
    output: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Bring late neurons to the end of the step, write spikes and the floor; return who fired, with its overshoot."""
    for i in range(len(late)):
        j = late[i]
        voltage[j] -= (J[j] - voltage[j]) * lost[i]
    for j in range(len(voltage)):
        output[j] = height if voltage[j] > 1.0 else 0.0
        voltage[j] = voltage[j] if voltage[j] >= floor else floor
    fired, ratios, count = np.empty(len(voltage), np.int64), np.empty(len(voltage)), 0
    for j in range(len(voltage)):
        if voltage[j] > 1.0:
            fired[count] = j
            ratios[count] = -(voltage[j] - 1.0) / (J[j] - 1.0)
            count += 1
    return fired[:count], ratios[:count]


@compiled()
def _reset(
    dt: float, taus: np.ndarray, refractory_s: float, fired: np.ndarray, logarithms: np.ndarray, voltage: np.ndarray,
    refractory_time: np.ndarray,
) -> None:  # fmt: skip
    """Reset neurons that fired, refractory from their crossing on, which is minus tau times a logarithm ago."""
    for i in range(len(fired)):
        j = fired[i]
        voltage[j] = 0.0
        refractory_time[j] = refractory_s + (dt + (taus[0] if len(taus) == 1 else taus[j]) * logarithms[i])


class OneSpikeRectifiedLinear(nengo.SpikingRectifiedLinear):
    """As `SpikingRectifiedLinear`, with a time constant in seconds, and with one spike at most in each step."""

    state = {"voltage": Uniform(low=0, high=1)}  # noqa: RUF012 - Nengo's way to declare it, here and below
    tau = NumberParam("tau", low=0, low_open=True)

    def __init__(self, tau: float = 0.02, initial_state: dict[str, Any] | None = None) -> None:
        super().__init__(initial_state=initial_state)
        self.tau = tau

    def step(self, dt: float, J: np.ndarray, output: np.ndarray, voltage: np.ndarray) -> None:
        """Go on by one step."""
        voltage += np.maximum(J, 0.0) * (dt / self.tau)
        fired = voltage > 1.0
        output[:] = fired * (self.amplitude / dt)
        voltage[fired] = np.minimum(voltage[fired] - 1.0, 1.0)


class AdaptiveThresholdLIF(nengo.LIF):
    """LIF with a threshold that jumps at each spike and decays; Nengo's `AdaptiveLIF` lowers the current instead."""

    state = {"voltage": Uniform(low=0, high=1), "refractory_time": Choice([0]), "raised": Choice([0])}  # noqa: RUF012
    tau_threshold = NumberParam("tau_threshold", low=0, low_open=True)
    jump = NumberParam("jump", low=0)

    def __init__(self, tau_threshold: float = 0.1, jump: float = 0.05, **of_lif: Any) -> None:  # noqa: ANN401
        super().__init__(**of_lif)
        self.tau_threshold = tau_threshold
        self.jump = jump

    def step(
        self, dt: float, J: np.ndarray, output: np.ndarray, voltage: np.ndarray, refractory_time: np.ndarray,
        raised: np.ndarray,
    ) -> None:  # fmt: skip
        """Go on by one step; `refractory_time` is, as in Nengo's LIF, one step longer right after a spike."""
        refractory_time -= dt
        free = (dt - refractory_time).clip(0.0, dt)
        start, before = voltage.copy(), raised.copy()
        voltage -= (J - voltage) * np.expm1(-free / self.tau_rc)
        np.maximum(voltage, self.min_voltage, out=voltage)
        raised *= np.exp(-dt / self.tau_threshold)
        fired = voltage > 1.0 + raised
        output[:] = fired * (self.amplitude / dt)
        crossing = self._crossing(dt, J[fired], start[fired], before[fired], free[fired])
        voltage[fired] = 0.0
        refractory_time[fired] = self.tau_ref + crossing
        raised[fired] += self.jump * np.exp(-(dt - crossing) / self.tau_threshold)

    def _crossing(
        self, dt: float, J: np.ndarray, voltage: np.ndarray, raised: np.ndarray, free: np.ndarray
    ) -> np.ndarray:
        """Time in the step at which the voltage meets the threshold, by halving."""
        lower, upper = dt - free, np.full_like(free, dt)
        for _ in range(_HALVINGS):
            middle = 0.5 * (lower + upper)
            reached = voltage - (J - voltage) * np.expm1(-(middle - (dt - free)) / self.tau_rc)
            above = reached > 1.0 + raised * np.exp(-middle / self.tau_threshold)
            lower, upper = np.where(above, lower, middle), np.where(above, middle, upper)
        return upper


class SteppedLIF(nengo.LIF):
    """LIF in whole steps, as on Loihi; `decay` is the share of the voltage that is lost in one step."""

    decay = NumberParam("decay", low=0, high=1, low_open=True)
    refractory_steps = IntParam("refractory_steps", low=0)

    def __init__(self, decay: float = 0.05, refractory_steps: int = 2, **of_lif: Any) -> None:  # noqa: ANN401
        super().__init__(**of_lif)
        self.decay = decay
        self.refractory_steps = refractory_steps

    def step(
        self, dt: float, J: np.ndarray, output: np.ndarray, voltage: np.ndarray, refractory_time: np.ndarray
    ) -> None:
        """Go on by one step; `refractory_time` counts steps here."""
        voltage += (J - voltage) * self.decay
        np.maximum(voltage, self.min_voltage, out=voltage)
        voltage[refractory_time > 0] = 0.0
        fired = voltage > 1.0
        output[:] = fired * (self.amplitude / dt)
        voltage[fired] = 0.0
        refractory_time -= refractory_time > 0
        refractory_time[fired] = self.refractory_steps


class Repeated(Transform):
    """The same matrix for each trial, and nothing between trials: (trials x column) values to (trials x row).

    What `nengo.Sparse` makes of a block-diagonal matrix, to the last bit, without a copy of the matrix for every
    trial, and in a time that falls with the number of zeros in the input: spikes are few.
    """

    factor = NdarrayParam("factor", shape=("*", "*"))
    trials = IntParam("trials", low=1)

    def __init__(self, factor: Float[np.ndarray, "row column"], trials: int) -> None:
        super().__init__()
        self.factor = factor
        self.trials = trials

    def sample(self, rng: Any = np.random) -> Float[np.ndarray, "row column"]:  # noqa: ANN401
        """The matrix."""
        return self.factor

    @property
    def size_in(self) -> int:
        """Columns of all trials."""
        return self.trials * self.factor.shape[1]

    @property
    def size_out(self) -> int:
        """Rows of all trials."""
        return self.trials * self.factor.shape[0]


class _RepeatedDotInc(DotInc):
    """`DotInc` whose matrix, given by columns, serves one stretch of its vectors after the other."""

    def make_step(self, signals: Any, dt: float, rng: Any) -> Callable[[], None]:  # noqa: ANN401
        """Add to each trial's values what its matrix makes of its input."""
        columns, x, y = (signals[signal] for signal in (self.A, self.X, self.Y))

        def step() -> None:
            _add(columns, x, y)

        return step


@Builder.register(Repeated)
def _build(
    model: Model,
    transform: Repeated,
    sig_in: Signal,
    decoders: np.ndarray | None = None,
    encoders: np.ndarray | None = None,
    rng: Any = np.random,  # noqa: ANN401
) -> tuple[Signal, Signal]:
    """Operators of the transform: what it puts out, and its weights."""
    if decoders is not None or encoders is not None:
        raise BuildError("A repeated matrix connects neurons and nodes, not decoded values.")
    weighted = Signal(shape=(transform.size_out,), name=f"{transform}.weighted")
    columns = Signal(np.ascontiguousarray(transform.sample(rng).T), name=f"{transform}.weights", readonly=True)
    model.add_op(Reset(weighted))
    model.add_op(_RepeatedDotInc(columns, sig_in, weighted, reshape=False, tag=f"{transform}.apply_weights"))
    return weighted, columns


@compiled()
def _add(columns: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Sums in the order of the columns, as SciPy's of a sparse row are; zeros of the input add nothing."""
    count, rows = columns.shape
    for trial in range(len(x) // count):
        first = trial * rows
        for column in range(count):
            value = x[trial * count + column]
            if value != 0.0:
                for row in range(rows):
                    y[first + row] += columns[column, row] * value
