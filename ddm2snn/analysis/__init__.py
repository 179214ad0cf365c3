"""What a rate network's dynamics are made of: subspace, symmetry, time reversal and the theory of its flow."""

from ddm2snn.analysis.analyse import Analysis, analyse
from ddm2snn.analysis.cycle import LimitCycle, find_cycle
from ddm2snn.analysis.fixed_points import FixedPoint, find_fixed_points
from ddm2snn.analysis.flow import central_jacobian, network_jacobian, stationary_paths
from ddm2snn.analysis.irreversibility import Estimate, Irreversibility, split_drift
from ddm2snn.analysis.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from ddm2snn.analysis.subspace import Subspace, full_state, recover_subspace
from ddm2snn.analysis.symmetry import LatentParts, SymmetryNorms, energy, latent_parts, symmetry_norms

__all__ = [
    "Analysis", "Estimate", "FixedPoint", "Irreversibility", "LatentParts", "LimitCycle", "LyapunovSpectrum",
    "Subspace", "SymmetryNorms", "analyse", "central_jacobian", "energy", "find_cycle", "find_fixed_points",
    "full_state", "latent_parts", "lyapunov_spectrum", "network_jacobian", "recover_subspace", "split_drift",
    "stationary_paths", "symmetry_norms",
]  # fmt: skip
