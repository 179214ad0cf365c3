"""Kinds of decoders: the ways of finding them."""

from __future__ import annotations

from ddm2snn.conversion.calibration import Calibrated
from ddm2snn.conversion.decoders import Static
from ddm2snn.conversion.direct import Direct
from ddm2snn.conversion.kept import Kept

Decoders = Calibrated | Static | Kept | Direct
"""Any way of finding decoders: a closed union."""
