"""Repair of nengo-loihi 1.1.0 under NumPy 2: ``np.array(x, copy=False)`` there means "copy where needed"."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

REPAIRED_VERSION = "1.1.0"
_MODULES = ("block", "neurons")  # the two that say copy=False


class _NumpyOfBefore:
    """NumPy, but for `array`: ``copy=False`` is NumPy 2's ``copy=None``."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever NumPy has
        return getattr(np, name)

    @staticmethod
    def array(*args: Any, copy: bool | None = True, **options: Any) -> np.ndarray:  # noqa: ANN401
        """`numpy.array` of before NumPy 2."""
        return np.array(*args, copy=True if copy else None, **options)


def needed(nengo_loihi: ModuleType) -> bool:
    """Whether these versions need the repair."""
    return nengo_loihi.__version__ == REPAIRED_VERSION and int(np.__version__.split(".")[0]) >= 2


@contextlib.contextmanager
def repaired() -> Iterator[ModuleType]:
    """Yield nengo_loihi, repaired where that is needed, and leave its modules as they were."""
    import importlib

    with warnings.catch_warnings():
        # nengo-loihi 1.1.0 knows Nengo up to 3.2 and says so once; with 4.1 it runs, which the tests hold it to
        warnings.filterwarnings("ignore", message="This version of `nengo_loihi` has not been tested")
        import nengo_loihi

    modules = [importlib.import_module(f"nengo_loihi.{name}") for name in _MODULES] if needed(nengo_loihi) else []
    originals = [module.np for module in modules]  # pyright: ignore[reportAttributeAccessIssue] - its name for NumPy
    for module in modules:
        module.np = _NumpyOfBefore()  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield nengo_loihi
    finally:
        for module, original in zip(modules, originals, strict=True):
            module.np = original  # pyright: ignore[reportAttributeAccessIssue]
