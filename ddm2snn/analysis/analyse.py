"""The verb analyse: every analysis that applies to a rate network, and their results in numbers and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.analysis.cycle import LimitCycle, find_cycle
from ddm2snn.analysis.fixed_points import FixedPoint, find_fixed_points
from ddm2snn.analysis.flow import network_jacobian, stationary_paths
from ddm2snn.analysis.irreversibility import Irreversibility, split_drift
from ddm2snn.analysis.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from ddm2snn.analysis.subspace import Subspace, full_state, recover_subspace
from ddm2snn.analysis.symmetry import (
    INVERSE_INTEGRALS,
    Projection,
    SymmetryNorms,
    check_projection,
    latent_parts,
    symmetry_norms,
)
from ddm2snn.base.progress import Progress, reported
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.base.threads import one_thread
from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork
from ddm2snn.systems.integration import stable_step

if TYPE_CHECKING:
    from ddm2snn.systems.system import Paths

_EVERY = 0.2  # rate time units between stationary samples
_FULL_STATES = 2000
_STARTS = 400
_HIGHEST_RANK = 3  # up to which the split by time reversal has been checked


@dataclass(frozen=True, eq=False)
class Analysis:
    """Results of all analyses of a rate network; latents and drifts in system units, times in rate time units.

    The `samples` are stationary. `recovery_error` is the largest error of the latents that are read off the recovered
    `subspace`, in standard deviations. What does not apply is None, and `left_out` has the reason under its name.
    """

    network: RateNetwork
    samples: Paths
    subspace: Subspace
    recovery_error: float
    symmetry: SymmetryNorms | None
    projection: Projection
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
                "fingerprint": network.fingerprint, "system": network.origin.system,
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
        parts = latent_parts(self.network, self.samples[:, -1], projection=self.projection)
        drifts = {**vars(parts), "whole": parts.symmetric + parts.antisymmetric}
        rms = {name: float(np.sqrt((drift**2).sum(axis=-1).mean())) for name, drift in drifts.items()}
        return {**self.symmetry.as_json(), "projection": self.projection, "latent_drift": rms}


def analyse(
    network: RateNetwork,
    *,
    projection: Projection = "gradient-flow",
    seed: int = 0,
    progress: Progress | bool = False,
) -> Analysis:
    """Run every analysis that applies to a rate network (arXiv 2602.14885, and the theory of its flow).

    Recovered subspace, symmetric and antisymmetric part with energy, reversible and irreversible drift with
    entropy production, fixed points, limit cycle, Lyapunov spectrum. What does not apply is left out with
    its reason.

    Parameters
    ----------
    network
        A rate network.
    projection
        How the drift is shared between its symmetric and antisymmetric part; see `latent_parts`.
    seed
        Seed of the trajectories that are looked at.
    progress
        Called with the finished share; True shows a bar.

    Returns
    -------
    Analysis
        The parts, and the reasons for those that are left out.

    Raises
    ------
    InputError
        Where this is no rate network, there is no such projection, or trajectories of the network diverge.

    Examples
    --------
    One unit that excites itself has two stable states; without noise nothing is irreversible.

    >>> unit = RateNetwork(
    ...     left_vectors=[[2.0]], right_vectors=[[1.0]], bias=[0.0], diffusion_factor=[[0.0]], input_map=[[1.0]],
    ...     latent_offset=[0.0], latent_scale=[1.0], initial_latent=[[-1.0], [1.0]],
    ... )
    >>> analysis = analyse(unit)
    >>> analysis.fixed_points
    (FixedPoint(kind='stable node', place=[-0.958]), FixedPoint(kind='unstable node', place=[0]), \
FixedPoint(kind='stable node', place=[0.958]))
    >>> sorted(analysis.left_out)
    ['cycle', 'irreversibility']
    """
    if not isinstance(network, RateNetwork):
        raise InputError(
            f"analyse needs a RateNetwork, got {type(network).__name__}. Give the network before conversion."
        )
    check_seed(seed)
    check_projection(projection)
    left_out: dict[str, str] = {}
    with one_thread(), reported(progress, "analyse") as report:
        network, original = network.in_rate_time, network
        samples = stationary_paths(
            network, trials=int(np.clip(256 * 128 // network.units, 64, 256)),  # steps of large networks take longer
            duration=40.0, every=_EVERY, burn_in=5.0, rng=stream(seed, "analysis", "samples"),
            progress=lambda share: report(0.4 * share),
        )  # fmt: skip
        subspace, error = _subspace(network, samples)
        norms = None
        if network.activation in INVERSE_INTEGRALS:
            norms = symmetry_norms(network)
        else:
            left_out["symmetry"] = f"the activation {network.activation!r} has no energy in closed form"
        split = _irreversibility(network, samples, seed, left_out)
        report(0.55)
        points = _fixed_points(network, samples, seed)
        report(0.6)
        cycle = _cycle(network, samples, left_out)
        report(0.7)
        spectrum = _lyapunov(network, samples, lambda share: report(0.7 + 0.3 * share))
        report(1.0)
    return Analysis(
        network=original, samples=samples, subspace=subspace, recovery_error=error,
        symmetry=norms, projection=projection, fixed_points=points, cycle=cycle, irreversibility=split,
        lyapunov=spectrum, left_out=left_out,
    )  # fmt: skip


def _subspace(network: RateNetwork, samples: Paths) -> tuple[Subspace, float]:
    """Recover the subspace from full states; the largest error of latents in standard deviations."""
    latent = samples[:, :: -(-samples.shape[0] * samples.shape[1] // _FULL_STATES)]
    states = full_state(network, latent)
    subspace = recover_subspace(states)
    deviation = np.abs(subspace.latents(network, states) - latent) / network.latent_scale
    return subspace, float(deviation.max())


def _irreversibility(
    network: RateNetwork, samples: Paths, seed: int, left_out: dict[str, str]
) -> Irreversibility | None:
    if network.rank > _HIGHEST_RANK:
        left_out["irreversibility"] = f"checked for up to {_HIGHEST_RANK} latents, the network has {network.rank}"
        return None
    values = np.linalg.eigvalsh(network.diffusion(samples[:, -1]))
    if values[:, 0].min() <= 1e-9 * max(values.max(), 1e-300):
        left_out["irreversibility"] = (
            "the diffusion tensor is singular: a latent without noise has no finite entropy production"
        )
        return None
    return split_drift(network.drift, network.diffusion, samples, rng=stream(seed, "analysis", "irreversibility"))


def _fixed_points(network: RateNetwork, samples: Paths, seed: int) -> tuple[FixedPoint, ...]:
    """Search from half samples, half points spread evenly over their range, and the mean."""
    rng = stream(seed, "analysis", "fixed points")
    flat = samples.reshape(-1, network.rank)
    visited = flat[rng.choice(len(flat), _STARTS // 2, replace=False)]
    anywhere = rng.uniform(flat.min(axis=0), flat.max(axis=0), (_STARTS // 2, network.rank))
    starts = np.concatenate([visited, anywhere, flat.mean(axis=0, keepdims=True)])
    return find_fixed_points(network.drift, starts, jacobian=network_jacobian(network))


def _lyapunov(network: RateNetwork, samples: Paths, progress: Progress) -> LyapunovSpectrum:
    starts = samples[: int(np.clip(256 * 64 // network.units, 16, 64)), -1]
    # a Runge-Kutta step of order 4 is far more accurate than the Heun step that this is chosen for
    dt = stable_step(network.drift, network.initial_latent, tolerance=1e-3)
    return lyapunov_spectrum(
        network.drift, starts, dt=dt, duration=60.0, burn_in=20.0, jacobian=network_jacobian(network), progress=progress
    )


def _cycle(network: RateNetwork, samples: Paths, left_out: dict[str, str]) -> LimitCycle | None:
    if network.rank == 1:
        left_out["cycle"] = "one latent cannot go round"
        return None
    cycle = find_cycle(network.drift, samples[0, -1], jacobian=network_jacobian(network))
    if cycle is None:
        left_out["cycle"] = "the noise-free flow from a stationary state ends on no periodic orbit"
    return cycle
