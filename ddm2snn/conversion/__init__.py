"""Conversion of rate networks into spiking networks."""

from ddm2snn.conversion.audit import RankAudit, audit
from ddm2snn.conversion.calibration import Calibrated
from ddm2snn.conversion.convert import Conversion, convert
from ddm2snn.conversion.decoders import Static
from ddm2snn.conversion.direct import Direct
from ddm2snn.conversion.kept import Kept
from ddm2snn.conversion.plan import Plan, plan
from ddm2snn.conversion.population import Population
from ddm2snn.conversion.structure import Bounded, OneSign, Sparse, restructure

__all__ = [
    "Bounded",
    "Calibrated",
    "Conversion",
    "Direct",
    "Kept",
    "OneSign",
    "Plan",
    "Population",
    "RankAudit",
    "Sparse",
    "Static",
    "audit",
    "convert",
    "plan",
    "restructure",
]
