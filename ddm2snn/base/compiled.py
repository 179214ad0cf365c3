"""Functions that Numba compiles once and keeps on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

F = TypeVar("F", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[F], F]:  # noqa: ANN401 - those of numba.njit
    """Compile a function as `numba.njit` does, with a cache on disk that outlives an upgrade of this package.

    Numba's own looks at the file of the function alone. It keeps the machine code of a function that it calls from
    another file, which may have changed, and fails where its index names a class that there is no longer.

    Examples
    --------
    >>> @compiled(fastmath=True)
    ... def twice(x: float) -> float:
    ...     return 2 * x
    >>> twice(1.5)
    3.0
    """

    def decorate(function: F) -> F:
        dispatcher: Any = numba.njit(**options)(function)
        with contextlib.suppress(RuntimeError, OSError):  # no folder can be written to, or the function has no file
            dispatcher._cache = _Cache(function)
        return dispatcher

    return decorate


class _Cache(FunctionCache):
    """Cache that is fresh while all sources of a function are, and that is empty where it cannot be used."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamps = [(str(path), path.stat().st_mtime, path.stat().st_size) for path in sorted(_sources(function))]
        self._cache_file._source_stamp = stamps

    def load_overload(self, sig: Any, target_context: Any) -> Any:  # noqa: ANN401 - types of Numba's
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 - what is unpickled may fail in any way
            self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ANN401
        with contextlib.suppress(OSError):  # a full disk, for one
            super().save_overload(sig, data)


def _sources(function: Callable[..., Any]) -> set[Path]:
    """Files of a function and of the compiled functions that it calls by their names."""
    sources = {Path(function.__code__.co_filename)}
    for name in function.__code__.co_names:
        called = function.__globals__.get(name)
        if isinstance(called, Dispatcher):
            sources |= _sources(called.py_func)
    return sources
