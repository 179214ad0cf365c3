"""Networks from elsewhere."""

from ddm2snn.exchange.incoming import Mapping, import_network

__all__ = ["Mapping", "import_network"]
