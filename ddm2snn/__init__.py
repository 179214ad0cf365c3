"""Low-rank rate networks as spiking networks: train, convert, simulate, compare.

Types and verbs, listed in the stub beside this file, are imported where they are first used, so that importing the
package stays cheap.
"""

import lazy_loader

_lazy, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from ddm2snn.base import package_version

        return package_version()
    return _lazy(name)
