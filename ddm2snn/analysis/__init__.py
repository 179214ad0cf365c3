"""What a rate network's dynamics are made of: subspace, symmetry, time reversal and the theory of its flow."""

from ddm2snn.analysis.analyse import analyse
from ddm2snn.analysis.analysis import Analysis
from ddm2snn.analysis.cycle import LimitCycle, find_cycle
from ddm2snn.analysis.entropy_production import entropy_production_along
from ddm2snn.analysis.estimate import Estimate
from ddm2snn.analysis.fixed_points import FixedPoint, find_fixed_points
from ddm2snn.analysis.irreversibility import Irreversibility, split_drift
from ddm2snn.analysis.jacobian import central_jacobian, network_jacobian
from ddm2snn.analysis.linear import LinearIrreversibility, linear_irreversibility
from ddm2snn.analysis.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from ddm2snn.analysis.stationary import stationary_paths
from ddm2snn.analysis.subspace import AffineMap, Subspace, full_state, recover_subspace
from ddm2snn.analysis.symmetry import (
    LatentParts,
    SymmetryNorms,
    antisymmetric_product,
    energy,
    latent_parts,
    state_drift,
    symmetric_drift,
    symmetric_product,
    symmetry_norms,
)

__all__ = [
    "AffineMap", "Analysis", "Estimate", "FixedPoint", "Irreversibility", "LatentParts", "LimitCycle",
    "LinearIrreversibility", "LyapunovSpectrum", "Subspace", "SymmetryNorms", "analyse", "antisymmetric_product",
    "central_jacobian", "energy", "entropy_production_along", "find_cycle", "find_fixed_points", "full_state",
    "latent_parts", "linear_irreversibility", "lyapunov_spectrum", "network_jacobian", "recover_subspace",
    "split_drift", "state_drift", "stationary_paths", "symmetric_drift", "symmetric_product", "symmetry_norms",
]  # fmt: skip
