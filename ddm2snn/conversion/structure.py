"""Structure on request: decoders that are sparse, bounded or of one sign for each neuron, and what that costs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ddm2snn.base.arrays import check_positive
from ddm2snn.base.progress import Progress, no_progress
from ddm2snn.base.randomness import check_seed, stream
from ddm2snn.conversion.audit import audit
from ddm2snn.conversion.calibration import Calibrated, NormalEquations, driven
from ddm2snn.conversion.convert import Conversion
from ddm2snn.conversion.decoders import Clockwork
from ddm2snn.conversion.noise_budget import NoiseBudget, measure_budget
from ddm2snn.conversion.placing import stationary_states
from ddm2snn.conversion.population import Encoding
from ddm2snn.conversion.requests import check_convertible
from ddm2snn.errors import InputError
from ddm2snn.network import RateNetwork, SpikingNetwork, to_internal

if TYPE_CHECKING:
    from jaxtyping import Float

_RIDGE = 1e-6  # relative to the mean square of the filtered spike trains, as calibrated decoders usually take it


@dataclass(frozen=True)
class Sparse:
    """Only a share of the decoders is kept in each latent: those that carry most; the others are zero.

    Parameters
    ----------
    kept
        Share of each row of D that stays, above 0 and up to 1: the largest magnitudes, each times the root mean
        square of its neuron's filtered spike train. What stays is solved for again.
    """

    kept: float = 0.5

    def __post_init__(self) -> None:
        check_positive("Sparse", kept=self.kept)
        if self.kept > 1:
            raise InputError(f"Sparse.kept is a share above 0 and up to 1, got {self.kept:g}. Use 0.5 for half.")


@dataclass(frozen=True)
class Bounded:
    """No decoder is larger than a multiple of the root mean square of the free ones of its latent.

    Parameters
    ----------
    largest
        The multiple.
    """

    largest: float = 2.0

    def __post_init__(self) -> None:
        check_positive("Bounded", largest=self.largest)


@dataclass(frozen=True)
class OneSign:
    r"""Dale's law on the factors: each neuron's decoders are all positive or all negative.

    The law is about a column of the recurrent matrix, :math:`W_{ij} = E_i \cdot D_j`. Here it could hold only for
    silent columns: encoders of on and off neurons point both ways, so that for every :math:`D_j` some
    :math:`E_i \cdot D_j` is positive and some negative. What can be had at rank k is the law for the latents, which
    each neuron then only excites or only inhibits (a population between D and E may relay them). A neuron gets
    the sign of the sum of its free decoders, each relative to the root mean square of its latent.
    """


Structure = Sparse | Bounded | OneSign
"""Any structure of decoders: a closed union."""


def restructure(
    rate: RateNetwork,
    network: SpikingNetwork,
    structure: Structure,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Conversion:
    r"""Solve for the decoders of a converted network again, within a structure, and tell the price.

    .. math:: \min_D \langle |D \tilde r - \tilde y|^2 \rangle + \lambda |D|^2 \quad \text{within the structure}

    along trajectories of the rate network, as `ddm2snn.conversion.calibration.calibrate`. Encoders, biases and with
    them :math:`\Gamma` stay; the recurrent matrix stays E D and of rank k.

    Parameters
    ----------
    rate
        The rate network that `network` came from.
    network
        A converted network.
    structure
        What decoders must be like.
    seed
        Seed of the trajectories.
    progress
        Called with the finished share.

    Returns
    -------
    conversion
        The network, and as diagnostics the audit, what of the structure was found, and ``drift_error`` and
        ``spikes_over_target`` as pairs ``before`` (the decoders that `network` has) and ``after``: the price.

    Raises
    ------
    InputError
        Where `network` comes from another rate network or has another origin of its latents, as `Kept` gives it, and
        where the structure takes a latent from the recurrent matrix.
    """
    check_seed(seed)
    check_convertible(rate)
    _check(rate, network, structure)
    if network.diffusion_decoders is not None:
        raise InputError(
            "This network's diffusion depends on the state, decoded by its neurons, which restructure does not solve "
            "for again. Restructure networks of constant diffusion."
        )
    encoding = Encoding(network.encoders, network.bias, network.unit)
    clockwork = Clockwork(network.time_unit_s, network.dt_s, network.spike_timing)
    states = to_internal(rate, stationary_states(rate, seed))
    equations = _equations(rate, network, encoding, clockwork, states, stream(seed, "structure", "drive"), progress)
    decoders = _solve(equations, structure).T
    before, after = (
        measure_budget(rate, encoding, network.neuron, clockwork, given, states, stream(seed, "structure", "budget"))
        for given in (network.decoders, decoders)
    )
    made = dataclasses.replace(network, decoders=decoders, diffusion_factor=after.injected_factor)
    report = audit(made)
    if report.rank < network.rank:
        raise InputError(
            f"{structure!r} leaves a recurrent matrix of rank {report.rank} where {network.rank} latents need "
            f"{network.rank}. Ask for less structure."
        )
    diagnostics = {
        "rank_audit": dataclasses.asdict(report),
        "structure": {"kind": type(structure).__name__.lower(), **dataclasses.asdict(structure)},
        "zero_share": float((decoders == 0).mean()),
        "excitatory_share": float((decoders.sum(axis=0) > 0).mean()),
        "largest_over_rms": float((np.abs(decoders).max(axis=1) / np.sqrt((decoders**2).mean(axis=1))).max()),
        "before": _price(before),
        "after": _price(after),
    }
    progress(1.0)
    provenance = {**network.provenance, "structure": diagnostics}
    return Conversion(dataclasses.replace(made, provenance=provenance), diagnostics)


def _check(rate: RateNetwork, network: object, structure: object) -> None:
    if not isinstance(network, SpikingNetwork):
        raise InputError(f"restructure needs a SpikingNetwork, got a {type(network).__name__}. Convert first.")
    if not isinstance(structure, Structure):
        raise InputError(f"restructure needs a Sparse, Bounded or OneSign, got a {type(structure).__name__}.")
    if network.rate_fingerprint != rate.fingerprint:
        raise InputError(
            f"This spiking network comes from the rate network {network.rate_fingerprint}, "
            f"not from {rate.fingerprint}. Give the one that it was converted from."
        )
    if not np.array_equal(network.latent_offset, rate.latent_offset):
        raise InputError(
            "This network's latents have another origin than the rate network's, as Kept decoders give it, and those "
            "keep W_s. Convert with Calibrated or Static decoders."
        )


def _equations(
    rate: RateNetwork,
    network: SpikingNetwork,
    encoding: Encoding,
    clockwork: Clockwork,
    states: Float[np.ndarray, "sample rank"],
    rng: np.random.Generator,
    progress: Progress,
) -> NormalEquations:
    """Normal equations of the neurons' own filtered spikes along trajectories."""
    settings, neurons = Calibrated(), network.neurons
    equations = NormalEquations.empty(neurons, rate.rank)
    duration = settings.duration_for(neurons) / settings.trajectories
    pool = np.arange(neurons)
    for share, regressors, target, _ in driven(
        rate, encoding, network.neuron, clockwork, states, pool, settings.trajectories, duration, rng, settings.kicked
    ):
        equations.add(regressors.reshape(-1, neurons), target.reshape(-1, rate.rank))
        progress(0.6 * share)
    return equations


def _solve(equations: NormalEquations, structure: Structure) -> Float[np.ndarray, "neuron rank"]:
    """Least squares within the structure, latent by latent."""
    free = equations.solve(_RIDGE)
    size = np.sqrt((free**2).mean(axis=0))
    if isinstance(structure, Sparse):
        count = max(1, round(structure.kept * len(free)))
        weight = np.abs(free) * np.sqrt(np.diag(equations.gram))[:, None]
        found = np.zeros_like(free)
        for latent in range(free.shape[1]):
            stays = np.argsort(-weight[:, latent], kind="stable")[:count]
            part = NormalEquations(
                equations.gram[np.ix_(stays, stays)], equations.moment[stays, latent : latent + 1],
                equations.square[latent : latent + 1], equations.samples,
            )  # fmt: skip
            found[stays, latent] = part.solve(_RIDGE)[:, 0]
        return found
    if isinstance(structure, Bounded):
        limit = np.broadcast_to(structure.largest * size, free.shape)
        return _within(equations, -limit, limit)
    positive = ((free / np.where(size > 0, size, 1.0)).sum(axis=1) >= 0)[:, None]
    endless = np.full(free.shape, np.inf)
    return _within(equations, np.where(positive, 0.0, -endless), np.where(positive, endless, 0.0))


def _within(
    equations: NormalEquations, lowest: Float[np.ndarray, "neuron rank"], highest: Float[np.ndarray, "neuron rank"]
) -> Float[np.ndarray, "neuron rank"]:
    r"""Least squares within bounds: with :math:`R^\top R` the Gram matrix, :math:`\min |R w - R^{-\top} m|^2`."""
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import lsq_linear

    gram = equations.gram.copy()
    diagonal = np.einsum("ii->i", gram)
    diagonal += _RIDGE * max(float(diagonal.mean()), 1e-12 * equations.samples)
    upper = cholesky(gram)
    goal = solve_triangular(upper, equations.moment, trans=1)
    found = np.empty_like(goal)
    for latent in range(goal.shape[1]):
        bounds = (lowest[:, latent], highest[:, latent])
        # an active-set method: filtered spikes are too much alike for SciPy's other one, which creeps
        solved = lsq_linear(upper, goal[:, latent], bounds=bounds, method="bvls", max_iter=10 * len(goal))
        if not solved.success:
            raise InputError(f"No decoders within the structure were found for latent {latent}: {solved.message}")
        found[:, latent] = np.clip(solved.x, *bounds)
    return found


def _price(budget: NoiseBudget) -> dict[str, Any]:
    return {"drift_error": budget.drift_bias.tolist(), "spikes_over_target": budget.excess}
