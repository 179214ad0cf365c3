"""Conversion of rate networks into spiking networks."""

from ddm2snn.conversion.again import solve_again
from ddm2snn.conversion.convert import Conversion, convert
from ddm2snn.conversion.damage import damaged
from ddm2snn.conversion.decoders import DECODERS, Calibrated, Decoders, Direct, Static, TrainedReadout, find_decoders
from ddm2snn.conversion.diagnostics import Diagnostics, RankAudit, audit
from ddm2snn.conversion.ensemble import Ensemble
from ddm2snn.conversion.plan import Plan, plan
from ddm2snn.conversion.population import Population
from ddm2snn.conversion.structure import Bounded, OneSign, Sparse, restructure

__all__ = [
    "DECODERS", "Bounded", "Calibrated", "Conversion", "Decoders", "Diagnostics", "Direct", "Ensemble", "OneSign",
    "Plan", "Population", "RankAudit", "Sparse", "Static", "TrainedReadout", "audit", "convert", "damaged",
    "find_decoders", "plan", "restructure", "solve_again",
]  # fmt: skip
