"""Networks from elsewhere, networks to everywhere; imported where used, since the command line loads this package."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddm2snn.exchange.incoming import Mapping, import_network
    from ddm2snn.exchange.outgoing import Exported, Nir, export

_HOME_OF = {
    "Exported": "outgoing",
    "Mapping": "incoming",
    "Nir": "outgoing",
    "export": "outgoing",
    "import_network": "incoming",
}

__all__ = ["Exported", "Mapping", "Nir", "export", "import_network"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ddm2snn.exchange' has no attribute {name!r}")
    return getattr(import_module(f"ddm2snn.exchange.{_HOME_OF[name]}"), name)
