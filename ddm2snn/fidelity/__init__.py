"""Is a spiking network the same stochastic process as its rate network? Distances beside their floor."""

from ddm2snn.fidelity.compare import compare
from ddm2snn.fidelity.report import FidelityReport, Measure

__all__ = ["FidelityReport", "Measure", "compare"]
