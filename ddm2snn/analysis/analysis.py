"""Results of all analyses of a rate network: numbers and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.analysis.cycle import LimitCycle
from ddm2snn.analysis.fixed_points import FixedPoint
from ddm2snn.analysis.irreversibility import Irreversibility
from ddm2snn.analysis.lyapunov import LyapunovSpectrum
from ddm2snn.analysis.subspace import Subspace
from ddm2snn.analysis.symmetry import SymmetryNorms, latent_parts
from ddm2snn.network import RateNetwork

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Analysis:
    """Results of all analyses of a rate network; latents and drifts in system units, times in rate time units.

    Parameters
    ----------
    network
        The network.
    samples
        Stationary latents, shape (trial, time, rank).
    subspace, recovery_error
        Affine subspace recovered from full states, and the largest error of the latents that are read off it, in
        standard deviations.
    symmetry
        Norms of the parts of W; None for activations without a closed form.
    fixed_points
        Zeros of the drift.
    cycle, irreversibility, lyapunov
        None where there is none; `left_out` says why.
    left_out
        Reasons by the name of the analysis.
    """

    network: RateNetwork
    samples: Float[np.ndarray, "trial time rank"]
    subspace: Subspace
    recovery_error: float
    symmetry: SymmetryNorms | None
    fixed_points: tuple[FixedPoint, ...]
    cycle: LimitCycle | None
    irreversibility: Irreversibility | None
    lyapunov: LyapunovSpectrum | None
    left_out: Mapping[str, str]

    def __repr__(self) -> str:
        network = self.network
        return (
            f"Analysis(units={network.units}, rank={network.rank}, fixed_points={len(self.fixed_points)}, "
            f"left_out=[{', '.join(self.left_out)}],\n         cycle={self.cycle}, lyapunov={self.lyapunov})"
        )

    def as_json(self) -> dict[str, Any]:
        """All numbers as JSON values; what was left out is null and has its reason in `left_out`."""
        network, split = self.network, self.irreversibility
        deviations = self.subspace.deviations[: self.subspace.rank]
        return {
            "network": {
                "fingerprint": network.fingerprint, "system": network.provenance.get("system"),
                "units": network.units, "rank": network.rank, "activation": network.activation,
            },
            "subspace": {
                "rank": self.subspace.rank, "deviations": deviations.tolist(), "recovery_error": self.recovery_error,
            },
            "symmetry": self._symmetry(),
            "entropy_production": split.entropy_production.as_json() if split else None,
            "fixed_points": [point.as_json() for point in self.fixed_points],
            "cycle": self.cycle.as_json() if self.cycle else None,
            "lyapunov": self.lyapunov.as_json() if self.lyapunov else None,
            "left_out": dict(self.left_out),
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Results in words, a line each."""
        kinds = [point.kind for point in self.fixed_points]
        points = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
        lines = [f"subspace: rank {self.subspace.rank} of {self.network.units} units"]
        if self.symmetry:
            share = self.symmetry.antisymmetric_share
            lines.append(f"symmetry: {100 * share:.3g} % of the squared norm of W is antisymmetric")
        if self.irreversibility:
            rate = self.irreversibility.entropy_production
            lines.append(
                f"entropy production: {rate.value:.4g} per time unit, 95 % interval {rate.low:.4g} to {rate.high:.4g}"
            )
        lines.append(f"fixed points: {points or 'none found'}")
        if self.cycle:
            lines.append(f"limit cycle: period {self.cycle.period:.6g} time units")
        if self.lyapunov:
            pairs = zip(self.lyapunov.exponents, self.lyapunov.standard_error, strict=True)
            lines.append("Lyapunov exponents: " + ", ".join(f"{v:.3g} ± {e:.1g}" for v, e in pairs))
        return [*lines, *(f"left out, {name}: {reason}" for name, reason in self.left_out.items())]

    def _symmetry(self) -> dict[str, Any] | None:
        if self.symmetry is None:
            return None
        parts = latent_parts(self.network, self.samples[:, -1])
        return {
            **self.symmetry.as_json(),
            "latent_drift": {
                "symmetric": _rms(parts.symmetric), "antisymmetric": _rms(parts.antisymmetric),
                "whole": _rms(parts.symmetric + parts.antisymmetric),
            },
        }  # fmt: skip


def _rms(values: Float[np.ndarray, "sample rank"]) -> float:
    return float(np.sqrt((values**2).sum(axis=-1).mean()))
