"""One matrix for each of many trials as Nengo's transform, stored once."""
# pyright: reportAttributeAccessIssue=false, reportReturnType=false
# nengo declares arrays by descriptors with a sentinel type

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from nengo.builder import Builder
from nengo.builder.operator import DotInc, Reset
from nengo.builder.signal import Signal
from nengo.exceptions import BuildError
from nengo.params import IntParam, NdarrayParam
from nengo.transforms import Transform

if TYPE_CHECKING:
    from jaxtyping import Float
    from nengo.builder import Model


class Repeated(Transform):
    """The same matrix for each trial, and nothing between trials.

    What `nengo.Sparse` makes of a block-diagonal matrix, to the last bit, without a copy of the matrix for every
    trial, and in a time that falls with the number of zeros in the input: spikes are few.

    Parameters
    ----------
    factor
        The matrix, shape (row, column).
    trials
        Number of its blocks: the transform takes (trials x column) values to (trials x row).
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


@numba.njit(cache=True)
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
