"""Functions as users write them: of one point, as f(t, z), with lists or tensors; errors show the user's own line."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float

_TRIED = 8  # points at which a function of one point is tried out
_MOMENTS = (0.37, 11.0)  # at which an autonomous drift has to be what it is at time zero
_NOT_OWN = ("site-packages", "dist-packages", "numpy/", "<__array_function__")


def values_of(
    function: Callable[[Any], Any], what: str, latent: Float[np.ndarray, "... rank"], shape: tuple[int, ...]
) -> Float[np.ndarray, "..."]:
    """Values of a user's function of arrays, which is given a read-only array; a failure names the line in it."""
    state = np.asarray(latent, dtype=np.float64).view()
    state.setflags(write=False)
    try:
        with np.errstate(all="ignore"):
            values = _numbers(function(state))
    except InputError:  # of a function that this one calls, in its own words already
        raise
    except Exception as error:
        raise InputError(f"{what} failed on an array {state.shape}: {_described(error)} {_advice(error)}") from error
    if values.shape != shape:
        raise InputError(
            f"{what} of an array {state.shape} has shape {values.shape}. It must act on arrays (..., rank) and return "
            f"one of shape {shape} here. A function of one point becomes one of arrays by System.from_pointwise."
        )
    return values


def of_points(function: Callable[..., Any], rank: int) -> Callable[..., Float[np.ndarray, "... rank"]]:
    """Function of arrays (..., rank), and of times of shape (...,), from a function f(t, z) of one point.

    Where f gives the same for columns of many points as for each, it is called once for all of them.
    """
    rng = np.random.default_rng(0)
    points, times = rng.standard_normal((_TRIED, rank)), rng.uniform(0.0, 1.0, _TRIED)

    def each(time: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.array([_numbers(function(t, row)).reshape(rank) for t, row in zip(time, z, strict=True)])

    def at_once(time: np.ndarray, z: np.ndarray) -> np.ndarray:
        columns = function(time, z.T)
        if not hasattr(columns, "shape"):  # a list may mix numbers and arrays
            columns = np.stack([np.broadcast_to(_numbers(part), len(z)) for part in columns])
        return _numbers(columns).reshape(rank, len(z)).T

    evaluate = each
    # a function of one point may fail on columns in any way
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        if np.allclose(at_once(times, points), each(times, points), rtol=1e-12, atol=0, equal_nan=True):
            evaluate = at_once

    def of_arrays(z: np.ndarray, time: np.ndarray | float = 0.0) -> np.ndarray:
        flat = z.reshape(-1, rank)
        values = evaluate(np.broadcast_to(np.asarray(time, dtype=np.float64), z.shape[:-1]).reshape(-1), flat)
        return values.reshape(z.shape)

    return of_arrays


def with_time(function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Function f(t, z), from one of SciPy's convention or from f(z), which is told by the number of its arguments."""
    try:
        required = [
            parameter
            for parameter in inspect.signature(getattr(function, "py_func", function)).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):  # a builtin, which tells no signature
        required = [None]
    if len(required) == 2:
        return function
    return lambda time, z: function(z)


def refuse_dependence_on_time(function: Callable[[Any, Any], Any], rank: int, name: str) -> None:
    """Refuse a drift f(t, z) that is another at another time."""
    rng = np.random.default_rng(1)
    for point in rng.standard_normal((_TRIED, rank)):
        first, *others = (
            values_of(lambda z, time=time: function(time, z), f"System {name}: drift", point, (rank,))
            for time in (0.0, *_MOMENTS)
        )
        if any(not np.array_equal(first, other, equal_nan=True) for other in others):
            raise InputError(
                f"System {name}: the drift depends on time, and a system must not. If it is periodic, use "
                "ddm2snn.forced(f, period=...), which adds its phase as two latents."
            )


def _numbers(values: object) -> Float[np.ndarray, "..."]:
    """What a user's function returned as numbers: arrays, lists and tensors of torch."""
    if (detach := getattr(values, "detach", None)) is not None:
        values = detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def _described(error: Exception) -> str:
    """The error, and the last line of the user's own code that it came through."""
    lines = str(error).splitlines() or [""]
    text = f"{type(error).__name__}: {lines[0][:200].rstrip('.')}"
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not any(part in frame.filename for part in _NOT_OWN)
    ]
    return f"{text}, in line {own[-1].lineno} of {own[-1].filename}: {own[-1].line}." if own else f"{text}."


def _advice(error: Exception) -> str:
    if "read-only" in str(error):
        return "It must not change its argument: return a new array, made for example with np.stack."
    return "It must act on arrays (..., rank), as z[..., 0] does. For one of single points use System.from_pointwise."
